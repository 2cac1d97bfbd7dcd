/* The adapter for Stripe's REST API (https://docs.stripe.com/api): the same code for Stripe and for the
 * sandbox, which differ by address and key. */
#include "shop/payments/gateway_stripe.h"

#include "base/check.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/client.h"

#include <stdio.h>

#define FORM_MAX ((size_t)16 * 1024)

static struct http_partner *partner;

/* What an answer of 400 to 499 means, by kind. */
enum refusal {
    REFUSAL_CONFIGURATION, /* our key, or a key of idempotency with other parameters: nothing is known */
    REFUSAL_BUSY,          /* come again */
    REFUSAL_UNKNOWN,       /* there is no such thing */
    REFUSAL_STATE,         /* the thing's state does not allow it */
    REFUSAL_FOR_GOOD,      /* amount, currency, and whatever code there will be */
    REFUSAL_COUNT
};
static const struct {
    const char *label;
    enum error_code code;
} refusals[REFUSAL_COUNT] = {
    [REFUSAL_CONFIGURATION] = {"kind=\"configuration\"", ERR_PARTNER},
    [REFUSAL_BUSY] = {"kind=\"busy\"", ERR_PARTNER},
    [REFUSAL_UNKNOWN] = {"kind=\"unknown\"", ERR_NOT_FOUND},
    [REFUSAL_STATE] = {"kind=\"state\"", ERR_CONFLICT},
    [REFUSAL_FOR_GOOD] = {"kind=\"for_good\"", ERR_PARTNER_REFUSED},
};
static struct metric *refused[REFUSAL_COUNT];

static const char *const headers[] = {"Stripe-Version: 2024-06-20", NULL};

static enum error_code start(struct error *error)
{
    static char authorization[512];
    int len = snprintf(authorization, sizeof authorization, "Bearer %s", config()->stripe_key);
    if (len < 0 || (size_t)len >= sizeof authorization)
        return error_set(error, ERR_VALIDATION, "CATHAY_STRIPE_KEY is too long");
    partner = http_partner_new("stripe", config()->stripe_url, authorization, config()->partner_timeout_ms);
    for (size_t i = 0; i < REFUSAL_COUNT; i++)
        refused[i] = metric_counter("cathay_gateway_refusals_total", "Calls that the payment gateway refused",
                                    refusals[i].label);
    return ERR_OK;
}

static void stop(void)
{
    http_partner_free(partner);
    partner = NULL;
}

static bool is_away(void)
{
    return http_partner_is_away(partner);
}

static bool is_one_of(struct str code, const char *const *codes)
{
    for (size_t i = 0; codes[i]; i++)
        if (str_equal(str_from(codes[i]), code))
            return true;
    return false;
}

/* A proxy in between may answer too; without the gateway's error object nothing is known. */
static enum refusal refusal_of(int status, struct str type, struct str code)
{
    static const char *const states[] = {"payment_intent_unexpected_state", "charge_already_refunded",
                                         "charge_disputed", "refund_disputed_payment", NULL};
    static const char *const passing[] = {"api_error", "api_connection_error", "rate_limit_error", NULL};
    if (status == 401 || status == 403 || str_equal(type, STR("idempotency_error")))
        return REFUSAL_CONFIGURATION;
    if (status < 400 || status == 408 || status == 409 || status == 425 || status == 429 || !type.ptr ||
        is_one_of(type, passing))
        return REFUSAL_BUSY;
    if (status == 404)
        return REFUSAL_UNKNOWN;
    return is_one_of(code, states) ? REFUSAL_STATE : REFUSAL_FOR_GOOD;
}

/* The word by which the gateway names a failure; its messages may quote parameters and go nowhere. */
static struct str word_of(struct arena *arena, const struct json_view *object, const char *name)
{
    struct str word = json_view_string(arena, json_view_member(object, str_from(name)));
    for (size_t i = 0; i < word.len; i++)
        if (!((word.ptr[i] >= 'a' && word.ptr[i] <= 'z') || (word.ptr[i] >= '0' && word.ptr[i] <= '9') ||
              word.ptr[i] == '_'))
            return STR("unreadable");
    return word.len > 64 ? STR("unreadable") : word;
}

static enum error_code refusal(struct arena *arena, const struct http_answer *answer,
                               const struct json_view *object, struct str *failure, struct error *error)
{
    struct str code = word_of(arena, object, "code"), type = word_of(arena, object, "type");
    enum refusal kind = refusal_of(answer->status, type, code);
    *failure = code.len ? code : type;
    metric_add(refused[kind], 1);
    log_write(kind == REFUSAL_CONFIGURATION ? LOG_ERROR : LOG_WARN,
              kind == REFUSAL_CONFIGURATION ? "the payment gateway refuses the shop's key or idempotency key"
                                            : "gateway refused",
              LOG_INT("status", answer->status), LOG_STR("type", type), LOG_STR("code", code));
    return error_set(error, refusals[kind].code, "the payment gateway answered %d %.*s", answer->status,
                     STR_ARG(*failure));
}

