#include "shop/cart/cart_view.h"

#include "cart_sql.h"
#include "base/check.h"
#include "base/config.h"
#include "shop/inventory/inventory.h"

struct cart_limits cart_limits_configured(void)
{
    return (struct cart_limits){(int32_t)config()->cart_quantity_max, (size_t)config()->cart_lines_max};
}

static const enum api_cart_price_state price_states[] = {
    [CART_PRICE_CURRENT] = API_CART_PRICE_STATE_CURRENT,
    [CART_PRICE_INCREASED] = API_CART_PRICE_STATE_INCREASED,
    [CART_PRICE_DECREASED] = API_CART_PRICE_STATE_DECREASED,
    [CART_PRICE_UNAVAILABLE] = API_CART_PRICE_STATE_UNAVAILABLE,
};
static const enum api_cart_stock_state stock_states[] = {
    [CART_IN_STOCK] = API_CART_STOCK_STATE_IN_STOCK,
    [CART_LOW] = API_CART_STOCK_STATE_LOW,
    [CART_OUT_OF_STOCK] = API_CART_STOCK_STATE_OUT_OF_STOCK,
};
static const enum api_cart_line_issue issues[] = {
    [CART_NOT_FOR_SALE] = API_CART_LINE_ISSUE_NOT_FOR_SALE,
    [CART_NO_PRICE] = API_CART_LINE_ISSUE_NO_PRICE,
    [CART_NO_STOCK] = API_CART_LINE_ISSUE_OUT_OF_STOCK,
    [CART_NOT_ENOUGH_STOCK] = API_CART_LINE_ISSUE_NOT_ENOUGH_STOCK,
};

static struct cart_line_facts facts_of(const struct cart_read_row *row)
{
    return (struct cart_line_facts){
        .for_sale = row->for_sale.present && row->for_sale.value,
        .has_price = row->price_minor.present,
        .price_minor = row->price_minor.value,
        .has_seen_price = row->seen_price_minor.present,
        .seen_price_minor = row->seen_price_minor.value,
        .quantity = row->quantity.value,
        .available = row->available.present ? row->available.value : 0,
    };
}

static struct api_cart_line line_of(const struct cart_read_row *row, const struct cart_line_facts *facts)
{
    enum cart_line_issue issue = cart_line_issue(facts);
    return (struct api_cart_line){
        .variant_id = row->variant_id.value,
        .product_id = row->product_id.value,
        .has_vendor_id = row->vendor_id.present,
        .vendor_id = row->vendor_id.value,
        .has_media_id = row->media_id.present,
        .media_id = row->media_id.value,
        .sku = row->sku,
        .title = row->title,
        .product_name = row->product_name,
        .options = row->options.ptr ? row->options : STR("{}"),
        .quantity = facts->quantity,
        .has_unit_price_minor = facts->has_price,
        .unit_price_minor = facts->price_minor,
        .has_seen_price_minor = facts->has_seen_price,
        .seen_price_minor = facts->seen_price_minor,
        .price_state = price_states[cart_line_price_state(facts)],
        .stock_state = stock_states[cart_line_stock_state(facts)],
        .available = stock_shown(facts->available),
        .has_line_total_minor = facts->has_price,
        .line_total_minor = facts->has_price ? cart_line_total_minor(facts) : 0,
        .has_issue = issue != CART_ISSUE_NONE,
        .issue = issue != CART_ISSUE_NONE ? issues[issue] : (enum api_cart_line_issue)0,
        .added_at = row->added_at.value,
    };
}

/* Fills the lists, sums, and the lines as the split of miles and cash sees them. */
static void fill_lines(struct arena *arena, const struct cart_read_rows *rows, struct cart_view *view)
{
    struct api_cart *cart = &view->cart;
    struct api_cart_line *lines = ARENA_ARRAY(arena, struct api_cart_line, rows->count);
    struct api_cart_line *saved = ARENA_ARRAY(arena, struct api_cart_line, rows->count);
    view->miles_lines = ARENA_ARRAY(arena, struct miles_line, rows->count);
    cart->lines.items = lines;
    cart->saved_lines.items = saved;
    bool issue = false;
    for (size_t i = 0; i < rows->count; i++) {
        const struct cart_read_row *row = &rows->items[i];
        if (!row->variant_id.present)
            continue;
        struct cart_line_facts facts = facts_of(row);
        struct api_cart_line line = line_of(row, &facts);
        if (row->saved.value) {
            saved[cart->saved_lines.count++] = line;
            continue;
        }
        lines[cart->lines.count++] = line;
        cart->item_count += line.quantity;
        issue |= line.has_issue;
        if (!facts.for_sale || !facts.has_price)
            continue;
        cart->subtotal_minor += line.line_total_minor;
        if (view->has_policy)
            view->miles_lines[view->miles_line_count++] =
                (struct miles_line){.total_minor = line.line_total_minor,
                                    .tender = miles_tender_of(&view->policy, miles_tender_parse(row->tender),
                                                              row->category_path)};
    }
    cart->orderable = cart->lines.count > 0 && !issue && cart->subtotal_minor <= ORDER_TOTAL_MINOR_MAX;
}

