/* The catalog as a module: events, tasks, invariants. */
#include "shop/catalog/catalog_module.h"

#include "catalog_sql.h"
#include "facets_sql.h"
#include "listing_sql.h"

#include <stdio.h>

/* Listings are compared for all products up to this many, and for a sample of about so many beyond. */
#define LISTING_SAMPLE 5000
/* Lists whose kept counts are counted anew, drawn by lot. */
#define COUNTED_LISTS 50

static const struct event_definition events[] = {
    {"product.created", NULL},          {"product.changed", "product"},   {"product.published", "product"},
    {"product.archived", "product"},    {"category.changed", "category"}, {"vendor.changed", "vendor"},
    {"attribute.changed", "attribute"}, {"listing.changed", "listing"},   {NULL},
};

static const char *const on_stock[] = {"stock.changed", NULL};
static const char *const on_vendor[] = {"vendor.changed", NULL};

static const struct task_definition tasks[] = {
    {.name = "listing_stock",
     .events = on_stock,
     .run = listing_stock_task,
     .mode = TASK_TRANSACTION,
     .priority = TASK_NORMAL},
    {.name = "listing_vendor",
     .events = on_vendor,
     .run = listing_vendor_task,
     .mode = TASK_TRANSACTION,
     .priority = TASK_LOW},
    {.name = "listing_relist", .run = listing_relist_task, .mode = TASK_TRANSACTION, .priority = TASK_LOW},
    {.name = "listing_recount", .run = listing_recount_task, .mode = TASK_TRANSACTION, .priority = TASK_LOW},
    {.name = "listing_count", .run = listing_count_task, .mode = TASK_TRANSACTION, .priority = TASK_LOW},
    {NULL},
};

static const struct schedule_definition schedules[] = {
    {"listing_count", 5, "takes changes of listings into the kept counts of facets"},
    {"listing_relist", 7 * 86400, "computes all listings and kept counts anew, in steps"},
    {NULL},
};

static void add(struct violations *violations, struct uuid id, const char *prefix, struct str why)
{
    char where[ID_TEXT_MAX];
    id_format(id, prefix, where);
    violation_add(violations, where, "%.*s", STR_ARG(why));
}

static enum error_code compare_listings(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct listing_check_size_row size;
    bool found;
    enum error_code code = listing_check_size(db, arena, &size, &found);
    if (code)
        return code;
    int32_t percent =
        size.products <= LISTING_SAMPLE ? 100 : (int32_t)(1 + 100LL * LISTING_SAMPLE / size.products);
    struct listing_check_rows rows;
    code = listing_check(db, arena, (struct listing_check_args){.percent = percent, .most = VIOLATIONS_MAX},
                         &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        struct str why = arena_printf(arena, "the listing in %.*s %.*s", STR_ARG(rows.items[i].currency),
                                      STR_ARG(rows.items[i].why));
        add(violations, rows.items[i].product_id.uuid, "prd", why);
    }
    return code;
}

static enum error_code check_listing(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct listing_check_plan_row plan;
    bool found;
    enum error_code code =
        listing_check_plan(db, arena, (struct listing_check_plan_args){STR("on")}, &plan, &found);
    if (!code)
        code = compare_listings(db, arena, violations);
    if (!code)
        code = listing_check_plan(db, arena, (struct listing_check_plan_args){STR("off")}, &plan, &found);
    struct listing_check_orphans_rows orphans;
    if (!code)
        code =
            listing_check_orphans(db, arena, (struct listing_check_orphans_args){VIOLATIONS_MAX}, &orphans);
    for (size_t i = 0; !code && i < orphans.count; i++)
        add(violations, orphans.items[i].product_id.uuid, "prd", STR("is listed and not on sale"));
    return code;
}

static enum error_code check_copies(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct catalog_check_copies_rows rows;
    enum error_code code =
        catalog_check_copies(db, arena, (struct catalog_check_copies_args){VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++)
        add(violations, rows.items[i].id, arena_cstr(arena, rows.items[i].prefix), rows.items[i].why);
    return code;
}

static enum error_code check_published(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct catalog_check_published_rows rows;
    enum error_code code =
        catalog_check_published(db, arena, (struct catalog_check_published_args){VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++)
        add(violations, rows.items[i].id, arena_cstr(arena, rows.items[i].prefix), rows.items[i].why);
    return code;
}

static enum error_code check_counts(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct listing_check_plan_row plan;
    bool found;
    struct listing_count_check_rows rows = {0};
    enum error_code code =
        listing_check_plan(db, arena, (struct listing_check_plan_args){STR("on")}, &plan, &found);
    if (!code)
        code = listing_count_check(db, arena,
                                   (struct listing_count_check_args){COUNTED_LISTS, VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char where[ID_TEXT_MAX];
        snprintf(where, sizeof where, "%.*s", STR_ARG(rows.items[i].list));
        violation_add(violations, where, "%.*s counts %lld under '%.*s' and holds %lld",
                      STR_ARG(rows.items[i].currency), (long long)rows.items[i].kept,
                      STR_ARG(rows.items[i].key_name), (long long)rows.items[i].counted);
    }
    return code;
}

static const struct invariant invariants[] = {
    {"catalog_listing_is_what_products_say", "Listings show what products, prices, stock and pictures say",
     check_listing},
    {"catalog_copies_are_true", "Vendors on variants and paths on products and categories are true copies",
     check_copies},
    {"catalog_published_is_complete", "Products on sale have active variants with exactly their options",
     check_published},
    {"catalog_counts_are_true", "Kept counts of facets are what the lists hold", check_counts},
    {NULL},
};

const struct module catalog_module = {
    .name = "catalog", .events = events, .tasks = tasks, .schedules = schedules, .invariants = invariants};
