/* Answers without an end. The owner appends from any thread to a bounded buffer under the stream's lock; the
 * loop takes what is there and writes it. A stream is in its loop's list of ready ones at most once. */
#include "http/server_internal.h"

#include "base/check.h"

#include <stdlib.h>

struct stream {
    pthread_mutex_t lock;
    struct buf out;
    bool closing; /* by the owner, or because the client reads too slowly */
    bool queued, started;
    struct http_exchange *exchange;
    void (*closed)(void *context);
    void *context;
    struct stream *next;
};

static _Thread_local struct http_exchange *handling;

void stream_handling_set(struct http_exchange *exchange)
{
    handling = exchange;
}

struct stream *request_stream(struct request *req, struct str content_type, void (*closed)(void *context),
                              void *context)
{
    struct http_exchange *x = exchange_of(req);
    CHECK(!x->stream && x->away);
    struct stream *stream = calloc(1, sizeof *stream);
    CHECK(stream);
    pthread_mutex_init(&stream->lock, NULL);
    stream->out = buf_new(STREAM_BUFFER_BYTES);
    stream->exchange = x;
    stream->closed = closed;
    stream->context = context;
    req->response.status = 200;
    req->response.content_type = content_type;
    x->stream = stream;
    x->returns = RETURN_STREAM;
    /* Inside the request's handler the handler may go on using the request; it goes home when the handler
     * returns. */
    if (handling != x) {
        response_encode(x);
        exchange_finished(x);
    }
    return stream;
}

static void make_ready(struct stream *stream)
{
    struct event_loop *loop = stream->exchange->loop;
    pthread_mutex_lock(&loop->lock);
    stream->next = loop->streams_ready;
    loop->streams_ready = stream;
    pthread_mutex_unlock(&loop->lock);
    loop_wake(loop);
}

bool stream_send(struct stream *stream, struct str bytes)
{
    pthread_mutex_lock(&stream->lock);
    bool taken = !stream->closing;
    if (taken) {
        buf_append(&stream->out, bytes);
        if (stream->out.overflow) {
            stream->closing = true;
            taken = false;
        }
    }
    bool wake = stream->started && !stream->queued;
    if (wake)
        stream->queued = true;
    pthread_mutex_unlock(&stream->lock);
    if (wake)
        make_ready(stream);
    return taken;
}

void stream_close(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->closing = true;
    bool wake = stream->started && !stream->queued;
    if (wake)
        stream->queued = true;
    pthread_mutex_unlock(&stream->lock);
    if (wake)
        make_ready(stream);
}

void stream_started(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->started = true;
    pthread_mutex_unlock(&stream->lock);
}

size_t stream_take(struct stream *stream, char **bytes, bool *closing)
{
    pthread_mutex_lock(&stream->lock);
    *closing = stream->closing;
    size_t len = stream->out.len;
    *bytes = stream->out.ptr;
    stream->out = buf_new(STREAM_BUFFER_BYTES);
    pthread_mutex_unlock(&stream->lock);
    return len;
}

bool stream_is_event_stream(const struct stream *stream)
{
    return str_starts_with(stream->exchange->req.response.content_type, STR("text/event-stream"));
}

void streams_flush(struct event_loop *loop)
{
    for (;;) {
        pthread_mutex_lock(&loop->lock);
        struct stream *stream = loop->streams_ready;
        if (stream)
            loop->streams_ready = stream->next;
        pthread_mutex_unlock(&loop->lock);
        if (!stream)
            return;
        pthread_mutex_lock(&stream->lock);
        stream->queued = false;
        pthread_mutex_unlock(&stream->lock);
        connection_stream_flush(stream->exchange->connection); /* may free the stream */
    }
}

void stream_end(struct http_exchange *x)
{
    struct stream *stream = x->stream;
    struct event_loop *loop = x->loop;
    stream->closed(stream->context);
    /* From here nobody sends any more. */
    pthread_mutex_lock(&loop->lock);
    for (struct stream **at = &loop->streams_ready; *at; at = &(*at)->next)
        if (*at == stream) {
            *at = stream->next;
            break;
        }
    pthread_mutex_unlock(&loop->lock);
    pthread_mutex_destroy(&stream->lock);
    buf_free(&stream->out);
    free(stream);
    x->stream = NULL;
}
