/* Sales as a module: events, tasks, invariants. */
#ifndef CATHAY_SHOP_SALE_SALE_MODULE_H
#define CATHAY_SHOP_SALE_SALE_MODULE_H

#include "work/work.h"

extern const struct module sale_module;

#endif
