#include "echo_routes.h"

#include "api.h"
#include "base/check.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>

struct echo_input {
    struct str parameter, query, body;
};

static _Atomic int64_t computed;

int64_t echo_computed(void)
{
    return atomic_load(&computed);
}

static bool decode(const struct api_input *input, struct arena *arena, void **out, struct error *error)
{
    struct echo_input *in = ARENA_NEW(arena, struct echo_input);
    if (input->path_param_count)
        in->parameter = input->path_params[0];
    in->query = input->query;
    in->body = input->body;
    *out = in;
    if (in->query.ptr && str_equal(in->query, STR("bad=1"))) {
        error_field_add(error, "bad", "must not be 1");
        error_set(error, ERR_VALIDATION, "One field is wrong");
        return false;
    }
    return true;
}

static int64_t number_of(struct str text)
{
    int64_t value = 0;
    return str_to_int64(text, &value) ? value : 0;
}

static enum error_code hello(struct request *req, const void *in)
{
    (void)in;
    return respond_json(req, 200, STR("{\"hello\":\"world\"}"));
}

static enum error_code echo(struct request *req, const void *input)
{
    const struct echo_input *in = input;
    return respond_bytes(req, 200, STR("application/octet-stream"), in->body);
}

static enum error_code slow(struct request *req, const void *input)
{
    const struct echo_input *in = input;
    usleep((useconds_t)number_of(in->parameter) * 1000);
    return respond_json(req, 200, STR("{\"slow\":true}"));
}

static enum error_code big(struct request *req, const void *input)
{
    const struct echo_input *in = input;
    size_t len = (size_t)number_of(in->parameter);
    char *text = arena_bytes(req->arena, len + 1);
    memset(text, 'x', len);
    return respond_bytes(req, 200, STR("text/plain"), (struct str){text, len});
}

static enum error_code about(struct request *req, const void *input)
{
    (void)input;
    struct buf out = buf_new(4096);
    buf_printf(&out, "{\"address\":\"%.*s\",\"language\":\"%.*s\",\"role\":%d,\"key\":",
               STR_ARG(req->client_address), STR_ARG(request_language(req)), (int)req->principal.role);
    buf_json_str(&out, req->idempotency_key);
    buf_char(&out, '}');
    return respond_buf(req, 200, &out);
}

static enum error_code failing(struct request *req, const void *input)
{
    (void)input;
    respond_header(req, STR("X-Leftover"), STR("1"));
    return error_set(&req->error, ERR_INTERNAL, "a secret of the inside");
}

static enum error_code cached(struct request *req, const void *input)
{
    const struct echo_input *in = input;
    if (str_equal(in->parameter, STR("missing")))
        return error_set(&req->error, ERR_NOT_FOUND, "There is no such thing");
    if (in->query.ptr && str_equal(in->query, STR("slow=1")))
        usleep(50 * 1000);
    int64_t n = atomic_fetch_add(&computed, 1) + 1;
    request_cache_tag(req, STR("thing"), uuid_derived((struct uuid){{0}}, in->parameter));
    struct buf out = buf_new(4096);
    buf_printf(&out, "{\"id\":\"%.*s\",\"computed\":%lld,\"language\":\"%.*s\"}", STR_ARG(in->parameter),
               (long long)n, STR_ARG(request_language(req)));
    return respond_buf(req, 200, &out);
}

/* As large as asked, kept in the cache: for measuring. */
static enum error_code page(struct request *req, const void *input)
{
    enum error_code code = big(req, input);
    req->response.content_type = STR("application/json");
    return code;
}

static enum error_code invalidate(struct request *req, const void *input)
{
    const struct echo_input *in = input;
    http_cache_invalidate(STR("thing"), uuid_derived((struct uuid){{0}}, in->parameter));
    return respond_empty(req, 204);
}

/* ---- async answers: a thread each, joined at the end ---- */

#define THREADS_MAX 4096

static struct {
    pthread_mutex_t lock;
    pthread_t threads[THREADS_MAX];
    size_t count;
} async = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void begin_thread(void *(*run)(void *), void *context)
{
    pthread_mutex_lock(&async.lock);
    CHECK(async.count < THREADS_MAX);
    CHECK(pthread_create(&async.threads[async.count++], NULL, run, context) == 0);
    pthread_mutex_unlock(&async.lock);
}

void echo_end(void)
{
    for (size_t i = 0; i < async.count; i++)
        pthread_join(async.threads[i], NULL);
    async.count = 0;
}

static void *answer_later(void *context)
{
    struct request *req = context;
    usleep(1000);
    respond_json(req, 200, STR("{\"async\":true}"));
    request_finish(req, ERR_OK);
    return NULL;
}

static enum error_code later(struct request *req, const void *in)
{
    (void)in;
    begin_thread(answer_later, req);
    return ERR_OK;
}

struct counter_stream {
    pthread_mutex_t lock;
    struct stream *stream; /* NULL when it is closed */
};

static void stream_closed(void *context)
{
    struct counter_stream *item = context;
    pthread_mutex_lock(&item->lock);
    item->stream = NULL;
    pthread_mutex_unlock(&item->lock);
}

