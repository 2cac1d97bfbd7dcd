/* The cache of encoded answers as the phases see it: keys, conditions, and who computes. Routes with x-cache
 * that anybody may call are always answered as to a stranger, so that no answer depends on who asked first.
 */
#include "api.h"
#include "base/check.h"
#include "base/clock.h"
#include "http/server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#define QUERY_PAIRS_MAX 32

bool route_is_cached(const struct http_exchange *x)
{
    const struct api_route *route = x->req.route;
    return x->server->cache && route && route->cache_tags && route->roles & 1u << ROLE_ANONYMOUS &&
           route->run != API_RUN_ASYNC && !head_has_body(&x->head);
}

static bool is_chinese(struct str tag)
{
    return tag.len >= 2 && (tag.ptr[0] | 0x20) == 'z' && (tag.ptr[1] | 0x20) == 'h' &&
           (tag.len == 2 || tag.ptr[2] == '-');
}

static bool is_english(struct str tag)
{
    return tag.len >= 2 && (tag.ptr[0] | 0x20) == 'e' && (tag.ptr[1] | 0x20) == 'n' &&
           (tag.len == 2 || tag.ptr[2] == '-');
}

/* Quality in thousandths; 1000 without one. */
static int quality(struct str parameters)
{
    while (parameters.ptr) {
        struct str p = str_trim(str_split(&parameters, ';'));
        if (p.len < 3 || (p.ptr[0] | 0x20) != 'q' || p.ptr[1] != '=')
            continue;
        int value = p.ptr[2] == '1' ? 1000 : 0, scale = 100;
        for (size_t i = 4; i < p.len && i < 7 && p.ptr[2] != '1'; i++, scale /= 10)
            value += p.ptr[i] >= '0' && p.ptr[i] <= '9' ? (p.ptr[i] - '0') * scale : 0;
        return value;
    }
    return 1000;
}

struct str request_language(const struct request *req)
{
    struct str list = request_header(req, STR("Accept-Language"));
    int english = 0, chinese = 0;
    while (list.ptr) {
        struct str parameters = str_split(&list, ',');
        struct str tag = str_trim(str_split(&parameters, ';'));
        int q = quality(parameters);
        if (is_chinese(tag) && q > chinese)
            chinese = q;
        if (is_english(tag) && q > english)
            english = q;
    }
    return chinese > english ? STR("zh") : STR("en");
}

static int pair_compare(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    size_t shorter = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->ptr, y->ptr, shorter);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Path, language, and the query's pairs in order. Length 0: not to be cached. */
static size_t key_of(const struct http_exchange *x, char key[CACHE_KEY_MAX])
{
    struct str query = x->req.query, path = x->req.path;
    if (path.len + query.len + QUERY_PAIRS_MAX + 4 > CACHE_KEY_MAX)
        return 0;
    memcpy(key, path.ptr, path.len);
    size_t len = path.len;
    memcpy(key + len, request_language(&x->req).ptr, 2);
    len += 2;
    struct str pairs[QUERY_PAIRS_MAX];
    size_t count = 0;
    while (query.ptr) {
        struct str pair = str_split(&query, '&');
        if (pair.len == 0)
            continue;
        if (count == QUERY_PAIRS_MAX)
            return 0;
        pairs[count++] = pair;
    }
    if (count > 1)
        qsort(pairs, count, sizeof *pairs, pair_compare);
    for (size_t i = 0; i < count; i++) {
        key[len++] = i ? '&' : '?';
        memcpy(key + len, pairs[i].ptr, pairs[i].len);
        len += pairs[i].len;
    }
    return len;
}

static void take_cached(struct http_exchange *x, struct cached *value)
{
    struct str wanted = request_header(&x->req, STR("If-None-Match"));
    x->cached = value;
    x->unchanged = wanted.ptr && etag_listed(wanted, value->etag);
}

bool answers_peek(struct http_exchange *x)
{
    char key[CACHE_KEY_MAX];
    size_t len = key_of(x, key);
    struct cached *value;
    if (len == 0 || !cache_peek(x->server->cache, (struct str){key, len}, x->req.started_us, &value))
        return false;
    counter_add(&x->loop->metrics.cache_hits, 1);
    take_cached(x, value);
    return true;
}

