/* Pricing as a module: events, tasks, invariants. */
#include "shop/pricing/pricing_module.h"

#include "pricing_sql.h"

static const struct event_definition events[] = {
    {"price.changed", "product"},
    {NULL},
};

static const struct task_definition tasks[] = {
    {.name = "price_due", .run = price_due_task, .mode = TASK_TRANSACTION, .priority = TASK_HIGH},
    {NULL},
};

static enum error_code check_published(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct price_check_published_rows rows;
    enum error_code code =
        price_check_published(db, arena, (struct price_check_published_args){VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char where[ID_TEXT_MAX];
        product_id_text(rows.items[i].product_id, where);
        violation_add(violations, where, "is on sale and never had a price");
    }
    return code;
}

static const struct invariant invariants[] = {
    {"price_for_all_on_sale", "Every product on sale has a variant that has had a price", check_published},
    {NULL},
};

const struct module pricing_module = {
    .name = "pricing", .events = events, .tasks = tasks, .invariants = invariants};
