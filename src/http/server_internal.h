/* Inside of the server: what loops, connections, workers and phases share. Not for other folders.
 *
 * Ownership. An event loop is a thread and owns its connections. A connection reads one request at a time
 * into an exchange. The exchange goes to a worker (or whoever an async handler gives it to) and comes back
 * through the loop's list of finished exchanges; meanwhile the connection may lose its socket but not its
 * memory (`holds`). */
#ifndef CATHAY_HTTP_SERVER_INTERNAL_H
#define CATHAY_HTTP_SERVER_INTERNAL_H

#include "http/address.h"
#include "http/api_decode.h"
#include "http/cache.h"
#include "http/head.h"
#include "http/limiter.h"
#include "http/router.h"
#include "http/server.h"
#include "http/shared_limiter.h"
#include "redis/shared_cache.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <uv.h>

#define LOOPS_MAX 64
#define WORKERS_MAX 256
#define READ_BYTES ((size_t)64 * 1024)        /* one read; shared by a loop's connections */
#define OUT_BYTES ((size_t)64 * 1024)         /* small answers of one read are gathered here */
#define INPUT_PAUSE_BYTES ((size_t)32 * 1024) /* pipelined input kept while a request is in flight */
#define TURN_REQUESTS 16                      /* of one connection; then the others have their turn */
#define TURN_BYTES ((size_t)128 * 1024)       /* read and answered */
#define TURNS_CROWD 64                        /* so many wait for their turn: less is read of each */
#define SPARE_EXCHANGES_MAX 512               /* of a loop */
#define SPARE_BODY_BYTES ((size_t)8 * 1024)   /* of each */
#define DISCARD_BYTES_MAX                                                                                    \
    ((size_t)64 * 1024)      /* of a refused request's body, read so that the connection can go on */
#define REQUEST_ID_LEN 32    /* of those that are made here */
#define TAIL_BYTES 448       /* limits, date, request id of 128, connection */
#define LINGER_MS 1000       /* for the peer to read a last answer before the socket is closed */
#define LINGER_EXTRA_MAX 256 /* connections beyond the limit that are told 503 */
#define TICK_MS 50
#define LOG_BATCH_BYTES ((size_t)32 * 1024)
#define STREAM_BUFFER_BYTES ((size_t)256 * 1024)
#define STREAM_PING_MS 15000

enum deadline {
    DEADLINE_NONE, /* a request is in flight: its own limits hold */
    DEADLINE_IDLE, /* keep-alive */
    DEADLINE_HEAD,
    DEADLINE_BODY,
    DEADLINE_WRITE,
    DEADLINE_LINGER,
    DEADLINE_STREAM, /* when the next ping is due */
    DEADLINE_COUNT
};

enum connection_state {
    CONNECTION_HEAD, /* idle, or the head arrives */
    CONNECTION_BODY,
    CONNECTION_DISCARD, /* the answer is known; the body is read away first */
    CONNECTION_BUSY,    /* the request is being answered */
    CONNECTION_WRITING, /* the answer did not fit into the socket */
    CONNECTION_STREAM,
    CONNECTION_LINGER,
    CONNECTION_CLOSED
};

struct event_loop;
struct http_exchange;

#define FORWARDED_BYTES_MAX 48
struct forwarded {
    bool known;
    char text[FORWARDED_BYTES_MAX]; /* of X-Forwarded-For; nothing: there was none */
    size_t len;
    struct address client, network; /* whom it stands for */
};

struct connection {
    uv_tcp_t tcp; /* owns fd */
    int fd;
    struct event_loop *loop;
    struct connection *previous, *next; /* in the list of its deadline, soonest first */
    enum deadline deadline;
    uint64_t deadline_ms;
    enum connection_state state;
    int holds; /* 1 for the socket's handle, 1 for an exchange that is elsewhere */
    int writes_pending;
    bool reading, peer_done, close_after, linger, counted;
    size_t write_left; /* at the last look: a smaller value is progress */
    size_t discarded;
    uint64_t turn; /* the loop's, in which the two counts below were made */
    int turn_requests;
    size_t turn_bytes;
    bool waits_for_turn;
    TAILQ_ENTRY(connection) turn_link;
    struct head_scan scan;
    struct buf input; /* received, not yet used; empty on idle connections */
    struct http_exchange *exchange;
    struct address peer;
    bool peer_trusted;          /* a proxy that may say for whom it asks */
    struct forwarded forwarded; /* of the last request */
};

