/* Cursors of paged lists: the position of a page's last row, as opaque text (base64url of fixed-size bytes).
 * A client may send anything back: what does not decode to exactly the expected bytes is refused. Nothing in
 * a cursor is secret, and nothing in it gives access: queries apply their own conditions beside it. */
#ifndef CATHAY_HTTP_CURSOR_H
#define CATHAY_HTTP_CURSOR_H

#include "base/arena.h"
#include "base/error.h"

#define CURSOR_BYTES_MAX 256

/* Text in the arena. */
struct str cursor_encode(struct arena *arena, const void *position, size_t bytes);
/* ERR_BAD_REQUEST with the field "cursor" where the text is not a cursor of that size. */
enum error_code cursor_decode(struct str cursor, void *position, size_t bytes, struct error *error);
/* Where there is one: *present tells. */
enum error_code cursor_read(bool has_cursor, struct str cursor, bool *present, void *position, size_t bytes,
                            struct error *error);
/* A request's cursor, where it has one, into a struct opt_… that a query takes. */
#define CURSOR_READ(req, in, opt)                                                                            \
    cursor_read((in)->has_cursor, (in)->cursor, &(opt)->present, &(opt)->value, sizeof(opt)->value,          \
                &(req)->error)

#endif
