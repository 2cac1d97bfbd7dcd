/* One curl handle per thread, kept with its connections. The circuit breaker counts attempts that failed in a
 * row over all threads: after CIRCUIT_FAILURES it is open and calls fail at once; after CIRCUIT_OPEN_MS one
 * call may try, and closes it or opens it again. */
#include "http/client.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cathay_version.h"
#include "http/redact.h"
#include "pg/pg.h"

#include <curl/curl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CIRCUIT_FAILURES 5
#define CIRCUIT_OPEN_MS 5000
#define BACKOFF_FIRST_MS 200
#define CONNECT_TIMEOUT_MS 3000
#define LOG_BODY_MAX 1024
#define URL_MAX 4096

struct http_partner {
    char *name, *base_url, *authorization;
    int64_t timeout_ms;
    pthread_mutex_t lock;
    int failures; /* in a row */
    int64_t open_until_us;
    bool probing; /* one call tries whether the partner is back */
    struct metric *duration, *failed, *refused;
};

/* ---- one handle a thread ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t handle_key;

static void handle_free(void *handle)
{
    curl_easy_cleanup(handle);
}

static void global_begin(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
    CHECK(pthread_key_create(&handle_key, handle_free) == 0);
}

static CURL *thread_handle(void)
{
    CURL *handle = pthread_getspecific(handle_key);
    if (!handle) {
        handle = curl_easy_init();
        CHECK(handle && pthread_setspecific(handle_key, handle) == 0);
    }
    curl_easy_reset(handle);
    return handle;
}

/* ---- partners ---- */

static char *copy_of(const char *text)
{
    char *copy = strdup(text ? text : "");
    CHECK(copy);
    return copy;
}

struct http_partner *http_partner_new(const char *name, const char *base_url, const char *authorization,
                                      int64_t timeout_ms)
{
    pthread_once(&once, global_begin);
    struct http_partner *partner = calloc(1, sizeof *partner);
    CHECK(partner);
    partner->name = copy_of(name);
    partner->base_url = copy_of(base_url);
    for (size_t len = strlen(partner->base_url); len && partner->base_url[len - 1] == '/';)
        partner->base_url[--len] = '\0';
    partner->authorization = copy_of(authorization);
    partner->timeout_ms = timeout_ms;
    pthread_mutex_init(&partner->lock, NULL);
    char label[96];
    snprintf(label, sizeof label, "partner=\"%s\"", name);
    partner->duration =
        metric_histogram("cathay_partner_call_duration_seconds", "Time of one attempt to call a partner",
                         label, metric_duration_bounds_us, 15, 1000000);
    partner->failed = metric_counter("cathay_partner_failures_total", "Attempts that failed", label);
    partner->refused =
        metric_counter("cathay_partner_circuit_refused_total", "Calls refused by the open circuit", label);
    return partner;
}

void http_partner_free(struct http_partner *partner)
{
    if (!partner)
        return;
    free(partner->name);
    free(partner->base_url);
    sodium_memzero(partner->authorization, strlen(partner->authorization));
    free(partner->authorization);
    pthread_mutex_destroy(&partner->lock);
    free(partner);
}

/* ---- circuit breaker ---- */

static bool circuit_admits(struct http_partner *partner)
{
    pthread_mutex_lock(&partner->lock);
    bool admits = partner->failures < CIRCUIT_FAILURES;
    if (!admits && !partner->probing && clock_monotonic_us() >= partner->open_until_us)
        admits = partner->probing = true;
    pthread_mutex_unlock(&partner->lock);
    return admits;
}

bool http_partner_is_away(struct http_partner *partner)
{
    pthread_mutex_lock(&partner->lock);
    bool away = partner->failures >= CIRCUIT_FAILURES &&
                (partner->probing || clock_monotonic_us() < partner->open_until_us);
    pthread_mutex_unlock(&partner->lock);
    return away;
}

