/* A lane that is free takes what is there: its share, so that the other lanes have work too.
 *
 * The queue is bounded by the time that one waits in it, too: a length that is worked off in a fifth of a
 * second takes ten when the database is slow, and whoever waited so long has left. What is refused at once
 * can be tried again; what was taken is answered in time, so that under any load the lanes work for those who
 * still wait.
 *
 * Lanes that lock the same rows would wait for each other with a whole batch in hand. So a lane leaves items
 * in the queue that touch what is in flight on another lane; they stand first for whoever is free next. What
 * is in flight on a lane is a small hash set; a collision only makes an item wait for the next batch.
 *
 * Small batches cost more for each item: two lanes with eight orders each take half as much CPU again as
 * one with sixteen, for the same rate. So a second lane does not begin with the first few items that come
 * while another is in flight, but when SECOND_LANE_LEAST wait and half as many as are in flight there
 * (`worth`); when the other comes back, whatever waits is taken. A lane that found nothing but conflicts
 * looks again when twice as many wait, or when a lane comes back. */
#include "work/lanes.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Plans are made anew when a lane has run PLAN_GROWTH times as many items as the last time, and at last after
 * each ITEMS_PER_PLAN: one that was made while a table was small, or its statistics old, must not stay.
 * Counted in items, not in batches, since that is what tables grow by. To plan all statements of a batch
 * holds up those who wait for 20 ms and more, so it has to be rare; new statistics make PostgreSQL plan
 * anew in any case. */
#define ITEMS_PER_PLAN 262144
#define PLAN_GROWTH 64
#define SECOND_LANE_LEAST 12 /* items */
#define SET_SLOTS                                                                                            \
    16384 /* a power of two, above twice batch_max * touches in practice; full: the rest is left waiting */

struct in_flight {
    uint64_t slots[SET_SLOTS];
    size_t used[SET_SLOTS / 2];
    size_t count;
};

struct lane {
    struct lanes *lanes;
    int number;
    pthread_t thread;
    struct pg *db;
    struct arena *arena;
    struct in_flight *in_flight;
    struct lane_item **batch;
    bool busy;
    size_t in_hand;             /* items of its batch */
    int64_t items, plans_until; /* so many items were run; at so many its plans are dropped */
};

struct lanes {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct lanes_options options;
    struct lane_item *head, *tail;
    _Atomic size_t queued;
    _Atomic int64_t oldest_us; /* since when the first one waits; 0: none does */
    struct metric *refused, *batch_items;
    size_t worth; /* so many waiting items are worth an idle lane's while; at least 1 */
    bool stopping;
    struct lane lane[LANES_MAX];
};

/* ── what is in flight ── */

uint64_t lane_hash(struct uuid id)
{
    uint64_t high, low;
    memcpy(&high, id.bytes, 8);
    memcpy(&low, id.bytes + 8, 8);
    uint64_t hash = (high ^ (low * 0x9e3779b97f4a7c15u)) * 0xbf58476d1ce4e5b9u;
    return (hash ^ hash >> 31) | 1; /* 0 marks an empty slot */
}

uint64_t lane_hash_text(struct str text)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * 0x100000001b3u;
    return (hash ^ hash >> 31) | 1;
}

static bool set_has(const struct in_flight *set, uint64_t hash)
{
    for (size_t at = hash % SET_SLOTS; set->slots[at]; at = (at + 1) % SET_SLOTS)
        if (set->slots[at] == hash)
            return true;
    return false;
}

static bool set_add(struct in_flight *set, uint64_t hash)
{
    size_t at = hash % SET_SLOTS;
    for (; set->slots[at]; at = (at + 1) % SET_SLOTS)
        if (set->slots[at] == hash)
            return true;
    if (set->count == SET_SLOTS / 2)
        return false;
    set->slots[at] = hash;
    set->used[set->count++] = at;
    return true;
}

static void set_clear(struct in_flight *set)
{
    for (size_t i = 0; i < set->count; i++)
        set->slots[set->used[i]] = 0;
    set->count = 0;
}

static bool conflicts(const struct lane *self, const struct lane_item *item)
{
    const struct lanes *lanes = self->lanes;
    for (int i = 0; i < lanes->options.lanes; i++) {
        const struct lane *other = &lanes->lane[i];
        if (other == self || !other->busy)
            continue;
        for (size_t t = 0; t < item->touch_count; t++)
            if (set_has(other->in_flight, item->touches[t]))
                return true;
    }
    return false;
}

