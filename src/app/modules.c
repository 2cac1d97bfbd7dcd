/* The shop's modules, from the bottom up. Adding one is a line here and a folder under src/shop/. */
#include "http/http_module.h"
#include "shop/accounts/accounts.h"
#include "shop/cart/cart.h"
#include "shop/catalog/catalog_module.h"
#include "shop/checkout/checkout_module.h"
#include "shop/inventory/inventory_module.h"
#include "shop/loyalty/loyalty_module.h"
#include "shop/notify/notify_module.h"
#include "shop/orders/orders_module.h"
#include "shop/payments/payments_module.h"
#include "shop/pricing/pricing_module.h"
#include "shop/sale/sale_module.h"
#include "shop/shipping/shipping_module.h"
#include "work/work.h"

/* One a line. */
/* clang-format off */
const struct module *const modules[] = {
    &work_module,
    &http_module,
    &accounts_module,
    &catalog_module,
    &inventory_module,
    &pricing_module,
    &loyalty_module,
    &cart_module,
    &orders_module,
    &payments_module,
    &shipping_module,
    &sale_module,
    &checkout_module,
    &notify_module,
    NULL,
};
/* clang-format on */
