/* A crowd at a flash sale over HTTP. Each buyer has an access token of its own, which the server has not seen
 * before, and asks over whichever of the --connections is free. One thread, epoll, loopback only. Prints one
 * line of JSON.
 *
 *   rush --sale sal_… --buyers 50000                    everybody asks once, as fast as the server answers
 *   rush --sale sal_… --buyers 50000 --rate 10000       so many arrive a second, whatever the server does
 *   rush --sale sal_… --buyers 50000 --seconds 3        they ask again and again, under new keys
 *   rush --get /v1/sales/sal_… --rate 10000 …           the same crowd reads instead
 *   rush --sale sal_… --again-ms 5000 --orders FILE     they come back until SIGTERM, and give up nothing
 *
 * With --wait 1 it says "ready" when all tokens are signed, and begins when a line comes.
 *
 * With --again-ms a buyer who is refused comes back after that time under a new key, and one who got no
 * answer (a connection lost, 503, a request of the same key in flight) repeats the request with its key until
 * there is one. Who has bought stays away. Each order that is acknowledged is a line of FILE: the buyer's
 * number, the order, the buyer's token. After SIGTERM nobody comes back any more, but whoever waits for an
 * answer still gets it. */
#include "client.h"
#include "program.h"

#include "base/check.h"
#include "base/clock.h"
#include "bench_sql.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUYERS_MAX 200000
#define RATE_MAX 200000
#define WAIT_MAX_US 170000000
#define LOOK_US 100000
#define TICK_US 1000    /* with --rate: one look a millisecond, so that the crowd itself takes little */
#define REPEAT_US 50000 /* until a request without an answer is sent again, a connection tried again */

struct buyer {
    struct str token;
    int32_t round;  /* purchases tried: each has a key of its own */
    int64_t due_us; /* while it waits in a queue */
};

/* Buyers who wait for the same length of time: first in, first out. */
struct queue {
    int32_t *numbers;
    int64_t first, count, wait_us;
};

static struct {
    const char *sale, *get, *orders;
    int64_t buyers, first, connections, seconds, rate, again_ms, wait;
} options = {.buyers = 50000, .connections = 512};

static struct buyer *buyers;
static struct client *clients;
static struct asking {
    int32_t number;
    int64_t due_us; /* when it should have been sent: latencies count from then */
} * asking;         /* of each connection */
static struct client **idle;
static size_t idle_count;
static struct queue repeats = {.wait_us = REPEAT_US}, returns, lost_connections = {.wait_us = REPEAT_US};
static int64_t *connect_due_us;
static struct histogram latencies;
static FILE *orders;
static uint64_t run_key;
static int64_t arrived, asked, first_us, first_cpu_us, last_sale_us, statuses[STATUSES];
static int64_t bought, replayed, sold_out, limit, repeated, lost, other;

static const char body[] =
    "{\"quantity\":1,\"address\":{\"name\":\"Chan Tai Man\",\"line1\":\"Flat 12A, 8 Queen's Road "
    "Central\",\"city\":\"Hong Kong\",\"country\":\"HK\"}}";

/* ── waiting ── */

static void queue_make(struct queue *queue, int64_t size)
{
    queue->numbers = calloc((size_t)size, sizeof *queue->numbers);
    CHECK(queue->numbers);
}

static void queue_put(struct queue *queue, int64_t size, int32_t number, int64_t *due_us)
{
    CHECK(queue->count < size);
    *due_us = clock_monotonic_us() + queue->wait_us;
    queue->numbers[(queue->first + queue->count++) % size] = number;
}

static int32_t queue_take(struct queue *queue, int64_t size)
{
    int32_t number = queue->numbers[queue->first];
    queue->first = (queue->first + 1) % size;
    queue->count--;
    return number;
}

/* ── asking ── */

static size_t make_request(struct client *c, int32_t number)
{
    const struct buyer *buyer = &buyers[number];
    int written = options.get ? snprintf(c->request, CLIENT_REQUEST_MAX,
                                         "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", options.get)
                              : snprintf(c->request, CLIENT_REQUEST_MAX,
                                         "POST /v1/sales/%s/orders HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                         "Authorization: Bearer %.*s\r\nIdempotency-Key: %016llx-%d-%d\r\n"
                                         "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                         options.sale, STR_ARG(buyer->token), (unsigned long long)run_key,
                                         number, buyer->round, sizeof body - 1, body);
    CHECK(written > 0 && (size_t)written < CLIENT_REQUEST_MAX);
    return (size_t)written;
}

