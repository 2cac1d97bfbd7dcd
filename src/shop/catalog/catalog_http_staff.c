/* Categories, vendors and attributes, which staff keep. */
#include "api.h"
#include "base/text.h"
#include "catalog_sql.h"
#include "shop/catalog/catalog_change.h"
#include "shop/catalog/catalog.h"

#define CATEGORY_DEPTH_REFUSED "category_check"

static enum error_code create_category(struct request *req, void *context)
{
    const struct api_category_create_body *in = context;
    struct category_create_args args = {
        .id = category_id_new(),
        .parent_id = {in->has_parent_id, in->parent_id},
        .slug = in->slug,
        .name = in->name,
        .position = (int32_t)in->position,
    };
    struct category_create_row row;
    bool found;
    enum error_code code = category_create(req->db, req->arena, args, &row, &found);
    if (code == ERR_DATABASE_CONSTRAINT && strncmp(pg_error(req->db)->constraint, CATEGORY_DEPTH_REFUSED,
                                                   sizeof CATEGORY_DEPTH_REFUSED - 1) == 0) {
        error_field_add(&req->error, "parent_id", "is as deep as the tree may be");
        return error_set(&req->error, ERR_CONFLICT, "The tree has at most 6 levels");
    }
    code = catalog_name_taken(req, code);
    if (!code && !found) {
        error_field_add(&req->error, "parent_id", "is not a category");
        return error_set(&req->error, ERR_VALIDATION, "There is no such category");
    }
    if (!code)
        code = catalog_publish(req->db, "category.changed", args.id.uuid, row.version);
    return code ? code : catalog_respond_version(req, 201, row.version, row.body);
}

enum error_code category_create_handle(struct request *req, const struct api_category_create *in)
{
    struct api_category_create_body body = in->body;
    return request_transaction(req, create_category, &body);
}

enum error_code category_show_handle(struct request *req, const struct api_category_show *in)
{
    struct category_show_row row;
    bool found;
    enum error_code code =
        category_show(req->db, req->arena, (struct category_show_args){in->category_id}, &row, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "category");
    return catalog_respond_version(req, 200, row.version, row.body);
}

static enum error_code update_category(struct request *req, void *context)
{
    const struct api_category_update *in = context;
    struct category_lock_row locked;
    bool found;
    enum error_code code =
        category_lock(req->db, req->arena, (struct category_lock_args){in->category_id}, &locked, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "category");
    code = catalog_version_check(req, in->has_if_match, in->if_match, locked.version);
    if (code)
        return code;
    struct category_update_args args = {
        .category_id = in->category_id,
        .slug = in->body.has_slug ? in->body.slug : STR_NONE,
        .name = in->body.has_name ? in->body.name : STR_NONE,
        .position = {in->body.has_position, (int32_t)in->body.position},
    };
    struct category_update_row row;
    code = catalog_name_taken(req, category_update(req->db, req->arena, args, &row, &found));
    if (!code)
        code = catalog_publish(req->db, "category.changed", in->category_id.uuid, row.version);
    return code ? code : catalog_respond_version(req, 200, row.version, row.body);
}

enum error_code category_update_handle(struct request *req, const struct api_category_update *in)
{
    struct api_category_update copy = *in;
    return request_transaction(req, update_category, &copy);
}

/* ── vendors ── */

static enum error_code create_vendor(struct request *req, void *context)
{
    const struct api_vendor_create_body *in = context;
    struct vendor_create_args args = {.id = vendor_id_new(), .slug = in->slug, .name = in->name};
    struct vendor_create_row row;
    bool found;
    enum error_code code = catalog_name_taken(req, vendor_create(req->db, req->arena, args, &row, &found));
    if (!code)
        code = catalog_publish(req->db, "vendor.changed", args.id.uuid, row.version);
    return code ? code : catalog_respond_version(req, 201, row.version, row.body);
}

enum error_code vendor_create_handle(struct request *req, const struct api_vendor_create *in)
{
    struct api_vendor_create_body body = in->body;
    return request_transaction(req, create_vendor, &body);
}

enum error_code vendor_show_handle(struct request *req, const struct api_vendor_show *in)
{
    struct opt_vendor_id scope = vendor_scope(req);
    if (scope.present && !vendor_id_equal(scope.value, in->vendor_id))
        return catalog_not_found(req, "vendor");
    struct vendor_show_row row;
    bool found;
    enum error_code code =
        vendor_show(req->db, req->arena, (struct vendor_show_args){in->vendor_id}, &row, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "vendor");
    return catalog_respond_version(req, 200, row.version, row.body);
}

