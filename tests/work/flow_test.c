/* From events to effects: JOB-1 (outbox, relay, streams), JOB-2 (retries, delays, uniqueness, priorities,
 * dead letters). */
#include "fixture.h"

#include "base/log.h"
#include "redis/redis.h"
#include "tasks_admin_sql.h"
#include "work/stream.h"

#include <stdio.h>

/* JOB-1: what commits takes effect once for each subscription, what is rolled back never does. Two relays
 * compete. */
static void events_take_effect_once(void **state)
{
    (void)state;
    struct roles roles;
    fixture_roles_start(&roles, 2, 4);
    for (int i = 0; i < 30; i++) {
        fixture_publish(10, false);
        fixture_publish(5, true);
    }
    fixture_expect(600, "SELECT count(*) FROM task WHERE state = 'done'");
    assert_int_equal(fixture_number("SELECT count(*) FROM task"), 600);
    assert_int_equal(fixture_number(EFFECTS_OF("counted")), 300);
    assert_int_equal(fixture_number(EFFECTS_OF("free")), 300);
    assert_int_equal(fixture_number("SELECT count(DISTINCT aggregate) FROM effect"), 300);
    assert_int_equal(fixture_number("SELECT count(*) FROM outbox WHERE task_count = 2"), 300);
    fixture_roles_stop(&roles);
}

static void push_all_again(int times)
{
    struct redis *redis = redis_new(config()->redis_url);
    struct tasks_list_rows rows;
    struct arena *arena = arena_new();
    assert_int_equal(tasks_list(fixture_db(), arena, (struct tasks_list_args){.most = 10000}, &rows), ERR_OK);
    for (int i = 0; i < times; i++) {
        for (size_t j = 0; j < rows.count; j++)
            assert_true(stream_push(redis, rows.items[j].id,
                                    (enum task_priority)((j + (size_t)i) % TASK_PRIORITY_COUNT)));
        assert_true(redis_flush(redis));
    }
    redis_free(redis);
    arena_free(arena);
}

/* JOB-2: every task is delivered five times, before, while and after it runs. */
static void deliveries_may_repeat(void **state)
{
    (void)state;
    struct roles relay, workers;
    fixture_roles_start(&relay, 1, 0);
    fixture_publish(100, false);
    fixture_expect(200, "SELECT count(*) FROM task");
    push_all_again(3);
    fixture_roles_start(&workers, 0, 4);
    push_all_again(1);
    fixture_expect(200, "SELECT count(*) FROM task WHERE state = 'done'");
    push_all_again(1);
    struct redis *redis = redis_new(config()->redis_url);
    for (int priority = 0; priority < TASK_PRIORITY_COUNT; priority++)
        for (int64_t backlog = 1; backlog > 0; fixture_sleep_ms(10))
            assert_true(stream_backlog(redis, (enum task_priority)priority, &backlog));
    redis_free(redis);
    fixture_roles_stop(&workers);
    fixture_roles_stop(&relay);
    assert_int_equal(fixture_number("SELECT count(*) FROM effect"), 200);
    assert_int_equal(fixture_number("SELECT max(attempt) FROM task"), 1);
}

static enum error_code publish_pipelined(struct pg *db, void *context)
{
    struct event events[3];
    for (int i = 0; i < 3; i++)
        events[i] = (struct event){.type = STR("thing.made"),
                                   .aggregate_id = uuid_new(),
                                   .sequence = i,
                                   .payload = STR("{}"),
                                   .traceparent = i == 1 ? STR("00-trace") : STR_NONE};
    assert_int_equal(pg_pipeline_begin(db), ERR_OK);
    assert_int_equal(outbox_publish_queue(db, context, events, 3), ERR_OK);
    assert_int_equal(pg_pipeline_sync(db), ERR_OK);
    assert_int_equal(outbox_publish_fetch(db), ERR_OK);
    return pg_pipeline_end(db);
}

/* OPS-3: the trace goes along, from the request to what its tasks publish and ask for. */
static void traces_go_along(void **state)
{
    (void)state;
    struct roles roles;
    log_context_set(STR("req"), STR("00-0123"));
    fixture_publish(1, false);
    fixture_enqueue("urgent", NULL, 0, NULL);
    log_context_clear();
    fixture_enqueue("idle", NULL, 0, NULL);
    fixture_enqueue("publishing", NULL, 0, NULL);
    fixture_execute("UPDATE task SET traceparent = '00-4567' WHERE name = 'publishing'");
    assert_int_equal(fixture_number("SELECT count(*) FROM outbox WHERE traceparent = '00-0123'"), 1);
    assert_int_equal(
        fixture_number("SELECT count(*) FROM task WHERE name = 'urgent' AND traceparent = '00-0123'"), 1);
    assert_int_equal(fixture_number("SELECT count(*) FROM task WHERE name = 'idle' AND traceparent IS NULL"),
                     1);
    fixture_roles_start(&roles, 1, 1);
    fixture_expect(1, "SELECT count(*) FROM outbox WHERE traceparent = '00-4567' AND type = 'thing.made'");
    fixture_expect(0, "SELECT count(*) FROM task WHERE state <> 'done'");
    fixture_roles_stop(&roles);
}

