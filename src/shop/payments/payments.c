/* The one function by which payments end. It is called for every webhook, by the sweeper, when the shopper
 * comes back, and when an order expires; whoever comes second finds that there is nothing left to do.
 *
 * The order is locked first, then the payment: two pieces of news about one order wait for each other,
 * whichever attempt they are about. Nothing is believed that does not fit what the shop asked for: intent,
 * order, amount and currency are compared before anything changes. */
#include "shop/payments/payments.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "payments_sql.h"
#include "shop/payments/payments_internal.h"

const struct gateway *payment_gateway(void)
{
    return &gateway_stripe;
}

enum error_code payment_event(struct pg *db, struct arena *arena, const char *type, const struct order *order,
                              const char *id_name, struct str id, int64_t amount_minor, int64_t points)
{
    char order_id[ID_TEXT_MAX], customer_id[ID_TEXT_MAX];
    order_id_text(order->id, order_id);
    user_id_text(order->customer_id, customer_id);
    struct event event = {
        .type = str_from(type),
        .aggregate_id = order->id.uuid,
        .payload = arena_printf(arena,
                                "{\"order_id\":\"%s\",\"number\":%lld,\"customer_id\":\"%s\",\"%s\":\"%.*s\","
                                "\"currency\":\"%s\",\"amount_minor\":%lld,\"points\":%lld}",
                                order_id, (long long)order->number, customer_id, id_name, STR_ARG(id),
                                order->cash.currency.code, (long long)amount_minor, (long long)points),
    };
    return outbox_publish(db, &event, NULL);
}

/* What is being finalised: the payment, its order, and what the gateway says. */
struct finalising {
    struct pg *db;
    struct arena *arena;
    const struct gateway_intent *intent;
    struct payment_id id;
    struct payment_lock_row payment;
    struct order order;
    enum payment_finding *finding;
    const char **why;
};

static enum error_code found(const struct finalising *f, enum payment_finding finding, const char *why)
{
    *f->finding = finding;
    *f->why = why;
    return ERR_OK;
}

static bool state_is(const struct finalising *f, const char *state)
{
    return str_equal(f->payment.state, str_from(state));
}

static bool is_open(const struct finalising *f)
{
    return state_is(f, "created") || state_is(f, "pending");
}

/* NULL, or what does not fit. */
static const char *mismatch(const struct finalising *f)
{
    const struct gateway_intent *intent = f->intent;
    struct currency currency;
    CHECK(currency_parse(f->payment.currency, &currency));
    if (f->payment.intent_id.ptr && !str_equal(f->payment.intent_id, intent->id))
        return "the payment has another intent";
    if (!payment_id_equal(intent->payment_id, f->id))
        return "the intent names another payment";
    if (!order_id_equal(intent->order_id, f->payment.order_id))
        return "the intent names another order";
    if (!currency_equal(intent->amount.currency, currency))
        return "the currency is another";
    if (intent->amount.minor != f->payment.amount_minor)
        return "the amount is another";
    if (intent->state == GATEWAY_INTENT_SUCCEEDED && intent->received_minor != f->payment.amount_minor)
        return "the amount received is another";
    return NULL;
}

static enum error_code set_state(struct finalising *f, const char *state)
{
    struct payment_state_set_args args = {
        .id = f->id,
        .state = str_from(state),
        .intent_id = f->intent->id,
        .failure = f->intent->failure,
        .response = f->intent->response,
    };
    return payment_state_set(f->db, args, NULL);
}

static enum error_code publish(struct finalising *f, const char *type)
{
    char id[ID_TEXT_MAX];
    struct str text = {id, payment_id_text(f->id, id)};
    return payment_event(f->db, f->arena, type, &f->order, "payment_id", text, f->payment.amount_minor, 0);
}

/* Money that has come for nothing goes back by itself. */
static enum error_code send_back(struct finalising *f, const char *reason)
{
    struct refund_id refund_id;
    enum error_code code = refund_cash(f->db, f->arena, &f->order, f->id, f->payment.amount_minor, 0,
                                       str_from(reason), (struct uuid){{0}}, &refund_id);
    struct event event = {
        .type = STR("payment.returned"), /* the shopper is told */
        .aggregate_id = f->order.id.uuid,
        .payload = order_event_payload(f->arena, &f->order, str_from(reason)),
    };
    if (code == ERR_OK)
        code = outbox_publish(f->db, &event, NULL);
    return code ? code : found(f, PAYMENT_CHANGED, reason);
}

static bool still_honoured(const struct order *order)
{
    int64_t placed_ms = uuid_time_ms(order->id.uuid);
    return clock_wall_us() / 1000 - placed_ms <= config()->late_payment_s * 1000;
}

/* Other attempts of an order that is paid now must not take money as well. */
static enum error_code close_others(struct finalising *f)
{
    struct payment_requested_open_row row;
    bool there;
    enum error_code code = payment_requested_open(
        f->db, f->arena, (struct payment_requested_open_args){f->order.id}, &row, &there);
    if (code || !row.is_open)
        return code;
    char id[ID_TEXT_MAX];
    struct task_request request = {
        .name = STR("payment_close"),
        .unique_key = {id, order_id_text(f->order.id, id)},
        .aggregate_id = f->order.id.uuid,
        .payload = STR("{}"),
    };
    return task_enqueue(f->db, &request);
}

