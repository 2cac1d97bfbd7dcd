/* Facets: what is counted of the products that a question about further choices looks at, and what keys mean.
 * Pure but for the names, which the process keeps: a key is a hash of its name (listing_key in the schema),
 * so what it means never changes. */
#ifndef CATHAY_SHOP_CATALOG_FACETS_H
#define CATHAY_SHOP_CATALOG_FACETS_H

#include "base/arena.h"
#include "pg/pg_types.h"

/* What is told is bounded, so that goods with many and long values make a long list and no failing one. */
#define FACET_VALUES_MAX 50                 /* of a facet */
#define FACET_ATTRIBUTES_MAX 40             /* those that most products have */
#define FACET_BYTES_MAX ((size_t)12 * 1024) /* of an attribute's values as JSON; the first is told always */
#define FACET_NAMES_MAX 65536 /* kept by the process, some 10 MB; further ones are looked up each time */

/* Keys that name no attribute, brand, vendor or category: a product itself, one that is in stock, and from 1
 * on the price bands. */
#define FACET_KEY_TOTAL 0
#define FACET_KEY_STOCK (-1)
#define FACET_BANDS 13
/* Where they begin, in minor units, as listing_bands() in the schema has it. */
extern const int64_t facet_bands[FACET_BANDS];

/* A value that was chosen of an attribute; facet: '=' and its code. */
struct facet_choice {
    struct str facet;
    int64_t key;
};

/* What a question lets pass: of each facet with choices, but its own, one of them. */
struct facet_filter {
    struct opt_int64 price_least, price_most;
    bool in_stock_only;
    const struct facet_choice *choices;
    size_t choice_count;
};

struct facet_count {
    int64_t key;
    int64_t count; /* 0: an empty slot */
};
/* A table of slots, in no order. */
struct facet_tally {
    struct facet_count *slots;
    size_t slot_count, used;
};

/* Counts what the products of a question have: each product's keys, itself, its price band, and whether it is
 * in stock; of a question about "price" or "stock" that alone. products: for each the bytes of PostgreSQL's
 * array_send() of its keys and, behind them, its price times two, plus one where it is in stock. */
struct facet_tally facets_tally(struct arena *arena, struct str products, struct str question,
                                const struct facet_filter *filter);

/* facet: '=' and an attribute's code, or brand, vendor, category, price, stock, total. Lives as long as the
 * process. */
struct facet_name {
    int64_t key;
    struct str facet, value;
};
/* NULL: not met yet. Thread-safe. */
const struct facet_name *facets_name(int64_t key);
/* Keeps it where there is room. Thread-safe. */
void facets_name_add(int64_t key, struct str facet, struct str value);

/* A value of a facet with its count. place: before values of the same count, where they do not go by their
 * names. */
struct facet_value {
    struct str facet, value;
    int64_t count, place;
};
/* By facet, the greatest count first. */
void facets_sort(struct facet_value *values, size_t count);

#endif
