/* A shopper pays an order that failed or expired: within a time limit, and examined as a new order is. Stock
 * is locked first, by order_reacquire; whoever changes prices, goods or vendors moves a number on the rows of
 * stock (migration 0019) and so cannot come between the examination and the commit. */
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "orders_sql.h"
#include "shop/loyalty/loyalty.h"
#include "shop/orders/orders_internal.h"

#include <stdio.h>

static enum error_code goods_list(struct pg *db, struct arena *arena, struct order_id order_id,
                                  struct order_goods_list_rows *rows)
{
    return order_goods_list(db, arena, (struct order_goods_list_args){order_id}, rows);
}

enum error_code order_goods_sold(struct pg *db, struct arena *arena, struct order_id order_id)
{
    struct order_goods_list_rows rows;
    enum error_code code = goods_list(db, arena, order_id, &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++)
        if (!rows.items[i].for_sale)
            code = ERR_OUT_OF_STOCK;
    return code;
}

/* Reasons are those of checkout (decide.c), so that a client acts on them alike. */
static void line_examine(const struct order_goods_list_row *row, size_t line, struct error *error)
{
    char field[48];
    const char *gone = !row->is_there              ? "not_found"
                       : !row->for_sale            ? "not_for_sale"
                       : !row->price_minor.present ? "no_price_in_currency"
                                                   : NULL;
    if (gone) {
        snprintf(field, sizeof field, "lines[%zu].variant_id", line);
        error_field_add(error, field, "%s", gone);
    } else if (row->price_minor.value != row->unit_price_minor) {
        snprintf(field, sizeof field, "lines[%zu].unit_price_minor", line);
        error_field_add(error, field, "price_changed: %lld", (long long)row->price_minor.value);
    }
}

/* Points are worth what the order says, by the rules that are in force now. They are held by then, so that
 * the balance is not asked. */
static enum error_code points_examine(struct pg *db, struct arena *arena, const struct order *order,
                                      const struct order_goods_list_rows *rows, struct error *error)
{
    struct miles_policy policy;
    struct miles_line lines[MILES_LINES_MAX];
    enum error_code code = miles_policy_in_force(db, arena, order->cash.currency, &policy);
    if (code == ERR_NOT_FOUND) {
        error_field_add(error, "currency", "not_sold_in");
        return ERR_OK;
    }
    if (code)
        return code;
    CHECK(rows->count > 0 && rows->count <= MILES_LINES_MAX);
    for (size_t i = 0; i < rows->count; i++)
        lines[i] = (struct miles_line){
            .total_minor = rows->items[i].total_minor,
            .tender = miles_tender_of(&policy, miles_tender_parse(rows->items[i].tender),
                                      rows->items[i].category_path),
        };
    struct miles_quote quote;
    int64_t points = order->points.count;
    miles_quote(&policy, lines, rows->count, points, &quote);
    const char *refusal = miles_points_refusal(&quote, points);
    int64_t value_minor = points > 0 && !refusal ? miles_value_minor(&policy, &quote, points) : 0;
    if (refusal)
        error_field_add(error, "points", "%s: %lld to %lld in steps of %lld", refusal,
                        (long long)quote.minimum, (long long)quote.maximum, (long long)quote.step);
    else if (value_minor != order->points_value.minor)
        error_field_add(error, "points", "worth_changed: %lld", (long long)value_minor);
    return ERR_OK;
}

enum error_code order_retry(struct pg *db, struct arena *arena, struct order *order,
                            const struct order_cause *cause, struct error *error)
{
    CHECK(pg_in_transaction(db));
    error_clear(error); /* of a transaction that is tried again */
    int64_t age_us = clock_wall_us() - uuid_time_ms(order->id.uuid) * 1000;
    if (age_us > config()->payment_retry_s * 1000000)
        return error_set(error, ERR_RETRY_OVER, "The time to pay this order has passed; order anew");
    enum error_code taken = order_reacquire(db, arena, order, cause);
    if (taken != ERR_OK && taken != ERR_OUT_OF_STOCK && taken != ERR_POINTS_SHORT)
        return taken;
    /* All lines are told together, also where stock or points are missing besides. */
    struct order_goods_list_rows rows;
    enum error_code code = goods_list(db, arena, order->id, &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++)
        line_examine(&rows.items[i], i, error);
    if (code == ERR_OK)
        code = points_examine(db, arena, order, &rows, error);
    if (code == ERR_OK && error->field_count > 0)
        return error_set(error, ERR_CHECKOUT_REJECTED,
                         "The order cannot be paid as it was placed; nothing was charged");
    return code ? code : taken;
}
