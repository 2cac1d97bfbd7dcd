/* What happens to payments by itself. Each task may run twice and at any time: what it changes goes through
 * payment_finalise and refund_finalise, and what it asks of the gateway has an idempotency key. A process
 * that dies in between leaves rows from which the next run goes on. */
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "payments_sql.h"
#include "shop/payments/payments_internal.h"

#define EXPIRE_AT_ONCE_MAX 500
#define RESOLVE_AT_ONCE_MAX 200
#define EXPIRE_ROUNDS_MAX 20

/* ---- webhooks ---- */

/* What the event means: what came of it, and why. */
static enum error_code event_apply(struct task_run *run, const struct gateway_event *event,
                                   enum payment_finding *finding, const char **why)
{
    struct payment_news news = {.intent = &event->intent};
    enum error_code code = ERR_OK;
    switch (event->kind) {
    case GATEWAY_EVENT_INTENT:
        code = payment_finalise(run->db, run->arena, &news);
        *finding = news.finding;
        *why = news.why;
        break;
    case GATEWAY_EVENT_REFUND:
        code =
            uuid_is_zero(event->refund.refund_id.uuid)
                ? refund_adopt_one(run->db, run->arena, &event->refund, finding, why)
                : refund_finalise(run->db, run->arena, event->refund.refund_id, &event->refund, finding, why);
        break;
    case GATEWAY_EVENT_DISPUTE:
        code = payment_dispute_note(run->db, run->arena, &event->dispute, finding, why);
        break;
    case GATEWAY_EVENT_OTHER:
        *finding = PAYMENT_UNCHANGED;
        break;
    }
    return code;
}

enum error_code payment_webhook_process(struct task_run *run)
{
    struct webhook_id id = {run->event.aggregate_id};
    const struct gateway *gateway = payment_gateway();
    struct payment_webhook_lock_row row;
    bool found;
    enum error_code code =
        payment_webhook_lock(run->db, run->arena, (struct payment_webhook_lock_args){id}, &row, &found);
    if (code)
        return code;
    /* Other partners' webhooks have tasks of their own; a repetition finds its work done. */
    if (!found || !str_equal(row.provider, str_from(gateway->provider)) ||
        !str_equal(row.state, str_from(payment_webhook_state_text(WEBHOOK_RECEIVED))))
        return ERR_OK;
    struct gateway_event event = {.kind = GATEWAY_EVENT_OTHER};
    enum payment_finding finding = PAYMENT_MISMATCHED;
    const char *why = "not an event of the gateway";
    if (gateway->parse_event(run->arena, row.body, &event, NULL) == ERR_OK) {
        why = "nothing that the shop acts on";
        code = event_apply(run, &event, &finding, &why);
    }
    if (code)
        return code;
    enum webhook_state result = payment_webhook_state_of(event.kind, finding);
    payment_webhook_note(result, row.event_id, why);
    struct payment_webhook_state_set_args args = {id, str_from(payment_webhook_state_text(result)),
                                                  str_from(why)};
    return payment_webhook_state_set(run->db, args, NULL);
}

enum error_code payment_forget(struct task_run *run)
{
    enum error_code code =
        payment_webhook_forget(run->db, (struct payment_webhook_forget_args){WEBHOOK_KEPT_DAYS}, NULL);
    return code ? code
                : payment_webhook_refusal_forget(
                      run->db, (struct payment_webhook_refusal_forget_args){WEBHOOK_KEPT_DAYS}, NULL);
}

/* ---- orders whose time to pay is over ---- */

struct expiry {
    struct arena *arena;
    struct order_id order_id;
};

/* One whose payment the gateway never heard of. */
static enum error_code expire_one(struct pg *db, void *context)
{
    const struct expiry *expiry = context;
    struct order order;
    struct payment_requested_open_row requested;
    bool found;
    enum error_code code = order_lock(db, expiry->arena, expiry->order_id, &order);
    if (code == ERR_OK)
        code = payment_requested_open(db, expiry->arena, (struct payment_requested_open_args){order.id},
                                      &requested, &found);
    if (code)
        return code;
    /* It may have been paid, begun anew, or the gateway been asked, since it was listed. */
    if (order.state != ORDER_PENDING_PAYMENT || order.expires_at_us == 0 ||
        order.expires_at_us > clock_wall_us() || requested.is_open)
        return ERR_OK;
    struct order_cause cause = {.actor = ACTOR_SYSTEM, .reason = STR("Not paid in time")};
    code = payment_cancel_unrequested(db, (struct payment_cancel_unrequested_args){order.id}, NULL);
    return code ? code : order_release(db, expiry->arena, &order, ORDER_EXPIRED, &cause);
}

