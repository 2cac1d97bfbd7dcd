/* Products as vendors and staff make and change them. */
#include "api.h"
#include "catalog_sql.h"
#include "http/cursor.h"
#include "shop/catalog/catalog.h"
#include "shop/catalog/catalog_change.h"

/* What an empty array points to, since an array without items is NULL in SQL. */
static const struct str nothing = {"", 0};

enum error_code managed_product_list_handle(struct request *req, const struct api_managed_product_list *in)
{
    struct managed_product_list_args args = {
        .vendor_id = vendor_scope_asked(req, in->has_vendor_id, in->vendor_id),
        .state = in->has_state ? str_from(api_managed_product_list_state_names[in->state - 1]) : STR_NONE,
        .page_size = (int32_t)in->limit,
    };
    enum error_code code = CURSOR_READ(req, in, &args.before);
    if (code)
        return code;
    struct managed_product_list_row row;
    bool found;
    code = managed_product_list(req->db, req->arena, args, &row, &found);
    if (code)
        return code;
    return respond_items(req, row.items, row.more, &row.last_id.value, sizeof row.last_id.value);
}

enum error_code product_respond(struct request *req, int status, struct product_id id)
{
    struct managed_product_show_row row;
    bool found;
    enum error_code code = managed_product_show(
        req->db, req->arena,
        (struct managed_product_show_args){.product_id = id, .vendor_id = vendor_scope(req)}, &row, &found);
    if (code)
        return code;
    return found ? catalog_respond_version(req, status, row.version, row.body)
                 : catalog_not_found(req, "product");
}

enum error_code managed_product_show_handle(struct request *req, const struct api_managed_product_show *in)
{
    return product_respond(req, 200, in->product_id);
}

/* ── create ── */

/* Reads what the product refers to and checks it; attributes that are there get their one form. */
static enum error_code check_context(struct request *req, struct opt_vendor_id vendor_id,
                                     struct opt_category_id category_id, struct str *attributes,
                                     struct uuid_array *category_path)
{
    struct product_context_args args = {.vendor_id = vendor_id, .category_id = category_id};
    if (attributes->ptr) {
        enum error_code code = catalog_attribute_codes(req->arena, *attributes, &args.codes, &req->error);
        if (code)
            return code;
    }
    struct product_context_row row;
    bool found;
    enum error_code code = product_context(req->db, req->arena, args, &row, &found);
    if (code)
        return code;
    if (vendor_id.present && !str_equal(row.vendor_state, STR("active"))) {
        error_field_add(&req->error, "vendor_id", "is not an active vendor");
        return error_set(&req->error, ERR_VALIDATION, "The vendor cannot sell");
    }
    if (category_id.present && !row.category_path.items) {
        error_field_add(&req->error, "category_id", "is not a category");
        return error_set(&req->error, ERR_VALIDATION, "There is no such category");
    }
    *category_path = row.category_path;
    return attributes->ptr ? catalog_attributes_check(req->arena, attributes, row.definitions, &req->error)
                           : ERR_OK;
}

static enum error_code create(struct request *req, void *context)
{
    const struct api_product_create_body *in = context;
    struct vendor_id vendor_id;
    enum error_code code = vendor_of_new(req, in->has_vendor_id, in->vendor_id, &vendor_id);
    if (code)
        return code;
    struct str attributes = in->has_attributes ? in->attributes : STR("{}");
    struct uuid_array category_path = {NULL, 0};
    code = check_context(req, opt_vendor_id(vendor_id), opt_category_id(in->category_id), &attributes,
                         &category_path);
    if (code)
        return code;
    struct product_id id = product_id_new();
    struct product_create_args args = {
        .id = id,
        .vendor_id = vendor_id,
        .category_id = in->category_id,
        .category_path = category_path,
        .slug = in->has_slug ? in->slug : catalog_slug(req->arena, in->name, id),
        .name = in->name,
        .description = in->description,
        .brand = in->has_brand ? in->brand : STR_NONE,
        .tender = str_from(api_tender_names[in->tender - 1]),
        .attributes = attributes,
        .options = in->options,
    };
    if (!args.options.items)
        args.options.items = &nothing;
    code = catalog_name_taken(req, product_create(req->db, args, NULL));
    if (!code)
        code = catalog_publish(req->db, "product.created", id.uuid, 1);
    return code ? code : product_respond(req, 201, id);
}

enum error_code product_create_handle(struct request *req, const struct api_product_create *in)
{
    struct api_product_create_body body = in->body;
    return request_transaction(req, create, &body);
}

/* ── change ── */

enum error_code product_begin(struct request *req, struct product_id id, struct product_lock_row *product)
{
    bool found;
    enum error_code code = product_lock(
        req->db, req->arena, (struct product_lock_args){.product_id = id, .vendor_id = vendor_scope(req)},
        product, &found);
    if (code)
        return code;
    return found ? ERR_OK : catalog_not_found(req, "product");
}

