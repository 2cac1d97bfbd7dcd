/* Paying an order, and how it stands. The gateway is asked between two transactions: the first settles which
 * attempt it is and that the gateway is about to know of it, the second notes what it answered. A crash in
 * between is met by asking again with the same key. */
#include "api.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "http/pages.h"
#include "http/request.h"
#include "payments_sql.h"
#include "shop/payments/payments_internal.h"

#define EXPIRING_RETRY_S 5

struct str payment_return_url(struct arena *arena, struct order_id order_id)
{
    char id[ID_TEXT_MAX];
    order_id_text(order_id, id);
    return arena_printf(arena, "%s/v1/payments/return?order_id=%s", config()->public_url, id);
}

struct paying {
    struct request *req;
    struct order_id order_id;
    bool answered_before; /* the key's answer is stored: only replay it */
    struct order order;
    struct payment_attempt attempt;
    bool ask; /* the gateway has no intent yet, or we do not know it */
    struct gateway_intent intent;
    bool closed; /* meanwhile the order stopped waiting */
};

static enum error_code not_found(struct request *req)
{
    return error_set(&req->error, ERR_NOT_FOUND, "There is no such order");
}

static enum error_code lock_own_order(struct pg *db, struct paying *paying)
{
    struct request *req = paying->req;
    enum error_code code = order_lock(db, req->arena, paying->order_id, &paying->order);
    if (code == ERR_NOT_FOUND ||
        (code == ERR_OK && !user_id_equal(paying->order.customer_id, req->principal.user_id)))
        return not_found(req);
    return code;
}

static enum error_code new_attempt(struct pg *db, struct paying *paying, int16_t number)
{
    paying->attempt.id = payment_id_new();
    struct payment_insert_args args = {
        .id = paying->attempt.id,
        .order_id = paying->order.id,
        .attempt = number,
        .amount_minor = paying->order.cash.minor,
        .currency = currency_str(&paying->order.cash.currency),
    };
    return payment_insert(db, args, NULL);
}

/* The attempt that this call is about: the newest while it is open, else a further one. */
static enum error_code choose_attempt(struct pg *db, struct paying *paying)
{
    struct payment_lock_latest_row latest;
    bool found;
    enum error_code code = payment_lock_latest(
        db, paying->req->arena, (struct payment_lock_latest_args){paying->order.id}, &latest, &found);
    if (code)
        return code;
    bool is_open =
        found && (str_equal(latest.state, STR("created")) || str_equal(latest.state, STR("pending")));
    paying->attempt = (struct payment_attempt){
        .order_id = paying->order.id, .order_number = paying->order.number, .amount = paying->order.cash};
    if (is_open) {
        paying->attempt.id = latest.id;
        paying->attempt.intent_id = latest.intent_id;
    } else {
        code = new_attempt(db, paying, (int16_t)(found ? latest.attempt + 1 : 1));
    }
    paying->ask = !paying->attempt.intent_id.ptr;
    if (code == ERR_OK && paying->ask)
        code = payment_requested_set(db, (struct payment_requested_set_args){paying->attempt.id}, NULL);
    return code;
}

static enum error_code prepare(struct pg *db, void *context)
{
    struct paying *paying = context;
    struct request *req = paying->req;
    enum error_code code = lock_own_order(db, paying);
    if (code)
        return code;
    struct payment_key_known_row key;
    bool found;
    struct payment_key_known_args args = {req->principal.user_id, req->idempotency_key};
    code = payment_key_known(db, req->arena, args, &key, &found);
    paying->answered_before = code == ERR_OK && key.known;
    if (code || paying->answered_before)
        return code;
    struct order *order = &paying->order;
    int64_t bound;
    const char *refusal =
        miles_cash_refusal(miles_cash_limits(order->cash.currency), order->cash.minor, &bound);
    if (refusal) {
        error_field_add(&req->error, "cash_minor", "%s: %lld", refusal, (long long)bound);
        return error_set(&req->error, ERR_PARTNER_REFUSED, "The payment gateway does not take that amount");
    }
    if (order->state == ORDER_PAYMENT_FAILED || order->state == ORDER_EXPIRED) {
        struct order_cause cause = {ACTOR_CUSTOMER, req->principal.user_id.uuid,
                                    STR("Another attempt to pay")};
        code = order_unpaid_check(db, req->arena, order, &req->error);
        if (!code)
            code = order_retry(db, req->arena, order, &cause, &req->error);
        if (code == ERR_OUT_OF_STOCK || code == ERR_POINTS_SHORT)
            return error_set(&req->error, code, "The order cannot be begun anew: %s",
                             code == ERR_OUT_OF_STOCK ? "its goods are gone" : "its miles are spent");
        if (code == ERR_SALE_RELEASED)
            return error_set(&req->error, code,
                             "The units of a flash sale are sold again when an order is not paid; buy anew");
        if (code)
            return code;
    }
    if (order->state != ORDER_PENDING_PAYMENT || order->cash.minor == 0)
        return error_set(&req->error, ERR_CONFLICT, "The order is %s; there is nothing to pay",
                         order_state_text(order->state));
    if (order->expires_at_us && order->expires_at_us <= clock_wall_us()) {
        req->error.retry_after_s = EXPIRING_RETRY_S;
        return error_set(&req->error, ERR_CONFLICT,
                         "The time to pay is over; try again in a moment to begin anew");
    }
    return choose_attempt(db, paying);
}

