/* PAY-3: what news of a payment means, for every state of payment and order (payment_decide.h). */
#include "shop/payments/payment_decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW_US INT64_C(1700000000000000)
#define LATE_US INT64_C(3600000000)

/* An attempt that waits, its order that waits for it, and the gateway's word that it is paid. */
struct setting {
    struct gateway_intent intent;
    struct payment_facts payment;
    struct payment_order_facts order;
};

static struct setting setting(void)
{
    struct setting s = {
        .intent = {.id = STR("pi_1"), .state = GATEWAY_INTENT_SUCCEEDED, .received_minor = 1000},
        .payment = {.attempt = 1, .state = PAYMENT_PENDING, .intent_id = STR("pi_1"), .requested = true},
        .order = {.state = ORDER_PENDING_PAYMENT,
                  .placed_at_us = NOW_US - 1000000,
                  .newest_attempt = 1,
                  .open_requested = 1},
    };
    struct currency currency;
    assert_true(currency_parse(STR("HKD"), &currency));
    s.payment.id = payment_id_new();
    s.payment.order_id = order_id_new();
    s.payment.amount = s.intent.amount = money_of(1000, currency);
    s.intent.payment_id = s.payment.id;
    s.intent.order_id = s.payment.order_id;
    return s;
}

static struct payment_decision decide(const struct setting *s)
{
    return payment_decide(&s->intent, &s->payment, &s->order, NOW_US, LATE_US);
}

static void expect(const struct setting *s, enum payment_step step, enum payment_finding finding)
{
    struct payment_decision decision = decide(s);
    assert_int_equal(decision.step, step);
    assert_int_equal(decision.finding, finding);
    assert_non_null(decision.why);
}

static void a_paid_order_is_confirmed_once(void **state)
{
    (void)state;
    struct setting s = setting();
    expect(&s, PAYMENT_STEP_CONFIRM, PAYMENT_CHANGED);
    s.payment.state = PAYMENT_CREATED; /* the intent is not noted yet: its metadata say whose it is */
    s.payment.intent_id = STR_NONE;
    expect(&s, PAYMENT_STEP_CONFIRM, PAYMENT_CHANGED);
    s.payment.state = PAYMENT_FAILED; /* a failure that came first means nothing any more */
    expect(&s, PAYMENT_STEP_CONFIRM, PAYMENT_CHANGED);
    s.payment.state = PAYMENT_SUCCEEDED;
    s.order.state = ORDER_CONFIRMED;
    s.order.open_requested = 0;
    expect(&s, PAYMENT_STEP_NONE, PAYMENT_UNCHANGED);
}

static void money_goes_where_the_order_is(void **state)
{
    (void)state;
    struct setting s = setting();
    for (int order = 0; order < ORDER_STATE_COUNT; order++) {
        s.order.state = (enum order_state)order;
        enum payment_step step = PAYMENT_STEP_SEND_BACK;
        if (order == ORDER_PENDING_PAYMENT)
            step = PAYMENT_STEP_CONFIRM;
        else if (order == ORDER_PAYMENT_FAILED || order == ORDER_EXPIRED)
            step = PAYMENT_STEP_REVIVE;
        expect(&s, step, PAYMENT_CHANGED);
    }
}

static void too_late_is_sent_back(void **state)
{
    (void)state;
    struct setting s = setting();
    s.order.state = ORDER_EXPIRED;
    s.order.placed_at_us = NOW_US - LATE_US;
    expect(&s, PAYMENT_STEP_REVIVE, PAYMENT_CHANGED);
    s.order.placed_at_us--;
    expect(&s, PAYMENT_STEP_SEND_BACK, PAYMENT_CHANGED);
    s.order.state = ORDER_PENDING_PAYMENT; /* an order that still waits takes it at any time */
    expect(&s, PAYMENT_STEP_CONFIRM, PAYMENT_CHANGED);
}

