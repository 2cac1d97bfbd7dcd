#include "shop/orders/orders_module.h"

#include "shop/orders/orders_internal.h"

/* One for each state that an order comes to, and one for its parts. No cached answer holds an order. */
static const struct event_definition events[] = {
    {"order.confirmed", NULL},
    {"order.address_changed", NULL},
    {"order.processing", NULL},
    {"order.shipped", NULL},
    {"order.delivered", NULL},
    {"order.cancelled", NULL},
    {"order.expired", NULL},
    {"order.payment_failed", NULL},
    {"order.returned", NULL},
    {"order.refunded", NULL},
    {"order.partially_refunded", NULL},
    {"order.pending_payment", NULL},
    {"order.fulfilment_moved", NULL},
    {NULL, NULL},
};

const struct module orders_module = {
    .name = "orders",
    .events = events,
    .tasks = order_tasks,
    .invariants = order_invariants,
    .stop = order_streams_stop,
};
