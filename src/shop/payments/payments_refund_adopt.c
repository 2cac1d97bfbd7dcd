/* What is done at the gateway and not by the shop: refunds made in its dashboard are taken over, disputes are
 * recorded. They come by webhook; refunds are also looked for, since webhooks are lost.
 *
 * A refund that leaves nothing of the payment that paid an order refunds the order, as staff's own: miles go
 * back, what they earned is taken back, stock is free. One of a part is recorded only, because nobody has
 * said which lines it is for: the payment counts it, staff see it, and a later refund gives the rest. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "payments_sql.h"
#include "shop/payments/payments_internal.h"

#define REASON "Refunded at the payment gateway"
/* How far back refunds are looked for, and how many pages of them at most. */
#define LOOK_BACK_S (INT64_C(3) * 86400)
#define PAGES_MAX 50

static enum error_code found(enum payment_finding *finding, enum payment_finding value, const char **why,
                             const char *text)
{
    *finding = value;
    *why = text;
    return ERR_OK;
}

/* With order and payment locked. */
static enum error_code record(struct pg *db, struct arena *arena, struct order *order,
                              struct payment_id payment_id, const struct gateway_refund *gateway, bool whole)
{
    struct order_cause cause = {.actor = ACTOR_GATEWAY, .reason = STR(REASON)};
    struct refund_id id = refund_id_new();
    int64_t points = 0;
    enum error_code code = whole ? refund_points_left(db, arena, order, &points) : ERR_OK;
    struct refund_adopt_args args = {
        .id = id,
        .order_id = order->id,
        .payment_id = payment_id,
        .amount_minor = gateway->amount.minor,
        .points = points,
        .currency = currency_str(&gateway->amount.currency),
        .state = gateway->state == GATEWAY_REFUND_SUCCEEDED ? STR("succeeded") : STR("requested"),
        .reason = cause.reason,
        .gateway_id = gateway->id,
        .response = gateway->response,
    };
    if (code == ERR_OK)
        code = refund_adopt(db, args, NULL);
    if (code == ERR_OK && gateway->state == GATEWAY_REFUND_SUCCEEDED)
        code = refund_publish(db, arena, "refund.succeeded", order, id, args.amount_minor, points);
    return code || !whole ? code : refund_follow(db, arena, order, points, id, &cause);
}

static enum error_code adopt_locked(struct pg *db, struct arena *arena, struct order *order,
                                    struct payment_id payment_id, const struct gateway_refund *gateway,
                                    enum payment_finding *finding, const char **why)
{
    struct payment_lock_row payment;
    struct refund_of_gateway_row known;
    bool there;
    enum error_code code = payment_lock(db, arena, (struct payment_lock_args){payment_id}, &payment, &there);
    if (code == ERR_OK)
        code = refund_of_gateway(db, arena, (struct refund_of_gateway_args){gateway->id}, &known, &there);
    if (code)
        return code;
    if (there) {
        struct gateway_refund named = *gateway;
        named.refund_id = known.id;
        return refund_finalise(db, arena, known.id, &named, finding, why);
    }
    if (gateway->state == GATEWAY_REFUND_FAILED)
        return found(finding, PAYMENT_UNCHANGED, why, "the gateway's refund came to nothing");
    if (!str_equal(payment.currency, currency_str(&gateway->amount.currency)))
        return found(finding, PAYMENT_MISMATCHED, why, "the currency is another");
    int64_t left = payment.amount_minor - payment.refunded_minor;
    if (!str_equal(payment.state, STR("succeeded")) || gateway->amount.minor > left) {
        /* The success is on its way here, or a refund of ours to its refusal there. */
        *why = "the payment does not hold that much yet";
        return ERR_CONFLICT;
    }
    bool whole = gateway->amount.minor == left && !payment.surplus &&
                 order_transition_allowed(order->state, ORDER_REFUNDED);
    code = record(db, arena, order, payment_id, gateway, whole);
    if (code)
        return code;
    char id[ID_TEXT_MAX];
    order_id_text(order->id, id);
    log_write(LOG_WARN, "a refund made at the gateway was taken over", LOG_TEXT("order", id),
              LOG_STR("refund", gateway->id), LOG_INT("amount_minor", gateway->amount.minor),
              LOG_BOOL("whole", whole));
    return found(finding, PAYMENT_CHANGED, why, "the gateway's refund was taken over");
}