/* The checkout engine's way of publishing. */
static void events_may_be_pipelined(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    assert_int_equal(pg_transaction(fixture_db(), publish_pipelined, arena), ERR_OK);
    arena_free(arena);
    assert_int_equal(fixture_number("SELECT sum(sequence) FROM outbox"), 3);
    assert_int_equal(fixture_number("SELECT count(*) FROM outbox WHERE traceparent = '00-trace'"), 1);
    assert_int_equal(fixture_number("SELECT count(*) FROM outbox WHERE traceparent IS NULL"), 2);
}

static void failures_are_retried_then_dead(void **state)
{
    (void)state;
    struct roles roles;
    fixture_enqueue("failing", NULL, 0, NULL);
    fixture_enqueue("failing_once", NULL, 0, NULL);
    fixture_enqueue("hopeless", NULL, 0, NULL);
    fixture_roles_start(&roles, 1, 2);
    fixture_expect(
        1, "SELECT count(*) FROM task WHERE name = 'failing_once' AND state = 'done' AND attempt = 2 AND "
           "last_error LIKE 'partner_timeout: %%'");
    fixture_expect(1,
                   "SELECT count(*) FROM task WHERE name = 'failing' AND state = 'dead' AND attempt = 2 AND "
                   "last_error = 'partner_failed: the \"partner\" said no' AND finished_at IS NOT NULL");
    fixture_expect(1,
                   "SELECT count(*) FROM task WHERE name = 'hopeless' AND state = 'dead' AND attempt = 1 AND "
                   "last_error LIKE '%%order 7 does not exist'");
    assert_int_equal(fixture_number(EFFECTS_OF("failing")), 0);
    assert_int_equal(fixture_number(EFFECTS_OF("failing_once")), 1);
    /* One second at least lies between the tries: 1⁴ + base. */
    assert_int_equal(fixture_number("SELECT count(*) FROM task WHERE name = 'failing' AND finished_at < "
                                    "created_at + interval '1 second'"),
                     0);
    fixture_roles_stop(&roles);
}

/* JOB-2, JOB-6: a dead letter runs again, with all its attempts. */
static void dead_letters_are_replayed(void **state)
{
    (void)state;
    struct roles roles;
    fixture_enqueue("failing_once", "k", 0, NULL);
    fixture_enqueue("hopeless", NULL, 0, NULL);
    fixture_execute("UPDATE task SET state = 'dead', attempt = 20, finished_at = now(), last_error = 'x'");
    /* Another one with the key came since; the dead one has to wait. */
    fixture_enqueue("failing_once", "k", 3600000, NULL);
    int64_t affected;
    assert_int_equal(tasks_retry_dead(fixture_db(), (struct tasks_retry_dead_args){.most = 10}, &affected),
                     ERR_OK);
    assert_int_equal(affected, 1);
    assert_int_equal(
        fixture_number(
            "SELECT count(*) FROM task WHERE name = 'hopeless' AND state = 'ready' AND attempt = 0"),
        1);
    fixture_execute("DELETE FROM task WHERE state = 'ready'");
    assert_int_equal(tasks_retry_dead(fixture_db(),
                                      (struct tasks_retry_dead_args){.name = STR("failing_once"), .most = 10},
                                      &affected),
                     ERR_OK);
    assert_int_equal(affected, 1);
    fixture_roles_start(&roles, 1, 1);
    fixture_expect(
        1, "SELECT count(*) FROM task WHERE name = 'failing_once' AND state = 'done' AND attempt = 2");
    fixture_roles_stop(&roles);
}

static void delayed_tasks_wait(void **state)
{
    (void)state;
    struct roles roles;
    fixture_roles_start(&roles, 1, 2);
    fixture_enqueue("urgent", NULL, 700, NULL);
    fixture_enqueue("urgent", NULL, 3600000, NULL);
    fixture_expect(1, "SELECT count(*) FROM task WHERE state = 'done'");
    assert_int_equal(fixture_number("SELECT count(*) FROM effect"), 1);
    assert_int_equal(fixture_number("SELECT count(*) FROM effect e JOIN task t ON t.aggregate_id = "
                                    "e.aggregate WHERE e.at < t.due_at"),
                     0);
    assert_int_equal(fixture_number("SELECT count(*) FROM task WHERE state = 'ready' AND pushed_at IS NULL"),
                     1);
    fixture_roles_stop(&roles);
}

