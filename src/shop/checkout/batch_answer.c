/* The answer to an order, and what is stored of it under its Idempotency-Key. All that an answer says stands
 * on the order and its lines and never changes there, except when the order expires: a payment that is tried
 * again has more time. So a reference is stored, the order's id and the first time limit, and a replay is
 * rendered by the same encoder as the answer was: byte for byte the same. */
#include "shop/checkout/batch_internal.h"

#include "api.h"
#include "base/check.h"
#include "checkout_sql.h"

#define REFERENCE_BYTES (sizeof(struct uuid) + sizeof(int64_t))

static struct str encode(const struct api_placed_order *placed, struct arena *arena)
{
    struct buf text = buf_new(BUF_DEFAULT_MAX);
    api_placed_order_encode(&text, placed);
    CHECK(!text.overflow);
    struct str copy = arena_copy(arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

struct str batch_answer(const struct checkout_order *order, struct arena *arena)
{
    struct api_placed_order_lines_item *lines =
        ARENA_ARRAY(arena, struct api_placed_order_lines_item, order->line_count);
    for (size_t i = 0; i < order->line_count; i++) {
        const struct checkout_line *line = &order->lines[i];
        lines[i] = (struct api_placed_order_lines_item){
            .line_no = (int64_t)i + 1,
            .variant_id = line->variant_id,
            .sku = line->variant->sku,
            .title = line->variant->title,
            .quantity = line->quantity,
            .unit_price_minor = line->price_minor,
            .total_minor = line->split.total_minor,
            .points = line->split.points,
            .points_value_minor = line->split.points_value_minor,
            .cash_minor = line->split.cash_minor,
        };
    }
    struct api_placed_order placed = {
        .id = order->order_id,
        .number = order->number,
        .state = STR("pending_payment"),
        .currency = currency_str(&order->currency),
        .subtotal_minor = order->subtotal_minor,
        .total_minor = order->subtotal_minor,
        .points = order->points,
        .points_value_minor = order->points_value_minor,
        .cash_minor = order->cash_minor,
        .earn_points = order->earn_points,
        .placed_at = order->placed_at_us,
        .expires_at = order->expires_at_us,
        .lines = {lines, order->line_count},
    };
    return encode(&placed, arena);
}

/* ── references ── */

struct str batch_answer_reference(const struct checkout_order *order, struct arena *arena)
{
    char *bytes = arena_bytes(arena, REFERENCE_BYTES);
    memcpy(bytes, &order->order_id, sizeof order->order_id);
    for (size_t i = 0; i < sizeof(int64_t); i++)
        bytes[sizeof order->order_id + i] = (char)((uint64_t)order->expires_at_us >> (56 - 8 * i));
    return (struct str){bytes, REFERENCE_BYTES};
}

static struct order_id referred(struct str reference)
{
    struct order_id id;
    memcpy(&id, reference.ptr, sizeof id);
    return id;
}

static int64_t expiry_of(struct str reference)
{
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof value; i++)
        value = value << 8 | (unsigned char)reference.ptr[sizeof(struct uuid) + i];
    return (int64_t)value;
}

/* One order's rows: `count` lines, each with the order's columns. */
static struct str answer_of(const struct checkout_answer_batch_row *rows, size_t count, int64_t expires_at_us,
                            struct arena *arena)
{
    struct api_placed_order_lines_item *lines = ARENA_ARRAY(arena, struct api_placed_order_lines_item, count);
    for (size_t i = 0; i < count; i++)
        lines[i] = (struct api_placed_order_lines_item){
            .line_no = rows[i].line_no,
            .variant_id = rows[i].variant_id,
            .sku = rows[i].sku,
            .title = rows[i].title,
            .quantity = rows[i].quantity,
            .unit_price_minor = rows[i].unit_price_minor,
            .total_minor = rows[i].line_total_minor,
            .points = rows[i].line_points,
            .points_value_minor = rows[i].line_points_value_minor,
            .cash_minor = rows[i].line_cash_minor,
        };
    struct api_placed_order placed = {
        .id = rows[0].id,
        .number = rows[0].number,
        .state = STR("pending_payment"),
        .currency = rows[0].currency,
        .subtotal_minor = rows[0].subtotal_minor,
        .total_minor = rows[0].total_minor,
        .points = rows[0].points,
        .points_value_minor = rows[0].points_value_minor,
        .cash_minor = rows[0].cash_minor,
        .earn_points = rows[0].earn_points,
        .placed_at = rows[0].placed_at,
        .expires_at = expires_at_us,
        .lines = {lines, count},
    };
    return encode(&placed, arena);
}

enum error_code batch_answers_read(struct batch *batch)
{
    struct order_id *ids = ARENA_ARRAY(batch->arena, struct order_id, batch->count);
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->orders[i]->stored.body.len == REFERENCE_BYTES)
            ids[count++] = referred(batch->orders[i]->stored.body);
    if (count == 0)
        return ERR_OK;
    struct checkout_answer_batch_rows rows;
    enum error_code code = checkout_answer_batch(batch->db, batch->arena,
                                                 (struct checkout_answer_batch_args){{ids, count}}, &rows);
    for (size_t i = 0; !code && i < batch->count; i++) {
        struct str *body = &batch->orders[i]->stored.body;
        if (body->len != REFERENCE_BYTES)
            continue;
        size_t first = 0, lines = 0;
        while (first < rows.count && !order_id_equal(rows.items[first].id, referred(*body)))
            first++;
        while (first + lines < rows.count && order_id_equal(rows.items[first + lines].id, referred(*body)))
            lines++;
        CHECK(lines > 0); /* orders are never deleted */
        *body = answer_of(&rows.items[first], lines, expiry_of(*body), batch->arena);
    }
    return code;
}
