/* Changes of stock inside the caller's transaction. Each has the same course: lock and read all stock of the
 * variants concerned (in order), decide in memory, write the sums of the changes set-based, and tell of
 * variants whose stock state has crossed a border. Since every row of a variant is locked, what is available
 * over all locations is exact. */
#include "shop/inventory/inventory.h"

#include "base/check.h"
#include "inventory_sql.h"
#include "work/work.h"

struct change {
    struct stock_row row;      /* as it was read */
    int32_t on_hand, reserved; /* what is added */
};

struct changes {
    struct change *items;
    size_t count;
};

static struct change *change_of(struct changes *changes, struct variant_id variant_id,
                                struct location_id location_id)
{
    for (size_t i = 0; i < changes->count; i++) {
        struct change *change = &changes->items[i];
        if (variant_id_equal(change->row.variant_id, variant_id) &&
            location_id_equal(change->row.location_id, location_id))
            return change;
    }
    return NULL;
}

enum error_code stock_news(struct pg *db, struct arena *arena, struct variant_id variant_id,
                           int64_t available_before, int64_t available_after)
{
    enum stock_state after = stock_state(available_after);
    if (stock_state(available_before) == after)
        return ERR_OK;
    struct variant_product_list_rows products;
    enum error_code code = variant_product_list(
        db, arena, (struct variant_product_list_args){.variant_ids = {&variant_id, 1}}, &products);
    if (code || products.count == 0)
        return code;
    char text[ID_TEXT_MAX];
    variant_id_text(variant_id, text);
    struct event event = {
        .type = STR("stock.changed"),
        .aggregate_id = products.items[0].product_id.uuid,
        .payload =
            arena_printf(arena, "{\"variant_id\":\"%s\",\"state\":\"%s\"}", text, stock_state_text(after)),
    };
    return outbox_publish(db, &event, NULL);
}

/* News for every variant among the changes; rows of a variant are neighbours, since they were locked in
 * order. */
static enum error_code tell(struct pg *db, struct arena *arena, const struct changes *changes)
{
    enum error_code code = ERR_OK;
    for (size_t i = 0; i < changes->count && !code;) {
        struct variant_id variant_id = changes->items[i].row.variant_id;
        int64_t available = 0, change = 0;
        for (; i < changes->count && variant_id_equal(changes->items[i].row.variant_id, variant_id); i++) {
            available += changes->items[i].row.on_hand - changes->items[i].row.reserved;
            change += changes->items[i].on_hand - changes->items[i].reserved;
        }
        code = stock_news(db, arena, variant_id, available, available + change);
    }
    return code;
}

/* Writes the stock rows that change, and movements for what changes on hand. */
static enum error_code apply(struct pg *db, struct arena *arena, const struct changes *changes,
                             struct movement_insert_batch_args movements)
{
    struct variant_id *variants = ARENA_ARRAY(arena, struct variant_id, changes->count);
    struct location_id *locations = ARENA_ARRAY(arena, struct location_id, changes->count);
    int32_t *on_hand = ARENA_ARRAY(arena, int32_t, changes->count);
    int32_t *reserved = ARENA_ARRAY(arena, int32_t, changes->count);
    struct movement_id *ids = ARENA_ARRAY(arena, struct movement_id, changes->count);
    struct variant_id *moved_variants = ARENA_ARRAY(arena, struct variant_id, changes->count);
    struct location_id *moved_locations = ARENA_ARRAY(arena, struct location_id, changes->count);
    int32_t *moved = ARENA_ARRAY(arena, int32_t, changes->count);
    size_t count = 0, moved_count = 0;
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->items[i];
        CHECK(change->row.reserved + change->reserved >= 0);
        CHECK(change->row.on_hand + change->on_hand >= change->row.reserved + change->reserved);
        if (change->on_hand == 0 && change->reserved == 0)
            continue;
        variants[count] = change->row.variant_id;
        locations[count] = change->row.location_id;
        on_hand[count] = change->on_hand;
        reserved[count++] = change->reserved;
        if (change->on_hand == 0)
            continue;
        ids[moved_count] = movement_id_new();
        moved_variants[moved_count] = change->row.variant_id;
        moved_locations[moved_count] = change->row.location_id;
        moved[moved_count++] = change->on_hand;
    }
    if (count == 0)
        return ERR_OK;
    enum error_code code = stock_change(db,
                                        (struct stock_change_args){.variant_ids = {variants, count},
                                                                   .location_ids = {locations, count},
                                                                   .on_hand_changes = {on_hand, count},
                                                                   .reserved_changes = {reserved, count}},
                                        NULL);
    if (!code && moved_count) {
        movements.ids = (struct movement_id_array){ids, moved_count};
        movements.variant_ids = (struct variant_id_array){moved_variants, moved_count};
        movements.location_ids = (struct location_id_array){moved_locations, moved_count};
        movements.quantities = (struct int32_array){moved, moved_count};
        code = movement_insert_batch(db, movements, NULL);
    }
    return code ? code : tell(db, arena, changes);
}

