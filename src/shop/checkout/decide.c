/* The order of the checks is the order in which a shopper should hear of them: a key that was used, a cart
 * that moved on, a sale that has nothing for them, lines that cannot be had (all of them, so that one look at
 * the answer mends the cart), what waits for payment already, then points, then cash. */
#include "shop/checkout/decide.h"

#include "base/check.h"
#include "shop/inventory/inventory.h"

#include <stdio.h>

static void reject(struct checkout_order *order, enum error_code code, const char *detail)
{
    order->outcome = CHECKOUT_REJECTED;
    order->code = error_set(&order->error, code, "%s", detail);
}

/* Reasons begin with a stable word that a client can act on. */
static void refuse_field(struct checkout_order *order, size_t line, const char *member, const char *reason,
                         int64_t now, bool with_number)
{
    char field[48];
    snprintf(field, sizeof field, "lines[%zu].%s", line, member);
    if (with_number)
        error_field_add(&order->error, field, "%s: %lld", reason, (long long)now);
    else
        error_field_add(&order->error, field, "%s", reason);
}

static bool same_body(const struct checkout_order *order)
{
    struct str stored = order->stored.body_hash;
    return stored.len >= CHECKOUT_HASH_BYTES && order->body_hash.len >= CHECKOUT_HASH_BYTES &&
           memcmp(stored.ptr, order->body_hash.ptr, CHECKOUT_HASH_BYTES) == 0;
}

/* True: the key settles it. */
static bool settled_by_key(struct checkout_order *order)
{
    if (order->key_in_batch) {
        reject(order, ERR_IDEMPOTENCY_IN_FLIGHT, "A request with this Idempotency-Key is being worked on");
        return true;
    }
    if (!order->stored.exists)
        return false;
    if (same_body(order))
        order->outcome = CHECKOUT_REPLAYED;
    else
        reject(order, ERR_IDEMPOTENCY_MISMATCH, "This Idempotency-Key was used for another request");
    return true;
}

static bool cart_is_good(struct checkout_order *order)
{
    const struct checkout_cart *cart = order->cart;
    if (!cart)
        return true;
    bool theirs = cart->exists && (!cart->owned || user_id_equal(cart->user_id, order->customer_id));
    const char *reason = !theirs                                ? "not_found"
                         : !cart->open                          ? "cart_spent"
                         : cart->version != order->cart_version ? "cart_changed"
                                                                : NULL;
    if (!reason)
        return true;
    error_field_add(&order->error, strcmp(reason, "cart_changed") == 0 ? "cart_version" : "cart_id", "%s",
                    reason);
    reject(order, ERR_CHECKOUT_REJECTED, "The cart is not as it was when it was read");
    return false;
}

/* What stock has is asked afterwards, as for any line: a sale sets nothing aside. */
static bool sale_is_good(struct checkout_order *order)
{
    struct checkout_sale *at = order->sale;
    if (!at)
        return true;
    CHECK(order->line_count == 1);
    if (!at->exists) {
        reject(order, ERR_NOT_FOUND, "There is no such sale");
        return false;
    }
    const struct checkout_line *line = &order->lines[0];
    CHECK(variant_id_equal(line->variant_id, at->sale.variant_id) &&
          currency_equal(order->currency, at->sale.currency));
    enum error_code code = sale_refusal(&at->sale, order->placed_at_us, order->sale_customer->taken,
                                        line->quantity, &order->error);
    if (!code)
        return true;
    order->outcome = CHECKOUT_REJECTED;
    order->code = code;
    return false;
}

static int64_t available_of(const struct checkout_stocks *stocks)
{
    int64_t sum = 0;
    for (size_t i = 0; stocks && i < stocks->count; i++)
        sum += stocks->items[i].available;
    return sum;
}

/* Where a line is sent from: the first place that has all of it, else from several, by priority. False: not
 * enough. Takes what it finds, so that a second line of the same stock sees what is left. */
