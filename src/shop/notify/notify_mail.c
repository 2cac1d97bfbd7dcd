#include "shop/notify/notify_mail.h"

#include "base/check.h"
#include "base/config.h"
#include "shop/notify/mail_words.h"

#include <jansson.h>

enum error_code order_mail_read(struct pg *db, struct arena *arena, struct order_mail *mail, bool *found)
{
    enum error_code code =
        mail_order(db, arena, (struct mail_order_args){mail->order_id}, &mail->order, found);
    if (code != ERR_OK || !*found)
        return code;
    code = mail_lines(db, arena, (struct mail_lines_args){mail->order_id}, &mail->lines);
    if (code == ERR_OK)
        code = mail_parcels(db, arena, (struct mail_parcels_args){mail->order_id, mail->shipment_id},
                            &mail->parcels);
    return code;
}

static struct str kept(struct arena *arena, struct buf *buf)
{
    CHECK(!buf->overflow);
    struct str text = arena_copy(arena, buf_str(buf));
    buf_free(buf);
    return text;
}

static struct str money_text(struct arena *arena, int64_t minor, struct str currency_text)
{
    struct currency currency;
    CHECK(currency_parse(currency_text, &currency));
    struct buf buf = buf_new(64);
    mail_money(&buf, money_of(minor, currency));
    return kept(arena, &buf);
}

static struct str number_text(struct arena *arena, int64_t number)
{
    struct buf buf = buf_new(64);
    mail_number(&buf, number);
    return kept(arena, &buf);
}

static void value_add(struct template_scope *scope, const char *name, struct str value)
{
    size_t i = 0;
    while (i < TEMPLATE_VALUES_MAX && scope->values[i].name)
        i++;
    CHECK(i < TEMPLATE_VALUES_MAX);
    scope->values[i].name = name;
    scope->values[i].value = value;
}

/* Items zeroed, to be filled by the caller. */
static struct template_scope *section_add(struct arena *arena, struct template_scope *scope, const char *name,
                                          size_t count)
{
    size_t i = 0;
    while (i < TEMPLATE_SECTIONS_MAX && scope->sections[i].name)
        i++;
    CHECK(i < TEMPLATE_SECTIONS_MAX);
    struct template_scope *items = ARENA_ARRAY(arena, struct template_scope, count + 1);
    scope->sections[i] = (struct template_section){name, items, count};
    return items;
}

static void add_address(struct arena *arena, struct template_scope *scope, struct str json_text)
{
    static const char *const names[] = {"name", "company", "line1",       "line2",
                                        "city", "region",  "postal_code", "country"};
    json_t *json = json_loadb(json_text.ptr ? json_text.ptr : "", json_text.len, 0, NULL);
    struct str lines[sizeof names / sizeof names[0]];
    size_t count = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = json_string_value(json_object_get(json, names[i]));
        if (value && *value)
            lines[count++] = mail_without_links(arena, str_from(value));
    }
    json_decref(json);
    struct template_scope *items = section_add(arena, scope, "address", count);
    for (size_t i = 0; i < count; i++)
        value_add(&items[i], "line", lines[i]);
}

static void add_refund(struct arena *arena, struct template_scope *scope, const struct order_mail *mail)
{
    struct template_scope *cash = section_add(arena, scope, "refund_cash", mail->refunded_minor > 0);
    if (mail->refunded_minor > 0)
        value_add(cash, "amount", money_text(arena, mail->refunded_minor, mail->order.currency));
    struct template_scope *miles = section_add(arena, scope, "refund_miles", mail->refunded_points > 0);
    if (mail->refunded_points > 0)
        value_add(miles, "amount", number_text(arena, mail->refunded_points));
}

static struct template_scope *scope_of(struct arena *arena, const struct order_mail *mail)
{
    const struct mail_order_row *order = &mail->order;
    struct template_scope *scope = ARENA_NEW(arena, struct template_scope);
    value_add(scope, "shop", str_from(config()->shop_name));
    value_add(scope, "name", mail_name(arena, order->name));
    value_add(scope, "number", arena_printf(arena, "%lld", (long long)order->number));
    value_add(scope, "link", order_mail_link(arena, mail->order_id));
    value_add(scope, "state", order->state);
    value_add(scope, "total", money_text(arena, order->total_minor, order->currency));
    value_add(scope, "points", number_text(arena, order->points));
    value_add(scope, "points_value", money_text(arena, order->points_value_minor, order->currency));
    value_add(scope, "cash", money_text(arena, order->cash_minor, order->currency));
    value_add(scope, "earn_points", number_text(arena, order->earn_points));
    section_add(arena, scope, "miles", order->points > 0);
    section_add(arena, scope, "cash", order->cash_minor > 0);
    section_add(arena, scope, "earned", order->earn_points > 0);
    struct template_scope *reason = section_add(arena, scope, "reason", mail->reason.len > 0);
    if (mail->reason.len > 0)
        value_add(reason, "text", mail_without_links(arena, mail->reason));
    struct template_scope *lines = section_add(arena, scope, "lines", mail->lines.count);
    for (size_t i = 0; i < mail->lines.count; i++) {
        value_add(&lines[i], "title", mail->lines.items[i].title);
        value_add(&lines[i], "quantity", arena_printf(arena, "%d", mail->lines.items[i].quantity));
        value_add(&lines[i], "total", money_text(arena, mail->lines.items[i].total_minor, order->currency));
    }
    struct template_scope *parcels = section_add(arena, scope, "parcels", mail->parcels.count);
    for (size_t i = 0; i < mail->parcels.count; i++) {
        value_add(&parcels[i], "carrier", mail->parcels.items[i].carrier);
        value_add(&parcels[i], "tracking_code", mail->parcels.items[i].tracking_code);
        value_add(&parcels[i], "tracking_url", mail->parcels.items[i].tracking_url);
        value_add(&parcels[i], "state", mail->parcels.items[i].state);
    }
    section_add(arena, scope, "some_parcels", mail->parcels.count > 0);
    section_add(arena, scope, "all_here", order->parts_open == 0 && order->parts_returned == 0);
    section_add(arena, scope, "more_to_come", order->parts_open > 0);
    section_add(arena, scope, "some_returned", order->parts_returned > 0);
    add_address(arena, scope, order->address);
    add_refund(arena, scope, mail);
    return scope;
}

static bool fill(struct arena *arena, const char *text, const struct template_scope *scope, bool html,
                 struct str *filled)
{
    struct buf out = buf_new(MAIL_TEXT_MAX);
    CHECK(mail_template_fill(&out, text, scope, html)); /* a template is ours */
    bool whole = !out.overflow;
    *filled = arena_copy(arena, buf_str(&out));
    buf_free(&out);
    return whole;
}

bool order_mail_fill(struct arena *arena, const struct order_mail *mail, const struct mail_template *template,
                     struct mail_message *message)
{
    struct template_scope *scope = scope_of(arena, mail);
    message->to = mail->order.email;
    message->to_name = mail_name(arena, mail->order.name);
    return fill(arena, template->subject, scope, false, &message->subject) &&
           fill(arena, template->text, scope, false, &message->text) &&
           fill(arena, template->html, scope, true, &message->html);
}
