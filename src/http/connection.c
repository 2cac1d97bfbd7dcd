/* Connections. What arrives is used from the loop's read buffer; only what cannot be used yet (half a head,
 * pipelined requests) is kept in the connection's own buffer, so that idle connections are small. Answers
 * that are made while input is being worked on are gathered in loop->out and sent by one write at the end.
 *
 * Each connection stands in the list of its deadline. All deadlines of one kind have the same length, so a
 * list is in the order of expiry, and the tick looks at the heads only. */
#include "http/server_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct pending_write {
    uv_write_t write;
    struct connection *connection;
    struct http_exchange *exchange; /* whose memory is being written, or NULL */
    char *bytes;                    /* or this */
};

static void feed(struct connection *connection, const char *bytes, size_t len);
static void finish_close(struct connection *connection, bool linger);

/* ---- deadlines ---- */

static void list_remove(struct event_loop *loop, struct connection *c)
{
    struct connection_list *list = &loop->deadlines[c->deadline];
    *(c->previous ? &c->previous->next : &list->first) = c->next;
    *(c->next ? &c->next->previous : &list->last) = c->previous;
}

static void list_append(struct event_loop *loop, struct connection *c, enum deadline kind)
{
    struct connection_list *list = &loop->deadlines[kind];
    c->deadline = kind;
    c->next = NULL;
    c->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = c;
    list->last = c;
}

static uint64_t deadline_length_ms(enum deadline kind)
{
    switch (kind) {
    case DEADLINE_IDLE:
        return (uint64_t)config()->keep_alive_ms;
    case DEADLINE_HEAD:
        return (uint64_t)config()->header_timeout_ms;
    case DEADLINE_BODY:
        return (uint64_t)config()->body_timeout_ms;
    case DEADLINE_WRITE:
        return (uint64_t)config()->write_timeout_ms;
    case DEADLINE_LINGER:
        return LINGER_MS;
    case DEADLINE_STREAM:
        return STREAM_PING_MS;
    default:
        return 0;
    }
}

static void deadline_set(struct connection *c, enum deadline kind)
{
    struct event_loop *loop = c->loop;
    list_remove(loop, c);
    list_append(loop, c, kind);
    c->deadline_ms = uv_now(&loop->uv) + deadline_length_ms(kind);
}

/* ---- exchanges ---- */

static struct http_exchange *exchange_take(struct connection *c)
{
    struct event_loop *loop = c->loop;
    struct http_exchange *x = loop->spares;
    if (x) {
        loop->spares = x->next;
        loop->spare_count--;
    } else {
        x = calloc(1, sizeof *x);
        CHECK(x);
        x->req.arena = arena_new();
        x->req.exchange = x;
        x->server = loop->server;
        x->loop = loop;
    }
    x->connection = c;
    c->exchange = x;
    c->holds++;
    loop->exchange_count++;
    return x;
}

static void connection_free_if_unused(struct connection *c)
{
    if (c->holds == 0)
        free(c);
}

static void exchange_clear(struct http_exchange *x)
{
    struct request *req = &x->req;
    arena_reset(req->arena);
    req->db = NULL;
    error_clear(&req->error);
    req->principal = (struct principal){0};
    req->route = NULL;
    req->response.status = 0;
    req->response.content_type = req->response.body = STR_NONE;
    req->response.header_count = 0;
    req->method = req->path = req->query = req->body = STR_NONE;
    req->request_id = req->traceparent = req->client_address = req->idempotency_key = STR_NONE;
    req->phase = PHASE_ACCEPT;
    req->cache_tag_count = 0;
    if (x->body.size > SPARE_BODY_BYTES)
        buf_free(&x->body);
    buf_clear(&x->body);
    if (x->body_counted) {
        atomic_fetch_sub_explicit(&x->server->body_bytes, (int64_t)x->body_counted, memory_order_relaxed);
        x->body_counted = 0;
    }
    x->match.route = NULL;
    x->match.param_count = 0;
    x->match.head = false;
    x->match.allow = STR_NONE;
    x->input = NULL;
    x->limit_key_count = 0;
    x->limit = x->account_limit = (struct limiter_verdict){0};
    x->fill = NULL;
    x->shared_cache = NULL;
    x->shared_stamp = 0;
    x->cached = NULL;
    x->stream = NULL;
    x->owns_head = x->in_handler = x->stream_started = x->away = false;
    x->close_connection = x->hide_conditions = x->unchanged = false;
    x->session_unsure = x->session_asking = x->session_asked = false;
    x->returns = RETURN_ANSWER;
    x->early = ERR_OK;
    x->out_head = x->out_body = STR_NONE;
    x->bytes_out = 0;
}

