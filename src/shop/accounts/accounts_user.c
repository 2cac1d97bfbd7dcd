/* Accounts in the database: made, loaded, given another password. */
#include "shop/accounts/accounts_session.h"

#include "accounts_sql.h"
#include "base/log.h"

enum error_code user_draft_check(struct arena *arena, struct user_draft *draft, struct str *email,
                                 struct error *error)
{
    *email = draft->email;
    const char *refusal = text_prepare(arena, TEXT_EMAIL, email);
    if (refusal) {
        *email = STR_NONE;
        error_field_add(error, "email", "%s", refusal);
    }
    refusal = text_prepare(arena, TEXT_NAME, &draft->name);
    if (refusal || draft->name.len == 0)
        error_field_add(error, "name", "%s", refusal ? refusal : "is blank");
    refusal = password_refusal(arena, draft->password, *email, draft->name);
    if (refusal)
        error_field_add(error, "password", "%s", refusal);
    bool has_vendor = !uuid_is_zero(draft->vendor_id.uuid);
    if (has_vendor != (draft->role == ROLE_VENDOR))
        error_field_add(error, "vendor_id",
                        has_vendor ? "is for accounts of role vendor" : "is needed for role vendor");
    return error->field_count ? error_set(error, ERR_VALIDATION, "The account cannot be made like this")
                              : ERR_OK;
}

enum error_code user_event_publish(struct pg *db, struct arena *arena, struct str type, struct user_id id,
                                   struct str role, struct str traceparent)
{
    char text[ID_TEXT_MAX];
    user_id_text(id, text);
    struct event event = {
        .type = type,
        .aggregate_id = id.uuid,
        .payload = arena_printf(arena, "{\"user_id\":\"%s\",\"role\":\"%.*s\"}", text, STR_ARG(role)),
        .traceparent = traceparent,
    };
    return outbox_publish(db, &event, NULL);
}

static enum error_code vendor_check(struct pg *db, struct arena *arena, struct vendor_id id,
                                    struct error *error)
{
    struct user_vendor_lock_row row;
    bool found;
    enum error_code code = user_vendor_lock(db, arena, (struct user_vendor_lock_args){id}, &row, &found);
    if (code || found)
        return code;
    error_clear(error); /* the callback of a transaction may run twice */
    error_field_add(error, "vendor_id", "names no vendor that is active");
    return error_set(error, ERR_VALIDATION, "The account cannot be made like this");
}

enum error_code user_store(struct pg *db, struct arena *arena, const struct user_draft *draft,
                           struct str email, const char *hash, struct str traceparent, struct api_user *user,
                           struct error *error)
{
    struct user_id id = uuid_is_zero(draft->id.uuid) ? user_id_new() : draft->id;
    bool is_vendor = draft->role == ROLE_VENDOR;
    struct str role = str_from(accounts_role_text(draft->role));
    if (is_vendor) {
        enum error_code code = vendor_check(db, arena, draft->vendor_id, error);
        if (code)
            return code;
    }
    struct user_insert_args args = {
        .id = id,
        .email = email,
        .password_hash = str_from(hash),
        .name = draft->name,
        .role = role,
        .vendor_id = {is_vendor, draft->vendor_id},
    };
    struct user_insert_row row;
    bool made;
    enum error_code code = user_insert(db, arena, args, &row, &made);
    if (!code && !made)
        return error_set(error, ERR_EMAIL_TAKEN, "Sign in, or use another address");
    if (code)
        return code;
    *user = (struct api_user){id,
                              email,
                              draft->name,
                              (enum api_user_role)draft->role,
                              API_USER_STATE_ACTIVE,
                              is_vendor,
                              draft->vendor_id,
                              row.created_at};
    return user_event_publish(db, arena,
                              draft->role == ROLE_CUSTOMER ? STR("user.registered") : STR("user.created"), id,
                              role, traceparent);
}

struct create_work {
    struct arena *arena;
    const struct user_draft *draft;
    struct str email;
    const char *hash;
    struct api_user user;
    struct error *error;
};

static enum error_code create_transaction(struct pg *db, void *context)
{
    struct create_work *work = context;
    return user_store(db, work->arena, work->draft, work->email, work->hash, STR_NONE, &work->user,
                      work->error);
}

