/* Lanes: everything submitted is run once, in batches no larger than allowed; what touches the same is never
 * in flight on two lanes; a full queue refuses; a stop ends what was submitted. */
#include "work/lanes.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define ITEMS 4000
#define THINGS 12 /* few, so that most items meet another one */
#define BATCH_MAX 32

struct job {
    struct lane_item item;
    uint64_t touches[2];
    int things[2];
    atomic_int runs;
};

static struct job jobs[ITEMS];
static atomic_int lane_of_thing[THINGS]; /* lane + 1 that has it in flight; 0: none */
static atomic_int met, too_large, batches;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* held by a test: lanes wait in run */

static void run(int lane, struct pg *db, struct arena *arena, struct lane_item *const *items, size_t count)
{
    (void)db;
    arena_reset(arena);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    atomic_fetch_add(&batches, 1);
    too_large += count > BATCH_MAX;
    for (size_t i = 0; i < count; i++) {
        struct job *job = (struct job *)items[i];
        for (int t = 0; t < 2; t++) {
            int other = atomic_exchange(&lane_of_thing[job->things[t]], lane + 1);
            met += other != 0 && other != lane + 1;
        }
    }
    usleep(200);
    for (size_t i = 0; i < count; i++) {
        struct job *job = (struct job *)items[i];
        for (int t = 0; t < 2; t++)
            atomic_store(&lane_of_thing[job->things[t]], 0);
        atomic_fetch_add(&job->runs, 1);
    }
}

static struct lanes *start(int count, size_t queue_max)
{
    const char *url = getenv("DATABASE_URL");
    struct lanes_options options = {.database_url = url ? url : "",
                                    .role = "lanes test",
                                    .lanes = count,
                                    .batch_max = BATCH_MAX,
                                    .queue_max = queue_max,
                                    .wait_max_ms = 60000,
                                    .run = run};
    struct error error = {.code = ERR_OK};
    struct lanes *lanes = NULL;
    assert_int_equal(lanes_start(&options, &lanes, &error), ERR_OK);
    return lanes;
}

static void prepare(struct job *job, int a, int b)
{
    *job = (struct job){.things = {a, b}};
    job->touches[0] = (uint64_t)a + 1;
    job->touches[1] = (uint64_t)b + 1;
    job->item.touches = job->touches;
    job->item.touch_count = 2;
}

static void each_once_and_apart(void **state)
{
    (void)state;
    met = too_large = 0;
    struct lanes *lanes = start(3, ITEMS);
    for (int i = 0; i < ITEMS; i++) {
        prepare(&jobs[i], i % THINGS, (i / THINGS + 5 * i) % THINGS);
        assert_int_equal(lanes_submit(lanes, &jobs[i].item), ERR_OK);
    }
    lanes_stop(lanes);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(jobs[i].runs, 1);
    assert_int_equal(met, 0);
    assert_int_equal(too_large, 0);
}

static void what_waits_forms_the_next_batch(void **state)
{
    (void)state;
    struct lanes *lanes = start(1, ITEMS);
    pthread_mutex_lock(&gate);
    batches = 0;
    prepare(&jobs[0], 0, 1);
    lanes_submit(lanes, &jobs[0].item);
    while (lanes_queued(lanes) > 0) /* it is on the lane, alone */
        usleep(100);
    for (int i = 1; i <= BATCH_MAX; i++) {
        prepare(&jobs[i], i % THINGS, 0);
        lanes_submit(lanes, &jobs[i].item);
    }
    assert_int_equal(lanes_queued(lanes), BATCH_MAX);
    pthread_mutex_unlock(&gate);
    lanes_stop(lanes);
    assert_int_equal(batches, 2);
}

static void a_full_queue_refuses(void **state)
{
    (void)state;
    struct lanes *lanes = start(1, 3);
    pthread_mutex_lock(&gate);
    prepare(&jobs[0], 0, 1);
    assert_int_equal(lanes_submit(lanes, &jobs[0].item), ERR_OK);
    while (lanes_queued(lanes) > 0)
        usleep(100);
    for (int i = 1; i <= 4; i++) {
        prepare(&jobs[i], 0, 1);
        assert_int_equal(lanes_submit(lanes, &jobs[i].item), i <= 3 ? ERR_OK : ERR_OVERLOADED);
    }
    pthread_mutex_unlock(&gate);
    lanes_stop(lanes);
    for (int i = 0; i <= 4; i++)
        assert_int_equal(jobs[i].runs, i <= 3);
}

static void hashes_differ(void **state)
{
    (void)state;
    assert_int_not_equal(lane_hash(uuid_new()), lane_hash(uuid_new()));
    assert_int_not_equal(lane_hash_text(STR("pi_1")), lane_hash_text(STR("pi_2")));
    assert_int_not_equal(lane_hash_text(STR_NONE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_once_and_apart),
        cmocka_unit_test(what_waits_forms_the_next_batch),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(hashes_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
