/* Sales over HTTP, but for buying: that is checkout's (sale_order_place). */
#include "api.h"
#include "base/check.h"
#include "base/clock.h"
#include "http/cursor.h"
#include "sale_sql.h"
#include "shop/catalog/catalog.h"
#include "shop/sale/sale_internal.h"

#define LISTED_MAX 100

static enum error_code publish_change(struct pg *db, struct sale_id sale_id)
{
    struct event event = {.type = STR("sale.changed"), .aggregate_id = sale_id.uuid, .payload = STR("{}")};
    return outbox_publish(db, &event, NULL);
}

/* ── for everybody ── */

enum error_code sale_show_handle(struct request *req, const struct api_sale_show *in)
{
    struct sale_body_row row;
    bool found;
    enum error_code code = sale_body(req->db, req->arena, (struct sale_body_args){in->sale_id}, &row, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "sale");
    request_cache_tag(req, STR("sale"), in->sale_id.uuid);
    return respond_json(req, 200, row.body);
}

enum error_code sale_list_handle(struct request *req, const struct api_sale_list *in)
{
    (void)in;
    struct sale_list_body_row row;
    bool found;
    enum error_code code =
        sale_list_body(req->db, req->arena, (struct sale_list_body_args){LISTED_MAX}, &row, &found);
    return code ? code : respond_json(req, 200, row.body);
}

enum error_code sale_order_list_handle(struct request *req, const struct api_sale_order_list *in)
{
    struct sale_order_list_body_row row;
    bool found;
    struct sale_order_list_body_args args = {in->sale_id, req->principal.user_id};
    enum error_code code = sale_order_list_body(req->db, req->arena, args, &row, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "sale");
    return respond_json(req, 200, row.body);
}

/* ── for staff ── */

static enum error_code create(struct request *req, void *context)
{
    const struct api_sale_create_body *in = context;
    struct sale_create_args args = {
        .id = sale_id_new(),
        .variant_id = in->variant_id,
        .currency = str_from(api_currency_names[in->currency - 1]),
        .price_minor = in->price_minor,
        .quantity = (int32_t)in->quantity,
        .per_customer = (int32_t)in->per_customer,
        .starts_at = in->starts_at,
        .ends_at = in->ends_at,
        .created_by = req->principal.user_id,
    };
    struct sale_create_row row;
    bool found;
    enum error_code code = sale_create(req->db, req->arena, args, &row, &found);
    if (!code && !found) {
        error_field_add(&req->error, "variant_id", "is not a variant that can be sold");
        return error_set(&req->error, ERR_VALIDATION, "There is no such variant, or it is off sale");
    }
    if (!code)
        code = publish_change(req->db, args.id);
    return code ? code : respond_json(req, 201, row.body);
}

enum error_code sale_create_handle(struct request *req, const struct api_sale_create *in)
{
    struct api_sale_create_body body = in->body;
    const char *field = body.starts_at >= body.ends_at      ? "starts_at"
                        : body.ends_at <= clock_wall_us()   ? "ends_at"
                        : body.per_customer > body.quantity ? "per_customer"
                                                            : NULL;
    if (field) {
        error_field_add(&req->error, field, "%s",
                        field[0] == 's'   ? "is not before ends_at"
                        : field[0] == 'e' ? "is past"
                                          : "is more than there is");
        return error_set(&req->error, ERR_VALIDATION, "A sale begins before it ends, and ends in the future");
    }
    return request_transaction(req, create, &body);
}

static enum error_code cancel(struct request *req, void *context)
{
    const struct sale_id *sale_id = context;
    struct sale_cancel_row_row row;
    bool found;
    enum error_code code =
        sale_cancel_row(req->db, req->arena, (struct sale_cancel_row_args){*sale_id}, &row, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "sale");
    code = publish_change(req->db, *sale_id);
    return code ? code : respond_json(req, 200, row.body);
}

enum error_code sale_cancel_handle(struct request *req, const struct api_sale_cancel *in)
{
    struct sale_id sale_id = in->sale_id;
    return request_transaction(req, cancel, &sale_id);
}

enum error_code sale_manage_show_handle(struct request *req, const struct api_sale_manage_show *in)
{
    struct sale_staff_body_row row;
    bool found;
    enum error_code code =
        sale_staff_body(req->db, req->arena, (struct sale_staff_body_args){in->sale_id}, &row, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "sale");
    return respond_json(req, 200, row.body);
}

enum error_code sale_manage_list_handle(struct request *req, const struct api_sale_manage_list *in)
{
    struct sale_staff_page_args args = {.page_size = (int32_t)in->limit};
    enum error_code code = CURSOR_READ(req, in, &args.before);
    if (code)
        return code;
    struct sale_staff_page_row row;
    bool found;
    code = sale_staff_page(req->db, req->arena, args, &row, &found);
    return code ? code
                : respond_items(req, row.items, row.more, &row.last_id.value, sizeof row.last_id.value);
}
