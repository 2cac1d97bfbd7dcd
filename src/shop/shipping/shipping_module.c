#include "shop/shipping/shipping_module.h"

#include "base/check.h"
#include "shipping_sql.h"
#include "shop/shipping/shipping_internal.h"

#define NEWEST_MAX 50000
#define WEBHOOK_LATE_S 3600
#define VOID_LATE_S 86400

const struct carrier *shipping_carrier(void)
{
    CHECK(carrier_easypost.version == CARRIER_VERSION);
    return &carrier_easypost;
}

static enum error_code start(struct pg *db, struct error *error)
{
    (void)db;
    return carrier_easypost_start(error);
}

static enum error_code check_parcels(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct check_shipments_rows rows;
    enum error_code code =
        check_shipments(db, arena, (struct check_shipments_args){NEWEST_MAX, VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        shipment_id_text(rows.items[i].shipment_id, id);
        violation_add(violations, id, "%.*s", STR_ARG(rows.items[i].what));
    }
    return code;
}

static enum error_code check_voids(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct check_label_voids_rows rows;
    enum error_code code =
        check_label_voids(db, arena, (struct check_label_voids_args){VOID_LATE_S, VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        shipment_id_text(rows.items[i].shipment_id, id);
        violation_add(violations, id, "%.*s", STR_ARG(rows.items[i].what));
    }
    return code;
}

static enum error_code check_webhooks(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct check_easypost_webhooks_rows rows;
    enum error_code code = check_easypost_webhooks(
        db, arena, (struct check_easypost_webhooks_args){WEBHOOK_LATE_S, VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        webhook_id_text(rows.items[i].webhook_id, id);
        violation_add(violations, id, "was stored and never processed");
    }
    return code;
}

static const char *const on_confirmed[] = {"order.confirmed", "order.address_changed", NULL};
static const char *const on_ended[] = {"order.cancelled", "order.refunded", NULL};
static const char *const on_webhook[] = {"webhook.easypost", NULL};

static const struct task_definition tasks[] = {
    {"shipping_labels", on_confirmed, shipping_labels_task, TASK_FREE, TASK_NORMAL, 0, 120},
    {"shipping_webhook", on_webhook, shipping_webhook_task, TASK_TRANSACTION, TASK_NORMAL, 0, 0},
    {"shipping_void", on_ended, shipping_void_task, TASK_FREE, TASK_HIGH, 0, 120},
    {"shipping_void_poll", NULL, shipping_void_poll_task, TASK_FREE, TASK_LOW, 3, 300},
    {"shipping_poll", NULL, shipping_poll_task, TASK_FREE, TASK_LOW, 3, 300},
    {NULL},
};

static const struct schedule_definition schedules[] = {
    {"shipping_void_poll", 60, "asks the carrier what became of labels that were given back"},
    {"shipping_poll", 30, "asks the carrier about parcels that were not heard of for a while"},
    {NULL},
};

static const struct invariant invariants[] = {
    {"shipment_follows_fulfilment",
     "parcels and fulfilments tell the same story, and what was sent has a label", check_parcels},
    {"shipment_labels_void",
     "labels of orders that ended are void, or their parcels booked out, within a day", check_voids},
    {"shipment_webhooks_processed", "what the carrier told was looked at within an hour", check_webhooks},
    {NULL},
};

static const struct event_definition events[] = {
    {"webhook.easypost", NULL}, {"order.shipment_moved", NULL}, {NULL, NULL}};

const struct module shipping_module = {
    .name = "shipping",
    .events = events,
    .tasks = tasks,
    .schedules = schedules,
    .invariants = invariants,
    .start = start,
    .stop = carrier_easypost_stop,
};
