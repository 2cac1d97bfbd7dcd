#include "http/redact.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool contains(struct str text, struct str word)
{
    for (size_t i = 0; i + word.len <= text.len; i++) {
        size_t k = 0;
        while (k < word.len && lower(text.ptr[i + k]) == word.ptr[k])
            k++;
        if (k == word.len)
            return true;
    }
    return false;
}

bool redact_is_secret(struct str name)
{
    static const struct str words[] = {STR("secret"), STR("key"),           STR("password"),
                                       STR("token"),  STR("authorization"), STR("signature"),
                                       STR("card"),   STR("number"),        STR("cvc")};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (contains(name, words[i]))
            return true;
    return false;
}

static size_t string_end(struct str text, size_t at)
{
    for (at++; at < text.len && text.ptr[at] != '"'; at++)
        if (text.ptr[at] == '\\')
            at++;
    return at < text.len ? at + 1 : text.len;
}

/* Past one JSON value, however deep. */
static size_t value_end(struct str text, size_t at)
{
    int depth = 0;
    while (at < text.len) {
        char c = text.ptr[at];
        if (c == '"') {
            at = string_end(text, at);
        } else if (c == '{' || c == '[') {
            depth++;
            at++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return at;
            depth--;
            at++;
        } else if (c == ',' && depth == 0) {
            return at;
        } else {
            at++;
            continue;
        }
        if (depth == 0)
            return at;
    }
    return at;
}

static size_t skip_space(struct str text, size_t at)
{
    while (at < text.len &&
           (text.ptr[at] == ' ' || text.ptr[at] == '\n' || text.ptr[at] == '\r' || text.ptr[at] == '\t'))
        at++;
    return at;
}

static void redact_json(struct buf *out, struct str text)
{
    size_t at = 0;
    while (at < text.len) {
        if (text.ptr[at] != '"') {
            buf_char(out, text.ptr[at++]);
            continue;
        }
        size_t end = string_end(text, at), colon = skip_space(text, end);
        struct str name = {text.ptr + at, end - at};
        buf_append(out, name);
        at = end;
        if (colon < text.len && text.ptr[colon] == ':' && redact_is_secret(name)) {
            BUF_LITERAL(out, ":\"[removed]\"");
            at = value_end(text, skip_space(text, colon + 1));
        }
    }
}

static void redact_form(struct buf *out, struct str text)
{
    for (bool first = true; text.ptr; first = false) {
        struct str value = str_split(&text, '&'), name = str_split(&value, '=');
        if (!first)
            buf_char(out, '&');
        buf_append(out, name);
        if (value.ptr) {
            buf_char(out, '=');
            buf_append(out, redact_is_secret(name) ? STR("[removed]") : value);
        }
    }
}

void redact_body(struct buf *out, struct str body, size_t most)
{
    struct buf whole = buf_new(body.len + body.len * 12 + 64);
    size_t at = skip_space(body, 0);
    if (at < body.len && (body.ptr[at] == '{' || body.ptr[at] == '['))
        redact_json(&whole, body);
    else if (body.len)
        redact_form(&whole, body);
    struct str text = buf_str(&whole);
    if (text.len > most)
        text.len = most;
    buf_append(out, text);
    buf_free(&whole);
}
