/* Carts of guests and customers. Owns cart, cart_item. A guest's cart is known by its id alone, which is a
 * secret; a customer has at most one open cart. A cart changes only for who names its version, ends as spent
 * (an order took it) or merged (a customer's cart took it over), and is never changed after that.
 *
 * The checkout engine reads and ends carts by the set-based queries cart_lock_batch and cart_spend_batch of
 * cart.sql
 * ("cart_sql.h"), which lock in the order of ids. Locks come after the ledger account's and before stock rows
 * (see orders.h). */
#ifndef CATHAY_SHOP_CART_CART_H
#define CATHAY_SHOP_CART_CART_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "base/money.h"
#include "pg/pg.h"
#include "work/work.h"

extern const struct module cart_module;

/* ---- rules: plain functions on plain data ---- */

#define CART_LOW_STOCK 5 /* units at or below which a variant counts as low */

struct cart_item {
    struct variant_id variant_id;
    int32_t quantity;
    bool saved; /* for later */
    bool has_seen_price;
    int64_t seen_price_minor;
};

struct cart_limits {
    int32_t quantity_max; /* of one line */
    size_t lines_max;     /* those saved for later included */
};

/* What the customer's cart holds after it took over a guest's. `own` and `guest` in the order they were
 * added; `merged` has room for own_count + guest_count. Rules: the customer's lines stay; what is in both
 * carts adds up, to the limit; what one has in the cart and the other saved for later is in the cart, with
 * the quantity of the line that was in the cart; guest's lines are taken in their order until the cart is
 * full. Returns the number of lines. */
size_t cart_merge(const struct cart_item *own, size_t own_count, const struct cart_item *guest,
                  size_t guest_count, const struct cart_limits *limits, struct cart_item *merged);

/* A line against the shop as it is now. */
struct cart_line_facts {
    bool for_sale; /* variant active, product published, vendor active */
    bool has_price;
    int64_t price_minor;
    bool has_seen_price;
    int64_t seen_price_minor;
    int32_t quantity;
    int64_t available; /* units, all locations */
};
enum cart_price_state {
    CART_PRICE_CURRENT,
    CART_PRICE_INCREASED,
    CART_PRICE_DECREASED,
    CART_PRICE_UNAVAILABLE
};
enum cart_stock_state { CART_IN_STOCK, CART_LOW, CART_OUT_OF_STOCK };
enum cart_line_issue {
    CART_ISSUE_NONE,
    CART_NOT_FOR_SALE,
    CART_NO_PRICE,
    CART_NO_STOCK,
    CART_NOT_ENOUGH_STOCK
};
/* MONEY_MINOR_MAX where it is more than that, which no order takes. */
int64_t cart_line_total_minor(const struct cart_line_facts *facts);
enum cart_price_state cart_line_price_state(const struct cart_line_facts *facts);
enum cart_stock_state cart_line_stock_state(const struct cart_line_facts *facts);
/* Why the line cannot be ordered as it is. */
enum cart_line_issue cart_line_issue(const struct cart_line_facts *facts);

/* If-Match (RFC 9110, 13.1.1) against a version: a list of entity tags, or "*". Weak tags never fit. */
bool cart_if_match(struct str header, int32_t version);

/* Up to `most` points values of those that a quote allows, in growing order, evenly chosen when there are
 * more: `allowed` counts them all. `minimum`..`maximum` in steps of `step`, `maximum` itself always; 0 when
 * nothing is required. */
size_t cart_splits(int64_t minimum, int64_t maximum, int64_t step, int64_t required, int64_t *points,
                   size_t most, int64_t *allowed);

#endif
