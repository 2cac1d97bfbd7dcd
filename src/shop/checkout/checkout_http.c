#include "api.h"
#include "base/check.h"
#include "shop/checkout/checkout.h"

static void address_member(struct buf *out, const char *name, bool present, struct str value)
{
    if (!present)
        return;
    if (out->len > 1)
        buf_char(out, ',');
    buf_printf(out, "\"%s\":", name);
    buf_json_str(out, value);
}

/* As it is stored with the order: the members that the shopper gave, in one order. */
static struct str address_json(const struct api_address *address, struct arena *arena)
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
    address_member(&out, "country", true, address->country);
    address_member(&out, "phone", address->has_phone, address->phone);
    buf_char(&out, '}');
    struct str copy = arena_copy(arena, buf_str(&out));
    buf_free(&out);
    return copy;
}

static void finish(struct checkout_command *command, enum error_code code)
{
    struct request *req = command->context;
    if (code) {
        req->error = command->order.error;
        if (code == ERR_OVERLOADED || code == ERR_DATABASE)
            req->error.retry_after_s = 1;
    } else {
        respond_json(req, 201, command->answer);
        if (command->replayed)
            respond_header(req, STR("Idempotent-Replayed"), STR("true"));
    }
    request_finish(req, code);
}

enum error_code order_place_handle(struct request *req, const struct api_order_place *in)
{
    const struct api_order_place_input *body = &in->body;
    if (body->has_cart_id != body->has_cart_version) {
        error_field_add(&req->error, body->has_cart_id ? "cart_version" : "cart_id",
                        "is needed beside the other");
        return error_set(&req->error, ERR_BAD_REQUEST, "cart_id and cart_version go together");
    }
    struct checkout_command *command = ARENA_NEW(req->arena, struct checkout_command);
    struct checkout_order *order = &command->order;
    command->arena = req->arena;
    command->finish = finish;
    command->context = req;
    order->customer_id = req->principal.user_id;
    CHECK(currency_parse(str_from(api_currency_names[body->currency - 1]), &order->currency));
    order->key = req->idempotency_key;
    order->body_hash = (struct str){(const char *)req->body_hash, sizeof req->body_hash};
    order->address = address_json(&body->address, req->arena);
    order->traceparent = req->traceparent;
    order->points = body->points;
    order->has_cash = body->has_cash_minor;
    order->cash_minor_seen = body->cash_minor;
    order->has_cart = body->has_cart_id;
    order->cart_id = body->cart_id;
    order->cart_version = (int32_t)body->cart_version;
    order->line_count = body->lines.count;
    order->lines = ARENA_ARRAY(req->arena, struct checkout_line, body->lines.count);
    for (size_t i = 0; i < body->lines.count; i++) {
        order->lines[i].variant_id = body->lines.items[i].variant_id;
        order->lines[i].quantity = (int32_t)body->lines.items[i].quantity;
        order->lines[i].unit_price_minor = body->lines.items[i].unit_price_minor;
    }
    enum error_code code = checkout_submit(command);
    if (code) {
        req->error.retry_after_s = 1;
        return error_set(&req->error, code,
                         "More orders are waiting than the shop takes at once; try again shortly");
    }
    return ERR_OK;
}
