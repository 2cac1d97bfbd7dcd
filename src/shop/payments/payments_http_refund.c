/* Refunds by staff, and how they stand. */
#include "api.h"
#include "http/request.h"
#include "payments_sql.h"
#include "shop/accounts/accounts.h"
#include "shop/payments/payments_internal.h"

static enum error_code refund(struct request *req, void *context)
{
    const struct api_order_refund *in = context;
    struct order order;
    enum error_code code = order_lock(req->db, req->arena, in->order_id, &order);
    if (code == ERR_NOT_FOUND)
        return error_set(&req->error, ERR_NOT_FOUND, "There is no such order");
    if (code)
        return code;
    struct order_cause cause = {ACTOR_STAFF, req->principal.user_id.uuid, in->body.reason};
    struct refund_id refund_id;
    code = refund_order(req->db, req->arena, &order, in->body.reason, &cause, &refund_id);
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
    enum error_code code = accounts_session_check(req->db, req->arena, &req->principal);
    return code ? code : request_transaction(req, refund, &copy);
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
