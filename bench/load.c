/* A closed-loop generator of orders over HTTP: each connection is a shopper with an access token of its own,
 * who posts the next order, under a fresh Idempotency-Key, as soon as the last one is answered. One thread,
 * epoll. Loopback only, bounded in count and time. Prints one line of JSON.
 *
 * It stands in the server's configuration (DATABASE_URL, CATHAY_TOKEN_KEYS, CATHAY_PUBLIC_URL,
 * CATHAY_LISTEN_PORT): it reads shoppers and prices from the database and signs the tokens itself, so that no
 * password is hashed. */
#include "arguments.h"
#include "measure.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "bench_sql.h"
#include "shop/accounts/accounts_token.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LINES_MAX 3
#define SHOPPERS_MAX 4096
#define SKUS_MAX 1000000
#define SPENT_MAX 1000000
#define REQUEST_MAX 4096
#define ANSWER_MAX 32768
#define DRAIN_US 10000000

struct shopper {
    int socket;
    struct str token;
    uint64_t random;
    int64_t sent_us;
    char request[REQUEST_MAX];
    size_t request_len, written;
    char answer[ANSWER_MAX];
    size_t answer_len;
    bool waiting;
};

static struct {
    int64_t shoppers, seconds, lines, skus, points, server;
} options = {.shoppers = 256, .seconds = 5, .lines = LINES_MAX, .skus = 10000};

static struct bench_variants_rows variants;
static struct histogram latencies;
static struct shopper *shoppers;
static int epoll;
static bool sending = true, counting;
static int64_t placed, acknowledged, statuses[600];

static uint64_t next_random(struct shopper *shopper)
{
    uint64_t x = shopper->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return shopper->random = x;
}

static size_t make_body(struct shopper *shopper, char *out, size_t size)
{
    size_t count = options.skus < LINES_MAX ? 1 : 1 + next_random(shopper) % (uint64_t)options.lines;
    size_t first = next_random(shopper) % variants.count;
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

static void make_request(struct shopper *shopper)
{
    char body[1024];
    size_t len = make_body(shopper, body, sizeof body);
    int written = snprintf(shopper->request, sizeof shopper->request,
                           "POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %.*s\r\n"
                           "Idempotency-Key: %016llx%016llx\r\nContent-Type: "
                           "application/json\r\nContent-Length: %zu\r\n\r\n%.*s",
                           STR_ARG(shopper->token), (unsigned long long)next_random(shopper),
                           (unsigned long long)next_random(shopper), len, (int)len, body);
    CHECK(written > 0 && (size_t)written < sizeof shopper->request);
    shopper->request_len = (size_t)written;
    shopper->written = shopper->answer_len = 0;
}

static void lost(struct shopper *shopper)
{
    fprintf(stderr, "load: the server closed a connection: %s\n", strerror(errno));
    close(shopper->socket);
    shopper->socket = -1;
    shopper->waiting = false;
    statuses[0]++;
}

static void write_some(struct shopper *shopper)
{
    while (shopper->written < shopper->request_len) {
        ssize_t n = write(shopper->socket, shopper->request + shopper->written,
                          shopper->request_len - shopper->written);
        if (n < 0 && errno == EAGAIN)
            return; /* EPOLLOUT is edge-triggered: it comes when there is room */
        if (n <= 0) {
            lost(shopper);
            return;
        }
        shopper->written += (size_t)n;
    }
}

static void send_next(struct shopper *shopper)
{
    make_request(shopper);
    shopper->sent_us = clock_monotonic_us();
    shopper->waiting = true;
    write_some(shopper);
}

/* The whole answer's bytes, or 0 while some are missing. */
static size_t answer_bytes(const struct shopper *shopper)
{
    const char *end = memmem(shopper->answer, shopper->answer_len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end - shopper->answer) + 4;
    const char *field = memmem(shopper->answer, head, "\r\nContent-Length: ", 18);
    CHECK(field);
    size_t all = head + strtoul(field + 18, NULL, 10);
    CHECK(all <= ANSWER_MAX);
    return shopper->answer_len >= all ? all : 0;
}

static void answered(struct shopper *shopper)
{
    int status = atoi(shopper->answer + 9);
    CHECK(status >= 100 && status < 600);
    shopper->waiting = false;
    acknowledged += status == 201;
    if (counting) {
        statuses[status]++;
        placed += status == 201;
        histogram_add(&latencies, clock_monotonic_us() - shopper->sent_us);
    }
    if (status != 201 && statuses[status] == 1)
        fprintf(stderr, "load: %.*s\n", (int)shopper->answer_len, shopper->answer);
    if (sending)
        send_next(shopper);
}

static void read_some(struct shopper *shopper)
{
    for (;;) {
        ssize_t n =
            read(shopper->socket, shopper->answer + shopper->answer_len, ANSWER_MAX - shopper->answer_len);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            lost(shopper);
            return;
        }
        shopper->answer_len += (size_t)n;
        if (answer_bytes(shopper)) {
            answered(shopper);
            return; /* nothing is pipelined: what comes next is a new edge */
        }
    }
}

