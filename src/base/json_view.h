/* JSON (RFC 8259) read as it stands: a tree of spans of the text, which is neither copied nor changed. For
 * texts of which the shop needs a few members and keeps the rest: a third of the time that a library takes
 * which makes an object of each value.
 *
 * As strict as PostgreSQL's jsonb: no NUL, no half of a surrogate pair, no bytes that are not UTF-8; and no
 * name twice in an object. Everything lies in the arena or in the text. Functions that are given NULL, or
 * something of another kind, find nothing. */
#ifndef CATHAY_BASE_JSON_VIEW_H
#define CATHAY_BASE_JSON_VIEW_H

#include "base/arena.h"

#define JSON_VIEW_DEPTH_MAX 32
#define JSON_VIEW_VALUES_MAX 16384
#define JSON_VIEW_MEMBERS_MAX 512 /* of one object: each name is compared with those before it */

enum json_view_kind {
    JSON_VIEW_OBJECT,
    JSON_VIEW_ARRAY,
    JSON_VIEW_STRING,
    JSON_VIEW_NUMBER,
    JSON_VIEW_LITERAL, /* true, false */
    JSON_VIEW_NULL
};

struct json_view {
    enum json_view_kind kind;
    struct str name;   /* of an object's member, without escapes */
    const char *start; /* likewise, as it stands: where its name begins */
    struct str text;   /* the value as it stands */
    const struct json_view *first, *next;
};

/* Why a text could not be read, and at which byte. */
struct json_view_fault {
    const char *reason; /* a part of a sentence */
    size_t at;
};

/* NULL: not JSON, or beyond the limits; then *fault says why, unless it is NULL. */
const struct json_view *json_view_read(struct arena *arena, struct str text, struct json_view_fault *fault);
const struct json_view *json_view_member(const struct json_view *object, struct str name);
/* Members of an object, items of an array; 0 for everything else. */
size_t json_view_count(const struct json_view *value);
/* Whether both mean the same: members in any order, strings without escapes, numbers as they are written. */
bool json_view_equal(struct arena *arena, const struct json_view *a, const struct json_view *b);
/* The value as it stands, without space between its parts. */
struct str json_view_compact(struct arena *arena, const struct json_view *value);
/* STR_NONE where it is no string; in the text where it has no escapes. */
struct str json_view_string(struct arena *arena, const struct json_view *value);
/* False where it is no number, or none without a fraction that fits. */
bool json_view_integer(const struct json_view *value, int64_t *number);

#endif
