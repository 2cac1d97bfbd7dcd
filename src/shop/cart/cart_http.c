/* Carts: begin, show, change. Every change locks the cart, compares its version with If-Match, and answers
 * the cart as it is then. */
#include "cart_sql.h"
#include "base/config.h"
#include "shop/cart/cart_view.h"

#define GUEST_KEY_CHARACTERS_MIN 20

struct change {
    struct cart_id cart_id;
    struct str if_match; /* absent: the change needs none */
    /* Inside the transaction, with the cart locked. */
    enum error_code (*apply)(struct request *req, const struct change *change,
                             const struct cart_lock_row *cart);
    const void *in;
    struct cart_view view;
};

/* Idempotency records of guests are apart by address only, and many guests may share one: whoever knows the
 * key there gets the answer, and with it the cart. */
static enum error_code check_guest_key(struct request *req)
{
    if (req->principal.role != ROLE_ANONYMOUS || !req->idempotency_key.ptr ||
        req->idempotency_key.len >= GUEST_KEY_CHARACTERS_MIN)
        return ERR_OK;
    error_field_add(&req->error, "Idempotency-Key", "has fewer than %d characters", GUEST_KEY_CHARACTERS_MIN);
    return error_set(&req->error, ERR_VALIDATION, "A guest's Idempotency-Key must be unguessable");
}

static enum error_code check_locked(struct request *req, const struct change *change,
                                    const struct cart_lock_row *cart)
{
    const struct principal *who = &req->principal;
    if (cart->user_id.present &&
        (who->role != ROLE_CUSTOMER || !user_id_equal(cart->user_id.value, who->user_id)))
        return ERR_NOT_FOUND;
    if (!str_equal(cart->state, STR("open")))
        return error_set(&req->error, ERR_CONFLICT, "The cart was %.*s: it cannot be changed any more",
                         STR_ARG(cart->state));
    if (change->if_match.ptr && !cart_if_match(change->if_match, cart->version))
        return error_set(&req->error, ERR_PRECONDITION, "The cart is at version %d by now", cart->version);
    return ERR_OK;
}

static enum error_code change_transaction(struct request *req, void *context)
{
    struct change *change = context;
    struct cart_lock_row cart;
    bool found;
    enum error_code code =
        cart_lock(req->db, req->arena, (struct cart_lock_args){change->cart_id}, &cart, &found);
    if (!code)
        code = found ? check_locked(req, change, &cart) : ERR_NOT_FOUND;
    if (!code)
        code = change->apply(req, change, &cart);
    if (!code)
        code = cart_touch(req->db, (struct cart_touch_args){change->cart_id}, NULL);
    if (!code)
        code = cart_view_load(req->db, req->arena, opt_cart_id(change->cart_id), (struct opt_user_id){0},
                              &req->principal, &change->view);
    return code ? code : cart_view_respond(req, 200, &change->view, false);
}

static enum error_code run_change(struct request *req, struct change *change)
{
    enum error_code code = check_guest_key(req);
    if (!code && !change->if_match.ptr)
        code = error_set(&req->error, ERR_PRECONDITION_MISSING, "Send the cart's ETag as If-Match");
    if (!code)
        code = request_transaction(req, change_transaction, change);
    if (!code && change->view.cart.version) /* a replayed answer has none */
        cart_respond_etag(req, change->view.cart.version);
    return code;
}

/* ---- begin and show ---- */

struct create_work {
    enum api_currency currency;
    struct cart_view view;
};

static enum error_code create_transaction(struct request *req, void *context)
{
    struct create_work *work = context;
    struct cart_id id = cart_id_new();
    struct cart_insert_args args = {.id = id, .currency = str_from(api_currency_names[work->currency - 1])};
    enum error_code code = cart_insert(req->db, args, NULL);
    if (!code)
        code =
            cart_view_load(req->db, req->arena, opt_cart_id(id), (struct opt_user_id){0}, NULL, &work->view);
    return code ? code : cart_view_respond(req, 201, &work->view, false);
}

