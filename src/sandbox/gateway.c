/* Calls, errors and idempotency of the sandbox gateway. A change runs in one transaction with its
 * Idempotency-Key: the row of the key makes a second request with it wait for the first and then answer the
 * same. As at Stripe, an answer is kept once the work has begun; a request that was refused keeps nothing. */
#include "sandbox/gateway.h"

#include "base/check.h"
#include "base/config.h"
#include "base/hmac.h"
#include "base/log.h"
#include "sandbox/webhooks.h"
#include "gateway_sql.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>

#define KEY_MAX 255

static void error_object(struct buf *out, const char *type, const char *code, const char *param,
                         const char *message)
{
    BUF_LITERAL(out, "{\"error\":{\"type\":");
    buf_json_str(out, str_from(type));
    if (code) {
        BUF_LITERAL(out, ",\"code\":");
        buf_json_str(out, str_from(code));
        buf_printf(out, ",\"doc_url\":\"https://stripe.com/docs/error-codes/%s\"", code);
    }
    BUF_LITERAL(out, ",\"message\":");
    buf_json_str(out, str_from(message));
    if (param) {
        BUF_LITERAL(out, ",\"param\":");
        buf_json_str(out, str_from(param));
    }
    BUF_LITERAL(out, "}}");
}

static enum error_code respond_error(struct request *req, int status, const char *type, const char *code,
                                     const char *message)
{
    struct buf out = buf_new(4096);
    error_object(&out, type, code, NULL, message);
    return respond_buf(req, status, &out);
}

enum error_code gateway_answer(struct gateway_call *call, struct str body)
{
    call->status = 200;
    call->body = body;
    call->refused = false;
    return ERR_OK;
}

enum error_code gateway_refuse(struct gateway_call *call, int status, const char *code, const char *param,
                               const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct buf out = buf_new(4096);
    error_object(&out, "invalid_request_error", code, param, message);
    call->status = status;
    call->body = arena_copy(call->arena, buf_str(&out));
    call->refused = true;
    buf_free(&out);
    return ERR_CONFLICT;
}

enum error_code gateway_missing(struct gateway_call *call, const char *what, struct str id)
{
    return gateway_refuse(call, 404, "resource_missing", "id", "No such %s: '%.*s'", what, STR_ARG(id));
}

enum error_code gateway_amount(struct gateway_call *call, struct str text, int64_t *amount)
{
    if (!str_to_int64(text, amount))
        return gateway_refuse(call, 400, "parameter_invalid_integer", "amount", "Invalid integer: %.*s",
                              STR_ARG(text));
    if (*amount < 1)
        return gateway_refuse(call, 400, "parameter_invalid_integer", "amount",
                              "This value must be greater than or equal to 1.");
    if (*amount > GATEWAY_AMOUNT_MAX)
        return gateway_refuse(call, 400, "amount_too_large", "amount",
                              "This value must be less than or equal to %lld.",
                              (long long)GATEWAY_AMOUNT_MAX);
    return ERR_OK;
}

/* ---- lists ---- */

enum error_code gateway_paging(struct gateway_call *call, struct gateway_paging *paging)
{
    *paging = (struct gateway_paging){
        .limit = 10,
        .after = form_value(&call->form, STR("starting_after")),
        .before = form_value(&call->form, STR("ending_before")),
    };
    struct str limit = form_value(&call->form, STR("limit"));
    if (limit.ptr &&
        (!str_to_int64(limit, &paging->limit) || paging->limit < 1 || paging->limit > GATEWAY_LIST_MAX))
        return gateway_refuse(call, 400, "parameter_invalid_integer", "limit",
                              "limit must be between 1 and %d", GATEWAY_LIST_MAX);
    return ERR_OK;
}

enum error_code gateway_answer_list(struct gateway_call *call, const char *path,
                                    const struct gateway_paging *paging, const struct str *bodies,
                                    size_t count)
{
    bool more = count > (size_t)paging->limit;
    size_t shown = more ? (size_t)paging->limit : count;
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    BUF_LITERAL(&out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < shown; i++) {
        if (i)
            buf_char(&out, ',');
        buf_append(&out, bodies[i]);
    }
    buf_printf(&out, "],\"has_more\":%s,\"url\":\"%s\"}", more ? "true" : "false", path);
    bool whole = !out.overflow;
    struct str body = arena_copy(call->arena, buf_str(&out));
    buf_free(&out);
    if (!whole)
        return ERR_INTERNAL;
    return gateway_answer(call, body);
}