static bool take_stock(struct checkout_line *line)
{
    struct checkout_stocks *stocks = line->stocks;
    line->part_count = 0;
    if (available_of(stocks) < line->quantity)
        return false;
    for (size_t i = 0; i < stocks->count; i++)
        if (stocks->items[i].available >= line->quantity) {
            line->parts[line->part_count++] = (struct checkout_part){i, line->quantity};
            stocks->items[i].available -= line->quantity;
            return true;
        }
    int32_t left = line->quantity;
    for (size_t i = 0; i < stocks->count && left > 0 && line->part_count < CHECKOUT_PARTS_MAX; i++) {
        int32_t take = stocks->items[i].available < left ? stocks->items[i].available : left;
        if (take <= 0)
            continue;
        line->parts[line->part_count++] = (struct checkout_part){i, take};
        stocks->items[i].available -= take;
        left -= take;
    }
    return left == 0;
}

static void give_back(struct checkout_order *order)
{
    for (size_t i = 0; i < order->line_count; i++) {
        struct checkout_line *line = &order->lines[i];
        for (size_t p = 0; p < line->part_count; p++)
            line->stocks->items[line->parts[p].stock].available += line->parts[p].quantity;
        line->part_count = 0;
    }
}

static bool line_is_good(struct checkout_order *order, size_t at)
{
    struct checkout_line *line = &order->lines[at];
    const struct checkout_variant *variant = line->variant;
    CHECK(line->quantity > 0 && line->quantity <= CHECKOUT_QUANTITY_MAX);
    for (size_t before = 0; before < at; before++)
        if (variant_id_equal(order->lines[before].variant_id, line->variant_id)) {
            refuse_field(order, at, "variant_id", "stands_twice", 0, false);
            return false;
        }
    if (!variant) {
        refuse_field(order, at, "variant_id", "not_found", 0, false);
        return false;
    }
    bool priced = order->sale || variant->has_price;
    if (!variant->for_sale || !priced) {
        refuse_field(order, at, "variant_id", variant->for_sale ? "no_price_in_currency" : "not_for_sale", 0,
                     false);
        return false;
    }
    bool good = true;
    line->price_minor = order->sale ? order->sale->sale.price_minor : variant->price_minor;
    if (!order->sale && line->price_minor != line->unit_price_minor) {
        refuse_field(order, at, "unit_price_minor", "price_changed", variant->price_minor, true);
        good = false;
    }
    int64_t available = available_of(line->stocks);
    if (!take_stock(line)) {
        refuse_field(order, at, "quantity", "out_of_stock", stock_shown(available), true);
        good = false;
    }
    line->split.tender = miles_tender_of(order->policy, variant->tender, variant->category_path);
    return good;
}

/* Each line within its bounds, and still more than one order may total: the line that is too much is told. */
static bool add_line(struct checkout_order *order, size_t at, struct money *subtotal)
{
    struct checkout_line *line = &order->lines[at];
    struct money total;
    if (!money_times(money_of(line->price_minor, order->currency), line->quantity, &total) ||
        !money_add(*subtotal, total, subtotal) || subtotal->minor > ORDER_TOTAL_MINOR_MAX) {
        refuse_field(order, at, "quantity", "above_order_limit", ORDER_TOTAL_MINOR_MAX, true);
        return false;
    }
    line->split.total_minor = total.minor;
    return true;
}

static bool lines_are_good(struct checkout_order *order)
{
    bool good = true, within = true;
    struct money subtotal = money_of(0, order->currency);
    for (size_t i = 0; i < order->line_count; i++) {
        good = line_is_good(order, i) && good;
        within = within && (!good || add_line(order, i, &subtotal));
    }
    good = good && within;
    order->subtotal_minor = subtotal.minor;
    if (!good)
        reject(order, ERR_CHECKOUT_REJECTED, "Some lines cannot be had as asked; nothing was charged");
    return good;
}

static int64_t units_of(const struct checkout_order *order)
{
    int64_t units = 0;
    for (size_t i = 0; i < order->line_count; i++)
        units += order->lines[i].quantity;
    return units;
}

