#include <stdio.h>

#include "api.h"
#include "http/cursor.h"
#include "loyalty_sql.h"
#include "shop/loyalty/loyalty.h"
#include "work/work.h"

/* Where a page of the statement ended. */
struct statement_position {
    struct uuid root_id;
    int16_t step;
} __attribute__((packed));

static enum error_code respond_balance(struct request *req, struct user_id user_id)
{
    struct loyalty_summary_row row;
    bool found;
    enum error_code code =
        loyalty_summary(req->db, req->arena, (struct loyalty_summary_args){user_id}, &row, &found);
    return code ? code : respond_json(req, 200, row.body);
}

static enum error_code respond_statement(struct request *req, struct user_id user_id, int64_t limit,
                                         bool has_cursor, struct str cursor)
{
    struct statement_position from = {0};
    if (has_cursor) {
        enum error_code code = cursor_decode(req, cursor, &from, sizeof from);
        if (code)
            return code;
    }
    struct loyalty_statement_args args = {
        .user_id = user_id,
        .before_root = {has_cursor, from.root_id},
        .before_step = {has_cursor, from.step},
        .most = (int32_t)limit,
    };
    struct loyalty_statement_row row;
    bool found;
    enum error_code code = loyalty_statement(req->db, req->arena, args, &row, &found);
    if (code)
        return code;
    struct buf body = buf_new(BUF_DEFAULT_MAX);
    BUF_LITERAL(&body, "{\"items\":");
    buf_append(&body, row.body);
    BUF_LITERAL(&body, ",\"next_cursor\":");
    struct str next = STR_NONE;
    if (row.count == limit) {
        struct statement_position last = {row.last_root.value, row.last_step.value};
        next = cursor_encode(req, &last, sizeof last);
    }
    buf_json_str(&body, next);
    buf_char(&body, '}');
    return respond_buf(req, 200, &body);
}

enum error_code loyalty_show_handle(struct request *req, const struct api_loyalty_show *in)
{
    (void)in;
    request_cache_tag(req, STR("balance"), req->principal.user_id.uuid);
    return respond_balance(req, req->principal.user_id);
}

enum error_code loyalty_statement_list_handle(struct request *req,
                                              const struct api_loyalty_statement_list *in)
{
    return respond_statement(req, req->principal.user_id, in->limit, in->has_cursor, in->cursor);
}

enum error_code customer_loyalty_show_handle(struct request *req, const struct api_customer_loyalty_show *in)
{
    return respond_balance(req, in->user_id);
}

enum error_code customer_loyalty_statement_list_handle(struct request *req,
                                                       const struct api_customer_loyalty_statement_list *in)
{
    return respond_statement(req, in->user_id, in->limit, in->has_cursor, in->cursor);
}

enum error_code miles_policy_list_handle(struct request *req, const struct api_miles_policy_list *in)
{
    (void)in;
    struct miles_policy_list_row row;
    bool found;
    enum error_code code = miles_policy_list(req->db, req->arena, &row, &found);
    return code ? code : respond_json(req, 200, row.body);
}

static enum error_code create_policy(struct request *req, void *context)
{
    const struct api_miles_policy_input *in = context;
    struct miles_policy_insert_args args = {
        .minimum_points = in->minimum_points,
        .step_points = in->step_points,
        .maximum_share = (int32_t)in->maximum_share,
        .excluded_categories = {(const struct uuid *)in->excluded_categories.items,
                                in->excluded_categories.count},
        .return_window_days = (int32_t)in->return_window_days,
        .created_by = req->principal.user_id.uuid,
    };
    struct miles_policy_insert_row policy;
    bool found;
    enum error_code code = miles_policy_insert(req->db, req->arena, args, &policy, &found);
    if (code == ERR_DATABASE_CONSTRAINT) /* another manager put the same version in force at this moment */
        return error_set(&req->error, ERR_CONFLICT, "Another version was put in force at the same time");
    for (size_t i = 0; !code && i < in->rates.count; i++) {
        const struct api_miles_rate *rate = &in->rates.items[i];
        struct miles_rate_insert_args values = {
            .version = policy.version,
            .currency = str_from(api_currency_names[rate->currency - 1]),
            .points_unit = rate->points_unit,
            .minor_unit = rate->minor_unit,
            .earn_minor = rate->earn_minor,
            .earn_points = rate->earn_points,
        };
        code = miles_rate_insert(req->db, values, NULL);
        if (code == ERR_DATABASE_CONSTRAINT) {
            char field[32];
            snprintf(field, sizeof field, "rates[%zu].currency", i);
            error_field_add(&req->error, field, "stands twice");
            return error_set(&req->error, ERR_BAD_REQUEST, "Each currency has one rate");
        }
    }
    struct event event = {
        .type = STR("miles_policy.changed"), .aggregate_id = uuid_new(), .payload = STR("{}")};
    if (!code)
        code = outbox_publish(req->db, &event, NULL);
    return code ? code : respond_json(req, 201, arena_printf(req->arena, "{\"version\":%d}", policy.version));
}

