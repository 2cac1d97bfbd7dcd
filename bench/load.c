/* A generator of orders over HTTP: each connection is a shopper with an access token of its own who orders
 * under fresh Idempotency-Keys. One thread, loopback only, bounded in count and time. Prints one line of
 * JSON.
 *
 * Closed, the default: a shopper posts the next order as soon as the last one is answered.
 *
 * Open, with --rate: orders arrive at random moments, so many a second on average, whatever the server does,
 * and a latency counts from the moment at which the order should have been sent. What finds no shopper free
 * waits for one, and what waited longer than --deadline-ms is given up unsent. So a server that stalls is not
 * spared the orders that would have come meanwhile. `good` are orders placed within --deadline-ms.
 *
 * It stands in the server's configuration (DATABASE_URL, CATHAY_TOKEN_KEYS, CATHAY_PUBLIC_URL,
 * CATHAY_LISTEN_PORT): it reads shoppers and prices from the database and signs the tokens itself, so that no
 * password is hashed. */
#include "arguments.h"
#include "client.h"
#include "measure.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "bench_sql.h"
#include "shop/accounts/accounts_token.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINES_MAX 3
#define SKUS_MAX 1000000
#define SPENT_MAX 1000000
#define RATE_MAX 200000
#define WARM_UP_US 500000 /* plans, caches, tokens */
#define DRAIN_US 10000000
#define OPEN_TURN_US 250

struct shopper {
    struct str token;
    int64_t due_us; /* when the order in flight should have been sent */
};

static struct {
    int64_t shoppers, seconds, lines, skus, points, rate, deadline_ms, server;
} options = {.shoppers = 256, .seconds = 5, .lines = LINES_MAX, .skus = 10000, .deadline_ms = 1000};

static struct bench_variants_rows variants;
static struct client *clients;
static struct shopper *shoppers;
static struct histogram latencies;
static uint64_t random_state;
static bool sending = true, counting;
static int64_t placed, good, offered, given_up, acknowledged, worst_us, statuses[600];

/* Open: shoppers that are free, and the moments of orders that wait for one. Who became free last is next, as
 * the connections of a load balancer are used, so that few are in use while the server keeps up. */
static size_t free_shoppers[CLIENTS_MAX], free_count;
static int64_t next_arrival_us;
static int64_t *late_ring, late_first, late_count;

static uint64_t next_random(void)
{
    uint64_t x = random_state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return random_state = x;
}

static size_t make_body(char *out, size_t size)
{
    size_t count = options.skus < LINES_MAX ? 1 : 1 + next_random() % (uint64_t)options.lines;
    size_t first = next_random() % variants.count;
    size_t len = (size_t)snprintf(out, size, "{\"currency\":\"HKD\",\"lines\":[");
    for (size_t i = 0; i < count; i++) {
        /* apart from each other, so that no variant stands twice */
        const struct bench_variants_row *variant =
            &variants.items[(first + i * (variants.count / LINES_MAX)) % variants.count];
        char id[ID_TEXT_MAX];
        variant_id_text(variant->variant_id, id);
        len += (size_t)snprintf(out + len, size - len,
                                "%s{\"variant_id\":\"%s\",\"quantity\":1,\"unit_price_minor\":%lld}",
                                i ? "," : "", id, (long long)variant->amount_minor);
    }
    len +=
        (size_t)snprintf(out + len, size - len,
                         "],\"points\":%lld,\"address\":{\"name\":\"Chan Tai Man\",\"line1\":\"Flat 12A, 8 "
                         "Queen's Road Central\",\"city\":\"Hong Kong\","
                         "\"country\":\"HK\",\"phone\":\"+852 2123 4567\"}}",
                         (long long)options.points);
    CHECK(len < size);
    return len;
}

