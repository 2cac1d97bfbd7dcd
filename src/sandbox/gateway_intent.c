/* PaymentIntents: https://docs.stripe.com/api/payment_intents. */
#include "sandbox/gateway.h"

#include "base/buf.h"
#include "gateway_sql.h"
#include "sandbox/webhooks.h"

#include <ctype.h>

#define PATH "/v1/payment_intents"
#define TYPES_MAX 8

/* The methods that send the shopper to a page: all that the sandbox knows. */
static const char *const redirect_types[] = {"alipay",     "wechat_pay", "grabpay", "ideal",
                                             "bancontact", "paypal",     NULL};

static bool is_redirect_type(struct str type)
{
    for (size_t i = 0; redirect_types[i]; i++)
        if (str_equal(type, str_from(redirect_types[i])))
            return true;
    return false;
}

static enum error_code answer_intent(struct gateway_call *call, struct str id)
{
    struct sandbox_intent_show_row row;
    bool found;
    enum error_code code =
        sandbox_intent_show(call->db, call->arena, (struct sandbox_intent_show_args){id}, &row, &found);
    if (code)
        return code;
    return found ? gateway_answer(call, row.body) : gateway_missing(call, "payment_intent", id);
}

/* An event about an intent as it is now. */
static enum error_code intent_event(struct pg *db, struct arena *arena, struct str id, const char *type)
{
    struct sandbox_intent_show_row row;
    bool found;
    enum error_code code =
        sandbox_intent_show(db, arena, (struct sandbox_intent_show_args){id}, &row, &found);
    return code ? code : gateway_event(db, arena, type, id, row.body);
}

/* ---- create and confirm ---- */

struct confirmation {
    struct str payment_method, return_url;
};

/* What a confirmation needs: a method (stored or given here) and where to send the shopper afterwards. */
static enum error_code confirmation_read(struct gateway_call *call, struct str stored_method,
                                         struct str stored_return, const struct str *types, size_t type_count,
                                         struct confirmation *out)
{
    struct str type = form_value(&call->form, STR("payment_method_data[type]"));
    struct str method = form_value(&call->form, STR("payment_method"));
    *out = (struct confirmation){.payment_method = method.ptr ? method : stored_method,
                                 .return_url = form_value(&call->form, STR("return_url"))};
    if (!out->return_url.ptr)
        out->return_url = stored_return;
    if (type.ptr) {
        bool allowed = false;
        for (size_t i = 0; i < type_count; i++)
            allowed |= str_equal(types[i], type);
        if (!allowed)
            return gateway_refuse(
                call, 400, "payment_intent_incompatible_payment_method", "payment_method_data",
                "The payment method type '%.*s' is not among the allowed types of this PaymentIntent.",
                STR_ARG(type));
        out->payment_method = sandbox_id(call->arena, "pm");
    }
    if (!out->payment_method.ptr)
        return gateway_refuse(
            call, 400, "payment_intent_unexpected_state", NULL,
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either "
            "update the PaymentIntent with a payment method and then confirm it again, or confirm it again "
            "directly with a payment method.");
    if (!out->return_url.ptr)
        return gateway_refuse(
            call, 400, "parameter_missing", "return_url",
            "You must provide a `return_url` when confirming with a redirect payment method.");
    bool is_url =
        str_starts_with(out->return_url, STR("http://")) || str_starts_with(out->return_url, STR("https://"));
    if (!is_url || out->return_url.len > 2048 || memchr(out->return_url.ptr, '\n', out->return_url.len) ||
        memchr(out->return_url.ptr, '\r', out->return_url.len))
        return gateway_refuse(call, 400, "url_invalid", "return_url", "Not a valid URL");
    return ERR_OK;
}

static enum error_code confirm(struct gateway_call *call, struct str id,
                               const struct confirmation *confirmation)
{
    struct str token = sandbox_id(call->arena, "page");
    struct str origin = sandbox_origin(call->req);
    struct sandbox_intent_confirm_args args = {
        .id = id,
        .payment_method = confirmation->payment_method,
        .return_url = confirmation->return_url,
        .page_token = token,
        .page_url = arena_printf(call->arena, "%.*s/pay/%.*s", STR_ARG(origin), STR_ARG(token)),
    };
    enum error_code code = sandbox_intent_confirm(call->db, args, NULL);
    return code ? code : intent_event(call->db, call->arena, id, "payment_intent.requires_action");
}