static void *count_up(void *context)
{
    struct counter_stream *item = context;
    for (int i = 1;; i++) {
        pthread_mutex_lock(&item->lock);
        bool open = item->stream != NULL;
        char text[64];
        int len = snprintf(text, sizeof text, "id: %d\ndata: %d\n\n", i, i);
        if (open)
            stream_send(item->stream, (struct str){text, (size_t)len});
        pthread_mutex_unlock(&item->lock);
        if (!open)
            break;
        usleep(2000);
    }
    pthread_mutex_destroy(&item->lock);
    free(item);
    return NULL;
}

static enum error_code events(struct request *req, const void *in)
{
    (void)in;
    struct counter_stream *item = calloc(1, sizeof *item);
    CHECK(item);
    pthread_mutex_init(&item->lock, NULL);
    pthread_mutex_lock(&item->lock);
    item->stream = request_stream(req, STR("text/event-stream"), stream_closed, item);
    pthread_mutex_unlock(&item->lock);
    begin_thread(count_up, item);
    return ERR_OK;
}

/* A bearer token "customer" or "admin"; anything else is refused. */
static enum error_code authenticate(struct request *req, struct str bearer, struct principal *principal)
{
    if (!bearer.ptr)
        return ERR_OK;
    if (str_equal(bearer, STR("customer")))
        principal->role = ROLE_CUSTOMER;
    else if (str_equal(bearer, STR("admin")))
        principal->role = ROLE_ADMIN;
    else
        return error_set(&req->error, ERR_UNAUTHENTICATED, "The token is not valid");
    principal->user_id.uuid = uuid_derived((struct uuid){{1}}, bearer);
    return ERR_OK;
}

static const char *const thing_tags[] = {"thing", NULL};

#define ALL (1u << ROLE_ANONYMOUS | 1u << ROLE_CUSTOMER | 1u << ROLE_ADMIN)
#define ROUTE(m, p, id, how, fn)                                                                             \
    .operation_id = id, .method = m, .path = p, .run = how, .handle = fn, .decode = decode

static const struct api_route routes[] = {
    {ROUTE("GET", "/hello", "hello", API_RUN_LOOP, hello), .roles = ALL, .limit = API_LIMIT_NONE},
    {ROUTE("GET", "/work", "work", API_RUN_WORKER, hello), .roles = ALL, .limit = API_LIMIT_NONE},
    {ROUTE("POST", "/echo", "echo", API_RUN_WORKER, echo), .roles = ALL, .body_max = 100000,
     .raw_body = true},
    {ROUTE("POST", "/json", "json", API_RUN_WORKER, echo), .roles = ALL, .body_max = 1000,
     .body_type = "application/json"},
    {ROUTE("GET", "/slow/{ms}", "slow", API_RUN_WORKER, slow), .roles = ALL},
    {ROUTE("GET", "/big/{bytes}", "big", API_RUN_WORKER, big), .roles = ALL},
    {ROUTE("GET", "/about", "about", API_RUN_LOOP, about), .roles = ALL},
    {ROUTE("GET", "/failing", "failing", API_RUN_WORKER, failing), .roles = ALL},
    {ROUTE("GET", "/customers", "customers", API_RUN_WORKER, about), .roles = 1u << ROLE_CUSTOMER},
    {ROUTE("POST", "/keyed", "keyed", API_RUN_WORKER, about), .roles = ALL, .body_max = 1000,
     .idempotency = API_IDEMPOTENCY_REQUIRED},
    {ROUTE("GET", "/limited", "limited", API_RUN_LOOP, hello), .roles = ALL, .limit = API_LIMIT_SIGN_IN},
    {ROUTE("GET", "/cached/{id}", "cached", API_RUN_WORKER, cached), .roles = ALL, .limit = API_LIMIT_READ,
     .cache_tags = thing_tags, .cache_ttl_s = 60},
    {ROUTE("GET", "/page/{bytes}", "page", API_RUN_WORKER, page), .roles = ALL, .limit = API_LIMIT_READ,
     .cache_tags = thing_tags, .cache_ttl_s = 600},
    {ROUTE("DELETE", "/cached/{id}", "invalidate", API_RUN_LOOP, invalidate), .roles = ALL},
    {ROUTE("GET", "/later", "later", API_RUN_ASYNC, later), .roles = ALL},
    {ROUTE("GET", "/events", "events", API_RUN_ASYNC, events), .roles = ALL},
};

static enum error_code call_metrics(struct request *req, const void *in)
{
    return metrics_show_handle(req, in);
}

static enum error_code call_ready(struct request *req, const void *in)
{
    return ready_show_handle(req, in);
}

struct http_server_options echo_options(void)
{
    static struct api_route all[sizeof routes / sizeof routes[0] + 2];
    memcpy(all, routes, sizeof routes);
    size_t count = sizeof routes / sizeof routes[0];
    all[count++] =
        (struct api_route){ROUTE("GET", "/metrics", "metrics", API_RUN_LOOP, call_metrics), .roles = ALL};
    all[count++] =
        (struct api_route){ROUTE("GET", "/readyz", "ready", API_RUN_LOOP, call_ready), .roles = ALL};
    return (struct http_server_options){.host = "127.0.0.1",
                                        .routes = all,
                                        .route_count = count,
                                        .loops = 1,
                                        .workers = 4,
                                        .authenticate = authenticate,
                                        .rate_limits = true};
}
