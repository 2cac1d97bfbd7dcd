/* ORD-1: every pair of states, against a list written independently of the table. */
#include "shop/orders/orders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const char *const legal[] = {
    "pending_payment>confirmed",
    "pending_payment>payment_failed",
    "pending_payment>expired",
    "pending_payment>cancelled",
    "payment_failed>pending_payment",
    "expired>pending_payment",
    "confirmed>processing",
    "confirmed>cancelled",
    "confirmed>partially_refunded",
    "confirmed>refunded",
    "processing>shipped",
    "processing>cancelled",
    "processing>partially_refunded",
    "processing>refunded",
    "shipped>delivered",
    "shipped>returned",
    "shipped>partially_refunded",
    "shipped>refunded",
    "delivered>returned",
    "delivered>partially_refunded",
    "delivered>refunded",
    "returned>partially_refunded",
    "returned>refunded",
    "cancelled>refunded",
    "partially_refunded>partially_refunded",
    "partially_refunded>refunded",
};

static bool in_list(const char *pair)
{
    for (size_t i = 0; i < sizeof legal / sizeof *legal; i++)
        if (strcmp(legal[i], pair) == 0)
            return true;
    return false;
}

static void every_pair(void **state)
{
    (void)state;
    size_t allowed = 0;
    for (int from = 0; from < ORDER_STATE_COUNT; from++) {
        for (int to = 0; to < ORDER_STATE_COUNT; to++) {
            char pair[80];
            snprintf(pair, sizeof pair, "%s>%s", order_state_text((enum order_state)from),
                     order_state_text((enum order_state)to));
            bool got = order_transition_allowed((enum order_state)from, (enum order_state)to);
            if (got != in_list(pair))
                fail_msg("%s: %s", pair, got ? "allowed" : "refused");
            allowed += got;
        }
    }
    assert_int_equal(allowed, sizeof legal / sizeof *legal);
}

static void texts_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < ORDER_STATE_COUNT; i++) {
        enum order_state parsed;
        assert_true(order_state_parse(str_from(order_state_text((enum order_state)i)), &parsed));
        assert_int_equal(parsed, i);
    }
    enum order_state parsed;
    assert_false(order_state_parse(STR("shipping"), &parsed));
    assert_false(order_state_parse(STR(""), &parsed));
    for (int i = 0; i < FULFILMENT_STATE_COUNT; i++) {
        enum fulfilment_state part;
        assert_true(fulfilment_state_parse(str_from(fulfilment_state_text((enum fulfilment_state)i)), &part));
        assert_int_equal(part, i);
    }
}

/* A parcel never goes back to an earlier state, and what has left is never cancelled. */
static void parts_go_forward_only(void **state)
{
    (void)state;
    for (int from = 0; from < FULFILMENT_STATE_COUNT; from++)
        for (int to = 0; to < FULFILMENT_STATE_COUNT; to++) {
            bool expected = to > from && from < FULFILMENT_RETURNED &&
                            (to != FULFILMENT_CANCELLED || from < FULFILMENT_SHIPPED);
            assert_int_equal(fulfilment_advances((enum fulfilment_state)from, (enum fulfilment_state)to),
                             expected);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair),
        cmocka_unit_test(texts_round_trip),
        cmocka_unit_test(parts_go_forward_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
