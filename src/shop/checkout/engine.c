/* Natural batching: orders wait in one queue; a lane that is free takes what is there (its share, so that the
 * other lanes have work too) and makes a batch of it. While it is in flight new orders gather. There is no
 * timer: alone, an order is a batch of one and waits for nobody.
 *
 * Lanes that touch the same customer or the same variant would wait for each other's row locks with a whole
 * batch in hand. So a lane leaves orders in the queue whose customer or variants are in flight on another
 * lane; they stand first for whoever is free next. What is in flight on a lane is a small hash set of 64-bit
 * hashes; a collision only makes an order wait for the next batch.
 *
 * Small batches cost more for each order, so that a second lane does not begin with the first few orders that
 * come while another is in flight, but when half as many wait as are in flight there (`worth`); when the
 * other comes back, whatever waits is taken. A lane that found nothing but conflicts looks again when twice
 * as many wait, or when a lane comes back. */
#include "shop/checkout/batch.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define ATTEMPTS_COLLISION 5  /* of a batch that met a deadlock or a constraint */
#define ATTEMPTS_CONNECTION 8 /* pauses double from 50 ms: some 12 s, longer than a restart of PostgreSQL */
#define PAUSE_FIRST_US 50000
/* Plans are made anew after 1, 2, 4 … batches, and then after each so many: one that was made while a table
 * was small, or its statistics old, must not stay. */
#define BATCHES_PER_PLAN 1024
#define SET_SLOTS                                                                                            \
    16384 /* a power of two, above twice batch_max * (1 + lines) in practice; full: the rest is left waiting \
           */

struct in_flight {
    uint64_t slots[SET_SLOTS];
    size_t used[SET_SLOTS / 2];
    size_t count;
};

struct lane {
    int number;
    pthread_t thread;
    struct pg *db;
    struct arena *arena;
    struct in_flight *in_flight;
    struct checkout_command **batch;
    bool busy;
    size_t in_hand; /* orders of its batch */
    int64_t batches;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct checkout_options options;
    struct lane lanes[CHECKOUT_LANES_MAX];
    struct checkout_command *head, *tail;
    size_t queued;
    size_t worth; /* so many waiting orders are worth an idle lane's while; at least 1 */
    bool running, stopping;
    struct checkout_counters counters;
} engine = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};

/* ── what is in flight ── */

