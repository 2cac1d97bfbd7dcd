/* The part of a batch that is about flash sales: lock and read them, write what was taken. Batches without
 * orders of a sale send nothing of it. Steps run in the order of these declarations; *_queue and *_fetch
 * belong to the batch's pipelines. */
#ifndef CATHAY_SHOP_CHECKOUT_BATCH_SALE_H
#define CATHAY_SHOP_CHECKOUT_BATCH_SALE_H

#include "pg/pg.h"
#include "shop/checkout/decide.h"
#include "work/work.h"

struct batch_sales {
    struct checkout_sale *sales; /* by id, without doubles */
    size_t sale_count;
    struct checkout_sale_customer *customers; /* by sale and customer, without doubles */
    size_t customer_count;
};

void batch_sales_list(struct batch_sales *sales, struct arena *arena, struct checkout_order *const *orders,
                      size_t count);
/* After the carts, before the stock: the order of locks. */
enum error_code batch_sales_queue_reads(struct batch_sales *sales, struct pg *db, struct arena *arena);
enum error_code batch_sales_fetch_reads(struct batch_sales *sales, struct pg *db, struct arena *arena);
void batch_sales_resolve(struct batch_sales *sales, struct checkout_order *order);

/* accepted: all of the batch; those without a sale are passed over. */
enum error_code batch_sales_queue_writes(struct batch_sales *sales, struct pg *db, struct arena *arena,
                                         struct checkout_order *const *accepted, size_t count);
enum error_code batch_sales_fetch_writes(const struct batch_sales *sales, struct pg *db);
/* Sales that were sold out by this batch: room for sale_count. */
size_t batch_sales_events(const struct batch_sales *sales, struct event *events);

#endif
