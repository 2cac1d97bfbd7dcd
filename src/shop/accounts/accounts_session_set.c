/* Open addressing in shards, each with its lock. Entries only come; those whose time has passed go when a
 * shard is built anew, to grow or to forget. */
#include "base/check.h"
#include "shop/accounts/accounts_session_set.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SHARDS 64
#define SHARD_SLOTS_MIN 64

struct slot {
    struct session_id id;
    int64_t until_s; /* 0: empty */
};

struct shard {
    pthread_mutex_t lock;
    size_t slot_count, used; /* a power of two; at most half are used */
    struct slot *slots;
};

struct session_set {
    size_t entries_max;
    _Atomic size_t count;
    struct shard shards[SHARDS];
};

static uint64_t hash_of(struct session_id id)
{
    return XXH3_64bits(id.uuid.bytes, sizeof id.uuid.bytes);
}

struct session_set *session_set_new(size_t entries_max)
{
    struct session_set *set = calloc(1, sizeof *set);
    CHECK(set);
    set->entries_max = entries_max;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &set->shards[i];
        pthread_mutex_init(&shard->lock, NULL);
        shard->slot_count = SHARD_SLOTS_MIN;
        shard->slots = calloc(shard->slot_count, sizeof *shard->slots);
        CHECK(shard->slots);
    }
    return set;
}

void session_set_free(struct session_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_destroy(&set->shards[i].lock);
        free(set->shards[i].slots);
    }
    free(set);
}

/* The slot of the session, or the empty one where it would be. */
static struct slot *slot_find(const struct shard *shard, uint64_t hash, struct session_id id)
{
    size_t at = (hash / SHARDS) & (shard->slot_count - 1);
    while (shard->slots[at].until_s && !uuid_equal(shard->slots[at].id.uuid, id.uuid))
        at = (at + 1) & (shard->slot_count - 1);
    return &shard->slots[at];
}

/* With the shard's lock. */
static void rebuild(struct session_set *set, struct shard *shard, size_t slot_count, int64_t now_s)
{
    struct shard old = *shard;
    shard->slot_count = slot_count;
    shard->used = 0;
    shard->slots = calloc(slot_count, sizeof *shard->slots);
    CHECK(shard->slots);
    for (size_t i = 0; i < old.slot_count; i++) {
        if (old.slots[i].until_s <= now_s)
            continue;
        *slot_find(shard, hash_of(old.slots[i].id), old.slots[i].id) = old.slots[i];
        shard->used++;
    }
    atomic_fetch_sub(&set->count, old.used - shard->used);
    free(old.slots);
}

bool session_set_add(struct session_set *set, struct session_id id, int64_t until_s)
{
    uint64_t hash = hash_of(id);
    struct shard *shard = &set->shards[hash % SHARDS];
    pthread_mutex_lock(&shard->lock);
    struct slot *slot = slot_find(shard, hash, id);
    bool room = slot->until_s || atomic_load(&set->count) < set->entries_max;
    if (room) {
        if (!slot->until_s) {
            shard->used++;
            atomic_fetch_add(&set->count, 1);
        }
        *slot = (struct slot){id, until_s};
        if (shard->used > shard->slot_count / 2)
            rebuild(set, shard, shard->slot_count * 2, 0);
    }
    pthread_mutex_unlock(&shard->lock);
    return room;
}

bool session_set_has(struct session_set *set, struct session_id id)
{
    if (atomic_load_explicit(&set->count, memory_order_acquire) == 0)
        return false;
    uint64_t hash = hash_of(id);
    struct shard *shard = &set->shards[hash % SHARDS];
    pthread_mutex_lock(&shard->lock);
    bool found = slot_find(shard, hash, id)->until_s != 0;
    pthread_mutex_unlock(&shard->lock);
    return found;
}

void session_set_expire(struct session_set *set, int64_t now_s)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &set->shards[i];
        pthread_mutex_lock(&shard->lock);
        size_t slot_count = shard->slot_count;
        while (slot_count > SHARD_SLOTS_MIN && shard->used < slot_count / 8)
            slot_count /= 2;
        rebuild(set, shard, slot_count, now_s);
        pthread_mutex_unlock(&shard->lock);
    }
}

size_t session_set_count(struct session_set *set)
{
    return atomic_load(&set->count);
}