static enum error_code load_policy(struct pg *db, struct arena *arena, struct cart_view *view,
                                   struct str currency, struct loyalty_balance *balance)
{
    struct currency code;
    CHECK(currency_parse(currency, &code));
    enum error_code result = miles_policy_in_force(db, arena, code, &view->policy);
    if (result == ERR_NOT_FOUND)
        return ERR_OK; /* no miles in this currency */
    view->has_policy = result == ERR_OK;
    return result ? result : loyalty_balance(db, arena, view->user_id.value, balance);
}

enum error_code cart_view_load(struct pg *db, struct arena *arena, struct opt_cart_id cart_id,
                               struct opt_user_id user_id, const struct principal *reader,
                               struct cart_view *view)
{
    struct cart_read_rows rows;
    *view = (struct cart_view){0};
    enum error_code code = cart_read(db, arena, (struct cart_read_args){cart_id, user_id}, &rows);
    if (code || rows.count == 0)
        return code ? code : ERR_NOT_FOUND;
    const struct cart_read_row *head = &rows.items[0];
    view->user_id = head->user_id;
    view->cart = (struct api_cart){
        .id = head->id,
        .state = api_cart_state_parse(head->state),
        .version = head->version,
        .currency = api_currency_parse(head->currency),
        .updated_at = head->updated_at,
    };
    struct loyalty_balance balance = {0};
    if (reader && head->user_id.present && user_id_equal(head->user_id.value, reader->user_id))
        code = load_policy(db, arena, view, head->currency, &balance);
    if (code)
        return code;
    fill_lines(arena, &rows, view);
    if (view->has_policy) {
        int64_t available = balance.posted - balance.held;
        miles_quote(&view->policy, view->miles_lines, view->miles_line_count, available, &view->quote);
        view->cart.has_miles = true;
        view->cart.miles = (struct api_cart_miles){
            .available_points = available,
            .minimum = view->quote.minimum,
            .maximum = view->quote.maximum,
            .step = view->quote.step,
            .required_points = view->quote.required,
            .maximum_value_minor = miles_value_minor(&view->policy, &view->quote, view->quote.maximum),
            .policy_version = view->policy.version,
        };
    }
    return ERR_OK;
}

enum error_code cart_view_allowed(const struct cart_view *view, const struct principal *reader)
{
    bool allowed = !view->user_id.present ||
                   (reader->role == ROLE_CUSTOMER && user_id_equal(view->user_id.value, reader->user_id));
    return allowed ? ERR_OK : ERR_NOT_FOUND;
}

enum error_code cart_mine_load(struct pg *db, struct arena *arena, const struct principal *reader,
                               struct cart_view *view)
{
    struct opt_user_id user_id = opt_user_id(reader->user_id);
    enum error_code code = cart_view_load(db, arena, (struct opt_cart_id){0}, user_id, reader, view);
    if (code != ERR_NOT_FOUND)
        return code;
    struct cart_insert_args args = {cart_id_new(), user_id, str_from(api_currency_names[0])};
    code = cart_insert(db, args, NULL);
    return code ? code : cart_view_load(db, arena, (struct opt_cart_id){0}, user_id, reader, view);
}

void cart_respond_etag(struct request *req, int64_t version)
{
    respond_header(req, STR("ETag"), arena_printf(req->arena, "\"%lld\"", (long long)version));
}

enum error_code cart_view_respond(struct request *req, int status, const struct cart_view *view, bool etag)
{
    if (etag)
        cart_respond_etag(req, view->cart.version);
    struct buf body = buf_new(BUF_DEFAULT_MAX);
    api_cart_encode(&body, &view->cart);
    return respond_buf(req, status, &body);
}
