/* The pieces of the module that its table names; nobody else calls them. */
#ifndef CATHAY_SHOP_LOYALTY_LOYALTY_MODULE_H
#define CATHAY_SHOP_LOYALTY_LOYALTY_MODULE_H

#include "work/work.h"

task_fn loyalty_account_open_task;
task_fn loyalty_earnings_post_task;

extern const struct module loyalty_module;

#endif
