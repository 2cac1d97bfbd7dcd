/* What people do about parcels: the list of those that need somebody, an address put right, a label asked for
 * once more. A label bears the address that the order had when the carrier was asked, so an address changes
 * only while no label was made and none is in the making; both sides lock the order. */
#include "api.h"
#include "http/cursor.h"
#include "http/request.h"
#include "shipping_sql.h"
#include "shop/orders/orders.h"
#include "shop/shipping/shipping_internal.h"

#define ASKED_RETRY_S 60

/* made: whether a label that is made is in the way, too. */
static enum error_code no_label_or_refuse(struct request *req, struct order_id order_id, bool made)
{
    struct shipment_labels_begun_row row;
    bool found;
    enum error_code code = shipment_labels_begun(req->db, req->arena,
                                                 (struct shipment_labels_begun_args){order_id}, &row, &found);
    if (code != ERR_OK)
        return code;
    if (made && row.made)
        return error_set(&req->error, ERR_CONFLICT, "A label with the address of before is made already");
    if (row.asked) {
        req->error.retry_after_s = ASKED_RETRY_S;
        return error_set(&req->error, ERR_CONFLICT, "A label is being made; try again in some minutes");
    }
    return ERR_OK;
}

static enum error_code change_address(struct request *req, void *context)
{
    const struct api_order_address_set *in = context;
    struct order order;
    enum error_code code = order_lock(req->db, req->arena, in->order_id, &order);
    bool strangers = code == ERR_OK && req->principal.role == ROLE_CUSTOMER &&
                     !user_id_equal(order.customer_id, req->principal.user_id);
    if (code == ERR_NOT_FOUND || strangers)
        return error_set(&req->error, ERR_NOT_FOUND, "There is no such order");
    if (code == ERR_OK)
        code = no_label_or_refuse(req, in->order_id, true);
    if (code == ERR_OK)
        code = order_address_change(req->db, req->arena, &order, &in->body);
    if (code == ERR_TRANSITION)
        return error_set(&req->error, code, "The order is %s; its address stays as it is",
                         order_state_text(order.state));
    if (code == ERR_OK)
        code =
            shipment_begin_anew(req->db, (struct shipment_begin_anew_args){.order_id = in->order_id}, NULL);
    return code == ERR_OK ? respond_empty(req, 204) : code;
}

enum error_code order_address_set_handle(struct request *req, const struct api_order_address_set *in)
{
    struct api_order_address_set copy = *in;
    return request_transaction(req, change_address, &copy);
}

enum error_code staff_shipment_list_handle(struct request *req, const struct api_staff_shipment_list *in)
{
    struct shipment_trouble_page_args args = {.most = in->limit};
    enum error_code code = CURSOR_READ(req, in, &args.before);
    if (code != ERR_OK)
        return code;
    struct shipment_trouble_page_row row;
    bool found;
    code = shipment_trouble_page(req->db, req->arena, args, &row, &found);
    if (code != ERR_OK)
        return code;
    return respond_items(req, row.items, row.more, &row.last_id.value, sizeof row.last_id.value);
}

static enum error_code retry(struct request *req, void *context)
{
    const struct api_shipment_label_retry *in = context;
    struct shipment_order_row owner;
    bool found;
    struct order order;
    struct shipment_lock_row row;
    enum error_code code =
        shipment_order(req->db, req->arena, (struct shipment_order_args){in->shipment_id}, &owner, &found);
    if (code == ERR_OK && found)
        code = order_lock(req->db, req->arena, owner.order_id, &order);
    if (code == ERR_OK && found)
        code = shipment_lock(req->db, req->arena, (struct shipment_lock_args){in->shipment_id}, &row, &found);
    if (code != ERR_OK || !found)
        return code ? code : error_set(&req->error, ERR_NOT_FOUND, "There is no such parcel");
    if (!str_equal(row.state, STR("created")))
        return error_set(&req->error, ERR_CONFLICT, "The parcel is %.*s; it waits for no label",
                         STR_ARG(row.state));
    code = no_label_or_refuse(req, owner.order_id, false);
    if (code != ERR_OK)
        return code;
    struct shipment_begin_anew_args anew = {owner.order_id, opt_shipment_id(in->shipment_id)};
    code = shipment_begin_anew(req->db, anew, NULL);
    char key[ID_TEXT_MAX];
    struct task_request task = {
        .name = STR("shipping_labels"),
        .unique_key = {key, order_id_text(owner.order_id, key)},
        .aggregate_id = owner.order_id.uuid,
        .payload = STR("{}"),
    };
    if (code == ERR_OK)
        code = task_enqueue(req->db, &task);
    return code == ERR_OK ? respond_empty(req, 204) : code;
}

enum error_code shipment_label_retry_handle(struct request *req, const struct api_shipment_label_retry *in)
{
    struct api_shipment_label_retry copy = *in;
    return request_transaction(req, retry, &copy);
}
