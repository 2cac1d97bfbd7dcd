/* Background work of the catalog: listings follow stock and vendors. Prices and products are followed at
 * once, in the transaction that changes them. */
#include "catalog_sql.h"
#include "facets_sql.h"
#include "listing_sql.h"
#include "shop/catalog/catalog.h"
#include "shop/catalog/catalog_change.h"
#include "shop/catalog/catalog_module.h"

#include <jansson.h>

/* Products of one step: a vendor with many is done in several tasks, each a short transaction. */
#define PRODUCT_BATCH 200
/* Lists that are counted anew in one transaction. */
#define RECOUNT_BATCH 10
/* Attribute values that have a list of their own. */
#define VALUE_LISTS_MAX 10000
/* Changes of counts taken in by one statement, and statements of one run; what is left waits for the next. */
#define COUNT_BATCH 1000
#define COUNT_BATCHES_MAX 20

enum error_code catalog_listing_refresh(struct pg *db, const struct product_id *ids, size_t count)
{
    return listing_refresh(db, (struct listing_refresh_args){{ids, count}}, NULL);
}

enum error_code catalog_publish(struct pg *db, const char *type, struct uuid id, int64_t sequence)
{
    struct event event = {
        .type = str_from(type), .aggregate_id = id, .sequence = sequence, .payload = STR("{}")};
    return outbox_publish(db, &event, NULL);
}

static enum error_code lock_and_refresh(struct task_run *run, const struct product_id *ids, size_t count)
{
    struct product_lock_batch_rows locked;
    enum error_code code =
        product_lock_batch(run->db, run->arena, (struct product_lock_batch_args){{ids, count}}, &locked);
    return code ? code : catalog_listing_refresh(run->db, ids, count);
}

enum error_code listing_stock_task(struct task_run *run)
{
    struct product_id id = {run->event.aggregate_id};
    return lock_and_refresh(run, &id, 1);
}

/* Where the step before this one ended: {"after": "prd_…"}; nothing in the event that begins it. */
static struct product_id after_of(const struct task_run *run)
{
    struct product_id after = {{{0}}};
    json_t *payload = json_loadb(run->event.payload.ptr, run->event.payload.len, 0, NULL);
    const char *text = json_string_value(json_object_get(payload, "after"));
    if (text)
        product_id_parse(str_from(text), &after);
    json_decref(payload);
    return after;
}

/* The next step, behind the last product of this one. */
static enum error_code go_on_behind(struct task_run *run, const char *name, struct uuid about,
                                    struct product_id last)
{
    char after[ID_TEXT_MAX];
    product_id_text(last, after);
    struct task_request next = {
        .name = str_from(name),
        .aggregate_id = about,
        .payload = arena_printf(run->arena, "{\"after\":\"%s\"}", after),
    };
    return task_enqueue(run->db, &next);
}

enum error_code listing_vendor_task(struct task_run *run)
{
    struct vendor_id vendor_id = {run->event.aggregate_id};
    struct listing_vendor_batch_rows rows;
    enum error_code code = listing_vendor_batch(
        run->db, run->arena, (struct listing_vendor_batch_args){vendor_id, after_of(run), PRODUCT_BATCH},
        &rows);
    if (code)
        return code;
    struct product_id *ids = ARENA_ARRAY(run->arena, struct product_id, rows.count + 1);
    for (size_t i = 0; i < rows.count; i++)
        ids[i] = rows.items[i].id;
    if (rows.count > 0)
        code = lock_and_refresh(run, ids, rows.count);
    if (code)
        return code;
    if (rows.count == PRODUCT_BATCH)
        return go_on_behind(run, "listing_vendor", vendor_id.uuid, ids[rows.count - 1]);
    code = listing_vendor_left(run->db, (struct listing_vendor_left_args){vendor_id}, NULL);
    return code ? code : catalog_publish(run->db, "listing.changed", vendor_id.uuid, 0);
}

/* Its first step has no "after"; the task of that step names the round. */
enum error_code listing_relist_task(struct task_run *run)
{
    struct product_id after = after_of(run);
    bool begins = uuid_is_zero(after.uuid);
    struct uuid round = begins ? run->id.uuid : run->event.aggregate_id;
    struct listing_relist_batch_rows rows;
    enum error_code code =
        begins ? listing_value_begin(run->db, (struct listing_value_begin_args){round}, NULL) : ERR_OK;
    if (!code)
        code = listing_relist_batch(run->db, run->arena,
                                    (struct listing_relist_batch_args){after, PRODUCT_BATCH}, &rows);
    if (code)
        return code;
    struct product_id *ids = ARENA_ARRAY(run->arena, struct product_id, rows.count + 1);
    for (size_t i = 0; i < rows.count; i++)
        ids[i] = rows.items[i].id;
    if (rows.count > 0)
        code = lock_and_refresh(run, ids, rows.count);
    if (code)
        return code;
    if (rows.count == PRODUCT_BATCH)
        return go_on_behind(run, "listing_relist", round, ids[rows.count - 1]);
    code = listing_value_end(run->db, (struct listing_value_end_args){round, VALUE_LISTS_MAX}, NULL);
    struct task_request next = {.name = STR("listing_recount"), .payload = STR("{}")};
    return code ? code : task_enqueue(run->db, &next);
}

enum error_code listing_recount_task(struct task_run *run)
{
    struct listing_recount_lock_row locked;
    bool found;
    enum error_code code = listing_recount_lock(run->db, run->arena, &locked, &found);
    struct listing_recount_row row;
    if (!code)
        code = listing_recount(run->db, run->arena,
                               (struct listing_recount_args){run->event.aggregate_id, RECOUNT_BATCH}, &row,
                               &found);
    if (code || row.lists < RECOUNT_BATCH)
        return code;
    struct task_request next = {
        .name = STR("listing_recount"), .aggregate_id = row.last_id.value, .payload = STR("{}")};
    return task_enqueue(run->db, &next);
}

enum error_code listing_count_task(struct task_run *run)
{
    enum error_code code = ERR_OK;
    struct listing_count_fold_row row = {.taken = COUNT_BATCH};
    bool found;
    for (int i = 0; !code && row.taken == COUNT_BATCH && i < COUNT_BATCHES_MAX; i++)
        code = listing_count_fold(run->db, run->arena, (struct listing_count_fold_args){COUNT_BATCH}, &row,
                                  &found);
    return code;
}
