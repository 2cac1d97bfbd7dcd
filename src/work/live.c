/* Live news. One listener thread a process: it is subscribed to Redis, or, while Redis is away, reads the
 * newest rows of the outbox twice a second. An event's id is made before its transaction commits, so a poll
 * looks back over some seconds and leaves out the ids that the poll before has seen.
 *
 * Whenever messages may have been lost (a connection made anew, a poll that came back full) everybody is
 * told: caches drop everything, every subscription gets its callback. A callback runs without the lock held;
 * `calling` names it, so that an unsubscriber can wait for its end. */
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "live_sql.h"
#include "work/registry.h"
#include "work/stop.h"
#include "work/stream.h"

#include <stdlib.h>

#define BUCKETS 16384
#define WAIT_MS 250
#define POLL_MS 500
#define PING_MS 1000
#define LOOK_BACK_US ((int64_t)10 * 1000000)
#define RECENT_MAX 5000

struct live_subscription {
    struct uuid aggregate_id;
    void (*news)(void *context);
    void *context;
    uint64_t round; /* of the last delivery: one callback for one piece of news */
    struct live_subscription *next;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t call_ended;
    struct live_subscription *buckets[BUCKETS];
    size_t count;
    uint64_t round;
    const struct live_subscription *calling;
    void (*invalidate)(struct str kind, struct uuid id);
    bool running;
    pthread_t thread;
    struct stop stop;
    struct redis *redis;
    struct pg *db;
    struct arena *arena;
    int64_t poll_at_us;
    struct event_id *seen; /* ids of the poll before, newest first */
    size_t seen_count;
} live = {.lock = PTHREAD_MUTEX_INITIALIZER, .call_ended = PTHREAD_COND_INITIALIZER};

static struct live_subscription **bucket_of(struct uuid id)
{
    uint64_t hash;
    memcpy(&hash, id.bytes + 8, sizeof hash); /* the random half of a UUIDv7 */
    hash ^= hash >> 32;
    return &live.buckets[hash % BUCKETS];
}

struct live_subscription *live_subscribe(struct uuid aggregate_id, void (*news)(void *context), void *context)
{
    struct live_subscription *subscription = calloc(1, sizeof *subscription);
    CHECK(subscription && news);
    *subscription =
        (struct live_subscription){.aggregate_id = aggregate_id, .news = news, .context = context};
    pthread_mutex_lock(&live.lock);
    struct live_subscription **bucket = bucket_of(aggregate_id);
    subscription->round = live.round;
    subscription->next = *bucket;
    *bucket = subscription;
    live.count++;
    pthread_mutex_unlock(&live.lock);
    return subscription;
}

void live_unsubscribe(struct live_subscription *subscription)
{
    if (!subscription)
        return;
    pthread_mutex_lock(&live.lock);
    struct live_subscription **at = bucket_of(subscription->aggregate_id);
    while (*at != subscription) {
        CHECK(*at); /* unsubscribed twice */
        at = &(*at)->next;
    }
    *at = subscription->next;
    live.count--;
    /* In its own callback it would wait for itself. */
    while (live.calling == subscription && !pthread_equal(pthread_self(), live.thread))
        pthread_cond_wait(&live.call_ended, &live.lock);
    pthread_mutex_unlock(&live.lock);
    free(subscription);
}

void live_on_invalidate(void (*invalidate)(struct str kind, struct uuid id))
{
    pthread_mutex_lock(&live.lock);
    live.invalidate = invalidate;
    pthread_mutex_unlock(&live.lock);
}

/* One not yet told in this round. After each call the bucket is looked at from its head again: it may have
 * changed. */
static bool tell_one(struct live_subscription *head, const struct uuid *aggregate_id)
{
    struct live_subscription *one = head;
    while (one &&
           (one->round == live.round || (aggregate_id && !uuid_equal(one->aggregate_id, *aggregate_id))))
        one = one->next;
    if (!one)
        return false;
    one->round = live.round;
    live.calling = one;
    pthread_mutex_unlock(&live.lock);
    one->news(one->context);
    pthread_mutex_lock(&live.lock);
    live.calling = NULL;
    pthread_cond_broadcast(&live.call_ended);
    return true;
}

static void tell_news(struct uuid aggregate_id)
{
    pthread_mutex_lock(&live.lock);
    live.round++;
    while (tell_one(*bucket_of(aggregate_id), &aggregate_id))
        continue;
    pthread_mutex_unlock(&live.lock);
}

static void tell_invalidation(struct str kind, struct uuid id)
{
    pthread_mutex_lock(&live.lock);
    void (*invalidate)(struct str, struct uuid) = live.invalidate;
    pthread_mutex_unlock(&live.lock);
    if (invalidate)
        invalidate(kind, id);
}

/* Anything may have changed. */
static void tell_all(void)
{
    tell_invalidation(STR(""), (struct uuid){{0}});
    pthread_mutex_lock(&live.lock);
    live.round++;
    for (size_t i = 0; i < BUCKETS && live.count > 0; i++)
        while (tell_one(live.buckets[i], NULL))
            continue;
    pthread_mutex_unlock(&live.lock);
}

