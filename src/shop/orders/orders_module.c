#include "shop/orders/orders_module.h"

#include "shop/orders/orders_internal.h"

const struct module orders_module = {
    .name = "orders",
    .tasks = order_tasks,
    .invariants = order_invariants,
    .stop = order_streams_stop,
};
