/* Inventory as a module: events, tasks, invariants. */
#ifndef CATHAY_SHOP_INVENTORY_INVENTORY_MODULE_H
#define CATHAY_SHOP_INVENTORY_INVENTORY_MODULE_H

#include "work/work.h"

extern const struct module inventory_module;

#endif
