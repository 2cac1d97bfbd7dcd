/* Drives the checkout engine without HTTP: a number of shoppers, each of whom places the next order as soon
 * as the answer to the last has come. Prints one line of JSON. DATABASE_URL names a database that
 * bench/seed.sql has filled.
 *
 * The next order is made on the lane's thread, inside the finish callback, so that its cost is in the figure.
 */
#include "arguments.h"
#include "measure.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "bench_sql.h"
#include "shop/checkout/checkout.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINES_MAX 3
#define SHOPPERS_MAX 4096
#define SKUS_MAX 1000000
#define SPENT_MAX 1000000

static const struct str address =
    STR("{\"name\":\"Chan Tai Man\",\"line1\":\"Flat 12A, 8 Queen's Road Central\",\"city\":\"Hong Kong\","
        "\"country\":\"HK\",\"phone\":\"+852 2123 4567\"}");

struct shopper {
    struct checkout_command command;
    struct checkout_line lines[LINES_MAX];
    struct arena *arena;
    uint64_t random;
    size_t number, turn;
    int64_t submitted_us;
    char key[40], hash[32];
};

static struct {
    int64_t shoppers, seconds, lines, skus, points, lanes, batch;
} options = {.shoppers = 256, .seconds = 5, .lines = LINES_MAX, .skus = 10000, .lanes = 2, .batch = 256};

static struct bench_variants_rows variants;
static struct bench_customers_rows customers;
static struct histogram latencies;
static volatile bool running = true, counting;
static int64_t placed, refused, active;
static enum error_code first_refusal;

static uint64_t next_random(struct shopper *shopper)
{
    uint64_t x = shopper->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return shopper->random = x;
}

