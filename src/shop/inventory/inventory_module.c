#include "shop/inventory/inventory_module.h"

#include "inventory_sql.h"

static const struct event_definition events[] = {
    {"stock.changed", "product"},
    {NULL},
};

static const char *place_of(struct arena *arena, struct variant_id variant_id, struct location_id location_id)
{
    char variant[ID_TEXT_MAX], location[ID_TEXT_MAX];
    variant_id_text(variant_id, variant);
    location_id_text(location_id, location);
    return arena_printf(arena, "%s at %s", variant, location).ptr;
}

static enum error_code check_on_hand(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct stock_check_on_hand_rows rows;
    enum error_code code =
        stock_check_on_hand(db, arena, (struct stock_check_on_hand_args){VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        const struct stock_check_on_hand_row *row = &rows.items[i];
        violation_add(violations, place_of(arena, row->variant_id, row->location_id),
                      "on hand is %lld, its movements say %lld", (long long)row->on_hand,
                      (long long)row->moved);
    }
    return code;
}

static enum error_code check_reserved(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct stock_check_reserved_rows rows;
    enum error_code code =
        stock_check_reserved(db, arena, (struct stock_check_reserved_args){VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        const struct stock_check_reserved_row *row = &rows.items[i];
        violation_add(violations, place_of(arena, row->variant_id, row->location_id),
                      "reserved is %lld, its reservations say %lld", (long long)row->reserved,
                      (long long)row->open);
    }
    return code;
}

static enum error_code check_bounds(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct stock_check_bounds_rows rows;
    enum error_code code =
        stock_check_bounds(db, arena, (struct stock_check_bounds_args){VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        const struct stock_check_bounds_row *row = &rows.items[i];
        violation_add(violations, place_of(arena, row->variant_id, row->location_id),
                      "on hand is %d, reserved is %d", row->on_hand, row->reserved);
    }
    return code;
}

static enum error_code check_places(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct stock_check_places_rows rows;
    enum error_code code =
        stock_check_places(db, arena, (struct stock_check_places_args){VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        const struct stock_check_places_row *row = &rows.items[i];
        violation_add(violations, place_of(arena, row->variant_id, row->location_id), "%.*s",
                      STR_ARG(row->why));
    }
    return code;
}

static enum error_code check_orders(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct reservation_check_orders_rows rows;
    enum error_code code =
        reservation_check_orders(db, arena, (struct reservation_check_orders_args){VIOLATIONS_MAX}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        const struct reservation_check_orders_row *row = &rows.items[i];
        char where[ID_TEXT_MAX];
        order_id_text(row->order_id, where);
        violation_add(violations, where, "line %d is reserved (%.*s), and the order is %.*s", row->line_no,
                      STR_ARG(row->state), STR_ARG(row->order_state));
    }
    return code;
}

static const struct invariant invariants[] = {
    {"stock_on_hand_is_sum_of_movements",
     "On hand equals the sum of the movements of its variant and location", check_on_hand},
    {"stock_reserved_is_sum_of_reservations", "Reserved equals the sum of held and confirmed reservations",
     check_reserved},
    {"stock_reserved_within_on_hand", "Nothing is reserved that is not on hand", check_bounds},
    {"stock_is_at_vendors_places", "Stock lies at locations of the variant's vendor, with their priority",
     check_places},
    {"stock_reservations_fit_orders", "Only orders that wait for payment or for shipment hold stock",
     check_orders},
    {NULL},
};

const struct module inventory_module = {.name = "inventory", .events = events, .invariants = invariants};
