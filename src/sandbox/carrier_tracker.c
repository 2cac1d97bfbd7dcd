/* Trackers: made with a label or by a tracking code; a thread moves them on.
 * https://docs.easypost.com/docs/trackers Codes EZ1000000001 to EZ7000000007 begin in the status that
 * EasyPost's test mode gives them. */
#include "sandbox/carrier.h"

#include "base/check.h"
#include "base/config.h"
#include "base/log.h"
#include "base/thread.h"
#include "carrier_sql.h"
#include "sandbox/sandbox_hooks.h"
#include "sandbox/webhooks.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#define MOVE_AT_ONCE_MAX 100
#define MOVER_LOOK_MS 100

/* The way of a parcel that nothing happens to. */
static const struct {
    const char *status, *message;
} way[] = {
    {"pre_transit", "Shipping label created; waiting for the parcel"},
    {"in_transit", "The parcel is on its way"},
    {"out_for_delivery", "Out for delivery"},
    {"delivered", "Delivered"},
};
#define WAY_LENGTH (sizeof way / sizeof way[0])

/* What may be asked for besides. */
static const struct {
    const char *status, *message;
} detours[] = {
    {"available_for_pickup", "Waiting at the pickup point"},
    {"return_to_sender", "On its way back to the sender"},
    {"failure", "Nobody was there to take the parcel"},
    {"cancelled", "The shipment was cancelled"},
    {"error", "The carrier has lost sight of the parcel"},
};

