/* The carrier's webhook: verified over the raw bytes, stored once by its event id with an event of ours,
 * answered; a task does the rest (shipping_tracking.c). */
#include "api.h"
#include "base/log.h"
#include "http/request.h"
#include "shipping_sql.h"
#include "shop/shipping/shipping_internal.h"

#include <sodium.h>

/* Kept for a person to look at; whoever forges thousands fills no table. */
#define REFUSALS_PER_MINUTE_MAX 100

static enum error_code refuse(struct request *req, const char *reason)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, (const unsigned char *)(req->body.ptr ? req->body.ptr : ""), req->body.len);
    struct easypost_webhook_refuse_args args = {
        .id = uuid_new(),
        .reason = str_from(reason),
        .body_sha256 = {(const char *)hash, sizeof hash},
        .body_bytes = (int32_t)req->body.len,
        .most_per_minute = REFUSALS_PER_MINUTE_MAX,
    };
    enum error_code code = easypost_webhook_refuse(req->db, args, NULL);
    if (code != ERR_OK)
        return code;
    log_write(LOG_WARN, "webhook refused", LOG_TEXT("provider", "easypost"), LOG_TEXT("reason", reason));
    return error_set(&req->error, ERR_SIGNATURE, "The signature does not fit");
}

struct store {
    struct arena *arena;
    struct str body;
    const struct carrier_news *news;
    struct str traceparent;
};

static enum error_code store(struct pg *db, void *context)
{
    const struct store *in = context;
    struct easypost_webhook_store_args args = {webhook_id_new(), in->news->event_id, in->news->type,
                                               in->body};
    int64_t stored;
    enum error_code code = easypost_webhook_store(db, args, &stored);
    if (code != ERR_OK || stored == 0)
        return code; /* told before */
    char id[ID_TEXT_MAX];
    webhook_id_text(args.id, id);
    struct event event = {
        .type = STR("webhook.easypost"),
        .aggregate_id = args.id.uuid,
        .payload = arena_printf(in->arena, "{\"webhook_id\":\"%s\"}", id),
        .traceparent = in->traceparent,
    };
    return outbox_publish(db, &event, NULL);
}

enum error_code easypost_webhook_handle(struct request *req, const struct api_easypost_webhook *in)
{
    const struct carrier *carrier = &carrier_easypost;
    if (!carrier->webhook_verify(in->has_x_hmac_signature ? in->x_hmac_signature : STR_NONE, in->body))
        return refuse(req, "signature");
    struct carrier_news news;
    if (!str_is_utf8(in->body) || !carrier->webhook_parse(req->arena, in->body, &news))
        return error_set(&req->error, ERR_BAD_REQUEST, "The body is not an event of EasyPost");
    struct store context = {req->arena, in->body, &news, req->traceparent};
    enum error_code code = pg_transaction(req->db, store, &context);
    return code == ERR_OK ? respond_empty(req, 204) : code;
}
