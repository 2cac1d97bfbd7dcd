/* The module's table, for src/app/modules.c. */
#ifndef CATHAY_SHOP_NOTIFY_NOTIFY_MODULE_H
#define CATHAY_SHOP_NOTIFY_NOTIFY_MODULE_H

#include "work/work.h"

extern const struct module notify_module;

#endif