enum error_code miles_policy_create_handle(struct request *req, const struct api_miles_policy_create *in)
{
    struct api_miles_policy_input body = in->body;
    for (size_t i = 0; i < body.rates.count; i++) {
        const struct api_miles_rate *rate = &body.rates.items[i];
        struct miles_policy policy = {.points_unit = rate->points_unit,
                                      .minor_unit = rate->minor_unit,
                                      .earn_minor = rate->earn_minor,
                                      .earn_points = rate->earn_points};
        const char *member = miles_rate_refusal(&policy);
        if (!member)
            continue;
        char field[32];
        snprintf(field, sizeof field, "rates[%zu].%s", i, member);
        error_field_add(&req->error, field, "is more than %lld points for the smallest unit of money",
                        (long long)POINTS_PER_MINOR_MAX);
        return error_set(&req->error, ERR_VALIDATION, "Miles are worth more than that");
    }
    return request_transaction(req, create_policy, &body);
}

/* {"transfer_id":…,"balance":…} of the customer whose account it moved. */
static enum error_code respond_transfer(struct request *req, struct uuid root_id, struct user_id user_id)
{
    struct loyalty_summary_row row;
    bool found;
    enum error_code code =
        loyalty_summary(req->db, req->arena, (struct loyalty_summary_args){user_id}, &row, &found);
    if (code)
        return code;
    char id[ID_TEXT_MAX];
    transfer_id_text((struct transfer_id){root_id}, id);
    return respond_json(
        req, 201,
        arena_printf(req->arena, "{\"transfer_id\":\"%s\",\"balance\":%.*s}", id, STR_ARG(row.body)));
}

static enum error_code points_short(struct request *req)
{
    return error_set(&req->error, ERR_POINTS_SHORT, "The balance does not hold that many points");
}

static enum error_code adjust(struct request *req, void *context)
{
    const struct api_loyalty_adjustment_create *in = context;
    struct loyalty_customer_exists_row customer;
    bool found;
    enum error_code code = loyalty_customer_exists(
        req->db, req->arena, (struct loyalty_customer_exists_args){in->user_id}, &customer, &found);
    if (code)
        return code;
    if (!found)
        return error_set(&req->error, ERR_NOT_FOUND, "There is no such customer");
    struct uuid root_id;
    code = loyalty_adjust(req->db, req->arena, in->user_id, in->body.points, in->body.reason,
                          req->principal.user_id.uuid, &root_id);
    if (code == ERR_POINTS_SHORT)
        return points_short(req);
    return code ? code : respond_transfer(req, root_id, in->user_id);
}

enum error_code loyalty_adjustment_create_handle(struct request *req,
                                                 const struct api_loyalty_adjustment_create *in)
{
    if (in->body.points == 0) {
        error_field_add(&req->error, "points", "must not be 0");
        return error_set(&req->error, ERR_BAD_REQUEST, "An adjustment of 0 points moves nothing");
    }
    struct api_loyalty_adjustment_create copy = *in;
    return request_transaction(req, adjust, &copy);
}

static enum error_code transfer_of_order(struct request *req, struct order_id order_id)
{
    char id[ID_TEXT_MAX];
    if (uuid_is_zero(order_id.uuid))
        return error_set(&req->error, ERR_TRANSFER_OF_ORDER,
                         "A debt is paid or forgiven by an adjustment, not by a reversal");
    order_id_text(order_id, id);
    return error_set(&req->error, ERR_TRANSFER_OF_ORDER,
                     "These miles move with their order: refund order %s instead", id);
}

static enum error_code reverse(struct request *req, void *context)
{
    const struct api_loyalty_transfer_reverse *in = context;
    struct uuid root_id = in->transfer_id.uuid;
    struct order_id order_id;
    enum error_code code = loyalty_reverse(req->db, req->arena, root_id, in->body.reason,
                                           req->principal.user_id.uuid, &order_id);
    if (code == ERR_TRANSFER_OF_ORDER)
        return transfer_of_order(req, order_id);
    if (code == ERR_POINTS_SHORT)
        return points_short(req);
    if (code == ERR_CONFLICT)
        return error_set(&req->error, ERR_CONFLICT, "This transfer was reversed before");
    if (code == ERR_NOT_FOUND)
        return error_set(&req->error, ERR_NOT_FOUND, "There is no posted transfer with this id");
    struct transfer_customer_row customer;
    bool found = false;
    if (!code)
        code = transfer_customer(req->db, req->arena, (struct transfer_customer_args){root_id}, &customer,
                                 &found);
    return code ? code : respond_transfer(req, root_id, customer.user_id);
}

enum error_code loyalty_transfer_reverse_handle(struct request *req,
                                                const struct api_loyalty_transfer_reverse *in)
{
    struct api_loyalty_transfer_reverse copy = *in;
    return request_transaction(req, reverse, &copy);
}
