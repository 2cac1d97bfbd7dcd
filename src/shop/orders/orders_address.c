/* Where an order goes. */
#include "api.h"
#include "base/buf.h"
#include "base/check.h"
#include "orders_sql.h"
#include "shop/orders/orders.h"
#include "work/work.h"

static void address_member(struct buf *out, const char *name, bool present, struct str value)
{
    if (!present)
        return;
    if (out->len > 1)
        buf_char(out, ',');
    buf_printf(out, "\"%s\":", name);
    buf_json_str(out, value);
}

struct str order_address_json(const struct api_address *address, struct arena *arena)
{
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    buf_char(&out, '{');
    address_member(&out, "name", true, address->name);
    address_member(&out, "company", address->has_company, address->company);
    address_member(&out, "line1", true, address->line1);
    address_member(&out, "line2", address->has_line2, address->line2);
    address_member(&out, "city", true, address->city);
    address_member(&out, "region", address->has_region, address->region);
    address_member(&out, "postal_code", address->has_postal_code, address->postal_code);
    address_member(&out, "country", true, str_from(api_country_names[address->country - 1]));
    address_member(&out, "phone", address->has_phone, address->phone);
    buf_char(&out, '}');
    struct str copy = arena_copy(arena, buf_str(&out));
    buf_free(&out);
    return copy;
}

enum error_code order_address_change(struct pg *db, struct arena *arena, const struct order *order,
                                     const struct api_address *address)
{
    CHECK(pg_in_transaction(db));
    if (order->state != ORDER_PENDING_PAYMENT && order->state != ORDER_CONFIRMED &&
        order->state != ORDER_PROCESSING)
        return ERR_TRANSITION;
    struct order_address_set_args args = {order->id, order_address_json(address, arena)};
    enum error_code code = order_address_set(db, args, NULL);
    if (code != ERR_OK)
        return code;
    char id[ID_TEXT_MAX];
    order_id_text(order->id, id);
    struct event event = {
        .type = STR("order.address_changed"),
        .aggregate_id = order->id.uuid,
        .payload = arena_printf(arena, "{\"order_id\":\"%s\"}", id),
    };
    return outbox_publish(db, &event, NULL);
}
