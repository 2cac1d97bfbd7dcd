/* Stamps. The cache counts invalidations. A table of THINGS slots for each kind holds, for the hash of each
 * id, the number of the last invalidation that touched it. A computation remembers the count at its
 * beginning, before it reads the database; its value is good as long as no slot of its tags holds a greater
 * number. So nothing has to be searched when something is invalidated, and a value that was computed from
 * older data fails the test whenever it arrives. Two ids that share a slot cost a needless computation now
 * and then, never a wrong answer. Each kind has a table of its own because some change thousands of times a
 * second (balances), and would soon have touched every slot of the others.
 *
 * Even stamp: the change is already published to Redis, where the relay stamps first. Odd: local,
 * unpublished; values of this process that began earlier are stale, and so is what Redis holds
 * (cache_is_ahead) until the change is published. The first message may be about an earlier change of the
 * same thing, so for AHEAD_S seconds no message ends that state.
 *
 * Eviction is second chance: a hit only sets a mark, and what is evicted is the oldest entry without one. */
#include "http/cache.h"

#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

#define SHARDS 16
#define THINGS 65536          /* slots of a kind; behind them: */
#define SLOT_ANY THINGS       /* any change of the kind */
#define SLOT_ALL (THINGS + 1) /* all of the kind at once */
#define SLOTS_PER_KIND (THINGS + 2)
#define KINDS_MAX 16 /* the last table is shared by all kinds beyond */
#define KIND_NAME_MAX 80
#define AHEAD_S 5    /* longer than a change usually takes to be told */
#define SLOTS_MAX 20 /* of one entry: two per tag */

struct entry {
    struct entry *next;          /* in the bucket */
    struct entry *newer, *older; /* of those that hold a value */
    uint64_t hash;
    struct cached *value;    /* NULL while it is computed for the first time */
    struct cache_fill *fill; /* not NULL while it is computed */
    int64_t expires_us;
    uint64_t stamp;
    uint32_t slots[SLOTS_MAX];
    uint8_t slot_count;
    bool marked;
    uint16_t key_len;
    char key[];
};

struct cache_fill {
    struct cache *cache;
    struct entry *entry;
    uint64_t stamp;
    struct cache_waiter *waiters;
};

struct shard {
    pthread_mutex_t lock;
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    struct entry *newest, *oldest;
    size_t entries, bytes;
    int64_t evictions;
} __attribute__((aligned(64)));

struct kind {
    struct str name;
    char text[KIND_NAME_MAX];
    _Atomic uint64_t stamps[SLOTS_PER_KIND];
    _Atomic uint32_t ahead_until_s[SLOTS_PER_KIND]; /* of slots that this process changed */
};

struct cache {
    size_t shard_entries_max, shard_bytes_max;
    pthread_mutex_t invalidate_lock; /* also of adding a kind */
    _Atomic uint64_t sequence, floor;
    _Atomic size_t kind_count;
    struct kind *kinds[KINDS_MAX]; /* by first use; never moved */
    struct shard shards[SHARDS];
};

struct cached *cached_new(int status, struct str head, struct str head_unchanged, struct str body,
                          struct str etag)
{
    size_t bytes = sizeof(struct cached) + head.len + head_unchanged.len + body.len + etag.len;
    struct cached *value = malloc(bytes);
    CHECK(value);
    char *at = (char *)(value + 1);
    struct str *to[] = {&value->head, &value->head_unchanged, &value->etag, &value->body};
    struct str from[] = {head, head_unchanged, etag, body};
    for (size_t i = 0; i < 4; i++) {
        if (from[i].len)
            memcpy(at, from[i].ptr, from[i].len);
        *to[i] = (struct str){at, from[i].len};
        at += from[i].len;
    }
    value->status = status;
    value->bytes = bytes;
    atomic_init(&value->references, 1);
    return value;
}

void cached_release(struct cached *value)
{
    if (value && atomic_fetch_sub_explicit(&value->references, 1, memory_order_acq_rel) == 1)
        free(value);
}

static struct cached *reference(struct cached *value)
{
    atomic_fetch_add_explicit(&value->references, 1, memory_order_relaxed);
    return value;
}

