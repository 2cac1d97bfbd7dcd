/* What happens when something dies: workers, Redis, connections, and tasks that take too long. */
#include "fixture.h"

#include "work/retry.h"

#include <signal.h>
#include <stdio.h>

/* JOB-2: tasks of a worker killed in the middle are taken over, and take effect once. */
static void killed_workers_are_replaced(void **state)
{
    (void)state;
    struct roles relay, workers;
    fixture_roles_start(&relay, 1, 0);
    pid_t victim = fixture_worker_process();
    for (int i = 0; i < 12; i++)
        fixture_enqueue("slow", NULL, 0, "{\"ms\":800}");
    fixture_publish(50, false);
    fixture_expect(3, "SELECT count(*) FROM task WHERE state = 'running' AND name = 'slow'");
    kill(victim, SIGKILL);
    fixture_wait(victim);
    assert_true(fixture_number("SELECT count(*) FROM task WHERE state = 'running'") > 0);
    fixture_roles_start(&workers, 0, 4);
    fixture_expect(112, "SELECT count(*) FROM task WHERE state = 'done'");
    assert_int_equal(fixture_number(EFFECTS_OF("slow")), 12);
    assert_int_equal(fixture_number(EFFECTS_OF("counted")), 50);
    assert_int_equal(fixture_number(EFFECTS_OF("free")), 50);
    assert_true(fixture_number("SELECT count(*) FROM task WHERE attempt = 2 AND name = 'slow'") > 0);
    fixture_roles_stop(&workers);
    fixture_roles_stop(&relay);
}

/* JOB-1: Redis is only a carrier. It is flushed, killed and started again while events come. */
static void redis_may_lose_everything(void **state)
{
    (void)state;
    struct roles roles;
    fixture_roles_start(&roles, 2, 4);
    for (int i = 0; i < 40; i++) {
        fixture_publish(10, false);
        if (i == 10 || i == 30)
            fixture_redis_flush();
        if (i == 20)
            fixture_redis_stop();
        if (i == 25)
            fixture_redis_start();
    }
    fixture_expect(800, "SELECT count(*) FROM task WHERE state = 'done'");
    assert_int_equal(fixture_number("SELECT count(*) FROM effect"), 800);
    fixture_roles_stop(&roles);
}

static void work_goes_on_without_redis(void **state)
{
    (void)state;
    struct roles roles;
    fixture_redis_stop();
    fixture_roles_start(&roles, 1, 4);
    fixture_publish(100, false);
    fixture_enqueue("failing_once", NULL, 0, NULL);
    fixture_expect(201, "SELECT count(*) FROM task WHERE state = 'done'");
    assert_int_equal(fixture_number("SELECT count(*) FROM effect"), 201);
    fixture_roles_stop(&roles);
}

static void work_goes_on_while_redis_hangs(void **state)
{
    (void)state;
    struct roles roles;
    fixture_roles_start(&roles, 1, 4);
    fixture_publish(10, false);
    fixture_redis_hang(true);
    fixture_publish(100, false);
    fixture_expect(220, "SELECT count(*) FROM task WHERE state = 'done'");
    fixture_redis_hang(false);
    fixture_publish(10, false);
    fixture_expect(240, "SELECT count(*) FROM task WHERE state = 'done'");
    assert_int_equal(fixture_number("SELECT count(*) FROM effect"), 240);
    fixture_roles_stop(&roles);
}

/* Entries that a worker read and never claimed, here: everything pushed is thrown away. */
static void lost_entries_are_pushed_again(void **state)
{
    (void)state;
    struct roles relay, workers;
    fixture_roles_start(&relay, 1, 0);
    fixture_publish(20, false);
    fixture_expect(40, "SELECT count(*) FROM task WHERE pushed_at IS NOT NULL");
    fixture_redis_flush();
    fixture_execute("UPDATE task SET pushed_at = pushed_at - interval '1 minute'");
    fixture_roles_start(&workers, 0, 2);
    fixture_expect(40, "SELECT count(*) FROM task WHERE state = 'done'");
    fixture_roles_stop(&workers);
    fixture_roles_stop(&relay);
}

