/* The phases of a request, in the order of enum request_phase. Those that need only the head run when the
 * head is there, so that a refused upload is not received first; the others when the whole request is. */
#include "api.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "http/server_internal.h"

#include <sodium.h>
#include <stdio.h>

static enum phase_result refused(struct http_exchange *x, enum error_code code)
{
    x->early = code;
    return PHASES_REFUSED;
}

/* For the report of a crash on this thread, until the request is answered or handed on. What is told lives as
 * long as the exchange, or for ever. */
static void take_in_hand(const struct http_exchange *x)
{
    const struct api_route *route = x->req.route;
    check_context_set(route ? route->operation_id : NULL);
    check_request_set(str_from(route ? route->method : NULL), x->req.request_id, 1);
}

/* ---- head ---- */

static enum phase_result phase_route(struct http_exchange *x)
{
    struct request *req = &x->req;
    req->phase = PHASE_ROUTE;
    if (str_equal(req->path, STR("*"))) {
        x->match.allow = STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        return PHASES_CONTINUE;
    }
    switch (router_match(x->server->router, req->arena, req->method, req->path, &x->match)) {
    case ROUTER_FOUND:
        req->route = x->match.route;
        return PHASES_CONTINUE;
    case ROUTER_OPTIONS:
        return PHASES_CONTINUE;
    case ROUTER_NOT_FOUND:
        x->match.head = str_equal(req->method, STR("HEAD"));
        if (x->server->options.fallback)
            return PHASES_CONTINUE;
        return refused(x, error_set(&req->error, ERR_NOT_FOUND, "No operation has this address"));
    case ROUTER_METHOD_NOT_ALLOWED:
        return refused(x, ERR_METHOD);
    case ROUTER_BAD_PATH:
        break;
    }
    return refused(x, error_set(&req->error, ERR_BAD_REQUEST, "The path is malformed"));
}

static struct str bearer_of(const struct http_exchange *x)
{
    struct str value = x->head.known[HEAD_AUTHORIZATION];
    if (value.len < 7 || !str_equal_ignoring_case((struct str){value.ptr, 7}, STR("Bearer ")))
        return STR_NONE;
    return str_trim((struct str){value.ptr + 7, value.len - 7});
}

static enum error_code no_worker(struct http_exchange *x)
{
    return error_set(&x->req.error, ERR_OVERLOADED,
                     "More requests wait for the database than it answers in time; try again shortly");
}

/* What is refused whoever asks, before anything is spent on the request. */
static enum error_code phase_early(struct http_exchange *x)
{
    struct request *req = &x->req;
    if (!req->route)
        return ERR_OK;
    /* What is cached may need no worker. */
    if (req->route->run == API_RUN_WORKER && req->route->cache_ttl_s == 0 &&
        workers_refuse(&x->server->pool, request_waited_us(req)))
        return no_worker(x);
    if (!req->route->early)
        return ERR_OK;
    req->idempotency_key = x->head.known[HEAD_IDEMPOTENCY_KEY];
    return req->route->early(req, x->match.params, bearer_of(x));
}

static enum error_code phase_authenticate(struct http_exchange *x)
{
    struct request *req = &x->req;
    req->phase = PHASE_AUTHENTICATE;
    if (!x->server->options.authenticate || answer_scope(x) == ANSWER_PUBLIC)
        return ERR_OK;
    enum error_code code = x->server->options.authenticate(req, bearer_of(x), &req->principal);
    return code ? code : session_at_head(x);
}

/* What a stranger may do anybody may. Partners prove themselves by a signature over the body, which the
 * handler checks. */
static enum error_code phase_authorize(struct http_exchange *x)
{
    struct request *req = &x->req;
    uint32_t roles = req->route->roles;
    req->phase = PHASE_AUTHORIZE;
    if (roles & (1u << ROLE_ANONYMOUS) || roles & 1u << req->principal.role)
        return ERR_OK;
    if (req->principal.role != ROLE_ANONYMOUS)
        return ERR_FORBIDDEN;
    if (!(roles & 1u << ROLE_PARTNER))
        return ERR_UNAUTHENTICATED;
    req->principal.role = ROLE_PARTNER;
    return ERR_OK;
}

static bool is_media_type(struct str given, struct str wanted)
{
    struct str rest = given;
    return str_equal_ignoring_case(str_trim(str_split(&rest, ';')), wanted);
}

