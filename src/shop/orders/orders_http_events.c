/* Live status of an order (ORD-4) as Server-Sent Events.
 *
 * A stream belongs to a few threads of this process, each with a connection to PostgreSQL. News of an order
 * (live_subscribe) only marks its streams and puts them into a queue; a thread reads the steps behind the
 * last one sent and sends them. The subscription is made before the first read, so that nothing falls between
 * the two. Whoever reads too slowly is closed by the server; whoever comes back says the last sequence seen
 * and goes on behind it.
 *
 * A stream is good for as long as a request with its token would be: it ends when the token expires, and when
 * the session ends, which each tick looks for. The last event says which.
 *
 * Locks: `all.lock` guards the list, the queue and the marks; `stream_lock` of a stream guards its server
 * side, which the loop takes away when the client goes. The second is taken without the first. */
#include "api.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "http/request.h"
#include "orders_read_sql.h"
#include "shop/accounts/accounts.h"
#include "shop/orders/orders_internal.h"
#include "work/work.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STREAMS_PER_USER_MAX 10
#define STREAMS_MAX 5000
#define STREAM_THREADS 2
#define STREAM_HEARTBEAT_US (15 * 1000000LL)
#define STREAM_TICK_MS 250
#define STREAM_EVENT_MAX ((size_t)512 * 1024)

struct order_stream {
    struct order_stream *previous, *next; /* all streams */
    struct order_stream *queue_next;
    bool queued, running, again, closed, opened;
    bool ending;         /* the last event was sent */
    struct request *req; /* until it is opened */
    struct order_id order_id;
    struct principal reader;
    struct live_subscription *subscription;
    pthread_mutex_t stream_lock;
    struct stream *stream; /* NULL before it is opened and after the client has gone */
    int32_t sequence;      /* the last one sent */
    uint64_t parcels_hash; /* of the parcels sent last; 0: none */
    int64_t heartbeat_due_us;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool started, stopping;
    pthread_t threads[STREAM_THREADS];
    struct order_stream *first;
    size_t count;
    struct order_stream *queue_first, *queue_last;
    int64_t tick_due_us;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};

/* With all.lock. */
static void enqueue(struct order_stream *item)
{
    if (item->running) {
        item->again = true;
        return;
    }
    if (item->queued)
        return;
    item->queued = true;
    item->queue_next = NULL;
    if (all.queue_last)
        all.queue_last->queue_next = item;
    else
        all.queue_first = item;
    all.queue_last = item;
    pthread_cond_signal(&all.work);
}

static void news(void *context)
{
    pthread_mutex_lock(&all.lock);
    enqueue(context);
    pthread_mutex_unlock(&all.lock);
}

/* On the loop: the server's side is gone from here; a thread tidies up. */
static void closed(void *context)
{
    struct order_stream *item = context;
    pthread_mutex_lock(&item->stream_lock);
    item->stream = NULL;
    pthread_mutex_unlock(&item->stream_lock);
    pthread_mutex_lock(&all.lock);
    item->closed = true;
    enqueue(item);
    pthread_mutex_unlock(&all.lock);
}

static bool send_text(struct order_stream *item, struct str text)
{
    pthread_mutex_lock(&item->stream_lock);
    bool sent = item->stream && stream_send(item->stream, text);
    pthread_mutex_unlock(&item->stream_lock);
    return sent;
}

static bool send_event(struct order_stream *item, const char *name, int32_t sequence, struct str body)
{
    struct buf out = buf_new(STREAM_EVENT_MAX);
    if (sequence > 0)
        buf_printf(&out, "id: %d\n", sequence);
    buf_printf(&out, "event: %s\ndata: ", name);
    /* A line break would end the field; JSON of PostgreSQL has them only between its tokens. */
    for (size_t i = 0; i < body.len; i++)
        buf_char(&out, body.ptr[i] == '\n' || body.ptr[i] == '\r' ? ' ' : body.ptr[i]);
    BUF_LITERAL(&out, "\n\n");
    bool sent = !out.overflow && send_text(item, buf_str(&out));
    buf_free(&out);
    return sent;
}

/* Sends what is new. */
static enum error_code catch_up(struct pg *db, struct arena *arena, struct order_stream *item)
{
    struct order_events_since_rows rows;
    enum error_code code = order_events_since(
        db, arena, (struct order_events_since_args){item->order_id, item->sequence}, &rows);
    if (code != ERR_OK)
        return code;
    for (size_t i = 0; i < rows.count; i++) {
        if (!send_event(item, "order", rows.items[i].sequence, rows.items[i].body))
            return ERR_OK;
        item->sequence = rows.items[i].sequence;
    }
    struct order_fulfilments_body_row parcels;
    bool found;
    code = order_fulfilments_body(db, arena, (struct order_fulfilments_body_args){item->order_id}, &parcels,
                                  &found);
    if (code != ERR_OK)
        return code;
    uint64_t hash = str_hash(parcels.body) | 1;
    if (hash != item->parcels_hash && send_event(item, "fulfilments", 0, parcels.body))
        item->parcels_hash = hash;
    return ERR_OK;
}

