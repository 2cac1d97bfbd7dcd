/* The relay: one thread that moves work from PostgreSQL towards the workers. Every relay_poll_ms it asks
 * whether anything is to be done; then
 *   1. events become tasks: some rows of the outbox are locked (other relays skip them), Redis is told what
 * is new (live news, invalidations), one task for each subscription is inserted, the rows are marked, all in
 * one transaction. What the events tell of has been committed before, so it may be told before the mark; a
 * crash in between makes another relay tell it again, and nothing stays untold. Ids of the tasks are pushed
 * after the commit; a crash before that loses hints, not tasks: the sweeper finds them.
 *   2. tasks whose time has come (retries, delayed ones) are marked as pushed and pushed.
 * Once a second the sweeper pushes again what was pushed but not claimed while the stream is empty, that is
 * what Redis has lost, and takes back running tasks whose lease has ended.
 *
 * The relay's commits are not flushed (synchronous_commit off): if a crash of PostgreSQL takes one back, the
 * same step is done again, and a worker's later flushed commit flushes it too. */
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "redis/shared_cache.h"
#include "relay_sql.h"
#include "work/registry.h"
#include "work/retry.h"
#include "work/stop.h"
#include "work/stream.h"

#include <stdio.h>
#include <stdlib.h>

/* Sequential scans are off because plans made while the tables were empty would outlive that. */
#define RELAY_SETTINGS "SET synchronous_commit = off; SET enable_seqscan = off"
#define BATCH_MAX 500
#define BATCHES_MAX 10 /* in a row; then what is due and lapsed gets its turn */
#define TASKS_PER_EVENT_MAX 32
#define FLUSH_EVERY 200 /* commands in one round trip to Redis */
#define SWEEP_MS 1000
#define LATE_MS 5000
#define AFTER_ERROR_MS 500

struct relay {
    struct pg *db;
    struct redis *redis;
    struct arena *arena;
    struct stop stop;
    pthread_t thread;
    int64_t sweep_at_us;
    bool more; /* the batches in a row were not enough */
    struct metric *expanded, *pushed_again, *outbox_lag, *task_lag, *dead;
    bool missed; /* messages could not be published: listeners have to be told */
};

struct pushed_task {
    struct task_id id;
    enum task_priority priority;
};

/* One batch of events and what they become. */
struct expansion {
    struct relay *relay;
    bool pushed;
    struct relay_take_rows events;
    struct task_id *ids;
    struct event_id *event_ids;
    struct str *names;
    struct uuid *aggregates;
    int16_t *priorities;
    size_t task_count;
};

static void plan_tasks(struct expansion *expansion, int16_t *counts)
{
    struct arena *arena = expansion->relay->arena;
    size_t most = expansion->events.count * TASKS_PER_EVENT_MAX;
    expansion->ids = ARENA_ARRAY(arena, struct task_id, most);
    expansion->event_ids = ARENA_ARRAY(arena, struct event_id, most);
    expansion->names = ARENA_ARRAY(arena, struct str, most);
    expansion->aggregates = ARENA_ARRAY(arena, struct uuid, most);
    expansion->priorities = ARENA_ARRAY(arena, int16_t, most);
    size_t at = 0;
    for (size_t i = 0; i < expansion->events.count; i++) {
        const struct relay_take_row *event = &expansion->events.items[i];
        const struct task_definition *const *tasks;
        size_t count = work_subscribers(event->type, &tasks);
        CHECK(count <= TASKS_PER_EVENT_MAX);
        counts[i] = (int16_t)count;
        for (size_t j = 0; j < count; j++, at++) {
            expansion->ids[at] = task_id_new();
            expansion->event_ids[at] = event->id;
            expansion->names[at] = str_from(tasks[j]->name);
            expansion->aggregates[at] = event->aggregate_id;
            expansion->priorities[at] = (int16_t)tasks[j]->priority;
        }
    }
    expansion->task_count = at;
}

