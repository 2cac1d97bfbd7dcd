/* What happens to payments by itself. Each task may run twice and at any time: what it changes goes through
 * payment_finalise and refund_finalise, and what it asks of the gateway has an idempotency key. A process
 * that dies in between leaves rows from which the next run goes on. */
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "payments_sql.h"
#include "shop/payments/payments_internal.h"

#define SWEEP_AT_ONCE_MAX 200
#define EXPIRE_AT_ONCE_MAX 500
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
        code = refund_finalise(run->db, run->arena, event->refund.refund_id, &event->refund, finding, why);
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

/* ---- asking the gateway ---- */

static enum error_code intent_note(struct pg *db, struct payment_id id, const struct gateway_intent *intent)
{
    struct payment_intent_set_args args = {id, intent->id, intent->redirect_url, intent->response};
    return payment_intent_set(db, args, NULL);
}

enum error_code payment_ask(struct pg *db, struct arena *arena, const struct payment_attempt *attempt,
                            struct gateway_intent *intent, struct error *error)
{
    const struct gateway *gateway = payment_gateway();
    if (attempt->intent_id.ptr)
        return gateway->retrieve_intent(db, arena, attempt->intent_id, intent, error);
    struct gateway_intent_request request = {
        .payment_id = attempt->id,
        .order_id = attempt->order_id,
        .order_number = attempt->order_number,
        .amount = attempt->amount,
        .return_url = payment_return_url(arena, attempt->order_id),
    };
    enum error_code code = gateway->create_intent(db, arena, &request, intent, error);
    if (code == ERR_OK)
        code = intent_note(db, attempt->id, intent);
    /* The answer to a repeated question may be the old one: ask how it is now. */
    return code ? code : gateway->retrieve_intent(db, arena, intent->id, intent, error);
}

enum error_code payment_resolve(struct pg *db, struct arena *arena, const struct payment_attempt *attempt,
                                struct error *error)
{
    const struct gateway *gateway = payment_gateway();
    struct gateway_intent intent;
    enum error_code code = payment_ask(db, arena, attempt, &intent, error);
    if (code)
        return code;
    if (intent.state == GATEWAY_INTENT_OPEN || intent.state == GATEWAY_INTENT_FAILED) {
        struct str id = intent.id;
        code = gateway->cancel_intent(db, arena, id, &intent, error);
        if (code == ERR_CONFLICT) /* the shopper was faster */
            code = gateway->retrieve_intent(db, arena, id, &intent, error);
    }
    return code ? code : payment_finalise_now(db, arena, &intent);
}

/* Rows of the queries that list attempts. */
#define ATTEMPT(row)                                                                                         \
    attempt_of((row)->id, (row)->order_id, (row)->number, (row)->amount_minor, (row)->currency,              \
               (row)->intent_id)

static struct payment_attempt attempt_of(struct payment_id id, struct order_id order_id, int64_t number,
                                         int64_t amount_minor, struct str currency_text, struct str intent_id)
{
    struct currency currency;
    CHECK(currency_parse(currency_text, &currency));
    return (struct payment_attempt){.id = id,
                                    .order_id = order_id,
                                    .order_number = number,
                                    .amount = money_of(amount_minor, currency),
                                    .intent_id = intent_id};
}

static bool gateway_is_away(enum error_code code)
{
    return code == ERR_PARTNER || code == ERR_PARTNER_TIMEOUT;
}

static void log_unresolved(struct payment_id id, enum error_code code, const struct error *error)
{
    char text[ID_TEXT_MAX];
    payment_id_text(id, text);
    log_write(LOG_WARN, "payment could not be resolved yet", LOG_TEXT("payment", text),
              LOG_TEXT("code", error_text(code)), LOG_TEXT("detail", error->detail));
}

/* ---- the sweeper ---- */

