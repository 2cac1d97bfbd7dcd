/* What the halves of a batch share: batch.c runs it, batch_read.c locks and reads, batch_write.c writes. */
#ifndef CATHAY_SHOP_CHECKOUT_BATCH_INTERNAL_H
#define CATHAY_SHOP_CHECKOUT_BATCH_INTERNAL_H

#include "shop/checkout/batch.h"
#include "shop/checkout/batch_sale.h"
#include "shop/checkout/known.h"

/* Where a batch has goods and stock from. */
enum batch_form {
    /* All from what the process knows: stock rows are locked by the write, which proves the numbers. What is
     * rejected so has to be asked again. */
    BATCH_KNOWN,
    /* Stock rows locked and read. Goods that are known are proven by the locked row, the others read. */
    BATCH_LOCKED,
};

struct batch {
    struct pg *db;
    struct arena *arena;
    struct checkout_command *const *commands;
    struct checkout_order **orders;
    size_t count;
    size_t line_count;
    enum batch_form form;
    bool unbelieving; /* nothing that is known is used: the try before met something else */
    bool outdated;    /* what was known is not so: nothing may be written */
    int64_t began_us; /* monotonic */
    /* what is looked up, each sorted by its key and without doubles */
    struct checkout_account *accounts;
    size_t account_count;
    size_t spender_count;    /* orders whose accounts are locked and read */
    struct user_id *debtors; /* whose unpaid orders are limited and counted, sorted, each once */
    size_t debtor_count;
    struct checkout_cart *carts;
    size_t cart_count;
    struct checkout_variant *variants; /* by variant and currency */
    bool *variant_found;
    bool *variant_known; /* before anything was read; then `goods` is what is known */
    struct goods *goods;
    size_t variant_count;
    size_t unknown_count;           /* variants that are read */
    struct checkout_stocks *stocks; /* by variant */
    size_t stocks_count;
    struct batch_sales sales;
    struct miles_policy *policies;
    size_t policy_count;
};

/* Begins the transaction, locks and reads what the orders touch, in one round trip, and gives each order
 * what it met, unless it comes back with `outdated`. Errors as checkout_batch_run(). */
enum error_code checkout_batch_read(struct batch *batch);
/* By customer and key, then in order of arrival. */
int batch_compare_keys(const void *order, const void *other);
/* As it is sent to the shopper. */
struct str batch_answer(const struct checkout_order *order, struct arena *arena);
/* What is stored of it. */
struct str batch_answer_reference(const struct checkout_order *order, struct arena *arena);
/* Orders whose key was used have what is stored; it becomes the answer again. One round trip, where there are
 * any. */
enum error_code batch_answers_read(struct batch *batch);
/* Writes what was decided and commits, in one round trip; rolls back where nothing was accepted. The commands
 * have their answers, which are true only when this returns ERR_OK. */
enum error_code checkout_batch_write(struct batch *batch);

#endif
