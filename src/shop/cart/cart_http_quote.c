/* Taking a guest's cart over, and the splits of Miles plus Cash. */
#include "cart_sql.h"
#include "shop/cart/cart_view.h"

#define SPLITS_MAX 200

static enum error_code merge_transaction(struct pg *db, void *context)
{
    struct request *req = ((void **)context)[0];
    const struct api_cart_merge *in = ((void **)context)[1];
    return cart_merge_locked(db, req->arena, req->principal.user_id, in->body.cart_id);
}

enum error_code cart_merge_handle(struct request *req, const struct api_cart_merge *in)
{
    struct cart_view view;
    enum error_code code = pg_transaction(req->db, merge_transaction, (void *[]){req, (void *)(uintptr_t)in});
    if (code == ERR_CONFLICT)
        return error_set(&req->error, code, "Another customer's cart has taken this one over");
    if (!code)
        code = cart_mine_load(req->db, req->arena, &req->principal, &view);
    return code ? code : cart_view_respond(req, 200, &view, true);
}

static struct api_cart_split split_of(const struct cart_view *view, int64_t points)
{
    int64_t value = miles_value_minor(&view->policy, &view->quote, points);
    return (struct api_cart_split){points, value, view->quote.total_minor - value};
}

static enum error_code respond_quote(struct request *req, const struct api_cart_quote *quote)
{
    struct buf body = buf_new(BUF_DEFAULT_MAX);
    cart_respond_etag(req, quote->version);
    api_cart_quote_encode(&body, quote);
    return respond_buf(req, 200, &body);
}

enum error_code cart_quote_show_handle(struct request *req, const struct api_cart_quote_show *in)
{
    struct cart_view view;
    enum error_code code = cart_mine_load(req->db, req->arena, &req->principal, &view);
    if (code)
        return code;
    if (!view.has_policy)
        return error_set(&req->error, ERR_CONFLICT, "Miles are not redeemed in this currency");
    if (view.cart.subtotal_minor > ORDER_TOTAL_MINOR_MAX) {
        error_field_add(&req->error, "lines", "above_order_limit: %lld", (long long)ORDER_TOTAL_MINOR_MAX);
        return error_set(&req->error, ERR_CHECKOUT_REJECTED, "The cart is more than one order may total");
    }
    const struct miles_quote *miles = &view.quote;
    int64_t points[SPLITS_MAX], allowed;
    size_t count = cart_splits(miles->minimum, miles->maximum, miles->step, miles->required, points,
                               SPLITS_MAX, &allowed);
    struct cash_limits limits = miles_cash_limits(view.policy.currency);
    struct api_cart_split *splits = ARENA_ARRAY(req->arena, struct api_cart_split, count + 1);
    size_t payable = 0;
    int64_t bound;
    for (size_t i = 0; i < count; i++) {
        splits[payable] = split_of(&view, points[i]);
        payable += !miles_cash_refusal(limits, splits[payable].cash_minor, &bound);
    }
    struct api_cart_quote quote = {
        .cart_id = view.cart.id,
        .version = view.cart.version,
        .currency = view.cart.currency,
        .total_minor = miles->total_minor,
        .miles = view.cart.miles,
        .least_cash_minor = limits.least,
        .most_cash_minor = limits.most,
        .splits = {splits, payable},
        .complete = allowed == (int64_t)count,
    };
    if (in->has_points) {
        const char *refusal = miles_points_refusal(miles, in->points);
        if (!refusal)
            refusal = miles_cash_refusal(limits, split_of(&view, in->points).cash_minor, &bound);
        quote.has_refusal = refusal != NULL;
        quote.refusal = str_from(refusal);
        quote.has_exact = refusal == NULL;
        if (quote.has_exact)
            quote.exact = split_of(&view, in->points);
    }
    return respond_quote(req, &quote);
}
