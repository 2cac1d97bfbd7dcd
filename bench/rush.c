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
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BUYERS_MAX 200000
#define CONNECTIONS_MAX 4096
#define REQUEST_MAX 2048
#define ANSWER_MAX 16384
#define WAIT_MAX_US 120000000

struct connection {
    int socket;
    int64_t sent_us;
    char request[REQUEST_MAX], answer[ANSWER_MAX];
    size_t request_len, written, answer_len;
    bool waiting;
};

static struct {
    const char *sale, *get;
    int64_t buyers, connections, seconds;
} options = {.buyers = 50000, .connections = 512};

static struct str *tokens;
static struct connection *connections;
static struct histogram latencies;
static int epoll, open_requests;
static int64_t asked, statuses[600], sold_out, first_us, last_sale_us;

static const char body[] =
    "{\"quantity\":1,\"address\":{\"name\":\"Chan Tai Man\",\"line1\":\"Flat 12A, 8 Queen's Road "
    "Central\",\"city\":\"Hong Kong\",\"country\":\"HK\"}}";

static bool more(void)
{
    return options.seconds ? clock_monotonic_us() - first_us < options.seconds * INT64_C(1000000)
                           : asked < options.buyers;
}

static void make_request(struct connection *c)
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
    c->request_len = (size_t)written;
    c->written = c->answer_len = 0;
}

static void lost(struct connection *c)
{
    fprintf(stderr, "rush: the server closed a connection: %s\n", strerror(errno));
    close(c->socket);
    c->socket = -1;
    open_requests -= c->waiting;
    c->waiting = false;
    statuses[0]++;
}

static void write_some(struct connection *c)
{
    while (c->written < c->request_len) {
        ssize_t n = write(c->socket, c->request + c->written, c->request_len - c->written);
        if (n < 0 && errno == EAGAIN)
            return; /* EPOLLOUT is edge-triggered: it comes when there is room */
        if (n <= 0) {
            lost(c);
            return;
        }
        c->written += (size_t)n;
    }
}

static void send_next(struct connection *c)
{
    make_request(c);
    asked++;
    c->sent_us = clock_monotonic_us();
    c->waiting = true;
    open_requests++;
    write_some(c);
}

static bool whole(const struct connection *c)
{
    const char *end = memmem(c->answer, c->answer_len, "\r\n\r\n", 4);
    if (!end)
        return false;
    size_t head = (size_t)(end - c->answer) + 4;
    const char *field = memmem(c->answer, head, "\r\nContent-Length: ", 18);
    CHECK(field);
    size_t all = head + strtoul(field + 18, NULL, 10);
    CHECK(all <= ANSWER_MAX);
    return c->answer_len >= all;
}

static void answered(struct connection *c)
{
    int status = atoi(c->answer + 9);
    int64_t now_us = clock_monotonic_us();
    CHECK(status >= 100 && status < 600);
    open_requests--;
    c->waiting = false;
    statuses[status]++;
    histogram_add(&latencies, now_us - c->sent_us);
    if (status == 201)
        last_sale_us = now_us;
    else if (memmem(c->answer, c->answer_len, "\"sale_sold_out\"", 15))
        sold_out++;
    else if (status != 200 && statuses[status] < 3)
        fprintf(stderr, "rush: %.*s\n", (int)c->answer_len, c->answer);
    if (more())
        send_next(c);
}

static void read_some(struct connection *c)
{
    for (;;) {
        ssize_t n = read(c->socket, c->answer + c->answer_len, ANSWER_MAX - c->answer_len);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            lost(c);
            return;
        }
        c->answer_len += (size_t)n;
        if (whole(c)) {
            answered(c);
            return; /* nothing is pipelined: what comes next is a new edge */
        }
    }
}

static void serve_events(void)
{
    struct epoll_event events[256];
    while (open_requests > 0 && clock_monotonic_us() - first_us < WAIT_MAX_US) {
        int count = epoll_wait(epoll, events, 256, 1000);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT && c->socket >= 0)
                write_some(c);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && c->socket >= 0 && c->waiting)
                read_some(c);
        }
    }
}

static void connect_one(struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)config()->listen_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    c->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (c->socket < 0 || connect(c->socket, (struct sockaddr *)&address, sizeof address)) {
        fprintf(stderr, "rush: no server on port %lld: %s\n", (long long)config()->listen_port,
                strerror(errno));
        exit(2);
    }
    setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(c->socket, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, c->socket, &event) == 0);
}

static void parse(int argc, char **argv)
{
    static const struct argument table[] = {{"sale", .text = &options.sale},
                                            {"get", .text = &options.get},
                                            {"buyers", &options.buyers, 1, BUYERS_MAX, NULL},
                                            {"connections", &options.connections, 1, CONNECTIONS_MAX, NULL},
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
    signal(SIGPIPE, SIG_IGN);
    parse(argc, argv);
    struct error error = {.code = ERR_OK};
    if (config_load(&error)) {
        fprintf(stderr, "rush: %s\n", error.detail);
        return 2;
    }
    struct arena *arena = arena_new();
    struct pg *db = pg_new(config()->database_url, "bench", NULL);
    prepare(db, arena);
    epoll = epoll_create1(0);
    connections = calloc((size_t)options.connections, sizeof *connections);
    CHECK(connections);
    for (int i = 0; i < options.connections; i++)
        connect_one(&connections[i]);
    first_us = clock_monotonic_us();
    for (int i = 0; i < options.connections && more(); i++)
        send_next(&connections[i]);
    serve_events();
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
    free(connections);
    free(tokens);
    return 0;
}
