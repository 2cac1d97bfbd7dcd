/* Orders that are paid, one or hundreds. Two pipelines: the first moves the orders and their reservations
 * and reads who sends what, from which C makes the fulfilments; the second writes those, the events, and last
 * of all the ledger: customers' accounts are what batches have in common, and are locked no longer than this.
 * No stock row is locked here, so the order of locks holds. */
#include "shop/orders/orders.h"

#include "base/check.h"
#include "shop/inventory/inventory.h"
#include "shop/loyalty/loyalty.h"
#include "shop/orders/orders_internal.h"

#include <stdlib.h>

struct order_confirming {
    struct pg *db;
    struct arena *arena;
    struct order *const *orders;
    size_t count;
    const struct str *traceparents;
    const struct order_cause *cause;
    struct order_id *ids; /* sorted */
    struct reservation_place *places;
    size_t place_count;
    struct order_line_vendors_rows lines;
    struct loyalty_settlement *settlements;
};

/* ---- fulfilments: one for each vendor and location that sends something of an order ---- */

struct part {
    struct order_id order_id;
    struct vendor_id vendor_id;
    struct location_id location_id;
};

static int compare_lines(const void *a, const void *b)
{
    const struct order_line_vendors_row *left = a, *right = b;
    int order = uuid_compare(left->order_id.uuid, right->order_id.uuid);
    return order ? order : left->line_no - right->line_no;
}

static int compare_parts(const void *a, const void *b)
{
    const struct part *left = a, *right = b;
    int order = uuid_compare(left->order_id.uuid, right->order_id.uuid);
    if (!order)
        order = uuid_compare(left->vendor_id.uuid, right->vendor_id.uuid);
    return order ? order : uuid_compare(left->location_id.uuid, right->location_id.uuid);
}

/* Sorted by order; doubles are neighbours. NULL: a reservation is of no line, which `cathay verify` would
 * tell; no reason to stop the process. */
static struct part *parts_of(const struct order_confirming *c)
{
    struct part *parts = ARENA_ARRAY(c->arena, struct part, c->place_count);
    if (c->place_count == 0)
        return parts;
    if (c->lines.count == 0)
        return NULL;
    qsort(c->lines.items, c->lines.count, sizeof *c->lines.items, compare_lines);
    for (size_t i = 0; i < c->place_count; i++) {
        const struct reservation_place *place = &c->places[i];
        const struct order_line_vendors_row key = {.order_id = place->order_id, .line_no = place->line_no};
        const struct order_line_vendors_row *line =
            bsearch(&key, c->lines.items, c->lines.count, sizeof key, compare_lines);
        if (!line)
            return NULL;
        parts[i] = (struct part){place->order_id, line->vendor_id, place->location_id};
    }
    qsort(parts, c->place_count, sizeof *parts, compare_parts);
    return parts;
}

static enum error_code queue_fulfilments(const struct order_confirming *c)
{
    size_t most = c->place_count, count = 0;
    const struct part *parts = parts_of(c);
    if (!parts)
        return ERR_INTERNAL;
    struct order_id *orders = ARENA_ARRAY(c->arena, struct order_id, most);
    int16_t *numbers = ARENA_ARRAY(c->arena, int16_t, most);
    struct fulfilment_id *ids = ARENA_ARRAY(c->arena, struct fulfilment_id, most);
    struct vendor_id *vendors = ARENA_ARRAY(c->arena, struct vendor_id, most);
    struct location_id *locations = ARENA_ARRAY(c->arena, struct location_id, most);
    for (size_t i = 0; i < most; i++) {
        if (i > 0 && compare_parts(&parts[i - 1], &parts[i]) == 0)
            continue;
        bool same_order = count > 0 && order_id_equal(orders[count - 1], parts[i].order_id);
        orders[count] = parts[i].order_id;
        numbers[count] = same_order ? (int16_t)(numbers[count - 1] + 1) : 1;
        ids[count] = fulfilment_id_new();
        vendors[count] = parts[i].vendor_id;
        locations[count++] = parts[i].location_id;
    }
    struct fulfilment_insert_batch_args args = {
        {orders, count}, {numbers, count}, {ids, count}, {vendors, count}, {locations, count}};
    return fulfilment_insert_batch_queue(c->db, args);
}

/* ---- the pipelines ---- */

enum error_code order_confirm_move_queue(struct order_confirming *c)
{
    struct order_step_batch_args step =
        order_step_args(c->ids, c->count, ORDER_PENDING_PAYMENT, ORDER_CONFIRMED, c->cause);
    enum error_code code = order_step_batch_queue(c->db, step);
    if (!code)
        code = inventory_reservations_confirm_queue(c->db, c->ids, c->count);
    if (!code)
        code = order_line_vendors_queue(c->db, (struct order_line_vendors_args){{c->ids, c->count}});
    return code ? code : loyalty_settle_read_queue(c->db, c->arena, c->settlements, c->count);
}