static void take_message(struct str channel, struct str text)
{
    struct uuid id;
    if (str_equal(text, STR("*"))) {
        tell_all();
    } else if (str_equal(channel, STR(CHANNEL_LIVE))) {
        if (uuid_parse(text, &id))
            tell_news(id);
    } else {
        struct str kind = str_split(&text, ' ');
        while (text.ptr)
            if (uuid_parse(str_split(&text, ' '), &id))
                tell_invalidation(kind, id);
    }
}

static bool was_seen(struct event_id id)
{
    size_t low = 0, high = live.seen_count; /* newest first */
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = uuid_compare(live.seen[middle].uuid, id.uuid);
        if (order == 0)
            return true;
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void poll_outbox(bool first)
{
    struct live_recent_rows rows;
    struct live_recent_args args = {uuid_floor(clock_wall_us() - LOOK_BACK_US), RECENT_MAX};
    if (live_recent(live.db, live.arena, args, &rows))
        return; /* logged; the next poll looks back far enough, or tells everybody */
    if (first || rows.count == RECENT_MAX) {
        tell_all();
    } else {
        for (size_t i = 0; i < rows.count; i++) {
            const struct live_recent_row *event = &rows.items[i];
            if (was_seen(event->id))
                continue;
            const char *kind = work_event_invalidates(event->type);
            struct uuid_array things = work_event_things(live.arena, event->aggregate_id, event->payload);
            for (size_t k = 0; kind && k < things.count; k++)
                tell_invalidation(str_from(kind), things.items[k]);
            tell_news(event->aggregate_id);
        }
    }
    for (size_t i = 0; i < rows.count; i++)
        live.seen[i] = rows.items[i].id;
    live.seen_count = rows.count;
}

/* Subscribes and tells everybody; false while Redis is away. */
static bool subscribe(void)
{
    static const struct str channels[] = {STR(CHANNEL_LIVE), STR(CHANNEL_INVALIDATE)};
    if (!redis_connected(live.redis) || !redis_subscribe(live.redis, 2, channels))
        return false;
    tell_all();
    return true;
}

static void listen_to_redis(void)
{
    int64_t ping_at_us = clock_monotonic_us() + (int64_t)PING_MS * 1000;
    while (!stop_requested(&live.stop)) {
        redisReply *reply;
        struct str channel, text;
        enum redis_wait wait = redis_next_message(live.redis, WAIT_MS, &reply, &channel, &text);
        if (wait == REDIS_AWAY)
            return;
        if (wait == REDIS_MESSAGE)
            take_message(channel, text);
        freeReplyObject(reply);
        if (clock_monotonic_us() > ping_at_us) {
            if (!redis_ping_subscribed(live.redis))
                return;
            ping_at_us = clock_monotonic_us() + (int64_t)PING_MS * 1000;
        }
    }
}

static void *live_main(void *unused)
{
    (void)unused;
    bool first = true;
    while (!stop_requested(&live.stop)) {
        if (subscribe()) {
            listen_to_redis();
            first = true;
            continue;
        }
        if (clock_monotonic_us() >= live.poll_at_us) {
            poll_outbox(first);
            first = live.db && !pg_raw(live.db);
            live.poll_at_us = clock_monotonic_us() + (int64_t)POLL_MS * 1000;
        }
        arena_reset(live.arena);
        stop_wait(&live.stop, WAIT_MS);
    }
    return NULL;
}

static int64_t count_subscriptions(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&live.lock);
    int64_t count = (int64_t)live.count;
    pthread_mutex_unlock(&live.lock);
    return count;
}

enum error_code live_start(struct error *error)
{
    CHECK(!live.running);
    struct redis_address address;
    enum error_code code = redis_url_parse(str_from(config()->redis_url), &address, error);
    if (code)
        return code;
    live.redis = redis_new(config()->redis_url);
    live.db = pg_new(config()->database_url, "cathay live", NULL);
    live.arena = arena_new();
    live.seen = calloc(RECENT_MAX, sizeof *live.seen);
    CHECK(live.seen);
    live.seen_count = 0;
    stop_init(&live.stop);
    metric_gauge_read("cathay_live_subscriptions", "Aggregates that somebody watches", NULL,
                      count_subscriptions, NULL);
    live.running = true;
    pthread_mutex_lock(&live.lock); /* live.thread is read under it */
    CHECK(thread_start(&live.thread, "live", live_main, NULL));
    pthread_mutex_unlock(&live.lock);
    return ERR_OK;
}

void live_stop(void)
{
    if (!live.running)
        return;
    stop_request(&live.stop);
    pthread_join(live.thread, NULL);
    live.running = false;
    stop_destroy(&live.stop);
    redis_free(live.redis);
    pg_free(live.db);
    arena_free(live.arena);
    free(live.seen);
}
