/* Sessions: refresh tokens rotate, and a used one that comes again tells of a theft.
 *
 * A token's first use makes its successor, computed from the token and a random salt that is kept beside its
 * hash. A client whose answer was lost, or two tabs that refresh at once, present the same token again:
 * within refresh_grace_s, and as long as the successor is unused, they get that same successor, so that there
 * is always one good token. Any other second use means that two parties hold the chain, and nobody can tell
 * which is the thief: the session ends. */
#include "shop/accounts/accounts_session.h"

#include "accounts_sql.h"
#include "base/config.h"
#include "base/log.h"

static struct str bytes_str(const uint8_t *bytes)
{
    return (struct str){(const char *)bytes, REFRESH_TOKEN_BYTES};
}

enum error_code session_begin(struct pg *db, struct session_grant *grant)
{
    uint8_t hash[REFRESH_TOKEN_BYTES];
    grant->session_id = session_id_new();
    grant->refresh_token = refresh_token_make();
    refresh_token_hash(&grant->refresh_token, hash);
    enum error_code code = session_insert(
        db, (struct session_insert_args){grant->session_id, grant->user.id, config()->refresh_token_s}, NULL);
    if (!code)
        code = refresh_token_insert(
            db, (struct refresh_token_insert_args){bytes_str(hash), grant->session_id}, NULL);
    return code;
}

enum error_code account_is_out(struct pg *db, struct arena *arena, const struct user_lock_row *user,
                               struct error *error)
{
    if (!str_equal(user->state, STR("active")))
        return error_set(error, ERR_FORBIDDEN, "This account is blocked");
    if (!user->vendor_id.present)
        return ERR_OK;
    struct user_vendor_lock_row vendor;
    bool open;
    enum error_code code =
        user_vendor_lock(db, arena, (struct user_vendor_lock_args){user->vendor_id.value}, &vendor, &open);
    return code || open ? code : error_set(error, ERR_FORBIDDEN, "This account's vendor is closed");
}

struct refresh_work {
    struct arena *arena;
    struct refresh_token token;
    struct session_grant *grant;
    enum error_code answer; /* the transaction commits also when a session is ended */
};

static enum error_code rotate(struct pg *db, struct refresh_work *work, struct str hash)
{
    uint8_t salt[REFRESH_TOKEN_BYTES], next_hash[REFRESH_TOKEN_BYTES];
    randombytes_buf(salt, sizeof salt);
    work->grant->refresh_token = refresh_token_successor(&work->token, salt);
    refresh_token_hash(&work->grant->refresh_token, next_hash);
    struct refresh_token_use_args args = {hash, bytes_str(next_hash), bytes_str(salt),
                                          work->grant->session_id, config()->refresh_token_s};
    return refresh_token_use(db, args, NULL);
}

static enum error_code refresh_locked(struct pg *db, struct refresh_work *work, struct str hash)
{
    struct refresh_token_facts_row row;
    bool found;
    enum error_code code =
        refresh_token_facts(db, work->arena, (struct refresh_token_facts_args){hash}, &row, &found);
    if (code || !found) {
        work->answer = ERR_UNAUTHENTICATED;
        return code;
    }
    work->grant->session_id = row.session_id;
    work->grant->user = (struct api_user){row.user_id,
                                          row.email,
                                          row.name,
                                          api_user_role_parse(row.role),
                                          api_user_state_parse(row.state),
                                          row.vendor_id.present,
                                          row.vendor_id.value,
                                          row.created_at};
    struct refresh_facts facts = {
        .session_ended = row.session_ended,
        .session_expired = row.session_expired,
        .account_blocked = work->grant->user.state != API_USER_STATE_ACTIVE || row.vendor_closed,
        .used = row.used_ago_us.present,
        .used_ago_us = row.used_ago_us.value,
        .successor_used = row.successor_used.present && row.successor_used.value,
    };
    switch (refresh_decide(&facts, config()->refresh_grace_s)) {
    case REFRESH_ROTATE:
        return rotate(db, work, hash);
    case REFRESH_REPEAT:
        work->grant->refresh_token =
            refresh_token_successor(&work->token, (const uint8_t *)row.successor_salt.ptr);
        return ERR_OK;
    case REFRESH_REUSE:
        work->answer = ERR_TOKEN_REUSED;
        return session_end(db, (struct session_end_args){row.session_id, STR("reuse")}, NULL);
    case REFRESH_REFUSE:
        break;
    }
    work->answer = ERR_UNAUTHENTICATED;
    return ERR_OK;
}

static enum error_code refresh_transaction(struct pg *db, void *context)
{
    struct refresh_work *work = context;
    uint8_t hash[REFRESH_TOKEN_BYTES];
    struct session_lock_by_token_row session;
    bool found;
    work->answer = ERR_OK;
    refresh_token_hash(&work->token, hash);
    enum error_code code = session_lock_by_token(
        db, work->arena, (struct session_lock_by_token_args){bytes_str(hash)}, &session, &found);
    if (!code && !found)
        work->answer = ERR_UNAUTHENTICATED;
    return code || !found ? code : refresh_locked(db, work, bytes_str(hash));
}

enum error_code session_refresh(struct pg *db, struct arena *arena, struct str text,
                                struct session_grant *grant, struct error *error)
{
    struct refresh_work work = {.arena = arena, .grant = grant};
    if (!refresh_token_parse(text, &work.token))
        return error_set(error, ERR_UNAUTHENTICATED, "This is not a refresh token");
    enum error_code code = pg_transaction(db, refresh_transaction, &work);
    if (code)
        return code;
    if (work.answer == ERR_TOKEN_REUSED) {
        accounts_revoked_read(db, arena);
        char id[ID_TEXT_MAX];
        session_id_text(grant->session_id, id);
        log_write(LOG_WARN, "refresh token used twice: session ended", LOG_TEXT("session", id));
        return error_set(error, ERR_TOKEN_REUSED, "Sign in again");
    }
    if (work.answer)
        return error_set(error, work.answer,
                         "The refresh token is unknown, or its session has ended: sign in again");
    return ERR_OK;
}

enum error_code accounts_session_check(struct pg *db, struct arena *arena, const struct principal *principal)
{
    struct session_is_open_row row;
    bool found;
    enum error_code code = session_is_open(
        db, arena, (struct session_is_open_args){principal->session_id, principal->user_id}, &row, &found);
    return code ? code : found ? ERR_OK : ERR_UNAUTHENTICATED;
}