static void ask(int32_t number, int64_t due_us)
{
    struct client *c = idle[--idle_count];
    asking[c - clients] = (struct asking){number, due_us};
    asked++;
    client_send(c, make_request(c, number));
}

/* When the next new buyer comes; INT64_MAX: all are there. */
static int64_t next_arrival_us(void)
{
    bool more = options.seconds ? clock_monotonic_us() - first_us < options.seconds * INT64_C(1000000)
                                : arrived < options.buyers;
    if (program_stopping() || !more)
        return INT64_MAX;
    return options.rate ? first_us + arrived * 1000000 / options.rate : first_us;
}

static void arrive(int64_t due_us)
{
    int32_t number = (int32_t)(arrived % options.buyers);
    buyers[number].round += arrived >= options.buyers;
    arrived++;
    ask(number, options.rate ? due_us : clock_monotonic_us());
}

static void reconnect_some(int64_t now_us)
{
    while (lost_connections.count > 0) {
        int32_t number = lost_connections.numbers[lost_connections.first];
        if (connect_due_us[number] > now_us)
            return;
        queue_take(&lost_connections, options.connections);
        if (client_reconnect(&clients[number]))
            idle[idle_count++] = &clients[number];
        else
            queue_put(&lost_connections, options.connections, number, &connect_due_us[number]);
    }
}