static void circuit_tell(struct http_partner *partner, bool good)
{
    pthread_mutex_lock(&partner->lock);
    bool was_open = partner->failures >= CIRCUIT_FAILURES;
    partner->probing = false;
    partner->failures = good ? 0 : was_open ? partner->failures : partner->failures + 1;
    bool is_open = partner->failures >= CIRCUIT_FAILURES;
    if (is_open)
        partner->open_until_us = clock_monotonic_us() + (int64_t)CIRCUIT_OPEN_MS * 1000;
    pthread_mutex_unlock(&partner->lock);
    if (was_open != is_open)
        log_write(LOG_WARN, is_open ? "circuit to partner opened" : "circuit to partner closed",
                  LOG_TEXT("partner", partner->name));
}

/* ---- one attempt ---- */

struct attempt {
    struct buf body;
    bool too_large;
    CURLcode result;
    long status;
    int64_t duration_us;
};

static size_t on_bytes(char *bytes, size_t size, size_t count, void *context)
{
    struct attempt *attempt = context;
    buf_append(&attempt->body, (struct str){bytes, size * count});
    attempt->too_large |= attempt->body.overflow;
    return attempt->too_large ? 0 : size * count;
}

static void add_field(struct curl_slist **fields, const char *name, struct str value)
{
    struct buf line = buf_new(16 * 1024);
    buf_printf(&line, "%s: %.*s", name, STR_ARG(value));
    buf_char(&line, '\0');
    CHECK(!line.overflow); /* settings and keys of our own making */
    struct curl_slist *longer = curl_slist_append(*fields, line.ptr);
    CHECK(longer);
    *fields = longer;
    sodium_memzero(line.ptr, line.len);
    buf_free(&line);
}

static struct curl_slist *fields_of(const struct http_partner *partner, const struct http_call *call)
{
    struct curl_slist *fields = NULL;
    if (partner->authorization[0])
        add_field(&fields, "Authorization", str_from(partner->authorization));
    if (call->content_type.ptr)
        add_field(&fields, "Content-Type", call->content_type);
    if (call->idempotency_key.ptr)
        add_field(&fields, "Idempotency-Key", call->idempotency_key);
    struct str trace = log_context_traceparent();
    if (trace.len)
        add_field(&fields, "traceparent", trace);
    add_field(&fields, "Expect", STR("")); /* no wait for 100 Continue */
    for (size_t i = 0; call->headers && call->headers[i]; i++) {
        struct curl_slist *longer = curl_slist_append(fields, call->headers[i]);
        CHECK(longer);
        fields = longer;
    }
    return fields;
}

static void attempt_run(const struct http_partner *partner, const struct http_call *call, const char *url,
                        struct attempt *attempt)
{
    CURL *curl = thread_handle();
    char method[16];
    snprintf(method, sizeof method, "%.*s", STR_ARG(call->method));
    struct curl_slist *fields = fields_of(partner, call);
    attempt->body = buf_new(HTTP_ANSWER_MAX);
    attempt->too_large = false;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "127.0.0.1,localhost,::1");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "cathay-shop/" CATHAY_VERSION);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)partner->timeout_ms);
    curl_easy_setopt(
        curl, CURLOPT_CONNECTTIMEOUT_MS,
        (long)(partner->timeout_ms < CONNECT_TIMEOUT_MS ? partner->timeout_ms : CONNECT_TIMEOUT_MS));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, attempt);
    if (call->body.ptr) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.ptr);
    } else if (str_equal(call->method, STR("POST"))) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    }
    int64_t begun_us = clock_monotonic_us();
    attempt->result = curl_easy_perform(curl);
    attempt->duration_us = clock_monotonic_us() - begun_us;
    attempt->status = 0;
    if (attempt->result == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &attempt->status);
    curl_slist_free_all(fields);
    curl_easy_reset(curl); /* the handle must not keep pointers to what is freed now */
}

static struct str host_of(const char *base_url)
{
    const char *from = strstr(base_url, "://");
    return str_from(from ? from + 3 : base_url);
}

