/* Start and stop; event loops. */
#include "api.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "http/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096
#define ACCEPTS_PER_TURN 256
#define SERVERS_MAX 8
#define DRAIN_IDLE_MS 150

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

static void listener_close(struct event_loop *loop);
static void accept_waiting(struct event_loop *loop, int most);

static void begin_drain(struct event_loop *loop)
{
    loop->draining = true;
    uint64_t now = uv_now(&loop->uv);
    loop->drain_until_ms = now + (uint64_t)config()->drain_ms;
    loop->drain_idle_ms = now + DRAIN_IDLE_MS;
    accept_waiting(loop, BACKLOG); /* who is in the queue has been promised an answer by the kernel */
    listener_close(loop);
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
    uv_close((uv_handle_t *)&loop->wake, NULL);
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
    if (!loop->draining)
        return;
    if (now >= loop->drain_idle_ms)
        connections_drain(loop, now >= loop->drain_until_ms);
    if (loop->connection_count == 0 && loop->exchange_count == 0)
        end_loop(loop);
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

/* Without a free descriptor accept() fails and the listener stays readable: one kept in reserve lets us take
 * the connection and close it. */
static void shed_connection(struct event_loop *loop)
{
    close(loop->spare_fd);
    int fd = accept(loop->listen_fd, NULL, NULL);
    if (fd >= 0)
        close(fd);
    loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    counter_add(&loop->metrics.refused, 1);
}

static void accept_waiting(struct event_loop *loop, int most)
{
    for (int i = 0; i < most; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        int fd = accept4(loop->listen_fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            connection_accept(loop, fd, &peer);
        } else if (errno == EMFILE || errno == ENFILE) {
            shed_connection(loop);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void on_acceptable(uv_poll_t *handle, int status, int events)
{
    (void)events;
    if (status == 0)
        accept_waiting(handle->data, ACCEPTS_PER_TURN);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct event_loop *loop = handle->data;
    close(loop->listen_fd);
    loop->listen_fd = -1;
}

static void listener_close(struct event_loop *loop)
{
    if (!loop->listening)
        return;
    loop->listening = false;
    uv_close((uv_handle_t *)&loop->listener, on_listener_closed);
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

static struct event_loop *loop_new(struct http_server *server, int index, int listen_fd)
{
    struct event_loop *loop = calloc(1, sizeof *loop);
    CHECK(loop);
    loop->server = server;
    loop->index = index;
    loop->listen_fd = listen_fd;
    loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pthread_mutex_init(&loop->lock, NULL);
    loop->metrics.durations =
        calloc((server->options.route_count + 1) * 5, sizeof(struct duration_histogram));
    CHECK(loop->metrics.durations);
    CHECK(uv_loop_init(&loop->uv) == 0);
    loop->wake.data = loop->tick.data = loop->listener.data = loop;
    CHECK(uv_async_init(&loop->uv, &loop->wake, on_wake) == 0);
    CHECK(uv_timer_init(&loop->uv, &loop->tick) == 0);
    CHECK(uv_timer_start(&loop->tick, on_tick, TICK_MS, TICK_MS) == 0);
    CHECK(uv_poll_init(&loop->uv, &loop->listener, listen_fd) == 0);
    CHECK(uv_poll_start(&loop->listener, UV_READABLE, on_acceptable) == 0);
    loop->listening = true;
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

/* ---- listening ---- */

static int listen_on(const struct addrinfo *address, bool shared)
{
    int on = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static void port_set(struct addrinfo *address, int port)
{
    if (address->ai_family == AF_INET)
        ((struct sockaddr_in *)(void *)address->ai_addr)->sin_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in6 *)(void *)address->ai_addr)->sin6_port = htons((uint16_t)port);
}

static int port_get(int fd)
{
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof bound;
    CHECK(getsockname(fd, (struct sockaddr *)&bound, &len) == 0);
    /* zeroed above and filled by the kernel: NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage) */
    return ntohs(bound.ss_family == AF_INET ? ((struct sockaddr_in *)(void *)&bound)->sin_port
                                            : ((struct sockaddr_in6 *)(void *)&bound)->sin6_port);
}

/* One socket a loop. The first try is without SO_REUSEPORT, so that a port which another program holds is an
 * error, not shared with it by accident. */
static enum error_code listen_all(struct http_server *server, int fds[LOOPS_MAX], struct error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found = NULL;
    char port[12];
    snprintf(port, sizeof port, "%d", server->options.port);
    int failed = getaddrinfo(server->host, port, &hints, &found);
    if (failed)
        return error_set(error, ERR_VALIDATION, "cannot listen on \"%s\": %s", server->host,
                         gai_strerror(failed));
    int count = 0, fd = listen_on(found, false);
    if (fd >= 0) {
        server->port = port_get(fd);
        port_set(found, server->port);
        if (server->loop_count == 1) {
            fds[count++] = fd;
        } else {
            close(fd);
            while (count < server->loop_count && (fds[count] = listen_on(found, true)) >= 0)
                count++;
        }
    }
    int why = errno;
    freeaddrinfo(found);
    if (count == server->loop_count)
        return ERR_OK;
    while (count > 0)
        close(fds[--count]);
    return error_set(error, ERR_VALIDATION, "cannot listen on %s:%d: %s%s", server->host,
                     server->options.port, strerror(why),
                     why == EADDRINUSE ? " (another program holds that port)" : "");
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
    server->database_url = copy_of(options->database_url);
    server->loop_count = options->loops < 1 ? 1 : options->loops < LOOPS_MAX ? options->loops : LOOPS_MAX;
    int fds[LOOPS_MAX] = {0};
    enum error_code code = address_set_parse(str_from(config()->trusted_proxies), &server->trusted, error);
    if (!code)
        code = listen_all(server, fds, error);
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
        CHECK(pthread_create(&server->loops[i]->thread, NULL, loop_main, server->loops[i]) == 0);
        char name[16];
        snprintf(name, sizeof name, "loop-%d", i);
        pthread_setname_np(server->loops[i]->thread, name);
    }
    *out = server;
    return ERR_OK;
}

int http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_ready_set(struct http_server *server, bool ready)
{
    atomic_store(&server->ready, ready);
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
    servers_replace(server, NULL);
    workers_stop(&server->pool);
    health_stop(server);
    for (int i = 0; i < server->loop_count; i++)
        loop_free(server->loops[i]);
    server_free(server);
}
