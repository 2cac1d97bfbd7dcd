#include "base/buf.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_free(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf){.max = buf->max};
}

char *buf_reserve(struct buf *buf, size_t bytes)
{
    if (buf->overflow || bytes > buf->max - buf->len) {
        buf->overflow = true;
        return NULL;
    }
    if (buf->len + bytes > buf->size) {
        size_t size = buf->size ? buf->size : 256;
        while (size < buf->len + bytes)
            size *= 2;
        buf->ptr = realloc(buf->ptr, size);
        CHECK(buf->ptr);
        buf->size = size;
    }
    return buf->ptr + buf->len;
}

void buf_append(struct buf *buf, struct str s)
{
    if (s.len == 0)
        return;
    char *to = buf_reserve(buf, s.len);
    if (to) {
        memcpy(to, s.ptr, s.len);
        buf->len += s.len;
    }
}

void buf_char(struct buf *buf, char c)
{
    char *to = buf_reserve(buf, 1);
    if (to) {
        *to = c;
        buf->len++;
    }
}

void buf_int(struct buf *buf, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value < 0)
        digits[--at] = '-';
    buf_append(buf, (struct str){digits + at, sizeof digits - at});
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    char *to = buf_reserve(buf, (size_t)len + 1);
    if (to) {
        vsnprintf(to, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void buf_json_str(struct buf *buf, struct str s)
{
    if (!s.ptr) {
        BUF_LITERAL(buf, "null");
        return;
    }
    bool clean = str_is_utf8(s);
    buf_char(buf, '"');
    size_t from = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool bad = !clean && c >= 0x80;
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f && !bad)
            continue;
        buf_append(buf, (struct str){s.ptr + from, i - from});
        from = i + 1;
        switch (c) {
        case '"':
            BUF_LITERAL(buf, "\\\"");
            break;
        case '\\':
            BUF_LITERAL(buf, "\\\\");
            break;
        case '\n':
            BUF_LITERAL(buf, "\\n");
            break;
        case '\r':
            BUF_LITERAL(buf, "\\r");
            break;
        case '\t':
            BUF_LITERAL(buf, "\\t");
            break;
        default:
            if (bad)
                BUF_LITERAL(buf, "\\ufffd");
            else
                buf_printf(buf, "\\u%04x", c);
        }
    }
    buf_append(buf, (struct str){s.ptr + from, s.len - from});
    buf_char(buf, '"');
}

void buf_html(struct buf *buf, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.ptr[i]) {
        case '&':
            BUF_LITERAL(buf, "&amp;");
            break;
        case '<':
            BUF_LITERAL(buf, "&lt;");
            break;
        case '>':
            BUF_LITERAL(buf, "&gt;");
            break;
        case '"':
            BUF_LITERAL(buf, "&quot;");
            break;
        case '\'':
            BUF_LITERAL(buf, "&#39;");
            break;
        default:
            buf_char(buf, s.ptr[i]);
        }
    }
}

void buf_form(struct buf *buf, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
            c == '.' || c == '_' || c == '~')
            buf_char(buf, c);
        else
            buf_printf(buf, "%%%02X", (unsigned char)c);
    }
}
