/* The second half of a batch: what was decided, as one statement for each table however many orders there
 * are, in one pipeline with the COMMIT. */
#include "shop/checkout/batch_internal.h"

#include "base/check.h"
#include "cart_sql.h"
#include "checkout_sql.h"
#include "inventory_sql.h"
#include "loyalty_sql.h"
#include "orders_sql.h"
#include "payments_sql.h"
#include "shop/inventory/inventory.h"
#include "work/work.h"

#include <stdlib.h>

/* ── events ── */

static struct event placed_event(const struct checkout_order *order, struct arena *arena)
{
    char order_id[ID_TEXT_MAX], customer_id[ID_TEXT_MAX];
    order_id_text(order->order_id, order_id);
    user_id_text(order->customer_id, customer_id);
    return (struct event){
        .type = STR("order.placed"),
        .aggregate_id = order->order_id.uuid,
        .sequence = 1,
        .payload = arena_printf(
            arena,
            "{\"order_id\":\"%s\",\"number\":%lld,\"customer_id\":\"%s\",\"state\":\"pending_payment\","
            "\"sequence\":1,\"currency\":\"%s\",\"cash_minor\":%lld,\"points\":%lld}",
            order_id, (long long)order->number, customer_id, order->currency.code,
            (long long)order->cash_minor, (long long)order->points),
        .traceparent = order->traceparent,
    };
}

/* Products whose stock state changed: what caches show of them is out of date. Where stock is only known, the
 * write proves that more than a little stays at one place alone: in stock before and after. */
static size_t stock_events(struct batch *batch, struct event *events)
{
    size_t count = 0;
    if (batch->form == BATCH_KNOWN)
        return 0;
    for (size_t i = 0; i < batch->stocks_count; i++) {
        const struct checkout_stocks *stocks = &batch->stocks[i];
        int64_t available = 0;
        for (size_t s = 0; s < stocks->count; s++)
            available += stocks->items[s].available;
        if (stock_state(available) == stock_state(stocks->available_before))
            continue;
        events[count++] = (struct event){
            .type = STR("stock.changed"), .aggregate_id = stocks->product_id.uuid, .payload = STR("{}")};
    }
    return count;
}

/* ── apply ── */

/* The accepted orders of a batch. */
struct accepted {
    struct checkout_order **orders;
    size_t count, line_count, part_count, cash_count, points_count, cart_count;
};

static void collect(struct batch *batch, struct accepted *accepted)
{
    accepted->orders = ARENA_ARRAY(batch->arena, struct checkout_order *, batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        struct checkout_order *order = batch->orders[i];
        struct checkout_command *command = batch->commands[i];
        if (order->outcome == CHECKOUT_REPLAYED) {
            command->answer = arena_copy(command->arena, order->stored.body);
            command->replayed = true;
        }
        if (order->outcome != CHECKOUT_ACCEPTED)
            continue;
        command->answer = batch_answer(order, command->arena);
        command->replayed = false;
        accepted->orders[accepted->count++] = order;
        accepted->line_count += order->line_count;
        accepted->cash_count += order->cash_minor > 0;
        accepted->points_count += order->points > 0;
        accepted->cart_count += order->has_cart;
        for (size_t l = 0; l < order->line_count; l++)
            accepted->part_count += order->lines[l].part_count;
    }
}

static enum error_code queue_points(struct batch *batch, const struct accepted *accepted)
{
    struct arena *arena = batch->arena;
    size_t count = accepted->points_count, n = 0, holders = 0;
    struct account_id *held = ARENA_ARRAY(arena, struct account_id, batch->account_count);
    int64_t *sums = ARENA_ARRAY(arena, int64_t, batch->account_count);
    for (size_t i = 0; i < batch->account_count; i++)
        if (batch->accounts[i].hold > 0) {
            CHECK(batch->accounts[i].exists);
            held[holders] = batch->accounts[i].account_id;
            sums[holders++] = batch->accounts[i].hold;
        }
    struct uuid *roots = ARENA_ARRAY(arena, struct uuid, count);
    struct account_id *accounts = ARENA_ARRAY(arena, struct account_id, count);
    int64_t *points = ARENA_ARRAY(arena, int64_t, count);
    struct order_id *orders = ARENA_ARRAY(arena, struct order_id, count);
    for (size_t i = 0; i < accepted->count; i++) {
        const struct checkout_order *order = accepted->orders[i];
        if (order->points == 0)
            continue;
        roots[n] = order->hold_id;
        accounts[n] = order->account->account_id;
        points[n] = order->points;
        orders[n++] = order->order_id;
    }
    enum error_code code = loyalty_account_hold_batch_queue(
        batch->db, (struct loyalty_account_hold_batch_args){{held, holders}, {sums, holders}});
    return code ? code
                : transfer_hold_batch_queue(
                      batch->db,
                      (struct transfer_hold_batch_args){{roots, n}, {accounts, n}, {points, n}, {orders, n}});
}

