/* The pieces of pricing that its table names, and the module itself. */
#ifndef CATHAY_SHOP_PRICING_PRICING_MODULE_H
#define CATHAY_SHOP_PRICING_PRICING_MODULE_H

#include "work/work.h"

extern const struct module pricing_module;

/* A price begins or ends now: the product's listing rows, and news for caches. */
task_fn price_due_task;

#endif
