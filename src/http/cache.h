/* Encoded answers kept in the process: bounded in entries and bytes, sharded, filled once for all who wait.
 * Knows nothing of HTTP but that a value is some pieces of text. Thread-safe; nothing blocks longer than a
 * short critical section.
 *
 * Invalidation works by stamps, see cache.c: also an answer whose computation is under way when its tag is
 * invalidated is never kept. */
#ifndef CATHAY_HTTP_CACHE_H
#define CATHAY_HTTP_CACHE_H

#include "base/id.h"
#include "base/str.h"

#include <stdatomic.h>

#define CACHE_KEY_MAX 1024                    /* longer keys are not cached */
#define CACHE_VALUE_MAX ((size_t)1024 * 1024) /* larger answers are not kept */

struct cache;
struct cache_fill; /* the duty to compute one value */

/* A value; read-only, counted references. */
struct cached {
    _Atomic int references;
    int status;
    struct str head;           /* status line and fields, without the last ones and the empty line */
    struct str head_unchanged; /* the same of the 304 */
    struct str body, etag;     /* etag with its quotes */
    size_t bytes;
};
struct cached *cached_new(int status, struct str head, struct str head_unchanged, struct str body,
                          struct str etag);
void cached_release(struct cached *value);

/* Part of whoever may have to wait. `wake` is called once, on any thread, with a reference to the value; or
 * with NULL: `again` then says that asking the cache again makes sense (the value became stale while it was
 * computed), otherwise the computation failed, and each has to compute for itself. */
struct cache_waiter {
    struct cache_waiter *next;
    void (*wake)(struct cache_waiter *waiter, struct cached *value, bool again);
};

enum cache_outcome {
    CACHE_HIT,  /* *value is a reference */
    CACHE_FILL, /* the caller computes: cache_fill_done or cache_fill_fail must follow */
    CACHE_WAIT  /* the waiter will be woken */
};

struct cache_tag {
    struct str kind;
    struct uuid id; /* zero: depends on all things of that kind */
};

struct cache *cache_new(size_t entries_max, size_t bytes_max);
void cache_free(struct cache *cache); /* no fill may be under way */
/* Only looks: true with a reference to a good value. */
bool cache_peek(struct cache *cache, struct str key, int64_t now_us, struct cached **value);
/* waiter NULL: never waits (CACHE_FILL with *fill NULL where another computes). */
enum cache_outcome cache_find(struct cache *cache, struct str key, int64_t now_us,
                              struct cache_waiter *waiter, struct cached **value, struct cache_fill **fill);
/* Takes over a reference to value, keeps it until ttl_us has passed or a tag is invalidated, and wakes those
 * who wait. */
void cache_fill_done(struct cache_fill *fill, struct cached *value, const struct cache_tag *tags,
                     size_t tag_count, int64_t now_us, int64_t ttl_us);
void cache_fill_fail(struct cache_fill *fill);

/* (kind, id): what is tagged with it and what is tagged (kind, zero). A zero id: all that has the kind. An
 * empty kind: everything. */
void cache_invalidate(struct cache *cache, struct str kind, struct uuid id);
/* The same for a change of this process that is not published yet. */
void cache_invalidate_here(struct cache *cache, struct str kind, struct uuid id, int64_t now_us);
/* True if one of the tags was invalidated here within the last seconds, or the change is not published yet:
 * copies elsewhere may be stale. */
bool cache_is_ahead(struct cache *cache, const struct cache_tag *tags, size_t tag_count, int64_t now_us);

struct cache_counts {
    int64_t entries, bytes, evictions;
};
struct cache_counts cache_counts(struct cache *cache);

#endif
