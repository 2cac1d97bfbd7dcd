#include "base/json_view.h"

#include "base/check.h"

#include <string.h>

#define TEXT_OF(macro) TEXT_OF_(macro)
#define TEXT_OF_(number) #number

struct reader {
    struct arena *arena;
    const char *at, *end;
    size_t values;
    /* the objects and arrays that are open, and where the value after each goes */
    struct json_view *open[JSON_VIEW_DEPTH_MAX];
    const struct json_view **after[JSON_VIEW_DEPTH_MAX];
    size_t members[JSON_VIEW_DEPTH_MAX];
    size_t depth;
    const char *wrong; /* where it is not simply no JSON */
};

static bool refuse(struct reader *r, const char *reason)
{
    r->wrong = reason;
    return false;
}

/* 0 at the end, which no token begins with. */
static char next_token(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
    return r->at < r->end ? *r->at : 0;
}

static bool take_text(struct reader *r, const char *text, size_t len)
{
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, text, len) != 0)
        return false;
    r->at += len;
    return true;
}

static bool take_digits(struct reader *r)
{
    const char *from = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > from;
}

/* An exponent of more than three digits is refused: nothing that is told in numbers is that large. */
static bool take_number(struct reader *r)
{
    take_text(r, "-", 1);
    const char *from = r->at;
    if (!take_digits(r) || (*from == '0' && r->at - from > 1))
        return false;
    if (take_text(r, ".", 1) && !take_digits(r))
        return false;
    if (!take_text(r, "e", 1) && !take_text(r, "E", 1))
        return true;
    if (!take_text(r, "-", 1))
        take_text(r, "+", 1);
    from = r->at;
    return take_digits(r) && r->at - from <= 3;
}

