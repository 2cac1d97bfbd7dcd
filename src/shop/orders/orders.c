/* Orders move: one step at a time, each recorded and published in the same transaction. */
#include "shop/orders/orders.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "orders_sql.h"
#include "shop/inventory/inventory.h"
#include "shop/loyalty/loyalty.h"
#include "shop/orders/orders_internal.h"

static const char *const actors[] = {
    [ACTOR_CUSTOMER] = "customer", [ACTOR_STAFF] = "staff",     [ACTOR_VENDOR] = "vendor",
    [ACTOR_GATEWAY] = "gateway",   [ACTOR_CARRIER] = "carrier", [ACTOR_SYSTEM] = "system",
};

struct str order_event_payload(struct arena *arena, const struct order *order, struct str reason)
{
    char id[ID_TEXT_MAX], customer[ID_TEXT_MAX];
    order_id_text(order->id, id);
    user_id_text(order->customer_id, customer);
    struct buf out = buf_new(8192);
    buf_printf(&out,
               "{\"order_id\":\"%s\",\"number\":%lld,\"customer_id\":\"%s\",\"state\":\"%s\",\"sequence\":%d,"
               "\"currency\":\"%s\",\"cash_minor\":%lld,\"points\":%lld",
               id, (long long)order->number, customer, order_state_text(order->state), order->sequence,
               order->cash.currency.code, (long long)order->cash.minor, (long long)order->points.count);
    if (reason.ptr) {
        BUF_LITERAL(&out, ",\"reason\":");
        buf_json_str(&out, reason);
    }
    buf_char(&out, '}');
    CHECK(!out.overflow);
    struct str payload = arena_copy(arena, buf_str(&out));
    buf_free(&out);
    return payload;
}

static struct order order_of(const struct order_lock_batch_row *row)
{
    struct currency currency;
    CHECK(currency_parse(row->currency, &currency));
    struct order order = {
        .id = row->id,
        .number = row->number,
        .customer_id = row->customer_id,
        .sequence = row->sequence,
        .total = money_of(row->total_minor, currency),
        .points_value = money_of(row->points_value_minor, currency),
        .cash = money_of(row->cash_minor, currency),
        .points = points_of(row->points),
        .earn_points = points_of(row->earn_points),
        .hold_id = row->hold_id.present ? row->hold_id.value : (struct uuid){{0}},
        .policy_version = row->policy_version,
        .expires_at_us = row->expires_at.present ? row->expires_at.value : 0,
        .of_sale = row->of_sale,
    };
    CHECK(order_state_parse(row->state, &order.state));
    return order;
}

int order_id_compare(const void *a, const void *b)
{
    return uuid_compare(((const struct order_id *)a)->uuid, ((const struct order_id *)b)->uuid);
}

enum error_code order_lock_queue(struct pg *db, const struct order_id *ids, size_t count)
{
    return order_lock_batch_queue(db, (struct order_lock_batch_args){{ids, count}});
}

enum error_code order_lock_fetch(struct pg *db, struct arena *arena, struct order **orders, size_t *count)
{
    struct order_lock_batch_rows rows;
    enum error_code code = order_lock_batch_fetch(db, arena, &rows);
    *count = code ? 0 : rows.count;
    *orders = ARENA_ARRAY(arena, struct order, *count);
    for (size_t i = 0; i < *count; i++)
        (*orders)[i] = order_of(&rows.items[i]);
    return code;
}

enum error_code order_lock(struct pg *db, struct arena *arena, struct order_id id, struct order *order)
{
    struct order_lock_batch_rows rows;
    enum error_code code = order_lock_batch(db, arena, (struct order_lock_batch_args){{&id, 1}}, &rows);
    if (code != ERR_OK)
        return code;
    if (rows.count == 0)
        return ERR_NOT_FOUND;
    *order = order_of(&rows.items[0]);
    return ERR_OK;
}

