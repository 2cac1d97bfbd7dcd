/* The demo shop: a whole marketplace made up from tables of words and shapes, the same on every run. */
#ifndef CATHAY_APP_DEMO_DEMO_H
#define CATHAY_APP_DEMO_DEMO_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include "pg/pg.h"

/* What the variants of a kind of product differ in. */
enum demo_options {
    DEMO_PLAIN,   /* one variant */
    DEMO_COLOURS, /* three or four colours */
    DEMO_CLOTHES, /* sizes in two colours */
    DEMO_SHOES,   /* sizes */
    DEMO_VOLUMES, /* ml; dearer as they grow */
    DEMO_BOTTLES, /* single or case */
    DEMO_MEMORY,  /* GB; dearer as it grows */
    DEMO_PERSONS, /* for one, two, four */
    DEMO_VALUES,  /* of a gift card; the price is the value */
    DEMO_PACKS,   /* grams */
    DEMO_OPTIONS_COUNT
};

struct demo_department {
    const char *slug, *name;
    const char *brands;  /* separated by ';' */
    const char *vendors; /* indexes into demo_vendors, a letter each: 'a' is the first */
};

/* A leaf of the tree of categories, and how products of its kind are made up. */
struct demo_kind {
    int department;
    const char *slug, *name, *chinese;
    const char *shape; /* of demo_shapes */
    enum demo_options options;
    int low, high; /* price in HK$ */
    int weight_grams;
    const char *nouns;     /* separated by ';' */
    const char *features;  /* sentences, separated by ';' */
    const char *materials; /* choices of the attribute material, separated by ';', or "" */
};

struct demo_vendor {
    const char *slug, *name;
    const char *places; /* codes of demo_places: a letter each */
};

struct demo_place {
    const char *code, *name, *country;
};

struct demo_colour {
    const char *name;
    unsigned rgb;
};

extern const struct demo_department demo_departments[];
extern const size_t demo_department_count;
extern const struct demo_kind demo_kinds[];
extern const size_t demo_kind_count;
extern const struct demo_vendor demo_vendors[];
extern const size_t demo_vendor_count;
extern const struct demo_place demo_places[];
extern const struct demo_colour demo_colours[];
extern const size_t demo_colour_count;
extern const char *const demo_series[];
extern const size_t demo_series_count;

/* A picture of a kind of thing in a colour, 400 by 400, as SVG. `view`: 0 the whole, 1 turned on another
 * ground, 2 close by. A shape that is not in the table is a bug. */
void demo_picture(struct buf *out, const char *shape, unsigned rgb, int view, uint64_t seed);

/* The n-th of texts separated by ';', counting round; and how many there are. */
struct str demo_part(const char *list, size_t n);
size_t demo_parts(const char *list);

/* Numbers that look random and are the same on every run (splitmix64). */
struct demo_random {
    uint64_t state;
};
uint64_t demo_random_next(struct demo_random *random);
int64_t demo_random_between(struct demo_random *random, int64_t least, int64_t most);

/* Stable UUIDv7-shaped ids, ascending in n. */
struct uuid demo_id(const char *kind, size_t n);

/* The catalog, prices and stock, in one transaction; does nothing when they are there. Blocks. */
enum error_code demo_catalog_load(struct pg *db, struct arena *arena, bool *loaded);
struct vendor_id demo_vendor_id(size_t index);

struct demo_counts {
    int64_t products, variants, vendors, categories, pictures, units;
};

#endif
