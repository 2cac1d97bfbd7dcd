/* Reading mails: headers (RFC 5322), encoded words (RFC 2047), parts and transfer encodings (RFC 2045, 2046).
 * Only UTF-8 and ASCII are decoded; bytes that are no UTF-8 become '?'. */
#include "sandbox/mailbox.h"

#include "base/check.h"

#include <sodium.h>
#include <stdlib.h>

#define NESTING_MAX 8

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* header: '_' is a space, as in encoded words; otherwise "=" at a line's end joins it with the next. */
static struct str quoted_printable(struct arena *arena, struct str in, bool header)
{
    char *out = arena_bytes(arena, in.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        if (header && in.ptr[i] == '_') {
            out[len++] = ' ';
        } else if (in.ptr[i] == '=' && i + 2 < in.len && hex_digit(in.ptr[i + 1]) >= 0 &&
                   hex_digit(in.ptr[i + 2]) >= 0) {
            out[len++] = (char)(hex_digit(in.ptr[i + 1]) * 16 + hex_digit(in.ptr[i + 2]));
            i += 2;
        } else if (in.ptr[i] == '=' && i + 1 < in.len && (in.ptr[i + 1] == '\r' || in.ptr[i + 1] == '\n')) {
            i += in.ptr[i + 1] == '\r' && i + 2 < in.len && in.ptr[i + 2] == '\n' ? 2 : 1;
        } else {
            out[len++] = in.ptr[i];
        }
    }
    return (struct str){out, len};
}

static struct str base64(struct arena *arena, struct str in)
{
    char *out = arena_bytes(arena, in.len + 1);
    size_t len = 0;
    if (sodium_base642bin((unsigned char *)out, in.len, in.ptr, in.len, " \r\n\t", &len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return STR("");
    return (struct str){out, len};
}

/* Text that PostgreSQL and pages can take. */
static struct str clean(struct arena *arena, struct str in)
{
    char *out = arena_bytes(arena, in.len + 1);
    bool utf8 = str_is_utf8(in);
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.ptr[i];
        out[i] = c == 0 || (!utf8 && c >= 0x80) ? '?' : (char)c;
    }
    return (struct str){out, in.len};
}

/* ---- headers ---- */

static bool line_next(struct str *rest, struct str *line)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    *line = (struct str){rest->ptr, len};
    *rest = (struct str){rest->ptr + len + (end ? 1 : 0), rest->len - len - (end ? 1 : 0)};
    if (line->len > 0 && line->ptr[line->len - 1] == '\r')
        line->len--;
    return true;
}

/* Where the headers end: behind the empty line. */
static struct str body_of(struct str entity)
{
    struct str rest = entity, line;
    while (line_next(&rest, &line))
        if (line.len == 0)
            return rest;
    return STR("");
}

/* The value of the first header of that name, unfolded; STR_NONE without one. */
static struct str header_of(struct arena *arena, struct str entity, struct str name)
{
    struct str rest = entity, line;
    while (line_next(&rest, &line) && line.len > 0) {
        struct str value = line;
        struct str key = str_split(&value, ':');
        if (!value.ptr || !str_equal_ignoring_case(str_trim(key), name))
            continue;
        struct buf out = buf_new(64 * 1024);
        buf_append(&out, str_trim(value));
        while (rest.len > 0 && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t') && line_next(&rest, &line)) {
            buf_char(&out, ' ');
            buf_append(&out, str_trim(line));
        }
        struct str whole = arena_copy(arena, buf_str(&out));
        buf_free(&out);
        return whole;
    }
    return STR_NONE;
}

/* "=?UTF-8?B?…?=" at the beginning of the text; false where there is none. */
static bool encoded_word(struct arena *arena, struct str *text, struct str *decoded)
{
    if (!str_starts_with(*text, STR("=?")))
        return false;
    struct str rest = {text->ptr + 2, text->len - 2};
    str_split(&rest, '?'); /* the character set */
    if (rest.len < 3 || rest.ptr[1] != '?')
        return false;
    char encoding = rest.ptr[0];
    rest = (struct str){rest.ptr + 2, rest.len - 2};
    const char *end = memmem(rest.ptr, rest.len, "?=", 2);
    if (!end)
        return false;
    struct str inside = {rest.ptr, (size_t)(end - rest.ptr)};
    *decoded =
        encoding == 'B' || encoding == 'b' ? base64(arena, inside) : quoted_printable(arena, inside, true);
    *text = (struct str){end + 2, rest.len - inside.len - 2};
    return true;
}