struct order_step_batch_args order_step_args(const struct order_id *ids, size_t count, enum order_state from,
                                             enum order_state to, const struct order_cause *cause)
{
    return (struct order_step_batch_args){
        .ids = {ids, count},
        .from_state = str_from(order_state_text(from)),
        .to_state = str_from(order_state_text(to)),
        .actor = str_from(actors[cause->actor]),
        .actor_id = {!uuid_is_zero(cause->actor_id), cause->actor_id},
        .reason = cause->reason,
    };
}

struct event order_step_event(struct arena *arena, struct order *order, enum order_state to,
                              struct str reason)
{
    order->state = to;
    order->sequence++;
    return (struct event){
        .type = arena_printf(arena, "order.%s", order_state_text(to)),
        .aggregate_id = order->id.uuid,
        .sequence = order->sequence,
        .payload = order_event_payload(arena, order, reason),
    };
}

/* The step alone, without what the state means for stock. */
static enum error_code step(struct pg *db, struct arena *arena, struct order *order, enum order_state to,
                            const struct order_cause *cause)
{
    if (!order_transition_allowed(order->state, to))
        return ERR_TRANSITION;
    int64_t affected;
    enum error_code code =
        order_step_batch(db, order_step_args(&order->id, 1, order->state, to, cause), &affected);
    if (code != ERR_OK)
        return code;
    CHECK(affected == 1); /* the caller holds the lock under which *order was read */
    struct event event = order_step_event(arena, order, to, cause->reason);
    return outbox_publish(db, &event, NULL);
}

/* What has no label yet will not be sent: its fulfilments end, its stock is free again. Parcels with a label
 * may be on their way: their part stays as it is until the carrier has said so (order_fulfilment_cancel). */
static enum error_code unlabelled_give_back(struct pg *db, struct arena *arena, struct order_id order_id)
{
    struct fulfilment_states_rows rows;
    enum error_code code = fulfilment_states(db, arena, (struct fulfilment_states_args){order_id}, &rows);
    if (code == ERR_OK && rows.count == 0)
        return inventory_reservations_release(db, order_id, NULL);
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++)
        if (str_equal(rows.items[i].state, STR("pending")))
            code = inventory_reservations_release(db, order_id, &rows.items[i].location_id);
    if (code == ERR_OK)
        code = fulfilment_cancel_unlabelled(db, (struct fulfilment_cancel_unlabelled_args){order_id}, NULL);
    return code;
}

enum error_code order_transition(struct pg *db, struct arena *arena, struct order *order, enum order_state to,
                                 const struct order_cause *cause)
{
    CHECK(pg_in_transaction(db));
    enum error_code code = step(db, arena, order, to, cause);
    if (code == ERR_OK && to == ORDER_REFUNDED)
        code = unlabelled_give_back(db, arena, order->id);
    return code;
}

enum error_code order_release(struct pg *db, struct arena *arena, struct order *order, enum order_state to,
                              const struct order_cause *cause)
{
    CHECK(pg_in_transaction(db));
    CHECK(to == ORDER_PAYMENT_FAILED || to == ORDER_EXPIRED || to == ORDER_CANCELLED);
    if (order->state == to)
        return ERR_OK;
    if (!order_transition_allowed(order->state, to))
        return ERR_TRANSITION;
    enum error_code code = ERR_OK;
    if (order->state == ORDER_PENDING_PAYMENT && !uuid_is_zero(order->hold_id))
        code = loyalty_hold_release(db, arena, order->hold_id);
    if (code == ERR_OK)
        code = unlabelled_give_back(db, arena, order->id);
    if (code == ERR_OK)
        code = step(db, arena, order, to, cause);
    return code;
}

