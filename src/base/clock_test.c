/* Times at the ends of what RFC 3339 writes, and identifiers made from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/id.h"

static void what_is_read_can_be_told_again(void **state)
{
    (void)state;
    static const char *const good[] = {"0001-01-01T00:00:00Z",       "9999-12-31T23:59:59.999999Z",
                                       "2016-12-31T23:59:60Z",       "9999-12-31T23:59:59+14:00",
                                       "0001-01-01T00:00:00-14:00",  "1970-01-01T00:00:00Z",
                                       "2024-02-29t12:00:00.5+08:00"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t time_us, again_us;
        char text[CLOCK_TEXT_MAX];
        assert_true(clock_parse(str_from(good[i]), &time_us));
        size_t len = clock_format(time_us, text);
        assert_true(clock_parse((struct str){text, len}, &again_us));
        assert_true(again_us == time_us);
    }
}

static void times_beyond_the_years_that_can_be_written_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0000-01-01T00:00:00Z",      "0000-12-31T23:59:59Z",      "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:60Z",      "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",      "10000-01-01T00:00:00Z",     "2026-01-01T24:00:00Z",
        "-001-01-01T00:00:00Z",      "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t time_us;
        if (clock_parse(str_from(bad[i]), &time_us))
            fail_msg("%s", bad[i]);
    }
}

static void bounds_of_identifiers_keep_the_order_of_times(void **state)
{
    (void)state;
    static const int64_t times_us[] = {INT64_MIN,        -62135596800000000, -1000, 0, 1000,
                                       1767225600000000, 253402300799999999};
    for (size_t i = 1; i < sizeof times_us / sizeof *times_us; i++)
        assert_true(uuid_compare(uuid_floor(times_us[i - 1]), uuid_floor(times_us[i])) <= 0);
    assert_true(uuid_time_ms(uuid_floor(-1)) == 0);
}

static void an_identifier_has_one_spelling(void **state)
{
    (void)state;
    struct order_id id;
    assert_true(order_id_parse(STR("ord_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f"), &id));
    assert_false(order_id_parse(STR("ord_0192F3C4A5B67C8D9E0F1A2B3C4D5E6F"), &id));
    assert_false(order_id_parse(STR("ord_0192f3c4-a5b6-7c8d-9e0f-1a2b3c4d5e6f"), &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_can_be_told_again),
        cmocka_unit_test(times_beyond_the_years_that_can_be_written_are_none),
        cmocka_unit_test(bounds_of_identifiers_keep_the_order_of_times),
        cmocka_unit_test(an_identifier_has_one_spelling),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
