/* Inventory: what is on hand and reserved per variant and location. Owns location, stock, movement, reservation. Every
 * change of on hand is a movement row; every part of reserved is a reservation row. Others change stock through these
 * functions only. All need an open transaction, block, and lock stock rows in the order (variant_id, location_id). */
#ifndef CATHAY_SHOP_INVENTORY_INVENTORY_H
#define CATHAY_SHOP_INVENTORY_INVENTORY_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "pg/pg.h"

/* held → confirmed. Safe to repeat: reservations in another state are left alone. */
enum error_code inventory_reservations_confirm(struct pg *db, struct order_id order_id);
/* held or confirmed → released; reserved goes down. Safe to repeat. */
enum error_code inventory_reservations_release(struct pg *db, struct order_id order_id);
/* confirmed → consumed at one location: reserved and on hand go down, with a movement of reason shipment. Safe to repeat. */
enum error_code inventory_reservations_consume(struct pg *db, struct arena *arena, struct order_id order_id, struct location_id location_id);
/* released → held for all lines of the order, at locations that have them now (the old rows are replaced). ERR_OUT_OF_STOCK. */
enum error_code inventory_reservations_reacquire(struct pg *db, struct arena *arena, struct order_id order_id);
/* consumed → on hand again, with a movement of reason return: goods that came back. Safe to repeat. */
enum error_code inventory_reservations_return(struct pg *db, struct arena *arena, struct order_id order_id, struct location_id location_id);

/* A receipt, correction or damage by staff or vendor: on hand changes by `quantity` (signed). ERR_OUT_OF_STOCK when on hand
 * would fall below reserved. Publishes stock.changed (aggregate: the product) when the product's stock state changed. */
enum error_code inventory_adjust(struct pg *db, struct arena *arena, struct variant_id variant_id, struct location_id location_id,
                                 int32_t quantity, struct str reason, struct uuid actor_id, struct str note, struct movement_id *movement_id);

#endif
