#include "shop/loyalty/loyalty_module.h"

#include "base/log.h"
#include "loyalty_sql.h"
#include "shop/loyalty/loyalty.h"

#define EARNINGS_AT_ONCE 500

/* Every customer has an account from the start, so that checkout finds one to lock. */
enum error_code loyalty_account_open_task(struct task_run *run)
{
    struct account_id account_id;
    return loyalty_account_ensure(run->db, run->arena, (struct user_id){run->event.aggregate_id},
                                  &account_id);
}

/* A release that knew of no debts may have posted to somebody who owes. */
static enum error_code pay_debts_left(struct task_run *run)
{
    struct loyalty_debt_left_rows rows;
    enum error_code code =
        loyalty_debt_left(run->db, run->arena, (struct loyalty_debt_left_args){EARNINGS_AT_ONCE}, &rows);
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++)
        code = loyalty_debt_pay(run->db, (struct loyalty_debt_pay_args){rows.items[i].id, uuid_new()}, NULL);
    return code;
}

/* One batch a transaction; what is left waits for the next tick of the schedule. */
enum error_code loyalty_earnings_post_task(struct task_run *run)
{
    struct earning_post_due_row row;
    bool found;
    enum error_code code =
        earning_post_due(run->db, run->arena, (struct earning_post_due_args){EARNINGS_AT_ONCE}, &row, &found);
    if (!code && row.posted > 0)
        log_write(LOG_INFO, "earned points posted", LOG_INT("earnings", row.posted));
    return code ? code : pay_debts_left(run);
}