static void send_order(size_t number, int64_t due_us)
{
    struct client *client = &clients[number];
    char body[1024];
    size_t len = make_body(body, sizeof body);
    int written = snprintf(client->request, sizeof client->request,
                           "POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %.*s\r\n"
                           "Idempotency-Key: %016llx%016llx\r\nContent-Type: "
                           "application/json\r\nContent-Length: %zu\r\n\r\n%.*s",
                           STR_ARG(shoppers[number].token), (unsigned long long)next_random(),
                           (unsigned long long)next_random(), len, (int)len, body);
    CHECK(written > 0 && (size_t)written < sizeof client->request);
    shoppers[number].due_us = due_us;
    client_send(client, (size_t)written);
}

static void answered(struct client *client, int status)
{
    size_t number = (size_t)(client - clients);
    int64_t now_us = clock_monotonic_us(), took_us = now_us - shoppers[number].due_us;
    acknowledged += status == 201;
    if (counting) {
        statuses[status]++;
        if (status == 201) {
            placed++;
            good += took_us <= options.deadline_ms * 1000;
            histogram_add(&latencies, took_us);
            worst_us = took_us > worst_us ? took_us : worst_us;
        }
    }
    if (status != 201 && status != 503 && statuses[status] == 1)
        fprintf(stderr, "load: %.*s\n", (int)client->answer_len, client->answer);
    if (status == 0)
        return;
    if (options.rate)
        free_shoppers[free_count++] = number;
    else if (sending)
        send_order(number, now_us);
}

/* Exponential gaps: shoppers do not know of each other. */
static int64_t next_gap_us(void)
{
    double unit = ((double)(next_random() >> 11) + 1) / 9007199254740993.0;
    return (int64_t)(-log(unit) * 1e6 / (double)options.rate);
}

static void arrivals(int64_t now_us)
{
    int64_t late_max = RATE_MAX;
    for (; next_arrival_us <= now_us && late_count < late_max; next_arrival_us += next_gap_us()) {
        late_ring[(late_first + late_count++) % late_max] = next_arrival_us;
        offered += counting;
    }
    for (; late_count > 0; late_count--, late_first = (late_first + 1) % late_max) {
        int64_t due_us = late_ring[late_first];
        if (now_us - due_us > options.deadline_ms * 1000) {
            given_up += counting;
            continue;
        }
        if (free_count == 0)
            break;
        send_order(free_shoppers[--free_count], due_us);
    }
}

/* The generator must not take the cores that it measures: at a rate it looks at arrivals and answers some
 * thousand times a second, not at each. */
static void open_turn(int64_t now_us, int64_t until_us)
{
    arrivals(now_us);
    int64_t next_us = next_arrival_us > now_us + OPEN_TURN_US ? next_arrival_us : now_us + OPEN_TURN_US;
    if (next_us - now_us > 4 * OPEN_TURN_US) {
        clients_turn((next_us < until_us ? next_us : until_us) - now_us);
        return;
    }
    usleep((useconds_t)(next_us - now_us));
    clients_turn(0);
}

static void run_for(int64_t time_us)
{
    int64_t until_us = clock_monotonic_us() + time_us;
    for (int64_t now_us; (now_us = clock_monotonic_us()) < until_us;) {
        if (!sending && clients_waiting() == 0)
            return;
        if (options.rate && sending)
            open_turn(now_us, until_us);
        else
            clients_turn(until_us - now_us);
    }
}

static void parse(int argc, char **argv)
{
    static const struct argument table[] = {{"shoppers", &options.shoppers, 1, CLIENTS_MAX, NULL},
                                            {"seconds", &options.seconds, 1, 600, NULL},
                                            {"lines", &options.lines, 1, LINES_MAX, NULL},
                                            {"skus", &options.skus, 1, SKUS_MAX, NULL},
                                            {"points", &options.points, 0, SPENT_MAX, NULL},
                                            {"rate", &options.rate, 0, RATE_MAX, NULL},
                                            {"deadline-ms", &options.deadline_ms, 1, 60000, NULL},
                                            {"server", &options.server, 0, INT32_MAX, NULL}};
    arguments_read(table, sizeof table / sizeof table[0], argc, argv);
}