/* The order is there and may be seen: the request becomes a stream. False: it was answered otherwise. */
static bool open_stream(struct pg *db, struct arena *arena, struct order_stream *item)
{
    struct order_customer_row row;
    bool found = false;
    enum error_code code =
        order_customer(db, arena, (struct order_customer_args){item->order_id}, &row, &found);
    if (code == ERR_OK && (!found || (item->reader.role == ROLE_CUSTOMER &&
                                      !user_id_equal(row.customer_id, item->reader.user_id))))
        code = error_set(&item->req->error, ERR_NOT_FOUND, "There is no such order");
    if (code != ERR_OK) {
        request_finish(item->req, code);
        return false;
    }
    item->subscription = live_subscribe(item->order_id.uuid, news, item);
    respond_header(item->req, STR("Cache-Control"), STR("no-store"));
    pthread_mutex_lock(&item->stream_lock);
    item->stream = request_stream(item->req, STR("text/event-stream"), closed, item);
    bool opened = item->stream != NULL;
    pthread_mutex_unlock(&item->stream_lock);
    item->req = NULL;
    item->opened = opened;
    return opened && send_text(item, STR("retry: 2000\n\n"));
}

static void forget(struct order_stream *item)
{
    if (item->subscription)
        live_unsubscribe(item->subscription);
    pthread_mutex_lock(&all.lock);
    if (item->queued) {
        struct order_stream **at = &all.queue_first;
        struct order_stream *last = NULL;
        while (*at != item) {
            last = *at;
            at = &(*at)->queue_next;
        }
        *at = item->queue_next;
        if (all.queue_last == item)
            all.queue_last = last;
    }
    if (item->previous)
        item->previous->next = item->next;
    else
        all.first = item->next;
    if (item->next)
        item->next->previous = item->previous;
    all.count--;
    pthread_mutex_unlock(&all.lock);
    pthread_mutex_destroy(&item->stream_lock);
    free(item);
}

static bool has_expired(const struct order_stream *item)
{
    return clock_wall_us() / 1000000 >= item->reader.expires_s;
}

/* Why the stream has to end, or NULL. What this process does not know, it asks; while nobody can tell,
 * nothing can be read either. */
static const char *end_reason(struct pg *db, struct arena *arena, const struct order_stream *item)
{
    enum session_word word = accounts_session(&item->reader);
    if (word == SESSION_UNSURE && accounts_session_check(db, arena, &item->reader) == ERR_UNAUTHENTICATED)
        word = SESSION_ENDED;
    return word == SESSION_ENDED ? "session_ended" : has_expired(item) ? "token_expired" : NULL;
}

static void end_stream(struct order_stream *item, const char *reason)
{
    char body[64];
    snprintf(body, sizeof body, "{\"reason\":\"%s\"}", reason);
    send_event(item, "end", 0, str_from(body));
    pthread_mutex_lock(&item->stream_lock);
    if (item->stream)
        stream_close(item->stream);
    pthread_mutex_unlock(&item->stream_lock);
}

/* One visit to a stream; false: it is over and may be forgotten. */
static bool visit(struct pg *db, struct arena *arena, struct order_stream *item, bool is_closed)
{
    if (item->req && !open_stream(db, arena, item))
        return item->opened; /* an opened one is forgotten when `closed` has been called */
    if (is_closed)
        return false;
    if (item->ending)
        return true;
    int64_t now_us = clock_monotonic_us();
    const char *reason = end_reason(db, arena, item);
    if (reason) {
        end_stream(item, reason);
        item->ending = true;
        return true;
    }
    enum error_code code = catch_up(db, arena, item);
    if (code != ERR_OK)
        log_write(LOG_WARN, "live stream could not read", LOG_TEXT("code", error_text(code)));
    if (now_us >= item->heartbeat_due_us) {
        send_text(item, STR(": still here\n\n"));
        item->heartbeat_due_us = now_us + STREAM_HEARTBEAT_US;
    }
    return true;
}

/* With all.lock: streams whose heartbeat or end is due. They are read again then, too: the net under lost
 * news. */
