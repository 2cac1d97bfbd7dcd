/* Makes up the catalog of the demo shop and writes it: for each kind of product a row of products from its
 * words, with variants, pictures, prices and stock. Nothing is random: the same numbers come out of the same
 * seed. */
#include "app/demo/demo.h"

#include "base/check.h"
#include "demo_sql.h"
#include "shop/catalog/catalog.h"

#include <stdio.h>

#define PRODUCTS_OF_KIND 17
#define VARIANTS_MOST 8
#define PLACES_MOST 3
#define PICTURES_MOST 3
#define SEED 0x43617468617921ULL

/* Arrays of one table, filled row by row. */
struct tables {
    struct arena *arena;
    struct demo_random random;
    struct demo_product_insert_args products;
    struct demo_variant_insert_args variants;
    struct demo_media_insert_args media;
    struct demo_price_insert_args prices;
    struct demo_stock_insert_args stock;
};

struct str demo_part(const char *list, size_t n)
{
    struct str rest = str_from(list);
    size_t at = n % demo_parts(list);
    struct str part = str_split(&rest, ';');
    while (at-- > 0)
        part = str_split(&rest, ';');
    return part;
}

size_t demo_parts(const char *list)
{
    size_t count = 1;
    for (; *list; list++)
        count += *list == ';';
    return count;
}

