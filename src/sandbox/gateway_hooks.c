/* What tests press instead of the hosted page's buttons, and the settling of refunds that wait. */
#include "sandbox/gateway.h"

#include "gateway_sql.h"
#include "sandbox/sandbox_hooks.h"
#include "sandbox/webhooks.h"

struct press {
    struct arena *arena;
    struct str id;
    enum error_code (*act)(struct pg *db, struct arena *arena, struct str id);
};

static enum error_code dispute(struct pg *db, struct arena *arena, struct str id, const char *type,
                               struct str status)
{
    struct sandbox_dispute_show_row row;
    bool found;
    struct sandbox_dispute_show_args args = {id, status};
    enum error_code code = sandbox_dispute_show(db, arena, args, &row, &found);
    if (code == ERR_OK && !found)
        return ERR_CONFLICT;
    return code ? code : gateway_event(db, arena, type, row.id, row.body);
}

static enum error_code dispute_open(struct pg *db, struct arena *arena, struct str id)
{
    return dispute(db, arena, id, "charge.dispute.created", STR("needs_response"));
}

static enum error_code dispute_lose(struct pg *db, struct arena *arena, struct str id)
{
    return dispute(db, arena, id, "charge.dispute.closed", STR("lost"));
}

static enum error_code press_in_transaction(struct pg *db, void *context)
{
    struct press *press = context;
    return press->act(db, press->arena, press->id);
}

static enum error_code intent_press(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    struct press press = {.arena = req->arena, .id = in->params[0]};
    if (str_equal(in->params[1], STR("pay")))
        press.act = gateway_intent_pay;
    else if (str_equal(in->params[1], STR("decline")))
        press.act = gateway_intent_decline;
    else if (str_equal(in->params[1], STR("dispute")))
        press.act = dispute_open;
    else if (str_equal(in->params[1], STR("dispute_lose")))
        press.act = dispute_lose;
    else
        return sandbox_hook_wrong(req, 404, "there are pay, decline, dispute and dispute_lose");
    enum error_code code = pg_transaction(req->db, press_in_transaction, &press);
    if (code == ERR_NOT_FOUND)
        return sandbox_hook_wrong(req, 404, "there is no such payment intent");
    if (code == ERR_CONFLICT)
        return sandbox_hook_wrong(req, 409, "the payment intent's status does not allow that");
    if (code)
        return code;
    sandbox_webhooks_wake();
    struct sandbox_intent_show_row row;
    bool found;
    code =
        sandbox_intent_show(req->db, req->arena, (struct sandbox_intent_show_args){press.id}, &row, &found);
    return code ? code : respond_json(req, 200, row.body);
}

struct settlement {
    struct arena *arena;
    struct str id;
    bool succeeded;
    struct str body;
};

static enum error_code settle_in_transaction(struct pg *db, void *context)
{
    struct settlement *settlement = context;
    struct sandbox_refund_settle_args args = {
        .id = settlement->id,
        .status = settlement->succeeded ? STR("succeeded") : STR("failed"),
        .failure_reason = settlement->succeeded ? STR_NONE : STR("declined"),
    };
    int64_t affected = 0;
    enum error_code code = sandbox_refund_settle(db, args, &affected);
    if (code)
        return code;
    if (!affected)
        return ERR_CONFLICT;
    struct sandbox_refund_show_row row;
    bool found;
    code = sandbox_refund_show(db, settlement->arena, (struct sandbox_refund_show_args){settlement->id}, &row,
                               &found);
    if (code)
        return code;
    settlement->body = row.body;
    code = gateway_event(db, settlement->arena, "refund.updated", settlement->id, row.body);
    if (code == ERR_OK && !settlement->succeeded)
        code = gateway_event(db, settlement->arena, "refund.failed", settlement->id, row.body);
    return code;
}

static enum error_code refund_settle(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    bool succeeded = str_equal(in->params[1], STR("succeed"));
    if (!succeeded && !str_equal(in->params[1], STR("fail")))
        return sandbox_hook_wrong(req, 404, "there are succeed and fail");
    struct settlement settlement = {.arena = req->arena, .id = in->params[0], .succeeded = succeeded};
    enum error_code code = pg_transaction(req->db, settle_in_transaction, &settlement);
    if (code == ERR_CONFLICT)
        return sandbox_hook_wrong(req, 409, "there is no such refund, or it does not wait");
    if (code)
        return code;
    sandbox_webhooks_wake();
    return respond_json(req, 200, settlement.body);
}

const struct api_route gateway_hook_routes[] = {
    SANDBOX_ROUTE("sandbox_intent_press", "POST", "/sandbox/payment_intents/{id}/{action}", intent_press),
    SANDBOX_ROUTE("sandbox_refund_settle", "POST", "/sandbox/refunds/{id}/{action}", refund_settle),
    {.path = NULL},
};
