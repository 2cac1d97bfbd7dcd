/* Refunds: https://docs.stripe.com/api/refunds. They succeed at once, unless the fault refund_pending lets
 * one wait for the hook that settles it. */
#include "sandbox/gateway.h"

#include "gateway_sql.h"

#define PATH "/v1/refunds"

static enum error_code refund_answer(struct gateway_call *call, struct str id)
{
    struct sandbox_refund_show_row row;
    bool found;
    enum error_code code =
        sandbox_refund_show(call->db, call->arena, (struct sandbox_refund_show_args){id}, &row, &found);
    if (code)
        return code;
    return found ? gateway_answer(call, row.body) : gateway_missing(call, "refund", id);
}

/* refund.created, what it means for the charge, and refund.updated. */
static enum error_code refund_events(struct gateway_call *call, struct str id, struct str intent_id,
                                     bool settled)
{
    struct sandbox_refund_show_row refund;
    struct sandbox_intent_charge_row charge;
    bool found;
    enum error_code code =
        sandbox_refund_show(call->db, call->arena, (struct sandbox_refund_show_args){id}, &refund, &found);
    if (code == ERR_OK)
        code = gateway_event(call->db, call->arena, "refund.created", id, refund.body);
    if (code == ERR_OK)
        code = sandbox_intent_charge(call->db, call->arena, (struct sandbox_intent_charge_args){intent_id},
                                     &charge, &found);
    if (code == ERR_OK)
        code = gateway_event(call->db, call->arena, "charge.refunded", intent_id, charge.body);
    if (code == ERR_OK && settled)
        code = gateway_event(call->db, call->arena, "refund.updated", id, refund.body);
    return code;
}

static enum error_code intent_of_form(struct gateway_call *call, struct str *intent_id)
{
    *intent_id = form_value(&call->form, STR("payment_intent"));
    struct str charge = form_value(&call->form, STR("charge"));
    if (intent_id->ptr)
        return ERR_OK;
    if (!charge.ptr)
        return gateway_refuse(
            call, 400, "parameter_missing", "payment_intent",
            "One of the following params should be provided for this request: payment_intent or charge.");
    struct sandbox_intent_by_charge_row row;
    bool found;
    enum error_code code = sandbox_intent_by_charge(
        call->db, call->arena, (struct sandbox_intent_by_charge_args){charge}, &row, &found);
    if (code)
        return code;
    *intent_id = row.id;
    return found ? ERR_OK : gateway_missing(call, "charge", charge);
}

static enum error_code create(struct gateway_call *call)
{
    static const char *const reasons[] = {"duplicate", "fraudulent", "requested_by_customer", NULL};
    struct sandbox_refund_insert_args args = {
        .id = sandbox_id(call->arena, "re"),
        .reason = form_value(&call->form, STR("reason")),
        .metadata = form_object_json(&call->form, STR("metadata"), call->arena),
    };
    bool known = !args.reason.ptr;
    for (size_t i = 0; reasons[i]; i++)
        known |= str_equal(args.reason, str_from(reasons[i]));
    if (!known)
        return gateway_refuse(call, 400, NULL, "reason",
                              "Invalid reason: must be one of duplicate, fraudulent, or "
                              "requested_by_customer");
    enum error_code code = intent_of_form(call, &args.payment_intent);
    if (code)
        return code;
    struct sandbox_intent_lock_row intent;
    bool found;
    code = sandbox_intent_lock(call->db, call->arena, (struct sandbox_intent_lock_args){args.payment_intent},
                               &intent, &found);
    if (code)
        return code;
    if (!found)
        return gateway_missing(call, "payment_intent", args.payment_intent);
    if (!str_equal(intent.status, STR("succeeded")))
        return gateway_refuse(call, 400, "payment_intent_unexpected_state", "payment_intent",
                              "This PaymentIntent does not have a successful charge to refund.");
    int64_t left = intent.amount - intent.amount_refunded;
    if (left == 0)
        return gateway_refuse(call, 400, "charge_already_refunded", NULL,
                              "The charge has already been refunded.");
    struct str amount = form_value(&call->form, STR("amount"));
    args.amount = left;
    if (amount.ptr)
        code = gateway_amount(call, amount, &args.amount);
    if (code)
        return code;
    if (args.amount > left)
        return gateway_refuse(call, 400, NULL, "amount",
                              "Refund amount (%lld) is greater than unrefunded amount on charge (%lld)",
                              (long long)args.amount, (long long)left);
    struct sandbox_use pending = {.fault = "refund_pending"};
    sandbox_faults_take(call->db, call->arena, GATEWAY_NAME, &pending, 1);
    args.status = pending.fails ? STR("pending") : STR("succeeded");
    code = sandbox_refund_insert(call->db, args, NULL);
    if (code == ERR_OK)
        code = refund_events(call, args.id, args.payment_intent, !pending.fails);
    return code ? code : refund_answer(call, args.id);
}

static enum error_code show_operation(struct gateway_call *call)
{
    return refund_answer(call, call->in->params[0]);
}

static enum error_code list_operation(struct gateway_call *call)
{
    struct gateway_paging paging;
    enum error_code code = gateway_paging(call, &paging);
    if (code)
        return code;
    int64_t since = 0;
    struct str created = form_value(&call->form, STR("created[gte]"));
    if (created.ptr && !str_to_int64(created, &since))
        return gateway_refuse(call, 400, "parameter_invalid_integer", "created[gte]", "Invalid integer");
    struct sandbox_refund_list_args args = {form_value(&call->form, STR("payment_intent")), since,
                                            paging.limit + 1, paging.after, paging.before};
    struct sandbox_refund_list_rows rows;
    code = sandbox_refund_list(call->db, call->arena, args, &rows);
    if (code)
        return code;
    GATEWAY_BODIES(call->arena, rows, bodies)
    return gateway_answer_list(call, PATH, &paging, bodies, rows.count);
}

static const char *const create_known[] = {"payment_intent", "charge", "amount", "reason",
                                           "metadata",       "expand", NULL};
static const char *const show_known[] = {"expand", NULL};
static const char *const list_known[] = {
    "payment_intent", "limit", "starting_after", "ending_before", "expand", "created", NULL};

static enum error_code refund_create(struct request *req, const void *in)
{
    return gateway_change(req, in, create_known, create);
}
static enum error_code refund_show(struct request *req, const void *in)
{
    return gateway_read(req, in, show_known, show_operation);
}
static enum error_code refund_list(struct request *req, const void *in)
{
    return gateway_read(req, in, list_known, list_operation);
}

const struct api_route gateway_refund_routes[] = {
    SANDBOX_ROUTE("sandbox_refund_create", "POST", PATH, refund_create),
    SANDBOX_ROUTE("sandbox_refund_list", "GET", PATH, refund_list),
    SANDBOX_ROUTE("sandbox_refund_show", "GET", PATH "/{id}", refund_show),
    {.path = NULL},
};
