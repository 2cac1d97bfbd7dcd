/* SHP-2: news of parcels in any order. */
#include "shop/shipping/parcel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void texts_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < PARCEL_STATUS_COUNT; i++) {
        enum parcel_status parsed;
        assert_true(parcel_status_parse(str_from(parcel_status_text((enum parcel_status)i)), &parsed));
        assert_int_equal(parsed, i);
    }
    enum parcel_status parsed;
    assert_false(parcel_status_parse(STR("lost"), &parsed));
    assert_false(parcel_status_parse(STR_NONE, &parsed));
}

/* Whatever the order of the same news, the parcel ends in the same state. */
static void any_order_ends_the_same(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 2000; round++) {
        enum parcel_status news[] = {PARCEL_PRE_TRANSIT, PARCEL_IN_TRANSIT, PARCEL_OUT_FOR_DELIVERY,
                                     PARCEL_DELIVERED, PARCEL_IN_TRANSIT};
        size_t count = sizeof news / sizeof *news;
        for (size_t i = count - 1; i > 0; i--) {
            size_t j = (size_t)rand() % (i + 1);
            enum parcel_status kept = news[i];
            news[i] = news[j];
            news[j] = kept;
        }
        struct str at = round % 2 ? STR("created") : STR("labelled");
        for (size_t i = 0; i < count; i++)
            if (parcel_moves(at, news[i], rand() % 2))
                at = str_from(parcel_status_text(news[i]));
        assert_string_equal(at.ptr, "delivered");
    }
}

static void ends_stay(void **state)
{
    (void)state;
    for (int to = 0; to < PARCEL_STATUS_COUNT; to++) {
        assert_false(parcel_moves(STR("delivered"), (enum parcel_status)to, true));
        assert_false(parcel_moves(STR("return_to_sender"), (enum parcel_status)to, true));
    }
}

/* A courier who met nobody comes again. */
static void an_attempt_that_failed_is_no_end(void **state)
{
    (void)state;
    assert_true(parcel_moves(STR("out_for_delivery"), PARCEL_FAILURE, true));
    assert_true(parcel_moves(STR("failure"), PARCEL_OUT_FOR_DELIVERY, true));
    assert_false(parcel_moves(STR("failure"), PARCEL_OUT_FOR_DELIVERY, false));
    assert_false(parcel_moves(STR("failure"), PARCEL_PRE_TRANSIT, true));
    assert_false(parcel_moves(STR("failure"), PARCEL_FAILURE, true));
    assert_true(parcel_moves(STR("error"), PARCEL_IN_TRANSIT, true));
    assert_true(parcel_moves(STR("failure"), PARCEL_DELIVERED, false));
    assert_false(parcel_moves(STR("cancelled"), PARCEL_IN_TRANSIT, true));
}

static void shoppers_are_told_of_each_parcel(void **state)
{
    (void)state;
    assert_null(parcel_news(STR("labelled"), PARCEL_PRE_TRANSIT));
    assert_string_equal(parcel_news(STR("labelled"), PARCEL_OUT_FOR_DELIVERY), "shipped");
    assert_string_equal(parcel_news(STR("pre_transit"), PARCEL_IN_TRANSIT), "shipped");
    assert_null(parcel_news(STR("in_transit"), PARCEL_OUT_FOR_DELIVERY));
    assert_null(parcel_news(STR("failure"), PARCEL_OUT_FOR_DELIVERY));
    assert_string_equal(parcel_news(STR("in_transit"), PARCEL_AVAILABLE_FOR_PICKUP), "ready");
    assert_string_equal(parcel_news(STR("out_for_delivery"), PARCEL_FAILURE), "failed");
    assert_string_equal(parcel_news(STR("created"), PARCEL_DELIVERED), "delivered");
    assert_string_equal(parcel_news(STR("failure"), PARCEL_RETURN_TO_SENDER), "returned");
    assert_null(parcel_news(STR("in_transit"), PARCEL_ERROR));
}

static void meaning_for_the_fulfilment(void **state)
{
    (void)state;
    enum fulfilment_state part;
    assert_false(parcel_fulfilment_state(PARCEL_PRE_TRANSIT, &part));
    assert_true(parcel_fulfilment_state(PARCEL_IN_TRANSIT, &part));
    assert_int_equal(part, FULFILMENT_SHIPPED);
    assert_true(parcel_fulfilment_state(PARCEL_DELIVERED, &part));
    assert_int_equal(part, FULFILMENT_DELIVERED);
    assert_true(parcel_fulfilment_state(PARCEL_RETURN_TO_SENDER, &part));
    assert_int_equal(part, FULFILMENT_RETURNED);
    assert_false(parcel_fulfilment_state(PARCEL_ERROR, &part));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_round_trip),
        cmocka_unit_test(any_order_ends_the_same),
        cmocka_unit_test(ends_stay),
        cmocka_unit_test(an_attempt_that_failed_is_no_end),
        cmocka_unit_test(shoppers_are_told_of_each_parcel),
        cmocka_unit_test(meaning_for_the_fulfilment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