static void attempt_log(const struct http_partner *partner, const struct http_call *call,
                        const struct attempt *attempt, int number)
{
    bool good = attempt->result == CURLE_OK && attempt->status < 500;
    struct str path = call->path, query = path;
    path = str_split(&query, '?');
    const char *error = attempt->result == CURLE_OK ? NULL : curl_easy_strerror(attempt->result);
    log_write(good ? LOG_INFO : LOG_WARN, "partner called", LOG_TEXT("partner", partner->name),
              LOG_STR("method", call->method), LOG_STR("host", host_of(partner->base_url)),
              LOG_STR("path", path), LOG_INT("status", attempt->status),
              LOG_INT("duration_us", attempt->duration_us), LOG_INT("attempt", number),
              LOG_TEXT("error", error));
    if (!log_enabled(LOG_DEBUG))
        return;
    struct str bodies[] = {call->body, buf_str(&attempt->body)};
    for (int i = 0; i < 2; i++) {
        struct buf text = buf_new(LOG_BODY_MAX + 1);
        redact_body(&text, bodies[i], LOG_BODY_MAX);
        log_write(LOG_DEBUG, "partner body", LOG_TEXT("partner", partner->name),
                  LOG_STR(i ? "response" : "request", buf_str(&text)));
        buf_free(&text);
    }
}

/* ---- a call ---- */

static bool is_timeout(CURLcode result)
{
    return result == CURLE_OPERATION_TIMEDOUT;
}

/* Whether another attempt can do no harm: the partner knows the key or the method repeats, or it was never
 * reached. */
static bool may_repeat(const struct http_call *call, const struct attempt *attempt)
{
    if (attempt->too_large)
        return false;
    if (attempt->result == CURLE_COULDNT_CONNECT || attempt->result == CURLE_COULDNT_RESOLVE_HOST)
        return true;
    return !str_equal(call->method, STR("POST")) || call->idempotency_key.ptr;
}

static bool is_passing(const struct attempt *attempt)
{
    return attempt->result != CURLE_OK || (attempt->status >= 500 && attempt->status != 501) ||
           attempt->status == 429;
}

static enum error_code outcome(const struct http_partner *partner, const struct attempt *attempt,
                               struct error *error)
{
    if (is_timeout(attempt->result))
        return error_set(error, ERR_PARTNER_TIMEOUT, "%s did not answer in %lld ms", partner->name,
                         (long long)partner->timeout_ms);
    if (attempt->too_large)
        return error_set(error, ERR_PARTNER, "%s answered with more than %zu bytes", partner->name,
                         HTTP_ANSWER_MAX);
    if (attempt->result != CURLE_OK)
        return error_set(error, ERR_PARTNER, "%s: %s", partner->name, curl_easy_strerror(attempt->result));
    if (attempt->status >= 500)
        return error_set(error, ERR_PARTNER, "%s answered %ld", partner->name, attempt->status);
    return ERR_OK;
}

enum error_code http_partner_call(struct http_partner *partner, struct pg *db, const struct http_call *call,
                                  struct arena *arena, struct http_answer *answer, struct error *error)
{
    CHECK(!db || !pg_in_transaction(db));
    char url[URL_MAX];
    int len = snprintf(url, sizeof url, "%s%.*s", partner->base_url, STR_ARG(call->path));
    if (len < 0 || (size_t)len >= sizeof url) /* with an identifier of the partner's */
        return error_set(error, ERR_PARTNER, "%s: an address is longer than it may be", partner->name);
    for (int number = 1;; number++) {
        if (!circuit_admits(partner)) {
            metric_add(partner->refused, 1);
            if (error)
                error->retry_after_s = CIRCUIT_OPEN_MS / 1000;
            return error_set(error, ERR_PARTNER, "%s fails; it is not called for some seconds",
                             partner->name);
        }
        struct attempt attempt;
        attempt_run(partner, call, url, &attempt);
        bool good = attempt.result == CURLE_OK && attempt.status < 500;
        circuit_tell(partner, good);
        metric_observe(partner->duration, attempt.duration_us);
        if (!good)
            metric_add(partner->failed, 1);
        attempt_log(partner, call, &attempt, number);
        if (is_passing(&attempt) && may_repeat(call, &attempt) && number < HTTP_CALL_ATTEMPTS) {
            buf_free(&attempt.body);
            uint32_t most_ms = (uint32_t)BACKOFF_FIRST_MS << (number - 1);
            usleep((useconds_t)(randombytes_uniform(most_ms + 1) * 1000)); /* full jitter */
            continue;
        }
        enum error_code code = outcome(partner, &attempt, error);
        answer->status = (int)attempt.status;
        answer->body = code ? STR_NONE : arena_copy(arena, buf_str(&attempt.body));
        buf_free(&attempt.body);
        return code;
    }
}
