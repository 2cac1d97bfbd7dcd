/* Growing text with a named maximum. Past the maximum nothing more is written and `overflow` is set: whoever
 * uses the text checks it once, at the end. The bytes are malloc'ed and belong to the buffer. One thread at a
 * time. */
#ifndef CATHAY_BASE_BUF_H
#define CATHAY_BASE_BUF_H

#include "base/str.h"

struct buf {
    char *ptr;
    size_t len;
    size_t size;
    size_t max;
    bool overflow;
};

#define BUF_DEFAULT_MAX ((size_t)16 * 1024 * 1024)

static inline struct buf buf_new(size_t max)
{
    return (struct buf){.max = max};
}
void buf_free(struct buf *buf);
static inline void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->overflow = false;
}
static inline struct str buf_str(const struct buf *buf)
{
    return (struct str){buf->ptr ? buf->ptr : "", buf->len};
}
/* Room for `bytes` more, or NULL on overflow; the caller adds what it wrote to `len`. */
char *buf_reserve(struct buf *buf, size_t bytes);
void buf_append(struct buf *buf, struct str s);
void buf_char(struct buf *buf, char c);
void buf_int(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define BUF_LITERAL(buf, literal) buf_append((buf), STR(literal))

/* JSON (RFC 8259): a quoted, escaped string; bytes that are not UTF-8 become U+FFFD. null for an absent
 * string. */
void buf_json_str(struct buf *buf, struct str s);
/* HTML text or attribute value, the five special characters as references. */
void buf_html(struct buf *buf, struct str s);
/* application/x-www-form-urlencoded value. */
void buf_form(struct buf *buf, struct str s);

#endif