static bool mark(struct lane *lane, const struct lane_item *item)
{
    bool room = true;
    for (size_t t = 0; room && t < item->touch_count; t++)
        room = set_add(lane->in_flight, item->touches[t]);
    return room;
}

/* ── the queue; all of it under the lock ── */

static size_t second_lane_least(const struct lanes *lanes)
{
    size_t batch_max = lanes->options.batch_max;
    return batch_max < SECOND_LANE_LEAST ? batch_max : SECOND_LANE_LEAST;
}

/* When a lane has begun or ended a batch. */
static void weigh(struct lanes *lanes)
{
    size_t most = 0;
    for (int i = 0; i < lanes->options.lanes; i++)
        if (lanes->lane[i].busy && lanes->lane[i].in_hand > most)
            most = lanes->lane[i].in_hand;
    size_t least = second_lane_least(lanes);
    size_t half = most / 2 > least ? most / 2 : least;
    lanes->worth = most > 0 && !lanes->stopping ? half : 1;
}

/* Takes this lane's share from the queue, in order. */
static size_t take_batch(struct lane *lane)
{
    struct lanes *lanes = lane->lanes;
    size_t idle = 0;
    if (lanes->queued < lanes->worth)
        return 0;
    for (int i = 0; i < lanes->options.lanes; i++)
        idle += !lanes->lane[i].busy;
    size_t share = idle > 1 && lanes->queued >= 2 * second_lane_least(lanes)
                       ? (lanes->queued + idle - 1) / idle
                       : lanes->queued;
    if (share > lanes->options.batch_max)
        share = lanes->options.batch_max;
    size_t count = 0;
    struct lane_item **link = &lanes->head, *last = NULL;
    while (*link && count < share) {
        struct lane_item *item = *link;
        if (conflicts(lane, item) || !mark(lane, item)) {
            last = item;
            link = &item->next;
            continue;
        }
        *link = item->next;
        lane->batch[count++] = item;
    }
    if (!*link)
        lanes->tail = last;
    lanes->queued -= count;
    lanes->oldest_us = lanes->head ? lanes->head->queued_us : 0;
    if (count == 0) {
        set_clear(lane->in_flight);
        lanes->worth = 2 * lanes->queued;
    }
    return count;
}

bool lanes_refuse(struct lanes *lanes, int64_t waited_us)
{
    int64_t oldest_us = atomic_load_explicit(&lanes->oldest_us, memory_order_relaxed);
    size_t queued = atomic_load_explicit(&lanes->queued, memory_order_relaxed);
    int64_t age_us = oldest_us ? clock_monotonic_us() - oldest_us : 0;
    bool refused =
        queued >= lanes->options.queue_max || age_us + waited_us > lanes->options.wait_max_ms * 1000;
    if (refused)
        metric_add(lanes->refused, 1);
    return refused;
}

enum error_code lanes_submit(struct lanes *lanes, struct lane_item *item)
{
    if (lanes_refuse(lanes, 0))
        return ERR_OVERLOADED;
    item->next = NULL;
    item->queued_us = clock_monotonic_us();
    pthread_mutex_lock(&lanes->lock);
    if (lanes->stopping) {
        pthread_mutex_unlock(&lanes->lock);
        return ERR_OVERLOADED;
    }
    if (lanes->head) {
        lanes->tail->next = item;
    } else {
        lanes->head = item;
        lanes->oldest_us = item->queued_us;
    }
    lanes->tail = item;
    lanes->queued++;
    if (lanes->queued >= lanes->worth)
        pthread_cond_signal(&lanes->work);
    pthread_mutex_unlock(&lanes->lock);
    return ERR_OK;
}

size_t lanes_queued(struct lanes *lanes)
{
    return lanes->queued;
}

static int64_t read_queued(void *context)
{
    return (int64_t)lanes_queued(context);
}

static void metrics(struct lanes *lanes, bool running)
{
    char label[64];
    snprintf(label, sizeof label, "lanes=\"%s\"", lanes->options.role);
    metric_gauge_read("cathay_lanes_queued", "Items waiting for a lane", label, running ? read_queued : NULL,
                      lanes);
    static const int64_t bounds[] = {1, 4, 16, 64, 256, 1024};
    lanes->batch_items = metric_histogram("cathay_lanes_batch_items", "Items in one batch", label, bounds,
                                          sizeof bounds / sizeof bounds[0], 1);
    lanes->refused = metric_counter("cathay_lanes_refused_total",
                                    "Items refused because the queue was full or too slow", label);
}

/* ── threads ── */