/* The answer's object; of an error that tells which intent it is about, that intent. */
static enum error_code call(struct pg *db, struct arena *arena, const char *method, struct str path,
                            struct buf *form, struct str idempotency_key, const struct json_view **object,
                            struct str *failure, struct error *error)
{
    CHECK(partner);
    struct http_call request = {
        .method = str_from(method), .path = path, .headers = headers, .idempotency_key = idempotency_key};
    if (form) {
        if (form->overflow)
            return error_set(error, ERR_INTERNAL, "a call to the payment gateway is larger than it may be");
        request.content_type = STR("application/x-www-form-urlencoded");
        request.body = buf_str(form);
    }
    struct http_answer answer;
    enum error_code code = http_partner_call(partner, db, &request, arena, &answer, error);
    if (code)
        return code;
    *object = json_view_read(arena, answer.body, NULL);
    if (answer.status >= 300) {
        const struct json_view *refused_with = json_view_member(*object, STR("error"));
        *object = json_view_member(refused_with, STR("payment_intent"));
        return refusal(arena, &answer, refused_with, failure, error);
    }
    if (!*object || (*object)->kind != JSON_VIEW_OBJECT)
        return error_set(error, ERR_PARTNER, "the payment gateway's answer cannot be read");
    return ERR_OK;
}

/* Identifiers come from the gateway; what does not look like one never becomes part of a path. */
static bool id_is_plain(struct str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return id.len > 0 && id.len <= 128;
}

static enum error_code call_intent(struct pg *db, struct arena *arena, const char *method, struct str path,
                                   struct buf *form, struct str key, struct gateway_intent *intent,
                                   struct error *error)
{
    const struct json_view *object = NULL;
    struct str failure = STR_NONE;
    enum error_code code = call(db, arena, method, path, form, key, &object, &failure, error);
    /* Declined while it was made: the intent is there, and says so itself. */
    if (code == ERR_PARTNER_REFUSED && object && stripe_intent_read(arena, object, intent))
        return ERR_OK;
    if (code) {
        *intent = (struct gateway_intent){.failure = failure};
        return code;
    }
    bool read = stripe_intent_read(arena, object, intent);
    return read ? ERR_OK : error_set(error, ERR_PARTNER, "the payment gateway's intent cannot be read");
}

static enum error_code call_refund(struct pg *db, struct arena *arena, const char *method, struct str path,
                                   struct buf *form, struct str key, struct gateway_refund *refund,
                                   struct error *error)
{
    const struct json_view *object = NULL;
    struct str failure = STR_NONE;
    enum error_code code = call(db, arena, method, path, form, key, &object, &failure, error);
    if (code) {
        *refund = (struct gateway_refund){.failure = failure};
        return code;
    }
    bool read = stripe_refund_read(arena, object, refund);
    return read ? ERR_OK : error_set(error, ERR_PARTNER, "the payment gateway's refund cannot be read");
}

static enum error_code create_intent(struct pg *db, struct arena *arena,
                                     const struct gateway_intent_request *request,
                                     struct gateway_intent *intent, struct error *error)
{
    char key[ID_TEXT_MAX];
    size_t len = payment_id_text(request->payment_id, key);
    struct buf form = buf_new(FORM_MAX);
    stripe_intent_form(&form, request, config()->stripe_payment_method);
    enum error_code code = call_intent(db, arena, "POST", STR("/v1/payment_intents"), &form,
                                       (struct str){key, len}, intent, error);
    buf_free(&form);
    /* There is no state yet that could change: whatever it says of this payment, it says for good. */
    return code == ERR_NOT_FOUND || code == ERR_CONFLICT
               ? error_set(error, ERR_PARTNER_REFUSED, "%s", error_title(ERR_PARTNER_REFUSED))
               : code;
}

static enum error_code retrieve_intent(struct pg *db, struct arena *arena, struct str intent_id,
                                       struct gateway_intent *intent, struct error *error)
{
    if (!id_is_plain(intent_id))
        return error_set(error, ERR_NOT_FOUND, "that is no intent");
    struct str path = arena_printf(arena, "/v1/payment_intents/%.*s", STR_ARG(intent_id));
    return call_intent(db, arena, "GET", path, NULL, STR_NONE, intent, error);
}

static enum error_code cancel_intent(struct pg *db, struct arena *arena, struct str intent_id,
                                     struct gateway_intent *intent, struct error *error)
{
    if (!id_is_plain(intent_id))
        return error_set(error, ERR_NOT_FOUND, "that is no intent");
    struct buf form = buf_new(FORM_MAX);
    BUF_LITERAL(&form, "cancellation_reason=abandoned");
    struct str path = arena_printf(arena, "/v1/payment_intents/%.*s/cancel", STR_ARG(intent_id));
    struct str key = arena_printf(arena, "cancel_%.*s", STR_ARG(intent_id));
    enum error_code code = call_intent(db, arena, "POST", path, &form, key, intent, error);
    buf_free(&form);
    return code;
}