static struct str words_decode(struct arena *arena, struct str text)
{
    struct buf out = buf_new(64 * 1024);
    while (text.len > 0) {
        struct str decoded;
        if (encoded_word(arena, &text, &decoded)) {
            buf_append(&out, decoded);
            /* White space between two encoded words is not part of the text. */
            struct str after = text;
            while (after.len > 0 && after.ptr[0] == ' ')
                after = (struct str){after.ptr + 1, after.len - 1};
            if (str_starts_with(after, STR("=?")))
                text = after;
            continue;
        }
        buf_char(&out, text.ptr[0]);
        text = (struct str){text.ptr + 1, text.len - 1};
    }
    struct str whole = arena_copy(arena, buf_str(&out));
    buf_free(&out);
    return clean(arena, whole);
}

static struct str header_text(struct arena *arena, struct str entity, struct str name)
{
    struct str value = header_of(arena, entity, name);
    return value.ptr ? words_decode(arena, value) : STR("");
}

/* A parameter of a header's value: boundary="…". */
static struct str parameter_of(struct str value, struct str name)
{
    struct str rest = value;
    str_split(&rest, ';');
    while (rest.ptr) {
        struct str pair = str_split(&rest, ';');
        struct str key = str_trim(str_split(&pair, '='));
        if (!pair.ptr || !str_equal_ignoring_case(key, name))
            continue;
        pair = str_trim(pair);
        if (pair.len >= 2 && pair.ptr[0] == '"' && pair.ptr[pair.len - 1] == '"')
            pair = (struct str){pair.ptr + 1, pair.len - 2};
        return pair;
    }
    return STR_NONE;
}

/* ---- parts ---- */

static void entity_read(struct arena *arena, struct str entity, struct mailbox_content *content, int depth);

static void multipart_read(struct arena *arena, struct str body, struct str boundary,
                           struct mailbox_content *content, int depth)
{
    struct str rest = body, line;
    const char *begin = NULL;
    while (line_next(&rest, &line)) {
        bool is_mark = line.len >= boundary.len + 2 && line.ptr[0] == '-' && line.ptr[1] == '-' &&
                       memcmp(line.ptr + 2, boundary.ptr, boundary.len) == 0;
        if (!is_mark)
            continue;
        if (begin)
            entity_read(arena, (struct str){begin, (size_t)(line.ptr - begin)}, content, depth + 1);
        struct str tail = {line.ptr + 2 + boundary.len, line.len - 2 - boundary.len};
        if (str_starts_with(tail, STR("--")))
            return;
        begin = rest.ptr;
    }
}

static void entity_read(struct arena *arena, struct str entity, struct mailbox_content *content, int depth)
{
    if (depth > NESTING_MAX)
        return;
    struct str value = header_of(arena, entity, STR("content-type"));
    struct str rest = value;
    struct str type = value.ptr ? str_trim(str_split(&rest, ';')) : STR("text/plain");
    struct str body = body_of(entity);
    if (type.len > 10 && str_equal_ignoring_case((struct str){type.ptr, 10}, STR("multipart/"))) {
        struct str boundary = parameter_of(value, STR("boundary"));
        if (boundary.len > 0)
            multipart_read(arena, body, boundary, content, depth);
        return;
    }
    struct str encoding = header_of(arena, entity, STR("content-transfer-encoding"));
    if (str_equal_ignoring_case(encoding, STR("base64")))
        body = base64(arena, body);
    else if (str_equal_ignoring_case(encoding, STR("quoted-printable")))
        body = quoted_printable(arena, body, false);
    if (str_equal_ignoring_case(type, STR("text/plain")) && !content->text.ptr)
        content->text = clean(arena, body);
    else if (str_equal_ignoring_case(type, STR("text/html")) && !content->html.ptr)
        content->html = clean(arena, body);
}

void mailbox_parse(struct arena *arena, struct str raw, struct mailbox_content *content)
{
    *content = (struct mailbox_content){
        .from = header_text(arena, raw, STR("from")),
        .to = header_text(arena, raw, STR("to")),
        .subject = header_text(arena, raw, STR("subject")),
        .message_id = header_text(arena, raw, STR("message-id")),
    };
    entity_read(arena, raw, content, 0);
}