static void drop_old_plans(struct lane *lane)
{
    if (lane->items < lane->plans_until)
        return;
    lane->plans_until =
        lane->items * PLAN_GROWTH < ITEMS_PER_PLAN ? lane->items * PLAN_GROWTH : lane->items + ITEMS_PER_PLAN;
    pg_execute(lane->db, "DISCARD PLANS"); /* a lost connection shows again in the batch */
}

static void *lane_main(void *argument)
{
    struct lane *lane = argument;
    struct lanes *lanes = lane->lanes;
    pthread_mutex_lock(&lanes->lock);
    for (;;) {
        size_t count = take_batch(lane);
        if (count == 0) {
            if (lanes->stopping && !lanes->head)
                break;
            pthread_cond_wait(&lanes->work, &lanes->lock);
            continue;
        }
        lane->busy = true;
        lane->in_hand = count;
        weigh(lanes);
        if (lanes->queued >= lanes->worth)
            pthread_cond_signal(&lanes->work);
        pthread_mutex_unlock(&lanes->lock);
        drop_old_plans(lane);
        lane->items += (int64_t)count;
        metric_observe(lanes->batch_items, (int64_t)count);
        check_context_set(lanes->options.role);
        check_request_set(STR_NONE, lane->batch[0]->request_id, count);
        lanes->options.run(lane->number, lane->db, lane->arena, lane->batch, count);
        check_hand_clear();
        pthread_mutex_lock(&lanes->lock);
        lane->busy = false;
        set_clear(lane->in_flight);
        weigh(lanes);
        if (lanes->head) /* somebody may have been waiting for what this lane held */
            pthread_cond_broadcast(&lanes->work);
    }
    pthread_cond_broadcast(&lanes->work);
    pthread_mutex_unlock(&lanes->lock);
    return NULL;
}

static bool start_thread(struct lane *lane)
{
    struct str role = str_from(lane->lanes->options.role);
    if (str_starts_with(role, STR("cathay ")))
        role = (struct str){role.ptr + 7, role.len - 7};
    char name[THREAD_NAME_MAX];
    snprintf(name, sizeof name, "%.*s-%d", STR_ARG(role), lane->number % 10);
    return thread_start(&lane->thread, name, lane_main, lane);
}

static void lanes_free(struct lanes *lanes)
{
    for (int i = 0; i < lanes->options.lanes; i++) {
        struct lane *lane = &lanes->lane[i];
        pg_free(lane->db);
        arena_free(lane->arena);
        free(lane->in_flight);
        free(lane->batch);
    }
    metrics(lanes, false);
    pthread_mutex_destroy(&lanes->lock);
    pthread_cond_destroy(&lanes->work);
    free(lanes);
}

static void join(struct lanes *lanes, int count)
{
    pthread_mutex_lock(&lanes->lock);
    lanes->stopping = true;
    weigh(lanes);
    pthread_cond_broadcast(&lanes->work);
    pthread_mutex_unlock(&lanes->lock);
    for (int i = 0; i < count; i++)
        pthread_join(lanes->lane[i].thread, NULL);
}

enum error_code lanes_start(const struct lanes_options *options, struct lanes **out, struct error *error)
{
    CHECK(options->lanes >= 1 && options->lanes <= LANES_MAX && options->batch_max >= 1);
    struct lanes *lanes = calloc(1, sizeof *lanes);
    CHECK(lanes);
    lanes->options = *options;
    lanes->worth = 1;
    metrics(lanes, true);
    pthread_mutex_init(&lanes->lock, NULL);
    pthread_cond_init(&lanes->work, NULL);
    for (int i = 0; i < options->lanes; i++) {
        struct lane *lane = &lanes->lane[i];
        lane->lanes = lanes;
        lane->number = i;
        lane->plans_until = 1;
        lane->db = pg_new(options->database_url, options->role, options->settings);
        lane->arena = arena_new();
        lane->in_flight = calloc(1, sizeof *lane->in_flight);
        lane->batch = calloc(options->batch_max, sizeof *lane->batch);
        CHECK(lane->in_flight && lane->batch);
    }
    for (int i = 0; i < options->lanes; i++) {
        if (start_thread(&lanes->lane[i]))
            continue;
        join(lanes, i);
        lanes_free(lanes);
        return error_set(error, ERR_INTERNAL, "a thread for a lane (%s) could not be made", options->role);
    }
    *out = lanes;
    return ERR_OK;
}

void lanes_stop(struct lanes *lanes)
{
    if (!lanes)
        return;
    join(lanes, lanes->options.lanes);
    lanes_free(lanes);
}
