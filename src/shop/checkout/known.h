/* Optimistic cache of goods (variants with their product and price in one currency, and the location that
 * they are sent from) and of the rules of miles, so that a batch of orders does not read again what the one
 * before it has read.
 *
 * Entries are validated when they are used. Goods carry the version (`stock.goods`) of the stock row from
 * which they were read; whatever changes prices, titles or what is on sale changes it in the same
 * transaction. A batch compares it, on the locked row or in the write itself, and reads again where it
 * differs. A price whose time begins or ends changes no row: goods expire at that moment. Rules carry their
 * version, which each batch reads; a version never changes.
 *
 * Set-associative (four ways), bounded; the oldest entry of a set is evicted. Thread-safe; blocks only for a
 * short mutex. Texts and lists are copied into the arena. */
#ifndef CATHAY_SHOP_CHECKOUT_KNOWN_H
#define CATHAY_SHOP_CHECKOUT_KNOWN_H

#include "shop/checkout/decide.h"

/* Some 400 bytes each. */
#define KNOWN_GOODS_MAX 131072
/* With fewer at the first location, stock is locked and read before the decision. */
#define GOODS_PLENTY 100

struct goods {
    struct checkout_variant variant; /* for sale, with a price */
    struct location_id location_id;  /* where its variant is sent from first */
    int32_t number;                  /* version of that location's stock row */
    int32_t available;               /* there, when it was read */
    int64_t good_until_us;           /* monotonic */
};

/* False: no entry, or it has expired at `now_us`. */
bool known_goods_find(struct variant_id variant_id, struct currency currency, int64_t now_us,
                      struct arena *arena, struct goods *goods);
/* Replaces the entry of this variant in this currency. */
void known_goods_keep(const struct goods *goods);
void known_goods_drop(struct variant_id variant_id, struct currency currency);

/* The rules in force in each currency. False: the cached version is another, or there is none. */
bool known_rules_find(int32_t version, struct arena *arena, struct miles_policy **policies, size_t *count);
/* All of one version. */
void known_rules_keep(const struct miles_policy *policies, size_t count);

#endif
