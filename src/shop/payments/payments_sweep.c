/* What the gateway was to tell and did not: its webhook was lost, or the process that asked. Payments and
 * refunds that are open for long are asked about, and what failed here is closed there. */
#include "base/check.h"
#include "base/config.h"
#include "base/log.h"
#include "payments_sql.h"
#include "shop/payments/payments_internal.h"

#define AT_ONCE_MAX 200
#define UNBEGUN_AT_ONCE_MAX 1000
#define UNBEGUN_ROUNDS_MAX 20

static enum error_code sweep_one(struct task_run *run, const struct payment_open_list_row *row,
                                 struct error *error)
{
    struct payment_attempt attempt = PAYMENT_ATTEMPT(row);
    if (!row->wanted)
        return payment_resolve(run->db, run->arena, &attempt, error);
    struct gateway_intent intent;
    enum error_code code = payment_ask(run->db, run->arena, &attempt, &intent, error);
    return code ? code : payment_finalise_now(run->db, run->arena, &intent);
}

static enum error_code sweep_open(struct task_run *run)
{
    struct payment_open_list_rows rows;
    struct payment_open_list_args args = {config()->payment_sweep_after_s, AT_ONCE_MAX};
    enum error_code code = payment_open_list(run->db, run->arena, args, &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count && !payment_gateway()->is_away(); i++) {
        struct error error = {.code = ERR_OK};
        enum error_code one = sweep_one(run, &rows.items[i], &error);
        code = payment_asked(run->db, rows.items[i].id, one, &error);
    }
    return code;
}

static enum error_code sweep_unclosed(struct task_run *run)
{
    struct payment_unclosed_list_rows rows;
    struct payment_unclosed_list_args args = {config()->payment_sweep_after_s, AT_ONCE_MAX};
    enum error_code code = payment_unclosed_list(run->db, run->arena, args, &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count && !payment_gateway()->is_away(); i++) {
        struct payment_attempt attempt = PAYMENT_ATTEMPT(&rows.items[i]);
        struct error error = {.code = ERR_OK};
        enum error_code one = payment_resolve(run->db, run->arena, &attempt, &error);
        code = payment_asked(run->db, attempt.id, one, &error);
    }
    return code;
}

/* A refund that the gateway has accepted. */
static enum error_code sweep_refund(struct task_run *run, const struct refund_pending_list_row *row,
                                    struct error *error)
{
    struct gateway_refund refund;
    enum error_code code =
        payment_gateway()->retrieve_refund(run->db, run->arena, row->gateway_id, &refund, error);
    if (code == ERR_NOT_FOUND && row->ask_failures + 1 >= PAYMENT_UNKNOWN_ENDS_AFTER) {
        struct currency currency;
        CHECK(currency_parse(row->currency, &currency));
        refund = (struct gateway_refund){.id = row->gateway_id,
                                         .state = GATEWAY_REFUND_FAILED,
                                         .amount = money_of(row->amount_minor, currency),
                                         .intent_id = row->intent_id,
                                         .refund_id = row->id,
                                         .failure = STR("refund_unknown")};
        code = ERR_OK;
    }
    return code ? code : refund_finalise_now(run->db, run->arena, row->id, &refund);
}

static enum error_code sweep_refunds(struct task_run *run)
{
    struct refund_pending_list_rows rows;
    struct refund_pending_list_args args = {config()->payment_sweep_after_s, AT_ONCE_MAX};
    enum error_code code = refund_pending_list(run->db, run->arena, args, &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count && !payment_gateway()->is_away(); i++) {
        struct error error = {.code = ERR_OK};
        enum error_code one = sweep_refund(run, &rows.items[i], &error);
        if (!one)
            continue;
        char id[ID_TEXT_MAX];
        refund_id_text(rows.items[i].id, id);
        payment_row_failed("refunds", id, one, &error);
        code = payment_failure_is_of_row(one)
                   ? refund_ask_failed(
                         run->db,
                         (struct refund_ask_failed_args){rows.items[i].id, config()->task_retry_base_s}, NULL)
                   : one;
    }
    return code;
}

enum error_code payment_sweep(struct task_run *run)
{
    enum error_code code = sweep_open(run);
    if (!code)
        code = sweep_unclosed(run);
    return code ? code : sweep_refunds(run);
}

/* An order that is cancelled ends its payment at once (payment_close); this is for those that ended before it
 * did so, and for whatever is missed. */
enum error_code payment_end_unbegun(struct task_run *run)
{
    enum error_code code = ERR_OK;
    int64_t ended = UNBEGUN_AT_ONCE_MAX;
    for (int round = 0; !code && ended == UNBEGUN_AT_ONCE_MAX && round < UNBEGUN_ROUNDS_MAX; round++)
        code = payment_cancel_unbegun(run->db, (struct payment_cancel_unbegun_args){UNBEGUN_AT_ONCE_MAX},
                                      &ended);
    return code;
}