static void take(struct changes *changes, struct arena *arena, const struct stock_lock_of_order_rows *rows)
{
    changes->count = rows->count;
    changes->items = ARENA_ARRAY(arena, struct change, rows->count);
    for (size_t i = 0; i < rows->count; i++) {
        const struct stock_lock_of_order_row *row = &rows->items[i];
        changes->items[i].row =
            (struct stock_row){row->variant_id, row->location_id, row->priority, row->on_hand, row->reserved};
    }
}

/* Locks the stock of all variants of the order, then reads its reservations: after the lock, so that they are
 * fresh. */
static enum error_code lock_order(struct pg *db, struct arena *arena, struct order_id order_id,
                                  struct changes *changes,
                                  struct reservation_list_of_order_rows *reservations)
{
    struct stock_lock_of_order_rows rows;
    enum error_code code = stock_lock_of_order(db, arena, (struct stock_lock_of_order_args){order_id}, &rows);
    if (code)
        return code;
    take(changes, arena, &rows);
    return reservation_list_of_order(db, arena, (struct reservation_list_of_order_args){order_id},
                                     reservations);
}

enum error_code inventory_reservations_confirm_queue(struct pg *db, const struct order_id *order_ids,
                                                     size_t count)
{
    return reservation_confirm_batch_queue(db, (struct reservation_confirm_batch_args){{order_ids, count}});
}

enum error_code inventory_reservations_confirm_fetch(struct pg *db, struct arena *arena,
                                                     struct reservation_place **places, size_t *count)
{
    struct reservation_confirm_batch_rows rows;
    enum error_code code = reservation_confirm_batch_fetch(db, arena, &rows);
    *count = code ? 0 : rows.count;
    *places = ARENA_ARRAY(arena, struct reservation_place, *count);
    for (size_t i = 0; i < *count; i++)
        (*places)[i] = (struct reservation_place){rows.items[i].order_id, rows.items[i].line_no,
                                                  rows.items[i].location_id};
    return code;
}

/* What happens to an order's reservations: those in one of the states, at one location (or all), change stock
 * and move on. */
struct step {
    struct str_array from;
    struct str to;
    struct opt_location_id location_id;
    int32_t on_hand_sign, reserved_sign;
    struct str reason;
};

static bool concerns(const struct step *step, const struct reservation_list_of_order_row *reservation)
{
    if (step->location_id.present && !location_id_equal(step->location_id.value, reservation->location_id))
        return false;
    for (size_t i = 0; i < step->from.count; i++) {
        if (str_equal(step->from.items[i], reservation->state))
            return true;
    }
    return false;
}

static enum error_code move(struct pg *db, struct arena *arena, struct order_id order_id,
                            const struct step *step)
{
    struct changes changes;
    struct reservation_list_of_order_rows reservations;
    enum error_code code = lock_order(db, arena, order_id, &changes, &reservations);
    if (code)
        return code;
    bool any = false;
    for (size_t i = 0; i < reservations.count; i++) {
        const struct reservation_list_of_order_row *reservation = &reservations.items[i];
        if (!concerns(step, reservation))
            continue;
        struct change *change = change_of(&changes, reservation->variant_id, reservation->location_id);
        CHECK(change);
        change->on_hand += step->on_hand_sign * reservation->quantity;
        change->reserved += step->reserved_sign * reservation->quantity;
        any = true;
    }
    if (!any)
        return ERR_OK;
    code = reservation_move(db,
                            (struct reservation_move_args){.order_id = order_id,
                                                           .location_id = step->location_id,
                                                           .from_states = step->from,
                                                           .to_state = step->to},
                            NULL);
    if (code)
        return code;
    return apply(
        db, arena, &changes,
        (struct movement_insert_batch_args){.reason = step->reason, .order_id = opt_order_id(order_id)});
}

