/* What the halves of a batch share: batch.c runs it, batch_read.c locks and reads, batch_write.c writes. */
#ifndef CATHAY_SHOP_CHECKOUT_BATCH_INTERNAL_H
#define CATHAY_SHOP_CHECKOUT_BATCH_INTERNAL_H

#include "shop/checkout/batch.h"
#include "shop/checkout/batch_sale.h"

struct batch {
    struct pg *db;
    struct arena *arena;
    struct checkout_command *const *commands;
    struct checkout_order **orders;
    size_t count;
    size_t line_count;
    /* what is looked up, each sorted by its key and without doubles */
    struct checkout_account *accounts;
    size_t account_count;
    struct checkout_cart *carts;
    size_t cart_count;
    struct checkout_variant *variants; /* by variant and currency */
    bool *variant_found;
    size_t variant_count;
    struct checkout_stocks *stocks; /* by variant */
    size_t stocks_count;
    struct batch_sales sales;
    struct miles_policy *policies;
    size_t policy_count;
};

/* Begins the transaction, locks and reads all that the orders touch, in one round trip, and gives each order
 * what it met. Errors as checkout_batch_run(). */
enum error_code checkout_batch_read(struct batch *batch);
/* Writes what was decided and commits, in one round trip; rolls back where nothing was accepted. The commands
 * have their answers, which are true only when this returns ERR_OK. */
enum error_code checkout_batch_write(struct batch *batch);

#endif