static void make_order(struct shopper *shopper)
{
    struct checkout_command *command = &shopper->command;
    struct checkout_order *order = &command->order;
    arena_reset(shopper->arena);
    *order = (struct checkout_order){.currency = {"HKD"}, .points = options.points, .lines = shopper->lines};
    size_t customer = shopper->number + shopper->turn++ * (size_t)options.shoppers;
    order->customer_id = customers.items[customer % customers.count].user_id;
    order->key =
        (struct str){shopper->key, (size_t)snprintf(shopper->key, sizeof shopper->key, "%016llx%016llx",
                                                    (unsigned long long)next_random(shopper),
                                                    (unsigned long long)next_random(shopper))};
    order->body_hash = (struct str){shopper->hash, sizeof shopper->hash};
    order->address = address;
    order->traceparent = STR("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    size_t lines = options.skus < LINES_MAX ? 1 : 1 + next_random(shopper) % (uint64_t)options.lines;
    for (size_t i = 0; i < lines; i++) {
        const struct bench_variants_row *variant;
        bool again;
        do {
            variant = &variants.items[next_random(shopper) % variants.count];
            again = false;
            for (size_t b = 0; b < i; b++)
                again |= variant_id_equal(shopper->lines[b].variant_id, variant->variant_id);
        } while (again);
        shopper->lines[i] = (struct checkout_line){
            .variant_id = variant->variant_id, .quantity = 1, .unit_price_minor = variant->amount_minor};
    }
    order->line_count = lines;
}

static void submit(struct shopper *shopper)
{
    make_order(shopper);
    shopper->submitted_us = clock_monotonic_us();
    CHECK(checkout_submit(&shopper->command) == ERR_OK);
}

static void finished(struct checkout_command *command, enum error_code code)
{
    struct shopper *shopper = command->context;
    if (counting) {
        histogram_add(&latencies, clock_monotonic_us() - shopper->submitted_us);
        __atomic_fetch_add(code ? &refused : &placed, 1, __ATOMIC_RELAXED);
    }
    if (code)
        first_refusal = code;
    if (running)
        submit(shopper);
    else
        __atomic_fetch_sub(&active, 1, __ATOMIC_RELEASE);
}

static void parse(int argc, char **argv)
{
    static const struct argument table[] = {
        {"shoppers", &options.shoppers, 1, SHOPPERS_MAX, NULL}, {"seconds", &options.seconds, 1, 600, NULL},
        {"lines", &options.lines, 1, LINES_MAX, NULL},          {"skus", &options.skus, 1, SKUS_MAX, NULL},
        {"points", &options.points, 0, SPENT_MAX, NULL},        {"lanes", &options.lanes, 1, LANES_MAX, NULL},
        {"batch", &options.batch, 1, SHOPPERS_MAX, NULL}};
    arguments_read(table, sizeof table / sizeof table[0], argc, argv);
}

static void report(const struct sample *before, const struct sample *after,
                   const struct checkout_counters *first, const struct checkout_counters *last)
{
    int64_t batches = last->batches - first->batches;
    printf("{\"shoppers\":%lld,\"skus\":%lld,\"points\":%lld,\"lanes\":%lld,\"batch_max\":%lld,",
           (long long)options.shoppers, (long long)options.skus, (long long)options.points,
           (long long)options.lanes, (long long)options.batch);
    sample_print(before, after, placed);
    printf(",\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"mean_batch\":%.1f,\"largest_batch\":%lld,\"batches_again\":%"
           "lld,\"refused\":%lld,"
           "\"refusal\":\"%s\"}\n",
           (double)histogram_quantile_us(&latencies, 0.5) / 1e3,
           (double)histogram_quantile_us(&latencies, 0.99) / 1e3,
           batches ? (double)(last->orders - first->orders) / (double)batches : 0.0,
           (long long)last->largest_batch, (long long)(last->retried_batches - first->retried_batches),
           (long long)refused, first_refusal ? error_text(first_refusal) : "");
}

int main(int argc, char **argv)
{
    CHECK(sodium_init() >= 0);
    parse(argc, argv);
    struct error error = {.code = ERR_OK};
    if (config_load(&error)) {
        fprintf(stderr, "engine_bench: %s\n", error.detail);
        return 2;
    }
    struct pg *db = pg_new(config()->database_url, "bench", NULL);
    struct arena *arena = arena_new();
    if (bench_variants(db, arena, (struct bench_variants_args){options.skus}, &variants) ||
        bench_customers(db, arena, (struct bench_customers_args){100000}, &customers) || !variants.count ||
        !customers.count) {
        fprintf(stderr, "engine_bench: fill the database with bench/seed.sql first. %s\n",
                pg_error(db)->detail);
        return 2;
    }
    log_start(LOG_WARN, NULL, (struct log_bounds){0});
    struct checkout_options engine = {.database_url = config()->database_url,
                                      .lanes = (int)options.lanes,
                                      .batch_max = (size_t)options.batch,
                                      .queue_max = SHOPPERS_MAX,
                                      .wait_max_ms = 600000,
                                      .reservation_s = 86400};
    if (checkout_engine_start(&engine, &error)) {
        fprintf(stderr, "engine_bench: %s\n", error.detail);
        return 2;
    }
    struct shopper *shoppers = calloc((size_t)options.shoppers, sizeof *shoppers);
    CHECK(shoppers);
    active = options.shoppers;
    for (int i = 0; i < options.shoppers; i++) {
        struct shopper *shopper = &shoppers[i];
        shopper->number = (size_t)i;
        shopper->arena = arena_new();
        randombytes_buf(&shopper->random, sizeof shopper->random);
        shopper->random |= 1;
        shopper->command.arena = shopper->arena;
        shopper->command.finish = finished;
        shopper->command.context = shopper;
        submit(shopper);
    }
    struct sample before, after;
    struct checkout_counters first, last;
    usleep(500000); /* plans, caches */
    CHECK(sample_take(db, 0, &before) == ERR_OK);
    checkout_counters(&first);
    counting = true;
    sleep((unsigned)options.seconds);
    counting = false;
    CHECK(sample_take(db, 0, &after) == ERR_OK);
    checkout_counters(&last);
    running = false;
    while (__atomic_load_n(&active, __ATOMIC_ACQUIRE) > 0)
        usleep(1000);
    checkout_engine_stop();
    report(&before, &after, &first, &last);
    for (int i = 0; i < options.shoppers; i++)
        arena_free(shoppers[i].arena);
    free(shoppers);
    arena_free(arena);
    pg_free(db);
    log_stop();
    return refused ? 1 : 0;
}
