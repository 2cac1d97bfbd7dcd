#include "shop/checkout/checkout_module.h"

#include "checkout_sql.h"

/* Here and not in loyalty: it needs orders, which stand above the ledger. */
static enum error_code check_holds(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct verify_hold_has_order_rows rows;
    enum error_code code = verify_hold_has_order(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char root[ID_TEXT_MAX], order[ID_TEXT_MAX] = "no order";
        transfer_id_text((struct transfer_id){rows.items[i].root_id}, root);
        if (rows.items[i].order_id.present)
            order_id_text((struct order_id){rows.items[i].order_id.value}, order);
        violation_add(violations, root, "holds points for %s, which does not wait for payment with this hold",
                      order);
    }
    return code;
}

static const struct event_definition events[] = {
    {"order.placed", NULL}, {"checkout.paid_with_points", NULL}, {NULL, NULL}};

static const struct invariant invariants[] = {
    {"hold_has_waiting_order", "points are held only for an order that waits for payment", check_holds},
    {NULL},
};

const struct module checkout_module = {.name = "checkout", .events = events, .invariants = invariants};
