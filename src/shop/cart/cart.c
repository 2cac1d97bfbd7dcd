#include "shop/cart/cart.h"

#include "base/check.h"

static struct cart_item *find(struct cart_item *items, size_t count, struct variant_id id)
{
    for (size_t i = 0; i < count; i++)
        if (variant_id_equal(items[i].variant_id, id))
            return &items[i];
    return NULL;
}

static int32_t capped(int64_t quantity, int32_t most)
{
    return quantity > most ? most : (int32_t)quantity;
}

size_t cart_merge(const struct cart_item *own, size_t own_count, const struct cart_item *guest,
                  size_t guest_count, const struct cart_limits *limits, struct cart_item *merged)
{
    size_t count = own_count;
    for (size_t i = 0; i < own_count; i++)
        merged[i] = own[i];
    for (size_t i = 0; i < guest_count; i++) {
        struct cart_item *line = find(merged, count, guest[i].variant_id);
        if (!line) {
            if (count < limits->lines_max) {
                merged[count] = guest[i];
                merged[count].quantity = capped(guest[i].quantity, limits->quantity_max);
                count++;
            }
        } else if (line->saved == guest[i].saved) {
            line->quantity = capped((int64_t)line->quantity + guest[i].quantity, limits->quantity_max);
        } else if (line->saved) {
            *line = guest[i];
            line->quantity = capped(guest[i].quantity, limits->quantity_max);
        }
    }
    return count;
}

enum cart_price_state cart_line_price_state(const struct cart_line_facts *facts)
{
    if (!facts->has_price)
        return CART_PRICE_UNAVAILABLE;
    if (!facts->has_seen_price || facts->seen_price_minor == facts->price_minor)
        return CART_PRICE_CURRENT;
    return facts->price_minor > facts->seen_price_minor ? CART_PRICE_INCREASED : CART_PRICE_DECREASED;
}

enum cart_stock_state cart_line_stock_state(const struct cart_line_facts *facts)
{
    if (facts->available <= 0)
        return CART_OUT_OF_STOCK;
    return facts->available <= CART_LOW_STOCK ? CART_LOW : CART_IN_STOCK;
}

enum cart_line_issue cart_line_issue(const struct cart_line_facts *facts)
{
    if (!facts->for_sale)
        return CART_NOT_FOR_SALE;
    if (!facts->has_price)
        return CART_NO_PRICE;
    if (facts->available <= 0)
        return CART_NO_STOCK;
    return facts->available < facts->quantity ? CART_NOT_ENOUGH_STOCK : CART_ISSUE_NONE;
}

int64_t cart_line_total_minor(const struct cart_line_facts *facts)
{
    struct money total;
    bool within = money_times(money_of(facts->price_minor, (struct currency){""}), facts->quantity, &total);
    return within ? total.minor : MONEY_MINOR_MAX;
}

bool cart_if_match(struct str header, int32_t version)
{
    if (str_equal(str_trim(header), STR("*")))
        return true;
    while (header.ptr) {
        struct str tag = str_trim(str_split(&header, ','));
        int64_t value;
        if (tag.len < 3 || tag.ptr[0] != '"' || tag.ptr[tag.len - 1] != '"')
            continue;
        if (str_to_int64((struct str){tag.ptr + 1, tag.len - 2}, &value) && value == version)
            return true;
    }
    return false;
}

size_t cart_splits(int64_t minimum, int64_t maximum, int64_t step, int64_t required, int64_t *points,
                   size_t most, int64_t *allowed)
{
    CHECK(step > 0 && most >= 3);
    bool zero = required <= 0, any = maximum > 0 && maximum >= minimum;
    /* minimum, then the whole steps between it and maximum, then maximum. */
    int64_t first = minimum / step + 1, last = (maximum - 1) / step;
    int64_t between = any && last >= first ? last - first + 1 : 0;
    int64_t minimum_counts =
        any && (minimum == required || minimum % step == 0 || minimum == maximum) && minimum > 0;
    *allowed =
        (zero ? 1 : 0) + minimum_counts + between + (any && !(minimum_counts && minimum == maximum) ? 1 : 0);
    size_t count = 0;
    if (zero)
        points[count++] = 0;
    if (minimum_counts)
        points[count++] = minimum;
    size_t room = most - count - 1;
    int64_t shown = between > (int64_t)room ? (int64_t)room : between;
    for (int64_t i = 0; i < shown; i++)
        points[count++] = step * (first + (shown == between ? i : (int64_t)((__int128)i * between / shown)));
    if (any && !(minimum_counts && minimum == maximum))
        points[count++] = maximum;
    return count;
}