/* Whether no other charset is named: JSON is UTF-8 (RFC 8259, 8.1), and so is all that the shop takes. */
static bool is_utf8_type(struct str type)
{
    str_split(&type, ';');
    while (type.ptr) {
        struct str value = str_split(&type, ';'), name = str_trim(str_split(&value, '='));
        if (!str_equal_ignoring_case(name, STR("charset")))
            continue;
        value = str_trim(value);
        if (value.len > 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
            value = (struct str){value.ptr + 1, value.len - 2};
        if (!str_equal_ignoring_case(value, STR("utf-8")) && !str_equal_ignoring_case(value, STR("utf8")))
            return false;
    }
    return true;
}

static enum error_code check_body(struct http_exchange *x)
{
    struct str type = x->head.known[HEAD_CONTENT_TYPE];
    const struct api_route *route = x->req.route;
    if (!head_has_body(&x->head))
        return ERR_OK;
    if (x->head.content_length > phases_body_max(x))
        return error_set(&x->req.error, ERR_BODY_TOO_LARGE, "This operation takes at most %zu bytes",
                         phases_body_max(x));
    if (route && route->body_type && !is_media_type(type, str_from(route->body_type)))
        return error_set(&x->req.error, ERR_MEDIA_TYPE, "This operation takes %s", route->body_type);
    if (route && route->body_type && !is_utf8_type(type))
        return error_set(&x->req.error, ERR_MEDIA_TYPE,
                         "The body has another charset than UTF-8, which is the only one that is taken");
    return ERR_OK;
}

size_t phases_body_max(const struct http_exchange *x)
{
    return x->req.route ? x->req.route->body_max : DISCARD_BYTES_MAX;
}

enum phase_result phases_head(struct http_exchange *x)
{
    struct request *req = &x->req;
    req->phase = PHASE_TRACE;
    trace_begin(x);
    take_in_hand(x);
    req->phase = PHASE_LIMITS;
    client_find(x);
    enum error_code code = limits_address(x);
    if (code) {
        x->match.head = str_equal(req->method, STR("HEAD"));
        turn_end(x->connection);
        return refused(x, code);
    }
    enum phase_result result = phase_route(x);
    if (result != PHASES_CONTINUE)
        return result;
    take_in_hand(x);
    if (answer_scope(x) == ANSWER_PUBLIC && answers_peek(x))
        return PHASES_ANSWERED;
    code = phase_early(x);
    if (code)
        return refused(x, code);
    req->client_address = (struct str){x->address_text, address_format(&x->client, x->address_text)};
    if (!req->route)
        return PHASES_CONTINUE;
    code = phase_authenticate(x);
    if (!code)
        code = phase_authorize(x);
    if (!code)
        code = limits_head(x);
    if (!code && answer_scope(x) == ANSWER_PRIVATE && answers_peek(x))
        return PHASES_ANSWERED;
    if (!code)
        code = check_body(x);
    return code ? refused(x, code) : PHASES_CONTINUE;
}

void phases_malformed(struct http_exchange *x, enum error_code code, const char *detail)
{
    x->close_connection = true;
    counter_add(&x->loop->metrics.requests_malformed, 1);
    x->req.method = x->head.method;
    trace_begin(x);
    take_in_hand(x);
    client_is_peer(x);
    enum error_code limited = limits_address(x);
    if (limited)
        turn_end(x->connection);
    else
        error_set(&x->req.error, code, "%s", detail);
    phases_finish(x, limited ? limited : code);
}

/* ---- the whole request ---- */

static struct str input_header(const void *context, struct str name)
{
    return head_field(context, name);
}

enum error_code phases_decode(struct http_exchange *x)
{
    struct request *req = &x->req;
    req->phase = PHASE_DECODE;
    if (x->input)
        return ERR_OK;
    struct api_input input = {.path_params = x->match.params,
                              .path_param_count = x->match.param_count,
                              .query = req->query,
                              .header = input_header,
                              .header_context = &x->head,
                              .body = req->body};
    if (req->route->decode(&input, req->arena, &x->input, &req->error))
        return ERR_OK;
    return req->error.code ? req->error.code : ERR_VALIDATION;
}

static enum error_code phase_idempotency(struct http_exchange *x)
{
    struct request *req = &x->req;
    req->phase = PHASE_IDEMPOTENCY;
    if (req->route->idempotency == API_IDEMPOTENCY_NONE)
        return ERR_OK;
    req->idempotency_key = x->head.known[HEAD_IDEMPOTENCY_KEY];
    if (!req->idempotency_key.ptr)
        return req->route->idempotency == API_IDEMPOTENCY_REQUIRED ? ERR_IDEMPOTENCY_KEY_MISSING : ERR_OK;
    if (req->idempotency_key.len < 1 || req->idempotency_key.len > 255 ||
        !str_is_utf8(req->idempotency_key)) {
        error_field_add(&req->error, "Idempotency-Key", "must be 1 to 255 characters");
        return error_set(&req->error, ERR_VALIDATION, "The Idempotency-Key header is not usable");
    }
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof req->body_hash);
    /* Without a query the hash is what releases made that left queries out. */
    struct str parts[] = {str_from(req->route->operation_id), req->path, req->body, req->query};
    size_t part_count = req->query.len ? 4 : 3;
    for (size_t i = 0; i < part_count; i++) {
        uint64_t len = parts[i].len;
        crypto_generichash_update(&state, (const unsigned char *)&len, sizeof len);
        if (len)
            crypto_generichash_update(&state, (const unsigned char *)parts[i].ptr, len);
    }
    crypto_generichash_final(&state, req->body_hash, sizeof req->body_hash);
    return ERR_OK;
}