static enum error_code queue_stock(struct batch *batch, const struct accepted *accepted)
{
    struct arena *arena = batch->arena;
    size_t parts = accepted->part_count, n = 0;
    struct order_id *orders = ARENA_ARRAY(arena, struct order_id, parts);
    int16_t *line_nos = ARENA_ARRAY(arena, int16_t, parts);
    struct location_id *locations = ARENA_ARRAY(arena, struct location_id, parts);
    struct variant_id *variants = ARENA_ARRAY(arena, struct variant_id, parts);
    int32_t *quantities = ARENA_ARRAY(arena, int32_t, parts);
    for (size_t i = 0; i < accepted->count; i++)
        for (size_t l = 0; l < accepted->orders[i]->line_count; l++) {
            const struct checkout_line *line = &accepted->orders[i]->lines[l];
            for (size_t p = 0; p < line->part_count; p++, n++) {
                orders[n] = accepted->orders[i]->order_id;
                line_nos[n] = (int16_t)(l + 1);
                locations[n] = line->stocks->items[line->parts[p].stock].location_id;
                variants[n] = line->variant_id;
                quantities[n] = line->parts[p].quantity;
            }
        }
    CHECK(n == parts);
    /* one summed update per stock row, in the order in which they were locked */
    size_t rows = 0, at = 0;
    for (size_t i = 0; i < batch->stocks_count; i++)
        rows += batch->stocks[i].count;
    struct variant_id *row_variants = ARENA_ARRAY(arena, struct variant_id, rows);
    struct location_id *row_locations = ARENA_ARRAY(arena, struct location_id, rows);
    int32_t *row_quantities = ARENA_ARRAY(arena, int32_t, rows);
    struct opt_int32 *row_goods = ARENA_ARRAY(arena, struct opt_int32, rows);
    for (size_t i = 0; i < batch->stocks_count; i++)
        for (size_t s = 0; s < batch->stocks[i].count; s++)
            if (batch->stocks[i].items[s].reserve > 0) {
                row_variants[at] = batch->stocks[i].variant_id;
                row_locations[at] = batch->stocks[i].items[s].location_id;
                row_goods[at] =
                    (struct opt_int32){batch->form == BATCH_KNOWN, batch->stocks[i].items[s].goods};
                row_quantities[at++] = batch->stocks[i].items[s].reserve;
            }
    enum error_code code = stock_reserve_batch_queue(
        batch->db,
        (struct stock_reserve_batch_args){
            {row_variants, at}, {row_locations, at}, {row_quantities, at}, {row_goods, at}, STOCK_LOW_MOST});
    return code ? code
                : reservation_insert_batch_queue(
                      batch->db,
                      (struct reservation_insert_batch_args){
                          {orders, n}, {line_nos, n}, {locations, n}, {variants, n}, {quantities, n}});
}

#define COLUMN(type, name, count) type *name = ARENA_ARRAY(arena, type, (count))

static enum error_code queue_orders(struct batch *batch, const struct accepted *accepted)
{
    struct arena *arena = batch->arena;
    size_t n = accepted->count;
    COLUMN(struct order_id, ids, n);
    COLUMN(int64_t, numbers, n);
    COLUMN(struct user_id, customers, n);
    COLUMN(struct str, currencies, n);
    COLUMN(int64_t, subtotals, n);
    COLUMN(int64_t, points, n);
    COLUMN(int64_t, points_values, n);
    COLUMN(int64_t, cash, n);
    COLUMN(int64_t, earned, n);
    COLUMN(struct opt_uuid, holds, n);
    COLUMN(int32_t, policies, n);
    COLUMN(struct str, addresses, n);
    COLUMN(struct opt_uuid, carts, n);
    COLUMN(struct opt_uuid, sales, n);
    for (size_t i = 0; i < n; i++) {
        const struct checkout_order *order = accepted->orders[i];
        ids[i] = order->order_id;
        numbers[i] = order->number;
        customers[i] = order->customer_id;
        currencies[i] = currency_str(&order->currency);
        subtotals[i] = order->subtotal_minor;
        points[i] = order->points;
        points_values[i] = order->points_value_minor;
        cash[i] = order->cash_minor;
        earned[i] = order->earn_points;
        holds[i] = (struct opt_uuid){order->points > 0, order->hold_id};
        policies[i] = order->policy->version;
        addresses[i] = order->address;
        carts[i] = (struct opt_uuid){order->has_cart, order->cart_id.uuid};
        sales[i] = (struct opt_uuid){order->of_sale, order->sale_id.uuid};
    }
    enum error_code code =
        order_insert_batch_queue(batch->db, (struct order_insert_batch_args){
                                                .ids = {ids, n},
                                                .numbers = {numbers, n},
                                                .customer_ids = {customers, n},
                                                .currencies = {currencies, n},
                                                .subtotal_minors = {subtotals, n},
                                                .total_minors = {subtotals, n},
                                                .points = {points, n},
                                                .points_value_minors = {points_values, n},
                                                .cash_minors = {cash, n},
                                                .earn_points = {earned, n},
                                                .hold_ids = {holds, n},
                                                .policy_versions = {policies, n},
                                                .addresses = {addresses, n},
                                                .cart_ids = {carts, n},
                                                .sale_ids = {sales, n},
                                                .placed_at = accepted->orders[0]->placed_at_us,
                                                .expires_at = accepted->orders[0]->expires_at_us,
                                            });
    return code ? code
                : order_event_insert_batch_queue(
                      batch->db, (struct order_event_insert_batch_args){{ids, n}, {customers, n}});
}

