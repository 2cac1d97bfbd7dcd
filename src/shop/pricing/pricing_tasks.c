/* Prices that begin or end by themselves. */
#include "base/clock.h"
#include "pricing_sql.h"
#include "shop/catalog/catalog.h"
#include "shop/pricing/pricing.h"
#include "shop/pricing/pricing_module.h"

/* The task runs this much after the moment, so that the database's clock has passed it too. */
#define DUE_MARGIN_MS 20

enum error_code pricing_publish(struct pg *db, struct arena *arena, struct product_id product_id,
                                struct variant_id variant_id)
{
    char text[ID_TEXT_MAX];
    variant_id_text(variant_id, text);
    struct event event = {
        .type = STR("price.changed"),
        .aggregate_id = product_id.uuid,
        .payload = arena_printf(arena, "{\"variant_id\":\"%s\"}", text),
    };
    return outbox_publish(db, &event, NULL);
}

enum error_code pricing_due_at(struct pg *db, struct arena *arena, struct product_id product_id,
                               struct variant_id variant_id, int64_t at_us)
{
    int64_t delay_ms = (at_us - clock_wall_us()) / 1000 + DUE_MARGIN_MS;
    if (delay_ms <= DUE_MARGIN_MS)
        return ERR_OK;
    char text[ID_TEXT_MAX];
    variant_id_text(variant_id, text);
    struct task_request request = {
        .name = STR("price_due"),
        .unique_key = arena_printf(arena, "%s %lld", text, (long long)at_us),
        .delay_ms = delay_ms,
        .aggregate_id = product_id.uuid,
        .payload = arena_printf(arena, "{\"variant_id\":\"%s\"}", text),
    };
    return task_enqueue(db, &request);
}

enum error_code price_due_task(struct task_run *run)
{
    struct product_id id = {run->event.aggregate_id};
    struct price_product_lock_row row;
    bool found;
    enum error_code code =
        price_product_lock(run->db, run->arena, (struct price_product_lock_args){id}, &row, &found);
    if (code || !found)
        return code;
    code = catalog_listing_refresh(run->db, &id, 1);
    if (code)
        return code;
    struct event event = {.type = STR("price.changed"), .aggregate_id = id.uuid, .payload = STR("{}")};
    return outbox_publish(run->db, &event, NULL);
}
