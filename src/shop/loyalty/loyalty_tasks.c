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
    for (size_t i = 0; code == ERR_OK && i < rows.count; i++) {
        struct loyalty_debt_pay_args args = {rows.items[i].id, uuid_new()};
        enum error_code one = loyalty_debt_pay(run->db, args, NULL);
        if (one)
            log_write(LOG_ERROR, "a debt of points could not be paid", LOG_TEXT("code", error_text(one)));
        if (one == ERR_DATABASE)
            code = one;
    }
    return code;
}

struct posting {
    struct arena *arena;
    struct opt_order_id only;
    int64_t posted;
};

static enum error_code post(struct pg *db, void *context)
{
    struct posting *posting = context;
    struct earning_post_due_row row;
    bool found;
    struct earning_post_due_args args = {EARNINGS_AT_ONCE, posting->only};
    enum error_code code = earning_post_due(db, posting->arena, args, &row, &found);
    if (!code)
        posting->posted += row.posted;
    return code;
}

/* One of the batch cannot be posted: the others are, each for itself. */
static enum error_code post_each(struct task_run *run, struct posting *posting)
{
    struct earning_due_list_rows rows;
    enum error_code code =
        earning_due_list(run->db, run->arena, (struct earning_due_list_args){EARNINGS_AT_ONCE}, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        posting->only = (struct opt_order_id){true, rows.items[i].order_id};
        enum error_code one = pg_transaction(run->db, post, posting);
        if (!one)
            continue;
        char id[ID_TEXT_MAX];
        order_id_text(rows.items[i].order_id, id);
        log_write(LOG_ERROR, "earned points could not be posted", LOG_TEXT("order", id),
                  LOG_TEXT("code", error_text(one)));
        if (one == ERR_DATABASE)
            code = one;
    }
    return code;
}

/* One batch a transaction; what is left waits for the next tick of the schedule. */
enum error_code loyalty_earnings_post_task(struct task_run *run)
{
    struct posting posting = {.arena = run->arena};
    enum error_code code = pg_transaction(run->db, post, &posting);
    if (code && code != ERR_DATABASE)
        code = post_each(run, &posting);
    if (!code && posting.posted > 0)
        log_write(LOG_INFO, "earned points posted", LOG_INT("earnings", posting.posted));
    return code ? code : pay_debts_left(run);
}
