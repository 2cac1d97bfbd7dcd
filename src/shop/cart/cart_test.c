/* CRT-1: merging carts, lines against the shop, versions, and the splits that are listed (CHK-2). */
#include "shop/cart/cart.h"
#include "shop/loyalty/loyalty.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct variant_id variant(uint8_t n)
{
    return (struct variant_id){{{n}}};
}

static struct cart_item item(uint8_t n, int32_t quantity, bool saved)
{
    return (struct cart_item){variant(n), quantity, saved, true, 100 * n};
}

static const struct cart_limits limits = {99, 4};

static void assert_item(const struct cart_item *actual, uint8_t n, int32_t quantity, bool saved)
{
    assert_true(variant_id_equal(actual->variant_id, variant(n)));
    assert_int_equal(actual->quantity, quantity);
    assert_int_equal(actual->saved, saved);
}

static void merge_adds_up(void **state)
{
    (void)state;
    struct cart_item own[] = {item(1, 2, false), item(2, 98, false)};
    struct cart_item guest[] = {item(2, 5, false), item(3, 1, false), item(1, 3, false)}, merged[5];
    assert_int_equal(cart_merge(own, 2, guest, 3, &limits, merged), 3);
    assert_item(&merged[0], 1, 5, false);
    assert_item(&merged[1], 2, 99, false);
    assert_item(&merged[2], 3, 1, false);
}

static void merge_prefers_the_cart_to_later(void **state)
{
    (void)state;
    struct cart_item own[] = {item(1, 2, true), item(2, 3, false), item(3, 1, true)};
    struct cart_item guest[] = {item(1, 5, false), item(2, 7, true), item(3, 2, true)}, merged[6];
    assert_int_equal(cart_merge(own, 3, guest, 3, &limits, merged), 3);
    assert_item(&merged[0], 1, 5, false);
    assert_item(&merged[1], 2, 3, false);
    assert_item(&merged[2], 3, 3, true);
}

static void merge_stops_when_full(void **state)
{
    (void)state;
    struct cart_item own[] = {item(1, 1, false), item(2, 1, false), item(3, 1, false)};
    struct cart_item guest[] = {item(4, 1, false), item(5, 1, false), item(1, 1, false)}, merged[6];
    assert_int_equal(cart_merge(own, 3, guest, 3, &limits, merged), 4);
    assert_item(&merged[0], 1, 2, false); /* what is there already still adds up */
    assert_item(&merged[3], 4, 1, false);
    assert_int_equal(cart_merge(own, 3, NULL, 0, &limits, merged), 3);
    assert_int_equal(cart_merge(NULL, 0, guest, 3, &limits, merged), 3);
}

/* Whatever is merged: no line twice, none over the limit, none of the customer's lost. */
static void merge_keeps_its_promises(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 2000; round++) {
        struct cart_item own[8], guest[8], merged[16];
        size_t own_count = 0, guest_count = 0;
        for (uint8_t n = 1; n <= 8; n++) {
            if (rand() % 2 && own_count < 8)
                own[own_count++] = item(n, 1 + rand() % 99, rand() % 2);
            if (rand() % 2)
                guest[guest_count++] = item(n, 1 + rand() % 200, rand() % 2);
        }
        struct cart_limits some = {99, (size_t)(rand() % 10)};
        size_t count = cart_merge(own, own_count, guest, guest_count, &some, merged);
        assert_true(count <= some.lines_max || count == own_count);
        assert_true(count >= own_count);
        for (size_t i = 0; i < count; i++) {
            assert_in_range(merged[i].quantity, 1, 99);
            for (size_t j = 0; j < i; j++)
                assert_false(variant_id_equal(merged[i].variant_id, merged[j].variant_id));
            if (i < own_count)
                assert_true(variant_id_equal(merged[i].variant_id, own[i].variant_id));
        }
    }
}

