/* Strings are a pointer and a length, not terminated; the bytes belong to whoever made them (an arena,
 * mostly). {NULL, 0} stands for "absent" where that differs from empty. Nothing here blocks or fails. */
#ifndef CATHAY_BASE_STR_H
#define CATHAY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr;
    size_t len;
};

struct str_array {
    const struct str *items;
    size_t count;
};

#define STR(literal) ((struct str){("" literal), sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
/* For printf: "%.*s", STR_ARG(s) */
#define STR_ARG(s) (int)(s).len, ((s).ptr ? (s).ptr : "")

static inline struct str str_from(const char *terminated)
{
    return terminated ? (struct str){terminated, strlen(terminated)} : STR_NONE;
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII letters compare without case, as HTTP's names do (RFC 9110, 5.1). */
bool str_equal_ignoring_case(struct str a, struct str b);
bool str_starts_with(struct str s, struct str prefix);
bool str_ends_with(struct str s, struct str suffix);
/* Spaces and tabs off both ends. */
struct str str_trim(struct str s);
/* The part before the first `separator`; the rest stays in *s, without the separator. *s is STR_NONE at the
 * end. */
struct str str_split(struct str *s, char separator);
/* Decimal digits with an optional minus; false on anything else and on overflow. */
bool str_to_int64(struct str s, int64_t *value);
/* Valid UTF-8 as RFC 3629 has it: no surrogates, no overlong forms. */
bool str_is_utf8(struct str s);
/* Code points of valid UTF-8. */
size_t str_code_points(struct str s);
/* Text, or decimal digits, put at `at`, where there has to be room (20 bytes for a number; one below 0 is put
 * as 0). Return what is behind it. */
char *str_put(char *at, struct str s);
char *str_put_number(char *at, int64_t value);
/* FNV-1a, for tables whose keys a stranger cannot choose; others take xxHash. */
uint64_t str_hash(struct str s);

#endif