/* Four digits; -1: they are none. */
static int32_t hex4(const char *at, const char *end)
{
    int32_t value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* What stands behind "\u": a code point, moving *at; -1: NUL, or half of a pair, or no digits. */
static int32_t take_code_point(const char **at, const char *end)
{
    int32_t high = hex4(*at, end);
    if (high <= 0 || (high >= 0xdc00 && high <= 0xdfff))
        return -1;
    *at += 4;
    if (high < 0xd800 || high > 0xdbff)
        return high;
    if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return -1;
    int32_t low = hex4(*at + 2, end);
    if (low < 0xdc00 || low > 0xdfff)
        return -1;
    *at += 6;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* What lies between quotes, with its escapes checked. */
static bool take_string(struct reader *r, struct str *inside)
{
    if (!take_text(r, "\"", 1))
        return false;
    const char *from = r->at;
    for (; r->at < r->end && *r->at != '"'; r->at++) {
        if ((unsigned char)*r->at < 0x20)
            return false;
        if (*r->at != '\\')
            continue;
        if (++r->at == r->end || !*r->at || !strchr("\"\\/bfnrtu", *r->at))
            return false;
        const char *digits = r->at + 1;
        if (*r->at == 'u') {
            if (take_code_point(&digits, r->end) < 0)
                return false;
            r->at = digits - 1;
        }
    }
    *inside = (struct str){from, (size_t)(r->at - from)};
    return take_text(r, "\"", 1);
}

static size_t put_utf8(char *out, int32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(lead[more] | c >> (6 * more));
    for (size_t i = 1; i <= more; i++)
        out[i] = (char)(0x80 | (c >> (6 * (more - i)) & 0x3f));
    return more + 1;
}

/* The text of a string that was checked. No escape is shorter than what it stands for. */
static struct str unescaped(struct arena *arena, struct str inside)
{
    if (inside.len == 0 || !memchr(inside.ptr, '\\', inside.len))
        return inside;
    static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char *out = arena_bytes(arena, inside.len);
    size_t len = 0;
    const char *end = inside.ptr + inside.len;
    for (const char *at = inside.ptr; at < end;) {
        if (*at != '\\') {
            out[len++] = *at++;
            continue;
        }
        char kind = at[1];
        at += 2;
        if (kind == 'u')
            len += put_utf8(out + len, take_code_point(&at, end));
        else
            out[len++] = meanings[strchr(escapes, kind) - escapes];
    }
    return (struct str){out, len};
}

static bool take_scalar(struct reader *r, struct json_view *value)
{
    struct str inside;
    switch (*r->at) {
    case '"':
        value->kind = JSON_VIEW_STRING;
        return take_string(r, &inside);
    case 't':
        value->kind = JSON_VIEW_LITERAL;
        return take_text(r, "true", 4);
    case 'f':
        value->kind = JSON_VIEW_LITERAL;
        return take_text(r, "false", 5);
    case 'n':
        value->kind = JSON_VIEW_NULL;
        return take_text(r, "null", 4);
    default:
        value->kind = JSON_VIEW_NUMBER;
        return take_number(r);
    }
}

/* The next member's name, with its colon. */
static bool take_name(struct reader *r, struct str *name, const char **start)
{
    struct str inside;
    if (next_token(r) != '"')
        return false;
    *start = r->at;
    if (!take_string(r, &inside))
        return false;
    *name = unescaped(r->arena, inside);
    if (++r->members[r->depth - 1] > JSON_VIEW_MEMBERS_MAX)
        return refuse(r, "an object of more than " TEXT_OF(JSON_VIEW_MEMBERS_MAX) " members");
    if (json_view_member(r->open[r->depth - 1], *name))
        return refuse(r, "a member that is there twice");
    return next_token(r) == ':' && take_text(r, ":", 1);
}

static void close_value(struct reader *r, struct json_view *value)
{
    value->text.len = (size_t)(r->at - value->text.ptr);
}

/* Ends what ends here, up to the next value; *done: that was all. */
static bool take_ends(struct reader *r, struct str *name, const char **start, const struct json_view ***where,
                      bool *done)
{
    while (r->depth > 0) {
        struct json_view *open = r->open[r->depth - 1];
        bool is_object = open->kind == JSON_VIEW_OBJECT;
        char c = next_token(r);
        if (!c)
            return false;
        r->at++;
        if (c == ',') {
            *name = STR_NONE;
            return !is_object || take_name(r, name, start);
        }
        if (c != (is_object ? '}' : ']'))
            return false;
        close_value(r, open);
        *where = r->after[--r->depth];
    }
    *done = true;
    return next_token(r) == 0 && r->at == r->end;
}

static bool read_all(struct reader *r, const struct json_view **root)
{
    const struct json_view **where = root;
    struct str name = STR_NONE;
    const char *start = NULL;
    for (bool done = false; !done;) {
        char c = next_token(r);
        if (!c)
            return false;
        if (++r->values > JSON_VIEW_VALUES_MAX)
            return refuse(r, "more than " TEXT_OF(JSON_VIEW_VALUES_MAX) " values");
        struct json_view *value = ARENA_NEW(r->arena, struct json_view);
        *value = (struct json_view){.name = name, .start = start, .text = {r->at, 0}};
        *where = value;
        where = &value->next;
        if (c != '{' && c != '[') {
            if (!take_scalar(r, value))
                return false;
            close_value(r, value);
        } else {
            if (r->depth == JSON_VIEW_DEPTH_MAX)
                return refuse(r, "nested deeper than " TEXT_OF(JSON_VIEW_DEPTH_MAX) " levels");
            value->kind = c == '{' ? JSON_VIEW_OBJECT : JSON_VIEW_ARRAY;
            r->at++;
            r->open[r->depth] = value;
            r->members[r->depth] = 0;
            r->after[r->depth++] = where;
            name = STR_NONE;
            bool is_empty = next_token(r) == (c == '{' ? '}' : ']');
            if (!is_empty && c == '{' && !take_name(r, &name, &start))
                return false;
            where = &value->first;
            if (!is_empty)
                continue;
        }
        if (!take_ends(r, &name, &start, &where, &done))
            return false;
    }
    return true;
}

const struct json_view *json_view_read(struct arena *arena, struct str text, struct json_view_fault *fault)
{
    const struct json_view *root = NULL;
    const char *from = text.ptr ? text.ptr : "";
    struct reader r = {.arena = arena, .at = from, .end = from + text.len};
    bool read = str_is_utf8(text) ? read_all(&r, &root) : refuse(&r, "bytes that are not UTF-8");
    if (!read && fault) {
        const char *usual = r.at == r.end ? "the end, too early" : "what cannot stand there";
        *fault = (struct json_view_fault){r.wrong ? r.wrong : usual, (size_t)(r.at - from)};
    }
    return read ? root : NULL;
}

const struct json_view *json_view_member(const struct json_view *object, struct str name)
{
    if (!object || object->kind != JSON_VIEW_OBJECT)
        return NULL;
    for (const struct json_view *member = object->first; member; member = member->next)
        if (str_equal(member->name, name))
            return member;
    return NULL;
}

size_t json_view_count(const struct json_view *value)
{
    size_t count = 0;
    for (const struct json_view *inside = value ? value->first : NULL; inside; inside = inside->next)
        count++;
    return count;
}

bool json_view_equal(struct arena *arena, const struct json_view *a, const struct json_view *b)
{
    if (!a || !b || a->kind != b->kind)
        return a == b;
    if (a->kind == JSON_VIEW_STRING)
        return str_equal(json_view_string(arena, a), json_view_string(arena, b));
    if (a->kind != JSON_VIEW_OBJECT && a->kind != JSON_VIEW_ARRAY)
        return str_equal(a->text, b->text);
    if (json_view_count(a) != json_view_count(b))
        return false;
    const struct json_view *other = b->first;
    for (const struct json_view *inside = a->first; inside; inside = inside->next, other = other->next) {
        const struct json_view *same =
            a->kind == JSON_VIEW_OBJECT ? json_view_member(b, inside->name) : other;
        if (!json_view_equal(arena, inside, same))
            return false;
    }
    return true;
}

struct str json_view_compact(struct arena *arena, const struct json_view *value)
{
    struct str text = value->text;
    char *out = arena_bytes(arena, text.len);
    size_t len = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
            continue;
        out[len++] = c;
        if (c == '\\' && i + 1 < text.len)
            out[len++] = text.ptr[++i];
    }
    return (struct str){out, len};
}

struct str json_view_string(struct arena *arena, const struct json_view *value)
{
    if (!value || value->kind != JSON_VIEW_STRING)
        return STR_NONE;
    return unescaped(arena, (struct str){value->text.ptr + 1, value->text.len - 2});
}

bool json_view_integer(const struct json_view *value, int64_t *number)
{
    return value && value->kind == JSON_VIEW_NUMBER && str_to_int64(value->text, number);
}
