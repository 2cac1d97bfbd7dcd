/* Cursors of paged lists: where a page ended, as text that a client hands back unread. A cursor names its
 * list and order
 * (`kind`), so that one of another list is refused; a check sum refuses what was altered or cut. It is no
 * secret and grants nothing: whoever makes one up gets another page of what they may read anyway. Nothing
 * blocks. */
#ifndef CATHAY_BASE_CURSOR_H
#define CATHAY_BASE_CURSOR_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"

/* With the text of a cursor the result stays below the contract's 400 characters. */
#define CURSOR_TEXT_BYTES_MAX 256

/* The sort key of the page's last entry; members that the order does not use are zero. */
struct cursor {
    char kind;
    int64_t number;
    struct uuid id;
    struct str text; /* UTF-8, at most CURSOR_TEXT_BYTES_MAX */
};

/* In the arena. */
struct str cursor_encode(struct arena *arena, const struct cursor *cursor);

/* ERR_VALIDATION with the field "cursor" unless it is a cursor of that kind. */
enum error_code cursor_decode(struct arena *arena, struct str encoded, char kind, struct cursor *cursor,
                              struct error *error);

#endif
