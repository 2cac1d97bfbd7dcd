/* What Stripe says, and what is said to it, as data. */
#include "shop/payments/gateway_stripe.h"

#include "base/check.h"
#include "base/hmac.h"

#include <ctype.h>
#include <stdlib.h>

/* ---- signatures ---- */

struct signature {
    struct str seconds;
    struct str v1[STRIPE_SIGNATURES_MAX];
    size_t count;
};

static bool signature_read(struct str header, struct signature *signature)
{
    *signature = (struct signature){STR_NONE};
    struct str rest = header;
    while (rest.ptr) {
        struct str value = str_split(&rest, ',');
        struct str name = str_trim(str_split(&value, '='));
        value = str_trim(value);
        if (str_equal(name, STR("t"))) {
            if (signature->seconds.ptr)
                return false;
            signature->seconds = value;
        } else if (str_equal(name, STR("v1")) && signature->count < STRIPE_SIGNATURES_MAX) {
            signature->v1[signature->count++] = value;
        }
    }
    return signature->seconds.len > 0 && signature->count > 0;
}

enum error_code stripe_signature_check(struct str header, struct str body, struct str secret, int64_t now_us,
                                       struct error *error)
{
    struct signature signature;
    if (secret.len == 0)
        return error_set(error, ERR_SIGNATURE, "no signing secret is configured");
    if (!header.ptr)
        return error_set(error, ERR_SIGNATURE, "the signature header is missing");
    int64_t seconds;
    if (!signature_read(header, &signature) || !str_to_int64(signature.seconds, &seconds) || seconds < 0 ||
        seconds > INT64_MAX / 1000000)
        return error_set(error, ERR_SIGNATURE, "the signature header cannot be read");
    char expected[HMAC_HEX_LEN + 1];
    hmac_sha256_hex(secret, (struct str[]){signature.seconds, STR("."), body}, 3, expected);
    bool fits = false;
    for (size_t i = 0; i < signature.count; i++)
        fits |= hmac_hex_equal(expected, signature.v1[i]); /* all of them, so that time tells nothing */
    if (!fits)
        return error_set(error, ERR_SIGNATURE, "no signature fits the body");
    int64_t age_s = now_us / 1000000 - seconds;
    if (age_s > STRIPE_TOLERANCE_S || age_s < -STRIPE_TOLERANCE_S)
        return error_set(error, ERR_SIGNATURE, "the signature is too old, or of the future");
    return ERR_OK;
}

/* ---- JSON ---- */

static struct str text_of(struct arena *arena, json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    if (!json_is_string(value))
        return STR_NONE;
    return arena_copy(arena, (struct str){json_string_value(value), json_string_length(value)});
}

/* "hkd" as Stripe says it. */
static bool amount_of(json_t *object, const char *name, struct money *amount)
{
    json_t *minor = json_object_get(object, name);
    const char *currency = json_string_value(json_object_get(object, "currency"));
    if (!json_is_integer(minor) || !currency || strlen(currency) != 3)
        return false;
    char upper[3];
    for (size_t i = 0; i < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)currency[i]);
    amount->minor = json_integer_value(minor);
    return amount->minor >= 0 && amount->minor <= MONEY_MINOR_MAX &&
           currency_parse((struct str){upper, sizeof upper}, &amount->currency);
}

/* Kept with the payment, and the last thing that is read of the object. The client's secret would let its
 * holder confirm the intent. */
static struct str response_of(struct arena *arena, json_t *object)
{
    json_object_del(object, "client_secret");
    char *text = json_dumps(object, JSON_COMPACT);
    CHECK(text);
    struct str response = arena_copy(arena, str_from(text));
    free(text);
    return response;
}

