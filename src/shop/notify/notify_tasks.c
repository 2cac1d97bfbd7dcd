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
    {"payment.returned", "payment_returned"},
    /* Not when the order is refunded: the gateway has not been asked then. */
    {"refund.succeeded", "order_refunded"},
    {"refund.failed", "refund_failed"},
};

/* What is told of a parcel that moved; shipping names the news (parcel_news). */
static const struct {
    const char *news, *template;
} parcel_templates[] = {
    {"shipped", "order_shipped"},     {"ready", "parcel_ready"},       {"failed", "parcel_failed"},
    {"delivered", "order_delivered"}, {"returned", "parcel_returned"},
};

static struct str member_of(struct arena *arena, const json_t *json, const char *name)
{
    const char *value = json_string_value(json_object_get(json, name));
    return value ? arena_copy(arena, str_from(value)) : STR_NONE;
}

/* What the event itself says: why, how much a refund is of, what happened to which parcel. */
struct payload {
    struct str reason, news, shipment_id;
    int64_t refunded_minor, refunded_points;
};

static struct payload payload_read(const struct task_run *run)
{
    struct str text = run->event.payload;
    json_t *json = json_loadb(text.ptr ? text.ptr : "", text.len, 0, NULL);
    struct payload payload = {
        .reason = member_of(run->arena, json, "reason"),
        .news = member_of(run->arena, json, "news"),
        .shipment_id = member_of(run->arena, json, "shipment_id"),
        .refunded_minor = json_integer_value(json_object_get(json, "amount_minor")),
        .refunded_points = json_integer_value(json_object_get(json, "points")),
    };
    json_decref(json);
    return payload;
}

static bool is_of_parcel(const struct task_run *run)
{
    return str_equal(run->event.type, STR("order.shipment_moved"));
}

/* NULL: nobody writes about this. */
static const struct mail_template *template_of(const struct task_run *run, const struct payload *payload)
{
    if (is_of_parcel(run)) {
        for (size_t i = 0; i < sizeof parcel_templates / sizeof *parcel_templates; i++)
            if (str_equal(payload->news, str_from(parcel_templates[i].news)))
                return mail_template_find(str_from(parcel_templates[i].template));
        return NULL;
    }
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
        if (str_equal(run->event.type, str_from(templates[i].event)))
            return mail_template_find(str_from(templates[i].template));
    return NULL;
}

static enum error_code order_read(struct task_run *run, const struct payload *payload,
                                  struct order_mail *mail, bool *found)
{
    mail->order_id = (struct order_id){run->event.aggregate_id};
    mail->reason = payload->reason;
    mail->refunded_minor = payload->refunded_minor;
    mail->refunded_points = payload->refunded_points;
    mail->shipment_id.present =
        is_of_parcel(run) && shipment_id_parse(payload->shipment_id, &mail->shipment_id.value);
    return order_mail_read(run->db, run->arena, mail, found);
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
    struct payload payload = payload_read(run);
    const struct mail_template *template = template_of(run, &payload);
    if (!template && is_of_parcel(run))
        return ERR_OK; /* a step that a shopper need not hear of */
    if (!template)
        return task_fail_for_good(run, "no mail belongs to this event");
    struct order_mail mail = {0};
    bool found = false;
    enum error_code code = order_read(run, &payload, &mail, &found);
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
    struct buf out = buf_new(MAIL_MESSAGE_MAX);
    if (order_mail_fill(run->arena, &mail, template, &message) && mail_message_write(&out, &message))
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
