/* A crowd at a flash sale over HTTP. Each buyer has an access token of its own and sends requests one after
 * the other over one of --connections; the next buyer takes a connection as soon as it is free. One thread,
 * epoll, loopback only. Prints one line of JSON.
 *
 *   rush --sale sal_… --buyers 50000                  everybody asks once for a unit
 *   rush --sale sal_… --buyers 1000 --seconds 3       they go on asking, under new keys (sold out by then)
 *   rush --get /v1/sales/sal_… --seconds 3            the same crowd reads instead
 *
 * It stands in the server's configuration, as bench/load does. */
#include "arguments.h"
#include "client.h"
#include "measure.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "bench_sql.h"
#include "shop/accounts/accounts_token.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define BUYERS_MAX 200000
#define WAIT_MAX_US 120000000

static struct {
    const char *sale, *get;
    int64_t buyers, connections, seconds;
} options = {.buyers = 50000, .connections = 512};

static struct str *tokens;
static struct client *clients;
static int64_t *sent_us; /* of each connection */
static struct histogram latencies;
static int64_t asked, statuses[600], sold_out, first_us, last_sale_us;

static const char body[] =
    "{\"quantity\":1,\"address\":{\"name\":\"Chan Tai Man\",\"line1\":\"Flat 12A, 8 Queen's Road "
    "Central\",\"city\":\"Hong Kong\",\"country\":\"HK\"}}";

static bool more(void)
{
    return options.seconds ? clock_monotonic_us() - first_us < options.seconds * INT64_C(1000000)
                           : asked < options.buyers;
}

static size_t make_request(struct client *c)
{
    int written;
    if (options.get) {
        written = snprintf(c->request, sizeof c->request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                           options.get);
    } else {
        uint64_t key[2];
        randombytes_buf(key, sizeof key);
        written =
            snprintf(c->request, sizeof c->request,
                     "POST /v1/sales/%s/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %.*s\r\n"
                     "Idempotency-Key: %016llx%016llx\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     options.sale, STR_ARG(tokens[asked % options.buyers]), (unsigned long long)key[0],
                     (unsigned long long)key[1], sizeof body - 1, body);
    }
    CHECK(written > 0 && (size_t)written < sizeof c->request);
    return (size_t)written;
}

static void send_next(struct client *c)
{
    size_t len = make_request(c);
    asked++;
    sent_us[c - clients] = clock_monotonic_us();
    client_send(c, len);
}

static void answered(struct client *c, int status)
{
    int64_t now_us = clock_monotonic_us();
    statuses[status]++;
    if (status == 0)
        return;
    histogram_add(&latencies, now_us - sent_us[c - clients]);
    if (status == 201)
        last_sale_us = now_us;
    else if (client_answer_has(c, STR("\"sale_sold_out\"")))
        sold_out++;
    else if (status != 200 && statuses[status] < 3)
        fprintf(stderr, "rush: %.*s\n", (int)c->answer_len, c->answer);
    if (more())
        send_next(c);
}

static void parse(int argc, char **argv)
{
    static const struct argument table[] = {{"sale", .text = &options.sale},
                                            {"get", .text = &options.get},
                                            {"buyers", &options.buyers, 1, BUYERS_MAX, NULL},
                                            {"connections", &options.connections, 1, CLIENTS_MAX, NULL},
                                            {"seconds", &options.seconds, 0, 600, NULL}};
    arguments_read(table, sizeof table / sizeof table[0], argc, argv);
    CHECK(options.sale || (options.get && options.seconds));
}

static void prepare(struct pg *db, struct arena *arena)
{
    struct bench_customers_rows customers;
    struct error error = {.code = ERR_OK};
    CHECK(bench_customers(db, arena, (struct bench_customers_args){options.buyers}, &customers) == ERR_OK);
    if (customers.count < (size_t)options.buyers || token_service_start(&error)) {
        fprintf(stderr, "rush: %s\n",
                error.code ? error.detail : "bench/seed.sql made fewer customers than that");
        exit(2);
    }
    tokens = calloc((size_t)options.buyers, sizeof *tokens);
    CHECK(tokens);
    for (int i = 0; i < options.buyers; i++) {
        struct principal principal = {
            .role = ROLE_CUSTOMER, .user_id = customers.items[i].user_id, .session_id = session_id_new()};
        tokens[i] = token_service_issue(arena, &principal);
    }
}

int main(int argc, char **argv)
{
    CHECK(sodium_init() >= 0);
    parse(argc, argv);
    struct error error = {.code = ERR_OK};
    if (config_load(&error)) {
        fprintf(stderr, "rush: %s\n", error.detail);
        return 2;
    }
    struct arena *arena = arena_new();
    struct pg *db = pg_new(config()->database_url, "bench", NULL);
    prepare(db, arena);
    clients = clients_connect((size_t)options.connections, answered);
    sent_us = calloc((size_t)options.connections, sizeof *sent_us);
    CHECK(sent_us);
    first_us = clock_monotonic_us();
    for (int i = 0; i < options.connections && more(); i++)
        send_next(&clients[i]);
    while (clients_waiting() > 0 && clock_monotonic_us() - first_us < WAIT_MAX_US)
        clients_turn(1000000);
    double took_s = (double)(clock_monotonic_us() - first_us) / 1e6;
    printf("{\"asked\":%lld,\"seconds\":%.3f,\"per_s\":%.0f,\"bought\":%lld,\"sold_out\":%lld,\"last_sale_"
           "s\":%.3f,"
           "\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"lost\":%lld,\"other\":%lld}\n",
           (long long)asked, took_s, (double)asked / took_s, (long long)statuses[201], (long long)sold_out,
           last_sale_us ? (double)(last_sale_us - first_us) / 1e6 : 0.0,
           (double)histogram_quantile_us(&latencies, 0.5) / 1e3,
           (double)histogram_quantile_us(&latencies, 0.99) / 1e3, (long long)statuses[0],
           (long long)(asked - statuses[0] - statuses[200] - statuses[201] - sold_out));
    token_service_stop();
    pg_free(db);
    arena_free(arena);
    clients_free(clients);
    free(sent_us);
    free(tokens);
    return 0;
}
