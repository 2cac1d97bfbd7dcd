/* Refunds: what goes back, how often, and what that means for order, points and stock.
 *
 * The refund is decided at once, under the locks of order and payment: refunded_minor of the payment grows
 * when a refund is requested, so that a second one finds nothing left. Points and stock move in the same
 * transaction. The cash is sent by a task that tries until the gateway has done it; the refund's id is the
 * idempotency key, and before a later try the gateway's own list is read, so that it is never sent twice. */
#include "base/check.h"
#include "base/log.h"
#include "payments_sql.h"
#include "shop/loyalty/loyalty.h"
#include "shop/payments/payments_internal.h"

enum error_code refund_publish(struct pg *db, struct arena *arena, const char *type,
                               const struct order *order, struct refund_id id, int64_t amount_minor,
                               int64_t points)
{
    char text[ID_TEXT_MAX];
    struct str id_text = {text, refund_id_text(id, text)};
    struct event event = payment_event_of(arena, type, order, "refund_id", id_text, amount_minor, points);
    return outbox_publish(db, &event, NULL);
}

static enum error_code refund_make(struct pg *db, struct arena *arena, const struct order *order,
                                   const struct refund_insert_args *args)
{
    enum error_code code = refund_insert(db, *args, NULL);
    if (code == ERR_OK)
        code = refund_publish(db, arena, args->amount_minor ? "refund.requested" : "refund.succeeded", order,
                              args->id, args->amount_minor, args->points);
    if (code || args->amount_minor == 0)
        return code;
    char id[ID_TEXT_MAX];
    struct str text = {id, refund_id_text(args->id, id)};
    struct task_request request = {
        .name = STR("payment_refund_send"),
        .unique_key = text,
        .aggregate_id = args->id.uuid,
        .payload = arena_printf(arena, "{\"refund_id\":\"%.*s\"}", STR_ARG(text)),
    };
    return task_enqueue(db, &request);
}

enum error_code refund_cash(struct pg *db, struct arena *arena, const struct order *order,
                            struct payment_id payment_id, int64_t amount_minor, int64_t points,
                            struct str reason, struct uuid actor_id, struct refund_id *refund_id)
{
    CHECK(pg_in_transaction(db) && amount_minor > 0);
    *refund_id = refund_id_new();
    struct refund_insert_args args = {
        .id = *refund_id,
        .order_id = order->id,
        .payment_id = {true, payment_id.uuid},
        .amount_minor = amount_minor,
        .points = points,
        .currency = currency_str(&order->cash.currency),
        .state = STR("requested"),
        .reason = reason,
        .actor_id = {!uuid_is_zero(actor_id), actor_id},
    };
    return refund_make(db, arena, order, &args);
}

static enum error_code refund_points(struct pg *db, struct arena *arena, const struct order *order,
                                     int64_t points, struct str reason, struct uuid actor_id,
                                     struct refund_id *refund_id)
{
    *refund_id = refund_id_new();
    struct refund_insert_args args = {
        .id = *refund_id,
        .order_id = order->id,
        .points = points,
        .currency = currency_str(&order->cash.currency),
        .state = STR("succeeded"),
        .reason = reason,
        .actor_id = {!uuid_is_zero(actor_id), actor_id},
    };
    return refund_make(db, arena, order, &args);
}

/* What is left to give back. */
struct refundable {
    struct payment_id payment_id;
    int64_t amount_minor, points;
    bool surplus;   /* the payment came for nothing */
    bool confirmed; /* the order was, at some time */
};

/* Points of an order that was never confirmed were only held, and have been released. */
static enum error_code points_left(struct pg *db, struct arena *arena, const struct order *order,
                                   int64_t *points, bool *was_confirmed)
{
    struct refund_points_given_row given;
    struct refund_order_was_confirmed_row confirmed;
    bool there;
    *points = 0;
    enum error_code code =
        refund_points_given(db, arena, (struct refund_points_given_args){order->id}, &given, &there);
    if (code == ERR_OK)
        code = refund_order_was_confirmed(db, arena, (struct refund_order_was_confirmed_args){order->id},
                                          &confirmed, &there);
    if (code)
        return code;
    *was_confirmed = confirmed.was;
    if (!confirmed.was || order->points.count == 0)
        return ERR_OK;
    int64_t reversed;
    code = loyalty_hold_reversed(db, arena, order->hold_id, &reversed);
    *points = order->points.count - given.points - reversed;
    if (code == ERR_OK && *points < 0) { /* reversed by an older release after the refund */
        log_write(LOG_ERROR, "more points were given back than the order took", LOG_INT("points", -*points));
        *points = 0;
    }
    return code;
}

enum error_code refund_points_left(struct pg *db, struct arena *arena, const struct order *order,
                                   int64_t *points)
{
    bool confirmed;
    return points_left(db, arena, order, points, &confirmed);
}

static enum error_code refundable_of(struct pg *db, struct arena *arena, const struct order *order,
                                     struct opt_payment_id payment_id, struct refundable *left)
{
    struct payment_lock_succeeded_row payment;
    bool paid;
    *left = (struct refundable){.points = 0};
    enum error_code code = payment_lock_succeeded(
        db, arena, (struct payment_lock_succeeded_args){order->id, payment_id}, &payment, &paid);
    if (code)
        return code;
    if (!paid && payment_id.present)
        return ERR_NOT_FOUND;
    if (paid)
        *left = (struct refundable){.payment_id = payment.id,
                                    .amount_minor = payment.amount_minor - payment.refunded_minor,
                                    .surplus = payment.surplus};
    return points_left(db, arena, order, &left->points, &left->confirmed);
}