void exchange_release(struct http_exchange *x)
{
    struct event_loop *loop = x->loop;
    struct connection *c = x->connection;
    CHECK(!x->away && !x->fill && !x->stream);
    if (c->exchange == x)
        c->exchange = NULL;
    x->connection = NULL;
    loop->exchange_count--;
    c->holds--;
    connection_free_if_unused(c);
    cached_release(x->cached);
    exchange_clear(x);
    if (loop->spare_count < SPARE_EXCHANGES_MAX) {
        x->next = loop->spares;
        loop->spares = x;
        loop->spare_count++;
    } else {
        arena_free(x->req.arena);
        buf_free(&x->body);
        free(x);
    }
}

void exchanges_free_spares(struct event_loop *loop)
{
    while (loop->spares) {
        struct http_exchange *x = loop->spares;
        loop->spares = x->next;
        arena_free(x->req.arena);
        buf_free(&x->body);
        free(x);
    }
    loop->spare_count = 0;
}

/* ---- closing ---- */

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    struct event_loop *loop = c->loop;
    list_remove(loop, c);
    loop->connection_count--;
    buf_free(&c->input);
    c->holds--;
    connection_free_if_unused(c);
}

void connection_close(struct connection *c)
{
    if (c->state == CONNECTION_CLOSED)
        return;
    struct event_loop *loop = c->loop;
    bool was_stream = c->state == CONNECTION_STREAM;
    bool was_arriving = c->state == CONNECTION_BODY || c->state == CONNECTION_DISCARD;
    c->state = CONNECTION_CLOSED;
    atomic_fetch_sub_explicit(&loop->server->connections, 1, memory_order_relaxed);
    if (c->counted)
        address_counts_give(loop->server->addresses, &c->peer);
    turn_leave(c);
    deadline_set(c, DEADLINE_NONE);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
    struct http_exchange *x = c->exchange;
    if (was_stream) {
        stream_end(x);
        exchange_release(x);
    } else if (was_arriving) {
        exchange_release(x);
    }
}

/* The last answer must reach the peer: closing a socket that holds unread input resets the connection, which
 * may destroy what the peer has not read yet. So the sending half is closed, and input is read away for a
 * while. */
static void finish_close(struct connection *c, bool linger)
{
    if (c->state == CONNECTION_CLOSED)
        return;
    if (!linger || c->peer_done) {
        connection_close(c);
        return;
    }
    turn_leave(c);
    shutdown(c->fd, SHUT_WR);
    c->state = CONNECTION_LINGER;
    buf_free(&c->input);
    deadline_set(c, DEADLINE_LINGER);
}

/* ---- writing ---- */

static void resume(struct connection *c);

static void on_written(uv_write_t *write, int status)
{
    struct pending_write *pending = (struct pending_write *)write;
    struct connection *c = pending->connection;
    c->writes_pending--;
    free(pending->bytes);
    if (pending->exchange)
        exchange_release(pending->exchange);
    free(pending);
    if (c->state == CONNECTION_CLOSED)
        return;
    if (status < 0) {
        connection_close(c);
        return;
    }
    if (c->writes_pending > 0)
        return;
    if (c->state == CONNECTION_STREAM) {
        deadline_set(c, DEADLINE_STREAM);
        connection_stream_flush(c);
    } else if (c->state == CONNECTION_WRITING)
        resume(c);
}

