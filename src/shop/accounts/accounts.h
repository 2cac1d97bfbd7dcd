/* Accounts: people who sign in, their sessions and their tokens. Owns users, session, refresh_token. Refuses
 * to tell whether an e-mail address is known, and to keep a password or a token: only hashes are stored.
 *
 * An access token (JWT, EdDSA) is checked without the database and lives minutes; a refresh token is good for
 * one use and belongs to a session. A session that has ended takes its access tokens with it, within
 * session_trust_ms on every server (accounts_session()). */
#ifndef CATHAY_SHOP_ACCOUNTS_ACCOUNTS_H
#define CATHAY_SHOP_ACCOUNTS_ACCOUNTS_H

#include "http/request.h"
#include "work/work.h"

#define PASSWORD_CHARACTERS_MIN 10
#define PASSWORD_CHARACTERS_MAX 128

extern const struct module accounts_module;

/* The server's authenticate hook. Absent bearer: anonymous. ERR_UNAUTHENTICATED: not ours, expired or
 * malformed. Any thread; does not block: a token that was verified before is found in a bounded cache. */
enum error_code accounts_authenticate(struct request *req, struct str bearer, struct principal *principal);

/* Whom a token claims to be of, without any check of it: right for every token that this shop has signed, and
 * whatever a forger likes for others. So it may only decide what tells and changes nothing. False: it is not
 * of the form of ours. Pure; does not block. */
bool accounts_claimed_user(struct str bearer, struct user_id *user_id);

/* The server's session hook: what this process knows of the session of an access token. Any thread; does not
 * block. Without accounts_revoked_start() all are open. */
enum session_word accounts_session(const struct principal *principal);
/* The server's session_ask hook: ERR_UNAUTHENTICATED when the session has ended or the account is blocked
 * since the access token was given out. Blocks, one statement. */
enum error_code accounts_session_check(struct pg *db, struct arena *arena, const struct principal *principal);

/* Of this process: begins and ends to follow which sessions have ended. */
void accounts_revoked_start(void);
void accounts_revoked_stop(void);
/* After a commit that has ended sessions: this server knows at once, the others when they ask next. One
 * statement; what fails is made up for by the next poll. */
enum error_code accounts_revoked_read(struct pg *db, struct arena *arena);

/* "customer" …, as in the database, the token and on the wire; NULL for a role that no account has. */
const char *accounts_role_text(enum api_role role);
bool accounts_role_parse(struct str text, enum api_role *role);

struct user_draft {
    struct user_id id; /* zero: a new one is made */
    struct str email;  /* as typed */
    struct str password, name;
    enum api_role role;
    struct vendor_id vendor_id; /* of role vendor */
};

/* Makes an account; of a customer the event "user.registered" (payload: user_id, role) tells, of others
 * "user.created". Hashes the password, so it takes tens of milliseconds; opens its own transaction.
 * ERR_VALIDATION with the fields email, password, name or vendor_id; ERR_EMAIL_TAKEN. */
enum error_code accounts_user_create(struct pg *db, struct arena *arena, const struct user_draft *draft,
                                     struct user_id *id, struct error *error);

/* Sets a password, whatever it was, and ends all sessions. Opens its own transaction. ERR_VALIDATION
 * (password), ERR_NOT_FOUND. */
enum error_code accounts_password_set(struct pg *db, struct arena *arena, struct user_id user_id,
                                      struct str email, struct str name, struct str password,
                                      struct error *error);

/* Blocks an account, which ends its sessions, or lets it in again; publishes "user.blocked" or
 * "user.unblocked". Safe to repeat. Opens its own transaction. ERR_NOT_FOUND. */
enum error_code accounts_block_set(struct pg *db, struct arena *arena, struct user_id user_id, bool block);

/* Called after a customer has signed in or registered and named a guest's cart. No transaction is open; what
 * fails here never fails the sign-in. Accounts lie below carts, so the cart's module registers itself at its
 * start. */
typedef enum error_code accounts_signed_in_fn(struct pg *db, struct arena *arena, struct user_id user_id,
                                              struct cart_id guest_cart_id);
void accounts_on_signed_in(accounts_signed_in_fn *fn);

/* A new signing key as the setting token_keys wants it, "kid:base64seed", terminated. */
#define ACCOUNTS_TOKEN_KEY_TEXT_MAX 96
void accounts_token_key_make(char out[ACCOUNTS_TOKEN_KEY_TEXT_MAX]);

#endif
