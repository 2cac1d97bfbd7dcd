/* Invariants of orders for `cathay verify`; the statements are in orders_check.sql. Bounded by the newest
 * orders. */
#include "base/check.h"
#include "orders_check_sql.h"
#include "shop/orders/orders.h"
#include "shop/orders/orders_internal.h"

#define NEWEST_MAX 50000
#define EXPIRY_LATE_S 600

static void add(struct violations *violations, struct order_id order_id, struct str what)
{
    char id[ID_TEXT_MAX];
    order_id_text(order_id, id);
    violation_add(violations, id, "%.*s", STR_ARG(what));
}

/* The checks differ in their statements only. */
#define CHECK_FUNCTION(name, ...)                                                                            \
    static enum error_code name(struct pg *db, struct arena *arena, struct violations *violations)           \
    {                                                                                                        \
        struct check_##name##_rows rows;                                                                     \
        enum error_code code = check_##name(db, arena, (struct check_##name##_args){__VA_ARGS__}, &rows);    \
        for (size_t i = 0; i < rows.count; i++)                                                              \
            add(violations, rows.items[i].order_id, rows.items[i].what);                                     \
        return code;                                                                                         \
    }

CHECK_FUNCTION(order_history, NEWEST_MAX, VIOLATIONS_MAX)
CHECK_FUNCTION(order_sums, NEWEST_MAX, VIOLATIONS_MAX)
CHECK_FUNCTION(order_reservations, NEWEST_MAX, VIOLATIONS_MAX)
CHECK_FUNCTION(order_fulfilments, NEWEST_MAX, VIOLATIONS_MAX)
CHECK_FUNCTION(order_points, NEWEST_MAX, VIOLATIONS_MAX)
CHECK_FUNCTION(order_references, NEWEST_MAX, VIOLATIONS_MAX)
CHECK_FUNCTION(order_expiry, EXPIRY_LATE_S, VIOLATIONS_MAX)

static enum error_code order_steps(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct check_order_steps_rows rows;
    enum error_code code = check_order_steps(db, arena, (struct check_order_steps_args){NEWEST_MAX}, &rows);
    for (size_t i = 0; i < rows.count; i++) {
        const struct check_order_steps_row *row = &rows.items[i];
        enum order_state from, to;
        bool legal = row->from_state.len == 0
                         ? str_equal(row->to_state, STR("pending_payment"))
                         : order_state_parse(row->from_state, &from) &&
                               order_state_parse(row->to_state, &to) && order_transition_allowed(from, to);
        char id[ID_TEXT_MAX];
        order_id_text(row->order_id, id);
        if (!legal)
            violation_add(violations, id, "went from '%.*s' to '%.*s', which is not a step of an order",
                          STR_ARG(row->from_state), STR_ARG(row->to_state));
        else if (!row->chained)
            violation_add(violations, id, "has a step from %.*s that was not its state",
                          STR_ARG(row->from_state));
    }
    return code;
}

const struct invariant order_invariants[] = {
    {"order_history", "an order's state and sequence are those of the newest step of its history",
     order_history},
    {"order_steps",
     "every step of a history is one of the state machine's and begins where the last one ended",
     order_steps},
    {"order_sums", "the lines of an order add up to its total, its points and its cash, to the unit",
     order_sums},
    {"order_reservations", "every line is reserved in full, in the state that its order's state asks for",
     order_reservations},
    {"order_fulfilments", "the fulfilments of a confirmed order send all of its lines", order_fulfilments},
    {"order_points",
     "an order's points are held while it waits, taken once it is paid, given back when nothing came of it",
     order_points},
    {"order_references", "customers, vendors and variants of orders exist", order_references},
    {"order_expiry", "no order waits for its payment long past its time", order_expiry},
    {NULL},
};