/* Sends at once what the socket takes; libuv writes the rest. The memory of a rest is the exchange's,
 * which is then kept until it is written, or a copy. True: all is sent. */
static bool send_bytes(struct connection *c, uv_buf_t *bufs, unsigned count, struct http_exchange *owner)
{
    if (c->state == CONNECTION_CLOSED)
        return true;
    size_t total = 0;
    for (unsigned i = 0; i < count; i++)
        total += bufs[i].len;
    int sent = 0;
    if (c->writes_pending == 0) {
        sent = uv_try_write((uv_stream_t *)&c->tcp, bufs, count);
        if (sent == UV_EAGAIN)
            sent = 0;
        if (sent < 0) {
            connection_close(c);
            return true;
        }
    }
    if ((size_t)sent == total)
        return true;
    size_t skip = (size_t)sent;
    while (skip >= bufs->len) {
        skip -= bufs->len;
        bufs++;
        count--;
    }
    bufs->base += skip;
    bufs->len -= skip;
    struct pending_write *pending = calloc(1, sizeof *pending);
    CHECK(pending);
    pending->connection = c;
    pending->exchange = owner;
    uv_buf_t copy;
    if (!owner) {
        pending->bytes = malloc(total - (size_t)sent);
        CHECK(pending->bytes);
        copy = uv_buf_init(pending->bytes, 0);
        for (unsigned i = 0; i < count; i++) {
            memcpy(copy.base + copy.len, bufs[i].base, bufs[i].len);
            copy.len += bufs[i].len;
        }
        bufs = &copy;
        count = 1;
    }
    c->writes_pending++;
    if (uv_write(&pending->write, (uv_stream_t *)&c->tcp, bufs, count, on_written) != 0) {
        c->writes_pending--;
        free(pending->bytes);
        free(pending);
        connection_close(c);
        return true;
    }
    c->write_left = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
    return false;
}

static void out_flush(struct connection *c)
{
    struct event_loop *loop = c->loop;
    if (loop->out_len == 0)
        return;
    uv_buf_t buf = uv_buf_init(loop->out, (unsigned)loop->out_len);
    loop->out_len = 0;
    if (!send_bytes(c, &buf, 1, NULL) && c->state == CONNECTION_HEAD) {
        c->state = CONNECTION_WRITING;
        deadline_set(c, DEADLINE_WRITE);
    }
}

static bool must_close(const struct http_exchange *x)
{
    return x->close_connection || !x->head.keep_alive || server_is_draining(x->server);
}

static struct str char_str(const char *text, size_t len)
{
    return (struct str){text, len};
}

static void append_out(struct event_loop *loop, struct str text)
{
    if (text.len)
        memcpy(loop->out + loop->out_len, text.ptr, text.len);
    loop->out_len += text.len;
}

/* The three pieces of an answer: from the cache or encoded. */
static void answer_pieces(struct http_exchange *x, struct str pieces[3], bool *body_follows)
{
    if (x->cached) {
        pieces[0] = x->unchanged ? x->cached->head_unchanged : x->cached->head;
        pieces[2] = x->unchanged ? STR_NONE : x->cached->body;
        x->req.response.status = x->unchanged ? 304 : x->cached->status;
    } else {
        pieces[0] = x->out_head;
        pieces[2] = x->out_body;
    }
    *body_follows = !x->match.head;
    if (!*body_follows)
        pieces[2] = STR_NONE;
}

/* After the answer went out or was queued: what is next on this connection. */
static void answered(struct connection *c, bool sent)
{
    if (c->state == CONNECTION_CLOSED)
        return;
    if (!sent) {
        c->state = CONNECTION_WRITING;
        deadline_set(c, DEADLINE_WRITE);
        return;
    }
    c->state = CONNECTION_HEAD;
    if (c->loop->feeding != c)
        resume(c);
}

