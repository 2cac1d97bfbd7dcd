/* Mail templates: text with {{name}} and {{#section}}…{{/section}}. A section is repeated for each of its
 * items, and left out where there is none; inside, names are looked up in the item first, then outside. A
 * line that holds nothing but a section's tag leaves no line behind. Pure.
 *
 * The files are in templates/, a pair for each mail, and become part of the program
 * (tools/embed_templates.py). */
#ifndef CATHAY_SHOP_NOTIFY_MAIL_TEMPLATE_H
#define CATHAY_SHOP_NOTIFY_MAIL_TEMPLATE_H

#include "base/buf.h"
#include "base/money.h"

struct mail_template {
    const char *name;
    const char *subject, *text, *html;
};
extern const struct mail_template mail_templates[]; /* ends with name NULL */
const struct mail_template *mail_template_find(struct str name);

#define TEMPLATE_VALUES_MAX 24
#define TEMPLATE_SECTIONS_MAX 16

struct template_scope;
struct template_section {
    const char *name;
    const struct template_scope *items;
    size_t count;
};
struct template_scope {
    struct {
        const char *name;
        struct str value;
    } values[TEMPLATE_VALUES_MAX]; /* up to the first without a name */
    struct template_section sections[TEMPLATE_SECTIONS_MAX];
};

/* Appends the text with its tags filled in; html: values are escaped. False (a bug, found by the tests): a
 * name or section that is not known, or a broken tag. */
bool mail_template_fill(struct buf *out, const char *text, const struct template_scope *scope, bool html);

/* "HK$1,234.50", "US$12.00", "JPY 1,200". */
void mail_money(struct buf *out, struct money amount);
/* "1,200" */
void mail_number(struct buf *out, int64_t number);

#endif
