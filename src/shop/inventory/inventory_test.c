#include "shop/inventory/inventory.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_states_have_borders(void **state)
{
    (void)state;
    assert_int_equal(stock_state(-1), STOCK_OUT);
    assert_int_equal(stock_state(0), STOCK_OUT);
    assert_int_equal(stock_state(1), STOCK_LOW);
    assert_int_equal(stock_state(STOCK_LOW_MOST), STOCK_LOW);
    assert_int_equal(stock_state(STOCK_LOW_MOST + 1), STOCK_IN);
    assert_string_equal(stock_state_text(STOCK_OUT), "out_of_stock");
    assert_int_equal(stock_shown(-1), 0);
    assert_int_equal(stock_shown(9), 9);
    assert_int_equal(stock_shown(INT64_MAX), STOCK_SHOWN_MAX);
    assert_string_equal(stock_state_text(STOCK_LOW), "low");
    assert_string_equal(stock_state_text(STOCK_IN), "in_stock");
}

static struct stock_row row(uint8_t location, int32_t priority, int32_t on_hand, int32_t reserved)
{
    return (struct stock_row){
        .location_id = {{{location}}}, .priority = priority, .on_hand = on_hand, .reserved = reserved};
}

static void test_the_first_place_that_has_all_of_it(void **state)
{
    (void)state;
    struct stock_row rows[] = {row(1, 2, 100, 0), row(2, 1, 3, 1), row(3, 0, 1, 1)};
    struct stock_part parts[3];
    assert_int_equal(stock_allocate(rows, 3, 2, parts), 1);
    assert_int_equal(parts[0].location_id.uuid.bytes[0], 2);
    assert_int_equal(rows[1].reserved, 3);
    assert_int_equal(stock_allocate(rows, 3, 2, parts), 1);
    assert_int_equal(parts[0].location_id.uuid.bytes[0], 1);
}

static void test_equal_priorities_go_by_location(void **state)
{
    (void)state;
    struct stock_row rows[] = {row(9, 0, 5, 0), row(4, 0, 5, 0)};
    struct stock_part parts[2];
    assert_int_equal(stock_allocate(rows, 2, 5, parts), 1);
    assert_int_equal(parts[0].location_id.uuid.bytes[0], 4);
}

static void test_a_line_is_spread_when_no_place_has_all(void **state)
{
    (void)state;
    struct stock_row rows[] = {row(1, 1, 4, 0), row(2, 0, 3, 0), row(3, 2, 9, 6)};
    struct stock_part parts[3];
    assert_int_equal(stock_allocate(rows, 3, 8, parts), 3);
    assert_int_equal(parts[0].location_id.uuid.bytes[0], 2);
    assert_int_equal(parts[0].quantity, 3);
    assert_int_equal(parts[1].location_id.uuid.bytes[0], 1);
    assert_int_equal(parts[1].quantity, 4);
    assert_int_equal(parts[2].location_id.uuid.bytes[0], 3);
    assert_int_equal(parts[2].quantity, 1);
}

static void test_too_much_changes_nothing(void **state)
{
    (void)state;
    struct stock_row rows[] = {row(1, 1, 4, 1), row(2, 0, 3, 0)};
    struct stock_part parts[2];
    assert_int_equal(stock_allocate(rows, 2, 7, parts), 0);
    assert_int_equal(rows[0].reserved, 1);
    assert_int_equal(rows[1].reserved, 0);
    assert_int_equal(stock_allocate(rows, 0, 1, parts), 0);
}

/* Whatever the stock, allocating line after line hands out each unit once and never more than there is. */
static void test_every_unit_once(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (int round = 0; round < 2000; round++) {
        struct stock_row rows[4];
        int64_t available = 0, taken = 0;
        for (uint8_t i = 0; i < 4; i++) {
            seed = seed * 1664525u + 1013904223u;
            int32_t on_hand = (int32_t)(seed >> 24 & 15),
                    reserved = on_hand ? (int32_t)(seed >> 16 & 15) % (on_hand + 1) : 0;
            rows[i] = row(i, (int32_t)(seed >> 8 & 3), on_hand, reserved);
            available += on_hand - reserved;
        }
        for (;;) {
            seed = seed * 1664525u + 1013904223u;
            int32_t quantity = 1 + (int32_t)(seed >> 20 & 7);
            struct stock_part parts[4];
            size_t count = stock_allocate(rows, 4, quantity, parts);
            if (count == 0) {
                assert_true(available - taken < quantity);
                break;
            }
            int32_t sum = 0;
            for (size_t i = 0; i < count; i++) {
                assert_true(parts[i].quantity > 0);
                sum += parts[i].quantity;
            }
            assert_int_equal(sum, quantity);
            taken += sum;
            for (int i = 0; i < 4; i++)
                assert_true(rows[i].reserved <= rows[i].on_hand);
        }
        assert_true(taken <= available);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states_have_borders),
        cmocka_unit_test(test_the_first_place_that_has_all_of_it),
        cmocka_unit_test(test_equal_priorities_go_by_location),
        cmocka_unit_test(test_a_line_is_spread_when_no_place_has_all),
        cmocka_unit_test(test_too_much_changes_nothing),
        cmocka_unit_test(test_every_unit_once),
    };
    return cmocka_run_group_tests_name("inventory", tests, NULL, NULL);
}