static enum error_code types_read(struct gateway_call *call, struct str *types, size_t *count)
{
    *count = form_list(&call->form, STR("payment_method_types"), types, TYPES_MAX);
    if (*count == 0)
        return gateway_refuse(call, 400, "parameter_missing", "payment_method_types",
                              "The sandbox needs payment_method_types.");
    for (size_t i = 0; i < *count; i++)
        if (!is_redirect_type(types[i]))
            return gateway_refuse(call, 400, "payment_intent_invalid_parameter", "payment_method_types",
                                  "The payment method type '%.*s' is not one that the sandbox serves.",
                                  STR_ARG(types[i]));
    return ERR_OK;
}

/* Three letters, told back in lower case. */
static enum error_code currency_read(struct gateway_call *call, struct str *currency)
{
    struct str text = form_value(&call->form, STR("currency"));
    if (!text.ptr)
        return gateway_refuse(call, 400, "parameter_missing", "currency",
                              "Missing required param: currency.");
    char *lower = arena_bytes(call->arena, text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        if (!isalpha((unsigned char)text.ptr[i]) || text.len != 3)
            return gateway_refuse(call, 400, NULL, "currency", "Invalid currency: %.*s.", STR_ARG(text));
        lower[i] = (char)tolower((unsigned char)text.ptr[i]);
    }
    *currency = (struct str){lower, text.len};
    return text.len == 3 ? ERR_OK : gateway_refuse(call, 400, NULL, "currency", "Invalid currency.");
}

/* What can be charged at once: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts. */
static enum error_code charge_allowed(struct gateway_call *call, int64_t amount, struct str currency)
{
    static const struct {
        const char *currency;
        int64_t least;
    } leasts[] = {{"aed", 200}, {"aud", 50},  {"cad", 50},   {"chf", 50},   {"eur", 50},
                  {"gbp", 30},  {"hkd", 400}, {"inr", 50},   {"mxn", 1000}, {"myr", 200},
                  {"nzd", 50},  {"sgd", 50},  {"thb", 1000}, {"usd", 50}};
    static const int64_t most = 99999999;
    int64_t least = 1;
    for (size_t i = 0; i < sizeof leasts / sizeof leasts[0]; i++)
        if (str_equal(currency, str_from(leasts[i].currency)))
            least = leasts[i].least;
    if (amount < least)
        return gateway_refuse(call, 400, "amount_too_small", "amount",
                              "Amount must be at least %lld.%02d %.*s", (long long)(least / 100),
                              (int)(least % 100), STR_ARG(currency));
    if (amount > most)
        return gateway_refuse(call, 400, "amount_too_large", "amount",
                              "Amount must be no more than 999,999.99");
    return ERR_OK;
}

static enum error_code create(struct gateway_call *call)
{
    const struct form *form = &call->form;
    struct str types[TYPES_MAX];
    size_t type_count;
    struct str amount = form_value(form, STR("amount"));
    struct str id = sandbox_id(call->arena, "pi");
    struct str secret = sandbox_id(call->arena, "secret");
    struct sandbox_intent_insert_args args = {
        .id = id,
        .client_secret = arena_printf(call->arena, "%.*s_%.*s", STR_ARG(id), STR_ARG(secret)),
        .status = STR("requires_payment_method"),
        .payment_method = form_value(form, STR("payment_method")),
        .return_url = form_value(form, STR("return_url")),
        .description = form_value(form, STR("description")),
        .metadata = form_object_json(form, STR("metadata"), call->arena),
    };
    if (!amount.ptr)
        return gateway_refuse(call, 400, "parameter_missing", "amount", "Missing required param: amount.");
    enum error_code code = gateway_amount(call, amount, &args.amount);
    if (code == ERR_OK)
        code = currency_read(call, &args.currency);
    if (code == ERR_OK)
        code = charge_allowed(call, args.amount, args.currency);
    if (code == ERR_OK)
        code = types_read(call, types, &type_count);
    if (code)
        return code;
    args.payment_method_types = (struct str_array){types, type_count};
    bool confirmed = str_equal(form_value(form, STR("confirm")), STR("true"));
    struct confirmation confirmation;
    if (confirmed)
        code =
            confirmation_read(call, args.payment_method, args.return_url, types, type_count, &confirmation);
    else if (args.return_url.ptr)
        code = gateway_refuse(call, 400, NULL, "return_url",
                              "return_url may only be given together with confirm=true.");
    if (!confirmed && args.payment_method.ptr)
        args.status = STR("requires_confirmation");
    if (code == ERR_OK)
        code = sandbox_intent_insert(call->db, args, NULL);
    if (code == ERR_OK)
        code = intent_event(call->db, call->arena, id, "payment_intent.created");
    if (code == ERR_OK && confirmed)
        code = confirm(call, id, &confirmation);
    return code ? code : answer_intent(call, id);
}

