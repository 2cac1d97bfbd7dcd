/* What Stripe says, and what is said to it, as data. */
#include "shop/payments/gateway_stripe.h"

#include "base/check.h"
#include "base/hmac.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>

#define TEXT_POINTS_MAX 4000 /* of one text of Stripe's */

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

/* One line: names of events and reasons of failures are logged and shown. */
static struct str text_of(struct arena *arena, const struct json_view *object, const char *name)
{
    struct str text = json_view_string(arena, json_view_member(object, str_from(name)));
    return text_clean(arena, text, TEXT_POINTS_MAX);
}

static bool text_is(struct arena *arena, const struct json_view *object, const char *name, const char *text)
{
    return str_equal(text_of(arena, object, name), str_from(text));
}

/* "hkd" as Stripe says it. */
static bool amount_of(struct arena *arena, const struct json_view *object, struct money *amount)
{
    struct str currency = text_of(arena, object, "currency");
    if (!json_view_integer(json_view_member(object, STR("amount")), &amount->minor) || currency.len != 3)
        return false;
    char upper[3];
    for (size_t i = 0; i < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)currency.ptr[i]);
    return amount->minor >= 0 && amount->minor <= MONEY_MINOR_MAX &&
           currency_parse((struct str){upper, sizeof upper}, &amount->currency);
}

/* Kept with the payment, as it came: without the client's secret, which would let its holder confirm the
 * intent, and without members that are null, as half of them are, which says no more than their absence. */
static struct str response_of(struct arena *arena, const struct json_view *object)
{
    char *out = arena_bytes(arena, object->text.len + 2);
    char *at = str_put(out, STR("{"));
    const char *from = NULL; /* of a run of members that are kept: it is copied as it stands */
    const char *end = NULL;
    for (const struct json_view *member = object->first;; member = member->next) {
        bool kept =
            member && member->kind != JSON_VIEW_NULL && !str_equal(member->name, STR("client_secret"));
        if (!kept && from) {
            if (at > out + 1)
                at = str_put(at, STR(","));
            at = str_put(at, (struct str){from, (size_t)(end - from)});
            from = NULL;
        }
        if (!member)
            break;
        if (kept && !from)
            from = member->start;
        end = member->text.ptr + member->text.len;
    }
    return (struct str){out, (size_t)(str_put(at, STR("}")) - out)};
}

static bool intent_state_of(struct str status, bool has_error, enum gateway_intent_state *state)
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
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (str_equal(status, str_from(states[i].status))) {
            *state = i == 0 && has_error ? GATEWAY_INTENT_FAILED : states[i].state;
            return true;
        }
    return false;
}

/* next_action names the kind, and holds an object of that name with the address. */
static struct str redirect_of(struct arena *arena, const struct json_view *object)
{
    const struct json_view *action = json_view_member(object, STR("next_action"));
    return text_of(arena, json_view_member(action, text_of(arena, action, "type")), "url");
}

bool stripe_intent_read(struct arena *arena, const struct json_view *object, struct gateway_intent *intent)
{
    *intent = (struct gateway_intent){.id = text_of(arena, object, "id")};
    const struct json_view *failure = json_view_member(object, STR("last_payment_error"));
    bool has_error = failure && failure->kind == JSON_VIEW_OBJECT;
    if (intent->id.len == 0 || !text_is(arena, object, "object", "payment_intent") ||
        !amount_of(arena, object, &intent->amount) ||
        !intent_state_of(text_of(arena, object, "status"), has_error, &intent->state))
        return false;
    if (!json_view_integer(json_view_member(object, STR("amount_received")), &intent->received_minor))
        intent->received_minor = 0;
    intent->redirect_url = redirect_of(arena, object);
    intent->failure = text_of(arena, failure, "code");
    const struct json_view *metadata = json_view_member(object, STR("metadata"));
    if (!order_id_parse(text_of(arena, metadata, "order_id"), &intent->order_id))
        intent->order_id = (struct order_id){0};
    if (!payment_id_parse(text_of(arena, metadata, "payment_id"), &intent->payment_id))
        intent->payment_id = (struct payment_id){0};
    intent->response = response_of(arena, object);
    return true;
}

bool stripe_refund_read(struct arena *arena, const struct json_view *object, struct gateway_refund *refund)
{
    *refund = (struct gateway_refund){.id = text_of(arena, object, "id"),
                                      .intent_id = text_of(arena, object, "payment_intent")};
    struct str status = text_of(arena, object, "status");
    if (refund->id.len == 0 || !text_is(arena, object, "object", "refund") || !status.ptr ||
        !amount_of(arena, object, &refund->amount))
        return false;
    if (str_equal(status, STR("succeeded")))
        refund->state = GATEWAY_REFUND_SUCCEEDED;
    else if (str_equal(status, STR("failed")) || str_equal(status, STR("canceled")))
        refund->state = GATEWAY_REFUND_FAILED;
    else
        refund->state = GATEWAY_REFUND_PENDING;
    refund->failure = text_of(arena, object, "failure_reason");
    const struct json_view *metadata = json_view_member(object, STR("metadata"));
    if (!refund_id_parse(text_of(arena, metadata, "refund_id"), &refund->refund_id))
        refund->refund_id = (struct refund_id){0};
    refund->response = response_of(arena, object);
    return true;
}