enum error_code order_confirm_move_fetch(struct order_confirming *c)
{
    int64_t moved = 0;
    enum error_code code = order_step_batch_fetch(c->db, &moved);
    if (!code)
        CHECK(moved == (int64_t)c->count); /* the caller holds their locks */
    if (!code)
        code = inventory_reservations_confirm_fetch(c->db, c->arena, &c->places, &c->place_count);
    if (!code)
        code = order_line_vendors_fetch(c->db, c->arena, &c->lines);
    return code ? code : loyalty_settle_read_fetch(c->db, c->arena, c->settlements, c->count);
}

enum error_code order_confirm_between(struct order_confirming *c)
{
    return loyalty_accounts_ensure(c->db, c->arena, c->settlements, c->count);
}

enum error_code order_confirm_settle_queue(struct order_confirming *c)
{
    struct event *events = ARENA_ARRAY(c->arena, struct event, c->count);
    for (size_t i = 0; i < c->count; i++) {
        events[i] = order_step_event(c->arena, c->orders[i], ORDER_CONFIRMED, c->cause->reason);
        if (c->traceparents)
            events[i].traceparent = c->traceparents[i];
    }
    enum error_code code = queue_fulfilments(c);
    if (!code)
        code = outbox_publish_queue(c->db, c->arena, events, c->count);
    return code ? code : loyalty_settle_queue(c->db, c->arena, c->settlements, c->count);
}

enum error_code order_confirm_settle_fetch(struct order_confirming *c)
{
    enum error_code code = fulfilment_insert_batch_fetch(c->db, NULL);
    if (!code)
        code = outbox_publish_fetch(c->db);
    return code ? code : loyalty_settle_fetch(c->db, c->settlements, c->count);
}

struct order_confirming *order_confirm_begin(struct pg *db, struct arena *arena, struct order *const *orders,
                                             size_t count, const struct str *traceparents,
                                             const struct order_cause *cause)
{
    CHECK(pg_in_transaction(db) && count > 0);
    struct order_confirming *c = ARENA_NEW(arena, struct order_confirming);
    *c = (struct order_confirming){.db = db,
                                   .arena = arena,
                                   .orders = orders,
                                   .count = count,
                                   .traceparents = traceparents,
                                   .cause = cause,
                                   .ids = ARENA_ARRAY(arena, struct order_id, count),
                                   .settlements = ARENA_ARRAY(arena, struct loyalty_settlement, count)};
    for (size_t i = 0; i < count; i++) {
        CHECK(orders[i]->state == ORDER_PENDING_PAYMENT);
        c->ids[i] = orders[i]->id;
        c->settlements[i] = (struct loyalty_settlement){
            .order_id = orders[i]->id,
            .user_id = orders[i]->customer_id,
            .hold_id = orders[i]->hold_id,
            .earn_points = orders[i]->earn_points.count,
            .policy_version = orders[i]->policy_version,
        };
    }
    qsort(c->ids, count, sizeof *c->ids, order_id_compare);
    return c;
}

static enum error_code in_pipeline(struct order_confirming *c, order_confirm_fn *queue,
                                   order_confirm_fn *fetch)
{
    enum error_code code = pg_pipeline_begin(c->db);
    if (code)
        return code;
    code = queue(c);
    if (!code)
        code = pg_pipeline_sync(c->db);
    if (!code)
        code = fetch(c);
    enum error_code end = pg_pipeline_end(c->db);
    return code ? code : end;
}

static bool was_confirmed(enum order_state state)
{
    switch (state) {
    case ORDER_CONFIRMED:
    case ORDER_PROCESSING:
    case ORDER_SHIPPED:
    case ORDER_DELIVERED:
    case ORDER_RETURNED:
    case ORDER_PARTIALLY_REFUNDED:
    case ORDER_REFUNDED:
        return true;
    default:
        return false;
    }
}

enum error_code order_confirm(struct pg *db, struct arena *arena, struct order *order,
                              const struct order_cause *cause)
{
    CHECK(pg_in_transaction(db));
    if (was_confirmed(order->state))
        return ERR_OK;
    if (order->state != ORDER_PENDING_PAYMENT)
        return ERR_TRANSITION;
    struct order_confirming *c = order_confirm_begin(db, arena, &order, 1, NULL, cause);
    enum error_code code = in_pipeline(c, order_confirm_move_queue, order_confirm_move_fetch);
    if (!code)
        code = order_confirm_between(c);
    return code ? code : in_pipeline(c, order_confirm_settle_queue, order_confirm_settle_fetch);
}
