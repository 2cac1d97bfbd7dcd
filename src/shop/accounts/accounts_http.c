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

struct sign_in_work {
    struct session_grant grant;
    struct str old_hash;
    const char *new_hash; /* NULL: the stored one is up to date */
};

static enum error_code sign_in_transaction(struct pg *db, void *context)
{
    struct sign_in_work *work = context;
    if (work->new_hash) {
        struct user_password_rehash_args args = {work->grant.user.id, work->old_hash,
                                                 str_from(work->new_hash)};
        enum error_code code = user_password_rehash(db, args, NULL);
        if (code)
            return code;
    }
    return session_begin(db, &work->grant);
}

enum error_code session_sign_in_handle(struct request *req, const struct api_session_sign_in *in)
{
    struct user_by_email_row row = {.password_hash = STR_NONE};
    bool found = false, outdated;
    struct user_by_email_args args = {in->body.email};
    enum error_code code = user_by_email(req->db, req->arena, args, &row, &found);
    if (code)
        return code;
    if (!password_verify(found ? row.password_hash : STR_NONE, in->body.password, &outdated))
        return error_set(&req->error, ERR_CREDENTIALS, "Check both and try again");
    if (!str_equal(row.state, STR("active")))
        return error_set(&req->error, ERR_FORBIDDEN, "This account is blocked");

    char hash[PASSWORD_HASH_MAX];
    struct sign_in_work work = {.grant.user = USER_OF_ROW(row), .old_hash = row.password_hash};
    if (outdated && password_hash(in->body.password, hash, NULL) == ERR_OK)
        work.new_hash = hash;
    code = pg_transaction(req->db, sign_in_transaction, &work);
    if (code)
        return code;
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
    return code ? code : respond_empty(req, 204);
}

enum error_code session_sign_out_all_handle(struct request *req, const struct api_session_sign_out_all *in)
{
    (void)in;
    enum error_code code = accounts_session_check(req->db, req->arena, &req->principal);
    if (!code)
        code = session_end_all(
            req->db, (struct session_end_all_args){.user_id = req->principal.user_id, .why = STR("sign_out")},
            NULL);
    return code ? code : respond_empty(req, 204);
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

enum error_code me_password_set_handle(struct request *req, const struct api_me_password_set *in)
{
    const struct principal *who = &req->principal;
    struct user_by_id_row row;
    bool found, outdated;
    enum error_code code = accounts_session_check(req->db, req->arena, who);
    if (!code)
        code = user_by_id(req->db, req->arena, (struct user_by_id_args){who->user_id}, &row, &found);
    if (code)
        return code;
    if (!password_verify(found ? row.password_hash : STR_NONE, in->body.current_password, &outdated))
        return error_set(&req->error, ERR_CREDENTIALS, "The current password is wrong");
    code = accounts_password_set(req->db, req->arena, who->user_id, row.email, row.name,
                                 in->body.new_password, who->session_id, &req->error);
    if (code == ERR_VALIDATION) {
        const char *refusal = password_refusal(req->arena, in->body.new_password, row.email, row.name);
        error_clear(&req->error);
        error_field_add(&req->error, "new_password", "%s", refusal);
        return error_set(&req->error, ERR_VALIDATION, "The new password %s", refusal);
    }
    return code ? code : respond_empty(req, 204);
}
