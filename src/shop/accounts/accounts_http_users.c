/* What staff does with accounts. */
#include "accounts_sql.h"
#include "http/cursor.h"
#include "shop/accounts/accounts_session.h"

enum error_code user_respond(struct request *req, int status, const struct api_user *user)
{
    struct buf body = buf_new(BUF_DEFAULT_MAX);
    api_user_encode(&body, user);
    return respond_buf(req, status, &body);
}

enum error_code user_list_handle(struct request *req, const struct api_user_list *in)
{
    struct user_page_args args = {.most = (int32_t)in->limit + 1};
    if (in->has_role)
        args.role = str_from(api_user_role_names[in->role - 1]);
    if (in->has_state)
        args.state = str_from(api_user_state_names[in->state - 1]);
    if (in->has_email) {
        char *lower = arena_cstr(req->arena, in->email);
        for (char *c = lower; *c; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 'a' - 'A') : *c;
        args.email = str_from(lower);
    }
    enum error_code code = CURSOR_READ(req, in, &args.before);
    if (code)
        return code;
    struct user_page_rows rows;
    code = user_page(req->db, req->arena, args, &rows);
    if (code)
        return code;
    size_t count = rows.count > (size_t)in->limit ? (size_t)in->limit : rows.count;
    struct api_user *users = ARENA_ARRAY(req->arena, struct api_user, count + 1);
    for (size_t i = 0; i < count; i++)
        users[i] = USER_OF_ROW(rows.items[i]);
    struct api_user_page page = {.items = {users, count}, .null_next_cursor = rows.count == count};
    if (!page.null_next_cursor)
        page.next_cursor = cursor_encode(req, &users[count - 1].id, sizeof users[count - 1].id);
    struct buf body = buf_new(BUF_DEFAULT_MAX);
    api_user_page_encode(&body, &page);
    return respond_buf(req, 200, &body);
}

enum error_code user_show_handle(struct request *req, const struct api_user_show *in)
{
    struct api_user user;
    enum error_code code = user_load(req->db, req->arena, in->user_id, &user);
    return code ? code : user_respond(req, 200, &user);
}

enum error_code user_create_handle(struct request *req, const struct api_user_create *in)
{
    struct user_draft draft = {.email = in->body.email, .password = in->body.password, .name = in->body.name};
    accounts_role_parse(str_from(api_user_create_body_role_names[in->body.role - 1]), &draft.role);
    if (in->body.has_vendor_id)
        draft.vendor_id = in->body.vendor_id;
    if (!user_role_may_manage(req->principal.role, draft.role))
        return error_set(&req->error, ERR_FORBIDDEN, "Only an admin makes accounts of that role");
    struct user_id id;
    struct api_user user;
    enum error_code code = accounts_user_create(req->db, req->arena, &draft, &id, &req->error);
    if (!code)
        code = user_load(req->db, req->arena, id, &user);
    return code ? code : user_respond(req, 201, &user);
}

struct state_work {
    struct request *req;
    struct user_id user_id;
    bool block;
};

static enum error_code state_transaction(struct pg *db, void *context)
{
    const struct state_work *work = context;
    struct request *req = work->req;
    struct user_lock_row row;
    bool found;
    enum api_role role;
    enum error_code code = user_lock(db, req->arena, (struct user_lock_args){work->user_id}, &row, &found);
    if (code || !found)
        return code ? code : ERR_NOT_FOUND;
    if (!accounts_role_parse(row.role, &role) || !user_role_may_manage(req->principal.role, role))
        return error_set(&req->error, ERR_FORBIDDEN, "Only an admin does that to accounts of that role");
    return user_state_change(db, req->arena, work->user_id, &row, work->block, req->traceparent);
}

static enum error_code set_state(struct request *req, struct user_id user_id, bool block)
{
    if (uuid_equal(user_id.uuid, req->principal.user_id.uuid))
        return error_set(&req->error, ERR_CONFLICT, "Nobody blocks or unblocks their own account");
    struct state_work work = {req, user_id, block};
    struct api_user user;
    enum error_code code = pg_transaction(req->db, state_transaction, &work);
    if (!code && block)
        accounts_revoked_read(req->db, req->arena);
    if (!code)
        code = user_load(req->db, req->arena, user_id, &user);
    return code ? code : user_respond(req, 200, &user);
}

enum error_code user_block_handle(struct request *req, const struct api_user_block *in)
{
    return set_state(req, in->user_id, true);
}

enum error_code user_unblock_handle(struct request *req, const struct api_user_unblock *in)
{
    return set_state(req, in->user_id, false);
}
