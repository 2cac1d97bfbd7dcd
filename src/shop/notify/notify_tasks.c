/* One mail for each event and template. A row first, then the mail, then the row is marked with the task's
 * completion. Should the process die between the last two, the mail goes out again under the same Message-ID,
 * and mail programs show it once. */
#include "notify_sql.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "shop/notify/mail_send.h"
#include "shop/notify/mail_words.h"
#include "shop/notify/notify_internal.h"
#include "shop/notify/notify_mail.h"

#include <jansson.h>

static const struct {
    const char *event, *template;
} templates[] = {
    {"order.confirmed", "order_confirmed"},
    {"order.payment_failed", "payment_failed"},
    {"order.expired", "order_expired"},
    {"order.cancelled", "order_cancelled"},
    {"order.shipped", "order_shipped"},
    {"order.delivered", "order_delivered"},
    {"payment.returned", "payment_returned"},
    /* Not when the order is refunded: the gateway has not been asked then. */
    {"refund.succeeded", "order_refunded"},
    {"refund.failed", "refund_failed"},
};

static const struct mail_template *template_of(struct str event)
{
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++)
        if (str_equal(event, str_from(templates[i].event)))
            return mail_template_find(str_from(templates[i].template));
    return NULL;
}

/* What the event itself says: why, and how much a refund is of. */
static void payload_read(struct arena *arena, struct str payload, struct order_mail *mail)
{
    json_t *json = json_loadb(payload.ptr ? payload.ptr : "", payload.len, 0, NULL);
    const char *reason = json_string_value(json_object_get(json, "reason"));
    mail->reason = reason ? arena_copy(arena, str_from(reason)) : STR_NONE;
    mail->refunded_minor = json_integer_value(json_object_get(json, "amount_minor"));
    mail->refunded_points = json_integer_value(json_object_get(json, "points"));
    json_decref(json);
}

static enum error_code order_read(struct task_run *run, struct order_mail *mail, bool *found)
{
    mail->order_id = (struct order_id){run->event.aggregate_id};
    payload_read(run->arena, run->event.payload, mail);
    enum error_code code =
        mail_order(run->db, run->arena, (struct mail_order_args){mail->order_id}, &mail->order, found);
    if (code != ERR_OK || !*found)
        return code;
    code = mail_lines(run->db, run->arena, (struct mail_lines_args){mail->order_id}, &mail->lines);
    if (code == ERR_OK)
        code = mail_parcels(run->db, run->arena, (struct mail_parcels_args){mail->order_id}, &mail->parcels);
    return code;
}

struct row_work {
    struct task_run *run;
    struct mail_insert_args args;
    struct mail_show_row *row;
};

static enum error_code row_make(struct pg *db, void *context)
{
    const struct row_work *work = context;
    struct mail_mailbox_lock_row lock;
    bool found = false;
    enum error_code code = mail_mailbox_lock(
        db, work->run->arena, (struct mail_mailbox_lock_args){work->args.mailbox}, &lock, &found);
    if (code == ERR_OK)
        code = mail_insert(db, work->args, NULL);
    if (code == ERR_OK)
        code =
            mail_show(db, work->run->arena, (struct mail_show_args){work->args.event_id, work->args.template},
                      work->row, &found);
    return code == ERR_OK && !found ? ERR_INTERNAL : code;
}

/* The row of this mail, made or found. */
static enum error_code row_ensure(struct task_run *run, const struct mail_template *template,
                                  const struct order_mail *mail, struct mail_show_row *row)
{
    char event[32];
    uuid_hex(run->event_id.uuid, event);
    struct str from = mail_address(str_from(config()->mail_from));
    const char *at = from.ptr ? memchr(from.ptr, '@', from.len) : NULL;
    if (!at)
        return error_set(&run->error, ERR_VALIDATION, "CATHAY_MAIL_FROM has no address");
    struct str domain = {at + 1, from.len - (size_t)(at + 1 - from.ptr)};
    struct mail_insert_args args = {
        .id = mail_id_new(),
        .event_id = run->event_id,
        .template = str_from(template->name),
        .user_id = mail->order.customer_id,
        .order_id = mail->order_id,
        .message_id = arena_printf(run->arena, "%.32s.%s@%.*s", event, template->name, STR_ARG(domain)),
        .mailbox = mail_box(run->arena, mail->order.email),
        .most = config()->mail_unverified_per_day,
    };
    struct row_work work = {run, args, row};
    return pg_transaction(run->db, row_make, &work);
}

struct done {
    struct task_run *run;
    struct mail_id id;
};

static enum error_code record_sent(struct pg *db, void *context)
{
    const struct done *done = context;
    enum error_code code = mail_sent(db, (struct mail_sent_args){done->id}, NULL);
    return code == ERR_OK ? task_complete(done->run) : code;
}

enum error_code notify_mail_task(struct task_run *run)
{
    const struct mail_template *template = template_of(run->event.type);
    if (!template)
        return task_fail_for_good(run, "no mail belongs to this event");
    struct order_mail mail;
    bool found = false;
    enum error_code code = order_read(run, &mail, &found);
    if (code != ERR_OK)
        return code;
    if (!found)
        return task_fail_for_good(run, "the order does not exist");
    struct mail_show_row row;
    code = row_ensure(run, template, &mail, &row);
    if (code == ERR_OK && str_equal(row.state, STR("withheld"))) {
        log_write(LOG_WARN, "mail withheld: its mailbox has had its share",
                  LOG_TEXT("template", template->name));
        return ERR_OK;
    }
    if (code != ERR_OK || str_equal(row.state, STR("sent")))
        return code;
    struct mail_message message = {
        .from = str_from(config()->mail_from),
        .message_id = row.message_id,
        .date_us = clock_wall_us(),
    };
    order_mail_fill(run->arena, &mail, template, &message);
    struct buf out = buf_new(MAIL_MESSAGE_MAX);
    if (mail_message_write(&out, &message))
        code = mail_send(run->db, run->arena, mail_address(message.from), mail_address(message.to),
                         buf_str(&out), &run->error);
    else
        code = error_set(&run->error, ERR_VALIDATION, "The mail could not be written");
    buf_free(&out);
    if (code == ERR_VALIDATION) {
        struct str detail = arena_copy(run->arena, str_from(run->error.detail));
        return task_fail_for_good(run, "%.*s", STR_ARG(detail));
    }
    struct done done = {run, row.id};
    return code == ERR_OK ? pg_transaction(run->db, record_sent, &done) : code;
}