static void tick(int64_t now_us)
{
    if (now_us < all.tick_due_us)
        return;
    all.tick_due_us = now_us + STREAM_TICK_MS * 1000LL;
    for (struct order_stream *item = all.first; item; item = item->next)
        if (item->opened && !item->running && !item->ending &&
            (now_us >= item->heartbeat_due_us || has_expired(item) ||
             accounts_session(&item->reader) == SESSION_ENDED))
            enqueue(item);
}

static void wait_for_work(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += STREAM_TICK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&all.work, &all.lock, &until);
}

static void *run(void *context)
{
    (void)context;
    struct pg *db = pg_new(config()->database_url, "stream", NULL);
    struct arena *arena = arena_new();
    pthread_mutex_lock(&all.lock);
    while (!all.stopping) {
        tick(clock_monotonic_us());
        struct order_stream *item = all.queue_first;
        if (!item) {
            wait_for_work();
            continue;
        }
        all.queue_first = item->queue_next;
        if (!all.queue_first)
            all.queue_last = NULL;
        item->queued = false;
        item->running = true;
        bool is_closed = item->closed;
        pthread_mutex_unlock(&all.lock);
        bool keep = visit(db, arena, item, is_closed);
        arena_reset(arena);
        pthread_mutex_lock(&all.lock);
        if (!keep) { /* it stays `running`, so that no news queue it again for the other thread */
            pthread_mutex_unlock(&all.lock);
            forget(item);
            pthread_mutex_lock(&all.lock);
            continue;
        }
        item->running = false;
        if (item->again) {
            item->again = false;
            enqueue(item);
        }
    }
    pthread_mutex_unlock(&all.lock);
    arena_free(arena);
    pg_free(db);
    return NULL;
}

/* With all.lock. NULL: there are too many already. */
static struct order_stream *add(struct request *req)
{
    size_t of_user = 0;
    for (struct order_stream *other = all.first; other; other = other->next)
        of_user += user_id_equal(other->reader.user_id, req->principal.user_id) && !other->closed;
    if (of_user >= STREAMS_PER_USER_MAX || all.count >= STREAMS_MAX || all.stopping)
        return NULL;
    struct order_stream *item = calloc(1, sizeof *item);
    CHECK(item);
    pthread_mutex_init(&item->stream_lock, NULL);
    item->next = all.first;
    if (all.first)
        all.first->previous = item;
    all.first = item;
    all.count++;
    return item;
}

/* Where the client wants to go on: the header wins over the query, as a browser sets it on its own
 * reconnects. */
static bool last_sequence(struct request *req, const struct api_order_events *in, int32_t *sequence)
{
    int64_t value = in->has_last_event_id ? in->last_event_id : 0;
    struct str header = request_header(req, STR("Last-Event-ID"));
    if (header.ptr && (!str_to_int64(header, &value) || value < 0 || value > INT32_MAX)) {
        error_set(&req->error, ERR_VALIDATION, "Last-Event-ID is not the id of an event of this stream");
        error_field_add(&req->error, "Last-Event-ID", "take the id of the last event");
        return false;
    }
    *sequence = (int32_t)value;
    return true;
}

enum error_code order_events_handle(struct request *req, const struct api_order_events *in)
{
    int32_t sequence;
    if (!last_sequence(req, in, &sequence)) {
        request_finish(req, ERR_VALIDATION);
        return ERR_OK;
    }
    pthread_mutex_lock(&all.lock);
    if (!all.started) {
        all.started = true;
        for (size_t i = 0; i < STREAM_THREADS; i++)
            CHECK(pthread_create(&all.threads[i], NULL, run, NULL) == 0);
    }
    struct order_stream *item = add(req);
    if (item) {
        int64_t now_us = clock_monotonic_us();
        item->req = req;
        item->order_id = in->order_id;
        item->reader = req->principal;
        item->sequence = sequence;
        item->heartbeat_due_us = now_us + STREAM_HEARTBEAT_US;
        enqueue(item);
    }
    pthread_mutex_unlock(&all.lock);
    if (!item) {
        error_set(&req->error, ERR_RATE_LIMITED, "There are %d streams open for this account already",
                  STREAMS_PER_USER_MAX);
        request_finish(req, ERR_RATE_LIMITED);
    }
    return ERR_OK;
}

void order_streams_stop(void)
{
    pthread_mutex_lock(&all.lock);
    bool started = all.started;
    all.stopping = true;
    pthread_cond_broadcast(&all.work);
    pthread_mutex_unlock(&all.lock);
    for (size_t i = 0; started && i < STREAM_THREADS; i++)
        pthread_join(all.threads[i], NULL);
    while (all.first)
        forget(all.first);
    all.started = false;
    all.stopping = false;
}
