/* Labels of orders that were cancelled or refunded. Until the carrier has said what became of the label, the
 * parcel's part keeps its stock: void, it is free; refused, the parcel has left, and is booked out as any
 * parcel that leaves. What comes back is booked in by the carrier's word, or by staff.
 *
 * What is to be asked is noted first (label_refund: asked), so that the schedule goes on where the task gave
 * up; what may have been asked before is looked up, because the carrier knows no idempotency keys. */
#include "base/check.h"
#include "base/config.h"
#include "base/log.h"
#include "shipping_sql.h"
#include "shop/orders/orders.h"
#include "shop/shipping/parcel.h"
#include "shop/shipping/shipping_internal.h"

#define VOIDS_AT_ONCE_MAX 50

struct voided {
    struct arena *arena;
    struct shipment_id id;
    const struct shipment_void_show_row *row;
    enum carrier_refund refund;
};

static bool is_void(enum carrier_refund refund)
{
    return refund == CARRIER_REFUND_SUBMITTED || refund == CARRIER_REFUND_REFUNDED;
}

/* Staff have to look: also where the carrier first took the label back, and the stock was freed. */
static void log_left(struct shipment_id id, const char *what)
{
    char text[ID_TEXT_MAX];
    shipment_id_text(id, text);
    log_write(LOG_ERROR, "the label of an order that ended is in use: its parcel has left",
              LOG_TEXT("shipment", text), LOG_TEXT("label", what));
}

static enum error_code record_void(struct pg *db, void *context)
{
    const struct voided *in = context;
    struct order order;
    struct shipment_lock_row locked;
    bool found;
    enum error_code code = order_lock(db, in->arena, in->row->order_id, &order);
    if (code == ERR_OK)
        code = shipment_lock(db, in->arena, (struct shipment_lock_args){in->id}, &locked, &found);
    struct shipment_void_set_args args = {in->id, str_from(carrier_refund_text(in->refund)),
                                          is_void(in->refund)};
    int64_t affected = 0;
    if (code == ERR_OK)
        code = shipment_void_set(db, args, &affected);
    if (code != ERR_OK || affected == 0)
        return code;
    if (is_void(in->refund))
        return order_fulfilment_cancel(db, in->arena, &order, in->row->fulfilment_no);
    log_left(in->id, carrier_refund_text(in->refund));
    struct order_cause cause = {.actor = ACTOR_CARRIER,
                                .reason = STR("The label could not be voided: the parcel has left")};
    return order_fulfilment_advance(db, in->arena, &order, in->row->fulfilment_no, FULFILMENT_SHIPPED,
                                    &cause);
}

/* What the carrier says of the label, asked for where it was not. */
static enum error_code carrier_say(struct pg *db, struct arena *arena,
                                   const struct shipment_void_show_row *row, enum carrier_refund *refund,
                                   struct error *error)
{
    const struct carrier *carrier = shipping_carrier();
    struct carrier_shipment shipment;
    bool found;
    enum error_code code = carrier->shipment_find(db, arena, row->carrier_id, &shipment, &found, error);
    if (code != ERR_OK)
        return code;
    if (!found) { /* no label that anybody could use */
        *refund = CARRIER_REFUND_REFUNDED;
        return ERR_OK;
    }
    if (shipment.refund == CARRIER_REFUND_NONE)
        code = carrier->label_void(db, arena, row->carrier_id, &shipment, error);
    bool refused = code == ERR_VALIDATION;
    if (refused) /* for good, or because somebody else has just asked */
        code = carrier->shipment_find(db, arena, row->carrier_id, &shipment, &found, error);
    if (code == ERR_OK && refused && shipment.refund == CARRIER_REFUND_NONE)
        shipment.refund = CARRIER_REFUND_REJECTED;
    *refund = shipment.refund;
    if (code == ERR_OK && *refund == CARRIER_REFUND_NONE)
        code = error_set(error, ERR_PARTNER, "The carrier does not say what became of the label");
    return code;
}

static enum error_code label_void(struct pg *db, struct arena *arena, struct shipment_id id,
                                  struct error *error)
{
    struct shipment_void_show_row row;
    bool found;
    enum error_code code = shipment_void_show(db, arena, (struct shipment_void_show_args){id}, &row, &found);
    if (code != ERR_OK || !found)
        return code;
    struct voided voided = {.arena = arena, .id = id, .row = &row};
    code = carrier_say(db, arena, &row, &voided.refund, error);
    return code == ERR_OK ? pg_transaction(db, record_void, &voided) : code;
}

enum error_code shipping_void_enqueue(struct pg *db, struct order_id order_id)
{
    char id[ID_TEXT_MAX];
    struct task_request request = {
        .name = STR("shipping_void"),
        .unique_key = {id, order_id_text(order_id, id)},
        .aggregate_id = order_id.uuid,
        .payload = STR("{}"),
    };
    return task_enqueue(db, &request);
}

enum error_code shipping_void_task(struct task_run *run)
{
    struct order_id order_id = {run->event.aggregate_id};
    struct shipment_void_list_of_order_rows rows = {0};
    enum error_code code = shipment_void_ask(run->db, (struct shipment_void_ask_args){order_id}, NULL);
    if (code == ERR_OK)
        code = shipment_void_list_of_order(run->db, run->arena,
                                           (struct shipment_void_list_of_order_args){order_id}, &rows);
    for (size_t i = 0; i < rows.count; i++) {
        enum error_code one = label_void(run->db, run->arena, rows.items[i].id, &run->error);
        if (one != ERR_OK)
            code = one;
    }
    return code;
}

enum error_code shipping_void_poll_task(struct task_run *run)
{
    struct shipment_void_list_rows rows;
    struct shipment_void_list_args args = {config()->shipment_quiet_s, VOIDS_AT_ONCE_MAX};
    enum error_code code = shipment_void_list(run->db, run->arena, args, &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++) {
        struct error error = {.code = ERR_OK};
        enum error_code one = label_void(run->db, run->arena, rows.items[i].id, &error);
        if (one == ERR_PARTNER || one == ERR_PARTNER_TIMEOUT)
            run->error = error;
        code = shipment_void_touch(run->db, (struct shipment_void_touch_args){rows.items[i].id}, NULL);
    }
    return code;
}
