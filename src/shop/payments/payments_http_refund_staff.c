/* Refunds as staff see them: all of one state, newest first, and one that failed asked for again. */
#include "api.h"
#include "http/request.h"
#include "payments_sql.h"
#include "payments_staff_sql.h"
#include "shop/accounts/accounts.h"
#include "shop/payments/payments_internal.h"

enum error_code staff_refund_list_handle(struct request *req, const struct api_staff_refund_list *in)
{
    struct staff_refund_page_args args = {
        .state = str_from(api_refund_state_names[in->state - 1]),
        .before = {.present = in->has_cursor},
        .most = in->limit,
    };
    if (in->has_cursor && !refund_id_parse(in->cursor, &args.before.value)) {
        error_field_add(&req->error, "cursor", "take next_cursor of the page before");
        return error_set(&req->error, ERR_VALIDATION, "The cursor is not one that this list has given");
    }
    struct staff_refund_page_row row;
    bool found;
    enum error_code code = staff_refund_page(req->db, req->arena, args, &row, &found);
    return code ? code : respond_json(req, 200, row.body);
}

/* With the order locked: what is left of the payment covers the refund anew. */
static enum error_code ask_again(struct request *req, struct refund_id id, const struct order *order,
                                 struct refund_id *again)
{
    struct refund_retry_lock_row row;
    struct payment_lock_row payment;
    bool found;
    enum error_code code =
        refund_retry_lock(req->db, req->arena, (struct refund_retry_lock_args){id}, &row, &found);
    if (code)
        return code;
    if (!str_equal(row.state, STR("failed")) || !row.payment_id.present)
        return error_set(&req->error, ERR_CONFLICT,
                         "The refund is %.*s; only one that failed is asked for again", STR_ARG(row.state));
    struct payment_id payment_id = row.payment_id.value;
    code = payment_lock(req->db, req->arena, (struct payment_lock_args){payment_id}, &payment, &found);
    if (code)
        return code;
    if (payment.amount_minor - payment.refunded_minor < row.amount_minor)
        return error_set(&req->error, ERR_CONFLICT, "Its money was asked for again already");
    return refund_cash(req->db, req->arena, order, payment_id, row.amount_minor, 0, row.reason,
                       req->principal.user_id.uuid, again);
}

static enum error_code retry(struct request *req, void *context)
{
    const struct api_refund_retry *in = context;
    struct refund_show_row shown;
    struct refund_show_body_row row;
    struct order order;
    struct refund_id again;
    bool found;
    enum error_code code =
        refund_show(req->db, req->arena, (struct refund_show_args){in->refund_id}, &shown, &found);
    if (code == ERR_OK && !found)
        return error_set(&req->error, ERR_NOT_FOUND, "There is no such refund");
    if (code == ERR_OK)
        code = order_lock(req->db, req->arena, shown.order_id, &order);
    if (code == ERR_OK)
        code = ask_again(req, in->refund_id, &order, &again);
    if (code == ERR_OK)
        code = refund_show_body(req->db, req->arena, (struct refund_show_body_args){again}, &row, &found);
    return code ? code : respond_json(req, 201, row.body);
}

enum error_code refund_retry_handle(struct request *req, const struct api_refund_retry *in)
{
    struct api_refund_retry copy = *in;
    enum error_code code = accounts_session_check(req->db, req->arena, &req->principal);
    return code ? code : request_transaction(req, retry, &copy);
}