void connection_answer(struct http_exchange *x)
{
    struct connection *c = x->connection;
    struct event_loop *loop = x->loop;
    struct str pieces[3];
    bool body_follows;
    answer_pieces(x, pieces, &body_follows);
    bool close = must_close(x);
    size_t tail_len = response_tail(loop, x, close, x->tail);
    pieces[1] = char_str(x->tail, tail_len);
    x->bytes_out = (int64_t)(pieces[0].len + tail_len + pieces[2].len);
    phases_log(x, x->req.response.status, x->bytes_out);
    if (c->state == CONNECTION_CLOSED) {
        exchange_release(x);
        return;
    }
    c->close_after |= close;
    c->linger |= x->close_connection;
    turn_begin(c);
    c->turn_bytes += (size_t)x->bytes_out;
    size_t total = (size_t)x->bytes_out;
    if (loop->feeding == c) {
        if (total > OUT_BYTES - loop->out_len)
            out_flush(c);
        if (total <= OUT_BYTES - loop->out_len) {
            for (int i = 0; i < 3; i++)
                append_out(loop, pieces[i]);
            if (c->state != CONNECTION_WRITING && c->state != CONNECTION_CLOSED)
                c->state = CONNECTION_HEAD;
            exchange_release(x);
            return;
        }
    }
    uv_buf_t bufs[3];
    unsigned count = 0;
    for (int i = 0; i < 3; i++)
        if (pieces[i].len)
            bufs[count++] = uv_buf_init((char *)(uintptr_t)pieces[i].ptr, (unsigned)pieces[i].len);
    c->holds++; /* releasing the exchange must not free the connection under us */
    bool sent = send_bytes(c, bufs, count, x);
    if (sent)
        exchange_release(x);
    answered(c, sent);
    c->holds--;
    connection_free_if_unused(c);
}

/* ---- streams ---- */

void connection_stream_begin(struct http_exchange *x)
{
    struct connection *c = x->connection;
    x->close_connection = true;
    x->stream_started = true;
    size_t tail_len = response_tail(x->loop, x, true, x->tail);
    x->bytes_out = (int64_t)(x->out_head.len + tail_len);
    phases_log(x, x->req.response.status, x->bytes_out);
    if (c->state == CONNECTION_CLOSED) {
        stream_end(x);
        exchange_release(x);
        return;
    }
    c->state = CONNECTION_STREAM;
    deadline_set(c, DEADLINE_STREAM);
    uv_buf_t bufs[2] = {uv_buf_init((char *)(uintptr_t)x->out_head.ptr, (unsigned)x->out_head.len),
                        uv_buf_init(x->tail, (unsigned)tail_len)};
    stream_started(x->stream);
    c->holds++;
    send_bytes(c, bufs, 2, NULL);
    if (c->state == CONNECTION_STREAM) {
        if (x->match.head || c->peer_done || server_is_draining(x->server))
            connection_close(c);
        else
            connection_stream_flush(c);
    }
    c->holds--;
    connection_free_if_unused(c);
}

void connection_stream_flush(struct connection *c)
{
    if (c->state != CONNECTION_STREAM || c->writes_pending > 0)
        return;
    char *bytes;
    bool closing;
    size_t len = stream_take(c->exchange->stream, &bytes, &closing);
    bool sent = true;
    if (len > 0) {
        uv_buf_t buf = uv_buf_init(bytes, (unsigned)len);
        c->exchange->bytes_out += (int64_t)len;
        sent = send_bytes(c, &buf, 1, NULL);
    }
    free(bytes);
    if (closing && sent)
        connection_close(c);
    else if (c->state == CONNECTION_STREAM && len > 0)
        deadline_set(c, sent ? DEADLINE_STREAM : DEADLINE_WRITE);
}

/* ---- reading ---- */

static void refuse_head(struct connection *c, enum error_code code, const char *detail)
{
    struct http_exchange *x = exchange_take(c);
    x->req.started_us = clock_monotonic_us();
    head_clear(&x->head);
    c->state = CONNECTION_BUSY;
    deadline_set(c, DEADLINE_NONE);
    phases_malformed(x, code, detail);
}