/* The money of a payment that came for nothing, where sending it back has failed before. */
static enum error_code refund_surplus(struct pg *db, struct arena *arena, const struct order *order,
                                      const struct refundable *left, struct str reason,
                                      const struct order_cause *cause, struct refund_id *refund_id)
{
    if (left->amount_minor == 0)
        return left->confirmed ? ERR_CONFLICT : ERR_TRANSITION;
    if (order->state == ORDER_PENDING_PAYMENT && !left->surplus)
        return ERR_TRANSITION;
    return refund_cash(db, arena, order, left->payment_id, left->amount_minor, 0, reason, cause->actor_id,
                       refund_id);
}

enum error_code refund_follow(struct pg *db, struct arena *arena, struct order *order, int64_t points,
                              struct refund_id refund_id, const struct order_cause *cause)
{
    enum error_code code = ERR_OK;
    if (points > 0)
        code =
            loyalty_refund(db, arena, order->customer_id, points, order->id, refund_id.uuid, cause->actor_id);
    if (code == ERR_OK)
        code = loyalty_earn_take_back(db, arena, order->id);
    if (code == ERR_OK && order->state != ORDER_REFUNDED)
        code = order_transition(db, arena, order, ORDER_REFUNDED, cause);
    return code;
}

enum error_code refund_order(struct pg *db, struct arena *arena, struct order *order,
                             struct opt_payment_id payment_id, struct str reason,
                             const struct order_cause *cause, struct refund_id *refund_id)
{
    CHECK(pg_in_transaction(db));
    struct refundable left;
    enum error_code code = refundable_of(db, arena, order, payment_id, &left);
    if (code)
        return code;
    if (!left.confirmed || (left.surplus && (payment_id.present || left.amount_minor > 0)))
        return refund_surplus(db, arena, order, &left, reason, cause, refund_id);
    if (left.amount_minor == 0 && left.points == 0)
        return ERR_CONFLICT;
    if (order->state != ORDER_REFUNDED && !order_transition_allowed(order->state, ORDER_REFUNDED))
        return ERR_TRANSITION;
    code = left.amount_minor > 0
               ? refund_cash(db, arena, order, left.payment_id, left.amount_minor, left.points, reason,
                             cause->actor_id, refund_id)
               : refund_points(db, arena, order, left.points, reason, cause->actor_id, refund_id);
    return code ? code : refund_follow(db, arena, order, left.points, *refund_id, cause);
}

/* ---- the gateway's word ---- */

static enum error_code found(enum payment_finding *finding, enum payment_finding value, const char **why,
                             const char *text)
{
    *finding = value;
    *why = text;
    return ERR_OK;
}

static const char *mismatch(const struct refund_show_row *row, struct refund_id id,
                            const struct gateway_refund *gateway)
{
    if (row->gateway_id.ptr && !str_equal(row->gateway_id, gateway->id))
        return "the refund has another identifier at the gateway";
    if (!refund_id_equal(gateway->refund_id, id))
        return "the gateway's refund names another refund";
    if (!str_equal(row->intent_id, gateway->intent_id))
        return "the refund is of another payment";
    if (gateway->amount.minor != row->amount_minor ||
        !str_equal(row->currency, currency_str(&gateway->amount.currency)))
        return "the amount refunded is another";
    return NULL;
}

enum error_code refund_finalise(struct pg *db, struct arena *arena, struct refund_id id,
                                const struct gateway_refund *gateway, enum payment_finding *finding,
                                const char **why)
{
    CHECK(pg_in_transaction(db));
    struct refund_show_row row;
    struct refund_lock_row locked;
    struct payment_lock_row payment;
    struct order order;
    bool there;
    enum error_code code = refund_show(db, arena, (struct refund_show_args){id}, &row, &there);
    if (code || !there || !row.payment_id.present)
        return code ? code : found(finding, PAYMENT_UNKNOWN, why, "there is no such refund");
    code = order_lock(db, arena, row.order_id, &order);
    if (code == ERR_OK)
        code = payment_lock(db, arena, (struct payment_lock_args){{row.payment_id.value}}, &payment, &there);
    if (code == ERR_OK)
        code = refund_lock(db, arena, (struct refund_lock_args){id}, &locked, &there);
    if (code)
        return code;
    const char *wrong = mismatch(&row, id, gateway);
    if (wrong)
        return found(finding, PAYMENT_MISMATCHED, why, wrong);
    if (!str_equal(locked.state, STR("requested")))
        return found(finding, PAYMENT_UNCHANGED, why, "the refund has ended before");
    const char *state = gateway->state == GATEWAY_REFUND_SUCCEEDED ? "succeeded"
                        : gateway->state == GATEWAY_REFUND_FAILED  ? "failed"
                                                                   : "requested";
    bool failed = gateway->state == GATEWAY_REFUND_FAILED;
    struct refund_state_set_args args = {id, str_from(state), gateway->id,
                                         failed ? gateway->failure : STR_NONE, gateway->response};
    code = refund_state_set(db, args, NULL);
    if (code || gateway->state == GATEWAY_REFUND_PENDING)
        return code ? code : found(finding, PAYMENT_CHANGED, why, "the gateway works on the refund");
    if (failed) {
        code = payment_refund_undo(
            db, (struct payment_refund_undo_args){row.payment_id.value, row.amount_minor}, NULL);
        log_write(LOG_ERROR, "the gateway could not refund: staff has to ask again",
                  LOG_STR("refund", gateway->id));
    }
    if (code == ERR_OK)
        code = refund_publish(db, arena, failed ? "refund.failed" : "refund.succeeded", &order, id,
                              row.amount_minor, row.points);
    return code ? code
                : found(finding, PAYMENT_CHANGED, why, failed ? "the refund failed" : "the refund is done");
}
