/* Schedules (JOB-3), live news and invalidation (ORD-4, CCH-2), cleaning up, invariants, migrations. */
#include "fixture.h"

#include "base/clock.h"
#include "pg/migrate.h"
#include "work/violations.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define LEADERS                                                                                              \
    "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.locktype = "           \
    "'advisory' AND "                                                                                        \
    "l.granted AND d.datname = current_database()"

static void one_scheduler_leads(void **state)
{
    (void)state;
    struct error error = {.code = ERR_OK};
    struct scheduler *schedulers[2];
    struct roles roles;
    for (int i = 0; i < 2; i++)
        assert_int_equal(scheduler_start(&schedulers[i], &error), ERR_OK);
    fixture_roles_start(&roles, 1, 1);
    fixture_expect(1, LEADERS);
    fixture_expect(2, EFFECTS_OF("tick")); /* every second */
    assert_int_equal(fixture_number(LEADERS), 1);
    fixture_execute(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted");
    int64_t before = fixture_number(EFFECTS_OF("tick"));
    fixture_expect(before + 2, EFFECTS_OF("tick"));
    fixture_expect(1, LEADERS);
    /* Never closer than the interval, whoever led. */
    assert_int_equal(fixture_number("SELECT count(*) FROM (SELECT created_at - lag(created_at) OVER (ORDER "
                                    "BY created_at) AS gap FROM task "
                                    "WHERE name = 'tick') g WHERE gap < interval '0.8 seconds'"),
                     0);
    for (int i = 0; i < 2; i++)
        scheduler_stop(schedulers[i]);
    fixture_roles_stop(&roles);
    fixture_expect(0, LEADERS);
}

static void schedules_can_be_paused(void **state)
{
    (void)state;
    struct error error = {.code = ERR_OK};
    struct scheduler *scheduler;
    assert_int_equal(scheduler_start(&scheduler, &error), ERR_OK);
    fixture_expect(1, "SELECT count(*) FROM schedule WHERE name = 'tick' AND last_started_at IS NOT NULL");
    /* Nobody runs it, so one task waits however often it is due. */
    fixture_expect(1, "SELECT count(*) FROM schedule WHERE name = 'tick' AND last_started_at > (SELECT "
                      "min(created_at) + interval '1.5 seconds' FROM task WHERE name = 'tick')");
    assert_int_equal(fixture_number("SELECT count(*) FROM task WHERE name = 'tick'"), 1);
    fixture_execute("UPDATE schedule SET paused = true; UPDATE schedule SET due_at = now() - interval '1 "
                    "hour'; DELETE FROM task");
    fixture_sleep_ms(300);
    assert_int_equal(fixture_number("SELECT count(*) FROM task"), 0);
    fixture_execute("UPDATE schedule SET paused = false");
    fixture_expect(1, "SELECT count(*) FROM task WHERE name = 'tick'");
    assert_int_equal(fixture_number("SELECT count(*) FROM schedule WHERE name = 'tick' AND due_at > now()"),
                     1);
    scheduler_stop(scheduler);
}

static atomic_int news_count, invalidated, dropped_all;
static struct uuid invalidated_id;
static pthread_mutex_t invalidated_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_news(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static void on_invalidate(struct str kind, struct uuid id)
{
    if (kind.len == 0) {
        atomic_fetch_add(&dropped_all, 1);
        return;
    }
    assert_true(str_equal(kind, STR("thing")));
    pthread_mutex_lock(&invalidated_lock);
    invalidated_id = id;
    pthread_mutex_unlock(&invalidated_lock);
    atomic_fetch_add(&invalidated, 1);
}

static void wait_above(atomic_int *counter, int value, const char *what)
{
    int64_t until_us = clock_monotonic_us() + (int64_t)WAIT_MS * 1000;
    while (atomic_load(counter) <= value) {
        if (clock_monotonic_us() > until_us)
            fail_msg("never came: %s", what);
        fixture_sleep_ms(5);
    }
}

static enum error_code publish_one(struct pg *db, void *context)
{
    struct event event = {
        .type = STR("thing.made"), .aggregate_id = *(struct uuid *)context, .payload = STR("{}")};
    return outbox_publish(db, &event, NULL);
}

static void publish_about(struct uuid id)
{
    assert_int_equal(pg_transaction(fixture_db(), publish_one, &id), ERR_OK);
}

/* News of one aggregate reaches its subscriber, by Redis, without Redis, and with Redis again. */
static void news_arrive(void **state)
{
    (void)state;
    struct error error = {.code = ERR_OK};
    struct roles roles;
    atomic_int other_news = 0;
    struct uuid mine = uuid_new(), other = uuid_new();
    fixture_roles_start(&roles, 1, 0);
    live_on_invalidate(on_invalidate);
    assert_int_equal(live_start(&error), ERR_OK);
    wait_above(&dropped_all, 0, "the first drop");
    struct live_subscription *subscription = live_subscribe(mine, on_news, &news_count);
    struct live_subscription *second = live_subscribe(other, on_news, &other_news);
    int seen = atomic_load(&news_count), seen_other = atomic_load(&other_news);
    publish_about(mine);
    wait_above(&news_count, seen, "news by Redis");
    wait_above(&invalidated, 0, "an invalidation by Redis");
    pthread_mutex_lock(&invalidated_lock);
    assert_true(uuid_equal(invalidated_id, mine));
    pthread_mutex_unlock(&invalidated_lock);
    assert_int_equal(atomic_load(&other_news), seen_other);

    int drops = atomic_load(&dropped_all);
    fixture_redis_stop();
    wait_above(&dropped_all, drops, "a drop of everything when Redis goes");
    for (int i = 0; i < 3; i++) {
        seen = atomic_load(&news_count);
        int count = atomic_load(&invalidated);
        publish_about(mine);
        wait_above(&news_count, seen, "news without Redis");
        wait_above(&invalidated, count, "an invalidation without Redis");
    }
    drops = atomic_load(&dropped_all);
    fixture_redis_start();
    wait_above(&dropped_all, drops, "a drop of everything when Redis comes back");
    seen = atomic_load(&news_count);
    publish_about(mine);
    wait_above(&news_count, seen, "news with Redis again");

    live_unsubscribe(subscription);
    seen = atomic_load(&news_count);
    seen_other = atomic_load(&other_news);
    publish_about(mine);
    publish_about(other);
    wait_above(&other_news, seen_other, "news of the other");
    assert_int_equal(atomic_load(&news_count), seen);
    live_unsubscribe(second);
    live_stop();
    live_on_invalidate(NULL);
    fixture_roles_stop(&roles);
}

static struct live_subscription *own_subscription;
static atomic_int own_calls;

static void unsubscribe_self(void *context)
{
    (void)context;
    live_unsubscribe(own_subscription);
    atomic_fetch_add(&own_calls, 1);
}

static void *churn(void *context)
{
    for (int i = 0; i < 2000; i++) {
        atomic_int *calls = malloc(sizeof *calls);
        atomic_init(calls, 0);
        struct live_subscription *one = live_subscribe(*(struct uuid *)context, on_news, calls);
        if (i % 8 == 0)
            fixture_sleep_ms(1);
        live_unsubscribe(one);
        free(calls); /* a callback after this is found by the sanitizer */
    }
    return NULL;
}

static void subscribers_come_and_go(void **state)
{
    (void)state;
    struct error error = {.code = ERR_OK};
    struct roles roles;
    struct uuid id = uuid_new();
    fixture_roles_start(&roles, 1, 0);
    assert_int_equal(live_start(&error), ERR_OK);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &id), 0);
    own_subscription = live_subscribe(uuid_floor(0), unsubscribe_self, NULL);
    for (int i = 0; i < 50; i++)
        publish_about(id);
    publish_about(uuid_floor(0));
    wait_above(&own_calls, 0, "a callback that unsubscribes itself");
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&own_calls), 1);
    live_stop();
    fixture_roles_stop(&roles);
}

