/* Accounts and sessions in the database. Nobody outside the module calls these. */
#ifndef CATHAY_SHOP_ACCOUNTS_ACCOUNTS_SESSION_H
#define CATHAY_SHOP_ACCOUNTS_ACCOUNTS_SESSION_H

#include "accounts_sql.h"
#include "api.h"
#include "shop/accounts/accounts.h"
#include "shop/accounts/accounts_rules.h"

/* A session that begins or goes on: what its client is told. */
struct session_grant {
    struct session_id session_id;
    struct refresh_token refresh_token;
    struct api_user user;
};

/* Blanks, letters and rules: fills *email and trims draft->name, or adds fields. ERR_VALIDATION. */
enum error_code user_draft_check(struct arena *arena, struct user_draft *draft, struct str *email,
                                 struct error *error);

/* In a transaction. Inserts the account, publishes its event and fills *user. ERR_EMAIL_TAKEN, ERR_VALIDATION
 * (vendor_id). */
enum error_code user_store(struct pg *db, struct arena *arena, const struct user_draft *draft,
                           struct str email, const char *hash, struct str traceparent, struct api_user *user,
                           struct error *error);
/* In a transaction, with the row locked: ERR_FORBIDDEN when the account is blocked or its vendor closed. What
 * is found open stays so until the transaction ends. */
enum error_code account_is_out(struct pg *db, struct arena *arena, const struct user_lock_row *user,
                               struct error *error);
/* In a transaction that holds the account's row: a new session of grant->user. */
enum error_code session_begin(struct pg *db, struct session_grant *grant);
/* Opens its own transaction: the next tokens for a refresh token. ERR_UNAUTHENTICATED: unknown, or the
 * session is over; ERR_TOKEN_REUSED: the session has been ended because of it. */
enum error_code session_refresh(struct pg *db, struct arena *arena, struct str text,
                                struct session_grant *grant, struct error *error);
/* Answers with one account. */
enum error_code user_respond(struct request *req, int status, const struct api_user *user);
/* The account as the wire has it; ERR_NOT_FOUND. */
enum error_code user_load(struct pg *db, struct arena *arena, struct user_id id, struct api_user *user);
/* In a transaction: "user.blocked" and the like. */
enum error_code user_event_publish(struct pg *db, struct arena *arena, struct str type, struct user_id id,
                                   struct str role, struct str traceparent);
/* In a transaction, with the row from user_lock: blocks or unblocks, unless it is so already. */
enum error_code user_state_change(struct pg *db, struct arena *arena, struct user_id id,
                                  const struct user_lock_row *row, bool block, struct str traceparent);
/* In a transaction: another password, which ends all sessions but `kept` (zero: all). ERR_NOT_FOUND. */
enum error_code user_password_replace(struct pg *db, struct user_id id, const char *hash,
                                      struct session_id kept);
/* What cart's module asked to be told. */
void accounts_signed_in(struct pg *db, struct arena *arena, const struct api_user *user, bool has_cart,
                        struct cart_id cart_id);

/* A row of users as the wire has it; `row` is any row with those columns. */
#define USER_OF_ROW(row)                                                                                     \
    ((struct api_user){.id = (row).id,                                                                       \
                       .email = (row).email,                                                                 \
                       .name = (row).name,                                                                   \
                       .role = api_user_role_parse((row).role),                                              \
                       .state = api_user_state_parse((row).state),                                           \
                       .has_vendor_id = (row).vendor_id.present,                                             \
                       .vendor_id = (row).vendor_id.value,                                                   \
                       .created_at = (row).created_at})

#endif
