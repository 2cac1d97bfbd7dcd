/* A generator of orders over HTTP: each connection is a shopper with an access token of its own who orders
 * under fresh Idempotency-Keys. One thread, loopback only, bounded in count and time. Prints one line of
 * JSON.
 *
 * Closed, the default: a shopper posts the next order as soon as the last one is answered. With --customers,
 * more than connections, each order is the next customer's, so that nobody orders again at once.
 *
 * Open, with --rate: orders arrive at random moments, so many a second on average, whatever the server does,
 * and a latency counts from the moment at which the order should have been sent. What finds no shopper free
 * waits for one, and what waited longer than --deadline-ms is given up unsent. So a server that stalls is not
 * spared the orders that would have come meanwhile. `good` are orders placed within --deadline-ms. */
#include "client.h"
#include "program.h"

#include "base/check.h"
#include "base/clock.h"
#include "bench_sql.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINES_MAX 3
#define SKUS_MAX 1000000
#define SPENT_MAX 1000000
#define RATE_MAX 200000
#define BODY_MAX 1024
#define TENTHS_MAX 6000
#define INTRODUCED_AT_ONCE 256
#define INTRODUCED_US 30000000 /* at most */

struct shopper {
    int64_t due_us; /* when the order in flight should have been sent */
};

static struct {
    int64_t shoppers, customers, seconds, lines, skus, points, rate, deadline_ms, turn_us, server;
} options = {
    .shoppers = 256, .seconds = 5, .lines = LINES_MAX, .skus = 10000, .deadline_ms = 1000, .turn_us = 500};

static struct bench_variants_rows variants;
static struct client *clients;
static struct course course = {.sending = true};
static struct shopper *shoppers;
static struct str *heads; /* of each customer's requests, up to the key */
static size_t head_count, next_head;
static struct histogram latencies;
static struct tenths { /* the p99 of each tenth of a second */
    struct histogram latencies;
    int64_t ends_us;
    int64_t p99s_us[TENTHS_MAX];
    size_t count;
} tenths;
static uint64_t random_state;
static int64_t placed, good, offered, given_up, acknowledged, worst_us, statuses[STATUSES];

/* Open: shoppers that are free, and the moments of orders that wait for one. Who became free last is next, as
 * the connections of a load balancer are used, so that few are in use while the server keeps up. */
static size_t free_shoppers[CLIENTS_MAX], free_count, introduced;
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

