/* The server's own operations: life, readiness, metrics, the contract and its page. None of them blocks. */
#include "api.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "health_sql.h"
#include "http/pages.h"
#include "http/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* ---- health: a thread asks the database, at most once a second and only while somebody wants to know ----
 */

#define HEALTH_INTERVAL_S 1
#define HEALTH_INTEREST_US 15000000

static bool health_wanted(const struct health *health, int64_t now_us)
{
    return now_us - atomic_load_explicit(&health->asked_us, memory_order_relaxed) < HEALTH_INTEREST_US ||
           !atomic_load_explicit(&health->database_up, memory_order_relaxed);
}

static void *health_main(void *context)
{
    struct http_server *server = context;
    struct health *health = &server->health;
    struct pg *db = pg_new(server->database_url, "health", "SET statement_timeout = '2s'");
    struct arena *arena = arena_new();
    pthread_mutex_lock(&health->lock);
    while (!health->stopping) {
        pthread_mutex_unlock(&health->lock);
        if (health_wanted(health, clock_monotonic_us())) {
            struct health_ping_row row;
            bool found;
            bool up = health_ping(db, arena, &row, &found) == ERR_OK;
            if (atomic_exchange(&health->database_up, up) != up)
                log_write(up ? LOG_INFO : LOG_WARN, up ? "database answers" : "database does not answer");
            arena_reset(arena);
        }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += HEALTH_INTERVAL_S;
        pthread_mutex_lock(&health->lock);
        if (!health->stopping)
            pthread_cond_timedwait(&health->wake, &health->lock, &until);
    }
    pthread_mutex_unlock(&health->lock);
    arena_free(arena);
    pg_free(db);
    return NULL;
}

void health_start(struct http_server *server)
{
    struct health *health = &server->health;
    if (!server->database_url) {
        atomic_store(&health->database_up, true);
        return;
    }
    pthread_mutex_init(&health->lock, NULL);
    pthread_cond_init(&health->wake, NULL);
    health->started = true;
    CHECK(thread_start(&health->thread, "health", health_main, server));
}

void health_stop(struct http_server *server)
{
    struct health *health = &server->health;
    if (!health->started)
        return;
    pthread_mutex_lock(&health->lock);
    health->stopping = true;
    pthread_cond_signal(&health->wake);
    pthread_mutex_unlock(&health->lock);
    pthread_join(health->thread, NULL);
    pthread_mutex_destroy(&health->lock);
    pthread_cond_destroy(&health->wake);
}

/* The server that an operation tells of. */
static struct http_server *subject_of(const struct request *req)
{
    struct http_server *server = req->exchange->server;
    return server->options.watched ? server->options.watched : server;
}

enum error_code live_show_handle(struct request *req, const struct api_live_show *in)
{
    (void)in;
    return respond_json(req, 200, STR("{\"status\":\"live\"}"));
}

enum error_code ready_show_handle(struct request *req, const struct api_ready_show *in)
{
    (void)in;
    struct http_server *server = subject_of(req);
    atomic_store_explicit(&server->health.asked_us, clock_monotonic_us(), memory_order_relaxed);
    if (!atomic_load(&server->ready))
        return error_set(&req->error, ERR_OVERLOADED, "The server is stopping");
    if (!atomic_load(&server->health.database_up))
        return error_set(&req->error, ERR_OVERLOADED, "The database does not answer");
    return respond_json(req, 200, STR("{\"status\":\"ready\"}"));
}

/* ---- metrics ---- */

static const int64_t bounds_us[DURATION_BUCKETS - 1] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000};

static void head_line(struct buf *out, const char *name, const char *help, const char *type)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one_value(struct buf *out, const char *name, const char *help, const char *type, int64_t value)
{
    head_line(out, name, help, type);
    buf_printf(out, "%s %lld\n", name, (long long)value);
}

static int64_t sum_of(const struct http_server *server, size_t offset)
{
    int64_t sum = 0;
    for (int i = 0; i < server->loop_count; i++) {
        const char *metrics = (const char *)&server->loops[i]->metrics;
        sum += (int64_t)atomic_load_explicit((const _Atomic uint64_t *)(const void *)(metrics + offset),
                                             memory_order_relaxed);
    }
    return sum;
}
#define SUM(member) sum_of(server, offsetof(struct loop_metrics, member))

static void render_durations(struct buf *out, const struct http_server *server)
{
    static const char name[] = "cathay_http_request_duration_seconds";
    head_line(out, name, "Time from a request's head to its answer", "histogram");
    for (size_t at = 0; at < (server->options.route_count + 1) * 5; at++) {
        size_t route = at / 5;
        uint64_t buckets[DURATION_BUCKETS] = {0}, sum_us = 0, count = 0;
        for (int i = 0; i < server->loop_count; i++) {
            struct duration_histogram *one = &server->loops[i]->metrics.durations[at];
            sum_us += atomic_load_explicit(&one->sum_us, memory_order_relaxed);
            for (size_t b = 0; b < DURATION_BUCKETS; b++)
                buckets[b] += atomic_load_explicit(&one->buckets[b], memory_order_relaxed);
        }
        for (size_t b = 0; b < DURATION_BUCKETS; b++)
            count += buckets[b];
        if (count == 0)
            continue;
        char labels[128];
        snprintf(labels, sizeof labels, "operation=\"%s\",status=\"%zuxx\"",
                 route < server->options.route_count ? server->options.routes[route].operation_id : "none",
                 at % 5 + 1);
        uint64_t below = 0;
        for (size_t b = 0; b < DURATION_BUCKETS; b++) {
            below += buckets[b];
            buf_printf(out, "%s_bucket{%s,le=\"", name, labels);
            if (b + 1 < DURATION_BUCKETS)
                metrics_render_ratio(out, bounds_us[b], 1000000);
            else
                BUF_LITERAL(out, "+Inf");
            buf_printf(out, "\"} %llu\n", (unsigned long long)below);
        }
        buf_printf(out, "%s_sum{%s} ", name, labels);
        metrics_render_ratio(out, (int64_t)sum_us, 1000000);
        buf_printf(out, "\n%s_count{%s} %llu\n", name, labels, (unsigned long long)count);
    }
}