enum error_code accounts_user_create(struct pg *db, struct arena *arena, const struct user_draft *draft,
                                     struct user_id *id, struct error *error)
{
    struct user_draft checked = *draft;
    char hash[PASSWORD_HASH_MAX];
    struct create_work work = {.arena = arena, .draft = &checked, .hash = hash, .error = error};
    enum error_code code = user_draft_check(arena, &checked, &work.email, error);
    if (!code)
        code = password_hash(checked.password, hash, error);
    if (!code)
        code = pg_transaction(db, create_transaction, &work);
    *id = work.user.id;
    return code;
}

enum error_code user_password_replace(struct pg *db, struct user_id id, const char *hash,
                                      struct session_id kept)
{
    int64_t affected;
    enum error_code code =
        user_password_set(db, (struct user_password_set_args){id, str_from(hash)}, &affected);
    if (code || affected == 0)
        return code ? code : ERR_NOT_FOUND;
    struct session_end_all_args args = {id, {!uuid_is_zero(kept.uuid), kept}, STR("password")};
    return session_end_all(db, args, NULL);
}

struct password_work {
    struct user_id user_id;
    const char *hash;
};

static enum error_code password_transaction(struct pg *db, void *context)
{
    const struct password_work *work = context;
    return user_password_replace(db, work->user_id, work->hash, (struct session_id){0});
}

enum error_code accounts_password_set(struct pg *db, struct arena *arena, struct user_id user_id,
                                      struct str email, struct str name, struct str password,
                                      struct error *error)
{
    char hash[PASSWORD_HASH_MAX];
    const char *refusal = password_refusal(arena, password, email, name);
    if (refusal) {
        error_field_add(error, "password", "%s", refusal);
        return error_set(error, ERR_VALIDATION, "The password %s", refusal);
    }
    enum error_code code = password_hash(password, hash, error);
    struct password_work work = {user_id, hash};
    return code ? code : pg_transaction(db, password_transaction, &work);
}

enum error_code user_state_change(struct pg *db, struct arena *arena, struct user_id id,
                                  const struct user_lock_row *row, bool block, struct str traceparent)
{
    struct str state = block ? STR("blocked") : STR("active");
    if (str_equal(row->state, state))
        return ERR_OK;
    enum error_code code = user_state_set(db, (struct user_state_set_args){id, state}, NULL);
    return code ? code
                : user_event_publish(db, arena, block ? STR("user.blocked") : STR("user.unblocked"), id,
                                     row->role, traceparent);
}

struct block_work {
    struct arena *arena;
    struct user_id user_id;
    bool block;
};

static enum error_code block_transaction(struct pg *db, void *context)
{
    const struct block_work *work = context;
    struct user_lock_row row;
    bool found;
    enum error_code code = user_lock(db, work->arena, (struct user_lock_args){work->user_id}, &row, &found);
    if (code || !found)
        return code ? code : ERR_NOT_FOUND;
    return user_state_change(db, work->arena, work->user_id, &row, work->block, STR_NONE);
}

enum error_code accounts_block_set(struct pg *db, struct arena *arena, struct user_id user_id, bool block)
{
    struct block_work work = {arena, user_id, block};
    return pg_transaction(db, block_transaction, &work);
}

enum error_code user_load(struct pg *db, struct arena *arena, struct user_id id, struct api_user *user)
{
    struct user_by_id_row row;
    bool found;
    enum error_code code = user_by_id(db, arena, (struct user_by_id_args){id}, &row, &found);
    if (code || !found)
        return code ? code : ERR_NOT_FOUND;
    *user = USER_OF_ROW(row);
    return ERR_OK;
}

static accounts_signed_in_fn *signed_in;

void accounts_on_signed_in(accounts_signed_in_fn *fn)
{
    signed_in = fn;
}

void accounts_signed_in(struct pg *db, struct arena *arena, const struct api_user *user, bool has_cart,
                        struct cart_id cart_id)
{
    if (!signed_in || !has_cart || user->role != API_USER_ROLE_CUSTOMER)
        return;
    enum error_code code = signed_in(db, arena, user->id, cart_id);
    if (code)
        log_write(LOG_WARN, "the guest's cart was not merged at sign-in", LOG_TEXT("code", error_text(code)));
}
