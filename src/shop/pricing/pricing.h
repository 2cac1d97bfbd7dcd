/* Pricing: what a variant costs in a currency, now and at times to come. Owns price. In force is the newest
 * row whose time it is; a change is a new row, so that what was once asked stays on record, and orders hold
 * copies of what they paid. The checkout engine and carts read prices by checkout_variant_batch
 * (pricing.sql). */
#ifndef CATHAY_SHOP_PRICING_PRICING_H
#define CATHAY_SHOP_PRICING_PRICING_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "pg/pg.h"

/* In a transaction: the event price.changed about the product, which drops cached pages. */
enum error_code pricing_publish(struct pg *db, struct arena *arena, struct product_id product_id,
                                struct variant_id variant_id);

/* In a transaction: at that time (microseconds since 1970) the product's listing is computed anew, since a
 * price begins or ends. Nothing for a time that has come. */
enum error_code pricing_due_at(struct pg *db, struct arena *arena, struct product_id product_id,
                               struct variant_id variant_id, int64_t at_us);

#endif