static enum error_code take_anew(struct pg *db, struct arena *arena, struct order *order,
                                 const struct order_cause *cause)
{
    struct uuid hold_id = {{0}};
    enum error_code code = ERR_OK;
    if (order->points.count > 0)
        code = loyalty_hold(db, arena, order->customer_id, order->points.count, order->id, &hold_id);
    if (code == ERR_OK)
        code = inventory_reservations_reacquire(db, arena, order->id);
    if (code == ERR_OK) /* whoever takes goods off sale waits for the stock rows that are locked now */
        code = order_goods_sold(db, arena, order->id);
    if (code != ERR_OK)
        return code;
    struct order_hold_set_args args = {
        .order_id = order->id,
        .hold_id = {order->points.count > 0, hold_id},
        .expires_at = clock_wall_us() + config()->reservation_s * 1000000,
    };
    code = order_hold_set(db, args, NULL);
    if (code != ERR_OK)
        return code;
    order->hold_id = hold_id;
    order->expires_at_us = args.expires_at;
    return step(db, arena, order, ORDER_PENDING_PAYMENT, cause);
}

enum error_code order_reacquire(struct pg *db, struct arena *arena, struct order *order,
                                const struct order_cause *cause)
{
    CHECK(pg_in_transaction(db));
    if (!order_transition_allowed(order->state, ORDER_PENDING_PAYMENT))
        return ERR_TRANSITION;
    if (order->of_sale)
        return ERR_SALE_RELEASED;
    /* Points may be held before stock turns out to be gone: the savepoint takes them back, and the caller
     * goes on, for example to refund a success that came too late. */
    enum error_code code = pg_execute(db, "SAVEPOINT order_reacquire");
    if (code != ERR_OK)
        return code;
    struct order before = *order;
    code = take_anew(db, arena, order, cause);
    if (code == ERR_OK)
        return pg_execute(db, "RELEASE SAVEPOINT order_reacquire");
    *order = before;
    if (code == ERR_OUT_OF_STOCK || code == ERR_POINTS_SHORT) {
        enum error_code back = pg_execute(db, "ROLLBACK TO SAVEPOINT order_reacquire");
        if (back != ERR_OK)
            return back;
    }
    return code;
}

/* ---- fulfilments ---- */

/* How far along the parts of an order are, for what the order itself becomes. */
struct progress {
    int parts, begun, shipped, arrived, returned;
};

static struct progress progress_of(const struct fulfilment_states_rows *rows)
{
    struct progress progress = {0};
    for (size_t i = 0; i < rows->count; i++) {
        enum fulfilment_state state;
        CHECK(fulfilment_state_parse(rows->items[i].state, &state));
        if (state == FULFILMENT_CANCELLED)
            continue;
        progress.parts++;
        progress.begun += state != FULFILMENT_PENDING;
        progress.shipped +=
            state == FULFILMENT_SHIPPED || state == FULFILMENT_DELIVERED || state == FULFILMENT_RETURNED;
        progress.arrived += state == FULFILMENT_DELIVERED || state == FULFILMENT_RETURNED;
        progress.returned += state == FULFILMENT_RETURNED;
    }
    return progress;
}

/* The order follows its parts, step by step, so that the history has each. Refunded and cancelled orders stay
 * as they are: their parts still say where the parcels are. */
static enum error_code follow(struct pg *db, struct arena *arena, struct order *order,
                              struct progress progress, const struct order_cause *cause)
{
    enum error_code code = ERR_OK;
    if (order->state == ORDER_CONFIRMED && progress.begun > 0)
        code = step(db, arena, order, ORDER_PROCESSING, cause);
    if (code == ERR_OK && order->state == ORDER_PROCESSING && progress.shipped > 0)
        code = step(db, arena, order, ORDER_SHIPPED, cause);
    bool all_returned = progress.parts > 0 && progress.returned == progress.parts;
    if (code == ERR_OK && order->state == ORDER_SHIPPED && progress.parts > 0 &&
        progress.arrived == progress.parts && !all_returned)
        code = step(db, arena, order, ORDER_DELIVERED, cause);
    if (code == ERR_OK && (order->state == ORDER_SHIPPED || order->state == ORDER_DELIVERED) && all_returned)
        code = step(db, arena, order, ORDER_RETURNED, cause);
    return code;
}