static enum error_code queue_lines(struct batch *batch, const struct accepted *accepted)
{
    struct arena *arena = batch->arena;
    size_t count = accepted->line_count, n = 0;
    COLUMN(struct order_id, orders, count);
    COLUMN(int16_t, line_nos, count);
    COLUMN(struct product_id, products, count);
    COLUMN(struct variant_id, variants, count);
    COLUMN(struct vendor_id, vendors, count);
    COLUMN(struct str, skus, count);
    COLUMN(struct str, titles, count);
    COLUMN(int32_t, quantities, count);
    COLUMN(int64_t, prices, count);
    COLUMN(int64_t, totals, count);
    COLUMN(int64_t, points, count);
    COLUMN(int64_t, points_values, count);
    COLUMN(int64_t, cash, count);
    for (size_t i = 0; i < accepted->count; i++)
        for (size_t l = 0; l < accepted->orders[i]->line_count; l++, n++) {
            const struct checkout_line *line = &accepted->orders[i]->lines[l];
            orders[n] = accepted->orders[i]->order_id;
            line_nos[n] = (int16_t)(l + 1);
            products[n] = line->variant->product_id;
            variants[n] = line->variant_id;
            vendors[n] = line->variant->vendor_id;
            skus[n] = line->variant->sku;
            titles[n] = line->variant->title;
            quantities[n] = line->quantity;
            prices[n] = line->price_minor;
            totals[n] = line->split.total_minor;
            points[n] = line->split.points;
            points_values[n] = line->split.points_value_minor;
            cash[n] = line->split.cash_minor;
        }
    return order_line_insert_batch_queue(batch->db, (struct order_line_insert_batch_args){
                                                        .order_ids = {orders, n},
                                                        .line_nos = {line_nos, n},
                                                        .product_ids = {products, n},
                                                        .variant_ids = {variants, n},
                                                        .vendor_ids = {vendors, n},
                                                        .skus = {skus, n},
                                                        .titles = {titles, n},
                                                        .quantities = {quantities, n},
                                                        .unit_price_minors = {prices, n},
                                                        .total_minors = {totals, n},
                                                        .points = {points, n},
                                                        .points_value_minors = {points_values, n},
                                                        .cash_minors = {cash, n},
                                                    });
}

static enum error_code queue_payments(struct batch *batch, const struct accepted *accepted)
{
    struct arena *arena = batch->arena;
    size_t count = accepted->cash_count, n = 0;
    COLUMN(struct payment_id, ids, count);
    COLUMN(struct order_id, orders, count);
    COLUMN(int64_t, amounts, count);
    COLUMN(struct str, currencies, count);
    for (size_t i = 0; i < accepted->count; i++) {
        const struct checkout_order *order = accepted->orders[i];
        if (order->cash_minor == 0)
            continue;
        ids[n] = order->payment_id;
        orders[n] = order->order_id;
        amounts[n] = order->cash_minor;
        currencies[n++] = currency_str(&order->currency);
    }
    return payment_insert_batch_queue(
        batch->db, (struct payment_insert_batch_args){{ids, n}, {orders, n}, {amounts, n}, {currencies, n}});
}

static enum error_code queue_carts(struct batch *batch, const struct accepted *accepted)
{
    struct cart_id *carts = ARENA_ARRAY(batch->arena, struct cart_id, accepted->cart_count);
    size_t n = 0;
    for (size_t i = 0; i < accepted->count; i++)
        if (accepted->orders[i]->has_cart)
            carts[n++] = accepted->orders[i]->cart_id;
    return cart_spend_batch_queue(batch->db, (struct cart_spend_batch_args){{carts, n}});
}

/* Sorted, so that batches of two servers that were sent the same orders wait for each other without deadlock:
 * the second meets the key, and its next try the answer. */