uint64_t demo_random_next(struct demo_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

int64_t demo_random_between(struct demo_random *random, int64_t least, int64_t most)
{
    return least + (int64_t)(demo_random_next(random) % (uint64_t)(most - least + 1));
}

/* Time from 2026-01-01 on, a minute for each, so that they ascend; the rest from the kind and the number. */
struct uuid demo_id(const char *kind, size_t n)
{
    struct uuid space = {{'c', 'a', 't', 'h', 'a', 'y', ' ', 'd', 'e', 'm', 'o'}};
    char text[48];
    int length = snprintf(text, sizeof text, "%s %zu", kind, n);
    struct uuid id = uuid_derived(space, (struct str){text, (size_t)length});
    struct uuid time = uuid_floor(1767225600000000LL + (int64_t)n * 60000000LL);
    memcpy(id.bytes, time.bytes, 6);
    id.bytes[6] = (uint8_t)(0x70 | (id.bytes[6] & 0x0f));
    return id;
}

struct vendor_id demo_vendor_id(size_t index)
{
    return (struct vendor_id){demo_id("vendor", index)};
}

static struct location_id location_id_of(size_t vendor, size_t place)
{
    return (struct location_id){demo_id("location", vendor * 10 + place)};
}

static struct category_id department_id(size_t index)
{
    return (struct category_id){demo_id("category", index)};
}

static struct category_id kind_id(size_t index)
{
    return (struct category_id){demo_id("category", 100 + index)};
}

/* ── vendors, places, categories, attributes ── */

static enum error_code vendors_write(struct pg *db, struct arena *arena)
{
    size_t most = demo_vendor_count * PLACES_MOST, count = 0;
    struct vendor_id *ids = ARENA_ARRAY(arena, struct vendor_id, demo_vendor_count),
                     *owners = ARENA_ARRAY(arena, struct vendor_id, most);
    struct str *slugs = ARENA_ARRAY(arena, struct str, demo_vendor_count),
               *names = ARENA_ARRAY(arena, struct str, demo_vendor_count);
    struct location_id *places = ARENA_ARRAY(arena, struct location_id, most);
    struct str *codes = ARENA_ARRAY(arena, struct str, most),
               *place_names = ARENA_ARRAY(arena, struct str, most);
    struct str *countries = ARENA_ARRAY(arena, struct str, most);
    int32_t *priorities = ARENA_ARRAY(arena, int32_t, most);
    for (size_t i = 0; i < demo_vendor_count; i++) {
        const struct demo_vendor *vendor = &demo_vendors[i];
        ids[i] = demo_vendor_id(i);
        slugs[i] = str_from(vendor->slug);
        names[i] = str_from(vendor->name);
        for (size_t p = 0; vendor->places[p]; p++, count++) {
            const struct demo_place *place = &demo_places[vendor->places[p] - 'a'];
            char *code = arena_cstr(arena, arena_printf(arena, "%.*s-%s", (int)strcspn(vendor->slug, "-"),
                                                        vendor->slug, place->code));
            for (char *c = code; *c; c++)
                *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
            places[count] = location_id_of(i, p);
            owners[count] = ids[i];
            codes[count] = str_from(code);
            place_names[count] = arena_printf(arena, "%s: %s", vendor->name, place->name);
            countries[count] = str_from(place->country);
            priorities[count] = (int32_t)p;
        }
    }
    enum error_code code = demo_vendor_insert(db,
                                              (struct demo_vendor_insert_args){{ids, demo_vendor_count},
                                                                               {slugs, demo_vendor_count},
                                                                               {names, demo_vendor_count}},
                                              NULL);
    if (code)
        return code;
    return demo_location_insert(db,
                                (struct demo_location_insert_args){{places, count},
                                                                   {owners, count},
                                                                   {codes, count},
                                                                   {place_names, count},
                                                                   {countries, count},
                                                                   {priorities, count}},
                                NULL);
}

static enum error_code categories_write(struct pg *db, struct arena *arena)
{
    size_t most = demo_department_count + demo_kind_count;
    struct category_id *ids = ARENA_ARRAY(arena, struct category_id, most);
    struct opt_category_id *parents = ARENA_ARRAY(arena, struct opt_category_id, most);
    struct str *slugs = ARENA_ARRAY(arena, struct str, most), *names = ARENA_ARRAY(arena, struct str, most);
    for (size_t i = 0; i < demo_department_count; i++) {
        ids[i] = department_id(i);
        slugs[i] = str_from(demo_departments[i].slug);
        names[i] = str_from(demo_departments[i].name);
    }
    size_t count = demo_department_count;
    enum error_code code = demo_category_insert(
        db,
        (struct demo_category_insert_args){{ids, count}, {parents, count}, {slugs, count}, {names, count}},
        NULL);
    for (size_t i = 0; i < demo_kind_count; i++) {
        ids[i] = kind_id(i);
        parents[i] = opt_category_id(department_id((size_t)demo_kinds[i].department));
        slugs[i] = str_from(demo_kinds[i].slug);
        names[i] = str_from(demo_kinds[i].name);
    }
    count = demo_kind_count;
    return code ? code
                : demo_category_insert(db,
                                       (struct demo_category_insert_args){
                                           {ids, count}, {parents, count}, {slugs, count}, {names, count}},
                                       NULL);
}

static const char origins[] =
    "Hong Kong;Japan;Italy;France;Portugal;Scotland;Taiwan;Germany;China;United States";

static enum error_code attributes_write(struct pg *db, struct arena *arena)
{
    struct str *materials = ARENA_ARRAY(arena, struct str, 200), *places = ARENA_ARRAY(arena, struct str, 20);
    size_t count = 0;
    for (size_t k = 0; k < demo_kind_count; k++) {
        for (size_t i = 0; demo_kinds[k].materials[0] && i < demo_parts(demo_kinds[k].materials); i++) {
            struct str material = demo_part(demo_kinds[k].materials, i);
            bool known = false;
            for (size_t j = 0; j < count; j++)
                known = known || str_equal(materials[j], material);
            if (!known)
                materials[count++] = material;
        }
    }
    for (size_t i = 0; i < demo_parts(origins); i++)
        places[i] = demo_part(origins, i);
    return demo_attribute_insert(
        db, (struct demo_attribute_insert_args){{materials, count}, {places, demo_parts(origins)}}, NULL);
}

/* ── products ── */

/* A variant's options as JSON, what it costs in percent of the product's price, and its colour. */
struct choice {
    struct str options;
    int percent;
    size_t colour;
};

struct steps {
    const char *option;
    const char *values[6];
    int percents[6];
};

static const struct steps steps_of[DEMO_OPTIONS_COUNT] = {
    [DEMO_SHOES] = {"size", {"38", "40", "41", "42", "44"}, {100, 100, 100, 100, 100}},
    [DEMO_VOLUMES] = {"volume", {"30 ml", "50 ml", "100 ml"}, {100, 150, 260}},
    [DEMO_BOTTLES] = {"pack", {"Bottle", "Case of 6"}, {100, 560}},
    [DEMO_MEMORY] = {"memory", {"64 GB", "128 GB", "256 GB"}, {100, 115, 140}},
    [DEMO_PERSONS] = {"guests", {"For one", "For two", "For four"}, {100, 190, 370}},
    [DEMO_VALUES] = {"value", {"HK$200", "HK$500", "HK$1,000", "HK$2,000"}, {40, 100, 200, 400}},
    [DEMO_PACKS] = {"weight", {"50 g", "100 g", "250 g"}, {100, 185, 420}},
};

static size_t choices_make(struct tables *tables, const struct demo_kind *kind, size_t first_colour,
                           struct choice out[VARIANTS_MOST], const char **options)
{
    static const char *const sizes[] = {"S", "M", "L"};
    struct arena *arena = tables->arena;
    size_t count = 0;
    *options = "";
    if (kind->options == DEMO_PLAIN) {
        out[count++] = (struct choice){STR("{}"), 100, first_colour};
    } else if (kind->options == DEMO_COLOURS) {
        *options = "colour";
        size_t colours = 3 + demo_random_next(&tables->random) % 2;
        for (; count < colours; count++) {
            size_t colour = (first_colour + count * 5) % demo_colour_count;
            out[count] = (struct choice){
                arena_printf(arena, "{\"colour\":\"%s\"}", demo_colours[colour].name), 100, colour};
        }
    } else if (kind->options == DEMO_CLOTHES) {
        *options = "size,colour";
        for (; count < 6; count++) {
            size_t colour = (first_colour + count / 3 * 5) % demo_colour_count;
            out[count] = (struct choice){arena_printf(arena, "{\"size\":\"%s\",\"colour\":\"%s\"}",
                                                      sizes[count % 3], demo_colours[colour].name),
                                         100, colour};
        }
    } else {
        const struct steps *steps = &steps_of[kind->options];
        *options = steps->option;
        for (; count < 6 && steps->values[count]; count++)
            out[count] =
                (struct choice){arena_printf(arena, "{\"%s\":\"%s\"}", steps->option, steps->values[count]),
                                steps->percents[count], first_colour};
    }
    return count;
}

/* Whole dollars that look like a price. */
static int64_t dollars_pretty(int64_t dollars)
{
    return dollars < 200 ? (dollars + 4) / 5 * 5 - (dollars % 2) : (dollars + 9) / 10 * 10 - 2;
}

#define APPEND(array, type, value) (((type *)(uintptr_t)(array).items)[(array).count++] = (value))

static void prices_add(struct tables *tables, struct variant_id variant_id, const struct demo_kind *kind,
                       int64_t hkd, bool reduced)
{
    bool face_value = kind->options == DEMO_VALUES;
    int64_t usd_cents = (hkd * 1000 + 3900) / 7800 * 100 - (face_value ? 0 : 10);
    int64_t amounts[] = {hkd * 100, face_value ? hkd * 10000 / 780 : usd_cents};
    static const struct str currencies[] = {{"HKD", 3}, {"USD", 3}};
    for (size_t i = 0; i < 2; i++) {
        int64_t before = reduced ? (amounts[i] * 125 / 100 + 999) / 1000 * 1000 : 0;
        APPEND(tables->prices.ids, struct price_id,
               ((struct price_id){demo_id("price", tables->prices.ids.count)}));
        APPEND(tables->prices.variant_ids, struct variant_id, variant_id);
        APPEND(tables->prices.currencies, struct str, currencies[i]);
        APPEND(tables->prices.amounts_minor, int64_t, amounts[i]);
        APPEND(tables->prices.compares_minor, int64_t, before);
    }
}

static void stock_add(struct tables *tables, struct variant_id variant_id, size_t vendor, bool unlimited)
{
    int64_t fortune = demo_random_between(&tables->random, 0, 99);
    size_t places = strlen(demo_vendors[vendor].places);
    size_t used = 1 + demo_random_next(&tables->random) % places;
    for (size_t p = 0; p < used; p++) {
        int64_t quantity = demo_random_between(&tables->random, 8, 140);
        if (unlimited)
            quantity = 500;
        else if (fortune < 5)
            quantity = 0;
        else if (fortune < 14)
            quantity = p == 0 ? demo_random_between(&tables->random, 1, 4) : 0;
        APPEND(tables->stock.ids, struct movement_id,
               ((struct movement_id){demo_id("movement", tables->stock.ids.count)}));
        APPEND(tables->stock.variant_ids, struct variant_id, variant_id);
        APPEND(tables->stock.location_ids, struct location_id, location_id_of(vendor, p));
        APPEND(tables->stock.quantities, int32_t, (int32_t)quantity);
    }
}

static void pictures_add(struct tables *tables, struct product_id product_id, const struct demo_kind *kind,
                         struct str name, const struct choice *choices, size_t choice_count)
{
    CHECK(choice_count > 0);
    size_t pictures = 1 + demo_random_next(&tables->random) % PICTURES_MOST;
    struct buf svg = buf_new(BUF_DEFAULT_MAX);
    for (size_t view = 0; view < pictures; view++) {
        const struct demo_colour *colour = &demo_colours[choices[view % choice_count].colour];
        buf_clear(&svg);
        demo_picture(&svg, kind->shape, colour->rgb, (int)view, demo_random_next(&tables->random));
        struct str alt = view == 0   ? name
                         : view == 1 ? arena_printf(tables->arena, "%.*s in %s", STR_ARG(name), colour->name)
                                     : arena_printf(tables->arena, "%.*s, close by", STR_ARG(name));
        APPEND(tables->media.ids, struct media_id,
               ((struct media_id){demo_id("media", tables->media.ids.count)}));
        APPEND(tables->media.product_ids, struct product_id, product_id);
        APPEND(tables->media.positions, int32_t, (int32_t)view);
        APPEND(tables->media.alts, struct str, alt);
        APPEND(tables->media.contents, struct str, arena_copy(tables->arena, buf_str(&svg)));
    }
    buf_free(&svg);
}

static struct str attributes_of(struct tables *tables, const struct demo_kind *kind, size_t number,
                                size_t colour)
{
    struct buf json = buf_new(4096);
    buf_printf(&json, "{\"main_colour\":\"#%06x\",\"gift_wrap\":%s", demo_colours[colour].rgb,
               demo_random_next(&tables->random) % 2 ? "true" : "false");
    if (kind->materials[0]) {
        BUF_LITERAL(&json, ",\"material\":");
        buf_json_str(&json, demo_part(kind->materials, number));
    }
    if (kind->department != 9) {
        BUF_LITERAL(&json, ",\"origin\":");
        buf_json_str(&json, demo_part(origins, demo_random_next(&tables->random) % demo_parts(origins)));
    }
    if (kind->department <= 1)
        buf_printf(&json, ",\"warranty_years\":%d", kind->department == 1 ? 10 : 2);
    if (kind->options == DEMO_BOTTLES)
        buf_printf(&json, ",\"vintage\":%d", (int)demo_random_between(&tables->random, 2012, 2024));
    if (kind->options == DEMO_CLOTHES)
        BUF_LITERAL(&json, ",\"care\":\"Wash at 30 degrees, dry flat\"");
    buf_char(&json, '}');
    struct str text = arena_copy(tables->arena, buf_str(&json));
    buf_free(&json);
    return text;
}

static const char *tender_of(const struct demo_kind *kind, size_t k, size_t j)
{
    if (kind->options == DEMO_VALUES)
        return "cash_only";
    if ((kind->options == DEMO_PERSONS && j % 6 == 5) || (k % 9 == 1 && j == 11))
        return "points_only";
    return strcmp(kind->slug, "jewellery") == 0 && j % 8 == 3 ? "cash_only" : "any";
}

static void product_add(struct tables *tables, size_t k, size_t j)
{
    const struct demo_kind *kind = &demo_kinds[k];
    const struct demo_department *department = &demo_departments[kind->department];
    struct arena *arena = tables->arena;
    struct product_id id = {demo_id("product", tables->products.ids.count)};
    size_t brand_number = j * 3 + k;
    struct str brand = demo_part(department->brands, brand_number);
    /* 3 and 32 have no common divisor: no series twice in a kind, so no name twice. */
    const char *series = demo_series[(k * 5 + j * 3) % demo_series_count];
    struct str name =
        arena_printf(arena, "%.*s %s %.*s", STR_ARG(brand), series, STR_ARG(demo_part(kind->nouns, j)));
    struct str description = arena_printf(arena, "%.*s %.*s %.*s %s。", STR_ARG(demo_part(kind->features, j)),
                                          STR_ARG(demo_part(kind->features, j + 1)),
                                          STR_ARG(demo_part(kind->features, j + 2)), kind->chinese);
    size_t vendor =
        (size_t)(department
                     ->vendors[brand_number % demo_parts(department->brands) % strlen(department->vendors)] -
                 'a');
    size_t first_colour = demo_random_next(&tables->random) % demo_colour_count;
    struct choice choices[VARIANTS_MOST];
    const char *options;
    size_t choice_count = choices_make(tables, kind, first_colour, choices, &options);
    bool draft = j == PRODUCTS_OF_KIND - 1 && k % 8 == 0, archived = j == PRODUCTS_OF_KIND - 1 && k % 16 == 4;

    APPEND(tables->products.ids, struct product_id, id);
    APPEND(tables->products.vendor_ids, struct vendor_id, demo_vendor_id(vendor));
    APPEND(tables->products.category_ids, struct category_id, kind_id(k));
    APPEND(tables->products.slugs, struct str, catalog_slug(arena, name, id));
    APPEND(tables->products.names, struct str, name);
    APPEND(tables->products.descriptions, struct str, description);
    APPEND(tables->products.brands, struct str, brand);
    APPEND(tables->products.tenders, struct str, str_from(tender_of(kind, k, j)));
    APPEND(tables->products.attributes, struct str, attributes_of(tables, kind, j, first_colour));
    APPEND(tables->products.options, struct str, str_from(options));
    APPEND(tables->products.states, struct str,
           str_from(draft      ? "draft"
                    : archived ? "archived"
                               : "published"));
    APPEND(tables->products.hours_ago, int32_t,
           draft ? -1 : (int32_t)demo_random_between(&tables->random, 1, 7000));

    /* Most things are at the cheap end of their kind. */
    int64_t luck = demo_random_between(&tables->random, 0, 1000);
    int64_t base = kind->low + (kind->high - kind->low) * luck * luck / 1000000;
    bool reduced = kind->options != DEMO_VALUES && demo_random_next(&tables->random) % 100 < 18;
    for (size_t v = 0; v < choice_count; v++) {
        struct variant_id variant_id = {demo_id("variant", tables->variants.ids.count)};
        APPEND(tables->variants.ids, struct variant_id, variant_id);
        APPEND(tables->variants.product_ids, struct product_id, id);
        APPEND(tables->variants.skus, struct str,
               arena_printf(arena, "%c%c%c-%04zu-%zu", kind->slug[0] - 32, kind->slug[1] - 32,
                            kind->slug[2] - 32, tables->products.ids.count, v + 1));
        APPEND(tables->variants.options, struct str, choices[v].options);
        APPEND(tables->variants.weights, int32_t, kind->weight_grams * choices[v].percent / 100);
        APPEND(tables->variants.positions, int32_t, (int32_t)v);
        int64_t hkd = base * choices[v].percent / 100;
        prices_add(tables, variant_id, kind, kind->options == DEMO_VALUES ? hkd : dollars_pretty(hkd),
                   reduced);
        stock_add(tables, variant_id, vendor, kind->department == 9);
    }
    pictures_add(tables, id, kind, name, choices, choice_count);
}

#define ROOM(array, type, most) ((array).items = ARENA_ARRAY(tables->arena, type, (most)))

static void tables_make(struct tables *tables)
{
    size_t products = demo_kind_count * PRODUCTS_OF_KIND, variants = products * VARIANTS_MOST,
           media = products * PICTURES_MOST;
    ROOM(tables->products.ids, struct product_id, products);
    ROOM(tables->products.vendor_ids, struct vendor_id, products);
    ROOM(tables->products.category_ids, struct category_id, products);
    ROOM(tables->products.slugs, struct str, products);
    ROOM(tables->products.names, struct str, products);
    ROOM(tables->products.descriptions, struct str, products);
    ROOM(tables->products.brands, struct str, products);
    ROOM(tables->products.tenders, struct str, products);
    ROOM(tables->products.attributes, struct str, products);
    ROOM(tables->products.options, struct str, products);
    ROOM(tables->products.states, struct str, products);
    ROOM(tables->products.hours_ago, int32_t, products);
    ROOM(tables->variants.ids, struct variant_id, variants);
    ROOM(tables->variants.product_ids, struct product_id, variants);
    ROOM(tables->variants.skus, struct str, variants);
    ROOM(tables->variants.options, struct str, variants);
    ROOM(tables->variants.weights, int32_t, variants);
    ROOM(tables->variants.positions, int32_t, variants);
    ROOM(tables->media.ids, struct media_id, media);
    ROOM(tables->media.product_ids, struct product_id, media);
    ROOM(tables->media.positions, int32_t, media);
    ROOM(tables->media.alts, struct str, media);
    ROOM(tables->media.contents, struct str, media);
    ROOM(tables->prices.ids, struct price_id, variants * 2);
    ROOM(tables->prices.variant_ids, struct variant_id, variants * 2);
    ROOM(tables->prices.currencies, struct str, variants * 2);
    ROOM(tables->prices.amounts_minor, int64_t, variants * 2);
    ROOM(tables->prices.compares_minor, int64_t, variants * 2);
    ROOM(tables->stock.ids, struct movement_id, variants * PLACES_MOST);
    ROOM(tables->stock.variant_ids, struct variant_id, variants * PLACES_MOST);
    ROOM(tables->stock.location_ids, struct location_id, variants * PLACES_MOST);
    ROOM(tables->stock.quantities, int32_t, variants * PLACES_MOST);
    for (size_t k = 0; k < demo_kind_count; k++) {
        for (size_t j = 0; j < PRODUCTS_OF_KIND; j++)
            product_add(tables, k, j);
    }
}

struct load {
    struct arena *arena;
    const struct tables *tables;
    bool loaded;
};

static enum error_code load(struct pg *db, void *context)
{
    struct load *work = context;
    const struct tables *tables = work->tables;
    struct demo_lock_row locked;
    struct demo_is_loaded_row there;
    bool found;
    enum error_code code = demo_lock(db, work->arena, &locked, &found);
    if (!code)
        code =
            demo_is_loaded(db, work->arena, (struct demo_is_loaded_args){demo_vendor_id(0)}, &there, &found);
    work->loaded = !code && !there.loaded;
    if (!work->loaded)
        return code;
    code = vendors_write(db, work->arena);
    if (!code)
        code = categories_write(db, work->arena);
    if (!code)
        code = attributes_write(db, work->arena);
    if (!code)
        code = demo_product_insert(db, tables->products, NULL);
    if (!code)
        code = demo_variant_insert(db, tables->variants, NULL);
    if (!code)
        code = demo_media_insert(db, tables->media, NULL);
    if (!code)
        code = demo_price_insert(db, tables->prices, NULL);
    if (!code)
        code = demo_stock_insert(db, tables->stock, NULL);
    if (!code)
        code = demo_analyze(db, NULL); /* sees what this transaction has written */
    if (!code)
        code = catalog_listing_refresh(db, tables->products.ids.items, tables->products.ids.count);
    return code ? code : demo_analyze(db, NULL);
}

enum error_code demo_catalog_load(struct pg *db, struct arena *arena, bool *loaded)
{
    struct tables tables = {.arena = arena, .random = {SEED}};
    tables_make(&tables);
    struct load work = {.arena = arena, .tables = &tables};
    enum error_code code = pg_transaction(db, load, &work);
    *loaded = !code && work.loaded;
    return code;
}
