/* The module's table, for src/app/modules.c. */
#ifndef CATHAY_SHOP_ORDERS_ORDERS_MODULE_H
#define CATHAY_SHOP_ORDERS_ORDERS_MODULE_H

#include "work/work.h"

extern const struct module orders_module;

#endif