static uint64_t hash_of(struct uuid id)
{
    uint64_t high, low;
    memcpy(&high, id.bytes, 8);
    memcpy(&low, id.bytes + 8, 8);
    uint64_t hash = (high ^ (low * 0x9e3779b97f4a7c15u)) * 0xbf58476d1ce4e5b9u;
    return (hash ^ hash >> 31) | 1; /* 0 marks an empty slot */
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

static bool conflicts(const struct lane *self, const struct checkout_order *order)
{
    for (int i = 0; i < engine.options.lanes; i++) {
        const struct lane *other = &engine.lanes[i];
        if (other == self || !other->busy)
            continue;
        if (set_has(other->in_flight, hash_of(order->customer_id.uuid)))
            return true;
        for (size_t l = 0; l < order->line_count; l++)
            if (set_has(other->in_flight, hash_of(order->lines[l].variant_id.uuid)))
                return true;
    }
    return false;
}

static bool mark(struct lane *lane, const struct checkout_order *order)
{
    bool room = set_add(lane->in_flight, hash_of(order->customer_id.uuid));
    for (size_t l = 0; room && l < order->line_count; l++)
        room = set_add(lane->in_flight, hash_of(order->lines[l].variant_id.uuid));
    return room;
}

/* Under the lock, when a lane has begun or ended a batch. */
static void weigh(void)
{
    size_t most = 0;
    for (int i = 0; i < engine.options.lanes; i++)
        if (engine.lanes[i].busy && engine.lanes[i].in_hand > most)
            most = engine.lanes[i].in_hand;
    engine.worth = most > 2 && !engine.stopping ? most / 2 : 1;
}

/* Under the lock. Takes this lane's share from the queue, in order. */
static size_t take_batch(struct lane *lane)
{
    size_t idle = 0;
    if (engine.queued < engine.worth)
        return 0;
    for (int i = 0; i < engine.options.lanes; i++)
        idle += !engine.lanes[i].busy;
    size_t share = idle > 1 ? (engine.queued + idle - 1) / idle : engine.queued;
    if (share > engine.options.batch_max)
        share = engine.options.batch_max;
    size_t count = 0;
    struct checkout_command **link = &engine.head, *last = NULL;
    while (*link && count < share) {
        struct checkout_command *command = *link;
        if (conflicts(lane, &command->order) || !mark(lane, &command->order)) {
            last = command;
            link = &command->next;
            continue;
        }
        *link = command->next;
        lane->batch[count++] = command;
    }
    if (!*link)
        engine.tail = last;
    engine.queued -= count;
    if (count == 0) {
        set_clear(lane->in_flight);
        engine.worth = 2 * engine.queued;
    }
    return count;
}

/* ── running ── */

static void prepare(struct checkout_command *const *commands, size_t count)
{
    int64_t now_us = clock_wall_us();
    for (size_t i = 0; i < count; i++) {
        struct checkout_order *order = &commands[i]->order;
        order->order_id = order_id_new();
        order->payment_id = payment_id_new();
        order->hold_id = uuid_new();
        order->placed_at_us = now_us;
        order->expires_at_us = now_us + engine.options.reservation_s * 1000000;
    }
}

static void count_outcomes(struct checkout_command *const *commands, size_t count)
{
    pthread_mutex_lock(&engine.lock);
    engine.counters.batches++;
    engine.counters.orders += (int64_t)count;
    if ((int64_t)count > engine.counters.largest_batch)
        engine.counters.largest_batch = (int64_t)count;
    for (size_t i = 0; i < count; i++) {
        engine.counters.accepted += commands[i]->order.outcome == CHECKOUT_ACCEPTED;
        engine.counters.rejected += commands[i]->order.outcome == CHECKOUT_REJECTED;
        engine.counters.replayed += commands[i]->order.outcome == CHECKOUT_REPLAYED;
    }
    pthread_mutex_unlock(&engine.lock);
}

static void finish(struct checkout_command *command, enum error_code code)
{
    if (!code && command->order.outcome == CHECKOUT_REJECTED)
        code = command->order.code;
    command->finish(command, code);
}

static enum error_code run_until_settled(struct lane *lane, struct checkout_command *const *commands,
                                         size_t count)
{
    int collisions = 0, losses = 0;
    useconds_t pause_us = PAUSE_FIRST_US;
    for (;;) {
        arena_reset(lane->arena);
        enum error_code code = checkout_batch_run(lane->db, lane->arena, commands, count);
        if (!code) {
            count_outcomes(commands, count);
            return ERR_OK;
        }
        pthread_mutex_lock(&engine.lock);
        engine.counters.retried_batches++;
        pthread_mutex_unlock(&engine.lock);
        log_write(LOG_WARN, "checkout batch tried again",
                  "\"lane\":%d,\"orders\":%zu,\"code\":\"%s\",\"sqlstate\":\"%s\"", lane->number, count,
                  error_text(code), pg_error(lane->db)->sqlstate);
        if (code == ERR_DATABASE) {
            if (++losses == ATTEMPTS_CONNECTION)
                return code;
            usleep(pause_us);
            pause_us *= 2;
        } else if (++collisions == ATTEMPTS_COLLISION) {
            return code == ERR_DATABASE_RETRY ? ERR_OVERLOADED : ERR_INTERNAL;
        } else if (count > 1 && code != ERR_DATABASE_RETRY) {
            return code; /* one order spoils the others: each by itself */
        }
    }
}

static void drop_old_plans(struct lane *lane)
{
    int64_t n = lane->batches++;
    bool power_of_two = (n & (n - 1)) == 0;
    if (n > 0 && (n < BATCHES_PER_PLAN ? power_of_two : n % BATCHES_PER_PLAN == 0))
        pg_execute(lane->db, "DISCARD PLANS"); /* a lost connection shows again in the batch */
}

static void run_batch(struct lane *lane, struct checkout_command *const *commands, size_t count)
{
    prepare(commands, count);
    enum error_code code = run_until_settled(lane, commands, count);
    if (code && code != ERR_DATABASE && code != ERR_OVERLOADED && count > 1) {
        for (size_t i = 0; i < count; i++) {
            enum error_code alone = run_until_settled(lane, &commands[i], 1);
            if (alone)
                error_set(&commands[i]->order.error, alone, "%s", error_title(alone));
            finish(commands[i], alone);
        }
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (code)
            error_set(&commands[i]->order.error, code, "%s", error_title(code));
        finish(commands[i], code);
    }
}

static void *lane_main(void *argument)
{
    struct lane *lane = argument;
    pthread_mutex_lock(&engine.lock);
    for (;;) {
        size_t count = take_batch(lane);
        if (count == 0) {
            if (engine.stopping && !engine.head)
                break;
            pthread_cond_wait(&engine.work, &engine.lock);
            continue;
        }
        lane->busy = true;
        lane->in_hand = count;
        weigh();
        if (engine.queued >= engine.worth)
            pthread_cond_signal(&engine.work);
        pthread_mutex_unlock(&engine.lock);
        drop_old_plans(lane);
        run_batch(lane, lane->batch, count);
        pthread_mutex_lock(&engine.lock);
        lane->busy = false;
        set_clear(lane->in_flight);
        weigh();
        if (engine.head) /* somebody may have been waiting for what this lane held */
            pthread_cond_broadcast(&engine.work);
    }
    pthread_cond_broadcast(&engine.work);
    pthread_mutex_unlock(&engine.lock);
    return NULL;
}

enum error_code checkout_submit(struct checkout_command *command)
{
    command->next = NULL;
    pthread_mutex_lock(&engine.lock);
    if (!engine.running || engine.stopping || engine.queued >= engine.options.queue_max) {
        pthread_mutex_unlock(&engine.lock);
        return ERR_OVERLOADED;
    }
    if (engine.head)
        engine.tail->next = command;
    else
        engine.head = command;
    engine.tail = command;
    engine.queued++;
    if (engine.queued >= engine.worth)
        pthread_cond_signal(&engine.work);
    pthread_mutex_unlock(&engine.lock);
    return ERR_OK;
}

enum error_code checkout_engine_start(const struct checkout_options *options, struct error *error)
{
    CHECK(!engine.running && options->lanes >= 1 && options->lanes <= CHECKOUT_LANES_MAX &&
          options->batch_max >= 1);
    engine.options = *options;
    engine.stopping = false;
    engine.worth = 1;
    engine.counters = (struct checkout_counters){0};
    engine.running = true;
    for (int i = 0; i < options->lanes; i++) {
        struct lane *lane = &engine.lanes[i];
        *lane = (struct lane){.number = i};
        lane->db = pg_new(options->database_url, "cathay lane", CHECKOUT_CONNECTION_SETTINGS);
        lane->arena = arena_new();
        lane->in_flight = calloc(1, sizeof *lane->in_flight);
        lane->batch = calloc(options->batch_max, sizeof(struct checkout_command *));
        CHECK(lane->in_flight && lane->batch);
        if (pthread_create(&lane->thread, NULL, lane_main, lane) != 0)
            return error_set(error, ERR_INTERNAL, "a thread for a checkout lane could not be made");
    }
    return ERR_OK;
}

void checkout_engine_stop(void)
{
    if (!engine.running)
        return;
    pthread_mutex_lock(&engine.lock);
    engine.stopping = true;
    weigh();
    pthread_cond_broadcast(&engine.work);
    pthread_mutex_unlock(&engine.lock);
    for (int i = 0; i < engine.options.lanes; i++) {
        struct lane *lane = &engine.lanes[i];
        pthread_join(lane->thread, NULL);
        pg_free(lane->db);
        arena_free(lane->arena);
        free(lane->in_flight);
        free(lane->batch);
    }
    engine.running = false;
}

void checkout_counters(struct checkout_counters *counters)
{
    pthread_mutex_lock(&engine.lock);
    *counters = engine.counters;
    counters->queued = (int64_t)engine.queued;
    pthread_mutex_unlock(&engine.lock);
}