/* What the gateway answered becomes part of the payment. Where the order stopped waiting meanwhile, the
 * intent is closed again by a task. */
static enum error_code note_intent(struct pg *db, void *context)
{
    struct paying *paying = context;
    enum error_code code = lock_own_order(db, paying);
    struct payment_lock_row payment;
    bool found;
    if (code == ERR_OK)
        code = payment_lock(db, paying->req->arena, (struct payment_lock_args){paying->attempt.id}, &payment,
                            &found);
    if (code)
        return code;
    CHECK(found);
    if (str_equal(payment.state, STR("succeeded")) || str_equal(payment.state, STR("failed")))
        return ERR_OK; /* the webhook was faster */
    struct payment_intent_set_args args = {paying->attempt.id, paying->intent.id, paying->intent.redirect_url,
                                           paying->intent.response};
    code = payment_intent_set(db, args, NULL);
    paying->closed = paying->order.state != ORDER_PENDING_PAYMENT || !payment.latest;
    if (code || !paying->closed)
        return code;
    return payment_close_enqueue(db, paying->order.id);
}

/* The attempt is over, and the order gives back what it holds. */
static enum error_code refused(struct paying *paying)
{
    struct request *req = paying->req;
    struct gateway_intent over = payment_refused_intent(&paying->attempt, paying->intent.failure);
    enum error_code code = payment_finalise_now(req->db, req->arena, &over);
    return code ? code
                : error_set(&req->error, ERR_PARTNER_REFUSED,
                            "The payment gateway does not take this payment: %.*s", STR_ARG(over.failure));
}

static enum error_code respond_status(struct request *req, struct order_id order_id, bool own)
{
    struct payment_show_body_row row;
    bool found;
    struct payment_show_body_args args = {order_id, {own, req->principal.user_id}};
    enum error_code code = payment_show_body(req->db, req->arena, args, &row, &found);
    if (code)
        return code;
    return found ? respond_json(req, 200, row.body) : not_found(req);
}

static enum error_code answer(struct request *req, void *context)
{
    const struct paying *paying = context;
    return respond_status(req, paying->order_id, true);
}

enum error_code order_pay_handle(struct request *req, const struct api_order_pay *in)
{
    struct paying paying = {.req = req, .order_id = in->order_id};
    enum error_code code = pg_transaction(req->db, prepare, &paying);
    if (code == ERR_OK && !paying.answered_before && paying.ask) {
        struct gateway_intent_request request = {
            .payment_id = paying.attempt.id,
            .order_id = paying.order.id,
            .order_number = paying.order.number,
            .amount = paying.attempt.amount,
            .return_url = payment_return_url(req->arena, paying.order.id),
        };
        code = payment_gateway()->create_intent(req->db, req->arena, &request, &paying.intent, &req->error);
        if (code == ERR_PARTNER_REFUSED)
            code = refused(&paying);
        if (code == ERR_OK)
            code = pg_transaction(req->db, note_intent, &paying);
        if (code == ERR_OK && paying.closed)
            code =
                error_set(&req->error, ERR_CONFLICT, "The order stopped waiting for its payment meanwhile");
    }
    return code ? code : request_transaction(req, answer, &paying);
}

/* ---- how it stands ---- */

/* The shopper is back, the webhook may not be here yet: ask, but not for each impatient repetition. What
 * cannot be learned now is left to the sweeper. */
static void refresh(struct request *req, struct payment_show_body_row *row)
{
    struct gateway_intent intent;
    struct error error = {.code = ERR_OK};
    payment_checked_set(req->db, (struct payment_checked_set_args){row->id.value}, NULL);
    enum error_code code =
        payment_gateway()->retrieve_intent(req->db, req->arena, row->intent_id, &intent, &error);
    if (code == ERR_OK)
        code = payment_finalise_now(req->db, req->arena, &intent);
    if (code)
        log_write(LOG_WARN, "payment could not be refreshed", LOG_TEXT("code", error_text(code)));
}

enum error_code payment_show_handle(struct request *req, const struct api_payment_show *in)
{
    bool own = req->principal.role == ROLE_CUSTOMER;
    if (in->refresh) {
        struct payment_show_body_row row;
        bool found;
        struct payment_show_body_args args = {in->order_id, {own, req->principal.user_id}};
        enum error_code code = payment_show_body(req->db, req->arena, args, &row, &found);
        if (code)
            return code;
        if (!found)
            return not_found(req);
        if (str_equal(row.state, STR("pending")) && row.intent_id.ptr && !row.checked_now)
            refresh(req, &row);
    }
    return respond_status(req, in->order_id, own);
}

/* ---- the page that shoppers come back to ---- */

enum error_code payment_return_handle(struct request *req, const struct api_payment_return *in)
{
    bool paid = in->has_redirect_status && str_equal(in->redirect_status, STR("succeeded"));
    struct page_value values[] = {
        {"shop", str_from(config()->shop_name)},
        {"title", paid ? STR("Thank you") : STR("The payment was not made")},
        {"text", paid ? STR("Your order is confirmed as soon as the gateway has told us of your payment; "
                            "an e-mail follows.")
                      : STR("Nothing was taken. You can try again from your order for as long as its goods "
                            "are there.")},
        {"link", arena_printf(req->arena, "%s/", config()->public_url)},
    };
    respond_header(req, STR("Content-Security-Policy"), page_returned_csp);
    return respond_bytes(req, 200, STR("text/html; charset=utf-8"),
                         page_fill(req->arena, page_returned, values, sizeof values / sizeof *values));
}