static enum error_code honour(struct finalising *f)
{
    struct order_cause cause = {.actor = ACTOR_GATEWAY, .reason = STR("Payment received")};
    struct order *order = &f->order;
    if (order->state == ORDER_PAYMENT_FAILED || order->state == ORDER_EXPIRED) {
        if (!still_honoured(order))
            return send_back(f, "The payment came too late");
        cause.reason = STR("A late payment was received");
        enum error_code code = order_reacquire(f->db, f->arena, order, &cause);
        if (code == ERR_OUT_OF_STOCK)
            return send_back(f, "The payment came when the goods were gone");
        if (code == ERR_SALE_RELEASED)
            return send_back(f, "The payment came when the sale had given the goods to others");
        if (code == ERR_POINTS_SHORT)
            return send_back(f, "The payment came when the miles were spent");
        if (code)
            return code;
    }
    if (order->state == ORDER_CANCELLED)
        return send_back(f, "The payment came after the order was cancelled");
    if (order->state != ORDER_PENDING_PAYMENT)
        return send_back(f, "The order was paid by another attempt");
    enum error_code code = order_confirm(f->db, f->arena, order, &cause);
    return code ? code : found(f, PAYMENT_CHANGED, "the order is confirmed");
}

static enum error_code succeeded(struct finalising *f)
{
    if (state_is(f, "succeeded"))
        return found(f, PAYMENT_UNCHANGED, "the payment has succeeded before");
    enum error_code code = set_state(f, "succeeded");
    if (code == ERR_OK)
        code = publish(f, "payment.succeeded");
    if (code == ERR_OK)
        code = honour(f);
    return code ? code : close_others(f);
}

/* The newest attempt came to nothing: what the order holds is given back. An older one's end means nothing to
 * it. */
static enum error_code ended(struct finalising *f, const char *state, const char *type, const char *reason)
{
    if (!is_open(f))
        return found(f, PAYMENT_UNCHANGED, "the payment has ended before");
    enum error_code code = set_state(f, state);
    if (code == ERR_OK)
        code = publish(f, type);
    if (code || !f->payment.latest || f->order.state != ORDER_PENDING_PAYMENT)
        return code ? code : found(f, PAYMENT_CHANGED, "the attempt has ended");
    bool late = f->order.expires_at_us && f->order.expires_at_us <= clock_wall_us();
    bool failed = f->intent->state == GATEWAY_INTENT_FAILED;
    struct order_cause cause = {.actor = failed ? ACTOR_GATEWAY : ACTOR_SYSTEM, .reason = str_from(reason)};
    if (late && !failed)
        cause.reason = STR("Not paid in time");
    code = order_release(f->db, f->arena, &f->order, late && !failed ? ORDER_EXPIRED : ORDER_PAYMENT_FAILED,
                         &cause);
    return code ? code : found(f, PAYMENT_CHANGED, "stock and points are given back");
}

enum error_code payment_finalise(struct pg *db, struct arena *arena, const struct gateway_intent *intent,
                                 enum payment_finding *finding, const char **why)
{
    CHECK(pg_in_transaction(db));
    struct finalising f = {.db = db, .arena = arena, .intent = intent, .finding = finding, .why = why};
    struct payment_of_intent_row row;
    bool there;
    enum error_code code = payment_of_intent(
        db, arena, (struct payment_of_intent_args){intent->id, intent->payment_id}, &row, &there);
    if (code)
        return code;
    if (!there)
        return found(&f, PAYMENT_UNKNOWN, "there is no payment of this intent");
    f.id = row.id;
    code = order_lock(db, arena, row.order_id, &f.order);
    if (code == ERR_NOT_FOUND)
        return found(&f, PAYMENT_MISMATCHED, "the payment has no order");
    if (code == ERR_OK)
        code = payment_lock(db, arena, (struct payment_lock_args){f.id}, &f.payment, &there);
    if (code)
        return code;
    CHECK(there);
    const char *wrong = mismatch(&f);
    if (wrong)
        return found(&f, PAYMENT_MISMATCHED, wrong);
    switch (intent->state) {
    case GATEWAY_INTENT_SUCCEEDED:
        return succeeded(&f);
    case GATEWAY_INTENT_FAILED:
        return ended(&f, "failed", "payment.failed", "The payment was declined");
    case GATEWAY_INTENT_CANCELLED:
        return ended(&f, "cancelled", "payment.cancelled", "The payment was cancelled at the gateway");
    case GATEWAY_INTENT_OPEN:
        break;
    }
    return found(&f, PAYMENT_UNCHANGED, "the payment is still open");
}

struct finalise_now {
    struct arena *arena;
    const struct gateway_intent *intent;
    enum payment_finding *finding;
    const char **why;
};

static enum error_code finalise_in_transaction(struct pg *db, void *context)
{
    const struct finalise_now *now = context;
    return payment_finalise(db, now->arena, now->intent, now->finding, now->why);
}

enum error_code payment_finalise_now(struct pg *db, struct arena *arena, const struct gateway_intent *intent,
                                     enum payment_finding *finding, const char **why)
{
    struct finalise_now now = {arena, intent, finding, why};
    enum error_code code = pg_transaction(db, finalise_in_transaction, &now);
    if (code == ERR_OK && (*finding == PAYMENT_MISMATCHED || *finding == PAYMENT_UNKNOWN))
        log_write(LOG_ERROR, "payment does not fit what the gateway says",
                  "\"intent\":\"%.*s\",\"why\":\"%s\"", STR_ARG(intent->id), *why);
    return code;
}
