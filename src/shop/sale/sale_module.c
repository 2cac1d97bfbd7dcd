#include "shop/sale/sale_module.h"

#include "sale_check_sql.h"
#include "shop/sale/sale_internal.h"

#define GIVE_BACK_LATE_S 60

static enum error_code check_sold(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct check_sale_sold_rows rows;
    enum error_code code = check_sale_sold(db, arena, (struct check_sale_sold_args){VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        sale_id_text(rows.items[i].sale_id, id);
        violation_add(violations, id, "%.*s", STR_ARG(rows.items[i].what));
    }
    return code;
}

static enum error_code check_customers(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct check_sale_customers_rows rows;
    enum error_code code =
        check_sale_customers(db, arena, (struct check_sale_customers_args){VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        sale_id_text(rows.items[i].sale_id, id);
        violation_add(violations, id, "%.*s", STR_ARG(rows.items[i].what));
    }
    return code;
}

static enum error_code check_claims(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct check_sale_claims_rows rows;
    enum error_code code = check_sale_claims(
        db, arena, (struct check_sale_claims_args){GIVE_BACK_LATE_S, VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        order_id_text(rows.items[i].order_id, id);
        violation_add(violations, id, "%.*s", STR_ARG(rows.items[i].what));
    }
    return code;
}

static const struct event_definition events[] = {{"sale.changed", "sale"}, {NULL, NULL}};

static const struct invariant invariants[] = {
    {"sale_sold_is_sum_of_claims", "a sale has sold what its claims have taken, and no more than it has",
     check_sold},
    {"sale_customers_within_limit", "each customer has what the claims say, within the sale's limit",
     check_customers},
    {"sale_claims_fit_orders",
     "an order of a sale has one claim, for what it holds at the sale's price; one that came to nothing has "
     "given it back",
     check_claims},
    {NULL},
};

const struct module sale_module = {
    .name = "sale", .events = events, .tasks = sale_tasks, .invariants = invariants};
