#include "shop/checkout/batch_sale.h"

#include "base/check.h"
#include "sale_sql.h"

#include <stdlib.h>

static int compare_sales(const void *a, const void *b)
{
    return uuid_compare(((const struct checkout_sale *)a)->sale.id.uuid,
                        ((const struct checkout_sale *)b)->sale.id.uuid);
}

static int compare_customers(const void *a, const void *b)
{
    const struct checkout_sale_customer *x = a, *y = b;
    int order = uuid_compare(x->sale_id.uuid, y->sale_id.uuid);
    return order ? order : uuid_compare(x->customer_id.uuid, y->customer_id.uuid);
}

void batch_sales_list(struct batch_sales *sales, struct arena *arena, struct checkout_order *const *orders,
                      size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += orders[i]->of_sale;
    *sales = (struct batch_sales){.sale_count = 0};
    if (n == 0)
        return;
    struct checkout_sale *all = ARENA_ARRAY(arena, struct checkout_sale, n);
    struct checkout_sale_customer *customers = ARENA_ARRAY(arena, struct checkout_sale_customer, n);
    n = 0;
    for (size_t i = 0; i < count; i++)
        if (orders[i]->of_sale) {
            all[n].sale.id = customers[n].sale_id = orders[i]->sale_id;
            customers[n++].customer_id = orders[i]->customer_id;
        }
    qsort(all, n, sizeof *all, compare_sales);
    qsort(customers, n, sizeof *customers, compare_customers);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || compare_sales(&all[i], &all[sales->sale_count - 1]) != 0)
            all[sales->sale_count++] = all[i];
        if (i == 0 || compare_customers(&customers[i], &customers[sales->customer_count - 1]) != 0)
            customers[sales->customer_count++] = customers[i];
    }
    sales->sales = all;
    sales->customers = customers;
}

static struct checkout_sale *find_sale(struct batch_sales *sales, struct sale_id sale_id)
{
    struct checkout_sale key = {.sale.id = sale_id};
    return bsearch(&key, sales->sales, sales->sale_count, sizeof key, compare_sales);
}

static struct checkout_sale_customer *find_customer(struct batch_sales *sales, struct sale_id sale_id,
                                                    struct user_id customer_id)
{
    struct checkout_sale_customer key = {.sale_id = sale_id, .customer_id = customer_id};
    return bsearch(&key, sales->customers, sales->customer_count, sizeof key, compare_customers);
}

enum error_code batch_sales_queue_reads(struct batch_sales *sales, struct pg *db, struct arena *arena)
{
    if (sales->sale_count == 0)
        return ERR_OK;
    struct sale_id *ids = ARENA_ARRAY(arena, struct sale_id, sales->sale_count);
    for (size_t i = 0; i < sales->sale_count; i++)
        ids[i] = sales->sales[i].sale.id;
    struct sale_id *of = ARENA_ARRAY(arena, struct sale_id, sales->customer_count);
    struct user_id *customers = ARENA_ARRAY(arena, struct user_id, sales->customer_count);
    for (size_t i = 0; i < sales->customer_count; i++) {
        of[i] = sales->customers[i].sale_id;
        customers[i] = sales->customers[i].customer_id;
    }
    enum error_code code = sale_lock_batch_queue(db, (struct sale_lock_batch_args){{ids, sales->sale_count}});
    return code ? code
                : sale_customer_batch_queue(
                      db, (struct sale_customer_batch_args){{of, sales->customer_count},
                                                            {customers, sales->customer_count}});
}

static enum error_code fetch_sales(struct batch_sales *sales, struct pg *db, struct arena *arena)
{
    struct sale_lock_batch_rows rows;
    enum error_code code = sale_lock_batch_fetch(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        const struct sale_lock_batch_row *row = &rows.items[i];
        struct checkout_sale *at = find_sale(sales, row->id);
        CHECK(at);
        at->exists = true;
        at->sold_before = row->sold;
        at->sale = SALE_OF_ROW(row);
    }
    return code;
}

enum error_code batch_sales_fetch_reads(struct batch_sales *sales, struct pg *db, struct arena *arena)
{
    if (sales->sale_count == 0)
        return ERR_OK;
    enum error_code code = fetch_sales(sales, db, arena);
    struct sale_customer_batch_rows rows = {0};
    if (!code)
        code = sale_customer_batch_fetch(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        struct checkout_sale_customer *customer =
            find_customer(sales, rows.items[i].sale_id, rows.items[i].customer_id);
        CHECK(customer);
        customer->taken = rows.items[i].quantity;
    }
    return code;
}

