/* Rules of accounts as plain functions on plain data, and password hashing. Nobody outside the module calls
 * them. */
#ifndef CATHAY_SHOP_ACCOUNTS_ACCOUNTS_RULES_H
#define CATHAY_SHOP_ACCOUNTS_ACCOUNTS_RULES_H

#include "http/request.h"

#include <sodium.h>

/* NULL, or why this may not be a password: "has fewer than 10 characters" … It is judged as it is hashed
 * (text_password()): by its length, by the list of common ones, and by what of it the person's name and
 * address do not say already. No rules of composition (NIST SP 800-63B, 5.1.1.2). */
const char *password_refusal(struct arena *arena, struct str password, struct str email, struct str name);

/* Whether this role may make, block and unblock accounts of that role. */
bool user_role_may_manage(enum api_role actor, enum api_role target);

#define PASSWORD_PREPARED_MAX 2048 /* bytes */

/* Argon2id (RFC 9106) of the password as text_password() has it, with the configured memory and passes;
 * terminated text. Takes tens of milliseconds and the configured memory. ERR_OVERLOADED when there is no
 * memory for it. */
#define PASSWORD_HASH_MAX crypto_pwhash_STRBYTES
enum error_code password_hash(struct str password, char out[PASSWORD_HASH_MAX], struct error *error);
/* An absent hash stands for an account that does not exist: it takes as long as a wrong password, and never
 * fits. *outdated: it fits, and was made with other parameters than the configured ones, or of the password
 * as it was typed then, before there was text_password(). */
bool password_verify(struct str hash, struct str password, bool *outdated);
/* Prepares what an absent hash is compared with. Once, at the start. */
enum error_code password_service_start(struct error *error);

/* Refresh tokens. */
#define REFRESH_TOKEN_BYTES 32
#define REFRESH_TOKEN_TEXT_MAX 56
struct refresh_token {
    uint8_t bytes[REFRESH_TOKEN_BYTES];
};
struct refresh_token refresh_token_make(void);
void refresh_token_text(const struct refresh_token *token, char out[REFRESH_TOKEN_TEXT_MAX]);
bool refresh_token_parse(struct str text, struct refresh_token *token);
/* What the database keeps; BLAKE2b is enough, because a token is 32 random bytes. */
void refresh_token_hash(const struct refresh_token *token, uint8_t out[REFRESH_TOKEN_BYTES]);
/* The same token and salt always have the same successor; without the token nobody can tell it. */
struct refresh_token refresh_token_successor(const struct refresh_token *token,
                                             const uint8_t salt[REFRESH_TOKEN_BYTES]);

/* What is to be done with a refresh token, as the database knows it. */
enum refresh_outcome {
    REFRESH_ROTATE, /* its first use */
    REFRESH_REPEAT, /* used a moment ago, and the successor was not: the answer is given again */
    REFRESH_REUSE,  /* somebody else has it: the session ends */
    REFRESH_REFUSE, /* the session is over, or the account blocked */
};
struct refresh_facts {
    bool session_ended, session_expired, account_blocked;
    bool used, successor_used;
    int64_t used_ago_us;
};
enum refresh_outcome refresh_decide(const struct refresh_facts *facts, int64_t grace_s);

#endif