struct http_exchange {
    struct request req; /* first: a request's pointer is its exchange's */
    struct event_loop *loop;
    struct http_server *server;
    struct connection *connection;
    struct http_exchange *next;
    int64_t queued_us; /* since when it waits for a worker */
    struct http_head head;
    struct buf body;
    size_t body_counted; /* of the budget for bodies */
    struct router_match match;
    void *input;                       /* the decoded struct api_… */
    struct cache_fill *fill;           /* this exchange computes an answer for the cache */
    struct cached *cached;             /* answered by this one; a reference */
    struct shared_cache *shared_cache; /* the worker's that computes, or NULL */
    int64_t shared_stamp;       /* when the computation began, for that cache; 0: it does not keep this one */
    struct cache_waiter waiter; /* while another exchange computes the answer */
    enum {
        RETURN_ANSWER,
        RETURN_STREAM,
        RETURN_CACHED,
        RETURN_CACHE_AGAIN,
        RETURN_UNCACHED,
        RETURN_ASKED
    } returns;
    bool unchanged; /* If-None-Match fits the cached answer */
    struct stream *stream;
    struct address client, network; /* behind trusted proxies; what limits take for one customer's */
    struct limiter_key limit_keys[LIMITER_KEYS_MAX];
    size_t limit_key_count;
    struct limiter_verdict limit, account_limit; /* told; the local one of the account that is named */
    bool owns_head;                              /* the head's bytes live in the arena */
    bool session_unsure;                         /* at the head: the handler asks, and no cache answers */
    bool session_asking;                         /* goes to a worker for that alone */
    bool session_asked;
    bool in_handler, stream_started, away, close_connection, hide_conditions;
    enum error_code early; /* refused at the head; told when the body has been read away */
    struct str out_head, out_body;
    char tail[TAIL_BYTES]; /* last fields of the answer's head */
    char request_id[129];
    char traceparent[56];
    char address_text[48];
    int64_t bytes_out;
};

/* Microseconds; the last bucket has no bound. */
#define DURATION_BUCKETS 16
struct duration_histogram {
    _Atomic uint64_t count, sum_us, buckets[DURATION_BUCKETS];
};

/* Counters of one loop: one writer, so an update is a load and a store. */
struct loop_metrics {
    _Atomic uint64_t accepted, refused, open, requests_malformed, deadlines, cache_hits, cache_misses,
        cache_joined, bodies_refused, limits_redis, limits_local, limits_fallback, limits_refused;
    struct duration_histogram *durations; /* [(route_count + 1) * 5] by route and status class */
};

struct connection_list {
    struct connection *first, *last;
};

/* The last refusal at a head. In a crowd nearly all are the same but for the request's id, and the time that
 * making one takes is taken from those who were let in. */
struct refusal {
    enum error_code code; /* what it was made of; ERR_OK: there is none */
    int64_t retry_after_s;
    struct str path, detail; /* both in `text` */
    char text[512];
    int status; /* what it is */
    size_t head_len, body_len, id_at;
    char head[1024], body[1024];
};

#define LISTENERS_MAX 2 /* TCP, and a Unix socket */
struct listener {
    uv_poll_t poll; /* first */
    int fd;
};

struct event_loop {
    struct http_server *server;
    int index;
    pthread_t thread;
    bool thread_started;
    uv_loop_t uv;
    struct listener listeners[LISTENERS_MAX];
    int listener_count;
    int spare_fd; /* for a moment in which there are no others */
    uv_async_t wake;
    uv_timer_t tick;
    uv_prepare_t turning; /* each turn of the loop, before it polls */
    uv_idle_t hurry;      /* active while a connection waits for its turn: polling does not block then */
    uint64_t turn;
    TAILQ_HEAD(connection_turns, connection) turns;
    size_t turns_waiting;
    bool draining, closing;
    uint64_t drain_until_ms;
    struct connection_list deadlines[DEADLINE_COUNT];
    size_t connection_count, exchange_count; /* exchanges in use: the loop runs until all are back */
    uint64_t drain_idle_ms; /* idle connections stay until then: a request may be on its way */
    pthread_mutex_t lock;   /* of the two lists below, which other threads fill */
    struct http_exchange *finished, *finished_last;
    struct stream *streams_ready;
    struct http_exchange *spares;
    int spare_count;
    int64_t body_bytes_peak; /* since memory was given back; of the first loop */
    uint64_t trim_again_ms;
    int64_t ticked_us, late_us; /* the last tick, and how late it came */
    uint64_t random[4];
    int64_t date_second;
    char date[30];
    char log_time[20]; /* "2026-03-01T09:30:00" of date_second */
    struct buf log;
    struct loop_metrics metrics;
    struct shared_limiter *shared_limiter; /* NULL without rate limits */
    struct refusal refusal;
    struct connection *feeding; /* whose input is being worked on; `out` is its */
    size_t out_len;
    char out[OUT_BYTES];
    char read_buffer[READ_BYTES];
};

