#include "base/error.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    int status;
    const char *text;
    const char *title;
} table[ERROR_CODE_COUNT] = {
#define ERROR_CODE(name, status, code, title) {status, code, title},
#include "base/error_codes.def"
#undef ERROR_CODE
};

int error_status(enum error_code code)
{
    CHECK(code < ERROR_CODE_COUNT);
    return table[code].status;
}

const char *error_text(enum error_code code)
{
    CHECK(code < ERROR_CODE_COUNT);
    return table[code].text;
}

const char *error_title(enum error_code code)
{
    CHECK(code < ERROR_CODE_COUNT);
    return table[code].title;
}

enum error_code error_set(struct error *error, enum error_code code, const char *format, ...)
{
    if (error) {
        error->code = code;
        va_list args;
        va_start(args, format);
        vsnprintf(error->detail, sizeof error->detail, format, args);
        va_end(args);
    }
    return code;
}

void error_field_add(struct error *error, const char *field, const char *format, ...)
{
    if (!error || error->field_count == ERROR_FIELDS_MAX)
        return;
    struct error_field *to = &error->fields[error->field_count++];
    snprintf(to->field, sizeof to->field, "%s", field);
    va_list args;
    va_start(args, format);
    vsnprintf(to->reason, sizeof to->reason, format, args);
    va_end(args);
}

void error_clear(struct error *error)
{
    error->code = ERR_OK;
    error->detail[0] = error->sqlstate[0] = error->constraint[0] = '\0';
    error->retry_after_s = 0;
    error->field_count = 0;
}
