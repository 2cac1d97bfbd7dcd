/* The engine: orders through lanes (work/lanes.h), each batch until it is settled. Lanes keep apart by
 * customer and variant: orders that share one would wait for each other's rows. */
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

/* The lane that a batch runs on. */
struct lane {
    int number;
    struct pg *db;
    struct arena *arena;
};

static struct {
    pthread_mutex_t lock; /* of the counters */
    struct checkout_options options;
    struct lanes *lanes; /* NULL: not running */
    struct checkout_counters counters;
} engine = {.lock = PTHREAD_MUTEX_INITIALIZER};

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

static enum error_code run_until_settled(const struct lane *lane, struct checkout_command *const *commands,
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
        log_write(LOG_WARN, "checkout batch tried again", LOG_INT("lane", lane->number),
                  LOG_INT("orders", (int64_t)count), LOG_TEXT("code", error_text(code)),
                  LOG_TEXT("sqlstate", pg_error(lane->db)->sqlstate));
        if (code == ERR_DATABASE) {
            if (++losses == ATTEMPTS_CONNECTION)
                return code;
            usleep(pause_us);
            pause_us *= 2;
        } else if (code == ERR_VALIDATION) {
            return code; /* a value that the database cannot take: nor will it the next time */
        } else if (++collisions == ATTEMPTS_COLLISION) {
            return code == ERR_DATABASE_RETRY ? ERR_OVERLOADED : ERR_INTERNAL;
        } else if (count > 1 && code != ERR_DATABASE_RETRY) {
            return code; /* one order spoils the batch: run each individually */
        }
    }
}

static void run_batch(const struct lane *lane, struct checkout_command *const *commands, size_t count)
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

static void run(int number, struct pg *db, struct arena *arena, struct lane_item *const *items, size_t count)
{
    const struct lane lane = {number, db, arena};
    struct checkout_command **commands = calloc(count, sizeof(struct checkout_command *));
    CHECK(commands);
    for (size_t i = 0; i < count; i++)
        commands[i] = (struct checkout_command *)items[i];
    run_batch(&lane, commands, count);
    free(commands);
}

bool checkout_overloaded(int64_t waited_us)
{
    return engine.lanes && lanes_refuse(engine.lanes, waited_us);
}

enum error_code checkout_submit(struct checkout_command *command)
{
    const struct checkout_order *order = &command->order;
    if (!engine.lanes)
        return ERR_OVERLOADED;
    uint64_t *touches = ARENA_ARRAY(command->arena, uint64_t, order->line_count + 1);
    touches[0] = lane_hash(order->customer_id.uuid);
    for (size_t i = 0; i < order->line_count; i++)
        touches[i + 1] = lane_hash(order->lines[i].variant_id.uuid);
    command->item = (struct lane_item){
        .touches = touches, .touch_count = order->line_count + 1, .request_id = order->request_id};
    return lanes_submit(engine.lanes, &command->item);
}

enum error_code checkout_engine_start(const struct checkout_options *options, struct error *error)
{
    CHECK(!engine.lanes);
    engine.options = *options;
    engine.counters = (struct checkout_counters){0};
    struct lanes_options lanes = {.database_url = options->database_url,
                                  .role = "cathay lane",
                                  .settings = CHECKOUT_CONNECTION_SETTINGS,
                                  .lanes = options->lanes,
                                  .batch_max = options->batch_max,
                                  .queue_max = options->queue_max,
                                  .wait_max_ms = options->wait_max_ms,
                                  .run = run};
    return lanes_start(&lanes, &engine.lanes, error);
}

void checkout_engine_stop(void)
{
    lanes_stop(engine.lanes);
    engine.lanes = NULL;
}

void checkout_counters(struct checkout_counters *counters)
{
    pthread_mutex_lock(&engine.lock);
    *counters = engine.counters;
    pthread_mutex_unlock(&engine.lock);
    counters->queued = engine.lanes ? (int64_t)lanes_queued(engine.lanes) : 0;
}
