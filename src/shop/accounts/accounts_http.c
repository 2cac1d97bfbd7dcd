/* Registration, sign-in, refresh, sign-out, and what an account may see and change of itself. Secrets are
 * never part of an idempotency record: these operations are safe to repeat by their own means. */
#include "accounts_sql.h"
#include "shop/accounts/accounts_session.h"
#include "shop/accounts/accounts_token.h"

#include "base/config.h"

static enum error_code respond_tokens(struct request *req, int status, const struct session_grant *grant)
{
    char refresh[REFRESH_TOKEN_TEXT_MAX];
    refresh_token_text(&grant->refresh_token, refresh);
    struct principal principal = {
        .role = (enum api_role)grant->user.role,
        .user_id = grant->user.id,
        .vendor_id = grant->user.vendor_id,
        .session_id = grant->session_id,
    };
    struct api_tokens tokens = {
        .access_token = token_service_issue(req->arena, &principal),
        .token_type = API_TOKENS_TOKEN_TYPE_BEARER,
        .expires_in = config()->access_token_s,
        .refresh_token = str_from(refresh),
        .user = grant->user,
    };
    struct buf body = buf_new(BUF_DEFAULT_MAX);
    api_tokens_encode(&body, &tokens);
    respond_header(req, STR("Cache-Control"), STR("no-store"));
    return respond_buf(req, status, &body);
}

/* ---- register ---- */

struct register_work {
    struct request *req;
    const struct user_draft *draft;
    struct str email;
    const char *hash;
    struct session_grant grant;
};

static enum error_code register_transaction(struct pg *db, void *context)
{
    struct register_work *work = context;
    struct request *req = work->req;
    enum error_code code = user_store(db, req->arena, work->draft, work->email, work->hash, req->traceparent,
                                      &work->grant.user, &req->error);
    return code ? code : session_begin(db, &work->grant);
}

enum error_code user_register_handle(struct request *req, const struct api_user_register *in)
{
    struct user_draft draft = {
        .email = in->body.email, .password = in->body.password, .name = in->body.name, .role = ROLE_CUSTOMER};
    char hash[PASSWORD_HASH_MAX];
    struct register_work work = {.req = req, .draft = &draft, .hash = hash};
    enum error_code code = user_draft_check(req->arena, &draft, &work.email, &req->error);
    if (!code)
        code = password_hash(draft.password, hash, &req->error);
    if (!code)
        code = pg_transaction(req->db, register_transaction, &work);
    if (code)
        return code;
    accounts_signed_in(req->db, req->arena, &work.grant.user, in->body.has_cart_id, in->body.cart_id);
    return respond_tokens(req, 201, &work.grant);
}

/* ---- sign in ---- */

/* How often the password is compared anew because it was changed meanwhile. */
#define PASSWORD_COMPARISONS_MAX 3

/* The password is compared before the transaction, because that takes long; what it was compared with is
 * examined again under the row's lock, with all that may have happened meanwhile. */
struct sign_in_work {
    struct request *req;
    struct user_id user_id;
    struct session_grant grant;
    struct str compared_hash;
    char new_hash[PASSWORD_HASH_MAX]; /* empty: the stored one is up to date */
    bool changed;                     /* another password is stored by now, or the same hashed anew */
};

static enum error_code sign_in_transaction(struct pg *db, void *context)
{
    struct sign_in_work *work = context;
    struct request *req = work->req;
    struct user_lock_row row;
    bool found;
    enum error_code code = user_lock(db, req->arena, (struct user_lock_args){work->user_id}, &row, &found);
    if (code)
        return code;
    work->changed = !found || !str_equal(row.password_hash, work->compared_hash);
    if (work->changed)
        return ERR_OK;
    work->grant.user = USER_OF_ROW(row);
    code = account_is_out(db, req->arena, &row, &req->error);
    if (!code && work->new_hash[0])
        code = user_password_rehash(db, (struct user_password_rehash_args){row.id, str_from(work->new_hash)},
                                    NULL);
    return code ? code : session_begin(db, &work->grant);
}

static enum error_code sign_in_once(struct request *req, const struct api_session_sign_in *in,
                                    struct sign_in_work *work)
{
    struct user_by_email_row row = {.password_hash = STR_NONE};
    bool found = false, outdated;
    struct user_by_email_args args = {in->body.email};
    enum error_code code = user_by_email(req->db, req->arena, args, &row, &found);
    if (code)
        return code;
    if (!password_verify(found ? row.password_hash : STR_NONE, in->body.password, &outdated))
        return error_set(&req->error, ERR_CREDENTIALS, "Check both and try again");
    *work = (struct sign_in_work){.req = req, .user_id = row.id, .compared_hash = row.password_hash};
    if (outdated && password_hash(in->body.password, work->new_hash, NULL))
        work->new_hash[0] = '\0';
    return pg_transaction(req->db, sign_in_transaction, work);
}

