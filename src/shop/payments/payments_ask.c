/* Asking the gateway about attempts, and what follows from its answer. Lists of attempts are worked through
 * row by row: a row that fails is logged and counted, has its next turn later and later, and stops none of
 * those behind it. Only where the gateway's circuit is open, or the database is away, a list ends early,
 * because then no row would come further. */
#include "base/check.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "payments_sql.h"
#include "shop/payments/payments_internal.h"

/* Where a test lets failed tasks come again at once, this comes at once too. */
#define BACKOFF_BASE_S config()->task_retry_base_s

struct payment_attempt payment_attempt_of(struct payment_id id, struct order_id order_id, int64_t number,
                                          int64_t amount_minor, struct str currency_text,
                                          struct str intent_id, int ask_failures)
{
    struct currency currency;
    CHECK(currency_parse(currency_text, &currency));
    return (struct payment_attempt){.id = id,
                                    .order_id = order_id,
                                    .order_number = number,
                                    .amount = money_of(amount_minor, currency),
                                    .intent_id = intent_id,
                                    .ask_failures = ask_failures};
}

bool payment_failure_is_of_row(enum error_code code)
{
    return code != ERR_DATABASE;
}

void payment_row_failed(const char *what, const char *id, enum error_code code, const struct error *error)
{
    char label[64];
    snprintf(label, sizeof label, "list=\"%s\"", what);
    metric_add(metric_counter("cathay_payment_rows_failed_total",
                              "Payments, refunds and orders of a list that could not be done", label),
               1);
    log_write(LOG_WARN, "one of a list could not be done yet", LOG_TEXT("list", what), LOG_TEXT("id", id),
              LOG_TEXT("code", error_text(code)), LOG_TEXT("detail", error->detail));
}

enum error_code payment_asked(struct pg *db, struct payment_id id, enum error_code code,
                              const struct error *error)
{
    if (!code)
        return payment_checked_set(db, (struct payment_checked_set_args){id}, NULL);
    char text[ID_TEXT_MAX];
    payment_id_text(id, text);
    payment_row_failed("payments", text, code, error);
    if (!payment_failure_is_of_row(code))
        return code;
    return payment_ask_failed(db, (struct payment_ask_failed_args){id, BACKOFF_BASE_S}, NULL);
}

struct gateway_intent payment_refused_intent(const struct payment_attempt *attempt, struct str failure)
{
    return (struct gateway_intent){.id = attempt->intent_id,
                                   .state = GATEWAY_INTENT_REFUSED,
                                   .amount = attempt->amount,
                                   .failure = failure,
                                   .order_id = attempt->order_id,
                                   .payment_id = attempt->id};
}

/* One that was known to the shop. */
static enum error_code retrieve(struct pg *db, struct arena *arena, const struct payment_attempt *attempt,
                                struct gateway_intent *intent, struct error *error)
{
    enum error_code code = payment_gateway()->retrieve_intent(db, arena, attempt->intent_id, intent, error);
    if (code != ERR_NOT_FOUND || attempt->ask_failures + 1 < PAYMENT_UNKNOWN_ENDS_AFTER)
        return code;
    char id[ID_TEXT_MAX];
    payment_id_text(attempt->id, id);
    log_write(LOG_ERROR, "the gateway does not know a payment that it has made: it is taken for gone",
              LOG_TEXT("payment", id));
    *intent = payment_refused_intent(attempt, STR("intent_unknown"));
    return ERR_OK;
}

enum error_code payment_ask(struct pg *db, struct arena *arena, const struct payment_attempt *attempt,
                            struct gateway_intent *intent, struct error *error)
{
    const struct gateway *gateway = payment_gateway();
    if (attempt->intent_id.ptr)
        return retrieve(db, arena, attempt, intent, error);
    struct gateway_intent_request request = {
        .payment_id = attempt->id,
        .order_id = attempt->order_id,
        .order_number = attempt->order_number,
        .amount = attempt->amount,
        .return_url = payment_return_url(arena, attempt->order_id),
    };
    enum error_code code = gateway->create_intent(db, arena, &request, intent, error);
    if (code == ERR_PARTNER_REFUSED) {
        *intent = payment_refused_intent(attempt, intent->failure);
        return ERR_OK;
    }
    struct payment_intent_set_args args = {attempt->id, intent->id, intent->redirect_url, intent->response};
    if (code == ERR_OK)
        code = payment_intent_set(db, args, NULL);
    /* The answer to a repeated question may be the old one: ask how it is now. */
    return code ? code : gateway->retrieve_intent(db, arena, intent->id, intent, error);
}

/* *kept: the gateway keeps it open for good. */
static enum error_code cancel(struct pg *db, struct arena *arena, struct gateway_intent *intent, bool *kept,
                              struct error *error)
{
    const struct gateway *gateway = payment_gateway();
    struct gateway_intent before = *intent;
    enum error_code code = gateway->cancel_intent(db, arena, before.id, intent, error);
    *kept = code == ERR_PARTNER_REFUSED || code == ERR_NOT_FOUND;
    if (*kept) {
        struct str failure = intent->failure;
        *intent = before;
        intent->state = GATEWAY_INTENT_FAILED;
        intent->failure = failure;
        return ERR_OK;
    }
    if (code == ERR_CONFLICT) /* the shopper was faster, or the money is on its way */
        code = gateway->retrieve_intent(db, arena, before.id, intent, error);
    return code;
}

enum error_code payment_resolve(struct pg *db, struct arena *arena, const struct payment_attempt *attempt,
                                struct error *error)
{
    struct gateway_intent intent;
    bool kept = false;
    enum error_code code = payment_ask(db, arena, attempt, &intent, error);
    if (!code && (intent.state == GATEWAY_INTENT_OPEN || intent.state == GATEWAY_INTENT_FAILED))
        code = cancel(db, arena, &intent, &kept, error);
    if (!code)
        code = payment_finalise_now(db, arena, &intent);
    if (code)
        return code;
    if (kept)
        return error_set(error, ERR_PARTNER_REFUSED, "the gateway does not cancel the payment: %.*s",
                         STR_ARG(intent.failure));
    if (intent.state == GATEWAY_INTENT_OPEN)
        return error_set(error, ERR_CONFLICT, "the gateway is working on the payment");
    return intent.state == GATEWAY_INTENT_SUCCEEDED
               ? ERR_OK
               : payment_closed_set(db, (struct payment_closed_set_args){attempt->id}, NULL);
}