static bool intent_state_of(const char *status, bool has_error, enum gateway_intent_state *state)
{
    static const struct {
        const char *status;
        enum gateway_intent_state state;
    } states[] = {
        {"requires_payment_method", GATEWAY_INTENT_OPEN},
        {"requires_confirmation", GATEWAY_INTENT_OPEN},
        {"requires_action", GATEWAY_INTENT_OPEN},
        {"requires_capture", GATEWAY_INTENT_OPEN},
        {"processing", GATEWAY_INTENT_OPEN},
        {"succeeded", GATEWAY_INTENT_SUCCEEDED},
        {"canceled", GATEWAY_INTENT_CANCELLED},
    };
    for (size_t i = 0; status && i < sizeof states / sizeof states[0]; i++)
        if (strcmp(states[i].status, status) == 0) {
            *state = i == 0 && has_error ? GATEWAY_INTENT_FAILED : states[i].state;
            return true;
        }
    return false;
}

/* next_action names the kind, and holds an object of that name with the address. */
static struct str redirect_of(struct arena *arena, json_t *object)
{
    json_t *action = json_object_get(object, "next_action");
    const char *type = json_string_value(json_object_get(action, "type"));
    return type ? text_of(arena, json_object_get(action, type), "url") : STR_NONE;
}

bool stripe_intent_read(struct arena *arena, json_t *object, struct gateway_intent *intent)
{
    *intent = (struct gateway_intent){.id = text_of(arena, object, "id")};
    json_t *failure = json_object_get(object, "last_payment_error");
    const char *kind = json_string_value(json_object_get(object, "object"));
    if (intent->id.len == 0 || !kind || strcmp(kind, "payment_intent") != 0 ||
        !amount_of(object, "amount", &intent->amount) ||
        !intent_state_of(json_string_value(json_object_get(object, "status")), json_is_object(failure),
                         &intent->state))
        return false;
    intent->received_minor = json_integer_value(json_object_get(object, "amount_received"));
    intent->redirect_url = redirect_of(arena, object);
    intent->failure = text_of(arena, failure, "code");
    json_t *metadata = json_object_get(object, "metadata");
    if (!order_id_parse(str_from(json_string_value(json_object_get(metadata, "order_id"))),
                        &intent->order_id))
        intent->order_id = (struct order_id){0};
    if (!payment_id_parse(str_from(json_string_value(json_object_get(metadata, "payment_id"))),
                          &intent->payment_id))
        intent->payment_id = (struct payment_id){0};
    intent->response = response_of(arena, object);
    return true;
}

bool stripe_refund_read(struct arena *arena, json_t *object, struct gateway_refund *refund)
{
    *refund = (struct gateway_refund){.id = text_of(arena, object, "id"),
                                      .intent_id = text_of(arena, object, "payment_intent")};
    const char *kind = json_string_value(json_object_get(object, "object"));
    const char *status = json_string_value(json_object_get(object, "status"));
    if (refund->id.len == 0 || !kind || strcmp(kind, "refund") != 0 || !status ||
        !amount_of(object, "amount", &refund->amount))
        return false;
    if (strcmp(status, "succeeded") == 0)
        refund->state = GATEWAY_REFUND_SUCCEEDED;
    else if (strcmp(status, "failed") == 0 || strcmp(status, "canceled") == 0)
        refund->state = GATEWAY_REFUND_FAILED;
    else
        refund->state = GATEWAY_REFUND_PENDING;
    refund->failure = text_of(arena, object, "failure_reason");
    json_t *metadata = json_object_get(object, "metadata");
    if (!refund_id_parse(str_from(json_string_value(json_object_get(metadata, "refund_id"))),
                         &refund->refund_id))
        refund->refund_id = (struct refund_id){0};
    refund->response = response_of(arena, object);
    return true;
}

/* The types that the shop acts on, with the state that their object has to be in. */
static const struct {
    const char *type;
    enum gateway_intent_state state;
} intent_events[] = {
    {"payment_intent.succeeded", GATEWAY_INTENT_SUCCEEDED},
    {"payment_intent.payment_failed", GATEWAY_INTENT_FAILED},
    {"payment_intent.canceled", GATEWAY_INTENT_CANCELLED},
};
static const char *const refund_events[] = {"refund.updated", "refund.failed", "charge.refund.updated"};