static int64_t resident_bytes(void)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    long long size = 0, resident = 0;
    return len > 0 && sscanf(text, "%lld %lld", &size, &resident) == 2 ? resident * sysconf(_SC_PAGESIZE) : 0;
}

static void render_server(struct buf *out, struct http_server *server)
{
    one_value(out, "cathay_http_connections", "Open connections", "gauge", atomic_load(&server->connections));
    one_value(out, "cathay_http_connections_accepted_total", "Connections accepted", "counter",
              SUM(accepted));
    one_value(out, "cathay_http_connections_refused_total", "Connections over a limit", "counter",
              SUM(refused));
    one_value(out, "cathay_http_requests_malformed_total", "Requests refused before a route", "counter",
              SUM(requests_malformed));
    one_value(out, "cathay_http_deadlines_total", "Connections cut off for slowness", "counter",
              SUM(deadlines));
    one_value(out, "cathay_http_body_bytes", "Memory held for requests' bodies", "gauge",
              atomic_load(&server->body_bytes));
    one_value(out, "cathay_http_bodies_refused_total", "Bodies refused as all together took too much memory",
              "counter", SUM(bodies_refused));
    pthread_mutex_lock(&server->pool.lock);
    int busy = server->pool.busy;
    pthread_mutex_unlock(&server->pool.lock);
    one_value(out, "cathay_http_queue_depth", "Requests waiting for a worker", "gauge",
              atomic_load(&server->pool.queued));
    one_value(out, "cathay_http_workers_busy", "Workers at work", "gauge", busy);
    one_value(out, "cathay_http_workers", "Worker threads", "gauge", server->pool.count);
    one_value(out, "cathay_http_queue_refused_total",
              "Requests refused because the queue for workers was full or too slow", "counter",
              atomic_load(&server->pool.refused_total));
    one_value(out, "cathay_cache_hits_total", "Answers from the cache", "counter", SUM(cache_hits));
    one_value(out, "cathay_cache_misses_total", "Answers computed for the cache", "counter",
              SUM(cache_misses));
    one_value(out, "cathay_cache_joined_total", "Requests that waited for another's computation", "counter",
              SUM(cache_joined));
    if (server->cache) {
        struct cache_counts counts = cache_counts(server->cache);
        one_value(out, "cathay_cache_entries", "Answers kept", "gauge", counts.entries);
        one_value(out, "cathay_cache_bytes", "Bytes of answers kept", "gauge", counts.bytes);
        one_value(out, "cathay_cache_evictions_total", "Answers dropped for room", "counter",
                  counts.evictions);
    }
    static const char limits[] = "cathay_http_limit_decisions_total";
    head_line(out, limits,
              "Requests of a limited class, by who decided; fallback: locally, as Redis was away or slow",
              "counter");
    buf_printf(out, "%s{source=\"redis\"} %lld\n%s{source=\"local\"} %lld\n%s{source=\"fallback\"} %lld\n",
               limits, (long long)SUM(limits_redis), limits, (long long)SUM(limits_local), limits,
               (long long)SUM(limits_fallback));
    one_value(out, "cathay_http_limit_refused_total", "Requests refused by a rate limit", "counter",
              SUM(limits_refused));
    one_value(out, "cathay_ready", "1 while the server takes requests", "gauge",
              atomic_load(&server->ready) && atomic_load(&server->health.database_up));
    one_value(out, "cathay_log_dropped_total", "Log lines dropped", "counter", log_dropped_total());
    one_value(out, "cathay_process_resident_bytes", "Memory in use", "gauge", resident_bytes());
}

enum error_code metrics_show_handle(struct request *req, const struct api_metrics_show *in)
{
    (void)in;
    const struct http_exchange *x = req->exchange;
    if (!x->server->options.operations && !address_set_has(&x->server->metrics_readers, &x->client))
        return error_set(&req->error, ERR_FORBIDDEN, "Metrics are for operators");
    struct http_server *server = subject_of(req);
    struct buf out = buf_new(8 * 1024 * 1024);
    render_server(&out, server);
    render_durations(&out, server);
    metrics_render(&out);
    enum error_code code = respond_buf(req, 200, &out);
    req->response.content_type = STR("text/plain; version=0.0.4; charset=utf-8");
    return code;
}

/* ---- contract ---- */

enum error_code openapi_show_handle(struct request *req, const struct api_openapi_show *in)
{
    (void)in;
    respond_header(req, STR("Cache-Control"), STR("public, max-age=60"));
    return respond_json(req, 200, api_openapi_json);
}

enum error_code home_show_handle(struct request *req, const struct api_home_show *in)
{
    (void)in;
    struct page_value values[] = {{"shop", str_from(config()->shop_name)}};
    respond_header(req, STR("Cache-Control"), STR("public, max-age=60"));
    respond_header(req, STR("Content-Security-Policy"), page_home_csp);
    return respond_bytes(req, 200, STR("text/html; charset=utf-8"),
                         page_fill(req->arena, page_home, values, 1));
}

enum error_code docs_show_handle(struct request *req, const struct api_docs_show *in)
{
    (void)in;
    respond_header(req, STR("Cache-Control"), STR("public, max-age=60"));
    respond_header(req, STR("Content-Security-Policy"), page_docs_csp);
    return respond_bytes(req, 200, STR("text/html; charset=utf-8"), page_docs);
}