/* ---- calls ---- */

/* False: it has been answered. */
static bool call_begin(struct gateway_call *call, const char *const *known, enum sandbox_fault *fault)
{
    struct request *req = call->req;
    respond_header(req, STR("Request-Id"), sandbox_id(req->arena, "req"));
    struct str key = sandbox_key_sent(req);
    if (!key.ptr || !sandbox_key_fits(key, config()->stripe_key, STR("sk_"))) {
        respond_header(req, STR("WWW-Authenticate"), STR("Bearer realm=\"Stripe\""));
        respond_error(req, 401, "invalid_request_error", NULL,
                      key.ptr ? "Invalid API Key provided." : "You did not provide an API key.");
        return false;
    }
    int status;
    *fault = sandbox_fault_of_call(call->db, call->arena, GATEWAY_NAME, &status);
    if (*fault == SANDBOX_FAULT_ERROR) {
        respond_error(req, 500, "api_error", NULL, "The sandbox was told to fail here.");
        return false;
    }
    if (*fault == SANDBOX_FAULT_REFUSED) {
        respond_error(req, status, "invalid_request_error", "sandbox_refused",
                      "The sandbox was told to refuse this.");
        return false;
    }
    struct str text = str_equal(req->method, STR("GET")) ? call->in->query : call->in->body;
    if (!form_parse(text, call->arena, &call->form)) {
        respond_error(req, 400, "invalid_request_error", NULL, "The parameters could not be read.");
        return false;
    }
    struct str unknown = form_unknown(&call->form, known);
    if (unknown.ptr) {
        gateway_refuse(call, 400, "parameter_unknown", arena_cstr(call->arena, unknown),
                       "Received unknown parameter: %.*s", STR_ARG(unknown));
        respond_json(req, call->status, call->body);
        return false;
    }
    return true;
}

static enum error_code call_end(struct gateway_call *call, enum error_code code, enum sandbox_fault fault)
{
    struct request *req = call->req;
    if (code != ERR_OK && !call->refused) {
        log_write(LOG_WARN, "sandbox gateway could not answer", LOG_TEXT("code", error_text(code)));
        return respond_error(req, 500, "api_error", NULL, "The sandbox could not do that.");
    }
    if (fault == SANDBOX_FAULT_LOST)
        return respond_error(req, 500, "api_error", NULL, "The sandbox was told to lose this answer.");
    return respond_json(req, call->status, call->body);
}

enum error_code gateway_read(struct request *req, const void *in, const char *const *known,
                             gateway_operation *operation)
{
    struct gateway_call call = {.req = req, .in = in, .db = req->db, .arena = req->arena};
    enum sandbox_fault fault;
    if (!call_begin(&call, known, &fault))
        return ERR_OK;
    return call_end(&call, operation(&call), fault);
}

struct change {
    struct gateway_call *call;
    gateway_operation *operation;
    struct str key;
    unsigned char hash[crypto_generichash_BYTES];
    bool replayed;
};

static void hash_parameters(struct change *change)
{
    const struct request *req = change->call->req;
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof change->hash);
    crypto_generichash_update(&state, (const unsigned char *)req->path.ptr, req->path.len);
    crypto_generichash_update(&state, (const unsigned char *)"\n", 1);
    if (change->call->in->body.len)
        crypto_generichash_update(&state, (const unsigned char *)change->call->in->body.ptr,
                                  change->call->in->body.len);
    crypto_generichash_final(&state, change->hash, sizeof change->hash);
}

