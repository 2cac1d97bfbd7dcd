#include "api.h"
#include "base/check.h"
#include "shop/accounts/accounts.h"
#include "shop/checkout/checkout.h"
#include "shop/orders/orders.h"
#include "shop/sale/sale.h"

#include <sodium.h>

static void finish(struct checkout_command *command, enum error_code code)
{
    struct request *req = command->context;
    if (code) {
        req->error = command->order.error;
        if (code == ERR_OVERLOADED || code == ERR_DATABASE)
            req->error.retry_after_s = 1;
    } else {
        if (command->order.points > 0)
            request_changed(req, STR("balance"), command->order.customer_id.uuid);
        respond_json(req, 201, command->answer);
        if (command->replayed)
            respond_header(req, STR("Idempotent-Replayed"), STR("true"));
    }
    request_finish(req, code);
}

static enum error_code too_many_orders(struct request *req)
{
    return error_set(&req->error, ERR_OVERLOADED,
                     "More orders are waiting than the shop takes at once; try again shortly");
}

/* Nothing was spent on the order yet, so that refusing one leaves time for those that wait. */
enum error_code order_place_early(struct request *req, const struct str *path_params, struct str bearer)
{
    (void)path_params, (void)bearer;
    return checkout_overloaded(request_waited_us(req)) ? too_many_orders(req) : ERR_OK;
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
    order->address = order_address_json(&body->address, req->arena);
    order->traceparent = req->traceparent;
    order->request_id = req->request_id;
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
    return checkout_submit(command) ? too_many_orders(req) : ERR_OK;
}

/* ── an order of a flash sale ── */

struct sale_purchase {
    struct checkout_command command;
    struct checkout_line line;
    struct sale_admission admission;
};

/* The path is not in the request's hash, and the same body fits every sale. */
static struct str hash_with_sale(struct request *req, struct sale_id sale_id)
{
    uint8_t *hash = arena_alloc(req->arena, sizeof req->body_hash);
    crypto_generichash(hash, sizeof req->body_hash, req->body_hash, sizeof req->body_hash, sale_id.uuid.bytes,
                       sizeof sale_id.uuid.bytes);
    return (struct str){(const char *)hash, sizeof req->body_hash};
}

static void finish_sale(struct checkout_command *command, enum error_code code)
{
    struct sale_purchase *purchase = (struct sale_purchase *)(void *)command;
    const struct checkout_order *order = &command->order;
    /* Its place in the counters is free again where nothing was bought for it. Where the database says sold
     * out the counters were too high, and where the commit is in doubt the reconciler finds out. */
    bool nothing_new = code == ERR_OK ? command->replayed
                                      : order->outcome == CHECKOUT_REJECTED && code == order->code &&
                                            code != ERR_SALE_SOLD_OUT;
    if (purchase->admission.counted && nothing_new)
        sale_admission_give_back(&purchase->admission);
    finish(command, code);
}

static void admitted(struct sale_admission *admission, enum error_code code)
{
    struct sale_purchase *purchase = admission->context;
    struct checkout_command *command = &purchase->command;
    struct checkout_order *order = &command->order;
    struct request *req = command->context;
    if (!code) {
        order->currency = admission->sale.currency;
        purchase->line.variant_id = admission->sale.variant_id;
        if (checkout_submit(command) == ERR_OK)
            return;
        if (admission->counted)
            sale_admission_give_back(admission);
        code = too_many_orders(req);
    } else {
        req->error = admission->error;
    }
    request_finish(req, code);
}

/* The crowd that comes after the last unit is told so before its signatures and bodies are looked at. That
 * says nothing that is not public, and a purchase that was made is passed on: it takes the customer's id and
 * his key to have another answer than everybody. So a token that is forged or has expired is told "sold out",
 * too, instead of 401. */
enum error_code sale_order_place_early(struct request *req, const struct str *path_params, struct str bearer)
{
    struct sale_id sale_id;
    struct user_id claimed;
    if (req->idempotency_key.len == 0 || !sale_id_parse(path_params[0], &sale_id) ||
        !accounts_claimed_user(bearer, &claimed))
        return ERR_OK;
    uint8_t key[SALE_KEY_BYTES];
    sale_admission_key(claimed, req->idempotency_key, key);
    enum error_code code = sale_refused_at_once(sale_id, key, &req->error);
    return !code && checkout_overloaded(request_waited_us(req)) ? too_many_orders(req) : code;
}

enum error_code sale_order_place_handle(struct request *req, const struct api_sale_order_place *in)
{
    struct sale_purchase *purchase = ARENA_NEW(req->arena, struct sale_purchase);
    struct checkout_command *command = &purchase->command;
    struct checkout_order *order = &command->order;
    command->arena = req->arena;
    command->finish = finish_sale;
    command->context = req;
    order->customer_id = req->principal.user_id;
    order->key = req->idempotency_key;
    order->body_hash = hash_with_sale(req, in->sale_id);
    order->address = order_address_json(&in->body.address, req->arena);
    order->traceparent = req->traceparent;
    order->request_id = req->request_id;
    order->points = in->body.points;
    order->has_cash = in->body.has_cash_minor;
    order->cash_minor_seen = in->body.cash_minor;
    order->lines = &purchase->line;
    order->line_count = 1;
    order->of_sale = true;
    order->sale_id = in->sale_id;
    sale_admission_key(order->customer_id, order->key, order->sale_key);
    purchase->line.quantity = (int32_t)in->body.quantity;
    struct sale_admission *admission = &purchase->admission;
    admission->sale_id = in->sale_id;
    admission->customer_id = order->customer_id;
    admission->quantity = purchase->line.quantity;
    memcpy(admission->key, order->sale_key, sizeof admission->key);
    admission->decided = admitted;
    admission->context = purchase;
    enum error_code code = sale_admission_ask(admission);
    if (code) { /* the request is still ours */
        req->error = admission->error;
        if (code == ERR_OVERLOADED)
            req->error.retry_after_s = 1;
    }
    return code;
}
