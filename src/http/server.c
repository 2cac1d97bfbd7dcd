/* Start and stop; event loops. */
#include "api.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/thread.h"
#include "http/server_internal.h"

#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define SERVERS_MAX 8
#define DRAIN_IDLE_MS 150
#define TRIM_BYTES ((int64_t)16 * 1024 * 1024)
#define TRIM_PAUSE_MS 10000

static struct {
    pthread_mutex_t lock;
    struct http_server *running[SERVERS_MAX];
} servers = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void servers_replace(struct http_server *from, struct http_server *to)
{
    pthread_mutex_lock(&servers.lock);
    int at = 0;
    while (at < SERVERS_MAX && servers.running[at] != from)
        at++;
    CHECK(at < SERVERS_MAX);
    servers.running[at] = to;
    pthread_mutex_unlock(&servers.lock);
}

void http_cache_invalidate(struct str kind, struct uuid id)
{
    pthread_mutex_lock(&servers.lock);
    for (int i = 0; i < SERVERS_MAX; i++)
        if (servers.running[i] && servers.running[i]->cache)
            cache_invalidate(servers.running[i]->cache, kind, id);
    pthread_mutex_unlock(&servers.lock);
}

bool server_is_draining(const struct http_server *server)
{
    return atomic_load_explicit(&server->stopping, memory_order_relaxed);
}

/* ---- one loop ---- */

void loop_wake(struct event_loop *loop)
{
    uv_async_send(&loop->wake);
}

void loop_date_refresh(struct event_loop *loop)
{
    int64_t now = clock_wall_us();
    if (now / 1000000 == loop->date_second)
        return;
    loop->date_second = now / 1000000;
    clock_format_http(now, loop->date);
    char text[CLOCK_TEXT_MAX];
    clock_format(now, text);
    memcpy(loop->log_time, text, 19);
}

void exchange_finished(struct http_exchange *x)
{
    struct event_loop *loop = x->loop;
    x->next = NULL;
    pthread_mutex_lock(&loop->lock);
    bool was_empty = loop->finished == NULL;
    *(was_empty ? &loop->finished : &loop->finished_last->next) = x;
    loop->finished_last = x;
    /* Under the lock: once x can be seen, the loop may end, and its handle with it. */
    if (was_empty)
        loop_wake(loop);
    pthread_mutex_unlock(&loop->lock);
}

static void begin_drain(struct event_loop *loop)
{
    loop->draining = true;
    uint64_t now = uv_now(&loop->uv);
    loop->drain_until_ms = now + (uint64_t)config()->drain_ms;
    loop->drain_idle_ms = now + DRAIN_IDLE_MS;
    loop_listen_end(loop);
}

static void on_wake(uv_async_t *handle)
{
    struct event_loop *loop = handle->data;
    pthread_mutex_lock(&loop->lock);
    struct http_exchange *x = loop->finished;
    loop->finished = loop->finished_last = NULL;
    pthread_mutex_unlock(&loop->lock);
    loop_date_refresh(loop);
    while (x) {
        struct http_exchange *next = x->next;
        phases_returned(x);
        x = next;
    }
    streams_flush(loop);
    if (!loop->draining && server_is_draining(loop->server))
        begin_drain(loop);
}

static void end_loop(struct event_loop *loop)
{
    if (loop->closing)
        return;
    loop->closing = true;
    if (loop->shared_limiter)
        shared_limiter_close(loop->shared_limiter);
    uv_close((uv_handle_t *)&loop->tick, NULL);
    uv_close((uv_handle_t *)&loop->turning, NULL);
    uv_close((uv_handle_t *)&loop->hurry, NULL);
    uv_close((uv_handle_t *)&loop->wake, NULL);
}

/* The allocator keeps what bodies have left; after a flood of them it is told to give it back. */
static void memory_give_back(struct event_loop *loop, uint64_t now)
{
    int64_t bytes = atomic_load_explicit(&loop->server->body_bytes, memory_order_relaxed);
    if (bytes > loop->body_bytes_peak)
        loop->body_bytes_peak = bytes;
    if (loop->body_bytes_peak < TRIM_BYTES || bytes > loop->body_bytes_peak / 8 || now < loop->trim_again_ms)
        return;
    malloc_trim(0);
    loop->body_bytes_peak = 0;
    loop->trim_again_ms = now + TRIM_PAUSE_MS;
}

static void on_tick(uv_timer_t *timer)
{
    struct event_loop *loop = timer->data;
    uint64_t now = uv_now(&loop->uv);
    int64_t now_us = clock_monotonic_us();
    loop->late_us = now_us - loop->ticked_us - TICK_MS * 1000;
    loop->ticked_us = now_us;
    loop_date_refresh(loop);
    connection_deadlines_check(loop, now);
    access_log_flush(loop);
    if (loop->index == 0)
        memory_give_back(loop, now);
    if (!loop->draining)
        return;
    if (now >= loop->drain_idle_ms)
        connections_drain(loop, now >= loop->drain_until_ms);
    if (loop->connection_count == 0 && loop->exchange_count == 0)
        end_loop(loop);
}

static void on_turn(uv_prepare_t *prepare)
{
    connections_turn(prepare->data);
}

/* Ticks come between turns, and a turn takes all that is ready: the longer it takes, the longer the rest has
 * waited. */
int64_t request_waited_us(const struct request *req)
{
    const struct event_loop *loop = req->exchange->loop;
    int64_t overdue_us = clock_monotonic_us() - loop->ticked_us - TICK_MS * 1000;
    int64_t late_us = overdue_us > loop->late_us ? overdue_us : loop->late_us;
    return late_us > 0 ? late_us : 0;
}