static void lines(void **state)
{
    (void)state;
    struct cart_line_facts facts = {
        .for_sale = true, .has_price = true, .price_minor = 100, .quantity = 3, .available = 20};
    assert_int_equal(cart_line_issue(&facts), CART_ISSUE_NONE);
    assert_int_equal(cart_line_price_state(&facts), CART_PRICE_CURRENT);
    assert_int_equal(cart_line_stock_state(&facts), CART_IN_STOCK);
    facts.has_seen_price = true;
    facts.seen_price_minor = 90;
    assert_int_equal(cart_line_price_state(&facts), CART_PRICE_INCREASED);
    facts.seen_price_minor = 110;
    assert_int_equal(cart_line_price_state(&facts), CART_PRICE_DECREASED);
    facts.available = CART_LOW_STOCK;
    assert_int_equal(cart_line_stock_state(&facts), CART_LOW);
    facts.available = 2;
    assert_int_equal(cart_line_issue(&facts), CART_NOT_ENOUGH_STOCK);
    facts.available = 0;
    assert_int_equal(cart_line_issue(&facts), CART_NO_STOCK);
    assert_int_equal(cart_line_stock_state(&facts), CART_OUT_OF_STOCK);
    facts.has_price = false;
    assert_int_equal(cart_line_issue(&facts), CART_NO_PRICE);
    assert_int_equal(cart_line_price_state(&facts), CART_PRICE_UNAVAILABLE);
    facts.for_sale = false;
    assert_int_equal(cart_line_issue(&facts), CART_NOT_FOR_SALE);
}

static void if_match(void **state)
{
    (void)state;
    assert_true(cart_if_match(STR("\"7\""), 7));
    assert_true(cart_if_match(STR(" \"3\", \"7\" "), 7));
    assert_true(cart_if_match(STR("*"), 7));
    static const char *const wrong[] = {"\"8\"",  "7",       "W/\"7\"", "\"\"",       "\"7",
                                        "\"7 \"", "\"07x\"", "",        "\"3\",\"4\""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(cart_if_match(str_from(wrong[i]), 7));
}

/* The list is what miles_points_refusal allows, no more and no less, as long as it is short. */
static void splits_are_what_is_allowed(void **state)
{
    (void)state;
    srand(2);
    for (int round = 0; round < 3000; round++) {
        struct miles_policy policy = {.minimum_points = rand() % 700,
                                      .step_points = 1 + rand() % 150,
                                      .maximum_share = 5000 + rand() % 5001,
                                      .points_unit = 1 + rand() % 100,
                                      .minor_unit = 1 + rand() % 1000};
        struct miles_line some[3];
        for (int i = 0; i < 3; i++)
            some[i] =
                (struct miles_line){.total_minor = rand() % 5000, .tender = (enum miles_tender)(rand() % 3)};
        struct miles_quote quote;
        miles_quote(&policy, some, 3, rand() % 3000, &quote);
        int64_t points[3200], allowed;
        size_t count =
            cart_splits(quote.minimum, quote.maximum, quote.step, quote.required, points, 3200, &allowed);
        assert_int_equal(allowed, count);
        size_t at = 0;
        for (int64_t n = 0; n <= 3000; n++)
            if (!miles_points_refusal(&quote, n)) {
                assert_true(at < count);
                assert_int_equal(points[at++], n);
            }
        assert_int_equal(at, count);
    }
}

static void splits_are_sampled(void **state)
{
    (void)state;
    int64_t points[200], allowed;
    size_t count = cart_splits(500, 1234567, 100, 0, points, 200, &allowed);
    assert_int_equal(allowed, 1 + (1234500 - 500) / 100 + 1 + 1);
    assert_int_equal(count, 200);
    assert_int_equal(points[0], 0);
    assert_int_equal(points[1], 500);
    assert_int_equal(points[199], 1234567);
    for (size_t i = 1; i < count; i++) {
        assert_true(points[i] > points[i - 1]);
        assert_true(points[i] % 100 == 0 || i == 199);
    }
    assert_int_equal(cart_splits(0, 0, 100, 0, points, 200, &allowed), 1);
    assert_int_equal(cart_splits(0, 0, 100, 50, points, 200, &allowed), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merge_adds_up),
        cmocka_unit_test(merge_prefers_the_cart_to_later),
        cmocka_unit_test(merge_stops_when_full),
        cmocka_unit_test(merge_keeps_its_promises),
        cmocka_unit_test(lines),
        cmocka_unit_test(if_match),
        cmocka_unit_test(splits_are_what_is_allowed),
        cmocka_unit_test(splits_are_sampled),
    };
    return cmocka_run_group_tests_name("cart", tests, NULL, NULL);
}
