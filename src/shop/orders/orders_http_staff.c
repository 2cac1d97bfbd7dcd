/* Orders as vendors and staff see them. A vendor sees its own lines and parcels, and nothing of another's
 * (CAT-4). */
#include "api.h"
#include "http/request.h"
#include "orders_read_sql.h"
#include "shop/orders/orders_internal.h"

enum error_code vendor_order_list_handle(struct request *req, const struct api_vendor_order_list *in)
{
    struct vendor_order_page_args args = {.vendor_id = req->principal.vendor_id, .most = in->limit};
    if (!order_cursor_parse(req, in->has_cursor, in->cursor, &args.before))
        return ERR_VALIDATION;
    struct vendor_order_page_row row;
    bool found;
    enum error_code code = vendor_order_page(req->db, req->arena, args, &row, &found);
    return code == ERR_OK ? respond_json(req, 200, row.body) : code;
}

enum error_code vendor_order_show_handle(struct request *req, const struct api_vendor_order_show *in)
{
    struct vendor_order_body_row row;
    bool found;
    enum error_code code = vendor_order_body(
        req->db, req->arena, (struct vendor_order_body_args){in->order_id, req->principal.vendor_id}, &row,
        &found);
    if (code == ERR_OK && !found)
        return error_set(&req->error, ERR_NOT_FOUND, "There is no such order");
    return code == ERR_OK ? respond_json(req, 200, row.body) : code;
}

static struct order_id floor_of(int64_t time_us)
{
    return (struct order_id){uuid_floor(time_us)};
}

/* The smaller bound: orders below the cursor and before a time are below both. */
static struct opt_order_id lower(struct opt_order_id a, struct opt_order_id b)
{
    if (!a.present || !b.present)
        return a.present ? a : b;
    return uuid_compare(a.value.uuid, b.value.uuid) < 0 ? a : b;
}

struct page {
    struct arena *arena;
    struct staff_order_page_by_line_args args;
    struct str body;
};

/* The statement in a transaction of its own, so that each set of filters is planned for itself. One round
 * trip. */
static enum error_code read_page(struct pg *db, void *context)
{
    struct page *page = context;
    const struct staff_order_page_by_line_args *args = &page->args;
    bool by_line = args->vendor_id.present || args->sku.ptr, found = false;
    enum error_code code = pg_pipeline_begin(db);
    if (code)
        return code;
    code = pg_command_queue(db, "SET LOCAL plan_cache_mode = force_custom_plan");
    if (!code && by_line)
        code = staff_order_page_by_line_queue(db, *args);
    else if (!code)
        code = staff_order_page_queue(
            db, (struct staff_order_page_args){args->order_id, args->number, args->customer_id, args->state,
                                               args->floor, args->before, args->most});
    if (!code)
        code = pg_commit_queue(db);
    if (!code)
        code = pg_pipeline_sync(db);
    if (!code)
        code = pg_command_fetch(db);
    if (!code && by_line) {
        struct staff_order_page_by_line_row row;
        code = staff_order_page_by_line_fetch(db, page->arena, &row, &found);
        page->body = row.body;
    } else if (!code) {
        struct staff_order_page_row row;
        code = staff_order_page_fetch(db, page->arena, &row, &found);
        page->body = row.body;
    }
    enum error_code end = pg_pipeline_end(db);
    return code ? code : end;
}

enum error_code staff_order_list_handle(struct request *req, const struct api_staff_order_list *in)
{
    struct opt_order_id before;
    if (!order_cursor_parse(req, in->has_cursor, in->cursor, &before))
        return ERR_VALIDATION;
    struct opt_order_id until = {in->has_placed_until, floor_of(in->has_placed_until ? in->placed_until : 0)};
    struct page page = {.arena = req->arena};
    page.args = (struct staff_order_page_by_line_args){
        .vendor_id = {in->has_vendor_id, in->vendor_id},
        .sku = in->has_sku ? in->sku : STR_NONE,
        .number = {in->has_number, in->number},
        .customer_id = {in->has_customer_id, in->customer_id},
        .state = in->has_state ? str_from(api_order_state_names[in->state - 1]) : STR_NONE,
        .floor = {in->has_placed_from, floor_of(in->has_placed_from ? in->placed_from : 0)},
        .before = lower(before, until),
        .most = in->limit,
    };
    if (in->has_payment_reference) {
        struct order_of_payment_row row;
        bool found;
        enum error_code code = order_of_payment(
            req->db, req->arena, (struct order_of_payment_args){in->payment_reference}, &row, &found);
        if (code != ERR_OK)
            return code;
        if (!found)
            return respond_json(req, 200, STR("{\"items\":[],\"next_cursor\":null}"));
        page.args.order_id = opt_order_id(row.order_id);
    }
    enum error_code code = pg_transaction_of_pipelines(req->db, read_page, &page);
    return code == ERR_OK ? respond_json(req, 200, page.body) : code;
}