static bool event_read(struct arena *arena, json_t *root, struct gateway_event *event)
{
    json_t *object = json_object_get(json_object_get(root, "data"), "object");
    const char *kind = json_string_value(json_object_get(root, "object"));
    event->id = text_of(arena, root, "id");
    event->type = text_of(arena, root, "type");
    if (!kind || strcmp(kind, "event") != 0 || event->id.len == 0 || event->id.len > 255 ||
        event->type.len == 0 || event->type.len > 255 || !json_is_object(object))
        return false;
    for (size_t i = 0; i < sizeof intent_events / sizeof intent_events[0]; i++)
        if (str_equal(event->type, str_from(intent_events[i].type))) {
            event->kind = GATEWAY_EVENT_INTENT;
            return stripe_intent_read(arena, object, &event->intent) &&
                   event->intent.state == intent_events[i].state;
        }
    for (size_t i = 0; i < sizeof refund_events / sizeof refund_events[0]; i++)
        if (str_equal(event->type, str_from(refund_events[i]))) {
            event->kind = GATEWAY_EVENT_REFUND;
            return stripe_refund_read(arena, object, &event->refund);
        }
    return true;
}

enum error_code stripe_event_parse(struct arena *arena, struct str body, struct gateway_event *event,
                                   struct error *error)
{
    *event = (struct gateway_event){.kind = GATEWAY_EVENT_OTHER};
    json_t *root = json_loadb(body.ptr ? body.ptr : "", body.len, JSON_REJECT_DUPLICATES, NULL);
    bool good = root && event_read(arena, root, event);
    json_decref(root);
    return good ? ERR_OK : error_set(error, ERR_BAD_REQUEST, "the body is not an event of the gateway");
}

/* ---- forms ---- */

static void form_member(struct buf *form, const char *name, struct str value)
{
    if (form->len)
        buf_char(form, '&');
    buf_form(form, str_from(name));
    buf_char(form, '=');
    buf_form(form, value);
}

static void form_amount(struct buf *form, struct money amount)
{
    buf_printf(form, "%samount=%lld", form->len ? "&" : "", (long long)amount.minor);
}

void stripe_intent_form(struct buf *form, const struct gateway_intent_request *request,
                        const char *method_type)
{
    char order_id[ID_TEXT_MAX], payment_id[ID_TEXT_MAX], currency[3], description[48];
    order_id_text(request->order_id, order_id);
    payment_id_text(request->payment_id, payment_id);
    for (size_t i = 0; i < sizeof currency; i++)
        currency[i] = (char)tolower((unsigned char)request->amount.currency.code[i]);
    int len = snprintf(description, sizeof description, "Order %lld", (long long)request->order_number);
    form_amount(form, request->amount);
    form_member(form, "currency", (struct str){currency, sizeof currency});
    form_member(form, "confirm", STR("true"));
    form_member(form, "payment_method_types[]", str_from(method_type));
    form_member(form, "payment_method_data[type]", str_from(method_type));
    form_member(form, "return_url", request->return_url);
    form_member(form, "description", (struct str){description, (size_t)len});
    form_member(form, "metadata[order_id]", str_from(order_id));
    form_member(form, "metadata[payment_id]", str_from(payment_id));
}

void stripe_refund_form(struct buf *form, const struct gateway_refund_request *request)
{
    char order_id[ID_TEXT_MAX], refund_id[ID_TEXT_MAX];
    order_id_text(request->order_id, order_id);
    refund_id_text(request->refund_id, refund_id);
    form_amount(form, request->amount);
    form_member(form, "payment_intent", request->intent_id);
    form_member(form, "metadata[order_id]", str_from(order_id));
    form_member(form, "metadata[refund_id]", str_from(refund_id));
}