static enum error_code write_expansion(struct pg *db, const struct expansion *expansion,
                                       const int16_t *counts)
{
    size_t count = expansion->events.count, tasks = expansion->task_count;
    struct event_id *ids = ARENA_ARRAY(expansion->relay->arena, struct event_id, count);
    for (size_t i = 0; i < count; i++)
        ids[i] = expansion->events.items[i].id;
    enum error_code code = pg_pipeline_begin(db);
    if (code)
        return code;
    relay_insert_tasks_queue(db,
                             (struct relay_insert_tasks_args){.ids = {expansion->ids, tasks},
                                                              .event_ids = {expansion->event_ids, tasks},
                                                              .names = {expansion->names, tasks},
                                                              .aggregate_ids = {expansion->aggregates, tasks},
                                                              .priorities = {expansion->priorities, tasks},
                                                              .pushed = expansion->pushed});
    relay_mark_expanded_queue(
        db, (struct relay_mark_expanded_args){.ids = {ids, count}, .task_counts = {counts, count}});
    pg_pipeline_sync(db);
    enum error_code inserted = relay_insert_tasks_fetch(db, NULL);
    enum error_code marked = relay_mark_expanded_fetch(db, NULL);
    enum error_code ended = pg_pipeline_end(db);
    return inserted ? inserted : marked ? marked : ended;
}

static bool flush_some(struct redis *redis, size_t *queued)
{
    if (++*queued < FLUSH_EVERY)
        return true;
    *queued = 0;
    return redis_flush(redis);
}

static bool publish(struct redis *redis, const char *channel, struct str text)
{
    struct str args[] = {STR("PUBLISH"), str_from(channel), text};
    return redis_queue(redis, 3, args);
}

/* One thing that a cache holds; a batch's are sorted, so that those of a kind share messages. */
struct change {
    const char *kind;
    struct uuid id;
};

static int change_compare(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    int order = strcmp(x->kind, y->kind);
    return order ? order : uuid_compare(x->id, y->id);
}

static size_t changes_of(struct relay *relay, const struct relay_take_rows *events, struct change **changes)
{
    struct uuid_array *things = ARENA_ARRAY(relay->arena, struct uuid_array, events->count);
    size_t most = 0, count = 0;
    for (size_t i = 0; i < events->count; i++) {
        const struct relay_take_row *event = &events->items[i];
        if (work_event_invalidates(event->type))
            things[i] = work_event_things(relay->arena, event->aggregate_id, event->payload);
        else
            things[i] = (struct uuid_array){NULL, 0};
        most += things[i].count;
    }
    *changes = ARENA_ARRAY(relay->arena, struct change, most + 1);
    for (size_t i = 0; i < events->count; i++)
        for (size_t k = 0; k < things[i].count; k++)
            (*changes)[count++] =
                (struct change){work_event_invalidates(events->items[i].type), things[i].items[k]};
    if (count > 1)
        qsort(*changes, count, sizeof **changes, change_compare);
    return count;
}

/* Some changes of one kind: one script call and one message, each thing once. Returns how many were taken. */
static size_t publish_changes(struct redis *redis, const struct change *changes, size_t count, bool *told)
{
    char text[WORK_NAME_MAX + SHARED_CACHE_IDS_MAX * 33 + 1];
    struct uuid ids[SHARED_CACHE_IDS_MAX];
    size_t taken = 0, unique = 0, len = (size_t)snprintf(text, sizeof text, "%s", changes[0].kind);
    for (; taken < count && unique < SHARED_CACHE_IDS_MAX; taken++) {
        if (strcmp(changes[taken].kind, changes[0].kind) != 0)
            break;
        if (unique > 0 && uuid_equal(ids[unique - 1], changes[taken].id))
            continue;
        ids[unique++] = changes[taken].id;
        text[len++] = ' ';
        uuid_hex(changes[taken].id, text + len);
        len += 32;
    }
    *told = shared_cache_invalidate_queue(redis, str_from(changes[0].kind), ids, unique, CHANNEL_INVALIDATE,
                                          (struct str){text, len});
    return taken;
}

/* Invalidations first: they are what somebody may be looking at. */
static bool publish_events(struct relay *relay, const struct relay_take_rows *events)
{
    struct redis *redis = relay->redis;
    struct change *changes;
    size_t queued = 0, count = changes_of(relay, events, &changes);
    bool told = true;
    for (size_t at = 0; at < count && told;) {
        at += publish_changes(redis, changes + at, count - at, &told);
        told = told && flush_some(redis, &queued);
    }
    for (size_t i = 0; i < events->count && told; i++) {
        char hex[32];
        uuid_hex(events->items[i].aggregate_id, hex);
        if (!uuid_is_zero(events->items[i].aggregate_id))
            told = publish(redis, CHANNEL_LIVE, (struct str){hex, sizeof hex}) && flush_some(redis, &queued);
    }
    return told && redis_flush(redis);
}

static bool push_tasks(struct relay *relay, const struct expansion *expansion)
{
    size_t queued = 0;
    bool told = true;
    for (size_t i = 0; i < expansion->task_count && told; i++)
        told = stream_push(relay->redis, expansion->ids[i], (enum task_priority)expansion->priorities[i]) &&
               flush_some(relay->redis, &queued);
    return told && redis_flush(relay->redis);
}