static bool dispute_read(struct arena *arena, const struct json_view *object, struct gateway_dispute *dispute)
{
    *dispute = (struct gateway_dispute){
        .id = text_of(arena, object, "id"),
        .intent_id = text_of(arena, object, "payment_intent"),
        .reason = text_of(arena, object, "reason"),
        .status = text_of(arena, object, "status"),
    };
    static const char *const ends[] = {"won", "lost", "warning_closed", "prevented", NULL};
    for (size_t i = 0; ends[i]; i++)
        dispute->closed |= str_equal(dispute->status, str_from(ends[i]));
    return dispute->id.len > 0 && dispute->id.len <= 255 && dispute->reason.ptr && dispute->status.ptr &&
           text_is(arena, object, "object", "dispute") && amount_of(arena, object, &dispute->amount);
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
static const char *const refund_events[] = {"refund.created", "refund.updated", "refund.failed",
                                            "charge.refund.updated", NULL};
static const char *const dispute_events[] = {
    "charge.dispute.created",         "charge.dispute.updated",          "charge.dispute.closed",
    "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated", NULL};

static bool event_read(struct arena *arena, const struct json_view *root, struct gateway_event *event)
{
    const struct json_view *object = json_view_member(json_view_member(root, STR("data")), STR("object"));
    event->id = text_of(arena, root, "id");
    event->type = text_of(arena, root, "type");
    if (!text_is(arena, root, "object", "event") || event->id.len == 0 || event->id.len > 255 ||
        event->type.len == 0 || event->type.len > 255 || !object || object->kind != JSON_VIEW_OBJECT)
        return false;
    for (size_t i = 0; i < sizeof intent_events / sizeof intent_events[0]; i++)
        if (str_equal(event->type, str_from(intent_events[i].type))) {
            event->kind = GATEWAY_EVENT_INTENT;
            return stripe_intent_read(arena, object, &event->intent) &&
                   event->intent.state == intent_events[i].state;
        }
    for (size_t i = 0; refund_events[i]; i++)
        if (str_equal(event->type, str_from(refund_events[i]))) {
            event->kind = GATEWAY_EVENT_REFUND;
            return stripe_refund_read(arena, object, &event->refund);
        }
    for (size_t i = 0; dispute_events[i]; i++)
        if (str_equal(event->type, str_from(dispute_events[i]))) {
            event->kind = GATEWAY_EVENT_DISPUTE;
            return dispute_read(arena, object, &event->dispute);
        }
    return true;
}

enum error_code stripe_event_parse(struct arena *arena, struct str body, struct gateway_event *event,
                                   struct error *error)
{
    *event = (struct gateway_event){.kind = GATEWAY_EVENT_OTHER};
    if (event_read(arena, json_view_read(arena, body, NULL), event))
        return ERR_OK;
    return error_set(error, ERR_BAD_REQUEST, "the body is not an event of the gateway");
}

/* ---- amounts ---- */

struct cash_limits stripe_charge_limits(struct currency currency)
{
    static const struct {
        char code[4];
        struct cash_limits limits;
    } known[] = {
        {"AED", {200, 99999999}},  {"AUD", {50, 99999999}},   {"BGN", {100, 99999999}},
        {"BRL", {50, 99999999}},   {"CAD", {50, 99999999}},   {"CHF", {50, 99999999}},
        {"CZK", {1500, 99999999}}, {"DKK", {250, 99999999}},  {"EUR", {50, 99999999}},
        {"GBP", {30, 99999999}},   {"HKD", {400, 99999999}},  {"HUF", {17500, 9999999999}},
        {"INR", {50, 999999999}},  {"JPY", {50, 9999999999}}, {"MXN", {1000, 99999999}},
        {"MYR", {200, 99999999}},  {"NOK", {300, 99999999}},  {"NZD", {50, 99999999}},
        {"PLN", {200, 99999999}},  {"RON", {200, 99999999}},  {"SEK", {300, 99999999}},
        {"SGD", {50, 99999999}},   {"THB", {1000, 99999999}}, {"USD", {50, 99999999}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (str_equal(currency_str(&currency), (struct str){known[i].code, 3}))
            return known[i].limits;
    return (struct cash_limits){1, 99999999};
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
