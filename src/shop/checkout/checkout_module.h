/* The module's table; nobody but src/app names it. */
#ifndef CATHAY_SHOP_CHECKOUT_CHECKOUT_MODULE_H
#define CATHAY_SHOP_CHECKOUT_CHECKOUT_MODULE_H

#include "work/work.h"

extern const struct module checkout_module;

#endif
