/* Refunds by staff, and how they stand. */
#include "api.h"
#include "http/request.h"
#include "payments_sql.h"
#include "shop/payments/payments_internal.h"

/* Where several payments have money left, the refund has to name one: which of them stays is not for the shop
 * to guess. */
static enum error_code payment_is_clear(struct request *req, const struct order *order,
                                        struct opt_payment_id named)
{
    struct payment_refundable_list_rows rows;
    enum error_code code =
        payment_refundable_list(req->db, req->arena, (struct payment_refundable_list_args){order->id}, &rows);
    if (code || named.present || rows.count < 2)
        return code;
    for (size_t i = 0; i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        payment_id_text(rows.items[i].id, id);
        error_field_add(&req->error, "payment_id", "%s: %s",
                        rows.items[i].surplus ? "came_for_nothing" : "paid_the_order", id);
    }
    return error_set(&req->error, ERR_CONFLICT,
                     "The order was paid more than once; say which payment goes back");
}

static enum error_code refund(struct request *req, void *context)
{
    const struct api_order_refund *in = context;
    struct order order;
    enum error_code code = order_lock(req->db, req->arena, in->order_id, &order);
    if (code == ERR_NOT_FOUND)
        return error_set(&req->error, ERR_NOT_FOUND, "There is no such order");
    if (code)
        return code;
    struct opt_payment_id payment_id = {in->body.has_payment_id, in->body.payment_id};
    code = payment_is_clear(req, &order, payment_id);
    if (code)
        return code;
    struct order_cause cause = {ACTOR_STAFF, req->principal.user_id.uuid, in->body.reason};
    struct refund_id refund_id;
    code = refund_order(req->db, req->arena, &order, payment_id, in->body.reason, &cause, &refund_id);
    if (code == ERR_NOT_FOUND)
        return error_set(&req->error, ERR_NOT_FOUND, "The order was not paid by such a payment");
    if (code == ERR_CONFLICT)
        return error_set(&req->error, ERR_CONFLICT, "All that the order took has been given back already");
    if (code == ERR_TRANSITION)
        return error_set(&req->error, ERR_TRANSITION, "The order is %s; only a paid order is refunded",
                         order_state_text(order.state));
    struct refund_show_body_row row;
    bool found;
    if (code == ERR_OK)
        code = refund_show_body(req->db, req->arena, (struct refund_show_body_args){refund_id}, &row, &found);
    return code ? code : respond_json(req, 201, row.body);
}

enum error_code order_refund_handle(struct request *req, const struct api_order_refund *in)
{
    struct api_order_refund copy = *in;
    return request_transaction(req, refund, &copy);
}

enum error_code refund_list_handle(struct request *req, const struct api_refund_list *in)
{
    struct refund_list_body_row row;
    bool found;
    struct refund_list_body_args args = {in->order_id,
                                         {req->principal.role == ROLE_CUSTOMER, req->principal.user_id}};
    enum error_code code = refund_list_body(req->db, req->arena, args, &row, &found);
    if (code == ERR_OK && !found)
        return error_set(&req->error, ERR_NOT_FOUND, "There is no such order");
    return code ? code : respond_json(req, 200, row.body);
}