static enum error_code sweep_one(struct task_run *run, const struct payment_open_list_row *row,
                                 struct error *error)
{
    struct payment_attempt attempt = ATTEMPT(row);
    if (!row->wanted)
        return payment_resolve(run->db, run->arena, &attempt, error);
    struct gateway_intent intent;
    enum error_code code = payment_ask(run->db, run->arena, &attempt, &intent, error);
    return code ? code : payment_finalise_now(run->db, run->arena, &intent);
}

static enum error_code refund_finalise_in_transaction(struct pg *db, void *context);

struct refund_news {
    struct arena *arena;
    struct refund_id id;
    const struct gateway_refund *refund;
    struct task_run *completes; /* the task that ends with it, or NULL */
    enum payment_finding finding;
    const char *why;
};

static enum error_code sweep_refunds(struct task_run *run)
{
    struct refund_pending_list_rows rows;
    struct refund_pending_list_args args = {config()->payment_sweep_after_s, SWEEP_AT_ONCE_MAX};
    enum error_code code = refund_pending_list(run->db, run->arena, args, &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++) {
        struct gateway_refund refund;
        enum error_code one = payment_gateway()->retrieve_refund(
            run->db, run->arena, rows.items[i].gateway_id, &refund, &run->error);
        if (gateway_is_away(one))
            return ERR_OK; /* the next run comes soon */
        struct refund_news news = {.arena = run->arena, .id = rows.items[i].id, .refund = &refund};
        if (one == ERR_OK)
            code = pg_transaction(run->db, refund_finalise_in_transaction, &news);
    }
    return code;
}

/* Payments that are open for long: their webhook may have been lost, or the process that asked. */
enum error_code payment_sweep(struct task_run *run)
{
    struct payment_open_list_rows rows;
    struct payment_open_list_args args = {config()->payment_sweep_after_s, SWEEP_AT_ONCE_MAX};
    enum error_code code = payment_open_list(run->db, run->arena, args, &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++) {
        struct error error = {.code = ERR_OK};
        enum error_code one = sweep_one(run, &rows.items[i], &error);
        if (one)
            log_unresolved(rows.items[i].id, one, &error);
        if (gateway_is_away(one))
            break; /* the next run comes soon */
        code = payment_checked_set(run->db, (struct payment_checked_set_args){rows.items[i].id}, NULL);
    }
    return code ? code : sweep_refunds(run);
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

static enum error_code expire_unrequested(struct task_run *run, size_t *listed)
{
    struct payment_expired_unrequested_rows rows;
    enum error_code code = payment_expired_unrequested(
        run->db, run->arena, (struct payment_expired_unrequested_args){EXPIRE_AT_ONCE_MAX}, &rows);
    *listed = code ? 0 : rows.count;
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++) {
        struct expiry expiry = {run->arena, rows.items[i].order_id};
        code = pg_transaction(run->db, expire_one, &expiry);
    }
    if (code == ERR_OK && rows.count > 0)
        log_write(LOG_INFO, "unpaid orders expired", LOG_INT("orders", (int64_t)rows.count));
    return code;
}

