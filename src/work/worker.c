/* Workers: threads that each hold a PostgreSQL and a Redis connection. A thread waits on the streams for a
 * task's id, claims the row, and runs it. Without Redis, and every few seconds in any case, it looks into
 * PostgreSQL itself. One more thread renews the leases of what is running, until each task's time limit.
 *
 * The first of several threads takes urgent tasks only: a carrier or a mail server that hangs may hold all
 * the others, and payments still go on. */
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/thread.h"
#include "work/execute.h"
#include "work/registry.h"
#include "work/stop.h"
#include "work/stream.h"

#include <stdlib.h>

#define BLOCK_MS 500       /* one wait on the streams; also how long a stop may take */
#define POLL_AWAY_MS 200   /* between looks into PostgreSQL while Redis is away */
#define QUIET_BLOCKS_MAX 4 /* after that many waits without work PostgreSQL is asked as well */
#define AFTER_ERROR_MS 500
#define THREADS_MAX 256

struct worker_thread {
    struct worker *worker;
    pthread_t thread;
    struct pg *db;
    struct redis *redis;
    struct arena *arena;
    struct stream_reader reader;
    int quiet_blocks;
    enum task_priority least; /* takes nothing less urgent */
    /* What runs, for the heartbeat; under worker->lock. */
    bool running;
    struct task_id task;
    int32_t attempt;
    int64_t renew_until_us;
};

struct worker {
    struct uuid owner; /* of the leases: this start of this process */
    struct stop stop;
    struct stop heartbeat_stop; /* later: leases are renewed while the threads end their tasks */
    pthread_t heartbeat;
    struct pg *heartbeat_db;
    pthread_mutex_t lock;
    int thread_count;
    struct worker_thread threads[];
};

static enum error_code claim_by_id(struct worker_thread *thread, struct task_id id,
                                   struct task_claim_row *row, bool *found)
{
    struct task_claim_args args = {id, thread->worker->owner, (int32_t)config()->task_lease_s};
    return task_claim(thread->db, thread->arena, args, row, found);
}

static enum error_code claim_any(struct worker_thread *thread, struct task_claim_row *row, bool *found)
{
    *found = false;
    for (int16_t priority = 0; priority <= (int16_t)thread->least && !*found; priority++) {
        struct task_claim_next_args args = {priority, thread->worker->owner, (int32_t)config()->task_lease_s};
        struct task_claim_next_row next;
        enum error_code code = task_claim_next(thread->db, thread->arena, args, &next, found);
        if (code)
            return code;
        if (*found)
            *row = (struct task_claim_row){.id = next.id,
                                           .event_id = next.event_id,
                                           .name = next.name,
                                           .aggregate_id = next.aggregate_id,
                                           .payload = next.payload,
                                           .attempt = next.attempt,
                                           .type = next.type,
                                           .sequence = next.sequence,
                                           .traceparent = next.traceparent};
    }
    return ERR_OK;
}

/* Waits for a task and claims it; *found is false when there was none for now. */
static enum error_code next_task(struct worker_thread *thread, struct task_claim_row *row, bool *found)
{
    *found = false;
    struct task_id id;
    enum redis_wait wait = stream_next(thread->redis, &thread->reader, thread->least, BLOCK_MS, &id);
    if (wait == REDIS_MESSAGE) {
        thread->quiet_blocks = 0;
        return claim_by_id(thread, id, row, found);
    }
    if (wait == REDIS_QUIET && ++thread->quiet_blocks < QUIET_BLOCKS_MAX)
        return ERR_OK;
    if (wait == REDIS_QUIET)
        thread->quiet_blocks = 0;
    enum error_code code = claim_any(thread, row, found);
    if (!code && !*found && wait == REDIS_AWAY)
        stop_wait(&thread->worker->stop, POLL_AWAY_MS + (int)(stop_random() % POLL_AWAY_MS));
    return code;
}

static void set_running(struct worker_thread *thread, const struct task_claim_row *row)
{
    const struct task_definition *definition = row ? work_task_find(row->name) : NULL;
    pthread_mutex_lock(&thread->worker->lock);
    thread->running = row != NULL;
    if (row) {
        thread->task = row->id;
        thread->attempt = row->attempt;
        int timeout_s = definition ? work_timeout_s(definition) : WORK_TIMEOUT_DEFAULT_S;
        thread->renew_until_us = clock_monotonic_us() + (int64_t)timeout_s * 1000000;
    }
    pthread_mutex_unlock(&thread->worker->lock);
}

