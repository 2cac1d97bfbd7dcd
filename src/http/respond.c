/* Filling a response, and turning it into bytes. */
#include "api.h"
#include "base/check.h"
#include "base/config.h"
#include "base/log.h"
#include "http/cursor.h"
#include "http/server_internal.h"

#include <stdio.h>

struct str request_header(const struct request *req, struct str name)
{
    return head_field(&req->exchange->head, name);
}

enum error_code respond_bytes(struct request *req, int status, struct str content_type, struct str body)
{
    req->response.status = status;
    req->response.content_type = content_type;
    req->response.body = body;
    return ERR_OK;
}

enum error_code respond_json(struct request *req, int status, struct str body)
{
    return respond_bytes(req, status, STR("application/json"), body);
}

enum error_code respond_empty(struct request *req, int status)
{
    return respond_bytes(req, status, STR_NONE, STR_NONE);
}

static struct str response_field(const struct response *response, struct str name)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (str_equal_ignoring_case(response->headers[i].name, name))
            return response->headers[i].value;
    return STR_NONE;
}

void respond_header(struct request *req, struct str name, struct str value)
{
    struct response *response = &req->response;
    CHECK(response->header_count < RESPONSE_HEADERS_MAX);
    /* A line end in a value would begin a header, or a response, of somebody else's making: it is not told.
     */
    if (value.len && (memchr(value.ptr, '\r', value.len) || memchr(value.ptr, '\n', value.len) ||
                      memchr(value.ptr, '\0', value.len))) {
        log_write(LOG_ERROR, "a header's value has a line end", LOG_STR("name", name));
        return;
    }
    response->headers[response->header_count].name = name;
    response->headers[response->header_count++].value = value;
}

enum error_code respond_buf(struct request *req, int status, struct buf *body)
{
    bool overflow = body->overflow;
    struct str text = arena_copy(req->arena, buf_str(body));
    buf_free(body);
    if (overflow)
        return error_set(&req->error, ERR_INTERNAL, "the answer is larger than its buffer may be");
    return respond_json(req, status, text);
}

/* ---- entity tags ---- */

bool etag_listed(struct str list, struct str etag)
{
    if (str_equal(str_trim(list), STR("*")))
        return true;
    while (list.ptr) {
        struct str entry = str_trim(str_split(&list, ','));
        if (str_starts_with(entry, STR("W/"))) /* weak comparison (RFC 9110, 13.1.2) */
            entry = (struct str){entry.ptr + 2, entry.len - 2};
        if (str_equal(entry, etag))
            return true;
    }
    return false;
}

enum error_code respond_items(struct request *req, struct str items, bool more, const void *last,
                              size_t last_bytes)
{
    struct str next = more ? cursor_encode(req, last, last_bytes) : STR_NONE;
    struct buf body = buf_new(BUF_DEFAULT_MAX);
    BUF_LITERAL(&body, "{\"items\":");
    buf_append(&body, items);
    BUF_LITERAL(&body, ",\"next_cursor\":");
    buf_json_str(&body, next);
    buf_char(&body, '}');
    return respond_buf(req, 200, &body);
}
bool respond_etag(struct request *req, struct str etag_without_quotes)
{
    struct str etag = arena_printf(req->arena, "\"%.*s\"", STR_ARG(etag_without_quotes));
    respond_header(req, STR("ETag"), etag);
    struct str wanted = request_header(req, STR("If-None-Match"));
    if (!wanted.ptr || exchange_of(req)->hide_conditions || !etag_listed(wanted, etag))
        return false;
    respond_empty(req, 304);
    return true;
}

/* ---- problems (RFC 9457) ---- */

/* What went wrong inside is for the log, not for the client. */
static bool is_ours(enum error_code code)
{
    return code == ERR_INTERNAL || code == ERR_DATABASE || code == ERR_DATABASE_RETRY ||
           code == ERR_DATABASE_CONSTRAINT;
}

static void log_fault(struct http_exchange *x, enum error_code code)
{
    const struct error *error = &x->req.error;
    log_context_set(x->req.request_id, x->req.traceparent);
    log_write(LOG_ERROR, "request failed", LOG_TEXT("code", error_text(code)),
              LOG_TEXT("sqlstate", error->sqlstate), LOG_TEXT("detail", error->detail),
              LOG_TEXT("constraint", error->constraint),
              LOG_TEXT("operation", x->req.route ? x->req.route->operation_id : NULL));
    log_context_clear();
}

