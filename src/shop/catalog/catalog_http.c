/* What shoppers read of the catalog; and helpers of all its endpoints. */

#include "api.h"
#include "catalog_sql.h"
#include "http/cursor.h"
#include "shop/catalog/catalog.h"

struct opt_vendor_id vendor_scope(const struct request *req)
{
    return (struct opt_vendor_id){req->principal.role == ROLE_VENDOR, req->principal.vendor_id};
}

struct opt_vendor_id vendor_scope_asked(const struct request *req, bool has_vendor_id,
                                        struct vendor_id vendor_id)
{
    struct opt_vendor_id scope = vendor_scope(req);
    if (!has_vendor_id)
        return scope;
    if (scope.present && !vendor_id_equal(scope.value, vendor_id))
        return opt_vendor_id((struct vendor_id){{{0}}});
    return opt_vendor_id(vendor_id);
}

enum error_code vendor_of_new(struct request *req, bool has_vendor_id, struct vendor_id vendor_id,
                              struct vendor_id *owner)
{
    bool is_vendor = req->principal.role == ROLE_VENDOR;
    if (is_vendor && has_vendor_id && !vendor_id_equal(vendor_id, req->principal.vendor_id)) {
        error_field_add(&req->error, "vendor_id", "is not yours");
        return error_set(&req->error, ERR_VALIDATION, "Vendors make things of their own");
    }
    if (!is_vendor && !has_vendor_id) {
        error_field_add(&req->error, "vendor_id", "is missing");
        return error_set(&req->error, ERR_VALIDATION, "Say which vendor it belongs to");
    }
    *owner = is_vendor ? req->principal.vendor_id : vendor_id;
    return ERR_OK;
}

enum error_code catalog_version_check(struct request *req, bool has_if_match, struct str if_match,
                                      int32_t version)
{
    if (!has_if_match)
        return error_set(&req->error, ERR_PRECONDITION_MISSING,
                         "Read it first and send its ETag as If-Match");
    struct str current = arena_printf(req->arena, "\"%d\"", version);
    struct str rest = if_match;
    while (rest.ptr) {
        if (str_equal(str_trim(str_split(&rest, ',')), current))
            return ERR_OK;
    }
    return error_set(&req->error, ERR_PRECONDITION, "It has changed since it was read: it is at version %d",
                     version);
}

enum error_code catalog_respond_version(struct request *req, int status, int32_t version, struct str body)
{
    if (str_equal(req->method, STR("GET")) || str_equal(req->method, STR("HEAD"))) {
        if (respond_etag(req, arena_printf(req->arena, "%d", version)))
            return ERR_OK;
    } else {
        respond_header(req, STR("ETag"), arena_printf(req->arena, "\"%d\"", version));
    }
    return respond_json(req, status, body);
}

enum error_code catalog_name_taken(struct request *req, enum error_code code)
{
    static const struct {
        const char *constraint, *field, *reason;
    } names[] = {
        {"product_slug_key", "slug", "is the address of another product"},
        {"variant_sku_key", "sku", "is another variant's"},
        {"variant_sku_key_unique", "sku", "looks like another variant's"},
        {"variant_options", "options", "another variant of this product has the same"},
        {"variant_options_key_unique", "options", "another variant of this product looks the same"},
        {"category_slug_key", "slug", "is another category's"},
        {"vendor_slug_key", "slug", "is another vendor's"},
        {"location_code_key", "code", "is another location's"},
    };
    if (code != ERR_DATABASE_CONSTRAINT)
        return code;
    const char *constraint = pg_error(req->db)->constraint;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i].constraint, constraint) != 0)
            continue;
        error_field_add(&req->error, names[i].field, "%s", names[i].reason);
        return error_set(&req->error, ERR_CONFLICT, "The %s is taken", names[i].field);
    }
    return code;
}

enum error_code catalog_not_found(struct request *req, const char *what)
{
    return error_set(&req->error, ERR_NOT_FOUND, "There is no such %s", what);
}

enum error_code category_list_handle(struct request *req, const struct api_category_list *in)
{
    (void)in;
    struct category_tree_row row;
    bool found;
    enum error_code code = category_tree(req->db, req->arena, &row, &found);
    if (code)
        return code;
    request_cache_tag(req, STR("category"), (struct uuid){{0}});
    return respond_json(req, 200, row.body);
}

enum error_code vendor_list_handle(struct request *req, const struct api_vendor_list *in)
{
    struct vendor_list_args args = {.page_size = (int32_t)in->limit};
    enum error_code code = CURSOR_READ(req, in, &args.after);
    if (code)
        return code;
    struct vendor_list_row row;
    bool found;
    code = vendor_list(req->db, req->arena, args, &row, &found);
    if (code)
        return code;
    request_cache_tag(req, STR("vendor"), (struct uuid){{0}});
    return respond_items(req, row.items, row.more, &row.last_id.value, sizeof row.last_id.value);
}

enum error_code attribute_list_handle(struct request *req, const struct api_attribute_list *in)
{
    (void)in;
    struct attribute_list_row row;
    bool found;
    enum error_code code = attribute_list(req->db, req->arena, &row, &found);
    if (code)
        return code;
    request_cache_tag(req, STR("attribute"), (struct uuid){{0}});
    return respond_json(req, 200, row.body);
}

enum error_code product_show_handle(struct request *req, const struct api_product_show *in)
{
    struct product_show_args args = {.slug = in->product};
    struct product_id id;
    if (product_id_parse(in->product, &id))
        args = (struct product_show_args){.product_id = opt_product_id(id)};
    struct product_show_row row;
    bool found;
    enum error_code code = product_show(req->db, req->arena, args, &row, &found);
    if (code)
        return code;
    if (!found)
        return catalog_not_found(req, "product on sale");
    request_cache_tag(req, STR("product"), row.product_id.uuid);
    request_cache_tag(req, STR("vendor"), row.vendor_id.uuid);
    request_cache_tag(req, STR("category"), (struct uuid){{0}});
    request_cache_tag(req, STR("attribute"), (struct uuid){{0}});
    request_cache_tag(req, STR("miles_policy"), (struct uuid){{0}}); /* prices in points */
    return respond_json(req, 200, row.body);
}

enum error_code media_show_handle(struct request *req, const struct api_media_show *in)
{
    char etag[ID_TEXT_MAX];
    size_t length = media_id_text(in->media_id, etag);
    struct media_show_row row;
    bool found;
    /* What an id names never changes, so that whoever has it need not be sent it; but it may be gone. */
    bool content = !request_header(req, STR("If-None-Match")).ptr;
    enum error_code code =
        media_show(req->db, req->arena, (struct media_show_args){in->media_id, content}, &row, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "picture");
    respond_header(req, STR("Cache-Control"), STR("public, max-age=31536000, immutable"));
    if (respond_etag(req, arena_copy(req->arena, (struct str){etag, length})))
        return ERR_OK;
    if (!content)
        code = media_show(req->db, req->arena, (struct media_show_args){in->media_id, true}, &row, &found);
    if (code || !found) {
        req->response.header_count = 0;
        return code ? code : catalog_not_found(req, "picture");
    }
    /* A drawing may carry scripts: opened by itself it runs nothing and reaches nothing. */
    respond_header(req, STR("Content-Security-Policy"),
                   STR("default-src 'none'; style-src 'unsafe-inline'; sandbox"));
    respond_header(req, STR("X-Content-Type-Options"), STR("nosniff"));
    return respond_bytes(req, 200, row.content_type, row.content);
}
