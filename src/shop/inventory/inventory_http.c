/* Stock and locations over HTTP. */
#include "api.h"
#include "http/cursor.h"
#include "inventory_sql.h"
#include "shop/catalog/catalog.h"
#include "shop/inventory/inventory.h"

enum error_code stock_show_handle(struct request *req, const struct api_stock_show *in)
{
    struct stock_show_row row;
    bool found;
    enum error_code code =
        stock_show(req->db, req->arena, (struct stock_show_args){in->variant_id}, &row, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "variant on sale");
    return respond_json(req, 200, row.body);
}

static enum error_code read_stock(struct request *req, struct variant_id variant_id, struct str *body)
{
    struct stock_list_row row;
    bool found;
    enum error_code code = stock_list(
        req->db, req->arena,
        (struct stock_list_args){.variant_id = variant_id, .vendor_id = vendor_scope(req)}, &row, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "variant");
    *body = row.body;
    return ERR_OK;
}

enum error_code stock_list_handle(struct request *req, const struct api_stock_list *in)
{
    struct str body = STR_NONE;
    enum error_code code = read_stock(req, in->variant_id, &body);
    return code ? code : respond_json(req, 200, body);
}

/* ── movements ── */

/* A variant of another vendor is not there. */
static enum error_code check_reach(struct request *req, struct variant_id variant_id)
{
    struct opt_vendor_id scope = vendor_scope(req);
    struct stock_variant_vendor_row owner;
    bool found;
    enum error_code code = stock_variant_vendor(
        req->db, req->arena, (struct stock_variant_vendor_args){variant_id}, &owner, &found);
    if (code)
        return code;
    bool reached = found && (!scope.present || vendor_id_equal(owner.vendor_id, scope.value));
    return reached ? ERR_OK : catalog_not_found(req, "variant");
}

enum error_code movement_list_handle(struct request *req, const struct api_movement_list *in)
{
    struct movement_list_args args = {.variant_id = in->variant_id, .page_size = (int32_t)in->limit};
    enum error_code code = check_reach(req, in->variant_id);
    if (!code)
        code = CURSOR_READ(req, in, &args.before);
    if (code)
        return code;
    struct movement_list_row row;
    bool found;
    code = movement_list(req->db, req->arena, args, &row, &found);
    return code ? code
                : respond_items(req, row.items, row.more, &row.last_id.value, sizeof row.last_id.value);
}

static enum error_code create_movement(struct request *req, void *context)
{
    const struct api_movement_create *in = context;
    enum error_code code = check_reach(req, in->variant_id);
    if (code)
        return code;
    struct movement_id id;
    code = inventory_adjust(req->db, req->arena, in->variant_id, in->body.location_id,
                            (int32_t)in->body.quantity,
                            str_from(api_movement_create_body_reason_names[in->body.reason - 1]),
                            req->principal.user_id.uuid, in->body.has_note ? in->body.note : STR_NONE, &id);
    if (code == ERR_NOT_FOUND) {
        error_field_add(&req->error, "location_id", "is not a location of the variant's vendor");
        return error_set(&req->error, ERR_VALIDATION, "There is no such location");
    }
    if (code == ERR_OUT_OF_RANGE) {
        error_field_add(&req->error, "quantity", "makes more than %d pieces at this location",
                        STOCK_ON_HAND_MAX);
        return error_set(&req->error, ERR_OUT_OF_RANGE, "More is on hand than a location keeps");
    }
    if (code == ERR_OUT_OF_STOCK)
        return error_set(&req->error, ERR_OUT_OF_STOCK, "Less would be on hand than is reserved");
    struct str stock = STR_NONE;
    if (!code)
        code = read_stock(req, in->variant_id, &stock);
    if (code)
        return code;
    char text[ID_TEXT_MAX];
    movement_id_text(id, text);
    return respond_json(
        req, 201, arena_printf(req->arena, "{\"movement_id\":\"%s\",\"stock\":%.*s}", text, STR_ARG(stock)));
}

enum error_code movement_create_handle(struct request *req, const struct api_movement_create *in)
{
    int64_t quantity = in->body.quantity;
    enum api_movement_create_body_reason reason = in->body.reason;
    if (quantity == 0 || (reason == API_MOVEMENT_CREATE_BODY_REASON_RECEIPT && quantity < 0) ||
        (reason == API_MOVEMENT_CREATE_BODY_REASON_DAMAGE && quantity > 0)) {
        error_field_add(&req->error, "quantity", "%s",
                        quantity == 0 ? "is 0" : "has the wrong sign for this reason");
        return error_set(&req->error, ERR_VALIDATION,
                         "A receipt adds, damage takes away, and nothing moves 0");
    }
    struct api_movement_create copy = *in;
    return request_transaction(req, create_movement, &copy);
}

/* ── locations ── */

enum error_code location_list_handle(struct request *req, const struct api_location_list *in)
{
    struct location_list_args args = {
        .vendor_id = vendor_scope_asked(req, in->has_vendor_id, in->vendor_id),
        .page_size = (int32_t)in->limit,
    };
    enum error_code code = CURSOR_READ(req, in, &args.after);
    if (code)
        return code;
    struct location_list_row row;
    bool found;
    code = location_list(req->db, req->arena, args, &row, &found);
    return code ? code
                : respond_items(req, row.items, row.more, &row.last_id.value, sizeof row.last_id.value);
}

static enum error_code create_location(struct request *req, void *context)
{
    const struct api_location_create_body *in = context;
    struct location_create_args args = {
        .id = location_id_new(),
        .code = in->code,
        .name = in->name,
        .country = str_from(api_country_names[in->country - 1]),
        .priority = (int32_t)in->priority,
    };
    enum error_code code = vendor_of_new(req, in->has_vendor_id, in->vendor_id, &args.vendor_id);
    if (code)
        return code;
    struct location_create_row row;
    bool found;
    code = catalog_name_taken(req, location_create(req->db, req->arena, args, &row, &found));
    if (!code && !found) {
        error_field_add(&req->error, "vendor_id", "is not a vendor");
        return error_set(&req->error, ERR_VALIDATION, "There is no such vendor");
    }
    return code ? code : respond_json(req, 201, row.body);
}

enum error_code location_create_handle(struct request *req, const struct api_location_create *in)
{
    struct api_location_create_body body = in->body;
    return request_transaction(req, create_location, &body);
}
