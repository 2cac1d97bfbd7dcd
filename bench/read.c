/* Reads over HTTP: each connection asks for the next of some things when the last one is answered. Products
 * by their id, first pages of a listing that differ in a price limit, or balances, each asked for with the
 * token of its customer. One thread; see client.h. */
#include "client.h"
#include "program.h"

#include "base/check.h"
#include "base/clock.h"
#include "bench_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THINGS_MAX 20000

static struct {
    const char *kind;
    int64_t things, connections, seconds, server, token;
} options = {.kind = "product", .things = 2000, .connections = 16, .seconds = 2};

static struct str *requests; /* whole, one for each thing */
static const char no_shop[] = "fill the database with bench/seed.sql first";
static size_t next_thing;
static struct client *clients;
static int64_t *sent_us;
static struct course course = {.sending = true};
static int64_t answers, counted, failed;
static struct histogram latencies;

static void send_next(size_t number)
{
    struct str request = requests[next_thing++ % (size_t)options.things];
    memcpy(clients[number].request, request.ptr, request.len);
    sent_us[number] = clock_monotonic_us();
    client_send(&clients[number], request.len);
}

static void answered(struct client *client, int status)
{
    size_t number = (size_t)(client - clients);
    answers++;
    failed += status != 200;
    if (status != 200 && failed == 1)
        fprintf(stderr, "read: %.*s\n", (int)client->answer_len, client->answer);
    if (course.counting) {
        counted++;
        histogram_add(&latencies, clock_monotonic_us() - sent_us[number]);
    }
    if (course.sending && status != 0)
        send_next(number);
}

static void turn(int64_t now_us, int64_t until_us)
{
    clients_turn(until_us - now_us);
}

static bool each_once(void)
{
    return answers >= options.things;
}

static struct str get(struct arena *arena, struct str path, struct str token)
{
    struct str request =
        token.ptr ? arena_printf(arena,
                                 "GET %.*s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %.*s\r\n\r\n",
                                 STR_ARG(path), STR_ARG(token))
                  : arena_printf(arena, "GET %.*s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", STR_ARG(path));
    CHECK(request.len <= CLIENT_REQUEST_MAX);
    return request;
}

static void prepare_products(const struct program *program)
{
    struct bench_variants_rows variants;
    struct arena *arena = program->arena;
    if (bench_variants(program->db, arena, (struct bench_variants_args){THINGS_MAX}, &variants) ||
        variants.count == 0)
        program_give_up(program, no_shop);
    size_t step = variants.count / (size_t)options.things;
    CHECK(step > 0);
    for (size_t i = 0; i < (size_t)options.things; i++) {
        char id[ID_TEXT_MAX];
        product_id_text(variants.items[i * step].product_id, id);
        requests[i] = get(arena, arena_printf(arena, "/v1/products/%s", id), STR_NONE);
    }
}

static void prepare_listings(struct arena *arena)
{
    for (size_t i = 0; i < (size_t)options.things; i++)
        requests[i] =
            get(arena, arena_printf(arena, "/v1/products?limit=20&price_max=%zu", (size_t)100000000 + i),
                STR_NONE);
}

static void prepare_balances(const struct program *program)
{
    struct bench_customers_rows customers;
    struct bench_customers_args args = {options.things};
    if (bench_customers(program->db, program->arena, args, &customers) || customers.count == 0)
        program_give_up(program, no_shop);
    for (size_t i = 0; i < (size_t)options.things; i++) {
        struct str token = program_token(program, customers.items[i % customers.count].user_id);
        requests[i] = get(program->arena, STR("/v1/loyalty"), token);
        if (options.token) {
            printf("%.*s\n", STR_ARG(token));
            return;
        }
    }
}

static void prepare(const struct program *program)
{
    requests = ARENA_ARRAY(program->arena, struct str, (size_t)options.things);
    if (strcmp(options.kind, "balance") == 0)
        prepare_balances(program);
    else if (strcmp(options.kind, "listing") == 0)
        prepare_listings(program->arena);
    else
        prepare_products(program);
}

static void measure(const struct program *program)
{
    clients = clients_connect((size_t)options.connections, answered);
    sent_us = calloc((size_t)options.connections, sizeof *sent_us);
    CHECK(sent_us);
    for (size_t i = 0; i < (size_t)options.connections; i++)
        send_next(i);
    course.seconds = options.seconds;
    course.server = (pid_t)options.server;
    course.warm = each_once;
    course.turn = turn;
    course_run(program, &course);
    printf("{\"kind\":\"%s\",", options.kind);
    sample_print(&course.before, &course.after, counted);
    printf(",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"answers\":%lld,\"failed\":%lld}\n",
           (double)histogram_quantile_us(&latencies, 0.5) / 1e3,
           (double)histogram_quantile_us(&latencies, 0.99) / 1e3, (long long)answers, (long long)failed);
    clients_free(clients);
    free(sent_us);
}

int main(int argc, char **argv)
{
    static const struct argument table[] = {{"kind", NULL, 0, 0, &options.kind},
                                            {"things", &options.things, 1, THINGS_MAX, NULL},
                                            {"connections", &options.connections, 1, CLIENTS_MAX, NULL},
                                            {"seconds", &options.seconds, 1, 600, NULL},
                                            {"token", &options.token, 0, 1, NULL},
                                            {"server", &options.server, 0, INT32_MAX, NULL}};
    struct program program = program_begin(table, sizeof table / sizeof table[0], argc, argv);
    prepare(&program);
    if (!options.token)
        measure(&program);
    program_end(&program);
    return 0;
}
