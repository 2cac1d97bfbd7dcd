#include "shop/payments/payments_module.h"

#include "shop/loyalty/loyalty.h"
#include "shop/payments/payments_internal.h"

static const char *const on_webhook[] = {"webhook.received", NULL};
static const char *const on_cancelled[] = {"order.cancelled", NULL};

const struct task_definition payment_tasks[] = {
    {"payment_webhook_process", on_webhook, payment_webhook_process, TASK_TRANSACTION, TASK_HIGH, 0, 0},
    {"payment_close", on_cancelled, payment_close, TASK_FREE, TASK_HIGH, 0, 0},
    {"payment_refund_send", NULL, payment_refund_send, TASK_FREE, TASK_HIGH, 0, 0},
    {"payment_sweep", NULL, payment_sweep, TASK_FREE, TASK_NORMAL, 0, 300},
    {"payment_expire", NULL, payment_expire, TASK_FREE, TASK_HIGH, 0, 300},
    {"payment_reconcile", NULL, payment_reconcile, TASK_FREE, TASK_LOW, 0, 300},
    {"payment_end_unbegun", NULL, payment_end_unbegun, TASK_FREE, TASK_LOW, 0, 0},
    {"payment_forget", NULL, payment_forget, TASK_TRANSACTION, TASK_LOW, 0, 0},
    {NULL},
};

const struct schedule_definition payment_schedules[] = {
    {"payment_sweep", 30, "asks the gateway about payments and refunds of which it has not told the end"},
    {"payment_expire", 5, "gives the stock and points of orders that were not paid in time back"},
    {"payment_reconcile", 600,
     "takes over refunds that were made at the gateway and of which no webhook came"},
    {"payment_end_unbegun", 600, "ends payments that were never begun, of orders that have ended"},
    {"payment_forget", 3600, "removes webhooks that are older than 45 days"},
    {NULL},
};

static enum error_code start(struct pg *db, struct error *error)
{
    (void)db;
    miles_cash_limits_set(payment_gateway()->charge_limits);
    return payment_gateway()->start(error);
}

static void stop(void)
{
    payment_gateway()->stop();
}

static const struct event_definition events[] = {
    {"payment.failed", NULL},   {"payment.cancelled", NULL},
    {"payment.returned", NULL}, {"refund.requested", NULL},
    {"refund.succeeded", NULL}, {"refund.failed", NULL},
    {"webhook.received", NULL}, {NULL, NULL},
};

const struct module payments_module = {
    .name = "payments",
    .events = events,
    .tasks = payment_tasks,
    .schedules = payment_schedules,
    .invariants = payment_invariants,
    .start = start,
    .stop = stop,
};