static enum error_code expand(struct pg *db, void *context)
{
    struct expansion *expansion = context;
    expansion->task_count = 0;
    enum error_code code =
        relay_take(db, expansion->relay->arena, (struct relay_take_args){BATCH_MAX}, &expansion->events);
    if (code || expansion->events.count == 0)
        return code;
    if (!publish_events(expansion->relay, &expansion->events))
        expansion->relay->missed = true;
    int16_t *counts = ARENA_ARRAY(expansion->relay->arena, int16_t, expansion->events.count);
    plan_tasks(expansion, counts);
    return write_expansion(db, expansion, counts);
}

/* After a time without Redis: everybody may have missed something. */
static void tell_missed(struct relay *relay)
{
    if (!relay->missed || !redis_connected(relay->redis))
        return;
    bool told = publish(relay->redis, CHANNEL_LIVE, STR("*")) &&
                shared_cache_invalidate_queue(relay->redis, STR(""), NULL, 0, CHANNEL_INVALIDATE, STR("*"));
    relay->missed = !(told && redis_flush(relay->redis));
}

static enum error_code expand_events(struct relay *relay)
{
    size_t count = BATCH_MAX;
    for (int batch = 0; batch < BATCHES_MAX && count == BATCH_MAX && !stop_requested(&relay->stop); batch++) {
        struct expansion expansion = {.relay = relay, .pushed = redis_connected(relay->redis)};
        enum error_code code = pg_transaction(relay->db, expand, &expansion);
        if (code)
            return code;
        count = expansion.events.count;
        metric_add(relay->expanded, (int64_t)count);
        if (expansion.task_count > 0 && !push_tasks(relay, &expansion))
            relay->missed = true;
        arena_reset(relay->arena);
    }
    relay->more = count == BATCH_MAX;
    return ERR_OK;
}

static enum error_code push_due(struct relay *relay)
{
    size_t count = BATCH_MAX;
    for (int batch = 0; batch < BATCHES_MAX && count == BATCH_MAX && redis_connected(relay->redis); batch++) {
        struct relay_take_due_rows rows;
        enum error_code code =
            relay_take_due(relay->db, relay->arena, (struct relay_take_due_args){BATCH_MAX}, &rows);
        if (code)
            return code;
        count = rows.count;
        size_t queued = 0;
        bool told = true;
        for (size_t i = 0; i < rows.count && told; i++)
            told = stream_push(relay->redis, rows.items[i].id, (enum task_priority)rows.items[i].priority) &&
                   flush_some(relay->redis, &queued);
        if (told)
            redis_flush(relay->redis);
        arena_reset(relay->arena);
    }
    return ERR_OK;
}

static enum error_code push_late(struct relay *relay)
{
    for (int priority = 0; priority < TASK_PRIORITY_COUNT; priority++) {
        int64_t backlog;
        if (!stream_backlog(relay->redis, (enum task_priority)priority, &backlog))
            return ERR_OK; /* Redis is away: workers read PostgreSQL */
        if (backlog > 0)
            continue; /* not lost, only waiting for its turn */
        struct relay_take_late_rows rows;
        struct relay_take_late_args args = {
            .priority = (int16_t)priority, .late_ms = LATE_MS, .batch = BATCH_MAX};
        enum error_code code = relay_take_late(relay->db, relay->arena, args, &rows);
        if (code)
            return code;
        bool told = true;
        for (size_t i = 0; i < rows.count && told; i++)
            told = stream_push(relay->redis, rows.items[i].id, (enum task_priority)priority);
        if (told)
            redis_flush(relay->redis);
        metric_add(relay->pushed_again, (int64_t)rows.count);
        if (rows.count > 0)
            log_write(LOG_INFO, "late tasks pushed again", LOG_INT("count", (int64_t)rows.count),
                      LOG_INT("priority", priority));
        arena_reset(relay->arena);
    }
    return ERR_OK;
}

