/* The cache of encoded answers as the phases see it: keys, conditions, and who computes. A route with x-cache
 * that anybody may call is public: it is always answered as to a stranger, so that no answer depends on who
 * asked first. One that needs a sign-in is private: it is looked up only when it is known who asks, and whose
 * it is is a part of its key.
 */
#include "api.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "http/server_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#define QUERY_PAIRS_MAX 32

static bool asks_past_caches(const struct http_exchange *x)
{
    struct str wishes = request_header(&x->req, STR("Cache-Control"));
    while (wishes.ptr)
        if (str_equal_ignoring_case(str_trim(str_split(&wishes, ',')), STR("no-cache")))
            return true;
    return false;
}

enum answer_scope answer_scope(const struct http_exchange *x)
{
    const struct api_route *route = x->req.route;
    if (!x->server->cache || !route || !route->cache_tags || route->run == API_RUN_ASYNC ||
        head_has_body(&x->head))
        return ANSWER_UNCACHED;
    if (route->roles & 1u << ROLE_ANONYMOUS)
        return ANSWER_PUBLIC;
    /* A customer who wants to see what she did a moment ago may ask past the cache; what that costs is hers.
     */
    bool known = !uuid_is_zero(x->req.principal.user_id.uuid);
    return known && !x->session_unsure && !asks_past_caches(x) ? ANSWER_PRIVATE : ANSWER_UNCACHED;
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

#define OWNER_BYTES 33

/* Path, language, the query's pairs in order, and whose it is. Length 0: not to be cached. The owner stands
 * at the end, at a fixed length, so that no path or query can be taken for somebody else's key. */
static size_t key_of(const struct http_exchange *x, char key[CACHE_KEY_MAX])
{
    struct str query = x->req.query, path = x->req.path;
    if (path.len + query.len + QUERY_PAIRS_MAX + 4 + OWNER_BYTES > CACHE_KEY_MAX)
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
    if (answer_scope(x) == ANSWER_PRIVATE) {
        key[len++] = '#';
        uuid_hex(x->req.principal.user_id.uuid, key + len);
        len += OWNER_BYTES - 1;
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

void request_changed(struct request *req, struct str kind, struct uuid id)
{
    struct cache *cache = exchange_of(req)->server->cache;
    if (cache)
        cache_invalidate_here(cache, kind, id, clock_monotonic_us());
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

/* ---- the second level, in Redis ---- */

#define SHARED_VERSION "v1" /* of what an entry holds: a server of another version does not read it */
#define SHARED_KEY_MAX 160
#define SHARED_VALUE_MAX ((size_t)256 * 1024) /* larger answers stay in the process */

static struct {
    struct metric *hits, *misses, *sent;
} shared_metrics;

void answers_metrics(void)
{
    shared_metrics.hits = metric_counter("cathay_cache_shared_hits_total",
                                         "Answers that another server had left in Redis", NULL);
    shared_metrics.misses =
        metric_counter("cathay_cache_shared_misses_total", "Answers that were not in Redis either", NULL);
    shared_metrics.sent =
        metric_counter("cathay_cache_shared_sent_total", "Answers sent to Redis to be kept", NULL);
}

static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!((text.ptr[i] >= '0' && text.ptr[i] <= '9') || text.ptr[i] == '-' || text.ptr[i] == '_' ||
              ((text.ptr[i] | 0x20) >= 'a' && (text.ptr[i] | 0x20) <= 'z')))
            return false;
    return text.len > 0 && text.len <= 64;
}

/* The one thing that is asked for plainly: the path's parameter; of a private route without one, the
 * customer.
 */
static struct str plain_thing(const struct http_exchange *x, char id[ID_TEXT_MAX])
{
    bool private = answer_scope(x) == ANSWER_PRIVATE;
    if (x->req.query.len > 0 || x->match.param_count != (private ? 0 : 1))
        return STR_NONE;
    if (private)
        return (struct str){id, user_id_text(x->req.principal.user_id, id)};
    return is_plain(x->match.params[0]) ? x->match.params[0] : STR_NONE;
}

/* "product:prd_…:en:v1", "balance:usr_…:en:v1" for one thing asked for plainly; else "answer:", operation and
 * a hash. Strangers choose what is hashed, so the hash is one for which nobody finds two that are the same.
 */
static struct str shared_key_of(const struct http_exchange *x, char text[SHARED_KEY_MAX])
{
    char key[CACHE_KEY_MAX], hex[33], id[ID_TEXT_MAX];
    struct str thing = plain_thing(x, id);
    int out;
    if (thing.ptr) {
        out = snprintf(text, SHARED_KEY_MAX, "%s:%.*s:%.*s:" SHARED_VERSION, x->req.route->cache_tags[0],
                       STR_ARG(thing), STR_ARG(request_language(&x->req)));
    } else {
        size_t len = key_of(x, key);
        unsigned char hash[16];
        crypto_generichash(hash, sizeof hash, (const unsigned char *)key, len, NULL, 0);
        sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
        out = snprintf(text, SHARED_KEY_MAX, "answer:%s:%s:" SHARED_VERSION, x->req.route->operation_id, hex);
    }
    CHECK(out > 0 && out < SHARED_KEY_MAX);
    return (struct str){text, (size_t)out};
}

/* An entry: one line with the lengths, then head, head of the 304, ETag, tags, body. A tag is its kind, a
 * blank and the id in hexadecimal. */
static struct str entry_encode(struct http_exchange *x, const struct cached *value,
                               const struct cache_tag *tags, size_t tag_count)
{
    struct buf tag_text = buf_new(CACHE_TAGS_MAX * 128), out = buf_new(2 * CACHE_VALUE_MAX);
    for (size_t i = 0; i < tag_count; i++) {
        char hex[32];
        uuid_hex(tags[i].id, hex);
        buf_printf(&tag_text, "%.*s %.32s\n", STR_ARG(tags[i].kind), hex);
    }
    buf_printf(&out, "%d %zu %zu %zu %zu %zu\n", value->status, value->head.len, value->head_unchanged.len,
               value->etag.len, tag_text.len, value->body.len);
    buf_append(&out, value->head);
    buf_append(&out, value->head_unchanged);
    buf_append(&out, value->etag);
    buf_append(&out, buf_str(&tag_text));
    buf_append(&out, value->body);
    CHECK(!tag_text.overflow && !out.overflow);
    struct str text = arena_copy(x->req.arena, buf_str(&out));
    buf_free(&tag_text);
    buf_free(&out);
    return text;
}

static bool take_number(struct str *line, int64_t most, size_t *number)
{
    int64_t value;
    if (!str_to_int64(str_split(line, ' '), &value) || value < 0 || value > most)
        return false;
    *number = (size_t)value;
    return true;
}

/* The pieces point into text. False: not one of ours. */
static bool entry_decode(struct str text, int *status, struct str pieces[5], struct cache_tag *tags,
                         size_t *tag_count)
{
    size_t number, lengths[5], sum = 0;
    struct str line = str_split(&text, '\n');
    if (!take_number(&line, 599, &number))
        return false;
    *status = (int)number;
    for (size_t i = 0; i < 5; i++) {
        if (!take_number(&line, (int64_t)CACHE_VALUE_MAX, &lengths[i]))
            return false;
        sum += lengths[i];
    }
    if (sum != text.len)
        return false;
    for (size_t i = 0; i < 5; i++) {
        pieces[i] = (struct str){text.ptr, lengths[i]};
        text.ptr += lengths[i];
    }
    struct str rest = pieces[3];
    for (*tag_count = 0; rest.len > 0; ++*tag_count) {
        struct str tag = str_split(&rest, '\n');
        if (*tag_count == CACHE_TAGS_MAX)
            return false;
        tags[*tag_count].kind = str_split(&tag, ' ');
        if (!tag.ptr || !uuid_parse(tag, &tags[*tag_count].id))
            return false;
    }
    return true;
}

bool answers_shared(struct http_exchange *x)
{
    char key[SHARED_KEY_MAX];
    redisReply *reply;
    struct str text, pieces[5];
    int64_t ttl_ms;
    enum shared_cache_outcome outcome =
        shared_cache_find(x->shared_cache, shared_key_of(x, key), &reply, &text, &ttl_ms, &x->shared_stamp);
    if (outcome == SHARED_CACHE_MISS)
        metric_add(shared_metrics.misses, 1);
    if (outcome != SHARED_CACHE_HIT)
        return false;
    struct cache_tag tags[CACHE_TAGS_MAX];
    size_t tag_count;
    int status;
    if (!entry_decode(text, &status, pieces, tags, &tag_count) ||
        cache_is_ahead(x->server->cache, tags, tag_count, clock_monotonic_us())) {
        freeReplyObject(reply);
        return false;
    }
    metric_add(shared_metrics.hits, 1);
    struct cached *value = cached_new(status, pieces[0], pieces[1], pieces[4], pieces[2]);
    struct cache_fill *fill = x->fill;
    atomic_fetch_add_explicit(&value->references, 1, memory_order_relaxed);
    take_cached(x, value);
    x->fill = NULL;
    cache_fill_done(fill, value, tags, tag_count, clock_monotonic_us(), ttl_ms * 1000);
    freeReplyObject(reply);
    x->req.db = NULL;
    x->returns = RETURN_CACHED;
    exchange_finished(x);
    return true;
}

static void shared_store(struct http_exchange *x, const struct cache_tag *tags, size_t tag_count)
{
    if (!x->shared_cache || !x->shared_stamp || x->cached->bytes > SHARED_VALUE_MAX)
        return;
    char key[SHARED_KEY_MAX];
    struct shared_cache_tag shared[CACHE_TAGS_MAX];
    for (size_t i = 0; i < tag_count; i++)
        shared[i] = (struct shared_cache_tag){tags[i].kind, tags[i].id};
    bool sent = shared_cache_store(x->shared_cache, shared_key_of(x, key), x->shared_stamp,
                                   entry_encode(x, x->cached, tags, tag_count), shared, tag_count,
                                   (int64_t)x->req.route->cache_ttl_s * 1000);
    metric_add(shared_metrics.sent, sent);
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
    shared_store(x, tags, tag_count);
}
