#include "sandbox/form.h"

#include "base/check.h"
#include "http/api_decode.h"

bool form_parse(struct str text, struct arena *arena, struct form *form)
{
    *form = (struct form){.pairs = ARENA_ARRAY(arena, struct form_pair, FORM_PAIRS_MAX)};
    struct str rest = text;
    while (rest.ptr) {
        struct str piece = str_split(&rest, '&');
        if (piece.len == 0)
            continue;
        if (form->count == FORM_PAIRS_MAX)
            return false;
        struct str value = piece;
        struct str name = str_split(&value, '=');
        if (!value.ptr)
            value = STR("");
        name = api_percent_decode(arena, name, true);
        value = api_percent_decode(arena, value, true);
        if (!name.ptr || !value.ptr)
            return false;
        form->pairs[form->count++] = (struct form_pair){name, value};
    }
    return true;
}

struct str form_value(const struct form *form, struct str name)
{
    for (size_t i = form->count; i > 0; i--)
        if (str_equal(form->pairs[i - 1].name, name))
            return form->pairs[i - 1].value;
    return STR_NONE;
}

/* For name[key]: the key; for name[]: an empty one. STR_NONE for other names and deeper nesting. */
static struct str key_within(struct str full, struct str name)
{
    if (full.len < name.len + 2 || memcmp(full.ptr, name.ptr, name.len) != 0 || full.ptr[name.len] != '[' ||
        full.ptr[full.len - 1] != ']')
        return STR_NONE;
    struct str key = {full.ptr + name.len + 1, full.len - name.len - 2};
    return memchr(key.ptr, '[', key.len) || memchr(key.ptr, ']', key.len) ? STR_NONE : key;
}

static bool is_index(struct str key)
{
    for (size_t i = 0; i < key.len; i++)
        if (key.ptr[i] < '0' || key.ptr[i] > '9')
            return false;
    return true;
}

size_t form_list(const struct form *form, struct str name, struct str *values, size_t most)
{
    size_t count = 0;
    for (size_t i = 0; i < form->count && count < most; i++) {
        struct str key = key_within(form->pairs[i].name, name);
        if (key.ptr && is_index(key))
            values[count++] = form->pairs[i].value;
    }
    return count;
}

struct str form_object_json(const struct form *form, struct str name, struct arena *arena)
{
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    buf_char(&out, '{');
    for (size_t i = 0; i < form->count; i++) {
        struct str key = key_within(form->pairs[i].name, name);
        bool again = false;
        for (size_t later = i + 1; later < form->count; later++)
            again |= str_equal(form->pairs[later].name, form->pairs[i].name);
        if (!key.ptr || key.len == 0 || again)
            continue;
        if (out.len > 1)
            buf_char(&out, ',');
        buf_json_str(&out, key);
        buf_char(&out, ':');
        buf_json_str(&out, form->pairs[i].value);
    }
    buf_char(&out, '}');
    CHECK(!out.overflow);
    struct str json = arena_copy(arena, buf_str(&out));
    buf_free(&out);
    return json;
}

struct str form_unknown(const struct form *form, const char *const *known)
{
    for (size_t i = 0; i < form->count; i++) {
        struct str rest = form->pairs[i].name;
        struct str base = str_split(&rest, '[');
        bool found = false;
        for (size_t k = 0; known[k] && !found; k++)
            found = str_equal(base, str_from(known[k]));
        if (!found)
            return base;
    }
    return STR_NONE;
}
