/* Counting in a table of its own, in C: PostgreSQL takes 0.3 µs for each key of a product that it unnests and
 * groups, this takes hundredths of that, and a question meets some thousands. */
#include "shop/catalog/facets.h"

#include "base/check.h"

#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

const int64_t facet_bands[FACET_BANDS] = {0,      1000,   2000,   5000,    10000,   20000,  50000,
                                          100000, 200000, 500000, 1000000, 2000000, 5000000};

#define SLOTS_LEAST 1024
#define ARRAY_HEAD_BYTES 20 /* dimensions, flags, type, length, lower bound */
#define ARRAY_ITEM_BYTES 12 /* length, value */

static size_t slot_of(int64_t key, size_t slot_count)
{
    /* Bands are small numbers: the multiplication spreads them. */
    return (size_t)(((uint64_t)key * 0x9E3779B97F4A7C15u) >> 32) & (slot_count - 1);
}

static struct facet_count *slot_find(struct facet_count *slots, size_t slot_count, int64_t key)
{
    size_t at = slot_of(key, slot_count);
    while (slots[at].count && slots[at].key != key)
        at = (at + 1) & (slot_count - 1);
    return &slots[at];
}

static void tally_grow(struct facet_tally *tally, struct arena *arena)
{
    size_t slot_count = tally->slot_count * 2;
    struct facet_count *slots = ARENA_ARRAY(arena, struct facet_count, slot_count);
    for (size_t i = 0; i < tally->slot_count; i++)
        if (tally->slots[i].count)
            *slot_find(slots, slot_count, tally->slots[i].key) = tally->slots[i];
    tally->slots = slots;
    tally->slot_count = slot_count;
}

static void tally_add(struct facet_tally *tally, struct arena *arena, int64_t key)
{
    struct facet_count *slot = slot_find(tally->slots, tally->slot_count, key);
    if (slot->count++)
        return;
    slot->key = key;
    if (++tally->used * 2 > tally->slot_count)
        tally_grow(tally, arena);
}

static int64_t number_at(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return (int64_t)be64toh(value);
}

static int64_t band_of(int64_t price_minor)
{
    int64_t band = 0;
    while (band < FACET_BANDS && facet_bands[band] <= price_minor)
        band++;
    return band;
}

/* Keys as array_send() has them. */
struct keys {
    const char *items;
    size_t count;
};

static bool has_key(struct keys keys, int64_t key)
{
    for (size_t i = 0; i < keys.count; i++)
        if (number_at(keys.items + i * ARRAY_ITEM_BYTES) == key)
            return true;
    return false;
}

/* Several values of one facet mean any of them. */
static bool has_choices(struct keys keys, struct str question, const struct facet_filter *filter)
{
    for (size_t i = 0; i < filter->choice_count; i++) {
        struct str facet = filter->choices[i].facet;
        bool has = str_equal(facet, question);
        for (size_t n = 0; n < filter->choice_count && !has; n++)
            has = str_equal(filter->choices[n].facet, facet) && has_key(keys, filter->choices[n].key);
        if (!has)
            return false;
    }
    return true;
}

struct facet_tally facets_tally(struct arena *arena, struct str products, struct str question,
                                const struct facet_filter *filter)
{
    struct facet_tally tally = {ARENA_ARRAY(arena, struct facet_count, SLOTS_LEAST), SLOTS_LEAST, 0};
    bool of_price = str_equal(question, STR("price")), of_stock = str_equal(question, STR("stock"));
    const char *end = products.ptr + products.len;
    for (const char *at = products.ptr; at < end;) {
        if (end - at < ARRAY_HEAD_BYTES)
            break;
        uint32_t items;
        memcpy(&items, at + 12, sizeof items);
        items = be32toh(items);
        const char *item = at + ARRAY_HEAD_BYTES + 4;
        /* An item that is NULL would be shorter: what is not as it should be is not counted. */
        if (items == 0 || items > (size_t)(end - at - ARRAY_HEAD_BYTES) / ARRAY_ITEM_BYTES)
            break;
        at += ARRAY_HEAD_BYTES + (size_t)items * ARRAY_ITEM_BYTES;
        int64_t last = number_at(at - 8), price_minor = last >> 1;
        bool in_stock = last & 1;
        if ((!of_price && ((filter->price_least.present && price_minor < filter->price_least.value) ||
                           (filter->price_most.present && price_minor > filter->price_most.value))) ||
            (!of_stock && filter->in_stock_only && !in_stock) ||
            !has_choices((struct keys){item, items - 1}, question, filter))
            continue;
        if (!of_stock)
            tally_add(&tally, arena, band_of(price_minor));
        if (in_stock && !of_price)
            tally_add(&tally, arena, FACET_KEY_STOCK);
        if (of_price || of_stock)
            continue;
        tally_add(&tally, arena, FACET_KEY_TOTAL);
        for (uint32_t i = 0; i + 1 < items; i++)
            tally_add(&tally, arena, number_at(item + (size_t)i * ARRAY_ITEM_BYTES));
    }
    return tally;
}

/* ── names ── */

/* Twice as many places as names, so that a way through it is short. Entries are never changed, moved or
 * freed, so whoever reads needs no lock. */
#define NAME_SLOTS ((size_t)FACET_NAMES_MAX * 2)

static _Atomic(const struct facet_name *) names[NAME_SLOTS];
static size_t name_count;
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;

static size_t name_slot(int64_t key, const struct facet_name **found)
{
    size_t at = slot_of(key, NAME_SLOTS);
    while ((*found = atomic_load_explicit(&names[at], memory_order_acquire)) && (*found)->key != key)
        at = (at + 1) & (NAME_SLOTS - 1);
    return at;
}

const struct facet_name *facets_name(int64_t key)
{
    const struct facet_name *found;
    name_slot(key, &found);
    return found;
}

void facets_name_add(int64_t key, struct str facet, struct str value)
{
    pthread_mutex_lock(&names_lock);
    const struct facet_name *found;
    size_t slot = name_slot(key, &found);
    if (!found && name_count < FACET_NAMES_MAX) {
        struct facet_name *name = malloc(sizeof *name + facet.len + value.len);
        CHECK(name);
        char *text = (char *)(name + 1);
        memcpy(text, facet.ptr, facet.len);
        memcpy(text + facet.len, value.ptr, value.len);
        *name = (struct facet_name){key, {text, facet.len}, {text + facet.len, value.len}};
        atomic_store_explicit(&names[slot], name, memory_order_release);
        name_count++;
    }
    pthread_mutex_unlock(&names_lock);
}

/* ── the greatest of each ── */

static int str_compare(struct str a, struct str b)
{
    size_t both = a.len < b.len ? a.len : b.len;
    int order = both ? memcmp(a.ptr, b.ptr, both) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int value_compare(const void *left, const void *right)
{
    const struct facet_value *a = left, *b = right;
    int order = str_compare(a->facet, b->facet);
    if (order)
        return order;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    if (a->place != b->place)
        return a->place < b->place ? -1 : 1;
    return str_compare(a->value, b->value);
}

void facets_sort(struct facet_value *values, size_t count)
{
    if (count)
        qsort(values, count, sizeof *values, value_compare);
}