struct cache *cache_new(size_t entries_max, size_t bytes_max)
{
    struct cache *cache = aligned_alloc(64, (sizeof *cache + 63) & ~(size_t)63);
    CHECK(cache);
    memset(cache, 0, sizeof *cache);
    cache->shard_entries_max = (entries_max + SHARDS - 1) / SHARDS;
    cache->shard_bytes_max = bytes_max / SHARDS;
    pthread_mutex_init(&cache->invalidate_lock, NULL);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_init(&shard->lock, NULL);
        shard->bucket_count = 64;
        while (shard->bucket_count < cache->shard_entries_max)
            shard->bucket_count *= 2;
        shard->buckets = calloc(shard->bucket_count, sizeof(struct entry *));
        CHECK(shard->buckets);
    }
    return cache;
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        for (size_t b = 0; b < shard->bucket_count; b++)
            while (shard->buckets[b]) {
                struct entry *gone = shard->buckets[b];
                CHECK(!gone->fill);
                shard->buckets[b] = gone->next;
                cached_release(gone->value);
                free(gone);
            }
        free(shard->buckets);
        pthread_mutex_destroy(&shard->lock);
    }
    for (size_t i = 0; i < cache->kind_count; i++)
        free(cache->kinds[i]);
    pthread_mutex_destroy(&cache->invalidate_lock);
    free(cache);
}

/* ---- stamps ---- */

/* A name that is too long ends where there is no more room. */
static size_t kind_find(const struct cache *cache, struct str name)
{
    if (name.len > KIND_NAME_MAX)
        name.len = KIND_NAME_MAX;
    size_t count = atomic_load_explicit(&cache->kind_count, memory_order_acquire), i = 0;
    while (i < count && !str_equal(cache->kinds[i]->name, name))
        i++;
    return i;
}

/* With the lock held. */
static size_t kind_add(struct cache *cache, struct str name)
{
    size_t at = kind_find(cache, name);
    if (at < cache->kind_count)
        return at;
    if (at == KINDS_MAX)
        return KINDS_MAX - 1;
    struct kind *kind = calloc(1, sizeof *kind); /* zero pages until they are written */
    CHECK(kind);
    kind->name = (struct str){kind->text, name.len < KIND_NAME_MAX ? name.len : KIND_NAME_MAX};
    memcpy(kind->text, name.ptr, kind->name.len);
    cache->kinds[at] = kind;
    atomic_store_explicit(&cache->kind_count, at + 1, memory_order_release);
    return at;
}

static size_t kind_of(struct cache *cache, struct str name)
{
    size_t at = kind_find(cache, name);
    if (at < atomic_load_explicit(&cache->kind_count, memory_order_acquire))
        return at;
    pthread_mutex_lock(&cache->invalidate_lock);
    at = kind_add(cache, name);
    pthread_mutex_unlock(&cache->invalidate_lock);
    return at;
}

static uint32_t slot_thing(struct uuid id)
{
    return (uint32_t)(XXH3_64bits(id.bytes, sizeof id.bytes) % THINGS);
}

/* here_s: when this process changed it; 0: somebody told of a change. */
static void invalidate(struct cache *cache, struct str kind, struct uuid id, uint32_t here_s)
{
    pthread_mutex_lock(&cache->invalidate_lock);
    uint64_t stamp = atomic_fetch_add_explicit(&cache->sequence, 2, memory_order_acq_rel) + (here_s ? 1 : 2);
    if (kind.len == 0) {
        atomic_store_explicit(&cache->floor, stamp, memory_order_release);
    } else {
        struct kind *changed = cache->kinds[kind_add(cache, kind)];
        uint32_t slots[] = {SLOT_ANY, uuid_is_zero(id) ? SLOT_ALL : slot_thing(id)};
        for (size_t i = 0; i < 2; i++) {
            if (here_s)
                atomic_store_explicit(&changed->ahead_until_s[slots[i]], here_s + AHEAD_S,
                                      memory_order_release);
            atomic_store_explicit(&changed->stamps[slots[i]], stamp, memory_order_release);
        }
    }
    pthread_mutex_unlock(&cache->invalidate_lock);
}

void cache_invalidate(struct cache *cache, struct str kind, struct uuid id)
{
    invalidate(cache, kind, id, 0);
}

static uint32_t seconds_of(int64_t now_us)
{
    return (uint32_t)(now_us / 1000000) + 1;
}

void cache_invalidate_here(struct cache *cache, struct str kind, struct uuid id, int64_t now_us)
{
    CHECK(kind.len > 0);
    invalidate(cache, kind, id, seconds_of(now_us));
}

static bool stamps_fit(const struct cache *cache, uint64_t stamp, const uint32_t *slots, size_t count)
{
    if (atomic_load_explicit(&cache->floor, memory_order_acquire) > stamp)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct kind *kind = cache->kinds[slots[i] / SLOTS_PER_KIND];
        if (atomic_load_explicit(&kind->stamps[slots[i] % SLOTS_PER_KIND], memory_order_acquire) > stamp)
            return false;
    }
    return true;
}

