/* Prices as vendors and staff set them. A price is never changed: a newer one takes its place, and orders
 * keep copies. */
#include "api.h"
#include "base/clock.h"
#include "http/cursor.h"
#include "pricing_sql.h"
#include "shop/catalog/catalog.h"
#include "shop/pricing/pricing.h"

/* Clocks of clients may be this far behind: "from now on" of theirs is not in the past. */
#define PAST_TOLERANCE_US (60 * 1000000LL)

static enum error_code check(struct request *req, const struct api_price_create_body *in)
{
    struct error *error = &req->error;
    int64_t now_us = clock_wall_us();
    if (in->has_compare_at_minor && in->compare_at_minor <= in->amount_minor)
        error_field_add(error, "compare_at_minor", "is not above amount_minor");
    if (in->has_valid_from && in->valid_from < now_us - PAST_TOLERANCE_US)
        error_field_add(error, "valid_from", "is in the past");
    if (in->has_valid_until && in->valid_until <= (in->has_valid_from ? in->valid_from : now_us))
        error_field_add(error, "valid_until", "is not after the beginning");
    return error->field_count ? error_set(error, ERR_VALIDATION, "The price makes no sense") : ERR_OK;
}

static enum error_code create(struct request *req, void *context)
{
    const struct api_price_create *in = context;
    struct price_variant_lock_row product;
    bool found;
    enum error_code code = price_variant_lock(
        req->db, req->arena,
        (struct price_variant_lock_args){.variant_id = in->variant_id, .vendor_id = vendor_scope(req)},
        &product, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "variant");
    struct price_create_args args = {
        .id = price_id_new(),
        .variant_id = in->variant_id,
        .currency = str_from(api_currency_names[in->body.currency - 1]),
        .amount_minor = in->body.amount_minor,
        .compare_at_minor = {in->body.has_compare_at_minor, in->body.compare_at_minor},
        .valid_from = {in->body.has_valid_from, in->body.valid_from},
        .valid_until = {in->body.has_valid_until, in->body.valid_until},
    };
    struct price_create_row row;
    code = price_create(req->db, req->arena, args, &row, &found);
    if (!code)
        code = catalog_listing_refresh(req->db, &product.product_id, 1);
    if (!code)
        code = pricing_publish(req->db, req->arena, product.product_id, in->variant_id);
    if (!code && in->body.has_valid_from)
        code = pricing_due_at(req->db, req->arena, product.product_id, in->variant_id, in->body.valid_from);
    if (!code && in->body.has_valid_until)
        code = pricing_due_at(req->db, req->arena, product.product_id, in->variant_id, in->body.valid_until);
    return code ? code : respond_json(req, 201, row.body);
}

enum error_code price_create_handle(struct request *req, const struct api_price_create *in)
{
    enum error_code code = check(req, &in->body);
    struct api_price_create copy = *in;
    return code ? code : request_transaction(req, create, &copy);
}

enum error_code price_list_handle(struct request *req, const struct api_price_list *in)
{
    struct opt_vendor_id scope = vendor_scope(req);
    struct price_variant_vendor_row owner;
    bool found;
    enum error_code code = price_variant_vendor(
        req->db, req->arena, (struct price_variant_vendor_args){in->variant_id}, &owner, &found);
    if (code)
        return code;
    if (!found || (scope.present && !vendor_id_equal(owner.vendor_id, scope.value)))
        return catalog_not_found(req, "variant");
    struct price_list_args args = {.variant_id = in->variant_id, .page_size = (int32_t)in->limit};
    code = CURSOR_READ(req, in, &args.before);
    if (code)
        return code;
    struct price_list_row row;
    code = price_list(req->db, req->arena, args, &row, &found);
    return code ? code
                : respond_items(req, row.items, row.more, &row.last_id.value, sizeof row.last_id.value);
}