static int64_t queue_due_us(const struct queue *queue)
{
    return queue->count > 0 ? buyers[queue->numbers[queue->first]].due_us : INT64_MAX;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Everybody whose time has come and for whom a connection is free; until when to wait. */
static int64_t ask_who_is_due(int64_t now_us)
{
    if (program_stopping())
        returns.count = 0;
    reconnect_some(now_us);
    while (idle_count > 0) {
        int64_t arrival_us = next_arrival_us();
        if (queue_due_us(&repeats) <= now_us) {
            int32_t number = queue_take(&repeats, options.buyers);
            ask(number, now_us);
        } else if (arrival_us <= now_us) {
            arrive(arrival_us);
        } else if (queue_due_us(&returns) <= now_us) {
            int32_t number = queue_take(&returns, options.buyers);
            buyers[number].round++;
            ask(number, now_us);
        } else {
            return least(arrival_us, least(queue_due_us(&repeats), queue_due_us(&returns)));
        }
    }
    return INT64_MAX;
}

static bool all_done(void)
{
    return clients_waiting() == 0 && repeats.count == 0 && returns.count == 0 &&
           next_arrival_us() == INT64_MAX && (program_stopping() || !options.again_ms || options.seconds);
}

/* ── answers ── */

static void note_order(int32_t number, const struct client *c)
{
    if (!orders)
        return;
    const char *id = memmem(c->answer, c->answer_len, "\"ord_", 5);
    CHECK(id);
    fprintf(orders, "%d %.36s %.*s\n", number, id + 1, STR_ARG(buyers[number].token));
    fflush(orders); /* who pays reads along */
}

static void repeat(int32_t number)
{
    repeated++;
    queue_put(&repeats, options.buyers, number, &buyers[number].due_us);
}

static void answered(struct client *c, int status)
{
    int64_t now_us = clock_monotonic_us();
    int32_t number = asking[c - clients].number;
    bool firm = options.again_ms > 0;
    statuses[status]++;
    if (status) {
        idle[idle_count++] = c;
        histogram_add(&latencies, now_us - asking[c - clients].due_us);
    } else {
        queue_put(&lost_connections, options.connections, (int32_t)(c - clients),
                  &connect_due_us[c - clients]);
    }
    if (status == 201) {
        bought++;
        replayed += client_answer_has(c, STR("\r\nIdempotent-Replayed: true"));
        last_sale_us = now_us;
        note_order(number, c);
    } else if (status == 0 || status == 503 || client_answer_has(c, STR("\"idempotency_in_flight\""))) {
        lost += status == 0;
        other += status != 0 && !firm;
        if (firm)
            repeat(number);
    } else if (client_answer_has(c, STR("\"sale_sold_out\""))) {
        sold_out++;
        if (firm && !program_stopping())
            queue_put(&returns, options.buyers, number, &buyers[number].due_us);
    } else if (client_answer_has(c, STR("\"sale_limit\""))) {
        limit++;
    } else if (status != 200 && status != 304) {
        if (other++ < 3)
            fprintf(stderr, "rush: %.*s\n", (int)c->answer_len, c->answer);
    }
}

/* ── the run ── */

static struct program begin(int argc, char **argv)
{
    static const struct argument table[] = {{"sale", .text = &options.sale},
                                            {"get", .text = &options.get},
                                            {"orders", .text = &options.orders},
                                            {"buyers", &options.buyers, 1, BUYERS_MAX, NULL},
                                            {"first", &options.first, 0, BUYERS_MAX, NULL},
                                            {"connections", &options.connections, 1, CLIENTS_MAX, NULL},
                                            {"seconds", &options.seconds, 0, 600, NULL},
                                            {"rate", &options.rate, 0, RATE_MAX, NULL},
                                            {"again-ms", &options.again_ms, 0, 60000, NULL},
                                            {"wait", &options.wait, 0, 1, NULL}};
    struct program program = program_begin(table, sizeof table / sizeof table[0], argc, argv);
    CHECK(options.sale || options.get);
    returns.wait_us = options.again_ms * 1000;
    program_await_term();
    return program;
}

static void prepare(const struct program *program)
{
    struct bench_buyers_rows customers;
    struct bench_buyers_args wanted = {options.first, options.buyers};
    CHECK(bench_buyers(program->db, program->arena, wanted, &customers) == ERR_OK);
    if (customers.count < (size_t)options.buyers)
        program_give_up(program, "bench/crowd.sql made fewer buyers than that");
    buyers = calloc((size_t)options.buyers, sizeof *buyers);
    asking = calloc((size_t)options.connections, sizeof *asking);
    idle = calloc((size_t)options.connections, sizeof *idle);
    connect_due_us = calloc((size_t)options.connections, sizeof *connect_due_us);
    CHECK(buyers && asking && idle && connect_due_us);
    for (int i = 0; i < options.buyers; i++)
        buyers[i].token = program_token(program, customers.items[i].user_id);
    queue_make(&repeats, options.buyers);
    queue_make(&returns, options.buyers);
    queue_make(&lost_connections, options.connections);
    randombytes_buf(&run_key, sizeof run_key);
    if (options.orders)
        CHECK(orders = fopen(options.orders, "w"));
}

static void run(void)
{
    clients = clients_connect((size_t)options.connections, answered);
    for (int i = 0; i < options.connections; i++)
        idle[idle_count++] = &clients[i];
    if (options.wait) {
        puts("ready");
        fflush(stdout);
        getchar();
    }
    first_us = clock_monotonic_us();
    first_cpu_us = process_cpu_us(getpid(), false);
    for (int64_t now_us = first_us; now_us - first_us < WAIT_MAX_US; now_us = clock_monotonic_us()) {
        int64_t until_us = ask_who_is_due(now_us);
        if (all_done())
            return;
        now_us = clock_monotonic_us();
        int64_t wait_us = until_us <= now_us ? 0 : least(until_us - now_us, LOOK_US);
        if (options.rate) {
            usleep(TICK_US);
            wait_us = 0;
        }
        clients_turn(lost_connections.count > 0 ? least(wait_us, REPEAT_US) : wait_us);
    }
}

static void report(void)
{
    double took_s = (double)(clock_monotonic_us() - first_us) / 1e6;
    double cpu_us = (double)(process_cpu_us(getpid(), false) - first_cpu_us);
    printf("{\"asked\":%lld,\"seconds\":%.3f,\"per_s\":%.0f,\"self_cpu_us\":%.2f,\"bought\":%lld,"
           "\"replayed\":%lld,"
           "\"sold_out\":%lld,\"limit\":%lld,\"last_sale_s\":%.3f,",
           (long long)asked, took_s, (double)asked / took_s, cpu_us / (double)asked, (long long)bought,
           (long long)replayed, (long long)sold_out, (long long)limit,
           last_sale_us ? (double)(last_sale_us - first_us) / 1e6 : 0.0);
    printf("\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"repeated\":%lld,\"lost\":%lld,\"other\":%lld}\n",
           (double)histogram_quantile_us(&latencies, 0.5) / 1e3,
           (double)histogram_quantile_us(&latencies, 0.99) / 1e3, (long long)repeated, (long long)lost,
           (long long)other);
}

int main(int argc, char **argv)
{
    struct program program = begin(argc, argv);
    prepare(&program);
    run();
    report();
    if (orders)
        fclose(orders);
    clients_free(clients);
    free(buyers);
    free(asking);
    free(idle);
    free(connect_due_us);
    free(repeats.numbers);
    free(returns.numbers);
    free(lost_connections.numbers);
    program_end(&program);
    return 0;
}
