/* Decoding and encoding by the contract: what tools/contract_gen.py's output stands on. The generator writes
 * a table for each schema (kind, limits, places of the members in the C struct); the functions here walk the
 * tables. Thread-safe; nothing blocks. No input, whatever its bytes, does more than fail with a list of
 * faults. */
#ifndef CATHAY_HTTP_API_DECODE_H
#define CATHAY_HTTP_API_DECODE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "base/text.h"

/* Values of x-limit, x-run and x-idempotency. */
enum api_limit {
    API_LIMIT_NONE,
    API_LIMIT_READ,
    API_LIMIT_WRITE,
    API_LIMIT_SIGN_IN,
    API_LIMIT_CHECKOUT,
    API_LIMIT_PAYMENT,
    API_LIMIT_COUNT
};
enum api_run { API_RUN_WORKER, API_RUN_LOOP, API_RUN_ASYNC };
enum api_session { API_SESSION_STRICT, API_SESSION_IMMEDIATE, API_SESSION_NONE };
enum api_idempotency { API_IDEMPOTENCY_NONE, API_IDEMPOTENCY_OPTIONAL, API_IDEMPOTENCY_REQUIRED };

#define API_PATH_PARAMS_MAX 8
#define API_QUERY_FIELDS_MAX 64

/* One request, as the server has parsed it. */
struct api_input {
    const struct str *path_params; /* in the order of the route's path, percent-decoded */
    size_t path_param_count;
    struct str query; /* behind the '?', still encoded; may be absent */
    /* The value of a header, STR_NONE when there is none; NULL: no headers. */
    struct str (*header)(const void *context, struct str name);
    const void *header_context;
    struct str body;
};

enum api_kind {
    API_KIND_STRING,    /* struct str */
    API_KIND_INTEGER,   /* int64_t */
    API_KIND_BOOLEAN,   /* bool */
    API_KIND_ENUM,      /* enum, whose first value is 1 */
    API_KIND_DATE_TIME, /* int64_t microseconds since 1970 */
    API_KIND_ID,        /* struct order_id … */
    API_KIND_JSON,      /* struct str: JSON text */
    API_KIND_ARRAY,     /* {items, count} */
    API_KIND_OBJECT,    /* struct */
};

enum api_format { API_FORMAT_NONE, API_FORMAT_URI, API_FORMAT_UUID };

/* Types of JSON that a schema with x-json takes, as a mask; 0 takes all. */
enum {
    API_JSON_OBJECT = 1,
    API_JSON_ARRAY = 2,
    API_JSON_STRING = 4,
    API_JSON_NUMBER = 8,
    API_JSON_BOOLEAN = 16
};

/* A pattern of PCRE2 with UTF, compiled once. */
struct api_pattern {
    const char *source;
    void *compiled;
};

struct api_schema {
    enum api_kind kind;
    enum api_format format;
    enum text_kind text; /* how a string is prepared; its limits are those of the prepared one */
    /* Of the integer (booleans: 0 or 1), of a string's code points, of an array's items, of the number of
     * members. */
    int64_t minimum, maximum;
    int64_t multiple_of; /* 0: any */
    struct api_pattern *pattern;
    const char *const *names; /* of an enum */
    const char *id_prefix;
    const struct api_schema *items;
    size_t item_size;
    bool unique_items;
    unsigned json_types;
    const struct api_member *members;
    size_t member_count; /* or names */
};

struct api_default {
    int64_t integer; /* also booleans and enums */
    struct str text;
};

struct api_member {
    const char *name;
    const struct api_schema *schema;
    size_t offset;
    int has_offset;  /* of bool has_…; -1: none, the member is required or has a default */
    int null_offset; /* of bool null_…; -1: it may not be null */
    const struct api_default *fallback; /* NULL: none */
};

enum api_place { API_PLACE_PATH, API_PLACE_QUERY, API_PLACE_HEADER };

struct api_parameter {
    enum api_place place;
    struct api_member member;
};

struct api_request_schema {
    size_t size;
    const struct api_parameter *parameters;
    size_t parameter_count;
    const struct api_member *body; /* NULL: there is none */
    int raw_body_offset;           /* of a struct str; -1: the body is decoded */
    bool open_query;               /* query parameters that are not declared are ignored */
};

/* Fills *out with a new struct in the arena and returns true; or sets error (ERR_VALIDATION with the fields,
 * ERR_BAD_REQUEST where the body is not JSON) and returns false. Strings from path, query, headers and a raw
 * body may point into the input; those of a JSON body do not. */
bool api_decode(const struct api_request_schema *schema, const struct api_input *input, struct arena *arena,
                void **out, struct error *error);

/* Decodes one JSON text by a schema, as a body is; `out` has the schema's C type and is zeroed by the caller.
 */
bool api_decode_json(const struct api_schema *schema, struct str json, struct arena *arena, void *out,
                     struct error *error);

/* Writes the value as JSON. A required string without bytes is "", an optional member that is not there is
 * left out. */
void api_encode(struct buf *out, const struct api_schema *schema, const void *value);

/* Position of the text among the names plus 1; 0: it is none of them. */
int api_enum_parse(const char *const *names, size_t count, struct str text);

/* Compiles a pattern; a wrong one is a bug of the contract and stops the process. Decoding compiles at first
 * use, so calling this at start only moves the work and the failure forward. */
void api_pattern_compile(struct api_pattern *pattern);
bool api_pattern_matches(struct api_pattern *pattern, struct str text);

/* Decodes %XX, and '+' as a space in forms and queries. STR_NONE for a broken escape, a NUL or bytes that are
 * not UTF-8. Returns `text` itself where there is nothing to decode. */
struct str api_percent_decode(struct arena *arena, struct str text, bool plus_is_space);

#endif
