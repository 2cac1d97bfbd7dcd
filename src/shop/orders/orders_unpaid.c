/* Without a bound a fresh account could hold the shop's stock for nothing, again each time that the time to
 * pay is over. */
#include "shop/orders/orders.h"

#include "base/clock.h"
#include "base/config.h"
#include "orders_unpaid_sql.h"

#define SECOND_US ((int64_t)1000000)
#define SLACK_S ((int64_t)60) /* clocks of servers differ */
#define OLDEST_S ((int64_t)31 * 24 * 3600)

bool order_unpaid_is_limited(void)
{
    return config()->unpaid_orders_max > 0 || config()->unpaid_units_max > 0;
}

enum error_code order_unpaid_lock_queue(struct pg *db, const struct user_id *customers, size_t count)
{
    return order_customer_lock_batch_queue(db, (struct order_customer_lock_batch_args){{customers, count}});
}

enum error_code order_unpaid_lock_fetch(struct pg *db, struct arena *arena)
{
    struct order_customer_lock_batch_row row;
    bool found;
    return order_customer_lock_batch_fetch(db, arena, &row, &found);
}

enum error_code order_unpaid_queue(struct pg *db, const struct user_id *customers, size_t count)
{
    int64_t recent_us = clock_wall_us() - (config()->reservation_s + SLACK_S) * SECOND_US;
    return order_unpaid_batch_queue(
        db, (struct order_unpaid_batch_args){
                {customers, count}, uuid_floor(recent_us), uuid_floor(recent_us - OLDEST_S * SECOND_US)});
}

enum error_code order_unpaid_fetch(struct pg *db, struct arena *arena, struct order_unpaid **unpaid,
                                   size_t *count)
{
    struct order_unpaid_batch_rows rows;
    enum error_code code = order_unpaid_batch_fetch(db, arena, &rows);
    if (code)
        return code;
    *unpaid = ARENA_ARRAY(arena, struct order_unpaid, rows.count);
    *count = rows.count;
    for (size_t i = 0; i < rows.count; i++)
        (*unpaid)[i] =
            (struct order_unpaid){rows.items[i].customer_id, rows.items[i].orders, rows.items[i].units};
    return ERR_OK;
}

enum error_code order_unpaid_refusal(const struct order_unpaid *unpaid, int64_t units, struct error *error)
{
    const struct config *settings = config();
    int64_t orders_max = settings->unpaid_orders_max, units_max = settings->unpaid_units_max;
    bool orders = orders_max > 0 && unpaid->orders + 1 > orders_max;
    if (!orders && (units_max == 0 || unpaid->units + units <= units_max))
        return ERR_OK;
    if (orders) {
        error_field_add(error, "lines", "unpaid_orders: %lld", (long long)unpaid->orders);
        return error_set(error, ERR_UNPAID_LIMIT,
                         "At most %lld orders may wait for payment at a time; pay or cancel one first",
                         (long long)orders_max);
    }
    int64_t left = units_max > unpaid->units ? units_max - unpaid->units : 0;
    error_field_add(error, "lines", "unpaid_units: %lld", (long long)left);
    return error_set(error, ERR_UNPAID_LIMIT,
                     "At most %lld units may wait for payment at a time; pay or cancel an order first",
                     (long long)units_max);
}

enum error_code order_unpaid_check(struct pg *db, struct arena *arena, const struct order *order,
                                   struct error *error)
{
    if (!order_unpaid_is_limited() || order->of_sale)
        return ERR_OK;
    struct order_unpaid *rows = NULL, unpaid = {.customer_id = order->customer_id};
    size_t count = 0;
    struct order_units_row own;
    bool found;
    enum error_code code = pg_pipeline_begin(db);
    if (!code)
        code = order_unpaid_lock_queue(db, &order->customer_id, 1);
    if (!code)
        code = order_unpaid_queue(db, &order->customer_id, 1);
    if (!code)
        code = order_units_queue(db, (struct order_units_args){order->id});
    if (!code)
        code = pg_pipeline_sync(db);
    if (!code)
        code = order_unpaid_lock_fetch(db, arena);
    if (!code)
        code = order_unpaid_fetch(db, arena, &rows, &count);
    if (!code)
        code = order_units_fetch(db, arena, &own, &found);
    enum error_code end = pg_pipeline_end(db);
    if (code || end)
        return code ? code : end;
    return order_unpaid_refusal(count ? &rows[0] : &unpaid, own.units, error);
}