static void old_rows_are_removed(void **state)
{
    (void)state;
    struct roles roles;
    fixture_roles_start(&roles, 1, 2);
    fixture_publish(30, false);
    fixture_enqueue("hopeless", NULL, 0, NULL);
    fixture_enqueue("hopeless", NULL, 0, NULL);
    fixture_expect(62, "SELECT count(*) FROM task WHERE finished_at IS NOT NULL");
    /* Ten events of two days ago, done; one dead task of 31 days ago, one of 29. */
    fixture_execute(
        "CREATE TEMP TABLE old AS SELECT id AS was, overlay(id::text placing left(uuid_floor(now() - "
        "interval '2 days')::text, 13) from 1 for 13)::uuid AS id FROM outbox LIMIT 10");
    fixture_execute("UPDATE task SET event_id = old.id, finished_at = now() - interval '25 hours' FROM old "
                    "WHERE event_id = old.was");
    fixture_execute("UPDATE outbox SET id = old.id, expanded_at = now() - interval '2 days' FROM old WHERE "
                    "outbox.id = old.was");
    fixture_execute("UPDATE task SET finished_at = now() - interval '29 days' WHERE name = 'hopeless'");
    fixture_execute("UPDATE task SET finished_at = now() - interval '31 days' WHERE id = (SELECT "
                    "min(id::text)::uuid FROM task WHERE name = 'hopeless')");
    fixture_enqueue("work_cleanup", NULL, 0, NULL);
    fixture_expect(1, "SELECT count(*) FROM task WHERE name = 'work_cleanup' AND state = 'done'");
    assert_int_equal(fixture_number("SELECT count(*) FROM outbox"), 20);
    assert_int_equal(fixture_number("SELECT count(*) FROM task WHERE name IN ('counted', 'free')"), 40);
    assert_int_equal(fixture_number("SELECT count(*) FROM task WHERE name = 'hopeless'"), 1);
    fixture_execute("DROP TABLE old");
    fixture_roles_stop(&roles);
}