static size_t slots_of(struct cache *cache, const struct cache_tag *tags, size_t tag_count,
                       uint32_t slots[SLOTS_MAX])
{
    size_t count = 0;
    CHECK(2 * tag_count <= SLOTS_MAX);
    for (size_t i = 0; i < tag_count; i++) {
        uint32_t first = (uint32_t)kind_of(cache, tags[i].kind) * SLOTS_PER_KIND;
        bool any = uuid_is_zero(tags[i].id);
        slots[count++] = first + (any ? SLOT_ANY : slot_thing(tags[i].id));
        bool known = any; /* SLOT_ANY moves with SLOT_ALL */
        for (size_t k = 0; k < count && !known; k++)
            known = slots[k] == first + SLOT_ALL;
        if (!known)
            slots[count++] = first + SLOT_ALL;
    }
    return count;
}

bool cache_is_ahead(struct cache *cache, const struct cache_tag *tags, size_t tag_count, int64_t now_us)
{
    uint32_t slots[SLOTS_MAX];
    size_t count = slots_of(cache, tags, tag_count, slots);
    uint64_t floor = atomic_load_explicit(&cache->floor, memory_order_acquire);
    for (size_t i = 0; i < count; i++) {
        const struct kind *kind = cache->kinds[slots[i] / SLOTS_PER_KIND];
        uint32_t slot = slots[i] % SLOTS_PER_KIND;
        uint64_t stamp = atomic_load_explicit(&kind->stamps[slot], memory_order_acquire);
        if ((stamp % 2 == 1 && stamp > floor) ||
            atomic_load_explicit(&kind->ahead_until_s[slot], memory_order_acquire) > seconds_of(now_us))
            return true;
    }
    return false;
}

/* ---- entries; each function with the shard's lock held ---- */

static void age_unlink(struct shard *shard, struct entry *entry)
{
    *(entry->newer ? &entry->newer->older : &shard->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &shard->oldest) = entry->newer;
    entry->newer = entry->older = NULL;
}

static void age_link_newest(struct shard *shard, struct entry *entry)
{
    entry->older = shard->newest;
    entry->newer = NULL;
    *(shard->newest ? &shard->newest->newer : &shard->oldest) = entry;
    shard->newest = entry;
}

static void value_drop(struct shard *shard, struct entry *entry)
{
    age_unlink(shard, entry);
    shard->entries--;
    shard->bytes -= entry->value->bytes + entry->key_len;
    cached_release(entry->value);
    entry->value = NULL;
}

static void entry_remove(struct shard *shard, struct entry *entry)
{
    struct entry **at = &shard->buckets[(entry->hash >> 8) & (shard->bucket_count - 1)];
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    free(entry);
}

static void evict(const struct cache *cache, struct shard *shard)
{
    while (shard->oldest &&
           (shard->entries > cache->shard_entries_max || shard->bytes > cache->shard_bytes_max)) {
        struct entry *entry = shard->oldest;
        if (entry->marked) {
            entry->marked = false;
            age_unlink(shard, entry);
            age_link_newest(shard, entry);
            continue;
        }
        value_drop(shard, entry);
        shard->evictions++;
        if (!entry->fill)
            entry_remove(shard, entry);
    }
}

static struct entry *entry_find(const struct shard *shard, struct str key, uint64_t hash)
{
    struct entry *entry = shard->buckets[(hash >> 8) & (shard->bucket_count - 1)];
    while (entry &&
           !(entry->hash == hash && entry->key_len == key.len && memcmp(entry->key, key.ptr, key.len) == 0))
        entry = entry->next;
    return entry;
}

static struct entry *entry_add(struct shard *shard, struct str key, uint64_t hash)
{
    struct entry *entry = calloc(1, sizeof *entry + key.len);
    CHECK(entry);
    entry->hash = hash;
    entry->key_len = (uint16_t)key.len;
    memcpy(entry->key, key.ptr, key.len);
    struct entry **bucket = &shard->buckets[(hash >> 8) & (shard->bucket_count - 1)];
    entry->next = *bucket;
    *bucket = entry;
    return entry;
}

static struct cache_fill *fill_begin(struct cache *cache, struct entry *entry)
{
    struct cache_fill *fill = calloc(1, sizeof *fill);
    CHECK(fill);
    fill->cache = cache;
    fill->entry = entry;
    fill->stamp = atomic_load_explicit(&cache->sequence, memory_order_acquire);
    entry->fill = fill;
    return fill;
}

