/* Shared by the files of this module only. */
#ifndef CATHAY_SHOP_SHIPPING_SHIPPING_INTERNAL_H
#define CATHAY_SHOP_SHIPPING_SHIPPING_INTERNAL_H

#include "shop/shipping/carrier.h"
#include "work/work.h"

/* The carrier in force. */
const struct carrier *shipping_carrier(void);

/* Outside a transaction; blocks on the carrier. A shipment that has its label already is left alone; one that
 * nobody wants any more is cancelled; one that the carrier refuses waits for staff (shipment.problem,
 * ERR_OK). is_new: the carrier cannot know it yet. */
enum error_code shipping_label_make(struct pg *db, struct arena *arena, struct shipment_id id, bool is_new,
                                    struct error *error);

/* In a transaction: what a tracker says is recorded, shipment, fulfilment and order follow. Locks the order,
 * then the shipment. */
enum error_code shipping_tracker_apply(struct pg *db, struct arena *arena, struct order_id order_id,
                                       struct shipment_id id, int16_t fulfilment_no,
                                       const struct carrier_tracker *tracker);

/* In a transaction: a task that voids the labels of an order that was cancelled or refunded. */
enum error_code shipping_void_enqueue(struct pg *db, struct order_id order_id);

task_fn shipping_void_task, shipping_void_poll_task;
task_fn shipping_labels_task;
task_fn shipping_webhook_task;
task_fn shipping_poll_task;

#endif