static bool is_end(struct str status)
{
    static const char *const ends[] = {"delivered", "return_to_sender", "cancelled"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (str_equal(status, str_from(ends[i])))
            return true;
    return false;
}

/* The step behind a status; NULL at the end. */
static const char *next_of(struct str status)
{
    for (size_t i = 0; i + 1 < WAY_LENGTH; i++)
        if (str_equal(status, str_from(way[i].status)))
            return way[i + 1].status;
    if (str_equal(status, STR("available_for_pickup")))
        return "delivered";
    if (str_equal(status, STR("failure")) || str_equal(status, STR("error")))
        return "out_for_delivery"; /* the courier comes again */
    return is_end(status) ? NULL : way[0].status;
}

static const char *message_of(struct str status)
{
    for (size_t i = 0; i < WAY_LENGTH; i++)
        if (str_equal(status, str_from(way[i].status)))
            return way[i].message;
    for (size_t i = 0; i < sizeof detours / sizeof detours[0]; i++)
        if (str_equal(status, str_from(detours[i].status)))
            return detours[i].message;
    return NULL;
}

static enum error_code tracker_body(struct pg *db, struct arena *arena, struct str id, struct str *body)
{
    struct sandbox_tracker_show_row row = {STR_NONE};
    bool found = false;
    enum error_code code =
        sandbox_tracker_show(db, arena, (struct sandbox_tracker_show_args){id}, &row, &found);
    *body = row.body;
    return code == ERR_OK && !found ? ERR_NOT_FOUND : code;
}

static enum error_code move(struct pg *db, struct arena *arena, struct str id, struct str status,
                            bool arrives, struct str city, struct str country)
{
    struct sandbox_tracker_move_args args = {
        .id = id,
        .status = status,
        .message = str_from(message_of(status)),
        .city = arrives ? city : STR("Hong Kong"),
        .country = arrives ? country : STR("HK"),
        .step_ms = is_end(status) ? 0 : config()->sandbox_parcel_step_ms,
    };
    struct sandbox_tracker_move_row row;
    bool found;
    return sandbox_tracker_move(db, arena, args, &row, &found);
}

enum error_code carrier_tracker_advance(struct pg *db, struct arena *arena, struct str id, struct str status)
{
    struct sandbox_tracker_lock_row row;
    bool found;
    enum error_code code =
        sandbox_tracker_lock(db, arena, (struct sandbox_tracker_lock_args){id}, &row, &found);
    if (code != ERR_OK || !found)
        return code == ERR_OK ? ERR_NOT_FOUND : code;
    if (!status.ptr)
        status = str_from(next_of(row.status));
    if (!status.ptr || is_end(row.status))
        return ERR_CONFLICT;
    bool arrives = str_equal(status, STR("delivered")) || str_equal(status, STR("out_for_delivery")) ||
                   str_equal(status, STR("available_for_pickup"));
    code = move(db, arena, row.id, status, arrives, row.city, row.country);
    struct str body = STR_NONE;
    if (code == ERR_OK)
        code = tracker_body(db, arena, row.id, &body);
    struct str previous = arena_printf(arena, "{\"status\":\"%.*s\"}", STR_ARG(row.status));
    if (code == ERR_OK)
        code = carrier_event(db, arena, "tracker.updated", row.id, body, previous);
    return code;
}

/* How far EasyPost's test codes are at once: EZ2000000002 is in transit. */
static const char *status_of_test_code(struct str code)
{
    static const char *const statuses[] = {"pre_transit",      "in_transit", "out_for_delivery", "delivered",
                                           "return_to_sender", "failure",    "unknown"};
    struct str rest = {code.ptr + 2, code.len - 2};
    int64_t number;
    if (code.len != 12 || !str_starts_with(code, STR("EZ")) || !str_to_int64(rest, &number))
        return NULL;
    int64_t digit = number / 1000000000;
    return digit >= 1 && digit <= 7 && number == digit * 1000000001 ? statuses[digit - 1] : NULL;
}

enum error_code carrier_tracker_make(struct pg *db, struct arena *arena, struct str origin,
                                     struct str code_text, struct str shipment_id, struct str city,
                                     struct str country, struct str *body)
{
    struct sandbox_tracker_insert_args args = {
        .id = sandbox_id(arena, "trk"),
        .tracking_code = code_text,
        .carrier = STR("CathayPost"),
        .shipment_id = shipment_id,
        .public_url = arena_printf(arena, "%.*s/track/%.*s", STR_ARG(origin), STR_ARG(code_text)),
        .city = city,
        .country = country,
        .step_ms = config()->sandbox_parcel_step_ms,
    };
    enum error_code code = sandbox_tracker_insert(db, args, NULL);
    const char *target = shipment_id.ptr ? NULL : status_of_test_code(code_text);
    if (code == ERR_OK && target && strcmp(target, "unknown") != 0) {
        for (size_t i = 0; code == ERR_OK && i < WAY_LENGTH; i++) {
            code = move(db, arena, args.id, str_from(way[i].status), true, city, country);
            if (strcmp(way[i].status, target) == 0)
                break;
            if (i == 1 && strcmp(target, way[2].status) != 0 && strcmp(target, way[3].status) != 0) {
                code =
                    code == ERR_OK ? move(db, arena, args.id, str_from(target), true, city, country) : code;
                break;
            }
        }
    }
    if (code == ERR_OK)
        code = tracker_body(db, arena, args.id, body);
    return code == ERR_OK ? carrier_event(db, arena, "tracker.created", args.id, *body, STR_NONE) : code;
}

/* ---- the API ---- */

struct creation {
    struct request *req;
    struct str code, origin, body;
};

static enum error_code create(struct pg *db, void *context)
{
    struct creation *creation = context;
    struct arena *arena = creation->req->arena;
    /* The same code again is the same tracker. */
    enum error_code code = tracker_body(db, arena, creation->code, &creation->body);
    if (code == ERR_NOT_FOUND)
        code = carrier_tracker_make(db, arena, creation->origin, creation->code, STR_NONE, STR_NONE, STR_NONE,
                                    &creation->body);
    return code;
}

static enum error_code tracker_create(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    enum sandbox_fault fault;
    if (!carrier_begin(req, &fault))
        return ERR_OK;
    json_t *json = json_loadb(in->body.ptr ? in->body.ptr : "", in->body.len, 0, NULL);
    const char *text = json_string_value(json_object_get(json_object_get(json, "tracker"), "tracking_code"));
    struct creation creation = {
        .req = req, .code = arena_copy(req->arena, str_from(text)), .origin = sandbox_origin(req)};
    json_decref(json);
    bool plain = creation.code.len >= 4 && creation.code.len <= 40;
    for (size_t i = 0; plain && i < creation.code.len; i++) {
        char c = creation.code.ptr[i];
        plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    }
    if (!plain)
        return carrier_refuse(req, 422, "PARAMETER.REQUIRED",
                              "A tracking_code of letters and digits is needed.", "tracking_code");
    enum error_code code = pg_transaction(req->db, create, &creation);
    if (code == ERR_OK)
        sandbox_webhooks_wake();
    return carrier_end(req, fault, code, 201, creation.body);
}

static enum error_code tracker_show(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    enum sandbox_fault fault;
    if (!carrier_begin(req, &fault))
        return ERR_OK;
    struct str body = STR_NONE;
    enum error_code code = tracker_body(req->db, req->arena, in->params[0], &body);
    return carrier_end(req, fault, code, 200, body);
}

static enum error_code tracker_list(struct request *req, const void *input)
{
    enum sandbox_fault fault;
    struct carrier_paging paging;
    if (!carrier_begin(req, &fault) || !carrier_paging(req, input, &paging))
        return ERR_OK;
    struct sandbox_tracker_list_args args = {paging.most, paging.before, paging.after,
                                             form_value(&paging.form, STR("tracking_code")),
                                             form_value(&paging.form, STR("carrier"))};
    struct sandbox_tracker_list_row row = {STR_NONE};
    bool found;
    enum error_code code = sandbox_tracker_list(req->db, req->arena, args, &row, &found);
    return carrier_end(req, fault, code, 200, row.body);
}

/* ---- moving ---- */

struct push {
    struct arena *arena;
    struct str id, status;
};

static enum error_code push(struct pg *db, void *context)
{
    const struct push *push = context;
    return carrier_tracker_advance(db, push->arena, push->id, push->status);
}

/* POST /sandbox/trackers/{id or code}/advance {"status": …}: one step on, or to that status. */
static enum error_code tracker_advance(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    json_t *json = sandbox_hook_body(req, in);
    if (!json)
        return ERR_OK;
    const char *status = json_string_value(json_object_get(json, "status"));
    struct push context = {req->arena, in->params[0],
                           status ? arena_copy(req->arena, str_from(status)) : STR_NONE};
    json_decref(json);
    if (context.status.ptr && !message_of(context.status))
        return sandbox_hook_wrong(req, 400, "that is no status of a parcel");
    enum error_code code = pg_transaction(req->db, push, &context);
    if (code == ERR_NOT_FOUND)
        return sandbox_hook_wrong(req, 404, "there is no such tracker");
    if (code == ERR_CONFLICT)
        return sandbox_hook_wrong(req, 409, "the parcel has come to its end");
    if (code != ERR_OK)
        return code;
    sandbox_webhooks_wake();
    struct str body = STR_NONE;
    code = tracker_body(req->db, req->arena, context.id, &body);
    return code == ERR_OK ? respond_json(req, 200, body) : code;
}

static struct {
    pthread_t thread;
    bool started;
    atomic_bool stopping;
} mover;

static void move_what_is_due(struct pg *db, struct arena *arena)
{
    struct sandbox_tracker_due_rows rows;
    if (sandbox_tracker_due(db, arena, (struct sandbox_tracker_due_args){MOVE_AT_ONCE_MAX}, &rows) != ERR_OK)
        return;
    for (size_t i = 0; i < rows.count; i++) {
        struct push context = {arena, rows.items[i].id, STR_NONE};
        enum error_code code = pg_transaction(db, push, &context);
        if (code != ERR_OK && code != ERR_CONFLICT)
            log_write(LOG_WARN, "sandbox parcel could not move", LOG_TEXT("code", error_text(code)));
    }
    if (rows.count > 0)
        sandbox_webhooks_wake();
}

static void *mover_run(void *context)
{
    (void)context;
    struct pg *db = pg_new(sandbox_database(), "cathay sandbox mover", NULL);
    struct arena *arena = arena_new();
    while (!atomic_load(&mover.stopping) && !sandbox_is_stopping()) {
        move_what_is_due(db, arena);
        arena_reset(arena);
        sandbox_sleep_ms(MOVER_LOOK_MS);
    }
    arena_free(arena);
    pg_free(db);
    return NULL;
}

void carrier_mover_start(void)
{
    if (config()->sandbox_parcel_step_ms == 0)
        return; /* on demand only */
    atomic_store(&mover.stopping, false);
    CHECK(thread_start(&mover.thread, "mover", mover_run, NULL));
    mover.started = true;
}

void carrier_mover_stop(void)
{
    atomic_store(&mover.stopping, true);
    if (mover.started)
        pthread_join(mover.thread, NULL);
    mover.started = false;
}

const struct api_route carrier_tracker_routes[] = {
    SANDBOX_ROUTE("carrier_tracker_create", "POST", "/v2/trackers", tracker_create),
    SANDBOX_ROUTE("carrier_tracker_list", "GET", "/v2/trackers", tracker_list),
    SANDBOX_ROUTE("carrier_tracker_show", "GET", "/v2/trackers/{id}", tracker_show),
    SANDBOX_ROUTE("carrier_tracker_advance", "POST", "/sandbox/trackers/{id}/advance", tracker_advance),
    {.path = NULL},
};
