#ifndef CATHAY_SHOP_PAYMENTS_PAYMENTS_MODULE_H
#define CATHAY_SHOP_PAYMENTS_PAYMENTS_MODULE_H

#include "work/work.h"

extern const struct module payments_module;

#endif
