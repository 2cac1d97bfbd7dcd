#include "shop/notify/mail_template.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 4

const struct mail_template *mail_template_find(struct str name)
{
    for (size_t i = 0; mail_templates[i].name; i++)
        if (str_equal(name, str_from(mail_templates[i].name)))
            return &mail_templates[i];
    return NULL;
}

/* The scopes that are open, the innermost last. */
struct filling {
    const struct template_scope *scopes[DEPTH_MAX];
    size_t depth;
    bool html;
    struct buf *out;
};

static bool value_find(const struct filling *filling, struct str name, struct str *value)
{
    for (size_t level = filling->depth; level-- > 0;) {
        const struct template_scope *scope = filling->scopes[level];
        for (size_t i = 0; i < TEMPLATE_VALUES_MAX && scope->values[i].name; i++)
            if (str_equal(name, str_from(scope->values[i].name))) {
                *value = scope->values[i].value;
                return true;
            }
    }
    return false;
}

static const struct template_section *section_find(const struct filling *filling, struct str name)
{
    for (size_t level = filling->depth; level-- > 0;) {
        const struct template_scope *scope = filling->scopes[level];
        for (size_t i = 0; i < TEMPLATE_SECTIONS_MAX && scope->sections[i].name; i++)
            if (str_equal(name, str_from(scope->sections[i].name)))
                return &scope->sections[i];
    }
    return NULL;
}

struct tag {
    struct str before; /* text in front of it */
    char mark;         /* '#', '/', or 0 of a value */
    struct str name;
    struct str after;
};

/* The next tag of the text; false at the end or, with *broken, where one is not closed. */
static bool tag_next(struct str text, struct tag *tag, bool *broken)
{
    *broken = false;
    const char *open = text.len ? memmem(text.ptr, text.len, "{{", 2) : NULL;
    if (!open)
        return false;
    struct str rest = {open + 2, text.len - (size_t)(open + 2 - text.ptr)};
    const char *close = memmem(rest.ptr, rest.len, "}}", 2);
    if (!close) {
        *broken = true;
        return false;
    }
    struct str inside = str_trim((struct str){rest.ptr, (size_t)(close - rest.ptr)});
    tag->before = (struct str){text.ptr, (size_t)(open - text.ptr)};
    tag->after = (struct str){close + 2, rest.len - (size_t)(close + 2 - rest.ptr)};
    tag->mark = 0;
    if (inside.len > 0 && (inside.ptr[0] == '#' || inside.ptr[0] == '/')) {
        tag->mark = inside.ptr[0];
        inside = str_trim((struct str){inside.ptr + 1, inside.len - 1});
        /* Alone on its line: the line goes with it. */
        bool begins_line = tag->before.len == 0 || tag->before.ptr[tag->before.len - 1] == '\n';
        if (begins_line && tag->after.len > 0 && tag->after.ptr[0] == '\n')
            tag->after = (struct str){tag->after.ptr + 1, tag->after.len - 1};
    }
    tag->name = inside;
    return true;
}

/* The text up to the tag that closes the section, and what stands behind it. */
static bool section_body(struct str text, struct str name, struct str *body, struct str *after)
{
    struct str rest = text;
    struct tag tag;
    bool broken;
    int depth = 1;
    while (tag_next(rest, &tag, &broken)) {
        depth += tag.mark == '#' ? 1 : tag.mark == '/' ? -1 : 0;
        if (depth == 0) {
            *body = (struct str){text.ptr, (size_t)(tag.before.ptr + tag.before.len - text.ptr)};
            *after = tag.after;
            return str_equal(tag.name, name);
        }
        rest = tag.after;
    }
    return false;
}

static bool fill(struct filling *filling, struct str text)
{
    struct tag tag;
    bool broken;
    while (tag_next(text, &tag, &broken)) {
        buf_append(filling->out, tag.before);
        text = tag.after;
        if (tag.mark == '/')
            return false;
        if (tag.mark == 0) {
            struct str value;
            if (!value_find(filling, tag.name, &value))
                return false;
            if (filling->html)
                buf_html(filling->out, value);
            else
                buf_append(filling->out, value);
            continue;
        }
        struct str body, after;
        const struct template_section *section = section_find(filling, tag.name);
        if (!section || !section_body(text, tag.name, &body, &after) || filling->depth == DEPTH_MAX)
            return false;
        for (size_t i = 0; i < section->count; i++) {
            filling->scopes[filling->depth++] = &section->items[i];
            bool filled = fill(filling, body);
            filling->depth--;
            if (!filled)
                return false;
        }
        text = after;
    }
    buf_append(filling->out, text);
    return !broken;
}

bool mail_template_fill(struct buf *out, const char *text, const struct template_scope *scope, bool html)
{
    struct filling filling = {.scopes = {scope}, .depth = 1, .html = html, .out = out};
    return fill(&filling, str_from(text));
}

/* ---- amounts ---- */

void mail_number(struct buf *out, int64_t number)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)llabs(number));
    if (number < 0)
        buf_char(out, '-');
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            buf_char(out, ',');
        buf_char(out, digits[i]);
    }
}

void mail_money(struct buf *out, struct money amount)
{
    static const struct {
        const char *code, *symbol;
        int decimals; /* ISO 4217 */
    } currencies[] = {{"HKD", "HK$", 2}, {"USD", "US$", 2}, {"JPY", "JPY ", 0}};
    const char *symbol = NULL;
    int decimals = 2;
    for (size_t i = 0; i < sizeof currencies / sizeof currencies[0]; i++)
        if (strcmp(currencies[i].code, amount.currency.code) == 0) {
            symbol = currencies[i].symbol;
            decimals = currencies[i].decimals;
        }
    if (amount.minor < 0)
        buf_char(out, '-');
    if (symbol)
        buf_append(out, str_from(symbol));
    else
        buf_printf(out, "%s ", amount.currency.code);
    int64_t minor = llabs(amount.minor);
    mail_number(out, decimals ? minor / 100 : minor);
    if (decimals)
        buf_printf(out, ".%02d", (int)(minor % 100));
}