/* The error of an action that the state does not allow tells the intent too. */
static enum error_code wrong_state(struct gateway_call *call, struct str id, const char *verb,
                                   struct str status)
{
    enum error_code code = answer_intent(call, id);
    if (code)
        return code;
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    buf_printf(&out,
               "{\"error\":{\"type\":\"invalid_request_error\",\"code\":\"payment_intent_unexpected_state\","
               "\"message\":"
               "\"You cannot %s this PaymentIntent because it has a status of %.*s.\",\"payment_intent\":",
               verb, STR_ARG(status));
    buf_append(&out, call->body);
    BUF_LITERAL(&out, "}}");
    call->status = 400;
    call->body = arena_copy(call->arena, buf_str(&out));
    call->refused = true;
    buf_free(&out);
    return ERR_CONFLICT;
}

/* The intent that a call names, locked. */
static enum error_code lock_named(struct gateway_call *call, struct sandbox_intent_lock_row *row)
{
    struct str id = call->in->params[0];
    bool found;
    enum error_code code =
        sandbox_intent_lock(call->db, call->arena, (struct sandbox_intent_lock_args){id}, row, &found);
    return code || found ? code : gateway_missing(call, "payment_intent", id);
}

static enum error_code confirm_operation(struct gateway_call *call)
{
    struct str id = call->in->params[0];
    struct sandbox_intent_lock_row row;
    enum error_code code = lock_named(call, &row);
    if (code)
        return code;
    if (!str_equal(row.status, STR("requires_payment_method")) &&
        !str_equal(row.status, STR("requires_confirmation")) &&
        !str_equal(row.status, STR("requires_action")))
        return wrong_state(call, id, "confirm", row.status);
    struct confirmation confirmation;
    code = confirmation_read(call, row.payment_method, row.return_url, row.payment_method_types.items,
                             row.payment_method_types.count, &confirmation);
    if (code == ERR_OK)
        code = confirm(call, id, &confirmation);
    return code ? code : answer_intent(call, id);
}

/* ---- cancel ---- */

static enum error_code cancel_operation(struct gateway_call *call)
{
    static const char *const reasons[] = {"duplicate", "fraudulent", "requested_by_customer", "abandoned",
                                          NULL};
    struct str id = call->in->params[0];
    struct str reason = form_value(&call->form, STR("cancellation_reason"));
    bool known = !reason.ptr;
    for (size_t i = 0; reasons[i]; i++)
        known |= str_equal(reason, str_from(reasons[i]));
    if (!known)
        return gateway_refuse(call, 400, NULL, "cancellation_reason", "Invalid cancellation_reason.");
    struct sandbox_intent_lock_row row;
    enum error_code code = lock_named(call, &row);
    if (code)
        return code;
    if (str_equal(row.status, STR("succeeded")) || str_equal(row.status, STR("canceled")))
        return wrong_state(call, id, "cancel", row.status);
    struct sandbox_use refuse = {.fault = "cancel_refuse"};
    sandbox_faults_take(call->db, call->arena, GATEWAY_NAME, &refuse, 1);
    if (refuse.fails)
        return gateway_refuse(call, 400, "sandbox_refused", NULL, "The sandbox was told not to cancel this.");
    code = sandbox_intent_cancel(call->db, (struct sandbox_intent_cancel_args){id, reason}, NULL);
    if (code == ERR_OK)
        code = intent_event(call->db, call->arena, id, "payment_intent.canceled");
    return code ? code : answer_intent(call, id);
}

/* ---- what the person does ---- */

static enum error_code lock_status(struct pg *db, struct arena *arena, struct str id, struct str *status)
{
    struct sandbox_intent_lock_row row;
    bool found;
    enum error_code code =
        sandbox_intent_lock(db, arena, (struct sandbox_intent_lock_args){id}, &row, &found);
    if (code)
        return code;
    *status = row.status;
    return found ? ERR_OK : ERR_NOT_FOUND;
}

