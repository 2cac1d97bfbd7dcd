/* What this process knows, so that a batch of orders does not look up again what the one before it has read:
 * goods (variants with their product and price in one currency, and the place that they are sent from), and
 * the rules of miles.
 *
 * It is never believed. Goods carry the number (`stock.goods`) that stood on the stock row when its goods
 * were read; whatever changes prices, titles or what is on sale moves that number in the same transaction. A
 * batch that decides by them proves the number, on the locked row or in the write itself, and reads again
 * where it is another. What changes by itself is a price whose time begins or ends: goods are good until
 * then. Rules carry their version, which each batch asks for; a version never changes.
 *
 * Goods stand in a table of sets of four, bounded; what was kept first makes room. Thread-safe; blocks only
 * for a short mutex. Texts and lists are copied into the arena. */
#ifndef CATHAY_SHOP_CHECKOUT_KNOWN_H
#define CATHAY_SHOP_CHECKOUT_KNOWN_H

#include "shop/checkout/decide.h"

/* Some 400 bytes each. */
#define KNOWN_GOODS_MAX 131072
/* With fewer at the first place, stock is locked and read before it is decided. */
#define GOODS_PLENTY 100

struct goods {
    struct checkout_variant variant; /* for sale, with a price */
    struct location_id location_id;  /* where its variant is sent from first */
    int32_t number;                  /* of that place's stock row */
    int32_t available;               /* there, when it was read */
    int64_t good_until_us;           /* monotonic */
};

/* False: nothing is known that is good at `now_us`. */
bool known_goods_find(struct variant_id variant_id, struct currency currency, int64_t now_us,
                      struct arena *arena, struct goods *goods);
/* Replaces what was known of this variant in this currency. */
void known_goods_keep(const struct goods *goods);
void known_goods_drop(struct variant_id variant_id, struct currency currency);

/* The rules in force in each currency. False: another version is known, or none. */
bool known_rules_find(int32_t version, struct arena *arena, struct miles_policy **policies, size_t *count);
/* All of one version. */
void known_rules_keep(const struct miles_policy *policies, size_t count);

#endif
