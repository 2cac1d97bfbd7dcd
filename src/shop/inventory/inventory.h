/* Inventory: what is on hand and reserved per variant and location. Owns location, stock, movement,
 * reservation. Every change of on hand is a movement row; every part of reserved is a reservation row. Others
 * change stock through these functions only. All need an open transaction, block, and lock stock rows in the
 * order (variant_id, location_id). */
#ifndef CATHAY_SHOP_INVENTORY_INVENTORY_H
#define CATHAY_SHOP_INVENTORY_INVENTORY_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "pg/pg.h"

/* How well a variant is stocked. Crossing from one state to another is news: the event stock.changed
 * (aggregate: the product; payload: variant_id, state), which drops cached pages and refreshes listings. */
enum stock_state { STOCK_OUT, STOCK_LOW, STOCK_IN };
/* Up to this many available is low. The database's stock_state() says the same. */
#define STOCK_LOW_MOST 5
/* Pure. `available`: on hand less reserved, over all locations. */
enum stock_state stock_state(int64_t available);
const char *stock_state_text(enum stock_state state); /* "out_of_stock", "low", "in_stock" */
/* Pure. What a shopper is told of how many there are: 0 to STOCK_SHOWN_MAX, which means so many or more.
 * Everywhere, refusals included: exact numbers are the vendor's business. */
#define STOCK_SHOWN_MAX 10
int64_t stock_shown(int64_t available);

/* One row of stock, and what is to change about it. */
struct stock_row {
    struct variant_id variant_id;
    struct location_id location_id;
    int32_t priority;
    int32_t on_hand, reserved;
};
struct stock_part {
    struct location_id location_id;
    int32_t quantity;
};
/* Pure. Where `quantity` of a variant is taken from: the location with the lowest priority that has all of
 * it; where none has, several in the order of priority. rows: all stock of that one variant, in any order; of
 * equal priorities the smaller location id wins. Adds to the rows' reserved, so that the next line sees it.
 * parts has room for `count`. Returns the number of parts, 0 when there is not enough (nothing is changed
 * then). */
size_t stock_allocate(struct stock_row *rows, size_t count, int32_t quantity, struct stock_part *parts);

/* In a transaction: publishes stock.changed for a variant whose state differs between the two; else does
 * nothing. */
enum error_code stock_news(struct pg *db, struct arena *arena, struct variant_id variant_id,
                           int64_t available_before, int64_t available_after);

/* held → confirmed, for many orders (sorted), as one statement of a pipeline; fetch tells which, in any
 * order. Safe to repeat: reservations in another state are left alone, and not told. No stock row is touched.
 */
struct reservation_place {
    struct order_id order_id;
    int16_t line_no;
    struct location_id location_id;
};
enum error_code inventory_reservations_confirm_queue(struct pg *db, const struct order_id *order_ids,
                                                     size_t count);
enum error_code inventory_reservations_confirm_fetch(struct pg *db, struct arena *arena,
                                                     struct reservation_place **places, size_t *count);
/* held or confirmed → released, at one location or (NULL) at all; reserved goes down. Safe to repeat. */
enum error_code inventory_reservations_release(struct pg *db, struct order_id order_id,
                                               const struct location_id *location_id);
/* confirmed → consumed at one location: reserved and on hand go down, with a movement of reason shipment.
 * Safe to repeat. */
enum error_code inventory_reservations_consume(struct pg *db, struct arena *arena, struct order_id order_id,
                                               struct location_id location_id);
/* released → held for all lines of the order, at locations that have them now (the old rows are replaced).
 * ERR_OUT_OF_STOCK: nothing changed. */
enum error_code inventory_reservations_reacquire(struct pg *db, struct arena *arena,
                                                 struct order_id order_id);
/* consumed → released and on hand again, with a movement of reason return: goods that came back. Safe to
 * repeat. */
enum error_code inventory_reservations_return(struct pg *db, struct arena *arena, struct order_id order_id,
                                              struct location_id location_id);

/* Pieces of a variant at one location: far below what an int32 holds, so that sums of a few changes never
 * overflow. */
#define STOCK_ON_HAND_MAX 1000000000

/* A receipt, correction or damage by staff or vendor: on hand changes by `quantity` (signed).
 * ERR_OUT_OF_RANGE when more than STOCK_ON_HAND_MAX would be on hand, ERR_OUT_OF_STOCK when it would fall
 * below reserved; ERR_NOT_FOUND when there is no such variant, or the location is not of its vendor.
 * movement_id may be NULL. */
enum error_code inventory_adjust(struct pg *db, struct arena *arena, struct variant_id variant_id,
                                 struct location_id location_id, int32_t quantity, struct str reason,
                                 struct uuid actor_id, struct str note, struct movement_id *movement_id);

#endif