static void serve_events(int64_t until_us)
{
    struct epoll_event events[256];
    for (int64_t now_us; (now_us = clock_monotonic_us()) < until_us;) {
        if (!sending) {
            bool any = false;
            for (int i = 0; i < options.shoppers; i++)
                any |= shoppers[i].waiting;
            if (!any)
                return;
        }
        int count = epoll_wait(epoll, events, 256, (int)((until_us - now_us) / 1000 + 1));
        for (int i = 0; i < count; i++) {
            struct shopper *shopper = events[i].data.ptr;
            if (events[i].events & EPOLLOUT && shopper->socket >= 0)
                write_some(shopper);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && shopper->socket >= 0 &&
                shopper->waiting)
                read_some(shopper);
        }
    }
}

static void connect_shopper(struct shopper *shopper)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)config()->listen_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    shopper->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (shopper->socket < 0 || connect(shopper->socket, (struct sockaddr *)&address, sizeof address)) {
        fprintf(stderr, "load: no server on port %lld: %s\n", (long long)config()->listen_port,
                strerror(errno));
        exit(2);
    }
    setsockopt(shopper->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(shopper->socket, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = shopper};
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, shopper->socket, &event) == 0);
}

static void parse(int argc, char **argv)
{
    static const struct argument table[] = {{"shoppers", &options.shoppers, 1, SHOPPERS_MAX, NULL},
                                            {"seconds", &options.seconds, 1, 600, NULL},
                                            {"lines", &options.lines, 1, LINES_MAX, NULL},
                                            {"skus", &options.skus, 1, SKUS_MAX, NULL},
                                            {"points", &options.points, 0, SPENT_MAX, NULL},
                                            {"server", &options.server, 0, INT32_MAX, NULL}};
    arguments_read(table, sizeof table / sizeof table[0], argc, argv);
}

static void report(const struct sample *before, const struct sample *after, int64_t in_database)
{
    printf("{\"shoppers\":%lld,\"skus\":%lld,\"points\":%lld,", (long long)options.shoppers,
           (long long)options.skus, (long long)options.points);
    sample_print(before, after, placed);
    printf(",\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"acknowledged\":%lld,\"in_database\":%lld,\"server_mb\":%.1f,"
           "\"statuses\":{",
           (double)histogram_quantile_us(&latencies, 0.5) / 1e3,
           (double)histogram_quantile_us(&latencies, 0.99) / 1e3, (long long)acknowledged,
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
    CHECK(shoppers);
    for (int i = 0; i < options.shoppers; i++) {
        struct principal principal = {.role = ROLE_CUSTOMER,
                                      .user_id = customers.items[(size_t)i % customers.count].user_id,
                                      .session_id = session_id_new()};
        shoppers[i].token = token_service_issue(arena, &principal);
        randombytes_buf(&shoppers[i].random, sizeof shoppers[i].random);
        shoppers[i].random |= 1;
    }
    return true;
}

int main(int argc, char **argv)
{
    CHECK(sodium_init() >= 0);
    signal(SIGPIPE, SIG_IGN);
    parse(argc, argv);
    struct error error = {.code = ERR_OK};
    struct arena *arena = arena_new();
    bool good = config_load(&error) == ERR_OK;
    struct pg *db = pg_new(config()->database_url, "bench", NULL);
    if (!good || !prepare(db, arena, &error)) {
        fprintf(stderr, "load: %s\n", error.detail);
        return 2;
    }
    int64_t already = count_orders(db, arena);
    epoll = epoll_create1(0);
    for (int i = 0; i < options.shoppers; i++)
        connect_shopper(&shoppers[i]);
    for (int i = 0; i < options.shoppers; i++)
        send_next(&shoppers[i]);
    struct sample before, after;
    serve_events(clock_monotonic_us() + 1000000); /* plans, caches, tokens */
    CHECK(sample_take(db, (pid_t)options.server, &before) == ERR_OK);
    counting = true;
    serve_events(clock_monotonic_us() + (int64_t)options.seconds * 1000000);
    counting = false;
    CHECK(sample_take(db, (pid_t)options.server, &after) == ERR_OK);
    sending = false;
    serve_events(clock_monotonic_us() + DRAIN_US);
    report(&before, &after, count_orders(db, arena) - already);
    token_service_stop();
    pg_free(db);
    arena_free(arena);
    free(shoppers);
    return 0;
}
