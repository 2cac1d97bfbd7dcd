/* One HTTP request on its way through the phases. A struct request belongs to exactly one thread at a time:
 * the event loop, then a worker or whoever took it over, then the loop again. All that it points to lives in
 * its arena.
 *
 * A handler has the form
 *     enum error_code order_show_handle(struct request *req, const struct api_order_show *in);
 * It fills the response (respond_…) and returns ERR_OK, or returns an error code after error_set(&req->error,
 * …); the server renders problems (RFC 9457). Handlers of `x-run: worker` may block and have req->db; `loop`
 * handlers must not block and have no db; `async` handlers return ERR_OK at once and call request_finish()
 * later, once, from any thread. */
#ifndef CATHAY_HTTP_REQUEST_H
#define CATHAY_HTTP_REQUEST_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "base/buf.h"
#include "pg/pg.h"

enum request_phase {
    PHASE_ACCEPT,
    PHASE_TRACE,
    PHASE_LIMITS,
    PHASE_ROUTE,
    PHASE_AUTHENTICATE,
    PHASE_AUTHORIZE,
    PHASE_RATE_LIMIT,
    PHASE_DECODE,
    PHASE_IDEMPOTENCY,
    PHASE_HANDLER,
    PHASE_ENCODE,
    PHASE_LOG,
    PHASE_COUNT
};

/* Values of x-role; a route's roles are a mask of 1u << role. */
enum api_role {
    ROLE_ANONYMOUS,
    ROLE_CUSTOMER,
    ROLE_VENDOR,
    ROLE_SUPPORT,
    ROLE_MANAGER,
    ROLE_ADMIN,
    ROLE_PARTNER,
    ROLE_COUNT
};
#define ROLES_STAFF (1u << ROLE_SUPPORT | 1u << ROLE_MANAGER | 1u << ROLE_ADMIN)

/* Who asks. Anonymous: role ROLE_ANONYMOUS and zero ids. */
struct principal {
    enum api_role role;
    struct user_id user_id;
    struct vendor_id vendor_id; /* of role vendor */
    struct session_id session_id;
    int64_t expires_s; /* of the token, since 1970 */
};

/* What a process knows of a session: it goes on, has ended, or PostgreSQL has to be asked. */
enum session_word { SESSION_OPEN, SESSION_ENDED, SESSION_UNSURE };

#define RESPONSE_HEADERS_MAX 12

struct response {
    int status;
    struct str content_type; /* application/json unless set */
    struct str body;         /* in the request's arena */
    size_t header_count;
    struct {
        struct str name, value;
    } headers[RESPONSE_HEADERS_MAX];
};

struct api_route;
struct http_exchange; /* the server's side of it */

#define CACHE_TAGS_MAX 8

struct request {
    struct arena *arena;
    struct pg *db; /* of the worker thread; NULL in loop and async handlers */
    struct error error;
    struct principal principal;
    const struct api_route *route; /* NULL where nothing matched */
    struct response response;
    struct str method, path, query, body;
    struct str request_id;      /* as the client sent it where it is well-formed, else our own */
    struct str traceparent;     /* W3C; begun here when the client sent none */
    struct str client_address;  /* behind trusted proxies: the shopper's */
    struct str idempotency_key; /* as sent; in handlers it has been checked */
    uint8_t body_hash[32]; /* BLAKE2b of operation id, path, query and body; set where idempotency is known */
    enum request_phase phase;
    int64_t started_us; /* monotonic */
    size_t cache_tag_count;
    struct {
        struct str kind;
        struct uuid id;
    } cache_tags[CACHE_TAGS_MAX];
    struct http_exchange *exchange;
};

/* STR_NONE when the header is absent. Names compare without case. */
struct str request_header(const struct request *req, struct str name);

/* The body's bytes must live in the arena or for ever. Return ERR_OK. */
enum error_code respond_json(struct request *req, int status, struct str body);
enum error_code respond_bytes(struct request *req, int status, struct str content_type, struct str body);
enum error_code respond_empty(struct request *req, int status); /* 204, 304 */
void respond_header(struct request *req, struct str name, struct str value);
/* Copies the buffer's text into the arena and frees the buffer; ERR_INTERNAL if it overflowed. */
enum error_code respond_buf(struct request *req, int status, struct buf *body);
/* {"items": …, "next_cursor": …}; the cursor carries `last` where there are more. */
enum error_code respond_items(struct request *req, struct str items, bool more, const void *last,
                              size_t last_bytes);

/* The language to answer in: "zh" where Accept-Language prefers any Chinese over English, else "en". Cached
 * answers are kept apart by it. */
struct str request_language(const struct request *req);

/* Sets a strong ETag. When If-None-Match fits, turns the response into 304 and returns true. */
bool respond_etag(struct request *req, struct str etag_without_quotes);

/* For `async` handlers: the request is the caller's until this; afterwards it must not be touched. Any
 * thread. A code other than ERR_OK is rendered as a problem. */
void request_finish(struct request *req, enum error_code code);
/* On the loop: about how long requests wait at present until they are read; 0 while the loop keeps up. */
int64_t request_waited_us(const struct request *req);

/* A response that has no end (Server-Sent Events): sends status 200 and headers. In an `async` handler the
 * request is the stream's from here; a `worker` handler keeps request and connection until it returns ERR_OK,
 * and may read and stream_send meanwhile. The request's arena lives until `closed` has returned. Text event
 * streams get a comment as a sign of life every 15 s. `closed` is called once on the loop's thread when the
 * client has gone or the server drains; the stream must not be used after it has returned. stream_send
 * copies, may be called from any thread, and returns false when the client reads too slowly or has gone (it
 * will be closed). */
struct stream;
struct stream *request_stream(struct request *req, struct str content_type, void (*closed)(void *context),
                              void *context);
bool stream_send(struct stream *stream, struct str bytes);
void stream_close(struct stream *stream);

/* The answer being made is cached under these tags too (x-cache). A zero id: any of that kind. Invalidating
 * (kind, id) drops what is tagged (kind, id) and what is tagged (kind, zero). */
void request_cache_tag(struct request *req, struct str kind, struct uuid id);

/* This request has changed the thing, and that is committed: whoever asks this server sees it at once. The
 * other servers hear of it by its event. Any thread. */
void request_changed(struct request *req, struct str kind, struct uuid id);

/* Runs fn in a transaction with the Idempotency-Key of the request: a known key with the same body replays
 * the stored response (header Idempotent-Replayed: true), with another body is ERR_IDEMPOTENCY_MISMATCH, one
 * that is being worked on is ERR_IDEMPOTENCY_IN_FLIGHT. fn fills the response; it is stored in the same
 * transaction when fn returns ERR_OK. Errors are not stored: they changed nothing, and the same key may try
 * again. Without a key it is pg_transaction(). fn may run more than once. The connection is req->db. */
typedef enum error_code request_transaction_fn(struct request *req, void *context);
enum error_code request_transaction(struct request *req, request_transaction_fn *fn, void *context);

#endif
