/* Sending refunds. Each may be sent several times: it has an idempotency key, and what the gateway says goes
 * through refund_finalise. */
#include "base/check.h"
#include "base/log.h"
#include "payments_sql.h"
#include "shop/payments/payments_internal.h"

struct refund_news {
    struct arena *arena;
    struct refund_id id;
    const struct gateway_refund *refund;
    struct task_run *completes; /* the task that ends with it, or NULL */
    enum payment_finding finding;
    const char *why;
};

static enum error_code refund_finalise_in_transaction(struct pg *db, void *context)
{
    struct refund_news *news = context;
    enum error_code code =
        refund_finalise(db, news->arena, news->id, news->refund, &news->finding, &news->why);
    return code || !news->completes ? code : task_complete(news->completes);
}

enum error_code refund_finalise_now(struct pg *db, struct arena *arena, struct refund_id id,
                                    const struct gateway_refund *refund)
{
    struct refund_news news = {.arena = arena, .id = id, .refund = refund};
    enum error_code code = pg_transaction(db, refund_finalise_in_transaction, &news);
    if (code == ERR_OK && news.finding == PAYMENT_MISMATCHED)
        log_write(LOG_ERROR, "refund does not fit what the gateway says", LOG_TEXT("why", news.why));
    return code;
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
    if (code == ERR_CONFLICT || code == ERR_NOT_FOUND || code == ERR_PARTNER_REFUSED) {
        /* It will never be done: nothing is left at the gateway, or it does not know the payment. */
        struct str failure = refund.failure;
        struct currency currency;
        CHECK(currency_parse(row.currency, &currency));
        refund = (struct gateway_refund){.state = GATEWAY_REFUND_FAILED,
                                         .amount = money_of(row.amount_minor, currency),
                                         .intent_id = row.intent_id,
                                         .refund_id = id,
                                         .failure = failure};
        code = ERR_OK;
    }
    if (code == ERR_OK)
        code = pg_transaction(run->db, refund_finalise_in_transaction, &news);
    if (code == ERR_OK && news.finding == PAYMENT_MISMATCHED)
        log_write(LOG_ERROR, "refund does not fit what the gateway says", LOG_TEXT("why", news.why));
    /* Somebody may have refunded it at the gateway: what is left is counted anew. The task has ended; what
     * fails here is looked for again by payment_reconcile. */
    if (code == ERR_OK && refund.state == GATEWAY_REFUND_FAILED)
        refund_look_for(run->db, run->arena, row.intent_id, 0, NULL);
    return code;
}