enum error_code cart_create_handle(struct request *req, const struct api_cart_create *in)
{
    struct create_work work = {.currency = in->body.currency};
    enum error_code code = check_guest_key(req);
    if (!code)
        code = request_transaction(req, create_transaction, &work);
    if (!code && work.view.cart.version)
        cart_respond_etag(req, work.view.cart.version);
    return code;
}

enum error_code cart_show_handle(struct request *req, const struct api_cart_show *in)
{
    struct cart_view view;
    enum error_code code = cart_view_load(req->db, req->arena, opt_cart_id(in->cart_id),
                                          (struct opt_user_id){0}, &req->principal, &view);
    if (!code)
        code = cart_view_allowed(&view, &req->principal);
    return code ? code : cart_view_respond(req, 200, &view, true);
}

enum error_code cart_mine_show_handle(struct request *req, const struct api_cart_mine_show *in)
{
    (void)in;
    struct cart_view view;
    enum error_code code = cart_mine_load(req->db, req->arena, &req->principal, &view);
    return code ? code : cart_view_respond(req, 200, &view, true);
}

/* ---- change ---- */

static enum error_code apply_currency(struct request *req, const struct change *change,
                                      const struct cart_lock_row *cart)
{
    (void)cart;
    const struct api_cart_update *in = change->in;
    struct cart_currency_set_args args = {change->cart_id,
                                          str_from(api_currency_names[in->body.currency - 1])};
    return cart_currency_set(req->db, args, NULL);
}

enum error_code cart_update_handle(struct request *req, const struct api_cart_update *in)
{
    struct change change = {
        .cart_id = in->cart_id, .if_match = in->if_match, .apply = apply_currency, .in = in};
    return run_change(req, &change);
}

static enum error_code apply_clear(struct request *req, const struct change *change,
                                   const struct cart_lock_row *cart)
{
    (void)cart;
    return cart_items_delete(req->db, (struct cart_items_delete_args){change->cart_id}, NULL);
}

enum error_code cart_clear_handle(struct request *req, const struct api_cart_clear *in)
{
    struct change change = {.cart_id = in->cart_id, .if_match = in->if_match, .apply = apply_clear};
    return run_change(req, &change);
}

/* ---- items ---- */

static enum error_code refuse_field(struct request *req, enum error_code code, const char *field,
                                    const char *reason)
{
    error_field_add(&req->error, field, "%s", reason);
    return error_set(&req->error, code, "%s %s", field, reason);
}

/* More of something: it must be for sale, priced and, unless it is for later, in stock. */
static enum error_code check_more(struct request *req, const struct cart_item_facts_row *facts,
                                  int64_t quantity, bool saved)
{
    struct cart_limits limits = cart_limits_configured();
    if (!facts->for_sale)
        return refuse_field(req, ERR_VALIDATION, "variant_id", "is not for sale");
    if (!facts->price_minor.present)
        return refuse_field(req, ERR_CONFLICT, "variant_id", "has no price in the cart's currency");
    if (quantity > limits.quantity_max) {
        error_field_add(&req->error, "quantity", "is above the limit of %d in a cart", limits.quantity_max);
        return error_set(&req->error, ERR_VALIDATION, "There may be at most %d of one thing in a cart",
                         limits.quantity_max);
    }
    struct cart_line_facts line = {.price_minor = facts->price_minor.value, .quantity = (int32_t)quantity};
    if (cart_line_total_minor(&line) > ORDER_TOTAL_MINOR_MAX) {
        error_field_add(&req->error, "quantity", "above_order_limit: %lld", (long long)ORDER_TOTAL_MINOR_MAX);
        return error_set(&req->error, ERR_VALIDATION, "That is more than one order may total");
    }
    if (!facts->quantity.present && facts->line_count >= (int64_t)limits.lines_max)
        return error_set(&req->error, ERR_CONFLICT, "The cart is full: it takes %zu lines", limits.lines_max);
    if (!saved && quantity > facts->available)
        return refuse_field(req, ERR_OUT_OF_STOCK, "quantity", "is more than there is");
    return ERR_OK;
}