static char *put_random(char *at)
{
    uint64_t value = next_random();
    for (int shift = 60; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[value >> shift & 15];
    return at;
}

static char *put_body(char *at)
{
    size_t count = options.skus < LINES_MAX ? 1 : 1 + next_random() % (uint64_t)options.lines;
    size_t first = next_random() % variants.count;
    at = str_put(at, STR("{\"currency\":\"HKD\",\"lines\":["));
    for (size_t i = 0; i < count; i++) {
        /* apart from each other, so that no variant stands twice */
        const struct bench_variants_row *variant =
            &variants.items[(first + i * (variants.count / LINES_MAX)) % variants.count];
        char id[ID_TEXT_MAX];
        variant_id_text(variant->variant_id, id);
        at = str_put(at, i ? STR(",{\"variant_id\":\"") : STR("{\"variant_id\":\""));
        at = str_put(at, str_from(id));
        at = str_put(at, STR("\",\"quantity\":1,\"unit_price_minor\":"));
        at = str_put(str_put_number(at, variant->amount_minor), STR("}"));
    }
    at = str_put(at, STR("],\"points\":"));
    at = str_put_number(at, options.points);
    return str_put(at, STR(",\"address\":{\"name\":\"Chan Tai Man\",\"line1\":\"Flat 12A, 8 Queen's Road "
                           "Central\",\"city\":\"Hong Kong\",\"country\":\"HK\","
                           "\"phone\":\"+852 2123 4567\"}}"));
}

static void send_order(size_t number, int64_t due_us)
{
    struct client *client = &clients[number];
    char body[BODY_MAX];
    size_t body_len = (size_t)(put_body(body) - body);
    CHECK(body_len <= sizeof body);
    size_t head = head_count > (size_t)options.shoppers ? next_head++ % head_count : number;
    char *at = str_put(client->request, heads[head]);
    at = str_put_number(str_put(put_random(put_random(at)), STR("\r\nContent-Length: ")), (int64_t)body_len);
    at = str_put(str_put(at, STR("\r\n\r\n")), (struct str){body, body_len});
    shoppers[number].due_us = due_us;
    client_send(client, (size_t)(at - client->request));
}

/* Nobody's token is new to the server when orders begin to arrive, as with a load that is closed: each
 * shopper has placed an order before, with a few in flight at a time. */
static void introduce(size_t number, int status)
{
    if (status == 503) {
        send_order(number, clock_monotonic_us());
        return;
    }
    free_shoppers[free_count++] = number;
    if (++introduced + INTRODUCED_AT_ONCE <= (size_t)options.shoppers)
        send_order(introduced + INTRODUCED_AT_ONCE - 1, clock_monotonic_us());
}

/* What holds up all for a moment makes the p99 of a whole run; the median of tenths tells what is usual. */
static void tenths_add(int64_t now_us, int64_t took_us)
{
    if (now_us >= tenths.ends_us) {
        if (tenths.ends_us && tenths.count < TENTHS_MAX)
            tenths.p99s_us[tenths.count++] = histogram_quantile_us(&tenths.latencies, 0.99);
        tenths.latencies = (struct histogram){0};
        tenths.ends_us = now_us + 100000;
    }
    histogram_add(&tenths.latencies, took_us);
}

static int compare_us(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t tenths_median_us(void)
{
    qsort(tenths.p99s_us, tenths.count, sizeof *tenths.p99s_us, compare_us);
    return tenths.count ? tenths.p99s_us[tenths.count / 2] : 0;
}

static void answered(struct client *client, int status)
{
    size_t number = (size_t)(client - clients);
    int64_t now_us = clock_monotonic_us(), took_us = now_us - shoppers[number].due_us;
    acknowledged += status == 201;
    if (course.counting) {
        statuses[status]++;
        if (status == 201) {
            placed++;
            good += took_us <= options.deadline_ms * 1000;
            histogram_add(&latencies, took_us);
            tenths_add(now_us, took_us);
            worst_us = took_us > worst_us ? took_us : worst_us;
        }
    }
    if (status != 201 && status != 503 && statuses[status] == 1)
        fprintf(stderr, "load: %.*s\n", (int)client->answer_len, client->answer);
    if (status == 0)
        return;
    if (options.rate && introduced < (size_t)options.shoppers)
        introduce(number, status);
    else if (options.rate)
        free_shoppers[free_count++] = number;
    else if (course.sending)
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
        offered += course.counting;
    }
    for (; late_count > 0; late_count--, late_first = (late_first + 1) % late_max) {
        int64_t due_us = late_ring[late_first];
        if (now_us - due_us > options.deadline_ms * 1000) {
            given_up += course.counting;
            continue;
        }
        if (free_count == 0)
            break;
        send_order(free_shoppers[--free_count], due_us);
    }
}

/* The generator must not take the cores that it measures: at a rate it looks at arrivals and answers once in
 * --turn-us, not at each. Up to two such turns are in each latency. */
static void open_turn(int64_t now_us, int64_t until_us)
{
    arrivals(now_us);
    int64_t next_us = next_arrival_us > now_us + options.turn_us ? next_arrival_us : now_us + options.turn_us;
    if (next_us - now_us > 4 * options.turn_us) {
        clients_turn((next_us < until_us ? next_us : until_us) - now_us);
        return;
    }
    usleep((useconds_t)(next_us - now_us));
    clients_turn(0);
}

static void turn(int64_t now_us, int64_t until_us)
{
    if (options.rate && course.sending)
        open_turn(now_us, until_us);
    else
        clients_turn(until_us - now_us);
}

static struct program begin(int argc, char **argv)
{
    static const struct argument table[] = {{"shoppers", &options.shoppers, 1, CLIENTS_MAX, NULL},
                                            {"customers", &options.customers, 0, CLIENTS_MAX, NULL},
                                            {"seconds", &options.seconds, 1, 600, NULL},
                                            {"lines", &options.lines, 1, LINES_MAX, NULL},
                                            {"skus", &options.skus, 1, SKUS_MAX, NULL},
                                            {"points", &options.points, 0, SPENT_MAX, NULL},
                                            {"rate", &options.rate, 0, RATE_MAX, NULL},
                                            {"deadline-ms", &options.deadline_ms, 1, 60000, NULL},
                                            {"turn-us", &options.turn_us, 50, 100000, NULL},
                                            {"server", &options.server, 0, INT32_MAX, NULL}};
    return program_begin(table, sizeof table / sizeof table[0], argc, argv);
}

static void report(int64_t in_database)
{
    double seconds = (double)(course.after.at_us - course.before.at_us) / 1e6;
    printf("{\"shoppers\":%lld,\"skus\":%lld,\"points\":%lld,", (long long)options.shoppers,
           (long long)options.skus, (long long)options.points);
    sample_print(&course.before, &course.after, placed);
    printf(",\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"usual_p99_ms\":%.2f,\"worst_ms\":%.1f,\"good_per_s\":%.1f,"
           "\"offered_per_s\":%.1f,\"given_up\":%lld,\"acknowledged\":%lld,\"in_database\":%lld,"
           "\"server_mb\":%.1f,\"statuses\":",
           (double)histogram_quantile_us(&latencies, 0.5) / 1e3,
           (double)histogram_quantile_us(&latencies, 0.99) / 1e3, (double)tenths_median_us() / 1e3,
           (double)worst_us / 1e3, (double)good / seconds, (double)offered / seconds, (long long)given_up,
           (long long)acknowledged, (long long)in_database,
           options.server ? (double)process_memory_bytes((pid_t)options.server) / 1048576 : 0.0);
    statuses_print(statuses);
    puts("}");
}

static int64_t count_orders(const struct program *program)
{
    struct bench_orders_row row;
    bool found;
    CHECK(bench_orders(program->db, program->arena, &row, &found) == ERR_OK && found);
    return row.count;
}

static void prepare(const struct program *program)
{
    struct bench_customers_rows customers;
    head_count = (size_t)(options.customers > options.shoppers ? options.customers : options.shoppers);
    if (bench_variants(program->db, program->arena, (struct bench_variants_args){options.skus}, &variants) ||
        bench_customers(program->db, program->arena, (struct bench_customers_args){(int64_t)head_count},
                        &customers) ||
        variants.count == 0 || customers.count == 0)
        program_give_up(program, "fill the database with bench/seed.sql first");
    shoppers = calloc((size_t)options.shoppers, sizeof *shoppers);
    late_ring = calloc(RATE_MAX, sizeof *late_ring);
    heads = calloc(head_count, sizeof *heads);
    CHECK(shoppers && late_ring && heads);
    for (size_t i = 0; i < head_count; i++) {
        struct str token = program_token(program, customers.items[i % customers.count].user_id);
        heads[i] =
            arena_printf(program->arena,
                         "POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %.*s\r\n"
                         "Content-Type: application/json\r\nIdempotency-Key: ",
                         STR_ARG(token));
        CHECK(heads[i].len + BODY_MAX + 128 <= CLIENT_REQUEST_MAX);
    }
    randombytes_buf(&random_state, sizeof random_state);
    random_state |= 1;
}

static void open_shop(void)
{
    clients = clients_connect((size_t)options.shoppers, answered);
    size_t first = (size_t)options.shoppers;
    if (options.rate && first > INTRODUCED_AT_ONCE)
        first = INTRODUCED_AT_ONCE;
    for (size_t i = 0; i < first; i++)
        send_order(i, clock_monotonic_us());
    next_arrival_us = clock_monotonic_us();
    int64_t until_us = next_arrival_us + INTRODUCED_US;
    for (; options.rate && introduced < (size_t)options.shoppers && next_arrival_us < until_us;
         next_arrival_us = clock_monotonic_us())
        clients_turn(until_us - next_arrival_us);
}

int main(int argc, char **argv)
{
    struct program program = begin(argc, argv);
    prepare(&program);
    int64_t already = count_orders(&program);
    course.seconds = options.seconds;
    course.server = (pid_t)options.server;
    course.turn = turn;
    open_shop();
    course_run(&program, &course);
    report(count_orders(&program) - already);
    clients_free(clients);
    free(heads);
    free(shoppers);
    free(late_ring);
    program_end(&program);
    return 0;
}
