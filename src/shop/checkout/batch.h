/* One batch of orders as one transaction: lock and read in one round trip, decide, write and commit in
 * another. Called by the lanes, each with its own connection. Blocks. */
#ifndef CATHAY_SHOP_CHECKOUT_BATCH_H
#define CATHAY_SHOP_CHECKOUT_BATCH_H

#include "pg/pg.h"
#include "shop/checkout/checkout.h"

#define CHECKOUT_CONNECTION_SETTINGS LANE_CONNECTION_SETTINGS "SET lock_timeout = '5s'"

/* Tries once. ERR_OK: every command has its outcome and, where it was accepted or replayed, its answer; all
 * of it is committed. Another code: nothing was written, except after ERR_DATABASE, when the COMMIT is in
 * doubt; run the same commands again, and their keys tell. */
enum error_code checkout_batch_run(struct pg *db, struct arena *arena,
                                   struct checkout_command *const *commands, size_t count);

#endif
