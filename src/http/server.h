/* The HTTP/1.1 server: event loops (libuv, llhttp), connections with their limits and deadlines, the pool of
 * worker threads, the phases. Started once per process; thread-safe where said. */
#ifndef CATHAY_HTTP_SERVER_H
#define CATHAY_HTTP_SERVER_H

#include "http/request.h"

struct http_server;

/* Hooks keep the server free of the shop; each may be NULL. */
struct http_server_options {
    const char *host;
    int port;           /* 0: a free one */
    const char *socket; /* path of a Unix socket to listen on as well; NULL or "": none */
    const struct api_route *routes;
    size_t route_count;
    int loops, workers;
    const char *database_url; /* for the workers' connections; NULL: handlers have no db */
    /* On the loop, must not block. Bearer token, or STR_NONE when there was none; sets *principal. */
    enum error_code (*authenticate)(struct request *req, struct str bearer, struct principal *principal);
    /* Whether the session of who is signed in goes on, as far as this process knows. Any thread, must not
     * block. NULL: sessions do not end. */
    enum session_word (*session)(const struct principal *principal);
    /* The same, asked of the database: ERR_OK, ERR_UNAUTHENTICATED, or what the database says. Blocks. */
    enum error_code (*session_ask)(struct pg *db, struct arena *arena, const struct principal *principal);
    /* Anything that the contract's routes do not serve: pages, files. Returns false if it is not its either.
     * On the loop, must not block. */
    bool (*fallback)(struct request *req);
    /* A server for operators: tells everybody /metrics, and readiness and metrics of `watched` where that is
     * not NULL (it lives longer), else its own. */
    bool operations;
    struct http_server *watched;
    bool rate_limits;
    bool shared_cache; /* answers of x-cache routes are kept in Redis, too */
};

enum error_code http_server_start(const struct http_server_options *options, struct http_server **server,
                                  struct error *error);
int http_server_port(const struct http_server *server);
/* Stops accepting, lets open requests end (at most drain_ms), closes streams, joins the threads, frees. */
void http_server_stop(struct http_server *server);

/* What live_on_invalidate() of work/work.h wants: drops cached answers in all servers of this process. Any
 * thread. */
void http_cache_invalidate(struct str kind, struct uuid id);

#endif
