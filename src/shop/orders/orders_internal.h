/* Shared by the files of this module only. */
#ifndef CATHAY_SHOP_ORDERS_ORDERS_INTERNAL_H
#define CATHAY_SHOP_ORDERS_ORDERS_INTERNAL_H

#include "http/request.h"
#include "orders_sql.h"
#include "pg/pg_types.h"
#include "shop/orders/orders.h"
#include "work/work.h"

/* One step of locked orders that are all in one state, and the event of one of them, which is moved. */
struct order_step_batch_args order_step_args(const struct order_id *ids, size_t count, enum order_state from,
                                             enum order_state to, const struct order_cause *cause);
struct event order_step_event(struct arena *arena, struct order *order, enum order_state to,
                              struct str reason);

/* ERR_OUT_OF_STOCK where a line's goods are not sold any more. */
enum error_code order_goods_sold(struct pg *db, struct arena *arena, struct order_id order_id);

/* Lists are paged by the id of the last order shown. False: the answer is ERR_VALIDATION, set on the request.
 */
bool order_cursor_parse(struct request *req, bool has_cursor, struct str cursor, struct opt_order_id *before);

extern const struct task_definition order_tasks[];
extern const struct invariant order_invariants[];

/* Live streams (orders_http_events.c): threads and connections of this process. Started at the first stream.
 */
void order_streams_stop(void);

#endif
