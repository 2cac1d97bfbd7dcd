/* Reads over HTTP: each connection asks for the next of some things when the last one is answered. Products
 * by their id, first pages of a listing that differ in a price limit, or balances, each asked for with the
 * token of its customer. One thread; see client.h. */
#include "arguments.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "bench_sql.h"
#include "client.h"
#include "measure.h"
#include "shop/accounts/accounts_token.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP_US 500000
#define DRAIN_US 5000000
#define THINGS_MAX 20000

static struct {
    const char *kind;
    int64_t things, connections, seconds, server, token;
} options = {.kind = "product", .things = 2000, .connections = 16, .seconds = 2};

static struct str *requests; /* whole, one for each thing */
static size_t next_thing;
static struct client *clients;
static int64_t *sent_us;
static bool sending = true, counting;
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
    if (counting) {
        counted++;
        histogram_add(&latencies, clock_monotonic_us() - sent_us[number]);
    }
    if (sending && status != 0)
        send_next(number);
}

static void run_for(int64_t time_us)
{
    int64_t until_us = clock_monotonic_us() + time_us;
    for (int64_t now_us; (now_us = clock_monotonic_us()) < until_us && (sending || clients_waiting() > 0);)
        clients_turn(until_us - now_us);
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

static bool prepare_products(struct pg *db, struct arena *arena)
{
    struct bench_variants_rows variants;
    if (bench_variants(db, arena, (struct bench_variants_args){THINGS_MAX}, &variants) || variants.count == 0)
        return false;
    size_t step = variants.count / (size_t)options.things;
    CHECK(step > 0);
    for (size_t i = 0; i < (size_t)options.things; i++) {
        char id[ID_TEXT_MAX];
        product_id_text(variants.items[i * step].product_id, id);
        requests[i] = get(arena, arena_printf(arena, "/v1/products/%s", id), STR_NONE);
    }
    return true;
}

static bool prepare_listings(struct arena *arena)
{
    for (size_t i = 0; i < (size_t)options.things; i++)
        requests[i] =
            get(arena, arena_printf(arena, "/v1/products?limit=20&price_max=%zu", (size_t)100000000 + i),
                STR_NONE);
    return true;
}

static bool prepare_balances(struct pg *db, struct arena *arena, struct error *error)
{
    struct bench_customers_rows customers;
    struct bench_customers_args args = {options.things};
    if (bench_customers(db, arena, args, &customers) || customers.count == 0 || token_service_start(error))
        return false;
    for (size_t i = 0; i < (size_t)options.things; i++) {
        struct principal principal = {.role = ROLE_CUSTOMER,
                                      .user_id = customers.items[i % customers.count].user_id,
                                      .session_id = session_id_new()};
        struct str token = token_service_issue(arena, &principal);
        requests[i] = get(arena, STR("/v1/loyalty"), token);
        if (options.token) {
            printf("%.*s\n", STR_ARG(token));
            return true;
        }
    }
    token_service_stop();
    return true;
}

static bool prepare(struct pg *db, struct arena *arena, struct error *error)
{
    requests = ARENA_ARRAY(arena, struct str, (size_t)options.things);
    if (strcmp(options.kind, "balance") == 0)
        return prepare_balances(db, arena, error);
    return strcmp(options.kind, "listing") == 0 ? prepare_listings(arena) : prepare_products(db, arena);
}

static void measure(struct pg *db)
{
    struct sample before, after;
    clients = clients_connect((size_t)options.connections, answered);
    sent_us = calloc((size_t)options.connections, sizeof *sent_us);
    CHECK(sent_us);
    for (size_t i = 0; i < (size_t)options.connections; i++)
        send_next(i);
    run_for(WARM_UP_US);
    while (answers < options.things) /* each once */
        run_for(WARM_UP_US / 10);
    int64_t at_first = answers;
    CHECK(sample_take(db, (pid_t)options.server, &before) == ERR_OK);
    counting = true;
    run_for(options.seconds * 1000000);
    counting = false;
    CHECK(sample_take(db, (pid_t)options.server, &after) == ERR_OK);
    sending = false;
    run_for(DRAIN_US);
    printf("{\"kind\":\"%s\",", options.kind);
    sample_print(&before, &after, counted);
    printf(",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"answers\":%lld,\"warm_up\":%lld,\"failed\":%lld}\n",
           (double)histogram_quantile_us(&latencies, 0.5) / 1e3,
           (double)histogram_quantile_us(&latencies, 0.99) / 1e3, (long long)answers, (long long)at_first,
           (long long)failed);
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
    CHECK(sodium_init() >= 0);
    arguments_read(table, sizeof table / sizeof table[0], argc, argv);
    struct error error = {.code = ERR_OK};
    struct arena *arena = arena_new();
    bool configured = config_load(&error) == ERR_OK;
    struct pg *db = pg_new(config()->database_url, "bench", NULL);
    if (!configured || !prepare(db, arena, &error)) {
        fprintf(stderr, "read: %s\n",
                error.detail[0] ? error.detail : "fill the database with bench/seed.sql first");
        return 2;
    }
    if (!options.token)
        measure(db);
    pg_free(db);
    arena_free(arena);
    return 0;
}