static void report(const struct sample *before, const struct sample *after, int64_t in_database)
{
    double seconds = (double)(after->at_us - before->at_us) / 1e6;
    printf("{\"shoppers\":%lld,\"skus\":%lld,\"points\":%lld,", (long long)options.shoppers,
           (long long)options.skus, (long long)options.points);
    sample_print(before, after, placed);
    printf(",\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"worst_ms\":%.1f,\"good_per_s\":%.1f,\"offered_per_s\":%.1f,"
           "\"given_"
           "up\":%lld,\"acknowledged\":%lld,\"in_database\":%lld,\"server_mb\":%.1f,\"statuses\":{",
           (double)histogram_quantile_us(&latencies, 0.5) / 1e3,
           (double)histogram_quantile_us(&latencies, 0.99) / 1e3, (double)worst_us / 1e3,
           (double)good / seconds, (double)offered / seconds, (long long)given_up, (long long)acknowledged,
           (long long)in_database,
           options.server ? (double)process_memory_bytes((pid_t)options.server) / 1048576 : 0.0);
    for (int i = 0, any = 0; i < 600; i++)
        if (statuses[i])
            printf("%s\"%d\":%lld", any++ ? "," : "", i, (long long)statuses[i]);
    puts("}}");
}

static int64_t count_orders(struct pg *db, struct arena *arena)
{
    struct bench_orders_row row;
    bool found;
    CHECK(bench_orders(db, arena, &row, &found) == ERR_OK && found);
    return row.count;
}

static bool prepare(struct pg *db, struct arena *arena, struct error *error)
{
    struct bench_customers_rows customers;
    if (bench_variants(db, arena, (struct bench_variants_args){options.skus}, &variants) ||
        bench_customers(db, arena, (struct bench_customers_args){options.shoppers}, &customers)) {
        *error = *pg_error(db);
        return false;
    }
    if (variants.count == 0 || customers.count == 0 || token_service_start(error)) {
        if (!error->code)
            error_set(error, ERR_VALIDATION, "fill the database with bench/seed.sql first");
        return false;
    }
    shoppers = calloc((size_t)options.shoppers, sizeof *shoppers);
    late_ring = calloc(RATE_MAX, sizeof *late_ring);
    CHECK(shoppers && late_ring);
    for (int64_t i = 0; i < options.shoppers; i++) {
        struct principal principal = {.role = ROLE_CUSTOMER,
                                      .user_id = customers.items[(size_t)i % customers.count].user_id,
                                      .session_id = session_id_new()};
        shoppers[i].token = token_service_issue(arena, &principal);
    }
    randombytes_buf(&random_state, sizeof random_state);
    random_state |= 1;
    return true;
}

static void begin(void)
{
    clients = clients_connect((size_t)options.shoppers, answered);
    next_arrival_us = clock_monotonic_us();
    for (size_t i = 0; i < (size_t)options.shoppers; i++) {
        if (options.rate)
            free_shoppers[free_count++] = i;
        else
            send_order(i, clock_monotonic_us());
    }
}

int main(int argc, char **argv)
{
    CHECK(sodium_init() >= 0);
    parse(argc, argv);
    struct error error = {.code = ERR_OK};
    struct arena *arena = arena_new();
    bool configured = config_load(&error) == ERR_OK;
    struct pg *db = pg_new(config()->database_url, "bench", NULL);
    if (!configured || !prepare(db, arena, &error)) {
        fprintf(stderr, "load: %s\n", error.detail);
        return 2;
    }
    int64_t already = count_orders(db, arena);
    struct sample before, after;
    begin();
    run_for(WARM_UP_US);
    CHECK(sample_take(db, (pid_t)options.server, &before) == ERR_OK);
    counting = true;
    run_for(options.seconds * 1000000);
    counting = false;
    CHECK(sample_take(db, (pid_t)options.server, &after) == ERR_OK);
    sending = false;
    run_for(DRAIN_US);
    report(&before, &after, count_orders(db, arena) - already);
    token_service_stop();
    pg_free(db);
    arena_free(arena);
    clients_free(clients);
    free(shoppers);
    free(late_ring);
    return 0;
}