static void partitions_are_made(void **state)
{
    (void)state;
    struct roles roles;
    fixture_execute("DO $$ DECLARE t text; BEGIN FOR t IN SELECT name || '_' || to_char(now() + interval '3 "
                    "months', 'YYYYMM') "
                    "FROM partitioned_table LOOP EXECUTE format('DROP TABLE %%I', t); END LOOP; END $$");
    fixture_roles_start(&roles, 1, 1);
    fixture_enqueue("work_partitions", NULL, 0, NULL);
    fixture_expect(1, "SELECT count(*) FROM task WHERE name = 'work_partitions' AND state = 'done'");
    /* What grows with orders, from this month to the third from now. */
    assert_int_equal(
        fixture_number(
            "SELECT count(*) FROM "
            "unnest('{orders,order_line,order_event,reservation,fulfilment,transfer}'::text[]) name, "
            "generate_series(0, 3) ahead WHERE to_regclass(name || '_' || to_char(date_trunc('month', now()) "
            "+ "
            "make_interval(months => ahead), 'YYYYMM')) IS NOT NULL"),
        24);
    /* As full as their table says. */
    assert_int_equal(
        fixture_number("SELECT count(*) FROM pg_class WHERE relname = 'reservation_' || to_char(now() + "
                       "interval '3 months', 'YYYYMM') AND reloptions = '{fillfactor=50}'"),
        1);
    fixture_roles_stop(&roles);
}

/* How many violations the invariant finds. */
static size_t violations_of(const char *name)
{
    struct violations found = {.arena = arena_new()};
    const struct invariant *invariant = work_module.invariants;
    while (strcmp(invariant->name, name) != 0) {
        invariant++;
        assert_non_null(invariant->name);
    }
    assert_int_equal(invariant->check(fixture_db(), found.arena, &found), ERR_OK);
    arena_free(found.arena);
    return found.count;
}