static void unique_tasks_are_made_once(void **state)
{
    (void)state;
    struct roles roles;
    for (int i = 0; i < 5; i++)
        fixture_enqueue("urgent", "one", 0, NULL);
    fixture_enqueue("urgent", "other", 0, NULL);
    fixture_enqueue("idle", "one", 0, NULL);
    assert_int_equal(fixture_number("SELECT count(*) FROM task"), 3);
    fixture_roles_start(&roles, 1, 2);
    fixture_expect(3, "SELECT count(*) FROM task WHERE state = 'done'");
    fixture_enqueue("urgent", "one", 0, NULL); /* the one before is done */
    fixture_expect(4, "SELECT count(*) FROM task WHERE state = 'done'");
    fixture_roles_stop(&roles);
}

static void urgent_tasks_go_first(void **state)
{
    (void)state;
    struct roles relay, worker;
    for (int i = 0; i < 20; i++)
        fixture_enqueue("idle", NULL, 0, NULL);
    for (int i = 0; i < 20; i++)
        fixture_enqueue("urgent", NULL, 0, NULL);
    fixture_roles_start(&relay, 1, 0);
    fixture_expect(0, "SELECT count(*) FROM task WHERE pushed_at IS NULL");
    fixture_roles_start(&worker, 0, 1);
    fixture_expect(40, "SELECT count(*) FROM effect");
    assert_int_equal(fixture_number("SELECT count(*) FROM effect u, effect i WHERE u.task = 'urgent' AND "
                                    "i.task = 'idle' AND i.at < u.at"),
                     0);
    fixture_roles_stop(&worker);
    fixture_roles_stop(&relay);
}

/* Tasks that hang hold all threads but the one for urgent tasks. */
static void urgent_tasks_pass_by(void **state)
{
    (void)state;
    for (int with_redis = 1; with_redis >= 0; with_redis--) {
        struct roles roles;
        if (!with_redis)
            fixture_redis_stop();
        for (int i = 0; i < 4; i++)
            fixture_enqueue("slow", NULL, 0, "{\"ms\":4000}");
        fixture_roles_start(&roles, 1, 3);
        fixture_expect(2, "SELECT count(*) FROM task WHERE state = 'running'");
        fixture_enqueue("urgent", NULL, 0, NULL);
        fixture_expect(
            1, "SELECT count(*) FROM task WHERE name = 'urgent' AND state = 'done' AND (SELECT count(*) FROM "
               "task WHERE name = 'slow' AND state = 'running') = 2");
        fixture_roles_stop(&roles);
        fixture_execute("TRUNCATE task");
    }
}

/* JOB-2, graceful drain: a worker that is told to stop ends what it runs, and takes nothing more. */
static void stop_lets_tasks_end(void **state)
{
    (void)state;
    struct roles roles;
    for (int i = 0; i < 10; i++)
        fixture_enqueue("slow", NULL, 0, "{\"ms\":1500}");
    fixture_roles_start(&roles, 1, 3); /* one of them for urgent tasks */
    fixture_expect(2, "SELECT count(*) FROM task WHERE state = 'running'");
    fixture_roles_stop(&roles);
    assert_int_equal(fixture_number("SELECT count(*) FROM task WHERE state = 'running'"), 0);
    assert_int_equal(fixture_number("SELECT count(*) FROM task WHERE state = 'done'"), 2);
    assert_int_equal(fixture_number(EFFECTS_OF("slow")), 2);
}

/* A task of another release is left to that release, its attempts untouched. */
static void unknown_tasks_are_put_back(void **state)
{
    (void)state;
    struct roles roles;
    fixture_execute("INSERT INTO task (id, name, aggregate_id, payload) VALUES (gen_random_uuid(), "
                    "'from_the_future', gen_random_uuid(), '{}')");
    fixture_roles_start(&roles, 1, 1);
    fixture_expect(1, "SELECT count(*) FROM task WHERE state = 'ready' AND attempt = 0 AND due_at > now() "
                      "AND last_error LIKE '%%does not know%%'");
    fixture_roles_stop(&roles);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(events_take_effect_once),
        FIXTURE_TEST(deliveries_may_repeat),
        FIXTURE_TEST(events_may_be_pipelined),
        FIXTURE_TEST(traces_go_along),
        FIXTURE_TEST(failures_are_retried_then_dead),
        FIXTURE_TEST(dead_letters_are_replayed),
        FIXTURE_TEST(delayed_tasks_wait),
        FIXTURE_TEST(unique_tasks_are_made_once),
        FIXTURE_TEST(urgent_tasks_go_first),
        FIXTURE_TEST(urgent_tasks_pass_by),
        FIXTURE_TEST(stop_lets_tasks_end),
        FIXTURE_TEST(unknown_tasks_are_put_back),
    };
    return fixture_main(argc, argv, "work_flow", tests, sizeof tests / sizeof *tests);
}
