/* From method and path to a route of the contract. A tree over path segments is built once; literal segments
 * win over parameters. A built router is read-only: any thread may use it. Nothing blocks; per request only
 * the arena is used. */
#ifndef CATHAY_HTTP_ROUTER_H
#define CATHAY_HTTP_ROUTER_H

#include "base/arena.h"
#include "base/str.h"
#include "http/api_decode.h"

struct api_route;
struct router;

enum router_outcome {
    ROUTER_FOUND,
    ROUTER_NOT_FOUND,          /* 404 */
    ROUTER_METHOD_NOT_ALLOWED, /* 405, with Allow */
    ROUTER_OPTIONS,            /* 204, with Allow */
    ROUTER_BAD_PATH,           /* 400: broken percent-encoding, NUL, not UTF-8 */
};

struct router_match {
    const struct api_route *route;          /* of ROUTER_FOUND */
    struct str params[API_PATH_PARAMS_MAX]; /* decoded; in the arena or in the path */
    size_t param_count;
    bool head;        /* HEAD, answered by the route of GET without its body */
    struct str allow; /* "GET, HEAD, OPTIONS": wherever the path is known */
};

/* The table must outlive the router. Two routes with the same method and path are a bug. */
struct router *router_new(const struct api_route *routes, size_t count);
void router_free(struct router *router);

/* `path` is the target's path as sent, beginning with '/', without the query. */
enum router_outcome router_match(const struct router *router, struct arena *arena, struct str method,
                                 struct str path, struct router_match *match);

#endif