static void *loop_main(void *context)
{
    struct event_loop *loop = context;
    loop_date_refresh(loop);
    loop->ticked_us = clock_monotonic_us();
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    access_log_flush(loop);
    return NULL;
}

static struct event_loop *loop_new(struct http_server *server, int index, const int fds[LISTENERS_MAX])
{
    struct event_loop *loop = calloc(1, sizeof *loop);
    CHECK(loop);
    loop->server = server;
    loop->index = index;
    pthread_mutex_init(&loop->lock, NULL);
    loop->metrics.durations =
        calloc((server->options.route_count + 1) * 5, sizeof(struct duration_histogram));
    CHECK(loop->metrics.durations);
    CHECK(uv_loop_init(&loop->uv) == 0);
    loop->wake.data = loop->tick.data = loop->turning.data = loop;
    TAILQ_INIT(&loop->turns);
    CHECK(uv_async_init(&loop->uv, &loop->wake, on_wake) == 0);
    CHECK(uv_timer_init(&loop->uv, &loop->tick) == 0);
    CHECK(uv_timer_start(&loop->tick, on_tick, TICK_MS, TICK_MS) == 0);
    CHECK(uv_prepare_init(&loop->uv, &loop->turning) == 0);
    CHECK(uv_prepare_start(&loop->turning, on_turn) == 0);
    CHECK(uv_idle_init(&loop->uv, &loop->hurry) == 0);
    loop_listen(loop, fds);
    if (server->limiter && config()->limit_scale_percent > 0)
        loop->shared_limiter = shared_limiter_new(&loop->uv, config()->redis_url, index == 0, phases_limited);
    return loop;
}

static void loop_free(struct event_loop *loop)
{
    CHECK(uv_loop_close(&loop->uv) == 0);
    shared_limiter_free(loop->shared_limiter);
    exchanges_free_spares(loop);
    buf_free(&loop->log);
    free(loop->metrics.durations);
    close(loop->spare_fd);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

/* ---- the server ---- */

static struct str static_fields(bool secure)
{
    struct buf out = buf_new(2048);
    BUF_LITERAL(&out,
                "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nX-Frame-Options: DENY\r\n"
                "Permissions-Policy: camera=(), geolocation=(), microphone=()\r\n");
    if (secure)
        BUF_LITERAL(&out, "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n");
    return buf_str(&out);
}

static char *copy_of(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    CHECK(copy || !text);
    return copy;
}

static void server_free(struct http_server *server)
{
    router_free(server->router);
    cache_free(server->cache);
    limiter_free(server->limiter);
    address_counts_free(server->addresses);
    free((char *)(uintptr_t)server->static_fields.ptr);
    free(server->host);
    free(server->socket);
    free(server->database_url);
    free(server);
}

/* A connection is a file descriptor: the soft limit of a shell (often 1024) would be reached long before
 * ours. */
static void descriptors_allow(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum error_code networks_read(struct http_server *server, struct error *error)
{
    const struct config *settings = config();
    enum error_code code = address_set_parse(str_from(settings->trusted_proxies), &server->trusted, error);
    if (!code)
        code = address_set_parse(str_from(settings->limit_exempt), &server->exempt, error);
    return code ? code
                : address_set_parse(str_from(settings->metrics_networks), &server->metrics_readers, error);
}

enum error_code http_server_start(const struct http_server_options *options, struct http_server **out,
                                  struct error *error)
{
    CHECK(sodium_init() >= 0);
    descriptors_allow();
    signal(SIGPIPE, SIG_IGN); /* a client that left is an error of write() */
    struct http_server *server = calloc(1, sizeof *server);
    CHECK(server);
    server->options = *options;
    server->host = copy_of(options->host ? options->host : "127.0.0.1");
    server->socket = copy_of(options->socket && options->socket[0] ? options->socket : NULL);
    server->database_url = copy_of(options->database_url);
    server->loop_count = options->loops < 1 ? 1 : options->loops < LOOPS_MAX ? options->loops : LOOPS_MAX;
    int fds[LOOPS_MAX][LISTENERS_MAX];
    enum error_code code = networks_read(server, error);
    if (!code)
        code = server_listen(server, fds, error);
    if (code) {
        server_free(server);
        return code;
    }
    server->router = router_new(options->routes, options->route_count);
    if (config()->cache_entries > 0)
        server->cache = cache_new((size_t)config()->cache_entries, (size_t)config()->cache_bytes);
    if (options->rate_limits)
        server->limiter = limiter_new(limits_configured());
    if (options->shared_cache)
        answers_metrics();
    server->addresses = address_counts_new();
    server->static_fields = static_fields(str_starts_with(str_from(config()->public_url), STR("https://")));
    atomic_store(&server->ready, true);
    health_start(server);
    workers_start(server);
    for (int i = 0; i < server->loop_count; i++)
        server->loops[i] = loop_new(server, i, fds[i]);
    servers_replace(NULL, server);
    for (int i = 0; i < server->loop_count; i++) {
        char name[THREAD_NAME_MAX];
        snprintf(name, sizeof name, "loop-%d", i % 1000);
        CHECK(thread_start(&server->loops[i]->thread, name, loop_main, server->loops[i]));
    }
    *out = server;
    return ERR_OK;
}

int http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_stop(struct http_server *server)
{
    if (!server)
        return;
    atomic_store(&server->ready, false);
    atomic_store(&server->stopping, true);
    for (int i = 0; i < server->loop_count; i++)
        loop_wake(server->loops[i]);
    for (int i = 0; i < server->loop_count; i++)
        pthread_join(server->loops[i]->thread, NULL);
    server_listen_end(server);
    servers_replace(server, NULL);
    workers_stop(&server->pool);
    health_stop(server);
    for (int i = 0; i < server->loop_count; i++)
        loop_free(server->loops[i]);
    server_free(server);
}
