/* Variants and pictures of a product, as vendors and staff make and change them. */
#include "api.h"
#include "catalog_sql.h"
#include "shop/catalog/catalog.h"
#include "shop/catalog/catalog_change.h"

static enum error_code touch(struct request *req, const struct product_lock_row *product)
{
    enum error_code code = product_touch(req->db, (struct product_touch_args){product->id}, NULL);
    return code ? code : product_finish(req, product, "product.changed");
}

static enum error_code create_variant(struct request *req, void *context)
{
    const struct api_variant_create *in = context;
    struct product_lock_row product;
    enum error_code code = product_begin(req, in->product_id, &product);
    if (code)
        return code;
    if (product.variants >= PRODUCT_VARIANTS_MAX)
        return error_set(&req->error, ERR_CONFLICT, "A product has at most %d variants",
                         PRODUCT_VARIANTS_MAX);
    struct str options = in->body.has_options ? in->body.options : STR("{}");
    code = catalog_options_check(req->arena, &options, product.options, &req->error);
    if (code)
        return code;
    struct variant_id id = variant_id_new();
    struct variant_create_args args = {
        .id = id,
        .product_id = in->product_id,
        .sku = in->body.sku,
        .options = options,
        .weight_grams = (int32_t)in->body.weight_grams,
        .position = (int32_t)in->body.position,
    };
    code = catalog_name_taken(req, variant_create(req->db, args, NULL));
    if (!code)
        code = touch(req, &product);
    struct managed_product_show_row shown;
    bool found;
    if (!code)
        code = managed_product_show(req->db, req->arena,
                                    (struct managed_product_show_args){.product_id = in->product_id}, &shown,
                                    &found);
    if (code)
        return code;
    char text[ID_TEXT_MAX];
    variant_id_text(id, text);
    return catalog_respond_version(
        req, 201, shown.version,
        arena_printf(req->arena, "{\"variant_id\":\"%s\",\"product\":%.*s}", text, STR_ARG(shown.body)));
}

enum error_code variant_create_handle(struct request *req, const struct api_variant_create *in)
{
    struct api_variant_create copy = *in;
    return request_transaction(req, create_variant, &copy);
}

/* A product on sale keeps what it needs for that. */
static enum error_code check_still_on_sale(struct request *req, const struct product_lock_row *product)
{
    if (!str_equal(product->state, STR("published")))
        return ERR_OK;
    struct product_publish_check_row row;
    bool found;
    enum error_code code = product_publish_check(
        req->db, req->arena, (struct product_publish_check_args){product->id}, &row, &found);
    if (code)
        return code;
    if (row.variants == 0)
        return error_set(&req->error, ERR_CONFLICT,
                         "It is the last variant of a product on sale: archive the product");
    if (row.pictures == 0)
        return error_set(&req->error, ERR_CONFLICT, "It is the last picture of a product on sale");
    return ERR_OK;
}

static enum error_code update_variant(struct request *req, void *context)
{
    const struct api_variant_update *in = context;
    struct variant_product_row owner;
    bool found;
    enum error_code code = variant_product(
        req->db, req->arena,
        (struct variant_product_args){.variant_id = in->variant_id, .vendor_id = vendor_scope(req)}, &owner,
        &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "variant");
    struct product_lock_row product;
    code = product_begin(req, owner.product_id, &product);
    if (!code)
        code = catalog_version_check(req, in->has_if_match, in->if_match, product.version);
    if (code)
        return code;
    struct variant_update_args args = {
        .variant_id = in->variant_id,
        .sku = in->body.has_sku ? in->body.sku : STR_NONE,
        .weight_grams = {in->body.has_weight_grams, (int32_t)in->body.weight_grams},
        .position = {in->body.has_position, (int32_t)in->body.position},
        .state =
            in->body.has_state ? str_from(api_variant_update_body_state_names[in->body.state - 1]) : STR_NONE,
    };
    code = catalog_name_taken(req, variant_update(req->db, args, NULL));
    if (!code && in->body.has_state)
        code = check_still_on_sale(req, &product);
    if (!code)
        code = touch(req, &product);
    return code ? code : product_respond(req, 200, owner.product_id);
}

enum error_code variant_update_handle(struct request *req, const struct api_variant_update *in)
{
    struct api_variant_update copy = *in;
    return request_transaction(req, update_variant, &copy);
}

/* ── pictures ── */

struct upload {
    const struct api_media_create *in;
    struct str content_type;
};

static enum error_code create_media(struct request *req, void *context)
{
    const struct upload *upload = context;
    const struct api_media_create *in = upload->in;
    struct product_lock_row product;
    enum error_code code = product_begin(req, in->product_id, &product);
    if (code)
        return code;
    if (product.pictures >= PRODUCT_PICTURES_MAX)
        return error_set(&req->error, ERR_CONFLICT, "A product has at most %d pictures",
                         PRODUCT_PICTURES_MAX);
    struct media_id id = media_id_new();
    struct media_create_args args = {
        .id = id,
        .product_id = in->product_id,
        .position = (int32_t)in->position,
        .alt = in->alt,
        .content_type = upload->content_type,
        .content = in->body,
    };
    code = media_create(req->db, args, NULL);
    if (!code)
        code = touch(req, &product);
    if (code)
        return code;
    char text[ID_TEXT_MAX];
    media_id_text(id, text);
    struct buf body = buf_new(BUF_DEFAULT_MAX);
    buf_printf(&body, "{\"id\":\"%s\",\"url\":\"/media/%s\",\"alt\":", text, text);
    buf_json_str(&body, in->alt);
    buf_printf(&body, ",\"content_type\":\"%.*s\"}", STR_ARG(upload->content_type));
    return respond_buf(req, 201, &body);
}

enum error_code media_create_handle(struct request *req, const struct api_media_create *in)
{
    struct upload upload = {in, catalog_picture_type(request_header(req, STR("content-type")), in->body)};
    if (!upload.content_type.ptr)
        return error_set(&req->error, ERR_MEDIA_TYPE, "Send a PNG, JPEG, WebP or SVG picture and say which");
    return request_transaction(req, create_media, &upload);
}

static enum error_code delete_media(struct request *req, void *context)
{
    const struct media_id *id = context;
    struct media_product_row owner;
    bool found;
    enum error_code code = media_product(
        req->db, req->arena, (struct media_product_args){.media_id = *id, .vendor_id = vendor_scope(req)},
        &owner, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "picture");
    struct product_lock_row product;
    code = product_begin(req, owner.product_id, &product);
    if (!code)
        code = media_delete(req->db, (struct media_delete_args){*id}, NULL);
    if (!code)
        code = check_still_on_sale(req, &product);
    if (!code)
        code = touch(req, &product);
    return code ? code : respond_empty(req, 204);
}

enum error_code media_delete_handle(struct request *req, const struct api_media_delete *in)
{
    struct media_id id = in->media_id;
    return request_transaction(req, delete_media, &id);
}