/* It has its next turn later; those behind it do not wait for it. */
static enum error_code expiry_failed(struct pg *db, struct order_id order_id, enum error_code code)
{
    char id[ID_TEXT_MAX];
    order_id_text(order_id, id);
    payment_row_failed("expiry", id, code, pg_error(db));
    struct payment_expiry_failed_args args = {order_id, config()->task_retry_base_s};
    return payment_failure_is_of_row(code) ? payment_expiry_failed(db, args, NULL) : code;
}

static enum error_code expire_unrequested(struct task_run *run, size_t *listed)
{
    struct payment_expired_unrequested_rows rows;
    enum error_code code = payment_expired_unrequested(
        run->db, run->arena, (struct payment_expired_unrequested_args){EXPIRE_AT_ONCE_MAX}, &rows);
    *listed = code ? 0 : rows.count;
    size_t expired = 0;
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++) {
        struct expiry expiry = {run->arena, rows.items[i].order_id};
        enum error_code one = pg_transaction(run->db, expire_one, &expiry);
        expired += one == ERR_OK;
        if (one)
            code = expiry_failed(run->db, rows.items[i].order_id, one);
    }
    if (expired > 0)
        log_write(LOG_INFO, "unpaid orders expired", LOG_INT("orders", (int64_t)expired));
    return code;
}

/* One whose payment the gateway knows of is cancelled there first: who pays in that moment has paid. */
static enum error_code expire_requested(struct task_run *run)
{
    struct payment_expired_requested_rows rows;
    enum error_code code = payment_expired_requested(
        run->db, run->arena, (struct payment_expired_requested_args){RESOLVE_AT_ONCE_MAX}, &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count && !payment_gateway()->is_away(); i++) {
        struct payment_attempt attempt = PAYMENT_ATTEMPT(&rows.items[i]);
        struct error error = {.code = ERR_OK};
        enum error_code one = payment_resolve(run->db, run->arena, &attempt, &error);
        code = payment_asked(run->db, attempt.id, one, &error);
    }
    return code;
}

enum error_code payment_expire(struct task_run *run)
{
    size_t listed = EXPIRE_AT_ONCE_MAX;
    enum error_code code = ERR_OK;
    for (int round = 0; code == ERR_OK && listed == EXPIRE_AT_ONCE_MAX && round < EXPIRE_ROUNDS_MAX; round++)
        code = expire_unrequested(run, &listed);
    return code ? code : expire_requested(run);
}

/* ---- orders that wait no longer ---- */

struct closing {
    struct task_run *run;
    struct order_id order_id;
    struct order order;
};

/* A cancelled order ends its payment that was never begun, and gives back what it took. */
static enum error_code end_cancelled(struct pg *db, void *context)
{
    struct closing *closing = context;
    struct arena *arena = closing->run->arena;
    enum error_code code = order_lock(db, arena, closing->order_id, &closing->order);
    if (code == ERR_NOT_FOUND)
        return ERR_OK;
    if (code || closing->order.state != ORDER_CANCELLED)
        return code;
    code = payment_cancel_unrequested(db, (struct payment_cancel_unrequested_args){closing->order_id}, NULL);
    if (code)
        return code;
    struct order_cause cause = {.actor = ACTOR_SYSTEM, .reason = STR("Cancelled after it was paid")};
    struct refund_id refund_id;
    code = refund_order(db, arena, &closing->order, (struct opt_payment_id){0}, cause.reason, &cause,
                        &refund_id);
    return code == ERR_CONFLICT || code == ERR_TRANSITION ? ERR_OK : code;
}

/* An order that was cancelled, paid by one of several attempts, or declined: what the gateway could still
 * turn into money is closed there, each attempt for itself. */
enum error_code payment_close(struct task_run *run)
{
    struct closing closing = {.run = run, .order_id = {run->event.aggregate_id}};
    enum error_code code = pg_transaction(run->db, end_cancelled, &closing);
    struct payment_unwanted_of_order_rows rows = {0};
    if (!code)
        code = payment_unwanted_of_order(run->db, run->arena,
                                         (struct payment_unwanted_of_order_args){closing.order_id}, &rows);
    for (size_t i = 0; i < rows.count; i++) {
        struct payment_attempt attempt = PAYMENT_ATTEMPT(&rows.items[i]);
        struct error error = {.code = ERR_OK};
        enum error_code one = payment_resolve(run->db, run->arena, &attempt, &error);
        enum error_code noted = payment_asked(run->db, attempt.id, one, &error);
        if (!code && (one || noted))
            code = error_set(&run->error, one ? one : noted, "%s", error.detail);
    }
    return code;
}
