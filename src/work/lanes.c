/* A lane that is free takes what is there: its share, so that the other lanes have work too.
 *
 * Lanes that lock the same rows would wait for each other with a whole batch in hand. So a lane leaves items
 * in the queue that touch what is in flight on another lane; they stand first for whoever is free next. What
 * is in flight on a lane is a small hash set; a collision only makes an item wait for the next batch.
 *
 * Small batches cost more for each item, so that a second lane does not begin with the first few items that
 * come while another is in flight, but when half as many wait as are in flight there (`worth`); when the
 * other comes back, whatever waits is taken. A lane that found nothing but conflicts looks again when twice
 * as many wait, or when a lane comes back. */
#include "work/lanes.h"

#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>

/* Plans are made anew after 1, 2, 4 … batches, and then after each so many: one that was made while a table
 * was small, or its statistics old, must not stay. */
#define BATCHES_PER_PLAN 1024
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
    size_t in_hand; /* items of its batch */
    int64_t batches;
};

struct lanes {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct lanes_options options;
    struct lane_item *head, *tail;
    size_t queued;
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

/* When a lane has begun or ended a batch. */
static void weigh(struct lanes *lanes)
{
    size_t most = 0;
    for (int i = 0; i < lanes->options.lanes; i++)
        if (lanes->lane[i].busy && lanes->lane[i].in_hand > most)
            most = lanes->lane[i].in_hand;
    lanes->worth = most > 2 && !lanes->stopping ? most / 2 : 1;
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
    size_t share = idle > 1 ? (lanes->queued + idle - 1) / idle : lanes->queued;
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
    if (count == 0) {
        set_clear(lane->in_flight);
        lanes->worth = 2 * lanes->queued;
    }
    return count;
}

enum error_code lanes_submit(struct lanes *lanes, struct lane_item *item)
{
    item->next = NULL;
    pthread_mutex_lock(&lanes->lock);
    if (lanes->stopping || lanes->queued >= lanes->options.queue_max) {
        pthread_mutex_unlock(&lanes->lock);
        return ERR_OVERLOADED;
    }
    if (lanes->head)
        lanes->tail->next = item;
    else
        lanes->head = item;
    lanes->tail = item;
    lanes->queued++;
    if (lanes->queued >= lanes->worth)
        pthread_cond_signal(&lanes->work);
    pthread_mutex_unlock(&lanes->lock);
    return ERR_OK;
}

size_t lanes_queued(struct lanes *lanes)
{
    pthread_mutex_lock(&lanes->lock);
    size_t queued = lanes->queued;
    pthread_mutex_unlock(&lanes->lock);
    return queued;
}

/* ── threads ── */

static void drop_old_plans(struct lane *lane)
{
    int64_t n = lane->batches++;
    bool power_of_two = (n & (n - 1)) == 0;
    if (n > 0 && (n < BATCHES_PER_PLAN ? power_of_two : n % BATCHES_PER_PLAN == 0))
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
        lanes->options.run(lane->number, lane->db, lane->arena, lane->batch, count);
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

static void lanes_free(struct lanes *lanes)
{
    for (int i = 0; i < lanes->options.lanes; i++) {
        struct lane *lane = &lanes->lane[i];
        pg_free(lane->db);
        arena_free(lane->arena);
        free(lane->in_flight);
        free(lane->batch);
    }
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
    pthread_mutex_init(&lanes->lock, NULL);
    pthread_cond_init(&lanes->work, NULL);
    for (int i = 0; i < options->lanes; i++) {
        struct lane *lane = &lanes->lane[i];
        lane->lanes = lanes;
        lane->number = i;
        lane->db = pg_new(options->database_url, options->role, options->settings);
        lane->arena = arena_new();
        lane->in_flight = calloc(1, sizeof *lane->in_flight);
        lane->batch = calloc(options->batch_max, sizeof *lane->batch);
        CHECK(lane->in_flight && lane->batch);
    }
    for (int i = 0; i < options->lanes; i++) {
        if (pthread_create(&lanes->lane[i].thread, NULL, lane_main, &lanes->lane[i]) == 0)
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