static void on_woken(struct cache_waiter *waiter, struct cached *value, bool again)
{
    struct http_exchange *x =
        (struct http_exchange *)((char *)waiter - offsetof(struct http_exchange, waiter));
    if (value)
        take_cached(x, value);
    x->returns = value ? RETURN_CACHED : again ? RETURN_CACHE_AGAIN : RETURN_UNCACHED;
    exchange_finished(x);
}

enum answers_outcome answers_find(struct http_exchange *x)
{
    char key[CACHE_KEY_MAX];
    size_t len = key_of(x, key);
    if (len == 0)
        return ANSWERS_COMPUTE;
    struct cached *value = NULL;
    x->waiter.wake = on_woken;
    x->away = true; /* before the cache knows it: it may be woken at once */
    enum cache_outcome outcome = cache_find(x->server->cache, (struct str){key, len}, clock_monotonic_us(),
                                            &x->waiter, &value, &x->fill);
    if (outcome == CACHE_WAIT) {
        counter_add(&x->loop->metrics.cache_joined, 1);
        return ANSWERS_WAIT; /* x may be somebody else's already */
    }
    x->away = false;
    if (outcome == CACHE_HIT) {
        take_cached(x, value);
        return ANSWERS_HERE;
    }
    counter_add(&x->loop->metrics.cache_misses, 1);
    x->hide_conditions = x->fill != NULL;
    return ANSWERS_COMPUTE;
}

void request_cache_tag(struct request *req, struct str kind, struct uuid id)
{
    for (size_t i = 0; i < req->cache_tag_count; i++)
        if (str_equal(req->cache_tags[i].kind, kind)) {
            if (uuid_is_zero(req->cache_tags[i].id) || uuid_equal(req->cache_tags[i].id, id))
                return;
            if (req->cache_tag_count == CACHE_TAGS_MAX)
                id = (struct uuid){{0}};
            if (uuid_is_zero(id)) { /* covers every single one */
                req->cache_tags[i].id = id;
                return;
            }
        }
    CHECK(req->cache_tag_count < CACHE_TAGS_MAX);
    req->cache_tags[req->cache_tag_count].kind = kind;
    req->cache_tags[req->cache_tag_count++].id = id;
}

/* The kinds that the contract names and the handler did not tie to a thing depend on all things of the kind.
 */
static size_t tags_of(struct http_exchange *x, struct cache_tag tags[CACHE_TAGS_MAX])
{
    static const struct uuid any;
    for (const char *const *kind = x->req.route->cache_tags; *kind; kind++) {
        bool known = false;
        for (size_t i = 0; i < x->req.cache_tag_count; i++)
            known |= str_equal(x->req.cache_tags[i].kind, str_from(*kind));
        if (!known)
            request_cache_tag(&x->req, str_from(*kind), any);
    }
    for (size_t i = 0; i < x->req.cache_tag_count; i++)
        tags[i] = (struct cache_tag){x->req.cache_tags[i].kind, x->req.cache_tags[i].id};
    return x->req.cache_tag_count;
}

static struct str etag_of(struct http_exchange *x)
{
    struct response *response = &x->req.response;
    for (size_t i = 0; i < response->header_count; i++)
        if (str_equal_ignoring_case(response->headers[i].name, STR("ETag")))
            return response->headers[i].value;
    XXH128_hash_t hash = XXH3_128bits(response->body.ptr, response->body.len);
    struct str etag = arena_printf(x->req.arena, "\"%016llx%016llx\"", (unsigned long long)hash.high64,
                                   (unsigned long long)hash.low64);
    respond_header(&x->req, STR("ETag"), etag);
    return etag;
}

void answers_store(struct http_exchange *x, enum error_code code)
{
    struct cache_fill *fill = x->fill;
    struct response *response = &x->req.response;
    if (!fill)
        return;
    if (code != ERR_OK || response->status != 200) {
        x->fill = NULL;
        cache_fill_fail(fill);
        return;
    }
    struct str etag = etag_of(x), body = response->body;
    response_encode(x);
    struct str head = x->out_head;
    response->status = 304;
    response_encode(x);
    struct cached *value = cached_new(200, head, x->out_head, body, etag);
    struct cache_tag tags[CACHE_TAGS_MAX];
    size_t tag_count = tags_of(x, tags);
    atomic_fetch_add_explicit(&value->references, 1, memory_order_relaxed);
    take_cached(x, value);
    x->fill = NULL;
    cache_fill_done(fill, value, tags, tag_count, clock_monotonic_us(),
                    (int64_t)x->req.route->cache_ttl_s * 1000000);
}