static enum error_code take_back(struct pg *db, void *context)
{
    struct relay *relay = context;
    struct relay_take_lapsed_rows rows;
    enum error_code code =
        relay_take_lapsed(db, relay->arena, (struct relay_take_lapsed_args){BATCH_MAX}, &rows);
    if (code || rows.count == 0)
        return code;
    struct task_id *ids = ARENA_ARRAY(relay->arena, struct task_id, rows.count);
    bool *dead = ARENA_ARRAY(relay->arena, bool, rows.count);
    int64_t *delays = ARENA_ARRAY(relay->arena, int64_t, rows.count);
    for (size_t i = 0; i < rows.count; i++) {
        const struct relay_take_lapsed_row *row = &rows.items[i];
        struct retry retry = retry_after_loss(work_task_find(row->name), row->attempt,
                                              config()->task_retry_base_s, stop_random());
        ids[i] = row->id;
        dead[i] = retry.dead;
        delays[i] = retry.delay_ms;
        char text[ID_TEXT_MAX];
        task_id_text(row->id, text);
        log_write(retry.dead ? LOG_ERROR : LOG_WARN,
                  retry.dead ? "task is dead: its lease ended" : "task taken back: its lease ended",
                  LOG_TEXT("task", text), LOG_STR("name", row->name), LOG_INT("attempt", row->attempt));
    }
    struct relay_give_back_args args = {
        .ids = {ids, rows.count}, .dead = {dead, rows.count}, .delays_ms = {delays, rows.count}};
    return relay_give_back(db, args, NULL);
}

static void register_metrics(struct relay *relay)
{
    relay->expanded = metric_counter("cathay_events_expanded_total",
                                     "Events that this process's relay turned into tasks", NULL);
    relay->pushed_again =
        metric_counter("cathay_tasks_pushed_again_total", "Tasks whose stream entry was lost", NULL);
    relay->outbox_lag =
        metric_gauge("cathay_outbox_lag_seconds", "Age of the oldest event that is not yet tasks", NULL);
    relay->task_lag =
        metric_gauge("cathay_task_lag_seconds", "How long the longest waiting task has been due", NULL);
    relay->dead = metric_gauge("cathay_tasks_dead", "Dead letters in the database, at most 10000", NULL);
}

static enum error_code measure(struct relay *relay)
{
    struct relay_lag_row lag;
    bool found;
    enum error_code code = relay_lag(relay->db, relay->arena, &lag, &found);
    if (!code) {
        metric_set(relay->outbox_lag, lag.outbox_ms / 1000);
        metric_set(relay->task_lag, lag.due_ms / 1000);
        metric_set(relay->dead, lag.dead);
    }
    return code;
}

static enum error_code sweep(struct relay *relay)
{
    int64_t now_us = clock_monotonic_us();
    if (now_us < relay->sweep_at_us)
        return ERR_OK;
    relay->sweep_at_us = now_us + (int64_t)SWEEP_MS * 1000;
    enum error_code code = pg_transaction(relay->db, take_back, relay);
    arena_reset(relay->arena);
    if (!code)
        code = push_late(relay);
    return code ? code : measure(relay);
}

static enum error_code relay_once(struct relay *relay)
{
    struct relay_pending_row pending;
    bool found;
    relay->more = false;
    enum error_code code = relay_pending(relay->db, relay->arena, &pending, &found);
    if (!code && pending.events)
        code = expand_events(relay);
    if (!code && pending.tasks)
        code = push_due(relay);
    if (!code)
        code = sweep(relay);
    tell_missed(relay);
    arena_reset(relay->arena);
    return code;
}

static void *relay_main(void *argument)
{
    struct relay *relay = argument;
    while (!stop_requested(&relay->stop)) {
        enum error_code code = relay_once(relay);
        if (code && code != ERR_DATABASE) /* a lost connection has been logged already */
            log_write(LOG_ERROR, "relay failed", LOG_TEXT("code", error_text(code)));
        if (code || !relay->more)
            stop_wait(&relay->stop, code ? AFTER_ERROR_MS : (int)config()->relay_poll_ms);
    }
    return NULL;
}

enum error_code relay_start(struct relay **out, struct error *error)
{
    struct redis_address address;
    enum error_code code = redis_url_parse(str_from(config()->redis_url), &address, error);
    if (code)
        return code;
    struct relay *relay = calloc(1, sizeof *relay);
    CHECK(relay);
    relay->db = pg_new(config()->database_url, "cathay relay", RELAY_SETTINGS);
    relay->redis = redis_new(config()->redis_url);
    relay->arena = arena_new();
    stop_init(&relay->stop);
    register_metrics(relay);
    work_task_find(STR("")); /* builds the registry: its complaints belong to the start */
    CHECK(thread_start(&relay->thread, "relay", relay_main, relay));
    *out = relay;
    return ERR_OK;
}

void relay_stop(struct relay *relay)
{
    if (!relay)
        return;
    stop_request(&relay->stop);
    pthread_join(relay->thread, NULL);
    stop_destroy(&relay->stop);
    pg_free(relay->db);
    redis_free(relay->redis);
    arena_free(relay->arena);
    free(relay);
}