struct worker_pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct http_exchange *first, *last;
    int queue_max;
    int64_t wait_max_us;
    _Atomic int queued;
    _Atomic int64_t oldest_us; /* since when the first one waits; 0: none does */
    _Atomic int64_t refused_total;
    int busy;
    bool stopping;
    int count;
    pthread_t threads[WORKERS_MAX];
};

struct health {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool started, stopping;
    _Atomic bool database_up;
    _Atomic int64_t asked_us; /* the last time somebody looked */
};

struct http_server {
    struct http_server_options options;
    char *host, *socket, *database_url; /* socket: NULL for none */
    int port;
    struct router *router;
    struct cache *cache;
    struct limiter *limiter;
    struct address_set trusted, exempt, metrics_readers; /* trusted_proxies, limit_exempt, metrics_networks */
    struct address_counts *addresses;
    struct worker_pool pool;
    struct health health;
    _Atomic bool ready, stopping;
    _Atomic int64_t connections;
    _Atomic int64_t body_bytes; /* held for bodies, of all connections */
    bool secure;                /* public_url is https */
    struct str static_fields;   /* the same in every answer */
    int loop_count;
    struct event_loop *loops[LOOPS_MAX];
};

/* server.c */
void loop_wake(struct event_loop *loop);
void loop_date_refresh(struct event_loop *loop);
bool server_is_draining(const struct http_server *server);

/* listen.c */
/* For each loop what it listens on, -1 behind the last. */
enum error_code server_listen(struct http_server *server, int fds[LOOPS_MAX][LISTENERS_MAX],
                              struct error *error);
/* The descriptors are the loop's from now on. */
void loop_listen(struct event_loop *loop, const int fds[LISTENERS_MAX]);
/* Takes who has connected already, then nobody. On the loop. */
void loop_listen_end(struct event_loop *loop);
/* When the last loop has ended. */
void server_listen_end(const struct http_server *server);

/* connection.c: all on the connection's loop. */
void connection_accept(struct event_loop *loop, int fd, const struct sockaddr_storage *peer);
/* The exchange's answer is encoded: writes it, logs, goes on with the next request. */
void connection_answer(struct http_exchange *exchange);
void connection_stream_begin(struct http_exchange *exchange);
void connection_stream_flush(struct connection *connection);
void connection_close(struct connection *connection);
/* A turn of the loop: each connection that has used up its last one goes on. */
void connections_turn(struct event_loop *loop);
void connection_deadlines_check(struct event_loop *loop, uint64_t now_ms);
/* Closes what is idle, or everything. */
void connections_drain(struct event_loop *loop, bool forced);
void exchange_release(struct http_exchange *exchange);
void exchanges_free_spares(struct event_loop *loop);

/* turns.c */
/* Before anything is counted: a new turn of the loop is a new one of the connection. */
void turn_begin(struct connection *connection);
bool turn_is_over(struct connection *connection);
/* Nothing more of this connection in this turn. */
void turn_end(struct connection *connection);
/* In the list of those whose turn is over, and out of it. */
void turn_wait(struct connection *connection);
void turn_leave(struct connection *connection);
struct connection *turn_next(struct event_loop *loop); /* takes the first that waits; there must be one */

/* phases.c */
enum phase_result {
    PHASES_CONTINUE, /* the head is good: read the body, then phases_message() */
    PHASES_ANSWERED, /* from the cache, in loop->out: log and go on */
    PHASES_REFUSED   /* exchange->early says why: get rid of the body, then phases_refuse() */
};
enum phase_result phases_head(struct http_exchange *exchange);
size_t phases_body_max(const struct http_exchange *exchange);
/* The whole request is here. Answers at once, or hands the exchange to a worker or an async handler. */
void phases_message(struct http_exchange *exchange);
/* What the shared limiter of a loop says about an exchange (shared_limiter_fn). */
void phases_limited(void *exchange, const struct shared_answer *answer);
/* Fills `input`; the second time it does nothing. */
enum error_code phases_decode(struct http_exchange *exchange);
/* An exchange that was away is back on its loop. */
void phases_returned(struct http_exchange *exchange);
/* On a worker's thread: decode, handler, encode. shared_cache: the worker's, or NULL. */
void phases_work(struct http_exchange *exchange, struct pg *db, struct shared_cache *shared_cache);
/* Encodes the answer (a problem unless code is ERR_OK) and brings it to the loop. Any thread. */
void phases_finish(struct http_exchange *exchange, enum error_code code);
/* Answers a request that was refused at its head. On its loop. */
void phases_refuse(struct http_exchange *exchange);
/* A request that never became one. */
void phases_malformed(struct http_exchange *exchange, enum error_code code, const char *detail);
/* Metrics and access log of an answered exchange. */
void phases_log(struct http_exchange *exchange, int status, int64_t bytes);