void problem_render(struct http_exchange *x, enum error_code code)
{
    struct request *req = &x->req;
    struct error *error = &req->error;
    bool ours = is_ours(code);
    if (ours || (code == ERR_PARTNER && log_enabled(LOG_DEBUG)))
        log_fault(x, code);
    if (code == ERR_DATABASE_CONSTRAINT)
        code = ERR_CONFLICT;
    if (code == ERR_DATABASE_RETRY)
        code = ERR_OVERLOADED;
    int status = error_status(code);
    struct str text = str_from(error_text(code));
    struct buf out = buf_new(64 * 1024);
    buf_reserve(&out, 1024); /* what most need, in one step */
    BUF_LITERAL(&out, "{\"type\":\"urn:cathay:problem:");
    buf_append(&out, text);
    BUF_LITERAL(&out, "\",\"title\":");
    buf_json_str(&out, str_from(error_title(code)));
    BUF_LITERAL(&out, ",\"status\":");
    buf_int(&out, status);
    BUF_LITERAL(&out, ",\"code\":\"");
    buf_append(&out, text);
    buf_char(&out, '"');
    if (error->detail[0] && !ours) {
        BUF_LITERAL(&out, ",\"detail\":");
        buf_json_str(&out, str_from(error->detail));
    }
    if (req->path.len) {
        BUF_LITERAL(&out, ",\"instance\":");
        buf_json_str(&out, req->path);
    }
    for (size_t i = 0; i < error->field_count && !ours; i++) {
        buf_append(&out, i ? STR(",{\"field\":") : STR(",\"errors\":[{\"field\":"));
        buf_json_str(&out, str_from(error->fields[i].field));
        BUF_LITERAL(&out, ",\"reason\":");
        buf_json_str(&out, str_from(error->fields[i].reason));
        buf_append(&out, i + 1 == error->field_count ? STR("}]") : STR("}"));
    }
    BUF_LITERAL(&out, ",\"request_id\":");
    buf_json_str(&out, req->request_id);
    buf_char(&out, '}');
    req->response.header_count = 0;
    respond_buf(req, status, &out);
    req->response.content_type = STR("application/problem+json");
    if (status == 401)
        respond_header(req, STR("WWW-Authenticate"), STR("Bearer"));
    if (code == ERR_METHOD && x->match.allow.ptr)
        respond_header(req, STR("Allow"), x->match.allow);
    if (error->retry_after_s > 0 || status == 503 || status == 429) {
        int64_t after_s = error->retry_after_s > 0 ? error->retry_after_s : 1;
        respond_header(req, STR("Retry-After"), arena_printf(req->arena, "%lld", (long long)after_s));
    }
}

/* ---- encoding ---- */

const char *status_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}

static void field(struct buf *out, const char *name, struct str value)
{
    buf_append(out, str_from(name));
    BUF_LITERAL(out, ": ");
    buf_append(out, value);
    BUF_LITERAL(out, "\r\n");
}

void response_encode(struct http_exchange *x)
{
    struct response *response = &x->req.response;
    bool stream = x->stream != NULL, unchanged = response->status == 304;
    bool bodiless = response->status == 204 || unchanged || response->status < 200;
    CHECK(response->status >= 200 && response->status <= 599);
    if (bodiless)
        response->body = STR_NONE;
    struct buf out = buf_new(HEAD_BYTES_MAX);
    buf_reserve(&out, 1024); /* what most need, in one step */
    BUF_LITERAL(&out, "HTTP/1.1 ");
    buf_int(&out, response->status);
    buf_char(&out, ' ');
    buf_append(&out, str_from(status_reason(response->status)));
    BUF_LITERAL(&out, "\r\n");
    if (!bodiless)
        field(&out, "Content-Type",
              response->content_type.ptr ? response->content_type : STR("application/json"));
    if (!bodiless && !stream) {
        BUF_LITERAL(&out, "Content-Length: ");
        buf_int(&out, (int64_t)response->body.len);
        BUF_LITERAL(&out, "\r\n");
    }
    buf_append(&out, x->server->static_fields);
    if (!response_field(response, STR("Content-Security-Policy")).ptr)
        BUF_LITERAL(&out, "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n");
    if (!response_field(response, STR("Cache-Control")).ptr) {
        bool tagged = response_field(response, STR("ETag")).ptr != NULL;
        bool public = answer_scope(x) == ANSWER_PUBLIC && (response->status == 200 || unchanged);
        buf_append(&out, public   ? STR("Cache-Control: no-cache\r\nVary: Accept-Language\r\n")
                         : tagged ? STR("Cache-Control: private, no-cache\r\nVary: Authorization, "
                                        "Accept-Language\r\n")
                                  : STR("Cache-Control: no-store\r\n"));
    }
    for (size_t i = 0; i < response->header_count; i++) {
        buf_append(&out, response->headers[i].name);
        BUF_LITERAL(&out, ": ");
        buf_append(&out, response->headers[i].value);
        BUF_LITERAL(&out, "\r\n");
    }
    if (out.overflow) { /* of values that came from elsewhere; a problem has none */
        buf_free(&out);
        problem_render(x, error_set(&x->req.error, ERR_INTERNAL, "the head is larger than it may be"));
        response_encode(x);
        return;
    }
    x->out_head = arena_copy(x->req.arena, buf_str(&out));
    x->out_body = response->body;
    buf_free(&out);
}

