/* The rules of Miles plus Cash (CHK-2, CHK-4): bounds, steps, and splits whose parts add up, over many random
 * orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shop/loyalty/loyalty.h"

static struct miles_policy policy(void)
{
    return (struct miles_policy){.version = 1,
                                 .minimum_points = 500,
                                 .step_points = 100,
                                 .maximum_share = 10000,
                                 .points_unit = 100,
                                 .minor_unit = 1000,
                                 .earn_minor = 400,
                                 .earn_points = 1};
}

static void quote_within_bounds(void **state)
{
    (void)state;
    struct miles_policy rules = policy();
    struct miles_line line = {.total_minor = 100000, .tender = TENDER_ANY};
    struct miles_quote quote;
    miles_quote(&rules, &line, 1, 4321, &quote);
    assert_int_equal(quote.minimum, 500);
    assert_int_equal(quote.maximum, 4300);
    assert_null(miles_points_refusal(&quote, 0));
    assert_null(miles_points_refusal(&quote, 4300));
    assert_string_equal(miles_points_refusal(&quote, 4400), "above_maximum");
    assert_string_equal(miles_points_refusal(&quote, 400), "below_minimum");
    assert_string_equal(miles_points_refusal(&quote, 550), "off_step");
    assert_int_equal(miles_value_minor(&rules, &quote, 4300), 43000);
}

static void points_alone_and_cash_alone(void **state)
{
    (void)state;
    struct miles_policy rules = policy();
    struct miles_line lines[] = {{.total_minor = 99990, .tender = TENDER_ANY},
                                 {.total_minor = 5, .tender = TENDER_ANY}};
    struct miles_quote quote;
    miles_quote(&rules, lines, 2, 1000000, &quote);
    assert_int_equal(quote.maximum, 10000); /* 99,995 at 10 a point, rounded up */
    miles_split(&rules, &quote, quote.maximum, lines, 2);
    assert_int_equal(lines[0].cash_minor + lines[1].cash_minor, 0);
    assert_int_equal(lines[0].points + lines[1].points, 10000);
    miles_split(&rules, &quote, 0, lines, 2);
    assert_int_equal(lines[0].cash_minor + lines[1].cash_minor, 99995);
    assert_int_equal(lines[0].points + lines[1].points, 0);
}

static void share_caps_but_points_only_lines_do_not_care(void **state)
{
    (void)state;
    struct miles_policy rules = policy();
    rules.maximum_share = 5000;
    struct miles_line lines[] = {{.total_minor = 60000, .tender = TENDER_POINTS_ONLY},
                                 {.total_minor = 40000, .tender = TENDER_ANY},
                                 {.total_minor = 10000, .tender = TENDER_CASH_ONLY}};
    struct miles_quote quote;
    miles_quote(&rules, lines, 3, 1000000, &quote);
    assert_int_equal(quote.required, 6000);
    assert_int_equal(quote.coverable_minor, 60000); /* half of 110,000 is less than the points-only line */
    assert_string_equal(miles_points_refusal(&quote, 0), "below_required");
    assert_null(miles_points_refusal(&quote, 6000));
    miles_quote(&rules, lines, 3, 100, &quote);
    assert_int_equal(quote.maximum, 0);
}

static void nothing_to_redeem_on_small_balances(void **state)
{
    (void)state;
    struct miles_policy rules = policy();
    struct miles_line line = {.total_minor = 100000, .tender = TENDER_ANY};
    struct miles_quote quote;
    miles_quote(&rules, &line, 1, 499, &quote);
    assert_int_equal(quote.maximum, 0);
    assert_string_equal(miles_points_refusal(&quote, 400), "above_maximum");
    line.tender = TENDER_CASH_ONLY;
    miles_quote(&rules, &line, 1, 100000, &quote);
    assert_int_equal(quote.maximum, 0);
}

/* Whatever the prices and the rates: every allowed split adds up to the unit, no line is paid twice, and the
 * value of the points differs from the exact one by less than one smallest unit of money or one point. */
static void every_split_adds_up(void **state)
{
    (void)state;
    srandom(42);
    for (int round = 0; round < 20000; round++) {
        struct miles_policy rules = policy();
        rules.minor_unit = 1 + random() % 3000;
        rules.points_unit = 1 + random() % 300;
        rules.maximum_share = (int32_t)(random() % 10001);
        rules.minimum_points = random() % 1000;
        rules.step_points = 1 + random() % 500;
        struct miles_line lines[6];
        size_t count = (size_t)(1 + random() % 6);
        int64_t total = 0;
        for (size_t i = 0; i < count; i++) {
            lines[i] = (struct miles_line){.total_minor = random() % 500000,
                                           .tender = (enum miles_tender)(random() % 3)};
            total += lines[i].total_minor;
        }
        struct miles_quote quote;
        miles_quote(&rules, lines, count, random() % 200000, &quote);
        int64_t points = random() % 2 ? quote.maximum : quote.maximum ? random() % (quote.maximum + 1) : 0;
        if (miles_points_refusal(&quote, points))
            continue;
        miles_split(&rules, &quote, points, lines, count);
        int64_t points_sum = 0, value_sum = 0, cash_sum = 0;
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(lines[i].points_value_minor + lines[i].cash_minor, lines[i].total_minor);
            assert_true(lines[i].points >= 0 && lines[i].points_value_minor >= 0 && lines[i].cash_minor >= 0);
            if (lines[i].tender == TENDER_CASH_ONLY)
                assert_int_equal(lines[i].points_value_minor, 0);
            points_sum += lines[i].points;
            value_sum += lines[i].points_value_minor;
            cash_sum += lines[i].cash_minor;
        }
        assert_int_equal(points_sum, points);
        assert_int_equal(value_sum + cash_sum, total);
        int64_t exact_times_unit = points * rules.minor_unit;
        assert_true(value_sum * rules.points_unit <= exact_times_unit);
        assert_true(exact_times_unit - value_sum * rules.points_unit <
                    (rules.points_unit > rules.minor_unit ? rules.points_unit : rules.minor_unit));
    }
}

