#include "shop/notify/notify_module.h"

#include "base/config.h"
#include "shop/notify/mail_message.h"
#include "shop/notify/notify_internal.h"

static enum error_code start(struct pg *db, struct error *error)
{
    (void)db;
    if (!mail_address(str_from(config()->mail_from)).ptr)
        return error_set(error, ERR_VALIDATION, "CATHAY_MAIL_FROM should be 'Name <address>'");
    return ERR_OK;
}

static const char *const on_news[] = {"order.confirmed",  "order.payment_failed", "order.expired",
                                      "order.cancelled",  "order.shipment_moved", "payment.returned",
                                      "refund.succeeded", "refund.failed",        NULL};

static const struct task_definition tasks[] = {
    {"notify_mail", on_news, notify_mail_task, TASK_FREE, TASK_NORMAL, 0, 60},
    {NULL},
};

const struct module notify_module = {.name = "notify", .tasks = tasks, .start = start};
