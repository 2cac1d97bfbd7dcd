#include "shop/loyalty/loyalty_module.h"

#include "loyalty_sql.h"

static enum error_code check_balances(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct verify_balance_is_sum_rows rows;
    enum error_code code = verify_balance_is_sum(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        const struct verify_balance_is_sum_row *row = &rows.items[i];
        char id[ID_TEXT_MAX];
        account_id_text(row->account_id, id);
        violation_add(violations, id,
                      "posted %lld but entries say %lld; held %lld, %lld; incoming %lld, %lld; debt %lld, "
                      "%lld",
                      (long long)row->posted, (long long)row->posted_sum, (long long)row->held,
                      (long long)row->held_sum, (long long)row->incoming, (long long)row->incoming_sum,
                      (long long)row->debt, (long long)row->debt_sum);
    }
    return code;
}

static void add_transfer(struct violations *violations, struct uuid root_id, int step, const char *what)
{
    char id[ID_TEXT_MAX];
    transfer_id_text((struct transfer_id){root_id}, id);
    violation_add(violations, id, "step %d %s", step, what);
}

static enum error_code check_closings(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct verify_closing_matches_opening_rows rows;
    enum error_code code = verify_closing_matches_opening(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++)
        add_transfer(violations, rows.items[i].root_id, rows.items[i].step,
                     "does not fit the step that it closes or reverses");
    return code;
}

static enum error_code check_accounts(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct verify_transfer_accounts_rows rows;
    enum error_code code = verify_transfer_accounts(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++)
        add_transfer(violations, rows.items[i].root_id, rows.items[i].step,
                     "names an account that does not exist");
    return code;
}

static enum error_code check_earnings(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct verify_earning_matches_transfer_rows rows;
    enum error_code code = verify_earning_matches_transfer(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        order_id_text(rows.items[i].order_id, id);
        violation_add(violations, id, "its earning and the pending transfer disagree");
    }
    return code;
}

static enum error_code check_debts(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct verify_debt_first_rows rows;
    enum error_code code = verify_debt_first(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        account_id_text(rows.items[i].account_id, id);
        violation_add(violations, id, "owes %lld and has %lld available", (long long)rows.items[i].debt,
                      (long long)rows.items[i].available);
    }
    return code;
}

static enum error_code check_given_back(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct verify_given_back_within_taken_rows rows;
    enum error_code code = verify_given_back_within_taken(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        order_id_text((struct order_id){rows.items[i].order_id.value}, id);
        violation_add(violations, id, "took %lld points and gave %lld back", (long long)rows.items[i].taken,
                      (long long)rows.items[i].given);
    }
    return code;
}

static const struct task_definition tasks[] = {
    {.name = "loyalty_account_open",
     .events = (const char *const[]){"user.registered", NULL},
     .run = loyalty_account_open_task,
     .mode = TASK_TRANSACTION,
     .priority = TASK_HIGH},
    {.name = "loyalty_earnings_post",
     .run = loyalty_earnings_post_task,
     .mode = TASK_FREE,
     .priority = TASK_LOW},
    {NULL},
};

static const struct event_definition events[] = {
    {"miles.moved", "balance"}, /* written by a trigger of ledger_account */
    {"miles_policy.changed", "miles_policy"},
    {NULL},
};

static const struct schedule_definition schedules[] = {
    {"loyalty_earnings_post", 60, "posts earned points whose return window has passed"},
    {NULL},
};

static const struct invariant invariants[] = {
    {"ledger_balance_is_sum",
     "a customer's posted, held, incoming and owed points equal the sums of the transfers", check_balances},
    {"ledger_debt_first", "who owes points has none available: what comes in pays first", check_debts},
    {"ledger_given_back_within_taken", "an order gives back no more points than it took", check_given_back},
    {"ledger_closing_fits", "what closes or reverses a transfer names the same accounts and points",
     check_closings},
    {"ledger_accounts_exist", "every transfer moves between two accounts, so that the ledger sums to zero",
     check_accounts},
    {"earning_fits_transfer", "an earning is open exactly as long as its transfer is pending",
     check_earnings},
    {NULL},
};

const struct module loyalty_module = {
    .name = "loyalty",
    .events = events,
    .tasks = tasks,
    .schedules = schedules,
    .invariants = invariants,
};
