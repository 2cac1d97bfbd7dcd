/* The second level of a cache: values in Redis, with tags, shared by all servers. Bytes in, bytes out; what
 * they mean is the caller's. Nothing here is the truth: a value may be gone at any moment, but one whose tag
 * was invalidated is never found again, and never stored by who began to compute it before; see
 * shared_cache.c.
 *
 * Keys in Redis: what callers choose, behind "cache:", and "cache:stamps". */
#ifndef CATHAY_REDIS_SHARED_CACHE_H
#define CATHAY_REDIS_SHARED_CACHE_H

#include "base/id.h"
#include "redis/redis.h"

#define SHARED_CACHE_TAGS_MAX 10

/* (kind, id): depends on that thing; a zero id: on all things of the kind. kind is not empty. */
struct shared_cache_tag {
    struct str kind;
    struct uuid id;
};

/* One thread's access. Blocks as redis_call() does. */
struct shared_cache;
struct shared_cache *shared_cache_new(const char *redis_url); /* the URL has been checked */
void shared_cache_free(struct shared_cache *cache);           /* NULL is allowed */

enum shared_cache_outcome { SHARED_CACHE_HIT, SHARED_CACHE_MISS, SHARED_CACHE_AWAY };
/* HIT: value points into *reply, which the caller frees; ttl_ms is what is left. MISS: *stamp is what
 * shared_cache_store() wants; take it before reading what the value is made from. */
enum shared_cache_outcome shared_cache_find(struct shared_cache *cache, struct str key, redisReply **reply,
                                            struct str *value, int64_t *ttl_ms, int64_t *stamp);
/* Sends it to be kept, and does not wait: Redis keeps it unless something it depends on has changed
 * meanwhile, or a younger one is there. False: Redis is away. */
bool shared_cache_store(struct shared_cache *cache, struct str key, int64_t stamp, struct str value,
                        const struct shared_cache_tag *tags, size_t tag_count, int64_t ttl_ms);

/* Invalidates things of a kind and then publishes message on channel, as one step: who hears of it finds
 * nothing old. Queued like redis_queue(). No ids: all of the kind; an empty kind: everything. */
#define SHARED_CACHE_IDS_MAX 256
bool shared_cache_invalidate_queue(struct redis *redis, struct str kind, const struct uuid *ids, size_t count,
                                   const char *channel, struct str message);

#endif