static enum error_code decode_and_check(struct http_exchange *x)
{
    enum error_code code = phases_decode(x);
    return code ? code : phase_idempotency(x);
}

static enum error_code call_handler(struct http_exchange *x)
{
    struct request *req = &x->req;
    req->phase = PHASE_HANDLER;
    log_context_set(req->request_id, req->traceparent);
    stream_handling_set(x);
    enum error_code code = req->route->handle(req, x->input);
    stream_handling_set(NULL);
    log_context_clear();
    return code;
}

/* What handlers on the loop cannot ask. */
static void ask_for_loop(struct http_exchange *x, struct pg *db)
{
    bool asked;
    enum error_code code = session_at_handler(x, db, &asked);
    x->req.db = NULL;
    x->session_asking = false;
    x->session_asked = true;
    if (code) {
        phases_finish(x, code);
        return;
    }
    x->returns = RETURN_ASKED;
    exchange_finished(x);
}

void phases_work(struct http_exchange *x, struct pg *db, struct shared_cache *shared_cache)
{
    x->req.db = db;
    x->shared_cache = shared_cache;
    take_in_hand(x);
    if (x->session_asking) {
        ask_for_loop(x, db);
        check_hand_clear();
        return;
    }
    bool asked;
    enum error_code code = session_at_handler(x, db, &asked);
    if (!code)
        code = decode_and_check(x);
    if (!code && x->fill && shared_cache && answers_shared(x)) {
        check_hand_clear();
        return;
    }
    if (!code)
        code = call_handler(x);
    x->req.db = NULL;
    CHECK(!db || !pg_in_transaction(db));
    if (x->stream) {
        CHECK(code == ERR_OK);
        response_encode(x);
        exchange_finished(x);
    } else {
        phases_finish(x, code);
    }
    check_hand_clear();
}

static void push(struct http_exchange *x)
{
    x->away = true;
    check_hand_clear();
    if (workers_push(&x->server->pool, x))
        return;
    x->away = false;
    phases_finish(x, no_worker(x));
}

static void run_async(struct http_exchange *x)
{
    enum error_code code = session_at_handler(x, NULL, &x->session_asking);
    if (!code && x->session_asking) {
        push(x);
        return;
    }
    if (!code)
        code = decode_and_check(x);
    if (code) {
        phases_finish(x, code);
        return;
    }
    x->away = true;
    take_in_hand(x);
    struct request *req = &x->req;
    const struct api_route *route = req->route;
    req->phase = PHASE_HANDLER;
    log_context_set(req->request_id, req->traceparent);
    code = route->handle(req, x->input); /* x may be back already, but is looked at only after this */
    log_context_clear();
    check_hand_clear();
    if (code)
        phases_finish(x, code);
}

static void dispatch(struct http_exchange *x)
{
    switch (x->req.route->run) {
    case API_RUN_LOOP:
        x->away = false;
        phases_work(x, NULL, NULL);
        return;
    case API_RUN_ASYNC:
        run_async(x);
        return;
    case API_RUN_WORKER:
        push(x);
    }
}

