/* Orders as their customers see them. What is shown is built by PostgreSQL (orders_read.sql). */
#include "api.h"
#include "http/request.h"
#include "orders_read_sql.h"
#include "shop/orders/orders.h"
#include "shop/orders/orders_internal.h"

bool order_cursor_parse(struct request *req, bool has_cursor, struct str cursor, struct opt_order_id *before)
{
    *before = (struct opt_order_id){.present = has_cursor};
    if (!has_cursor || order_id_parse(cursor, &before->value))
        return true;
    error_set(&req->error, ERR_VALIDATION, "The cursor is not one that this list has given");
    error_field_add(&req->error, "cursor", "take next_cursor of the page before");
    return false;
}

enum error_code order_list_handle(struct request *req, const struct api_order_list *in)
{
    struct order_list_page_args args = {.customer_id = req->principal.user_id, .most = in->limit};
    if (!order_cursor_parse(req, in->has_cursor, in->cursor, &args.before))
        return ERR_VALIDATION;
    struct order_list_page_row row;
    bool found;
    enum error_code code = order_list_page(req->db, req->arena, args, &row, &found);
    return code == ERR_OK ? respond_json(req, 200, row.body) : code;
}

static enum error_code show(struct request *req, struct order_id order_id, struct opt_user_id customer_id,
                            bool staff)
{
    struct order_show_body_row row;
    bool found;
    enum error_code code = order_show_body(
        req->db, req->arena, (struct order_show_body_args){order_id, customer_id, staff}, &row, &found);
    if (code == ERR_OK && !found)
        return error_set(&req->error, ERR_NOT_FOUND, "There is no such order");
    return code == ERR_OK ? respond_json(req, 200, row.body) : code;
}

enum error_code order_show_handle(struct request *req, const struct api_order_show *in)
{
    return show(req, in->order_id, opt_user_id(req->principal.user_id), false);
}

enum error_code staff_order_show_handle(struct request *req, const struct api_staff_order_show *in)
{
    return show(req, in->order_id, (struct opt_user_id){0}, true);
}

static enum error_code cancel(struct request *req, void *context)
{
    const struct api_order_cancel *in = context;
    struct order order;
    enum error_code code = order_lock(req->db, req->arena, in->order_id, &order);
    if (code == ERR_NOT_FOUND ||
        (code == ERR_OK && !user_id_equal(order.customer_id, req->principal.user_id)))
        return error_set(&req->error, ERR_NOT_FOUND, "There is no such order");
    if (code != ERR_OK)
        return code;
    if (order.state != ORDER_PENDING_PAYMENT && order.state != ORDER_CANCELLED)
        return error_set(&req->error, ERR_TRANSITION,
                         "The order is %s; only an order that is not paid yet can be cancelled here",
                         order_state_text(order.state));
    struct order_cause cause = {ACTOR_CUSTOMER, req->principal.user_id.uuid,
                                STR("Cancelled by the customer")};
    code = order_release(req->db, req->arena, &order, ORDER_CANCELLED, &cause);
    return code == ERR_OK ? show(req, in->order_id, opt_user_id(req->principal.user_id), false) : code;
}

enum error_code order_cancel_handle(struct request *req, const struct api_order_cancel *in)
{
    struct api_order_cancel copy = *in;
    enum error_code code = request_transaction(req, cancel, &copy);
    if (!code) /* miles that it held are back */
        request_changed(req, STR("balance"), req->principal.user_id.uuid);
    return code;
}
