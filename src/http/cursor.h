/* Cursors of paged lists: the position of a page's last row and a code that authenticates it, as opaque text
 * (base64url). The code is keyed BLAKE2b over the list's operation and the position: what this shop did not
 * make for this list is refused before a byte of it is looked at, so a position that comes back is one that
 * some row had. Nothing in a cursor is secret, and nothing in it gives access: queries apply their own
 * conditions beside it. */
#ifndef CATHAY_HTTP_CURSOR_H
#define CATHAY_HTTP_CURSOR_H

#include "http/request.h"

#define CURSOR_BYTES_MAX 224 /* of a position */
#define CURSOR_CODE_BYTES 8  /* 2^63 requests to guess one */
#define CURSOR_KEYS_MAX 8
#define CURSOR_KEY_BYTES 32

/* The first key makes cursors, all verify: the same on every server of a shop, a new one in front of the old
 * one. Before requests are served; without it the process makes a key for itself. */
void cursor_keys_set(const uint8_t keys[][CURSOR_KEY_BYTES], size_t count);

/* Text in the arena. */
struct str cursor_seal(struct arena *arena, struct str list, const void *position, size_t bytes);
/* False: not made here for that list, or of another size than `least` to `most` bytes. */
bool cursor_open(struct str list, struct str cursor, void *position, size_t least, size_t most,
                 size_t *bytes);

/* For the list that the request asks for. */
struct str cursor_encode(const struct request *req, const void *position, size_t bytes);
/* ERR_VALIDATION with the field "cursor" where the text is not a cursor of this list. */
enum error_code cursor_decode(struct request *req, struct str cursor, void *position, size_t bytes);
/* Where there is one: *present tells. */
enum error_code cursor_read(struct request *req, bool has_cursor, struct str cursor, bool *present,
                            void *position, size_t bytes);
/* That answer, for positions which do not fit what else is asked for. */
enum error_code cursor_refuse(struct request *req);
/* A request's cursor, where it has one, into a struct opt_… that a query takes. */
#define CURSOR_READ(req, in, opt)                                                                            \
    cursor_read((req), (in)->has_cursor, (in)->cursor, &(opt)->present, &(opt)->value, sizeof(opt)->value)

#endif