enum error_code inventory_reservations_release(struct pg *db, struct order_id order_id,
                                               const struct location_id *location_id)
{
    static const struct str from[] = {{"held", 4}, {"confirmed", 9}};
    struct step step = {
        .from = {from, 2}, .to = STR("released"), .reserved_sign = -1, .reason = STR("correction")};
    if (location_id)
        step.location_id = opt_location_id(*location_id);
    struct arena *arena = arena_new();
    enum error_code code = move(db, arena, order_id, &step);
    arena_free(arena);
    return code;
}

enum error_code inventory_reservations_consume(struct pg *db, struct arena *arena, struct order_id order_id,
                                               struct location_id location_id)
{
    static const struct str from[] = {{"confirmed", 9}};
    const struct step step = {.from = {from, 1},
                              .to = STR("consumed"),
                              .location_id = opt_location_id(location_id),
                              .on_hand_sign = -1,
                              .reserved_sign = -1,
                              .reason = STR("shipment")};
    return move(db, arena, order_id, &step);
}

enum error_code inventory_reservations_return(struct pg *db, struct arena *arena, struct order_id order_id,
                                              struct location_id location_id)
{
    static const struct str from[] = {{"consumed", 8}};
    const struct step step = {.from = {from, 1},
                              .to = STR("released"),
                              .location_id = opt_location_id(location_id),
                              .on_hand_sign = 1,
                              .reason = STR("return")};
    return move(db, arena, order_id, &step);
}

/* The new reservations of reacquire, grown line by line. */
struct held {
    struct order_id *order_ids;
    int16_t *line_nos;
    struct location_id *location_ids;
    struct variant_id *variant_ids;
    int32_t *quantities;
    size_t count;
};

static struct held held_new(struct arena *arena, size_t most)
{
    return (struct held){.order_ids = ARENA_ARRAY(arena, struct order_id, most),
                         .line_nos = ARENA_ARRAY(arena, int16_t, most),
                         .location_ids = ARENA_ARRAY(arena, struct location_id, most),
                         .variant_ids = ARENA_ARRAY(arena, struct variant_id, most),
                         .quantities = ARENA_ARRAY(arena, int32_t, most)};
}

/* Finds stock for one line; false when there is not enough. */
static bool hold_line(struct arena *arena, struct changes *changes, struct held *held,
                      struct order_id order_id, int16_t line_no, struct variant_id variant_id,
                      int32_t quantity)
{
    struct stock_row *rows = ARENA_ARRAY(arena, struct stock_row, changes->count + 1);
    struct stock_part *parts = ARENA_ARRAY(arena, struct stock_part, changes->count + 1);
    size_t count = 0;
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->items[i];
        if (variant_id_equal(change->row.variant_id, variant_id)) {
            rows[count] = change->row;
            rows[count++].reserved += change->reserved;
        }
    }
    size_t part_count = stock_allocate(rows, count, quantity, parts);
    for (size_t i = 0; i < part_count; i++) {
        struct change *change = change_of(changes, variant_id, parts[i].location_id);
        CHECK(change);
        change->reserved += parts[i].quantity;
        held->order_ids[held->count] = order_id;
        held->line_nos[held->count] = line_no;
        held->location_ids[held->count] = parts[i].location_id;
        held->variant_ids[held->count] = variant_id;
        held->quantities[held->count++] = parts[i].quantity;
    }
    return part_count > 0;
}