enum error_code refund_adopt_one(struct pg *db, struct arena *arena, const struct gateway_refund *gateway,
                                 enum payment_finding *finding, const char **why)
{
    CHECK(pg_in_transaction(db));
    struct payment_of_intent_row row;
    struct order order;
    bool there;
    enum error_code code =
        payment_of_intent(db, arena, (struct payment_of_intent_args){gateway->intent_id}, &row, &there);
    if (code || !there)
        return code ? code : found(finding, PAYMENT_UNKNOWN, why, "there is no payment of this intent");
    code = order_lock(db, arena, row.order_id, &order);
    return code ? code : adopt_locked(db, arena, &order, row.id, gateway, finding, why);
}

/* ---- looking for them ---- */

struct adopting {
    struct arena *arena;
    const struct gateway_refund *refund;
    enum payment_finding finding;
    const char *why;
};

static enum error_code adopt_in_transaction(struct pg *db, void *context)
{
    struct adopting *adopting = context;
    return refund_adopt_one(db, adopting->arena, adopting->refund, &adopting->finding, &adopting->why);
}

/* Those of a page that the shop has not made and does not know at their end. */
static enum error_code adopt_page(struct pg *db, struct arena *arena, const struct gateway_refund *refunds,
                                  size_t count)
{
    enum error_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        if (!uuid_is_zero(refunds[i].refund_id.uuid) || !refunds[i].intent_id.ptr)
            continue;
        struct adopting adopting = {.arena = arena, .refund = &refunds[i]};
        enum error_code one = pg_transaction(db, adopt_in_transaction, &adopting);
        if (!one)
            continue;
        struct error error = {.code = one};
        error_set(&error, one, "%s", adopting.why ? adopting.why : error_title(one));
        payment_row_failed("gateway_refunds", arena_cstr(arena, refunds[i].id), one, &error);
        if (!payment_failure_is_of_row(one))
            code = one;
    }
    return code;
}

enum error_code refund_look_for(struct pg *db, struct arena *arena, struct str intent_id, int64_t since_s,
                                struct error *error)
{
    struct str after = STR_NONE;
    for (int page = 0; page < PAGES_MAX; page++) {
        struct gateway_refund_page list;
        enum error_code code =
            payment_gateway()->list_refunds(db, arena, intent_id, since_s, after, &list, error);
        if (!code)
            code = adopt_page(db, arena, list.refunds, list.count);
        if (code || !list.more || list.count == 0)
            return code;
        after = list.refunds[list.count - 1].id;
    }
    return ERR_OK;
}

enum error_code payment_reconcile(struct task_run *run)
{
    return refund_look_for(run->db, run->arena, STR_NONE, clock_wall_us() / 1000000 - LOOK_BACK_S,
                           &run->error);
}

/* ---- disputes ---- */

enum error_code payment_dispute_note(struct pg *db, struct arena *arena,
                                     const struct gateway_dispute *dispute, enum payment_finding *finding,
                                     const char **why)
{
    struct payment_of_intent_row row;
    bool there;
    enum error_code code =
        payment_of_intent(db, arena, (struct payment_of_intent_args){dispute->intent_id}, &row, &there);
    if (code || !there)
        return code ? code : found(finding, PAYMENT_UNKNOWN, why, "there is no payment of this dispute");
    struct dispute_upsert_args args = {
        .gateway_id = dispute->id,
        .payment_id = row.id,
        .order_id = row.order_id,
        .amount_minor = dispute->amount.minor,
        .currency = currency_str(&dispute->amount.currency),
        .reason = dispute->reason,
        .state = dispute->status,
        .closed = dispute->closed,
    };
    int64_t changed;
    code = dispute_upsert(db, args, &changed);
    if (code || changed == 0)
        return code ? code : found(finding, PAYMENT_UNCHANGED, why, "the dispute was closed before");
    metric_add(metric_counter("cathay_disputes_total", "News of disputes about payments", NULL), 1);
    char id[ID_TEXT_MAX];
    order_id_text(row.order_id, id);
    log_write(LOG_WARN, "a payment is disputed", LOG_TEXT("order", id), LOG_STR("dispute", dispute->id),
              LOG_STR("state", dispute->status), LOG_INT("amount_minor", dispute->amount.minor));
    return found(finding, PAYMENT_CHANGED, why, "the dispute is recorded");
}