static enum error_code load_facts(struct request *req, struct cart_id cart_id, struct variant_id variant_id,
                                  const struct cart_lock_row *cart, struct cart_item_facts_row *facts,
                                  bool *found)
{
    struct cart_item_facts_args args = {cart_id, variant_id, cart->currency};
    error_clear(&req->error); /* this may be a second run */
    return cart_item_facts(req->db, req->arena, args, facts, found);
}

static enum error_code put_item(struct request *req, const struct change *change,
                                struct variant_id variant_id, int64_t quantity, bool saved,
                                const struct cart_item_facts_row *facts)
{
    struct cart_item_put_args args = {change->cart_id, variant_id, (int32_t)quantity, saved,
                                      facts->price_minor};
    return cart_item_put(req->db, args, NULL);
}

static enum error_code apply_add(struct request *req, const struct change *change,
                                 const struct cart_lock_row *cart)
{
    const struct api_cart_item_add_body *body = &((const struct api_cart_item_add *)change->in)->body;
    struct cart_item_facts_row facts;
    bool found;
    enum error_code code = load_facts(req, change->cart_id, body->variant_id, cart, &facts, &found);
    if (code)
        return code;
    if (!found)
        return refuse_field(req, ERR_VALIDATION, "variant_id", "is not for sale");
    /* Of the same kind: that many more. What moves between the cart and "for later" takes the new quantity.
     */
    bool same_kind = facts.quantity.present && facts.saved.value == body->saved;
    int64_t quantity = body->quantity + (same_kind ? facts.quantity.value : 0);
    code = check_more(req, &facts, quantity, body->saved);
    return code ? code : put_item(req, change, body->variant_id, quantity, body->saved, &facts);
}

enum error_code cart_item_add_handle(struct request *req, const struct api_cart_item_add *in)
{
    struct change change = {.cart_id = in->cart_id, .if_match = in->if_match, .apply = apply_add, .in = in};
    return run_change(req, &change);
}

static enum error_code apply_item_update(struct request *req, const struct change *change,
                                         const struct cart_lock_row *cart)
{
    const struct api_cart_item_update *in = change->in;
    struct cart_item_facts_row facts;
    bool found;
    enum error_code code = load_facts(req, change->cart_id, in->variant_id, cart, &facts, &found);
    if (code || !found || !facts.quantity.present)
        return code ? code : ERR_NOT_FOUND;
    int64_t quantity = in->body.has_quantity ? in->body.quantity : facts.quantity.value;
    bool saved = in->body.has_saved ? in->body.saved : facts.saved.value;
    /* Fewer, or out of the cart, is always possible. */
    bool more = quantity > facts.quantity.value || (facts.saved.value && !saved);
    if (more)
        code = check_more(req, &facts, quantity, saved);
    return code ? code : put_item(req, change, in->variant_id, quantity, saved, &facts);
}

enum error_code cart_item_update_handle(struct request *req, const struct api_cart_item_update *in)
{
    struct change change = {
        .cart_id = in->cart_id, .if_match = in->if_match, .apply = apply_item_update, .in = in};
    return run_change(req, &change);
}

static enum error_code apply_item_remove(struct request *req, const struct change *change,
                                         const struct cart_lock_row *cart)
{
    (void)cart;
    const struct api_cart_item_remove *in = change->in;
    int64_t affected;
    enum error_code code =
        cart_item_delete(req->db, (struct cart_item_delete_args){change->cart_id, in->variant_id}, &affected);
    return code ? code : affected ? ERR_OK : ERR_NOT_FOUND;
}

enum error_code cart_item_remove_handle(struct request *req, const struct api_cart_item_remove *in)
{
    struct change change = {
        .cart_id = in->cart_id, .if_match = in->if_match, .apply = apply_item_remove, .in = in};
    return run_change(req, &change);
}