static void what_was_spent_is_lent(void **state)
{
    (void)state;
    assert_int_equal(miles_lent(0, 0), 0);
    assert_int_equal(miles_lent(100, 250), 0);
    assert_int_equal(miles_lent(100, 100), 0);
    assert_int_equal(miles_lent(100, 99), 1);
    assert_int_equal(miles_lent(100, 0), 100);
    srandom(7);
    for (int round = 0; round < 10000; round++) {
        int64_t earned = random() % 1000, available = random() % 1000;
        int64_t lent = miles_lent(earned, available);
        assert_true(lent >= 0 && lent <= earned);
        assert_true(available + lent - earned >= 0);
        assert_true(lent == 0 || available + lent == earned); /* who owes has nothing left */
    }
}

static int64_t one_of(const int64_t *values, size_t count)
{
    return values[(size_t)random() % count];
}

#define ONE_OF(...)                                                                                          \
    one_of((const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* Rules, prices and balances at their bounds, all at once, and rules that are beyond what a manager may set:
 * splits still add up, and nothing is given away where the points are more than anybody has. */
static void extremes_add_up_too(void **state)
{
    (void)state;
    srandom(43);
    for (int round = 0; round < 50000; round++) {
        struct miles_policy rules = {
            .minimum_points = ONE_OF(0, 1, 500, 10000000),
            .step_points = ONE_OF(1, 7, 100, 1000000),
            .maximum_share = (int32_t)ONE_OF(0, 1, 5000, 9999, 10000),
            .points_unit = ONE_OF(1, 3, 1000, 1000000, INT64_MAX),
            .minor_unit = ONE_OF(1, 7, 1000, 1000000, INT64_MAX),
            .earn_minor = ONE_OF(1, 100, 1000000),
            .earn_points = ONE_OF(0, 1, 1000, 1000000, INT64_MAX),
        };
        struct miles_line lines[MILES_LINES_MAX];
        size_t count = (size_t)ONE_OF(1, 2, 11, MILES_LINES_MAX);
        int64_t total = 0;
        for (size_t i = 0; i < count; i++) {
            lines[i] = (struct miles_line){.total_minor = ONE_OF(1, 99, 100000000000, MONEY_MINOR_MAX),
                                           .tender = (enum miles_tender)(random() % 3)};
            total += lines[i].total_minor;
        }
        int64_t available = ONE_OF(INT64_MIN, -1, 0, 1, 999999999, POINTS_MAX, INT64_MAX);
        struct miles_quote quote;
        miles_quote(&rules, lines, count, available, &quote);
        assert_true(quote.maximum >= 0 && (quote.maximum == 0 || quote.maximum <= available));
        assert_true(miles_earned(&rules, total) >= 0 && miles_earned(&rules, total) <= POINTS_MAX);
        int64_t points =
            ONE_OF(0, 1, 1000000000, POINTS_MAX, quote.minimum, quote.maximum, quote.maximum, quote.required);
        if (points > available || miles_points_refusal(&quote, points))
            continue;
        miles_split(&rules, &quote, points, lines, count);
        int64_t points_sum = 0, paid = 0;
        for (size_t i = 0; i < count; i++) {
            assert_true(lines[i].points >= 0 && lines[i].points_value_minor >= 0 && lines[i].cash_minor >= 0);
            points_sum += lines[i].points;
            paid += lines[i].points_value_minor + lines[i].cash_minor;
        }
        assert_true(points_sum == points && paid == total);
    }
}

static void rates_are_refused_where_points_would_be_worth_next_to_nothing(void **state)
{
    (void)state;
    struct miles_policy rules = {
        .points_unit = 1000, .minor_unit = 1, .earn_points = 1000000, .earn_minor = 1000};
    assert_null(miles_rate_refusal(&rules));
    rules.points_unit = 1001;
    assert_string_equal(miles_rate_refusal(&rules), "points_unit");
    rules.points_unit = 1000;
    rules.earn_minor = 999;
    assert_string_equal(miles_rate_refusal(&rules), "earn_points");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quote_within_bounds),
        cmocka_unit_test(points_alone_and_cash_alone),
        cmocka_unit_test(share_caps_but_points_only_lines_do_not_care),
        cmocka_unit_test(nothing_to_redeem_on_small_balances),
        cmocka_unit_test(every_split_adds_up),
        cmocka_unit_test(what_was_spent_is_lent),
        cmocka_unit_test(extremes_add_up_too),
        cmocka_unit_test(rates_are_refused_where_points_would_be_worth_next_to_nothing),
    };
    return cmocka_run_group_tests_name("loyalty", tests, NULL, NULL);
}