/* ---- refusals ---- */

/* What the head and the body of a problem depend on, beside the request's id. */
static bool refusal_is_same(const struct refusal *last, const struct http_exchange *x, enum error_code code)
{
    const struct error *error = &x->req.error;
    return last->code == code && error->field_count == 0 && last->retry_after_s == error->retry_after_s &&
           x->req.request_id.len == REQUEST_ID_LEN && str_equal(last->path, x->req.path) &&
           str_equal(last->detail, str_from(error->detail));
}

static void refusal_keep(struct refusal *last, const struct http_exchange *x, enum error_code code)
{
    struct str path = x->req.path, detail = str_from(x->req.error.detail), id = x->req.request_id;
    last->code = ERR_OK;
    if (is_ours(code) || code == ERR_PARTNER || code == ERR_METHOD || x->req.error.field_count ||
        id.len != REQUEST_ID_LEN || path.len + detail.len > sizeof last->text ||
        x->out_head.len > sizeof last->head || x->out_body.len > sizeof last->body)
        return;
    memcpy(last->text, path.ptr, path.len);
    memcpy(last->text + path.len, detail.ptr, detail.len);
    memcpy(last->head, x->out_head.ptr, x->out_head.len);
    memcpy(last->body, x->out_body.ptr, x->out_body.len);
    last->path = (struct str){last->text, path.len};
    last->detail = (struct str){last->text + path.len, detail.len};
    last->retry_after_s = x->req.error.retry_after_s;
    last->status = x->req.response.status;
    last->head_len = x->out_head.len;
    last->body_len = x->out_body.len;
    last->id_at = last->body_len - REQUEST_ID_LEN - 2; /* it is the last member */
    last->code = code;
}

void refusal_encode(struct http_exchange *x, enum error_code code)
{
    struct refusal *last = &x->loop->refusal;
    if (!refusal_is_same(last, x, code)) {
        problem_render(x, code);
        response_encode(x);
        refusal_keep(last, x, code);
        return;
    }
    char *copy = arena_bytes(x->req.arena, last->head_len + last->body_len);
    memcpy(copy, last->head, last->head_len);
    char *body = copy + last->head_len;
    memcpy(body, last->body, last->body_len);
    memcpy(body + last->id_at, x->req.request_id.ptr, REQUEST_ID_LEN);
    x->req.response.status = last->status;
    x->out_head = (struct str){copy, last->head_len};
    x->out_body = (struct str){body, last->body_len};
}

static size_t limit_fields(const struct http_exchange *x, char *to)
{
    const struct limiter_verdict *limit = &x->limit;
    if (!limit->policy)
        return 0;
    int len = snprintf(to, TAIL_BYTES,
                       "RateLimit-Policy: \"%s\";q=%lld;w=%lld\r\nRateLimit: \"%s\";r=%lld;t=%lld\r\n",
                       limit->policy, (long long)limit->quota, (long long)limit->window_s, limit->policy,
                       (long long)limit->remaining, (long long)limit->reset_s);
    CHECK(len > 0 && len < TAIL_BYTES);
    return (size_t)len;
}

size_t response_tail(struct event_loop *loop, const struct http_exchange *x, bool close, char *to)
{
    char *at = str_put(to + limit_fields(x, to), STR("Date: "));
    at = str_put(at, (struct str){loop->date, 29});
    at = str_put(at, STR("\r\nX-Request-Id: "));
    at = str_put(at, x->req.request_id);
    if (close)
        at = str_put(at, STR("\r\nConnection: close"));
    else if (x->head.http_1_0)
        at = str_put(at, STR("\r\nConnection: keep-alive"));
    return (size_t)(str_put(at, STR("\r\n\r\n")) - to);
}