void batch_sales_resolve(struct batch_sales *sales, struct checkout_order *order)
{
    order->sale = order->of_sale ? find_sale(sales, order->sale_id) : NULL;
    order->sale_customer = order->of_sale ? find_customer(sales, order->sale_id, order->customer_id) : NULL;
}

/* ── what was taken ── */

static enum error_code queue_counts(struct batch_sales *sales, struct pg *db, struct arena *arena)
{
    struct sale_id *ids = ARENA_ARRAY(arena, struct sale_id, sales->sale_count);
    int32_t *sums = ARENA_ARRAY(arena, int32_t, sales->sale_count);
    size_t n = 0;
    for (size_t i = 0; i < sales->sale_count; i++)
        if (sales->sales[i].sale.sold > sales->sales[i].sold_before) {
            ids[n] = sales->sales[i].sale.id;
            sums[n++] = sales->sales[i].sale.sold - sales->sales[i].sold_before;
        }
    enum error_code code = sale_take_batch_queue(db, (struct sale_take_batch_args){{ids, n}, {sums, n}});
    if (code)
        return code;
    size_t count = sales->customer_count, m = 0;
    struct sale_id *of = ARENA_ARRAY(arena, struct sale_id, count);
    struct user_id *customers = ARENA_ARRAY(arena, struct user_id, count);
    int32_t *quantities = ARENA_ARRAY(arena, int32_t, count);
    int32_t *mosts = ARENA_ARRAY(arena, int32_t, count);
    for (size_t i = 0; i < count; i++) {
        const struct checkout_sale_customer *customer = &sales->customers[i];
        if (customer->take == 0)
            continue;
        of[m] = customer->sale_id;
        customers[m] = customer->customer_id;
        quantities[m] = customer->take;
        mosts[m++] = find_sale(sales, customer->sale_id)->sale.per_customer;
    }
    return sale_customer_take_batch_queue(
        db, (struct sale_customer_take_batch_args){{of, m}, {customers, m}, {quantities, m}, {mosts, m}});
}

enum error_code batch_sales_queue_writes(struct batch_sales *sales, struct pg *db, struct arena *arena,
                                         struct checkout_order *const *accepted, size_t count)
{
    if (sales->sale_count == 0)
        return ERR_OK;
    enum error_code code = queue_counts(sales, db, arena);
    if (code)
        return code;
    struct order_id *orders = ARENA_ARRAY(arena, struct order_id, count);
    struct sale_id *of = ARENA_ARRAY(arena, struct sale_id, count);
    struct user_id *customers = ARENA_ARRAY(arena, struct user_id, count);
    int32_t *quantities = ARENA_ARRAY(arena, int32_t, count);
    struct str *keys = ARENA_ARRAY(arena, struct str, count);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const struct checkout_order *order = accepted[i];
        if (!order->of_sale)
            continue;
        orders[n] = order->order_id;
        of[n] = order->sale_id;
        customers[n] = order->customer_id;
        quantities[n] = order->lines[0].quantity;
        keys[n++] = (struct str){(const char *)order->sale_key, sizeof order->sale_key};
    }
    return sale_claim_insert_batch_queue(
        db, (struct sale_claim_insert_batch_args){
                {orders, n}, {of, n}, {customers, n}, {quantities, n}, {keys, n}});
}

enum error_code batch_sales_fetch_writes(const struct batch_sales *sales, struct pg *db)
{
    if (sales->sale_count == 0)
        return ERR_OK;
    enum error_code code = sale_take_batch_fetch(db, NULL);
    if (!code)
        code = sale_customer_take_batch_fetch(db, NULL);
    return code ? code : sale_claim_insert_batch_fetch(db, NULL);
}

size_t batch_sales_events(const struct batch_sales *sales, struct event *events)
{
    size_t count = 0;
    for (size_t i = 0; i < sales->sale_count; i++) {
        const struct checkout_sale *at = &sales->sales[i];
        if (at->exists && at->sale.sold == at->sale.quantity && at->sold_before < at->sale.quantity)
            events[count++] = (struct event){
                .type = STR("sale.changed"), .aggregate_id = at->sale.id.uuid, .payload = STR("{}")};
    }
    return count;
}