static enum error_code create_refund(struct pg *db, struct arena *arena,
                                     const struct gateway_refund_request *request,
                                     struct gateway_refund *refund, struct error *error)
{
    char key[ID_TEXT_MAX];
    size_t len = refund_id_text(request->refund_id, key);
    struct buf form = buf_new(FORM_MAX);
    stripe_refund_form(&form, request);
    enum error_code code =
        call_refund(db, arena, "POST", STR("/v1/refunds"), &form, (struct str){key, len}, refund, error);
    buf_free(&form);
    return code;
}

static enum error_code retrieve_refund(struct pg *db, struct arena *arena, struct str gateway_id,
                                       struct gateway_refund *refund, struct error *error)
{
    if (!id_is_plain(gateway_id))
        return error_set(error, ERR_NOT_FOUND, "that is no refund");
    struct str path = arena_printf(arena, "/v1/refunds/%.*s", STR_ARG(gateway_id));
    return call_refund(db, arena, "GET", path, NULL, STR_NONE, refund, error);
}

static enum error_code find_refund(struct pg *db, struct arena *arena, struct str intent_id,
                                   struct refund_id refund_id, struct gateway_refund *refund,
                                   struct error *error)
{
    if (!id_is_plain(intent_id))
        return error_set(error, ERR_NOT_FOUND, "that is no intent");
    struct str path = arena_printf(arena, "/v1/refunds?limit=100&payment_intent=%.*s", STR_ARG(intent_id));
    const struct json_view *list = NULL;
    struct str failure;
    enum error_code code = call(db, arena, "GET", path, NULL, STR_NONE, &list, &failure, error);
    if (code)
        return code;
    const struct json_view *data = json_view_member(list, STR("data"));
    for (const struct json_view *object = data ? data->first : NULL; object; object = object->next)
        if (stripe_refund_read(arena, object, refund) && refund_id_equal(refund->refund_id, refund_id))
            return ERR_OK;
    return error_set(error, ERR_NOT_FOUND, "the gateway does not know this refund");
}

static enum error_code list_refunds(struct pg *db, struct arena *arena, struct str intent_id, int64_t since_s,
                                    struct str after, struct gateway_refund_page *page, struct error *error)
{
    *page = (struct gateway_refund_page){.count = 0};
    if ((intent_id.ptr && !id_is_plain(intent_id)) || (after.ptr && !id_is_plain(after)))
        return error_set(error, ERR_NOT_FOUND, "that is no intent or refund");
    struct str path = STR("/v1/refunds?limit=100");
    if (intent_id.ptr)
        path = arena_printf(arena, "%.*s&payment_intent=%.*s", STR_ARG(path), STR_ARG(intent_id));
    if (since_s > 0)
        path = arena_printf(arena, "%.*s&created%%5Bgte%%5D=%lld", STR_ARG(path), (long long)since_s);
    if (after.ptr)
        path = arena_printf(arena, "%.*s&starting_after=%.*s", STR_ARG(path), STR_ARG(after));
    const struct json_view *list = NULL;
    struct str failure;
    enum error_code code = call(db, arena, "GET", path, NULL, STR_NONE, &list, &failure, error);
    if (code)
        return code;
    const struct json_view *data = json_view_member(list, STR("data"));
    page->refunds = ARENA_ARRAY(arena, struct gateway_refund, 100);
    for (const struct json_view *object = data ? data->first : NULL; object && page->count < 100;
         object = object->next)
        page->count += stripe_refund_read(arena, object, &page->refunds[page->count]);
    const struct json_view *more = json_view_member(list, STR("has_more"));
    page->more = more && str_equal(more->text, STR("true"));
    return ERR_OK;
}

static enum error_code verify_webhook(struct str signature, struct str body, int64_t now_us,
                                      struct error *error)
{
    return stripe_signature_check(signature, body, str_from(config()->stripe_webhook_secret), now_us, error);
}

const struct gateway gateway_stripe = {
    .version = GATEWAY_VERSION,
    .provider = "stripe",
    .signature_header = "stripe-signature",
    .start = start,
    .stop = stop,
    .is_away = is_away,
    .charge_limits = stripe_charge_limits,
    .create_intent = create_intent,
    .retrieve_intent = retrieve_intent,
    .cancel_intent = cancel_intent,
    .create_refund = create_refund,
    .retrieve_refund = retrieve_refund,
    .find_refund = find_refund,
    .list_refunds = list_refunds,
    .verify_webhook = verify_webhook,
    .parse_event = stripe_event_parse,
};
