/* Nothing is believed that does not fit what the shop asked for: intent, order, amount and currency are
 * compared before anything changes. After a success no failure means anything; the end of an older attempt
 * means nothing to its order. */
#include "shop/payments/payment_decide.h"

#include "base/check.h"

static const char *const states[PAYMENT_STATE_COUNT] = {
    [PAYMENT_CREATED] = "created", [PAYMENT_PENDING] = "pending",     [PAYMENT_SUCCEEDED] = "succeeded",
    [PAYMENT_FAILED] = "failed",   [PAYMENT_CANCELLED] = "cancelled",
};

const char *payment_state_text(enum payment_state state)
{
    CHECK((unsigned)state < PAYMENT_STATE_COUNT);
    return states[state];
}

bool payment_state_parse(struct str text, enum payment_state *state)
{
    for (unsigned i = 0; i < PAYMENT_STATE_COUNT; i++) {
        if (str_equal(text, str_from(states[i]))) {
            *state = (enum payment_state)i;
            return true;
        }
    }
    return false;
}

/* NULL, or what does not fit. */
static const char *mismatch(const struct gateway_intent *intent, const struct payment_facts *payment)
{
    if (payment->intent_id.ptr && !str_equal(payment->intent_id, intent->id))
        return "the payment has another intent";
    if (!payment_id_equal(intent->payment_id, payment->id))
        return "the intent names another payment";
    if (!order_id_equal(intent->order_id, payment->order_id))
        return "the intent names another order";
    if (!currency_equal(intent->amount.currency, payment->amount.currency))
        return "the currency is another";
    if (intent->amount.minor != payment->amount.minor)
        return "the amount is another";
    if (intent->state == GATEWAY_INTENT_SUCCEEDED && intent->received_minor != payment->amount.minor)
        return "the amount received is another";
    return NULL;
}

static struct payment_decision nothing(enum payment_finding finding, const char *why)
{
    return (struct payment_decision){.step = PAYMENT_STEP_NONE, .finding = finding, .why = why};
}

static struct payment_decision change(enum payment_step step, const char *why)
{
    return (struct payment_decision){.step = step, .finding = PAYMENT_CHANGED, .why = why};
}

static bool is_open(const struct payment_facts *payment)
{
    return payment->state == PAYMENT_CREATED || payment->state == PAYMENT_PENDING;
}

static struct payment_decision succeeded(const struct payment_facts *payment,
                                         const struct payment_order_facts *order, int64_t now_us,
                                         int64_t late_us)
{
    if (payment->state == PAYMENT_SUCCEEDED)
        return nothing(PAYMENT_UNCHANGED, "the payment has succeeded before");
    struct payment_decision decision;
    switch (order->state) {
    case ORDER_PENDING_PAYMENT:
        decision = change(PAYMENT_STEP_CONFIRM, "the order is confirmed");
        break;
    case ORDER_PAYMENT_FAILED:
    case ORDER_EXPIRED:
        decision = now_us - order->placed_at_us <= late_us
                       ? change(PAYMENT_STEP_REVIVE, "the order is confirmed")
                       : change(PAYMENT_STEP_SEND_BACK, "The payment came too late");
        break;
    case ORDER_CANCELLED:
        decision = change(PAYMENT_STEP_SEND_BACK, "The payment came after the order was cancelled");
        break;
    default:
        decision = change(PAYMENT_STEP_SEND_BACK, "The order was paid by another attempt");
    }
    size_t itself = is_open(payment) && payment->requested;
    CHECK(order->open_requested >= itself);
    decision.close_others = order->open_requested > itself;
    return decision;
}

static struct payment_decision ended(const struct payment_facts *payment,
                                     const struct payment_order_facts *order)
{
    if (!is_open(payment))
        return nothing(PAYMENT_UNCHANGED, "the payment has ended before");
    if (payment->attempt != order->newest_attempt || order->state != ORDER_PENDING_PAYMENT)
        return change(PAYMENT_STEP_END, "the attempt has ended");
    return change(PAYMENT_STEP_RELEASE, "stock and points are given back");
}

struct payment_decision payment_decide(const struct gateway_intent *intent,
                                       const struct payment_facts *payment,
                                       const struct payment_order_facts *order, int64_t now_us,
                                       int64_t late_us)
{
    if (!payment)
        return nothing(PAYMENT_UNKNOWN, "there is no payment of this intent");
    if (!order)
        return nothing(PAYMENT_MISMATCHED, "the payment has no order");
    const char *wrong = mismatch(intent, payment);
    if (wrong)
        return nothing(PAYMENT_MISMATCHED, wrong);
    switch (intent->state) {
    case GATEWAY_INTENT_SUCCEEDED:
        return succeeded(payment, order, now_us, late_us);
    case GATEWAY_INTENT_FAILED:
    case GATEWAY_INTENT_CANCELLED:
    case GATEWAY_INTENT_REFUSED:
        return ended(payment, order);
    case GATEWAY_INTENT_OPEN:
        break;
    }
    return nothing(PAYMENT_UNCHANGED, "the payment is still open");
}
