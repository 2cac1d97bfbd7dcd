/* Errors. Functions return a code; what a person needs beyond it (detail, hint, fields) is written into a
 * struct error that the caller passes. Three classes: the client's fault (4xx: reply), the environment (5xx:
 * retry or degrade), our bug (CHECK). */
#ifndef CATHAY_BASE_ERROR_H
#define CATHAY_BASE_ERROR_H

#include "base/str.h"

enum error_code {
#define ERROR_CODE(name, status, code, title) ERR_##name,
#include "base/error_codes.def"
#undef ERROR_CODE
    ERROR_CODE_COUNT
};

#define ERROR_FIELDS_MAX 32

struct error_field {
    char field[96];   /* "lines[2].quantity" */
    char reason[160]; /* a sentence without a full stop, or a stable word that a client acts on */
};

struct error {
    enum error_code code;
    char detail[256];
    char sqlstate[6]; /* of the statement that failed, else "" */
    char constraint[64];
    int64_t retry_after_s;
    size_t field_count;
    struct error_field fields[ERROR_FIELDS_MAX];
};

int error_status(enum error_code code);
const char *error_text(enum error_code code); /* the stable code on the wire */
const char *error_title(enum error_code code);

/* Sets code and detail (what no longer fits is cut off) and returns the code, so that `return error_set(…)`
 * reads well. error may be NULL. */
enum error_code error_set(struct error *error, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds a field; past ERROR_FIELDS_MAX it is dropped. */
void error_field_add(struct error *error, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void error_clear(struct error *error);

#endif