static enum error_code update_vendor(struct request *req, void *context)
{
    const struct api_vendor_update *in = context;
    struct vendor_lock_row locked;
    bool found;
    enum error_code code =
        vendor_lock(req->db, req->arena, (struct vendor_lock_args){in->vendor_id}, &locked, &found);
    if (code || !found)
        return code ? code : catalog_not_found(req, "vendor");
    code = catalog_version_check(req, in->has_if_match, in->if_match, locked.version);
    if (code)
        return code;
    struct vendor_update_args args = {
        .vendor_id = in->vendor_id,
        .slug = in->body.has_slug ? in->body.slug : STR_NONE,
        .name = in->body.has_name ? in->body.name : STR_NONE,
        .state =
            in->body.has_state ? str_from(api_vendor_update_body_state_names[in->body.state - 1]) : STR_NONE,
    };
    struct vendor_update_row row;
    code = catalog_name_taken(req, vendor_update(req->db, req->arena, args, &row, &found));
    if (!code)
        code = catalog_publish(req->db, "vendor.changed", in->vendor_id.uuid, row.version);
    return code ? code : catalog_respond_version(req, 200, row.version, row.body);
}

enum error_code vendor_update_handle(struct request *req, const struct api_vendor_update *in)
{
    struct api_vendor_update copy = *in;
    return request_transaction(req, update_vendor, &copy);
}

/* ── attributes ── */

static bool has_text(struct str_array texts, struct str text)
{
    for (size_t i = 0; i < texts.count; i++)
        if (str_equal(texts.items[i], text))
            return true;
    return false;
}

/* Refuses choices that look like one another, unless the attribute has had both since before that was asked.
 */
static enum error_code check_choices(struct request *req, struct str code_of_attribute,
                                     struct str_array choices)
{
    struct attribute_choices_row had = {0};
    bool asked = false;
    struct str *folds = ARENA_ARRAY(req->arena, struct str, choices.count + 1);
    for (size_t i = 0; i < choices.count; i++) {
        folds[i] = text_fold(req->arena, choices.items[i]);
        size_t same = 0;
        while (!str_equal(folds[same], folds[i]))
            same++;
        if (same == i)
            continue;
        if (!asked) {
            enum error_code code = attribute_choices(
                req->db, req->arena, (struct attribute_choices_args){code_of_attribute}, &had, &asked);
            if (code)
                return code;
            asked = true;
        }
        if (has_text(had.choices, choices.items[i]) && has_text(had.choices, choices.items[same]))
            continue;
        char field[32];
        snprintf(field, sizeof field, "choices[%zu]", i);
        error_field_add(&req->error, field, "looks like another choice");
        return error_set(&req->error, ERR_VALIDATION, "Two choices look the same");
    }
    return ERR_OK;
}

static enum error_code put_attribute(struct request *req, void *context)
{
    const struct api_attribute_put *in = context;
    static const struct str nothing = {"", 0};
    bool is_choice = in->body.type == API_ATTRIBUTE_PUT_BODY_TYPE_CHOICE;
    if (is_choice != (in->body.choices.count > 0)) {
        error_field_add(&req->error, "choices", "%s", is_choice ? "are missing" : "are for the type choice");
        return error_set(&req->error, ERR_VALIDATION, "The choices do not fit the type");
    }
    struct attribute_put_args args = {
        .code = in->code,
        .label = in->body.label,
        .type = str_from(api_attribute_put_body_type_names[in->body.type - 1]),
        .choices = {in->body.choices.items ? in->body.choices.items : &nothing, in->body.choices.count},
    };
    struct attribute_put_row row;
    bool found;
    enum error_code code = check_choices(req, in->code, in->body.choices);
    if (code)
        return code;
    code = attribute_put(req->db, req->arena, args, &row, &found);
    if (!code && !found)
        return error_set(&req->error, ERR_CONFLICT,
                         "An attribute keeps its type, and choices can only be added");
    if (!code)
        code = catalog_publish(req->db, "attribute.changed", (struct uuid){{0}}, 0);
    return code ? code : respond_json(req, 200, row.body);
}

enum error_code attribute_put_handle(struct request *req, const struct api_attribute_put *in)
{
    struct api_attribute_put copy = *in;
    return request_transaction(req, put_attribute, &copy);
}
