#include "shop/checkout/known.h"

#include "base/check.h"
#include "work/lanes.h"

#include <pthread.h>
#include <stdlib.h>

#define WAYS 4
#define SETS (KNOWN_GOODS_MAX / WAYS)
#define LOCKS 64

/* ── goods ── */

/* One block of memory each, with the texts behind it. */
struct entry {
    struct goods goods;
    uint64_t kept; /* counts up: the smallest of a set is the oldest */
};

static struct entry *table[SETS][WAYS];
static pthread_mutex_t locks[LOCKS] = {[0 ... LOCKS - 1] = PTHREAD_MUTEX_INITIALIZER};

static size_t set_of(struct variant_id variant_id)
{
    return lane_hash(variant_id.uuid) / 2 % SETS; /* the lowest bit is always set */
}

static bool is_of(const struct entry *entry, struct variant_id variant_id, struct currency currency)
{
    return entry && variant_id_equal(entry->goods.variant.variant_id, variant_id) &&
           currency_equal(entry->goods.variant.currency, currency);
}

static struct entry *entry_new(const struct goods *goods)
{
    const struct checkout_variant *variant = &goods->variant;
    size_t path = variant->category_path.count * sizeof(struct uuid);
    struct entry *entry = malloc(sizeof *entry + path + variant->sku.len + variant->title.len);
    CHECK(entry);
    entry->goods = *goods;
    char *at = (char *)(entry + 1);
    if (path > 0)
        memcpy(at, variant->category_path.items, path);
    entry->goods.variant.category_path.items = (const struct uuid *)(const void *)at;
    memcpy(at += path, variant->sku.ptr, variant->sku.len);
    entry->goods.variant.sku.ptr = at;
    memcpy(at += variant->sku.len, variant->title.ptr, variant->title.len);
    entry->goods.variant.title.ptr = at;
    return entry;
}

static struct uuid_array uuids_copy(struct uuid_array from, struct arena *arena)
{
    struct uuid *items = ARENA_ARRAY(arena, struct uuid, from.count);
    for (size_t i = 0; i < from.count; i++)
        items[i] = from.items[i];
    return (struct uuid_array){items, from.count};
}

static void copy_out(const struct goods *kept, struct arena *arena, struct goods *goods)
{
    *goods = *kept;
    struct checkout_variant *variant = &goods->variant;
    variant->sku = arena_copy(arena, variant->sku);
    variant->title = arena_copy(arena, variant->title);
    variant->category_path = uuids_copy(variant->category_path, arena);
}

bool known_goods_find(struct variant_id variant_id, struct currency currency, int64_t now_us,
                      struct arena *arena, struct goods *goods)
{
    size_t set = set_of(variant_id);
    bool found = false;
    pthread_mutex_lock(&locks[set % LOCKS]);
    for (size_t i = 0; i < WAYS && !found; i++) {
        const struct entry *entry = table[set][i];
        found = is_of(entry, variant_id, currency) && now_us < entry->goods.good_until_us;
        if (found)
            copy_out(&entry->goods, arena, goods);
    }
    pthread_mutex_unlock(&locks[set % LOCKS]);
    return found;
}

void known_goods_keep(const struct goods *goods)
{
    static _Atomic uint64_t kept;
    size_t set = set_of(goods->variant.variant_id);
    struct entry *entry = entry_new(goods), **to = &table[set][0];
    entry->kept = ++kept;
    pthread_mutex_lock(&locks[set % LOCKS]);
    for (size_t i = 0; i < WAYS; i++) {
        struct entry **way = &table[set][i];
        bool same = is_of(*way, goods->variant.variant_id, goods->variant.currency);
        if (same || (*to && (!*way || (*way)->kept < (*to)->kept)))
            to = way;
        if (same)
            break;
    }
    free(*to);
    *to = entry;
    pthread_mutex_unlock(&locks[set % LOCKS]);
}

void known_goods_drop(struct variant_id variant_id, struct currency currency)
{
    size_t set = set_of(variant_id);
    pthread_mutex_lock(&locks[set % LOCKS]);
    for (size_t i = 0; i < WAYS; i++)
        if (is_of(table[set][i], variant_id, currency)) {
            free(table[set][i]);
            table[set][i] = NULL;
        }
    pthread_mutex_unlock(&locks[set % LOCKS]);
}

/* ── rules of miles ── */

static struct {
    pthread_mutex_t lock;
    struct arena *arena; /* holds the policies */
    struct miles_policy *policies;
    size_t count;
} rules = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct miles_policy *rules_copy(const struct miles_policy *policies, size_t count, struct arena *arena)
{
    struct miles_policy *copies = ARENA_ARRAY(arena, struct miles_policy, count);
    for (size_t i = 0; i < count; i++) {
        copies[i] = policies[i];
        copies[i].excluded_categories = uuids_copy(policies[i].excluded_categories, arena);
    }
    return copies;
}

bool known_rules_find(int32_t version, struct arena *arena, struct miles_policy **policies, size_t *count)
{
    pthread_mutex_lock(&rules.lock);
    bool found = rules.count > 0 && rules.policies[0].version == version;
    if (found) {
        *count = rules.count;
        *policies = rules_copy(rules.policies, rules.count, arena);
    }
    pthread_mutex_unlock(&rules.lock);
    return found;
}

void known_rules_keep(const struct miles_policy *policies, size_t count)
{
    pthread_mutex_lock(&rules.lock);
    if (!rules.arena)
        rules.arena = arena_new();
    arena_reset(rules.arena);
    rules.policies = rules_copy(policies, count, rules.arena);
    rules.count = count;
    pthread_mutex_unlock(&rules.lock);
}