static void own_head(struct http_exchange *x, const char *bytes, size_t len)
{
    char *copy = arena_bytes(x->req.arena, len);
    memcpy(copy, bytes, len);
    head_move(&x->head, bytes, copy);
    struct request *req = &x->req;
    req->method = x->head.method;
    req->path = x->head.path;
    req->query = x->head.query;
    for (size_t i = 0; i < x->match.param_count; i++) {
        struct str *param = &x->match.params[i];
        if (param->ptr >= bytes && param->ptr < bytes + len)
            param->ptr = copy + (param->ptr - bytes);
    }
    x->owns_head = true;
}

/* A refused request's body is skipped when it is here, and read away when it is known to be small; else the
 * connection ends. Returns how many of the bytes are done with. */
static size_t refuse_early(struct connection *c, struct http_exchange *x, const char *bytes, size_t head_len,
                           size_t len)
{
    struct http_head *head = &x->head;
    bool ends =
        head_has_body(head) && (head->expects_continue || head->chunked ||
                                head->content_length > DISCARD_BYTES_MAX || x->early == ERR_BODY_TOO_LARGE);
    if (!ends && head->content_length > len - head_len) {
        deadline_set(c, DEADLINE_BODY);
        own_head(x, bytes, head_len);
        head->body_max = DISCARD_BYTES_MAX;
        c->state = CONNECTION_DISCARD;
        return head_len;
    }
    size_t used = ends ? head_len : head_len + (size_t)head->content_length;
    x->close_connection = ends;
    phases_refuse(x); /* answered at once: nothing of the request has to be kept */
    return used;
}

