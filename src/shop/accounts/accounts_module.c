#include "accounts_sql.h"
#include "shop/accounts/accounts.h"
#include "shop/accounts/accounts_rules.h"
#include "shop/accounts/accounts_token.h"

#define SWEEP_MAX 5000
#define REVOKED_SWEEP_MAX 500000 /* rows without anything that hangs on them */

static enum error_code session_sweep_task(struct task_run *run)
{
    enum error_code code = session_sweep(run->db, (struct session_sweep_args){SWEEP_MAX}, NULL);
    return code ? code : revoked_sweep(run->db, (struct revoked_sweep_args){REVOKED_SWEEP_MAX}, NULL);
}

static enum error_code check_tokens(struct pg *db, struct arena *arena, struct violations *violations)
{
    char id[ID_TEXT_MAX];
    struct verify_session_tokens_rows sessions;
    enum error_code code = verify_session_tokens(db, arena, &sessions);
    for (size_t i = 0; !code && i < sessions.count; i++) {
        session_id_text(sessions.items[i].session_id, id);
        violation_add(violations, id, "%lld unused refresh tokens instead of one",
                      (long long)sessions.items[i].unused);
    }
    struct verify_token_successors_rows tokens;
    if (!code)
        code = verify_token_successors(db, arena, &tokens);
    for (size_t i = 0; !code && i < tokens.count; i++) {
        session_id_text(tokens.items[i].session_id, id);
        violation_add(violations, id, "a used refresh token has no successor in its session");
    }
    return code;
}

static enum error_code check_blocked(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct verify_blocked_have_no_session_rows rows;
    enum error_code code = verify_blocked_have_no_session(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        user_id_text(rows.items[i].user_id, id);
        violation_add(violations, id, "is blocked, or its vendor closed, and has %lld open sessions",
                      (long long)rows.items[i].sessions);
    }
    return code;
}

static enum error_code check_revoked(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct verify_ended_are_revoked_rows rows;
    enum error_code code = verify_ended_are_revoked(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        session_id_text(rows.items[i].session_id, id);
        violation_add(violations, id, "has ended, and servers are not told");
    }
    return code;
}

static enum error_code start(struct pg *db, struct error *error)
{
    (void)db;
    enum error_code code = token_service_start(error);
    return code ? code : password_service_start(error);
}

static const struct task_definition tasks[] = {
    {.name = "session_sweep", .run = session_sweep_task, .mode = TASK_TRANSACTION, .priority = TASK_LOW},
    {NULL},
};

static const struct schedule_definition schedules[] = {
    {"session_sweep", 3600,
     "removes sessions that were over for thirty days, and what is kept of ended ones for servers"},
    {NULL},
};

static const struct event_definition events[] = {
    {"user.registered", NULL},
    {"user.created", NULL},
    {"user.blocked", NULL},
    {"user.unblocked", NULL},
    {NULL},
};

static const struct invariant invariants[] = {
    {"session_has_one_good_token",
     "an open session has exactly one unused refresh token, and used ones name their successor",
     check_tokens},
    {"blocked_account_has_no_session", "a blocked account and one of a closed vendor have no open session",
     check_blocked},
    {"ended_session_is_revoked", "what ended within a day is in the list that servers read", check_revoked},
    {NULL},
};

const struct module accounts_module = {
    .name = "accounts",
    .events = events,
    .tasks = tasks,
    .schedules = schedules,
    .invariants = invariants,
    .start = start,
    .stop = token_service_stop,
};