static void *worker_main(void *argument)
{
    struct worker_thread *thread = argument;
    struct stop *stop = &thread->worker->stop;
    while (!stop_requested(stop)) {
        struct task_claim_row row;
        bool found;
        enum error_code code = next_task(thread, &row, &found);
        if (code) {
            stop_wait(stop,
                      AFTER_ERROR_MS); /* the sweeper pushes again what was read and could not be claimed */
        } else if (found) {
            set_running(thread, &row);
            task_execute(thread->db, thread->arena, thread->worker->owner, &row);
            set_running(thread, NULL);
        }
        arena_reset(thread->arena);
    }
    return NULL;
}

static void renew_leases(struct worker *worker, struct arena *arena)
{
    struct task_id ids[THREADS_MAX];
    int32_t attempts[THREADS_MAX];
    size_t count = 0;
    int64_t now_us = clock_monotonic_us();
    pthread_mutex_lock(&worker->lock);
    for (int i = 0; i < worker->thread_count; i++) {
        const struct worker_thread *thread = &worker->threads[i];
        if (!thread->running || now_us > thread->renew_until_us)
            continue;
        ids[count] = thread->task;
        attempts[count++] = thread->attempt;
    }
    pthread_mutex_unlock(&worker->lock);
    if (count == 0)
        return;
    struct task_renew_args args = {.ids = {ids, count},
                                   .attempts = {attempts, count},
                                   .owner = worker->owner,
                                   .lease_s = (int32_t)config()->task_lease_s};
    struct task_renew_row row;
    bool found;
    task_renew(worker->heartbeat_db, arena, args, &row,
               &found); /* a failure is logged there; the next beat tries again */
}

static void *heartbeat_main(void *argument)
{
    struct worker *worker = argument;
    struct arena *arena = arena_new();
    while (!stop_requested(&worker->heartbeat_stop)) {
        renew_leases(worker, arena);
        arena_reset(arena);
        stop_wait(&worker->heartbeat_stop, (int)config()->task_lease_s * 1000 / 3);
    }
    arena_free(arena);
    return NULL;
}

enum error_code worker_start(int threads, struct worker **out, struct error *error)
{
    CHECK(threads >= 1 && threads <= THREADS_MAX);
    struct redis_address address;
    enum error_code code = redis_url_parse(str_from(config()->redis_url), &address, error);
    if (code)
        return code;
    struct worker *worker = calloc(1, sizeof *worker + (size_t)threads * sizeof *worker->threads);
    CHECK(worker);
    worker->owner = uuid_new();
    worker->thread_count = threads;
    worker->heartbeat_db = pg_new(config()->database_url, "cathay heartbeat", NULL);
    pthread_mutex_init(&worker->lock, NULL);
    stop_init(&worker->stop);
    stop_init(&worker->heartbeat_stop);
    work_task_find(STR("")); /* builds the registry: its complaints belong to the start */
    for (int i = 0; i < threads; i++) {
        struct worker_thread *thread = &worker->threads[i];
        thread->worker = worker;
        thread->least = i == 0 && threads > 1 ? TASK_HIGH : TASK_LOW;
        thread->db = pg_new(config()->database_url, "cathay worker", NULL);
        thread->redis = redis_new(config()->redis_url);
        thread->arena = arena_new();
        CHECK(thread_start(&thread->thread, "task", worker_main, thread));
    }
    CHECK(thread_start(&worker->heartbeat, "heartbeat", heartbeat_main, worker));
    *out = worker;
    return ERR_OK;
}

void worker_stop(struct worker *worker)
{
    if (!worker)
        return;
    stop_request(&worker->stop);
    for (int i = 0; i < worker->thread_count; i++) {
        struct worker_thread *thread = &worker->threads[i];
        pthread_join(thread->thread, NULL);
        pg_free(thread->db);
        redis_free(thread->redis);
        arena_free(thread->arena);
    }
    stop_request(&worker->heartbeat_stop);
    pthread_join(worker->heartbeat, NULL);
    pg_free(worker->heartbeat_db);
    stop_destroy(&worker->stop);
    stop_destroy(&worker->heartbeat_stop);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}
