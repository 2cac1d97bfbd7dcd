/* Business transactions that remember their answer. The lock on the key is PostgreSQL's own (advisory, ends
 * with the transaction), so it also holds between servers and is never left behind by a crash. */
#include "api.h"
#include "base/check.h"
#include "http/request.h"
#include "idempotency_sql.h"

struct keyed {
    struct request *req;
    request_transaction_fn *fn;
    void *context;
    struct uuid owner_id;
    size_t header_count; /* what was set before the transaction; a second run begins from there */
};

/* Keys of strangers are apart by address, so that nobody is answered what was made for somebody else who
 * chose "1". */
static struct uuid owner_of(const struct request *req)
{
    static const struct uuid space = {{'i', 'd', 'e', 'm', 'p', 'o', 't', 'e', 'n', 'c', 'y'}};
    if (!uuid_is_zero(req->principal.user_id.uuid))
        return req->principal.user_id.uuid;
    return uuid_derived(space, req->client_address);
}

static enum error_code replay(struct request *req, const struct idempotency_find_row *row)
{
    if (row->body_hash.len != sizeof req->body_hash ||
        memcmp(row->body_hash.ptr, req->body_hash, sizeof req->body_hash) != 0)
        return ERR_IDEMPOTENCY_MISMATCH;
    respond_bytes(req, row->status, row->content_type.len ? row->content_type : STR_NONE, row->body);
    respond_header(req, STR("Idempotent-Replayed"), STR("true"));
    return ERR_OK;
}

static enum error_code run_keyed(struct pg *db, void *context)
{
    struct keyed *keyed = context;
    struct request *req = keyed->req;
    error_clear(&req->error);
    req->response.header_count = keyed->header_count;
    if (!req->idempotency_key.ptr)
        return keyed->fn(req, keyed->context);
    struct idempotency_lock_row lock;
    struct idempotency_find_row row;
    bool found;
    enum error_code code = idempotency_lock(
        db, req->arena, (struct idempotency_lock_args){keyed->owner_id, req->idempotency_key}, &lock, &found);
    if (code)
        return code;
    CHECK(found);
    if (!lock.locked)
        return ERR_IDEMPOTENCY_IN_FLIGHT;
    /* A statement of its own: its snapshot is younger than the lock. */
    code = idempotency_find(
        db, req->arena, (struct idempotency_find_args){keyed->owner_id, req->idempotency_key}, &row, &found);
    if (code)
        return code;
    if (found)
        return replay(req, &row);
    code = keyed->fn(req, keyed->context);
    if (code)
        return code;
    const struct response *response = &req->response;
    CHECK(response->status >= 200 && response->status < 500);
    int64_t stored = 0;
    code =
        idempotency_store(db,
                          (struct idempotency_store_args){
                              .owner_id = keyed->owner_id,
                              .key = req->idempotency_key,
                              .operation = str_from(req->route->operation_id),
                              .body_hash = {(const char *)req->body_hash, sizeof req->body_hash},
                              .status = (int16_t)response->status,
                              .content_type = response->content_type.ptr ? response->content_type : STR(""),
                              .body = response->body.ptr ? response->body : STR("")},
                          &stored);
    return code ? code : stored ? ERR_OK : ERR_IDEMPOTENCY_IN_FLIGHT;
}

enum error_code request_transaction(struct request *req, request_transaction_fn *fn, void *context)
{
    CHECK(req->db);
    struct keyed keyed = {req, fn, context, owner_of(req), req->response.header_count};
    enum error_code code = pg_transaction(req->db, run_keyed, &keyed);
    /* What a handler did not turn into an answer of its own is told with the database's words, for the log.
     */
    if ((code == ERR_DATABASE || code == ERR_DATABASE_CONSTRAINT || code == ERR_INTERNAL) &&
        !req->error.detail[0] && pg_error(req->db))
        req->error = *pg_error(req->db);
    return code;
}
