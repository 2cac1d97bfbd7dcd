/* Rules of background work that need no server: when a failed task runs again, who subscribes to what. */
#include "work/retry.h"
#include "work/violations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static enum error_code nothing(struct task_run *run)
{
    (void)run;
    return ERR_OK;
}

static const char *const on_made[] = {"thing.made", NULL};
static const char *const on_both[] = {"thing.made", "thing.gone", NULL};
static const struct event_definition events[] = {
    {"thing.made", "thing"}, {"thing.gone", NULL}, {.type = NULL}};
static const struct task_definition tasks[] = {
    {.name = "second", .events = on_both, .run = nothing, .attempts_max = 3, .timeout_s = 5},
    {.name = "first", .events = on_made, .run = nothing},
    {.name = "nightly", .run = nothing},
    {.name = NULL},
};
static const struct schedule_definition schedules[] = {{"nightly", 60, "why"}, {.name = NULL}};
static const struct module test_module = {
    .name = "test", .events = events, .tasks = tasks, .schedules = schedules};
const struct module *const modules[] = {&test_module, NULL};

static void delays_grow_with_the_fourth_power(void **state)
{
    (void)state;
    assert_int_equal(retry_delay_ms(1, 15, 0), 16000);
    assert_int_equal(retry_delay_ms(2, 15, 0), 31000);
    assert_int_equal(retry_delay_ms(10, 15, 0), 10015000);
    assert_int_equal(retry_delay_ms(20, 0, 0), 160000000);
    assert_int_equal(retry_delay_ms(1000000, 0, 0), retry_delay_ms(100, 0, 0)); /* no overflow */
    for (uint32_t random = 0; random < 100000; random += 7) {
        int64_t delay_ms = retry_delay_ms(1, 15, random * 40009u);
        assert_in_range(delay_ms, 16000, 20000);
    }
    assert_int_not_equal(retry_delay_ms(3, 15, 1), retry_delay_ms(3, 15, 2));
}

static void tries_are_limited(void **state)
{
    (void)state;
    const struct task_definition *three = work_task_find(STR("second")),
                                 *twenty = work_task_find(STR("first"));
    assert_false(retry_after_failure(three, 2, 0, 0).dead);
    assert_true(retry_after_failure(three, 3, 0, 0).dead);
    assert_false(retry_after_failure(twenty, 19, 0, 0).dead);
    assert_true(retry_after_failure(twenty, 20, 0, 0).dead);
    assert_int_equal(retry_after_loss(twenty, 1, 15, 0).delay_ms, 0);
    assert_int_equal(retry_after_loss(twenty, RETRY_AT_ONCE + 1, 15, 0).delay_ms, (256 + 15) * 1000);
    assert_true(retry_after_loss(three, 3, 0, 0).dead);
    assert_true(retry_after_loss(NULL, 20, 0, 0).dead);
    assert_false(retry_after_loss(NULL, 19, 0, 0).dead);
}

static void subscriptions_are_found(void **state)
{
    (void)state;
    const struct task_definition *const *found;
    assert_int_equal(work_subscribers(STR("thing.made"), &found), 2);
    assert_string_equal(found[0]->name, "first");
    assert_string_equal(found[1]->name, "second");
    assert_int_equal(work_subscribers(STR("thing.gone"), &found), 1);
    assert_string_equal(found[0]->name, "second");
    assert_int_equal(work_subscribers(STR("thing"), &found), 0);
    assert_int_equal(work_subscribers(STR("thing.made2"), &found), 0);
    assert_int_equal(work_subscribers(STR(""), &found), 0);
    assert_string_equal(work_event_invalidates(STR("thing.made")), "thing");
    assert_null(work_event_invalidates(STR("thing.gone")));
    assert_null(work_event_invalidates(STR("unknown")));
}

static void an_event_is_about_its_aggregate_or_what_it_lists(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    static const struct uuid zero, one = {{1}};
    struct uuid_array things = work_event_things(arena, one, STR_NONE);
    assert_true(things.count == 1 && uuid_equal(things.items[0], one));
    things = work_event_things(arena, zero,
                               STR("{\"ids\":[\"01000000000000000000000000000000\",\"nonsense\",7,"
                                   "\"02000000000000000000000000000000\"]}"));
    assert_int_equal(things.count, 2);
    assert_true(uuid_equal(things.items[0], one) && things.items[1].bytes[0] == 2);
    assert_int_equal(work_event_things(arena, zero, STR("{}")).count, 0);
    assert_int_equal(work_event_things(arena, zero, STR("[")).count, 0);
    assert_int_equal(work_event_things(arena, zero, STR_NONE).count, 0);
    arena_free(arena);
}

static void definitions_have_defaults(void **state)
{
    (void)state;
    assert_int_equal(work_attempts_max(work_task_find(STR("second"))), 3);
    assert_int_equal(work_timeout_s(work_task_find(STR("second"))), 5);
    assert_int_equal(work_attempts_max(work_task_find(STR("first"))), WORK_ATTEMPTS_DEFAULT);
    assert_int_equal(work_timeout_s(work_task_find(STR("first"))), WORK_TIMEOUT_DEFAULT_S);
    assert_null(work_task_find(STR("fir")));
    assert_true(work_is_schedule(STR("nightly")));
    assert_false(work_is_schedule(STR("first")));
}

static void violations_are_bounded(void **state)
{
    (void)state;
    struct violations found = {.arena = arena_new()};
    for (int i = 0; i < VIOLATIONS_MAX + 5; i++)
        violation_add(&found, "here", "number %d", i);
    assert_int_equal(found.count, VIOLATIONS_MAX);
    assert_int_equal(found.more, 5);
    assert_true(str_equal(found.items[7].what, STR("number 7")));
    arena_free(found.arena);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(delays_grow_with_the_fourth_power),
        cmocka_unit_test(tries_are_limited),
        cmocka_unit_test(subscriptions_are_found),
        cmocka_unit_test(an_event_is_about_its_aggregate_or_what_it_lists),
        cmocka_unit_test(definitions_have_defaults),
        cmocka_unit_test(violations_are_bounded),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