static enum error_code queue_keys(struct batch *batch, const struct accepted *accepted)
{
    struct arena *arena = batch->arena;
    size_t n = accepted->count;
    COLUMN(struct checkout_order *, orders, n);
    memcpy(orders, accepted->orders, n * sizeof(struct checkout_order *));
    qsort(orders, n, sizeof(struct checkout_order *), batch_compare_keys);
    COLUMN(struct user_id, owners, n);
    COLUMN(struct str, keys, n);
    COLUMN(struct str, hashes, n);
    COLUMN(struct str, refs, n);
    for (size_t i = 0; i < n; i++) {
        owners[i] = orders[i]->customer_id;
        keys[i] = orders[i]->key;
        hashes[i] = (struct str){orders[i]->body_hash.ptr, CHECKOUT_HASH_BYTES};
        refs[i] = batch_answer_reference(orders[i], arena);
    }
    return checkout_key_insert_batch_queue(
        batch->db, (struct checkout_key_insert_batch_args){{owners, n}, {keys, n}, {hashes, n}, {refs, n}});
}

static enum error_code queue_events(struct batch *batch, const struct accepted *accepted)
{
    struct event *events = ARENA_ARRAY(batch->arena, struct event,
                                       2 * accepted->count + batch->stocks_count + batch->sales.sale_count);
    size_t count = 0;
    for (size_t i = 0; i < accepted->count; i++) {
        const struct checkout_order *order = accepted->orders[i];
        events[count++] = placed_event(order, batch->arena);
        if (order->cash_minor == 0)
            events[count++] = (struct event){.type = STR("checkout.paid_with_points"),
                                             .aggregate_id = order->order_id.uuid,
                                             .payload = STR("{}"),
                                             .traceparent = order->traceparent};
    }
    count += stock_events(batch, events + count);
    count += batch_sales_events(&batch->sales, events + count);
    return outbox_publish_queue(batch->db, batch->arena, events, count);
}

static enum error_code fetch_execs(struct batch *batch, const struct accepted *accepted)
{
    struct pg *db = batch->db;
    enum error_code code = ERR_OK;
    if (accepted->points_count > 0) {
        code = loyalty_account_hold_batch_fetch(db, NULL);
        if (!code)
            code = transfer_hold_batch_fetch(db, NULL);
    }
    if (!code)
        code = batch_sales_fetch_writes(&batch->sales, db);
    if (!code)
        code = stock_reserve_batch_fetch(db, NULL);
    if (!code)
        code = reservation_insert_batch_fetch(db, NULL);
    if (!code)
        code = order_insert_batch_fetch(db, NULL);
    if (!code)
        code = order_event_insert_batch_fetch(db, NULL);
    if (!code)
        code = order_line_insert_batch_fetch(db, NULL);
    if (!code && accepted->cash_count > 0)
        code = payment_insert_batch_fetch(db, NULL);
    if (!code && accepted->cart_count > 0)
        code = cart_spend_batch_fetch(db, NULL);
    if (!code)
        code = checkout_key_insert_batch_fetch(db, NULL);
    if (!code)
        code = outbox_publish_fetch(db);
    return code;
}

static enum error_code queue_writes(struct batch *batch, const struct accepted *accepted)
{
    enum error_code code = ERR_OK;
    if (accepted->points_count > 0)
        code = queue_points(batch, accepted);
    if (!code)
        code = batch_sales_queue_writes(&batch->sales, batch->db, batch->arena, accepted->orders,
                                        accepted->count);
    if (!code)
        code = queue_stock(batch, accepted);
    if (!code)
        code = queue_orders(batch, accepted);
    if (!code)
        code = queue_lines(batch, accepted);
    if (!code && accepted->cash_count > 0)
        code = queue_payments(batch, accepted);
    if (!code && accepted->cart_count > 0)
        code = queue_carts(batch, accepted);
    if (!code)
        code = queue_keys(batch, accepted);
    if (!code)
        code = queue_events(batch, accepted);
    return code;
}

static enum error_code apply(struct batch *batch, const struct accepted *accepted)
{
    if (accepted->count == 0)
        return pg_execute(batch->db, "ROLLBACK");
    enum error_code code = pg_pipeline_begin(batch->db);
    if (!code)
        code = queue_writes(batch, accepted);
    if (!code)
        code = pg_command_queue(batch->db, "COMMIT");
    if (!code)
        code = pg_pipeline_sync(batch->db);
    if (!code)
        code = fetch_execs(batch, accepted);
    if (!code)
        code = pg_command_fetch(batch->db);
    enum error_code end = pg_pipeline_end(batch->db);
    return code ? code : end;
}

enum error_code checkout_batch_write(struct batch *batch)
{
    struct accepted accepted = {0};
    collect(batch, &accepted);
    return apply(batch, &accepted);
}