static void begin_body(struct connection *c, struct http_exchange *x, bool body_has_begun)
{
    struct http_head *head = &x->head;
    head->body_max = phases_body_max(x);
    x->body.max = head->body_max;
    head->sink = &x->body;
    c->state = CONNECTION_BODY;
    deadline_set(c, DEADLINE_BODY);
    if (head->expects_continue && !body_has_begun)
        append_out(c->loop, STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

static size_t consume_head(struct connection *c, const char *bytes, size_t len)
{
    if (c->loop->out_len > OUT_BYTES / 2) {
        out_flush(c);
        if (c->state != CONNECTION_HEAD)
            return 0;
    }
    size_t head_len = 0;
    enum error_code code = ERR_OK;
    const char *detail = NULL;
    switch (head_scan(&c->scan, bytes, len, &head_len, &code, &detail)) {
    case HEAD_MORE:
        return 0;
    case HEAD_BAD:
        refuse_head(c, code, detail);
        return len;
    case HEAD_WHOLE:
        break;
    }
    c->scan = (struct head_scan){0};
    c->turn_requests++;
    if (c->deadline == DEADLINE_HEAD)
        deadline_set(c, DEADLINE_NONE); /* the next head has its own time */
    struct http_exchange *x = exchange_take(c);
    x->req.started_us = clock_monotonic_us();
    c->state = CONNECTION_BUSY;
    if (!head_parse(&x->head, bytes, head_len)) {
        own_head(x, bytes, head_len);
        phases_malformed(x, x->head.code, x->head.detail);
        return len;
    }
    x->req.method = x->head.method;
    x->req.path = x->head.path;
    x->req.query = x->head.query;
    enum phase_result result = phases_head(x);
    if (result == PHASES_ANSWERED) { /* from the cache; nothing was copied */
        connection_answer(x);
        return head_len;
    }
    if (result == PHASES_REFUSED)
        return refuse_early(c, x, bytes, head_len, len);
    deadline_set(c, DEADLINE_NONE);
    own_head(x, bytes, head_len);
    if (head_has_body(&x->head))
        begin_body(c, x, len > head_len);
    else
        phases_message(x);
    return head_len;
}

/* ---- the budget for bodies: of all connections together, so that unfinished ones do not take the memory
 * ----
 */

static void body_drop(struct http_exchange *x)
{
    buf_free(&x->body);
    atomic_fetch_sub_explicit(&x->server->body_bytes, (int64_t)x->body_counted, memory_order_relaxed);
    x->body_counted = 0;
}

/* Answers before the body is whole. */
static void body_refuse(struct connection *c, enum error_code code, const char *detail)
{
    struct http_exchange *x = c->exchange;
    c->state = CONNECTION_BUSY;
    deadline_set(c, DEADLINE_NONE);
    body_drop(x);
    x->close_connection = true;
    error_set(&x->req.error, code, "%s", detail);
    phases_finish(x, code);
}

/* What the buffer has grown by. Past the budget the unfinished bodies that began first make room: who sends
 * steadily is done before it is his turn. False: it was this one's. */
static bool body_count(struct connection *c, struct http_exchange *x)
{
    struct event_loop *loop = c->loop;
    if (x->body.size == x->body_counted)
        return true;
    atomic_fetch_add_explicit(&loop->server->body_bytes, (int64_t)(x->body.size - x->body_counted),
                              memory_order_relaxed);
    x->body_counted = x->body.size;
    while (atomic_load_explicit(&loop->server->body_bytes, memory_order_relaxed) >
           config()->body_budget_bytes) {
        struct connection *oldest = loop->deadlines[DEADLINE_BODY].first;
        if (!oldest || oldest->state != CONNECTION_BODY)
            oldest = c;
        counter_add(&loop->metrics.bodies_refused, 1);
        body_refuse(oldest, ERR_OVERLOADED, "More is being sent than the server holds at a time");
        if (oldest == c)
            return false;
    }
    return true;
}

static size_t consume_body(struct connection *c, const char *bytes, size_t len)
{
    struct http_exchange *x = c->exchange;
    size_t used = 0;
    enum body_result result = body_parse(&x->head, bytes, len, &used);
    if (result != BODY_BAD && !body_count(c, x))
        return len;
    switch (result) {
    case BODY_MORE:
        return used;
    case BODY_BAD:
        body_refuse(c, x->head.code, x->head.detail);
        return len;
    case BODY_WHOLE:
        break;
    }
    bool discarded = c->state == CONNECTION_DISCARD;
    c->state = CONNECTION_BUSY;
    deadline_set(c, DEADLINE_NONE);
    x->req.body = buf_str(&x->body);
    if (discarded)
        phases_refuse(x);
    else
        phases_message(x);
    return used;
}

static bool takes_input(const struct connection *c)
{
    return !c->close_after &&
           (c->state == CONNECTION_HEAD || c->state == CONNECTION_BODY || c->state == CONNECTION_DISCARD);
}

/* What is left of the input becomes, or stays in, the connection's buffer. */
static void keep_rest(struct connection *c, const char *bytes, size_t used, size_t len)
{
    if (used == len) {
        buf_free(&c->input);
    } else if (c->input.len == 0) {
        buf_append(&c->input, (struct str){bytes + used, len - used});
    } else if (used > 0) {
        memmove(c->input.ptr, c->input.ptr + used, len - used);
        c->input.len = len - used;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct connection *c = handle->data;
    size_t most = READ_BYTES;
    if (c->state == CONNECTION_BUSY || c->state == CONNECTION_WRITING)
        most = INPUT_PAUSE_BYTES - c->input.len;
    else if (c->state == CONNECTION_HEAD && c->loop->turns_waiting > TURNS_CROWD)
        most = INPUT_PAUSE_BYTES;
    *buf = uv_buf_init(c->loop->read_buffer, (unsigned)most);
}

static void on_read(uv_stream_t *stream, ssize_t read, const uv_buf_t *buf);

static void reading_set(struct connection *c, bool on)
{
    if (c->reading == on || c->peer_done)
        return;
    c->reading = on;
    if (!on)
        uv_read_stop((uv_stream_t *)&c->tcp);
    else if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        connection_close(c);
}

static void feed(struct connection *c, const char *bytes, size_t len)
{
    struct event_loop *loop = c->loop;
    size_t received = len;
    c->input.max = INPUT_PAUSE_BYTES + READ_BYTES;
    if (c->input.len) {
        buf_append(&c->input, (struct str){bytes, len});
        CHECK(!c->input.overflow);
        bytes = c->input.ptr;
        len = c->input.len;
    }
    size_t used = 0;
    c->holds++;
    loop->feeding = c;
    turn_begin(c);
    c->turn_bytes += received;
    while (used < len && takes_input(c) && !turn_is_over(c)) {
        enum connection_state before = c->state;
        size_t n = before == CONNECTION_HEAD ? consume_head(c, bytes + used, len - used)
                                             : consume_body(c, bytes + used, len - used);
        used += n;
        if (n == 0)
            break;
    }
    out_flush(c);
    loop->feeding = NULL;
    if (c->state == CONNECTION_CLOSED || c->state == CONNECTION_LINGER) {
        buf_free(&c->input);
    } else {
        keep_rest(c, bytes, used, len);
        bool waits = c->state == CONNECTION_HEAD, turn_over = takes_input(c) && turn_is_over(c);
        if (waits && c->close_after)
            finish_close(c, c->linger || c->input.len > 0);
        else if (waits && c->peer_done && !(turn_over && c->input.len > 0))
            connection_close(c);
        else if (waits && c->input.len == 0)
            deadline_set(c, server_is_draining(loop->server) ? DEADLINE_LINGER : DEADLINE_IDLE);
        else if (waits && c->deadline != DEADLINE_HEAD)
            deadline_set(c, DEADLINE_HEAD);
        if (turn_over && takes_input(c))
            turn_wait(c);
        if (c->state != CONNECTION_CLOSED)
            reading_set(c, !c->waits_for_turn && c->input.len < INPUT_PAUSE_BYTES);
    }
    c->holds--;
    connection_free_if_unused(c);
}

/* Those that have to wait again meanwhile are behind the first `count`; one may close another, so that
 * there may be fewer. */
void connections_turn(struct event_loop *loop)
{
    loop->turn++;
    for (size_t count = loop->turns_waiting; count > 0 && loop->turns_waiting > 0; count--)
        feed(turn_next(loop), "", 0);
}

/* The answer is sent: the next request, if it is here already, or waiting for it. */
static void resume(struct connection *c)
{
    c->state = CONNECTION_HEAD;
    if (c->close_after) {
        finish_close(c, c->linger || c->input.len > 0);
        return;
    }
    deadline_set(c, DEADLINE_NONE);
    feed(c, "", 0);
}

static void on_end(struct connection *c)
{
    c->peer_done = true;
    c->reading = false;
    /* A peer may close its half after its last request and still read: it gets the answer. Not so a stream.
     */
    if (c->state != CONNECTION_BUSY && c->state != CONNECTION_WRITING)
        connection_close(c);
}

static void on_read(uv_stream_t *stream, ssize_t read, const uv_buf_t *buf)
{
    struct connection *c = stream->data;
    if (read == 0 || c->state == CONNECTION_CLOSED)
        return;
    if (read == UV_EOF) {
        on_end(c);
        return;
    }
    if (read < 0) {
        connection_close(c);
        return;
    }
    switch (c->state) {
    case CONNECTION_LINGER:
    case CONNECTION_STREAM:
        c->discarded += (size_t)read;
        if (c->discarded > 16 * DISCARD_BYTES_MAX)
            connection_close(c);
        return;
    case CONNECTION_BUSY:
    case CONNECTION_WRITING:
        c->input.max = INPUT_PAUSE_BYTES + READ_BYTES;
        buf_append(&c->input, (struct str){buf->base, (size_t)read});
        if (c->input.len >= INPUT_PAUSE_BYTES)
            reading_set(c, false);
        return;
    default:
        feed(c, buf->base, (size_t)read);
    }
}

/* ---- accepting ---- */

static void tell_refusal(int fd)
{
    static const char body[] =
        "{\"type\":\"urn:cathay:problem:overloaded\",\"title\":\"Too many connections\","
        "\"status\":503,\"code\":\"overloaded\",\"request_id\":\"\"}";
    char answer[512];
    int len = snprintf(
        answer, sizeof answer,
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n"
        "Cache-Control: no-store\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
        sizeof body - 1, body);
    CHECK(len > 0 && (size_t)len < sizeof answer);
    ssize_t sent = send(fd, answer, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
}

void connection_accept(struct event_loop *loop, int fd, const struct sockaddr_storage *peer)
{
    struct http_server *server = loop->server;
    struct address address = address_of(peer);
    int64_t open = atomic_load_explicit(&server->connections, memory_order_relaxed);
    bool refused = open >= config()->connections;
    bool counted = false;
    bool trusted = address_set_has(&server->trusted, &address);
    if (!refused && !trusted) {
        counted = address_counts_take(server->addresses, &address, config()->connections_per_address);
        refused = !counted;
    }
    counter_add(refused ? &loop->metrics.refused : &loop->metrics.accepted, 1);
    if (refused)
        tell_refusal(fd);
    if (refused && open >= config()->connections + LINGER_EXTRA_MAX) {
        close(fd);
        return;
    }
    struct connection *c = calloc(1, sizeof *c);
    CHECK(c);
    c->loop = loop;
    c->peer = address;
    c->peer_trusted = trusted;
    c->counted = counted;
    c->fd = fd;
    c->holds = 1;
    c->tcp.data = c;
    atomic_fetch_add_explicit(&server->connections, 1, memory_order_relaxed);
    loop->connection_count++;
    list_append(loop, c, DEADLINE_NONE);
    CHECK(uv_tcp_init(&loop->uv, &c->tcp) == 0);
    if (uv_tcp_open(&c->tcp, fd) != 0) {
        close(fd);
        connection_close(c);
        return;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* of a Unix socket: no such option, nor need */
    deadline_set(c, DEADLINE_HEAD);
    reading_set(c, true);
    if (refused)
        finish_close(c, true);
}

/* ---- time ---- */

static void deadline_passed(struct connection *c)
{
    struct event_loop *loop = c->loop;
    switch (c->deadline) {
    case DEADLINE_HEAD:
    case DEADLINE_BODY: {
        counter_add(&loop->metrics.deadlines, 1);
        if (c->deadline == DEADLINE_HEAD && c->input.len == 0) {
            connection_close(c); /* nothing was ever asked */
            return;
        }
        struct http_exchange *x = c->exchange;
        if (!x) {
            refuse_head(c, ERR_TIMEOUT, "The request took too long to arrive");
            return;
        }
        body_refuse(c, ERR_TIMEOUT, "The body took too long to arrive");
        return;
    }
    case DEADLINE_WRITE: {
        size_t left = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
        if (left < c->write_left) {
            c->write_left = left;
            deadline_set(c, DEADLINE_WRITE);
            return;
        }
        counter_add(&loop->metrics.deadlines, 1);
        connection_close(c);
        return;
    }
    case DEADLINE_STREAM:
        if (stream_is_event_stream(c->exchange->stream) && c->writes_pending == 0) {
            uv_buf_t ping = uv_buf_init((char *)(uintptr_t) ":\n\n", 3);
            send_bytes(c, &ping, 1, NULL);
        }
        if (c->state == CONNECTION_STREAM)
            deadline_set(c, c->writes_pending ? DEADLINE_WRITE : DEADLINE_STREAM);
        return;
    default:
        connection_close(c);
    }
}

void connection_deadlines_check(struct event_loop *loop, uint64_t now_ms)
{
    for (int kind = DEADLINE_NONE + 1; kind < DEADLINE_COUNT; kind++)
        while (loop->deadlines[kind].first && loop->deadlines[kind].first->deadline_ms <= now_ms)
            deadline_passed(loop->deadlines[kind].first);
}

void connections_drain(struct event_loop *loop, bool forced)
{
    for (int kind = 0; kind < DEADLINE_COUNT; kind++) {
        struct connection *next;
        for (struct connection *c = loop->deadlines[kind].first; c; c = next) {
            next = c->next;
            if (c->state == CONNECTION_CLOSED)
                continue;
            if (forced || c->state == CONNECTION_STREAM || (c->state == CONNECTION_HEAD && c->input.len == 0))
                connection_close(c);
        }
    }
}