/* ---- what callers use ---- */

static struct shard *shard_of(struct cache *cache, uint64_t hash)
{
    return &cache->shards[hash % SHARDS];
}

/* The entry's value if it is still good, as a reference. */
static struct cached *good_value(const struct cache *cache, struct entry *entry, int64_t now_us)
{
    if (!entry || !entry->value || now_us >= entry->expires_us ||
        !stamps_fit(cache, entry->stamp, entry->slots, entry->slot_count))
        return NULL;
    entry->marked = true;
    return reference(entry->value);
}

bool cache_peek(struct cache *cache, struct str key, int64_t now_us, struct cached **value)
{
    uint64_t hash = XXH3_64bits(key.ptr, key.len);
    struct shard *shard = shard_of(cache, hash);
    pthread_mutex_lock(&shard->lock);
    *value = good_value(cache, entry_find(shard, key, hash), now_us);
    pthread_mutex_unlock(&shard->lock);
    return *value != NULL;
}

enum cache_outcome cache_find(struct cache *cache, struct str key, int64_t now_us,
                              struct cache_waiter *waiter, struct cached **value, struct cache_fill **fill)
{
    CHECK(key.len <= CACHE_KEY_MAX);
    uint64_t hash = XXH3_64bits(key.ptr, key.len);
    struct shard *shard = shard_of(cache, hash);
    enum cache_outcome outcome = CACHE_FILL;
    *fill = NULL;
    pthread_mutex_lock(&shard->lock);
    struct entry *entry = entry_find(shard, key, hash);
    *value = good_value(cache, entry, now_us);
    if (*value) {
        outcome = CACHE_HIT;
    } else {
        if (entry && entry->value)
            value_drop(shard, entry);
        if (!entry || !entry->fill) {
            *fill = fill_begin(cache, entry ? entry : entry_add(shard, key, hash));
        } else if (waiter) {
            waiter->next = entry->fill->waiters;
            entry->fill->waiters = waiter;
            outcome = CACHE_WAIT;
        }
    }
    pthread_mutex_unlock(&shard->lock);
    return outcome;
}

static void fill_end(struct cache_fill *fill, struct cached *value, bool again)
{
    struct cache_waiter *waiter = fill->waiters;
    while (waiter) {
        struct cache_waiter *next = waiter->next;
        waiter->wake(waiter, value ? reference(value) : NULL, again);
        waiter = next;
    }
    free(fill);
}

void cache_fill_done(struct cache_fill *fill, struct cached *value, const struct cache_tag *tags,
                     size_t tag_count, int64_t now_us, int64_t ttl_us)
{
    struct cache *cache = fill->cache;
    struct entry *entry = fill->entry;
    struct shard *shard = shard_of(cache, entry->hash);
    pthread_mutex_lock(&shard->lock);
    CHECK(entry->fill == fill && !entry->value);
    entry->fill = NULL;
    entry->slot_count = (uint8_t)slots_of(cache, tags, tag_count, entry->slots);
    bool fits = stamps_fit(cache, fill->stamp, entry->slots, entry->slot_count);
    if (fits && value->bytes <= CACHE_VALUE_MAX) {
        entry->value = reference(value);
        entry->stamp = fill->stamp;
        entry->expires_us = now_us + ttl_us;
        entry->marked = false;
        age_link_newest(shard, entry);
        shard->entries++;
        shard->bytes += value->bytes + entry->key_len;
        evict(cache, shard);
    } else {
        entry_remove(shard, entry);
    }
    pthread_mutex_unlock(&shard->lock);
    /* Eviction may have dropped the entry's reference, not ours; the analyzer does not count references. */
    fill_end(fill, fits ? value : NULL, true); /* NOLINT(clang-analyzer-unix.Malloc) */
    cached_release(value);
}

void cache_fill_fail(struct cache_fill *fill)
{
    struct entry *entry = fill->entry;
    struct shard *shard = shard_of(fill->cache, entry->hash);
    pthread_mutex_lock(&shard->lock);
    entry->fill = NULL;
    CHECK(!entry->value);
    entry_remove(shard, entry);
    pthread_mutex_unlock(&shard->lock);
    fill_end(fill, NULL, false);
}

struct cache_counts cache_counts(struct cache *cache)
{
    struct cache_counts counts = {0};
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        counts.entries += (int64_t)shard->entries;
        counts.bytes += (int64_t)shard->bytes;
        counts.evictions += shard->evictions;
        pthread_mutex_unlock(&shard->lock);
    }
    return counts;
}
