/* Rules of stock: plain functions on plain data. */
#include "shop/inventory/inventory.h"

#include "base/check.h"

enum stock_state stock_state(int64_t available)
{
    if (available <= 0)
        return STOCK_OUT;
    return available <= STOCK_LOW_MOST ? STOCK_LOW : STOCK_IN;
}

const char *stock_state_text(enum stock_state state)
{
    static const char *const texts[] = {
        [STOCK_OUT] = "out_of_stock", [STOCK_LOW] = "low", [STOCK_IN] = "in_stock"};
    return texts[state];
}

int64_t stock_shown(int64_t available)
{
    if (available <= 0)
        return 0;
    return available < STOCK_SHOWN_MAX ? available : STOCK_SHOWN_MAX;
}

static bool before(const struct stock_row *a, const struct stock_row *b)
{
    if (a->priority != b->priority)
        return a->priority < b->priority;
    return uuid_compare(a->location_id.uuid, b->location_id.uuid) < 0;
}

/* The first row, by priority, that has at least `least` available and comes after `last` (NULL: any). */
static struct stock_row *next_row(struct stock_row *rows, size_t count, int32_t least,
                                  const struct stock_row *last)
{
    struct stock_row *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].on_hand - rows[i].reserved < least || (last && !before(last, &rows[i])))
            continue;
        if (!best || before(&rows[i], best))
            best = &rows[i];
    }
    return best;
}

size_t stock_allocate(struct stock_row *rows, size_t count, int32_t quantity, struct stock_part *parts)
{
    CHECK(quantity > 0);
    struct stock_row *row = next_row(rows, count, quantity, NULL);
    if (row) {
        row->reserved += quantity;
        parts[0] = (struct stock_part){row->location_id, quantity};
        return 1;
    }
    int64_t available = 0;
    for (size_t i = 0; i < count; i++)
        available += rows[i].on_hand - rows[i].reserved;
    if (available < quantity)
        return 0;
    size_t used = 0;
    int32_t missing = quantity;
    struct stock_row *last = NULL;
    while (missing > 0) {
        row = next_row(rows, count, 1, last);
        CHECK(row);
        int32_t part = row->on_hand - row->reserved < missing ? row->on_hand - row->reserved : missing;
        row->reserved += part;
        missing -= part;
        parts[used++] = (struct stock_part){row->location_id, part};
        last = row;
    }
    return used;
}