/* A sale has its own limit of units for a customer. */
static bool unpaid_is_good(struct checkout_order *order)
{
    if (order->sale || !order->account->unpaid_limited)
        return true;
    order->code = order_unpaid_refusal(&order->account->unpaid, units_of(order), &order->error);
    if (order->code)
        order->outcome = CHECKOUT_REJECTED;
    return !order->code;
}

static bool cash_can_be_paid(struct checkout_order *order)
{
    int64_t bound;
    const char *refusal = miles_cash_refusal(miles_cash_limits(order->currency), order->cash_minor, &bound);
    if (!refusal)
        return true;
    error_field_add(&order->error, "cash_minor", "%s: %lld", refusal, (long long)bound);
    reject(order, ERR_CHECKOUT_REJECTED,
           "That much cash cannot be paid at once; redeem other miles, or buy more or less");
    return false;
}

static bool points_are_good(struct checkout_order *order)
{
    struct miles_line splits[CHECKOUT_LINES_MAX];
    for (size_t i = 0; i < order->line_count; i++)
        splits[i] = order->lines[i].split;
    int64_t available = order->account->available;
    struct miles_quote quote;
    miles_quote(order->policy, splits, order->line_count, available, &quote);
    const char *refusal = miles_points_refusal(&quote, order->points);
    if (!refusal && order->points > available)
        refusal = "above_balance";
    if (refusal) {
        error_field_add(&order->error, "points", "%s: %lld to %lld in steps of %lld", refusal,
                        (long long)quote.minimum, (long long)quote.maximum, (long long)quote.step);
        reject(order,
               order->points > available || quote.required > available ? ERR_POINTS_SHORT
                                                                       : ERR_CHECKOUT_REJECTED,
               "That many points cannot be redeemed on this order");
        return false;
    }
    miles_split(order->policy, &quote, order->points, splits, order->line_count);
    order->points_value_minor = order->cash_minor = 0;
    for (size_t i = 0; i < order->line_count; i++) {
        order->lines[i].split = splits[i];
        order->points_value_minor += splits[i].points_value_minor;
        order->cash_minor += splits[i].cash_minor;
    }
    CHECK(order->points_value_minor + order->cash_minor == order->subtotal_minor);
    if (order->has_cash && order->cash_minor != order->cash_minor_seen) {
        error_field_add(&order->error, "cash_minor", "cash_changed: %lld", (long long)order->cash_minor);
        reject(order, ERR_CHECKOUT_REJECTED,
               "The cash part is not what the quote showed; nothing was charged");
        return false;
    }
    return cash_can_be_paid(order);
}

static void accept(struct checkout_order *order)
{
    order->outcome = CHECKOUT_ACCEPTED;
    order->earn_points = miles_earned(order->policy, order->cash_minor);
    order->account->available -= order->points;
    order->account->hold += order->points;
    if (order->cart)
        order->cart->open = false;
    if (!order->sale) {
        order->account->unpaid.orders++;
        order->account->unpaid.units += units_of(order);
    }
    if (order->sale) {
        order->sale->sale.sold += order->lines[0].quantity;
        order->sale_customer->taken += order->lines[0].quantity;
        order->sale_customer->take += order->lines[0].quantity;
    }
    for (size_t i = 0; i < order->line_count; i++) {
        struct checkout_line *line = &order->lines[i];
        for (size_t p = 0; p < line->part_count; p++)
            line->stocks->items[line->parts[p].stock].reserve += line->parts[p].quantity;
    }
}

void checkout_decide(struct checkout_order *const *orders, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct checkout_order *order = orders[i];
        CHECK(order->line_count > 0 && order->line_count <= CHECKOUT_LINES_MAX);
        error_clear(&order->error);
        for (size_t l = 0; l < order->line_count; l++)
            order->lines[l].part_count = 0;
        if (settled_by_key(order))
            continue;
        if (!order->policy) {
            error_field_add(&order->error, "currency", "not_sold_in");
            reject(order, ERR_CHECKOUT_REJECTED, "The shop does not sell in this currency");
            continue;
        }
        if (cart_is_good(order) && sale_is_good(order) && lines_are_good(order) && unpaid_is_good(order) &&
            points_are_good(order))
            accept(order);
        else
            give_back(order);
    }
}