static void other_attempts_are_closed(void **state)
{
    (void)state;
    struct setting s = setting();
    assert_false(decide(&s).close_others);
    s.order.open_requested = 2;
    assert_true(decide(&s).close_others);
    s.payment.state = PAYMENT_FAILED; /* itself is not among the open ones */
    s.order.open_requested = 1;
    assert_true(decide(&s).close_others);
}

static void what_does_not_fit_alters_nothing(void **state)
{
    (void)state;
    struct setting s = setting();
    s.intent.id = STR("pi_2");
    expect(&s, PAYMENT_STEP_NONE, PAYMENT_MISMATCHED);
    s = setting();
    s.intent.payment_id = payment_id_new();
    expect(&s, PAYMENT_STEP_NONE, PAYMENT_MISMATCHED);
    s = setting();
    s.intent.order_id = order_id_new();
    expect(&s, PAYMENT_STEP_NONE, PAYMENT_MISMATCHED);
    s = setting();
    s.intent.amount.minor = 999;
    expect(&s, PAYMENT_STEP_NONE, PAYMENT_MISMATCHED);
    s = setting();
    s.intent.received_minor = 999;
    expect(&s, PAYMENT_STEP_NONE, PAYMENT_MISMATCHED);
    s = setting();
    assert_true(currency_parse(STR("USD"), &s.intent.amount.currency));
    expect(&s, PAYMENT_STEP_NONE, PAYMENT_MISMATCHED);
    s = setting();
    assert_int_equal(payment_decide(&s.intent, NULL, NULL, NOW_US, LATE_US).finding, PAYMENT_UNKNOWN);
    assert_int_equal(payment_decide(&s.intent, &s.payment, NULL, NOW_US, LATE_US).finding,
                     PAYMENT_MISMATCHED);
}

static void failures_count_for_the_newest_open_attempt(void **state)
{
    (void)state;
    static const enum gateway_intent_state ends[] = {GATEWAY_INTENT_FAILED, GATEWAY_INTENT_CANCELLED,
                                                     GATEWAY_INTENT_REFUSED};
    for (size_t i = 0; i < 3; i++) {
        struct setting s = setting();
        s.intent.state = ends[i];
        s.intent.received_minor = 0;
        expect(&s, PAYMENT_STEP_RELEASE, PAYMENT_CHANGED);
        s.order.newest_attempt = 2;
        expect(&s, PAYMENT_STEP_END, PAYMENT_CHANGED);
        s.order.newest_attempt = 1;
        s.order.state = ORDER_CANCELLED;
        expect(&s, PAYMENT_STEP_END, PAYMENT_CHANGED);
        s.payment.state = PAYMENT_SUCCEEDED; /* after a success nothing of this happens */
        expect(&s, PAYMENT_STEP_NONE, PAYMENT_UNCHANGED);
        s.payment.state = PAYMENT_FAILED;
        expect(&s, PAYMENT_STEP_NONE, PAYMENT_UNCHANGED);
    }
    struct setting s = setting();
    s.intent.state = GATEWAY_INTENT_OPEN;
    expect(&s, PAYMENT_STEP_NONE, PAYMENT_UNCHANGED);
}

static void states_are_read_and_written(void **state)
{
    (void)state;
    for (int i = 0; i < PAYMENT_STATE_COUNT; i++) {
        enum payment_state parsed;
        assert_true(payment_state_parse(str_from(payment_state_text((enum payment_state)i)), &parsed));
        assert_int_equal(parsed, i);
    }
    enum payment_state parsed;
    assert_false(payment_state_parse(STR("paid"), &parsed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_paid_order_is_confirmed_once),
        cmocka_unit_test(money_goes_where_the_order_is),
        cmocka_unit_test(too_late_is_sent_back),
        cmocka_unit_test(other_attempts_are_closed),
        cmocka_unit_test(what_does_not_fit_alters_nothing),
        cmocka_unit_test(failures_count_for_the_newest_open_attempt),
        cmocka_unit_test(states_are_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