/* The lease is one second; the task takes three and keeps it. */
static void heartbeat_keeps_the_lease(void **state)
{
    (void)state;
    struct roles roles;
    fixture_roles_start(&roles, 1, 2);
    fixture_enqueue("slow", NULL, 0, "{\"ms\":3000}");
    fixture_expect(1, "SELECT count(*) FROM task WHERE state = 'done'");
    assert_int_equal(fixture_number("SELECT attempt FROM task"), 1);
    assert_int_equal(fixture_number(EFFECTS_OF("slow")), 1);
    fixture_roles_stop(&roles);
}

/* Past its time limit the lease is not renewed. Another worker takes over; the first one finds its claim gone
 * when it wants to complete, and its transaction leaves nothing. */
static void late_completion_is_refused(void **state)
{
    (void)state;
    struct roles roles;
    fixture_roles_start(&roles, 1, 3);
    fixture_enqueue("hanging", NULL, 0, NULL);
    fixture_expect(1, "SELECT count(*) FROM task WHERE state = 'done' AND attempt = 2");
    fixture_roles_stop(&roles); /* waits for the one that hangs */
    assert_int_equal(fixture_number(EFFECTS_OF("hanging")), 1);
    assert_int_equal(fixture_number("SELECT attempt FROM effect"), 2);
}

/* The same for a failure that nobody has overtaken yet: its reason stays with the task. */
static void late_failure_is_recorded(void **state)
{
    (void)state;
    struct roles roles;
    fixture_roles_start(&roles, 1, 1); /* so that nobody else can claim it */
    fixture_enqueue("late", NULL, 0, NULL);
    fixture_expect(1, "SELECT count(*) FROM task WHERE state = 'done' AND attempt = 2");
    assert_int_equal(fixture_number("SELECT count(*) FROM task WHERE last_error LIKE '%%too late%%'"), 1);
    assert_int_equal(fixture_number(EFFECTS_OF("late")), 1);
    fixture_roles_stop(&roles);
}

/* A transaction past the task's time limit is cut off by the database and counts as a failure. */
static void stuck_transactions_are_cut_off(void **state)
{
    (void)state;
    struct roles roles;
    fixture_roles_start(&roles, 1, 1);
    fixture_enqueue("stuck", NULL, 0, NULL);
    fixture_expect(1, "SELECT count(*) FROM task WHERE state = 'done' AND attempt > 1 AND last_error LIKE "
                      "'%%statement timeout%%'");
    assert_int_equal(fixture_number(EFFECTS_OF("stuck")), 1);
    fixture_roles_stop(&roles);
}

/* Every connection of every role is cut, as often as a task is tried again at once. */
static void connections_may_be_lost(void **state)
{
    (void)state;
    struct roles roles;
    fixture_roles_start(&roles, 1, 4);
    for (int i = 0; i < RETRY_AT_ONCE; i++) {
        fixture_publish(66, false);
        fixture_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND "
            "application_name LIKE 'cathay %%'");
    }
    fixture_expect(396, "SELECT count(*) FROM task WHERE state = 'done'");
    assert_int_equal(fixture_number("SELECT count(*) FROM effect"), 396);
    fixture_roles_stop(&roles);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(killed_workers_are_replaced),    FIXTURE_TEST(redis_may_lose_everything),
        FIXTURE_TEST(work_goes_on_without_redis),     FIXTURE_TEST(work_goes_on_while_redis_hangs),
        FIXTURE_TEST(lost_entries_are_pushed_again),  FIXTURE_TEST(heartbeat_keeps_the_lease),
        FIXTURE_TEST(late_completion_is_refused),     FIXTURE_TEST(late_failure_is_recorded),
        FIXTURE_TEST(stuck_transactions_are_cut_off), FIXTURE_TEST(connections_may_be_lost),
    };
    return fixture_main(argc, argv, "work_crash", tests, sizeof tests / sizeof *tests);
}