/* OPS-8: each invariant holds after ordinary work, and sees what is broken by hand. */
static void broken_invariants_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *name, *damage;
        size_t found;
    } cases[] = {
        {"events_become_tasks_in_time",
         "UPDATE outbox SET expanded_at = NULL, task_count = NULL, created_at = now() - interval '6 minutes' "
         "WHERE id = (SELECT id FROM outbox LIMIT 1)",
         1},
        {"event_tasks_complete",
         "DELETE FROM task WHERE id = (SELECT id FROM task WHERE name = 'free' LIMIT 1)", 1},
        {"task_states_whole",
         "UPDATE task SET finished_at = NULL WHERE id = (SELECT id FROM task WHERE name = 'free' LIMIT 1)",
         1},
        {"task_states_whole",
         "UPDATE task SET state = 'running', finished_at = NULL WHERE id = (SELECT id FROM task WHERE name = "
         "'free' LIMIT 1)",
         1},
        {"leases_taken_back",
         "UPDATE task SET state = 'running', finished_at = NULL, lease_owner = id, lease_until = now() - "
         "interval '6 minutes' "
         "WHERE id = (SELECT id FROM task WHERE name = 'free' LIMIT 1)",
         1},
        {"task_events_kept",
         "UPDATE task SET state = 'dead', event_id = gen_random_uuid() WHERE id = (SELECT id FROM task WHERE "
         "name = 'free' LIMIT 1)",
         1},
        {"task_names_known",
         "UPDATE task SET state = 'ready', finished_at = NULL, name = 'gone', created_at = now() - interval "
         "'2 hours' WHERE name = 'free'",
         1},
    };
    struct roles roles;
    fixture_roles_start(&roles, 1, 2);
    fixture_publish(20, false);
    fixture_expect(40, "SELECT count(*) FROM task WHERE state = 'done'");
    fixture_roles_stop(&roles);
    for (const struct invariant *one = work_module.invariants; one->name; one++)
        assert_int_equal(violations_of(one->name), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_execute(
            "CREATE TEMP TABLE was_task AS TABLE task; CREATE TEMP TABLE was_outbox AS TABLE outbox");
        fixture_execute("%s", cases[i].damage);
        assert_int_equal(violations_of(cases[i].name), cases[i].found);
        fixture_execute("TRUNCATE task, outbox; INSERT INTO task TABLE was_task; INSERT INTO outbox TABLE "
                        "was_outbox; DROP TABLE was_task, was_outbox");
        assert_int_equal(violations_of(cases[i].name), 0);
    }
}

/* OPS-2: changed files and newer databases are refused, before anything is done. */
static void migrations_refuse_surprises(void **state)
{
    (void)state;
    struct error error = {.code = ERR_OK};
    struct pg *db = fixture_db();
    assert_int_equal(migrate_check(db, &error), ERR_OK);
    assert_int_equal(migrate_apply(db, NULL, NULL, &error), ERR_OK);
    fixture_execute("UPDATE schema_migration SET checksum = 'x' || checksum WHERE version = 1");
    assert_int_equal(migrate_check(db, &error), ERR_CONFLICT);
    assert_int_equal(migrate_apply(db, NULL, NULL, &error), ERR_CONFLICT);
    assert_non_null(strstr(error.detail, "0001_foundation"));
    fixture_execute("UPDATE schema_migration SET checksum = substr(checksum, 2) WHERE version = 1");
    fixture_execute("INSERT INTO schema_migration VALUES (9999, '9999_later', 'x')");
    assert_int_equal(migrate_check(db, &error), ERR_OK); /* a release before it may go on working */
    assert_int_equal(migrate_apply(db, NULL, NULL, &error), ERR_CONFLICT);
    assert_non_null(strstr(error.detail, "9999_later"));
    fixture_execute("DELETE FROM schema_migration WHERE version = 9999");
    fixture_execute("CREATE TEMP TABLE applied AS TABLE schema_migration");
    fixture_execute("DELETE FROM schema_migration");
    assert_int_equal(migrate_check(db, &error), ERR_PRECONDITION);
    /* The first one's tables are there already: the file fails, and says why. */
    assert_int_not_equal(migrate_apply(db, NULL, NULL, &error), ERR_OK);
    assert_non_null(strstr(error.detail, "already exists"));
    fixture_execute("INSERT INTO schema_migration TABLE applied; DROP TABLE applied");
    assert_int_equal(migrate_check(db, &error), ERR_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(one_scheduler_leads),
        FIXTURE_TEST(schedules_can_be_paused),
        FIXTURE_TEST(news_arrive),
        FIXTURE_TEST(subscribers_come_and_go),
        FIXTURE_TEST(old_rows_are_removed),
        FIXTURE_TEST(partitions_are_made),
        FIXTURE_TEST(broken_invariants_are_found),
        FIXTURE_TEST(migrations_refuse_surprises),
    };
    return fixture_main(argc, argv, "work_upkeep", tests, sizeof tests / sizeof *tests);
}