/* forwarded.c: sets the client's address and network. */
void client_find(struct http_exchange *exchange);
/* Of what is no request, so that nobody is believed to have forwarded it. */
void client_is_peer(struct http_exchange *exchange);

/* limits.c */
struct limiter_options limits_configured(void);
/* First of all, whatever is asked: the quota of the client's address. */
enum error_code limits_address(struct http_exchange *exchange);
/* At the head: the local limiter. */
enum error_code limits_head(struct http_exchange *exchange);
/* The whole request is there. asked: Redis is being asked, phases_limited() goes on. */
enum error_code limits_message(struct http_exchange *exchange, bool *asked);
enum error_code limits_decided(struct http_exchange *exchange, const struct shared_answer *answer);
/* Who asked has proved to be who she says. */
void limits_succeeded(struct http_exchange *exchange);

/* respond.c */
void response_encode(struct http_exchange *exchange);
/* The fields that differ from answer to answer and the empty line, into exchange->tail or any place of
 * TAIL_BYTES. */
size_t response_tail(struct event_loop *loop, const struct http_exchange *exchange, bool close, char *to);
void problem_render(struct http_exchange *exchange, enum error_code code);
/* Both of them for a refusal, on its loop: a copy of the last one where they differ by the request's id only.
 */
void refusal_encode(struct http_exchange *exchange, enum error_code code);
const char *status_reason(int status);
bool etag_listed(struct str if_none_match, struct str etag_with_quotes);

/* answers.c: the cache of encoded answers. Of a private route the scope is known after authentication. */
enum answer_scope { ANSWER_UNCACHED, ANSWER_PUBLIC, ANSWER_PRIVATE };
enum answer_scope answer_scope(const struct http_exchange *exchange);
bool answers_peek(struct http_exchange *exchange);
enum answers_outcome { ANSWERS_HERE, ANSWERS_WAIT, ANSWERS_COMPUTE };
enum answers_outcome answers_find(struct http_exchange *exchange);
/* The computation that others wait for has ended. */
void answers_store(struct http_exchange *exchange, enum error_code code);
/* On a worker, before the handler: true when Redis has the answer; the exchange is then finished. */
bool answers_shared(struct http_exchange *exchange);
void answers_metrics(void);

/* sessions.c: x-session. On the loop, when the head is there. */
enum error_code session_at_head(struct http_exchange *exchange);
/* Right before the handler. With db it asks where it has to; without (on the loop) *ask says so. */
enum error_code session_at_handler(struct http_exchange *exchange, struct pg *db, bool *ask);

/* trace.c */
void trace_begin(struct http_exchange *exchange);
uint64_t loop_random(struct event_loop *loop);

/* access_log.c */
void access_log(struct http_exchange *exchange, int status, int64_t bytes, int64_t duration_us);
void access_log_flush(struct event_loop *loop);

/* workers.c */
void workers_start(struct http_server *server);
/* Whether a new request, read waited_us after it came, would wait too long: the queue is full, or its first
 * one has waited for the rest of queue_wait_ms. Counts it as refused then. */
bool workers_refuse(struct worker_pool *pool, int64_t waited_us);
/* False: refused. */
bool workers_push(struct worker_pool *pool, struct http_exchange *exchange);
void workers_stop(struct worker_pool *pool);

/* Brings an exchange home to its loop. Any thread. */
void exchange_finished(struct http_exchange *exchange);

/* stream.c */
void stream_handling_set(struct http_exchange *exchange); /* this thread is inside its handler */
void streams_flush(struct event_loop *loop);
/* The connection has ended: calls `closed` and frees. */
void stream_end(struct http_exchange *exchange);
/* Moves what waits to be sent (malloc'ed, the caller's); *closing: the stream's owner wants no more. */
size_t stream_take(struct stream *stream, char **bytes, bool *closing);
void stream_started(struct stream *stream);
bool stream_is_event_stream(const struct stream *stream);

/* endpoints.c */
void health_start(struct http_server *server);
void health_stop(struct http_server *server);

static inline struct http_exchange *exchange_of(struct request *req)
{
    return req->exchange;
}
static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

#endif