/* Tells live listeners and caches that something of the order changed which its own state does not show. */
static enum error_code fulfilment_publish(struct pg *db, struct arena *arena, const struct order *order,
                                          int16_t number, enum fulfilment_state state)
{
    char id[ID_TEXT_MAX];
    order_id_text(order->id, id);
    struct event event = {
        .type = STR("order.fulfilment_moved"),
        .aggregate_id = order->id.uuid,
        .payload = arena_printf(arena, "{\"order_id\":\"%s\",\"fulfilment\":%d,\"state\":\"%s\"}", id, number,
                                fulfilment_state_text(state)),
    };
    return outbox_publish(db, &event, NULL);
}

enum error_code order_fulfilment_advance(struct pg *db, struct arena *arena, struct order *order,
                                         int16_t fulfilment_no, enum fulfilment_state to,
                                         const struct order_cause *cause)
{
    CHECK(pg_in_transaction(db));
    CHECK(to != FULFILMENT_CANCELLED); /* order_fulfilment_cancel */
    struct fulfilment_states_rows rows;
    enum error_code code = fulfilment_states(db, arena, (struct fulfilment_states_args){order->id}, &rows);
    if (code != ERR_OK)
        return code;
    struct fulfilment_states_row *part = NULL;
    for (size_t i = 0; i < rows.count; i++)
        if (rows.items[i].number == fulfilment_no)
            part = &rows.items[i];
    if (!part)
        return ERR_NOT_FOUND;
    enum fulfilment_state from;
    CHECK(fulfilment_state_parse(part->state, &from));
    if (!fulfilment_advances(from, to))
        return ERR_OK;
    bool was_here = from == FULFILMENT_PENDING || from == FULFILMENT_PROCESSING;
    if (was_here && to != FULFILMENT_PROCESSING)
        code = inventory_reservations_consume(db, arena, order->id, part->location_id);
    if (code == ERR_OK && to == FULFILMENT_RETURNED)
        code = inventory_reservations_return(db, arena, order->id, part->location_id);
    if (code == ERR_OK) {
        part->state = str_from(fulfilment_state_text(to));
        code = fulfilment_state_set(
            db, (struct fulfilment_state_set_args){order->id, fulfilment_no, part->state}, NULL);
    }
    if (code == ERR_OK)
        code = fulfilment_publish(db, arena, order, fulfilment_no, to);
    if (code == ERR_OK)
        code = follow(db, arena, order, progress_of(&rows), cause);
    return code;
}

enum error_code order_fulfilment_cancel(struct pg *db, struct arena *arena, const struct order *order,
                                        int16_t fulfilment_no)
{
    CHECK(pg_in_transaction(db) && (order->state == ORDER_CANCELLED || order->state == ORDER_REFUNDED));
    struct fulfilment_states_rows rows;
    enum error_code code = fulfilment_states(db, arena, (struct fulfilment_states_args){order->id}, &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++) {
        enum fulfilment_state from;
        const struct fulfilment_states_row *part = &rows.items[i];
        CHECK(fulfilment_state_parse(part->state, &from));
        if (part->number != fulfilment_no || !fulfilment_advances(from, FULFILMENT_CANCELLED))
            continue;
        struct fulfilment_state_set_args args = {order->id, fulfilment_no,
                                                 str_from(fulfilment_state_text(FULFILMENT_CANCELLED))};
        code = inventory_reservations_release(db, order->id, &part->location_id);
        if (code == ERR_OK)
            code = fulfilment_state_set(db, args, NULL);
        if (code == ERR_OK)
            code = fulfilment_publish(db, arena, order, fulfilment_no, FULFILMENT_CANCELLED);
    }
    return code;
}