enum error_code product_finish(struct request *req, const struct product_lock_row *product, const char *event)
{
    enum error_code code = catalog_listing_refresh(req->db, &product->id, 1);
    return code ? code : catalog_publish(req->db, event, product->id.uuid, product->version + 1);
}

static enum error_code update(struct request *req, void *context)
{
    const struct api_product_update *in = context;
    const struct api_product_update_body *body = &in->body;
    struct product_lock_row product;
    enum error_code code = product_begin(req, in->product_id, &product);
    if (!code)
        code = catalog_version_check(req, in->has_if_match, in->if_match, product.version);
    if (code)
        return code;
    if (body->has_options && product.variants > 0) {
        error_field_add(&req->error, "options", "cannot change while there are variants");
        return error_set(&req->error, ERR_CONFLICT, "The product has variants that differ in its options");
    }
    struct uuid_array category_path = {NULL, 0};
    struct str attributes = body->has_attributes ? body->attributes : STR_NONE;
    if (body->has_category_id || body->has_attributes) {
        code = check_context(req, (struct opt_vendor_id){false, {{{0}}}},
                             (struct opt_category_id){body->has_category_id, body->category_id}, &attributes,
                             &category_path);
        if (code)
            return code;
    }
    struct product_update_args args = {
        .product_id = in->product_id,
        .category_id = {body->has_category_id, body->category_id},
        .category_path = category_path,
        .slug = body->has_slug ? body->slug : STR_NONE,
        .name = body->has_name ? body->name : STR_NONE,
        .description = body->has_description ? body->description : STR_NONE,
        .set_brand = body->has_brand,
        .brand = body->has_brand && !body->null_brand ? body->brand : STR_NONE,
        .tender = body->has_tender ? str_from(api_tender_names[body->tender - 1]) : STR_NONE,
        .attributes = attributes,
    };
    if (body->has_options)
        args.options =
            (struct str_array){body->options.items ? body->options.items : &nothing, body->options.count};
    code = catalog_name_taken(req, product_update(req->db, args, NULL));
    if (!code && body->has_name)
        code = variant_titles_update(req->db, (struct variant_titles_update_args){in->product_id}, NULL);
    if (!code)
        code = product_finish(req, &product, "product.changed");
    return code ? code : product_respond(req, 200, in->product_id);
}

enum error_code product_update_handle(struct request *req, const struct api_product_update *in)
{
    struct api_product_update copy = *in;
    return request_transaction(req, update, &copy);
}

/* ── on and off sale ── */

static enum error_code check_publishable(struct request *req, struct product_id id)
{
    struct product_vendor_hold_row vendor;
    struct product_publish_check_row row;
    bool found;
    enum error_code code =
        product_vendor_hold(req->db, req->arena, (struct product_vendor_hold_args){id}, &vendor, &found);
    if (!code)
        code =
            product_publish_check(req->db, req->arena, (struct product_publish_check_args){id}, &row, &found);
    if (code)
        return code;
    struct error *error = &req->error;
    if (!str_equal(row.vendor_state, STR("active")))
        error_field_add(error, "vendor_id", "is not an active vendor");
    if (row.variants == 0)
        error_field_add(error, "variants", "needs an active variant");
    if (row.unpriced > 0)
        error_field_add(error, "prices", "%lld of its variants have no price in force",
                        (long long)row.unpriced);
    if (row.pictures == 0)
        error_field_add(error, "media", "needs a picture");
    return error->field_count ? error_set(error, ERR_CONFLICT, "The product is not ready for sale") : ERR_OK;
}

static enum error_code publish(struct request *req, void *context)
{
    const struct product_id *id = context;
    struct product_lock_row product;
    enum error_code code = product_begin(req, *id, &product);
    if (code || str_equal(product.state, STR("published")))
        return code ? code : product_respond(req, 200, *id);
    code = check_publishable(req, *id);
    if (!code)
        code = product_state_set(req->db, (struct product_state_set_args){*id, STR("published")}, NULL);
    if (!code)
        code = product_finish(req, &product, "product.published");
    return code ? code : product_respond(req, 200, *id);
}

static enum error_code archive(struct request *req, void *context)
{
    const struct product_id *id = context;
    struct product_lock_row product;
    enum error_code code = product_begin(req, *id, &product);
    if (code || str_equal(product.state, STR("archived")))
        return code ? code : product_respond(req, 200, *id);
    code = product_state_set(req->db, (struct product_state_set_args){*id, STR("archived")}, NULL);
    if (!code)
        code = product_finish(req, &product, "product.archived");
    return code ? code : product_respond(req, 200, *id);
}

enum error_code product_publish_handle(struct request *req, const struct api_product_publish *in)
{
    struct product_id id = in->product_id;
    return request_transaction(req, publish, &id);
}

enum error_code product_archive_handle(struct request *req, const struct api_product_archive *in)
{
    struct product_id id = in->product_id;
    return request_transaction(req, archive, &id);
}
