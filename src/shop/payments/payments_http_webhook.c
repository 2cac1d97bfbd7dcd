/* The gateway's webhooks: verified, stored, answered; what they mean is worked out by a task. */
#include "api.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/request.h"
#include "payments_sql.h"
#include "shop/payments/payments_internal.h"

#include <sodium.h>

static void note_refusal(struct request *req, const char *reason)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, (const unsigned char *)(req->body.ptr ? req->body.ptr : ""), req->body.len);
    struct payment_webhook_refusal_insert_args args = {
        .id = uuid_new(),
        .provider = str_from(payment_gateway()->provider),
        .reason = str_from(reason),
        .body_sha256 = {(const char *)hash, sizeof hash},
        .body_bytes = (int32_t)req->body.len,
        .most_per_minute = WEBHOOK_REFUSALS_PER_MINUTE,
    };
    enum error_code code = payment_webhook_refusal_insert(req->db, args, NULL);
    log_write(LOG_WARN, "webhook refused", "\"provider\":\"%s\",\"reason\":\"%s\",\"kept\":%s",
              payment_gateway()->provider, reason, code ? "false" : "true");
}

struct storing {
    struct request *req;
    const struct gateway_event *event;
};

static enum error_code store(struct pg *db, void *context)
{
    const struct storing *storing = context;
    struct payment_webhook_insert_args args = {
        .id = webhook_id_new(),
        .provider = str_from(payment_gateway()->provider),
        .event_id = storing->event->id,
        .type = storing->event->type,
        .body = storing->req->body,
    };
    int64_t stored = 0;
    enum error_code code = payment_webhook_insert(db, args, &stored);
    if (code || !stored)
        return code;
    char id[ID_TEXT_MAX];
    webhook_id_text(args.id, id);
    struct event event = {
        .type = STR("webhook.received"),
        .aggregate_id = args.id.uuid,
        .payload = arena_printf(storing->req->arena, "{\"provider\":\"%s\",\"webhook_id\":\"%s\"}",
                                payment_gateway()->provider, id),
        .traceparent = storing->req->traceparent,
    };
    return outbox_publish(db, &event, NULL);
}

enum error_code stripe_webhook_handle(struct request *req, const struct api_stripe_webhook *in)
{
    (void)in;
    const struct gateway *gateway = payment_gateway();
    struct gateway_event event;
    struct str signature = request_header(req, str_from(gateway->signature_header));
    enum error_code code = gateway->verify_webhook(signature, req->body, clock_wall_us(), &req->error);
    if (code == ERR_OK)
        code = gateway->parse_event(req->arena, req->body, &event, &req->error);
    bool storable =
        str_is_utf8(req->body) && (req->body.len == 0 || !memchr(req->body.ptr, 0, req->body.len));
    if (code == ERR_OK && !storable)
        code = error_set(&req->error, ERR_BAD_REQUEST, "the body is not text");
    if (code) {
        note_refusal(req, req->error.detail);
        return code;
    }
    struct storing storing = {req, &event};
    code = pg_transaction(req->db, store, &storing);
    return code ? code : respond_json(req, 200, STR("{\"received\":true}"));
}