static void dispatch_cached(struct http_exchange *x)
{
    switch (answers_find(x)) {
    case ANSWERS_HERE:
        connection_answer(x);
        return;
    case ANSWERS_WAIT:
        return;
    case ANSWERS_COMPUTE:
        dispatch(x);
    }
}

static void dispatch_route(struct http_exchange *x)
{
    if (answer_scope(x) != ANSWER_UNCACHED)
        dispatch_cached(x);
    else
        dispatch(x);
}

void phases_limited(void *exchange, const struct shared_answer *answer)
{
    struct http_exchange *x = exchange;
    x->away = false;
    enum error_code code = limits_decided(x, answer);
    if (code)
        phases_finish(x, code);
    else
        dispatch_route(x);
}

static void limit_and_dispatch(struct http_exchange *x)
{
    bool asked;
    enum error_code code = limits_message(x, &asked);
    if (code)
        phases_finish(x, code);
    else if (!asked)
        dispatch_route(x);
}

void phases_message(struct http_exchange *x)
{
    struct request *req = &x->req;
    if (req->route) {
        limit_and_dispatch(x);
    } else if (x->match.allow.ptr) {
        respond_empty(req, 204);
        respond_header(req, STR("Allow"), x->match.allow);
        phases_finish(x, ERR_OK);
    } else {
        bool served = x->server->options.fallback && x->server->options.fallback(req);
        phases_finish(x, served ? ERR_OK
                                : error_set(&req->error, ERR_NOT_FOUND, "No operation has this address"));
    }
}

void phases_returned(struct http_exchange *x)
{
    x->away = false;
    switch (x->returns) {
    case RETURN_ANSWER:
        if (x->req.response.status < 300)
            limits_succeeded(x);
        connection_answer(x);
        return;
    case RETURN_CACHED:
        connection_answer(x);
        return;
    case RETURN_STREAM:
        connection_stream_begin(x);
        return;
    case RETURN_CACHE_AGAIN:
        x->returns = RETURN_ANSWER;
        dispatch_cached(x);
        return;
    case RETURN_UNCACHED:
        x->returns = RETURN_ANSWER;
        dispatch(x);
        return;
    case RETURN_ASKED:
        x->returns = RETURN_ANSWER;
        run_async(x);
    }
}

/* ---- the answer ---- */

void phases_finish(struct http_exchange *x, enum error_code code)
{
    x->req.phase = PHASE_ENCODE;
    if (!code && x->req.response.status == 0)
        code = error_set(&x->req.error, ERR_INTERNAL, "the handler left no response");
    answers_store(x, code);
    if (code)
        problem_render(x, code);
    if (!x->cached)
        response_encode(x);
    if (x->away)
        exchange_finished(x);
    else
        connection_answer(x);
}

void phases_refuse(struct http_exchange *x)
{
    x->req.phase = PHASE_ENCODE;
    refusal_encode(x, x->early);
    connection_answer(x);
}

void request_finish(struct request *req, enum error_code code)
{
    phases_finish(exchange_of(req), code);
}

static size_t bucket_of(int64_t duration_us)
{
    static const int64_t bounds[DURATION_BUCKETS - 1] = {100,    250,    500,     1000,    2500,
                                                         5000,   10000,  25000,   50000,   100000,
                                                         250000, 500000, 1000000, 2500000, 10000000};
    size_t i = 0;
    while (i < DURATION_BUCKETS - 1 && duration_us > bounds[i])
        i++;
    return i;
}

void phases_log(struct http_exchange *x, int status, int64_t bytes)
{
    check_hand_clear();
    x->req.phase = PHASE_LOG;
    int64_t duration_us = clock_monotonic_us() - x->req.started_us;
    const struct http_server_options *options = &x->server->options;
    size_t route = x->req.route ? (size_t)(x->req.route - options->routes) : options->route_count;
    size_t class = status >= 100 && status <= 599 ? (size_t)(status / 100 - 1) : 4;
    struct duration_histogram *histogram = &x->loop->metrics.durations[route * 5 + class];
    counter_add(&histogram->count, 1);
    counter_add(&histogram->sum_us, duration_us > 0 ? (uint64_t)duration_us : 0);
    counter_add(&histogram->buckets[bucket_of(duration_us)], 1);
    access_log(x, status, bytes, duration_us);
}