/* One whose payment the gateway knows of is cancelled there first: who pays in that moment has paid. */
static enum error_code expire_requested(struct task_run *run)
{
    struct payment_expired_requested_rows rows;
    enum error_code code = payment_expired_requested(
        run->db, run->arena, (struct payment_expired_requested_args){SWEEP_AT_ONCE_MAX}, &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++) {
        struct payment_attempt attempt = ATTEMPT(&rows.items[i]);
        struct error error = {.code = ERR_OK};
        enum error_code one = payment_resolve(run->db, run->arena, &attempt, &error);
        if (one)
            log_unresolved(attempt.id, one, &error);
        if (gateway_is_away(one))
            break;
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

/* A cancelled order that was paid gives back what it took. */
static enum error_code refund_cancelled(struct pg *db, void *context)
{
    struct closing *closing = context;
    struct arena *arena = closing->run->arena;
    enum error_code code = order_lock(db, arena, closing->order_id, &closing->order);
    if (code == ERR_NOT_FOUND)
        return ERR_OK;
    if (code || closing->order.state != ORDER_CANCELLED)
        return code;
    struct order_cause cause = {.actor = ACTOR_SYSTEM, .reason = STR("Cancelled after it was paid")};
    struct refund_id refund_id;
    code = refund_order(db, arena, &closing->order, cause.reason, &cause, &refund_id);
    return code == ERR_CONFLICT || code == ERR_TRANSITION ? ERR_OK : code;
}

/* An order that was cancelled, or paid by one of several attempts: what is still open at the gateway is
 * closed there. */
enum error_code payment_close(struct task_run *run)
{
    struct closing closing = {.run = run, .order_id = {run->event.aggregate_id}};
    enum error_code code = pg_transaction(run->db, refund_cancelled, &closing);
    if (code || closing.order.state == ORDER_PENDING_PAYMENT)
        return code;
    struct payment_open_of_order_rows rows;
    code = payment_open_of_order(run->db, run->arena, (struct payment_open_of_order_args){closing.order_id},
                                 &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++) {
        struct payment_attempt attempt = ATTEMPT(&rows.items[i]);
        code = payment_resolve(run->db, run->arena, &attempt, &run->error);
    }
    return code;
}

/* ---- refunds ---- */

static enum error_code refund_finalise_in_transaction(struct pg *db, void *context)
{
    struct refund_news *news = context;
    enum error_code code =
        refund_finalise(db, news->arena, news->id, news->refund, &news->finding, &news->why);
    return code || !news->completes ? code : task_complete(news->completes);
}

/* The first try asks at once; later ones read the gateway's list before, since idempotency keys are forgotten
 * after a day. */
static enum error_code refund_ask(struct task_run *run, struct refund_id id,
                                  const struct refund_show_row *row, struct gateway_refund *refund)
{
    const struct gateway *gateway = payment_gateway();
    struct currency currency;
    CHECK(currency_parse(row->currency, &currency));
    if (run->attempt > 1) {
        enum error_code code =
            gateway->find_refund(run->db, run->arena, row->intent_id, id, refund, &run->error);
        if (code != ERR_NOT_FOUND)
            return code;
    }
    struct gateway_refund_request request = {
        .refund_id = id,
        .order_id = row->order_id,
        .intent_id = row->intent_id,
        .amount = money_of(row->amount_minor, currency),
    };
    return gateway->create_refund(run->db, run->arena, &request, refund, &run->error);
}

enum error_code payment_refund_send(struct task_run *run)
{
    struct refund_id id = {run->event.aggregate_id};
    struct refund_show_row row;
    bool found;
    enum error_code code = refund_show(run->db, run->arena, (struct refund_show_args){id}, &row, &found);
    if (code)
        return code;
    if (!found || !row.payment_id.present || !row.intent_id.ptr)
        return task_fail_for_good(run, "there is no such refund, or its payment has no intent");
    /* Accepted before, or ended: the webhook or the sweeper does the rest. */
    if (!str_equal(row.state, STR("requested")) || row.gateway_id.ptr)
        return ERR_OK;
    struct gateway_refund refund;
    code = refund_ask(run, id, &row, &refund);
    struct refund_news news = {.arena = run->arena, .id = id, .refund = &refund, .completes = run};
    if (code == ERR_CONFLICT || code == ERR_NOT_FOUND) {
        /* It will never be done: nothing is left at the gateway, or it does not know the payment. */
        struct currency currency;
        CHECK(currency_parse(row.currency, &currency));
        refund = (struct gateway_refund){.state = GATEWAY_REFUND_FAILED,
                                         .amount = money_of(row.amount_minor, currency),
                                         .intent_id = row.intent_id,
                                         .refund_id = id};
        code = ERR_OK;
    }
    if (code == ERR_OK)
        code = pg_transaction(run->db, refund_finalise_in_transaction, &news);
    if (code == ERR_OK && news.finding == PAYMENT_MISMATCHED)
        log_write(LOG_ERROR, "refund does not fit what the gateway says", LOG_TEXT("why", news.why));
    return code;
}