enum error_code inventory_reservations_reacquire(struct pg *db, struct arena *arena, struct order_id order_id)
{
    struct changes changes;
    struct reservation_list_of_order_rows old;
    enum error_code code = lock_order(db, arena, order_id, &changes, &old);
    if (code)
        return code;
    struct held held = held_new(arena, old.count * (changes.count + 1));
    for (size_t i = 0; i < old.count;) {
        /* A line may have been spread over several locations: its rows are neighbours. */
        int16_t line_no = old.items[i].line_no;
        struct variant_id variant_id = old.items[i].variant_id;
        int32_t quantity = 0;
        for (; i < old.count && old.items[i].line_no == line_no; i++) {
            if (str_equal(old.items[i].state, STR("released")))
                quantity += old.items[i].quantity;
        }
        if (quantity > 0 && !hold_line(arena, &changes, &held, order_id, line_no, variant_id, quantity))
            return ERR_OUT_OF_STOCK;
    }
    if (held.count == 0)
        return ERR_OK;
    code = reservation_drop_released(db, (struct reservation_drop_released_args){order_id}, NULL);
    if (!code)
        code = reservation_insert_batch(
            db,
            (struct reservation_insert_batch_args){.order_ids = {held.order_ids, held.count},
                                                   .line_nos = {held.line_nos, held.count},
                                                   .location_ids = {held.location_ids, held.count},
                                                   .variant_ids = {held.variant_ids, held.count},
                                                   .quantities = {held.quantities, held.count}},
            NULL);
    return code
               ? code
               : apply(db, arena, &changes, (struct movement_insert_batch_args){.reason = STR("correction")});
}

/* Locks all stock of one variant; its row at the location is made first where it is missing. */
static enum error_code lock_variant(struct pg *db, struct arena *arena, struct variant_id variant_id,
                                    struct changes *changes)
{
    struct stock_lock_batch_rows rows;
    enum error_code code =
        stock_lock_batch(db, arena, (struct stock_lock_batch_args){.variant_ids = {&variant_id, 1}}, &rows);
    if (code)
        return code;
    changes->count = rows.count;
    changes->items = ARENA_ARRAY(arena, struct change, rows.count);
    for (size_t i = 0; i < rows.count; i++) {
        const struct stock_lock_batch_row *row = &rows.items[i];
        changes->items[i].row =
            (struct stock_row){row->variant_id, row->location_id, row->priority, row->on_hand, row->reserved};
    }
    return ERR_OK;
}

enum error_code inventory_adjust(struct pg *db, struct arena *arena, struct variant_id variant_id,
                                 struct location_id location_id, int32_t quantity, struct str reason,
                                 struct uuid actor_id, struct str note, struct movement_id *movement_id)
{
    CHECK(quantity != 0 && quantity >= -STOCK_ON_HAND_MAX && quantity <= STOCK_ON_HAND_MAX);
    struct stock_place_row place;
    bool found;
    enum error_code code =
        stock_place(db, arena, (struct stock_place_args){variant_id, location_id}, &place, &found);
    if (!code && !found)
        code = ERR_NOT_FOUND;
    if (!code)
        code = stock_ensure(db, (struct stock_ensure_args){variant_id, location_id, place.priority}, NULL);
    struct changes changes;
    if (!code)
        code = lock_variant(db, arena, variant_id, &changes);
    if (code)
        return code;
    struct change *change = change_of(&changes, variant_id, location_id);
    CHECK(change);
    int64_t on_hand = (int64_t)change->row.on_hand + quantity;
    if (on_hand > STOCK_ON_HAND_MAX)
        return ERR_OUT_OF_RANGE;
    if (on_hand < change->row.reserved)
        return ERR_OUT_OF_STOCK;
    change->on_hand = quantity;
    struct movement_id id = movement_id_new();
    struct opt_uuid actor = {!uuid_is_zero(actor_id), actor_id};
    code = stock_change(db,
                        (struct stock_change_args){.variant_ids = {&variant_id, 1},
                                                   .location_ids = {&location_id, 1},
                                                   .on_hand_changes = {&quantity, 1},
                                                   .reserved_changes = {&(const int32_t){0}, 1}},
                        NULL);
    if (!code)
        code = movement_insert_batch(db,
                                     (struct movement_insert_batch_args){.ids = {&id, 1},
                                                                         .variant_ids = {&variant_id, 1},
                                                                         .location_ids = {&location_id, 1},
                                                                         .quantities = {&quantity, 1},
                                                                         .reason = reason,
                                                                         .actor_id = actor,
                                                                         .note = note},
                                     NULL);
    if (!code && movement_id)
        *movement_id = id;
    return code ? code : tell(db, arena, &changes);
}
