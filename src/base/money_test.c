/* Amounts at the ends of their ranges: arithmetic says that a result is beyond, and never stops the process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/money.h"

static const struct currency hkd = {"HKD"};

static const int64_t extremes[] = {0,
                                   1,
                                   -1,
                                   99,
                                   999,
                                   -999,
                                   1000000,
                                   100000000000,
                                   ORDER_TOTAL_MINOR_MAX,
                                   MONEY_MINOR_MAX - 1,
                                   MONEY_MINOR_MAX,
                                   MONEY_MINOR_MAX + 1,
                                   -MONEY_MINOR_MAX,
                                   INT32_MAX,
                                   INT64_MAX,
                                   INT64_MIN};
#define EXTREMES (sizeof extremes / sizeof *extremes)

static bool within(__int128 value)
{
    return value >= -(__int128)MONEY_MINOR_MAX && value <= (__int128)MONEY_MINOR_MAX;
}

static void sums_and_products_tell_when_they_are_beyond(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXTREMES; i++)
        for (size_t k = 0; k < EXTREMES; k++) {
            __int128 a = extremes[i], b = extremes[k];
            struct money result = money_of(7, hkd);
            assert_int_equal(money_add(money_of(extremes[i], hkd), money_of(extremes[k], hkd), &result),
                             within(a + b));
            assert_int_equal(result.minor, within(a + b) ? (int64_t)(a + b) : 7);
            result.minor = 7;
            assert_int_equal(money_times(money_of(extremes[i], hkd), extremes[k], &result), within(a * b));
            assert_int_equal(result.minor, within(a * b) ? (int64_t)(a * b) : 7);
        }
}

static void ratios_end_at_the_largest_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXTREMES; i++)
        for (size_t k = 0; k < EXTREMES; k++)
            for (size_t d = 0; d < EXTREMES; d++) {
                if (extremes[i] < 0 || extremes[k] < 0 || extremes[d] <= 0)
                    continue;
                __int128 exact = (__int128)extremes[i] * extremes[k];
                __int128 down = exact / extremes[d], up = down + (exact % extremes[d] ? 1 : 0);
                int64_t low = ratio_floor(extremes[i], extremes[k], extremes[d]);
                int64_t high = ratio_ceil(extremes[i], extremes[k], extremes[d]);
                assert_true(low == (down > RATIO_MAX ? RATIO_MAX : (int64_t)down));
                assert_true(high == (up > RATIO_MAX ? RATIO_MAX : (int64_t)up));
            }
}

/* Parts add up, and none exceeds its weight, however large they are. */
static void parts_of_large_amounts_add_up(void **state)
{
    (void)state;
    srandom(7);
    for (int round = 0; round < 5000; round++) {
        int64_t weights[100], parts[100], sum = 0, total = 0;
        size_t count = (size_t)(1 + random() % 100);
        for (size_t i = 0; i < count; i++) {
            weights[i] = random() % 3 ? random() % 1000 : ORDER_TOTAL_MINOR_MAX - random() % 3;
            sum += weights[i];
        }
        int64_t wanted = random() % 2 ? sum : (int64_t)((__int128)sum * (random() % 1000) / 1000);
        split_by_weight(wanted, weights, count, parts);
        for (size_t i = 0; i < count; i++) {
            assert_true(parts[i] >= 0 && parts[i] <= weights[i]);
            total += parts[i];
        }
        assert_true(total == wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_products_tell_when_they_are_beyond),
        cmocka_unit_test(ratios_end_at_the_largest_number),
        cmocka_unit_test(parts_of_large_amounts_add_up),
    };
    return cmocka_run_group_tests_name("money", tests, NULL, NULL);
}