static enum error_code replay(struct change *change)
{
    struct gateway_call *call = change->call;
    struct sandbox_idempotency_show_row row;
    bool found;
    enum error_code code = sandbox_idempotency_show(
        call->db, call->arena, (struct sandbox_idempotency_show_args){change->key}, &row, &found);
    if (code)
        return code;
    if (!found)
        return ERR_DATABASE_RETRY; /* the first one was rolled back meanwhile */
    if (!str_equal(row.hash, (struct str){(const char *)change->hash, sizeof change->hash})) {
        struct buf out = buf_new(4096);
        error_object(&out, "idempotency_error", NULL, NULL,
                     "Keys for idempotent requests can only be used with the same parameters they were first "
                     "used with. "
                     "Try using another key if you meant to execute a different request.");
        call->status = 400;
        call->body = arena_copy(call->arena, buf_str(&out));
        call->refused = true;
        buf_free(&out);
        return ERR_CONFLICT;
    }
    call->status = row.status;
    call->body = row.body;
    change->replayed = true;
    return ERR_OK;
}

static enum error_code change_in_transaction(struct pg *db, void *context)
{
    struct change *change = context;
    struct gateway_call *call = change->call;
    call->refused = false;
    if (change->key.len == 0)
        return change->operation(call);
    struct str hash = {(const char *)change->hash, sizeof change->hash};
    int64_t claimed = 0;
    enum error_code code =
        sandbox_idempotency_claim(db, (struct sandbox_idempotency_claim_args){change->key, hash}, &claimed);
    if (code)
        return code;
    if (!claimed)
        return replay(change);
    code = change->operation(call);
    if (code)
        return code;
    return sandbox_idempotency_store(
        db, (struct sandbox_idempotency_store_args){change->key, call->status, call->body}, NULL);
}

enum error_code gateway_change(struct request *req, const void *in, const char *const *known,
                               gateway_operation *operation)
{
    struct gateway_call call = {.req = req, .in = in, .db = req->db, .arena = req->arena};
    struct change change = {.call = &call, .operation = operation};
    enum sandbox_fault fault;
    if (!call_begin(&call, known, &fault))
        return ERR_OK;
    if (str_equal(req->method, STR("POST")))
        change.key = str_trim(request_header(req, STR("idempotency-key")));
    if (change.key.len > KEY_MAX)
        return respond_error(req, 400, "idempotency_error", NULL,
                             "An idempotency key has at most 255 characters.");
    hash_parameters(&change);
    enum error_code code = pg_transaction(req->db, change_in_transaction, &change);
    if (code == ERR_OK) {
        sandbox_webhooks_wake();
        if (change.key.len)
            respond_header(req, STR("Idempotency-Key"), change.key);
        if (change.replayed)
            respond_header(req, STR("Idempotent-Replayed"), STR("true"));
    }
    return call_end(&call, code, fault);
}

/* ---- the part ---- */

static const struct api_route *const routes[] = {gateway_intent_routes, gateway_refund_routes,
                                                 gateway_event_routes,  gateway_page_routes,
                                                 gateway_hook_routes,   NULL};

static enum error_code start(struct pg *db, struct error *error)
{
    static const char *const events[] = {"payment_intent.succeeded",
                                         "payment_intent.payment_failed",
                                         "payment_intent.canceled",
                                         "charge.refunded",
                                         "charge.dispute.created",
                                         "charge.dispute.closed",
                                         "refund.created",
                                         "refund.updated",
                                         "refund.failed",
                                         NULL};
    enum error_code code = sandbox_idempotency_forget(db, NULL);
    if (code == ERR_OK)
        code = sandbox_endpoint_from_settings(db, GATEWAY_NAME, "/v1/webhooks/stripe",
                                              config()->stripe_webhook_secret, events);
    return code ? error_set(error, code, "sandbox gateway: %s", pg_error(db)->detail) : ERR_OK;
}

/* Stripe-Signature: t=<seconds>,v1=<HMAC-SHA256 of "t.body">. */
static void sign(struct str secret, struct str body, int64_t now_us, struct buf *headers)
{
    char seconds[24];
    int len = snprintf(seconds, sizeof seconds, "%lld", (long long)(now_us / 1000000));
    struct str pieces[] = {{seconds, (size_t)len}, STR("."), body};
    char mac[HMAC_HEX_LEN + 1];
    hmac_sha256_hex(secret, pieces, 3, mac);
    buf_printf(headers, "Stripe-Signature: t=%s,v1=%s\n", seconds, mac);
}

const struct sandbox_part sandbox_gateway = {
    .name = GATEWAY_NAME, .routes = routes, .start = start, .sign = sign};