enum error_code gateway_intent_pay(struct pg *db, struct arena *arena, struct str id)
{
    struct str status;
    enum error_code code = lock_status(db, arena, id, &status);
    if (code || str_equal(status, STR("succeeded")))
        return code;
    if (str_equal(status, STR("canceled")))
        return ERR_CONFLICT;
    struct sandbox_intent_succeed_args args = {id, sandbox_id(arena, "ch")};
    code = sandbox_intent_succeed(db, args, NULL);
    if (code == ERR_OK)
        code = intent_event(db, arena, id, "payment_intent.succeeded");
    struct sandbox_intent_charge_row row;
    bool found;
    if (code == ERR_OK)
        code = sandbox_intent_charge(db, arena, (struct sandbox_intent_charge_args){id}, &row, &found);
    return code ? code : gateway_event(db, arena, "charge.succeeded", args.charge, row.body);
}

enum error_code gateway_intent_decline(struct pg *db, struct arena *arena, struct str id)
{
    struct str status;
    enum error_code code = lock_status(db, arena, id, &status);
    if (code)
        return code;
    if (!str_equal(status, STR("requires_action")))
        return str_equal(status, STR("requires_payment_method")) ? ERR_OK : ERR_CONFLICT;
    struct sandbox_intent_decline_args args = {
        id,
        STR("{\"code\":\"payment_method_provider_decline\",\"decline_code\":\"generic_decline\",\"message\":"
            "\"The payment was declined by the payment method's "
            "provider.\",\"type\":\"invalid_request_error\"}")};
    code = sandbox_intent_decline(db, args, NULL);
    return code ? code : intent_event(db, arena, id, "payment_intent.payment_failed");
}

/* ---- reads ---- */

static enum error_code show_operation(struct gateway_call *call)
{
    return answer_intent(call, call->in->params[0]);
}

static enum error_code list_operation(struct gateway_call *call)
{
    struct gateway_paging paging;
    enum error_code code = gateway_paging(call, &paging);
    if (code)
        return code;
    struct sandbox_intent_list_args args = {paging.limit + 1, paging.after, paging.before};
    struct sandbox_intent_list_rows rows;
    code = sandbox_intent_list(call->db, call->arena, args, &rows);
    if (code)
        return code;
    GATEWAY_BODIES(call->arena, rows, bodies)
    return gateway_answer_list(call, PATH, &paging, bodies, rows.count);
}

static const char *const create_known[] = {
    "amount",  "currency",    "payment_method_types", "payment_method", "payment_method_data",
    "confirm", "description", "return_url",           "metadata",       "expand",
    NULL};
static const char *const confirm_known[] = {"payment_method", "payment_method_data", "return_url", "expand",
                                            NULL};
static const char *const cancel_known[] = {"cancellation_reason", "expand", NULL};
static const char *const show_known[] = {"client_secret", "expand", NULL};
static const char *const list_known[] = {"limit", "starting_after", "ending_before", "expand", NULL};

static enum error_code intent_create(struct request *req, const void *in)
{
    return gateway_change(req, in, create_known, create);
}
static enum error_code intent_confirm(struct request *req, const void *in)
{
    return gateway_change(req, in, confirm_known, confirm_operation);
}
static enum error_code intent_cancel(struct request *req, const void *in)
{
    return gateway_change(req, in, cancel_known, cancel_operation);
}
static enum error_code intent_show(struct request *req, const void *in)
{
    return gateway_read(req, in, show_known, show_operation);
}
static enum error_code intent_list(struct request *req, const void *in)
{
    return gateway_read(req, in, list_known, list_operation);
}

const struct api_route gateway_intent_routes[] = {
    SANDBOX_ROUTE("sandbox_intent_create", "POST", PATH, intent_create),
    SANDBOX_ROUTE("sandbox_intent_list", "GET", PATH, intent_list),
    SANDBOX_ROUTE("sandbox_intent_show", "GET", PATH "/{id}", intent_show),
    SANDBOX_ROUTE("sandbox_intent_confirm", "POST", PATH "/{id}/confirm", intent_confirm),
    SANDBOX_ROUTE("sandbox_intent_cancel", "POST", PATH "/{id}/cancel", intent_cancel),
    {.path = NULL},
};