enum error_code session_sign_in_handle(struct request *req, const struct api_session_sign_in *in)
{
    struct sign_in_work work = {.changed = true};
    for (int attempt = 0; work.changed; attempt++) {
        if (attempt == PASSWORD_COMPARISONS_MAX)
            return error_set(&req->error, ERR_OVERLOADED, "This account is being changed; try again");
        enum error_code code = sign_in_once(req, in, &work);
        if (code)
            return code;
    }
    accounts_signed_in(req->db, req->arena, &work.grant.user, in->body.has_cart_id, in->body.cart_id);
    return respond_tokens(req, 200, &work.grant);
}

/* ---- the rest of a session's life ---- */

enum error_code session_refresh_handle(struct request *req, const struct api_session_refresh *in)
{
    struct session_grant grant;
    enum error_code code = session_refresh(req->db, req->arena, in->body.refresh_token, &grant, &req->error);
    return code ? code : respond_tokens(req, 200, &grant);
}

enum error_code session_sign_out_handle(struct request *req, const struct api_session_sign_out *in)
{
    (void)in;
    enum error_code code =
        session_end(req->db, (struct session_end_args){req->principal.session_id, STR("sign_out")}, NULL);
    if (code)
        return code;
    accounts_revoked_read(req->db, req->arena);
    return respond_empty(req, 204);
}

enum error_code session_sign_out_all_handle(struct request *req, const struct api_session_sign_out_all *in)
{
    (void)in;
    enum error_code code = session_end_all(
        req->db, (struct session_end_all_args){.user_id = req->principal.user_id, .why = STR("sign_out")},
        NULL);
    if (code)
        return code;
    accounts_revoked_read(req->db, req->arena);
    return respond_empty(req, 204);
}

enum error_code jwks_show_handle(struct request *req, const struct api_jwks_show *in)
{
    (void)in;
    respond_header(req, STR("Cache-Control"), STR("public, max-age=300"));
    return respond_json(req, 200, token_service_jwks());
}

/* ---- oneself ---- */

enum error_code me_show_handle(struct request *req, const struct api_me_show *in)
{
    (void)in;
    struct api_user user;
    enum error_code code = user_load(req->db, req->arena, req->principal.user_id, &user);
    return code ? code : user_respond(req, 200, &user);
}

enum error_code me_update_handle(struct request *req, const struct api_me_update *in)
{
    struct user_name_set_args args = {req->principal.user_id, in->body.name};
    enum error_code code = user_name_set(req->db, args, NULL);
    return code ? code : me_show_handle(req, NULL);
}

struct password_work {
    struct request *req;
    struct str compared_hash;
    char new_hash[PASSWORD_HASH_MAX];
    bool changed;
};

static enum error_code password_transaction(struct pg *db, void *context)
{
    struct password_work *work = context;
    const struct principal *who = &work->req->principal;
    struct user_lock_row row;
    bool found;
    enum error_code code =
        user_lock(db, work->req->arena, (struct user_lock_args){who->user_id}, &row, &found);
    if (!code)
        code = accounts_session_check(db, work->req->arena, who);
    if (code)
        return code;
    work->changed = !found || !str_equal(row.password_hash, work->compared_hash);
    return work->changed ? ERR_OK : user_password_replace(db, who->user_id, work->new_hash, who->session_id);
}

static enum error_code password_set_once(struct request *req, const struct api_me_password_set *in,
                                         struct password_work *work)
{
    struct user_by_id_row row;
    bool found, outdated;
    enum error_code code =
        user_by_id(req->db, req->arena, (struct user_by_id_args){req->principal.user_id}, &row, &found);
    if (code)
        return code;
    if (!password_verify(found ? row.password_hash : STR_NONE, in->body.current_password, &outdated))
        return error_set(&req->error, ERR_CREDENTIALS, "The current password is wrong");
    const char *refusal = password_refusal(req->arena, in->body.new_password, row.email, row.name);
    if (refusal) {
        error_field_add(&req->error, "new_password", "%s", refusal);
        return error_set(&req->error, ERR_VALIDATION, "The new password %s", refusal);
    }
    *work = (struct password_work){.req = req, .compared_hash = row.password_hash};
    code = password_hash(in->body.new_password, work->new_hash, &req->error);
    return code ? code : pg_transaction(req->db, password_transaction, work);
}

enum error_code me_password_set_handle(struct request *req, const struct api_me_password_set *in)
{
    struct password_work work = {.changed = true};
    for (int attempt = 0; work.changed; attempt++) {
        if (attempt == PASSWORD_COMPARISONS_MAX)
            return error_set(&req->error, ERR_OVERLOADED, "This account is being changed; try again");
        enum error_code code = password_set_once(req, in, &work);
        if (code)
            return code;
    }
    accounts_revoked_read(req->db, req->arena);
    return respond_empty(req, 204);
}
