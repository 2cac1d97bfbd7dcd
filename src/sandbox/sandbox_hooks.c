#include "sandbox/sandbox_hooks.h"

#include "sandbox/webhooks.h"
#include "sandbox_sql.h"

#include <jansson.h>

#define REPEATS_MAX 1000
#define FAULT_CALLS_MAX 1000000

enum error_code sandbox_hook_wrong(struct request *req, int status, const char *message)
{
    struct buf body = buf_new(1024);
    BUF_LITERAL(&body, "{\"error\":{\"message\":");
    buf_json_str(&body, str_from(message));
    BUF_LITERAL(&body, "}}");
    return respond_buf(req, status, &body);
}

json_t *sandbox_hook_body(struct request *req, const struct sandbox_input *in)
{
    if (in->body.len == 0)
        return json_object();
    json_t *json = json_loadb(in->body.ptr, in->body.len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    sandbox_hook_wrong(req, 400, "the body should be a JSON object");
    return NULL;
}

static enum error_code fault_show(struct request *req, const void *in)
{
    (void)in;
    struct sandbox_fault_list_row row;
    bool found;
    enum error_code code = sandbox_fault_list(req->db, req->arena, &row, &found);
    return code ? code : respond_json(req, 200, row.body);
}

static enum error_code fault_set(struct request *req, const void *in)
{
    json_t *json = sandbox_hook_body(req, in);
    if (!json)
        return ERR_OK;
    struct sandbox_fault_set_args args = {
        .partner = arena_copy(req->arena, str_from(json_string_value(json_object_get(json, "partner")))),
        .name = arena_copy(req->arena, str_from(json_string_value(json_object_get(json, "name")))),
        .value = json_integer_value(json_object_get(json, "value")),
    };
    json_t *calls = json_object_get(json, "calls");
    int64_t count = calls ? json_integer_value(calls) : 1;
    json_decref(json);
    if (!args.partner.ptr || !args.name.ptr || count < 0 || count > FAULT_CALLS_MAX || args.value < 0)
        return sandbox_hook_wrong(req, 400, "needs partner, name, and maybe calls and value");
    args.calls = (int32_t)count;
    enum error_code code = sandbox_fault_set(req->db, args, NULL);
    return code ? code : fault_show(req, NULL);
}

static enum error_code fault_clear(struct request *req, const void *in)
{
    (void)in;
    enum error_code code = sandbox_fault_clear(req->db, NULL);
    return code ? code : fault_show(req, NULL);
}

/* GET /sandbox/deliveries?event_id=… or ?object_id=… */
static enum error_code delivery_list(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    struct sandbox_delivery_list_args args = {STR_NONE, STR_NONE};
    struct str rest = in->query;
    while (rest.ptr) {
        struct str pair = str_split(&rest, '&');
        struct str name = str_split(&pair, '=');
        if (str_equal(name, STR("event_id")))
            args.event_id = pair;
        else if (str_equal(name, STR("object_id")))
            args.object_id = pair;
    }
    struct sandbox_delivery_list_row row;
    bool found;
    enum error_code code = sandbox_delivery_list(req->db, req->arena, args, &row, &found);
    return code ? code : respond_json(req, 200, row.body);
}

struct repeat {
    struct str event_id;
    int64_t times;
    bool concurrently;
    int64_t made;
};

static enum error_code repeat_in_transaction(struct pg *db, void *context)
{
    struct repeat *repeat = context;
    repeat->made = 0;
    if (repeat->concurrently)
        return sandbox_delivery_repeat(
            db, (struct sandbox_delivery_repeat_args){repeat->event_id, repeat->times}, &repeat->made);
    enum error_code code = ERR_OK;
    for (int64_t i = 0; code == ERR_OK && i < repeat->times; i++) {
        int64_t affected = 0;
        code =
            sandbox_delivery_append(db, (struct sandbox_delivery_append_args){repeat->event_id}, &affected);
        repeat->made += affected;
    }
    return code;
}

/* POST /sandbox/events/{id}/resend {times, concurrently} */
static enum error_code event_resend(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    json_t *json = sandbox_hook_body(req, in);
    if (!json)
        return ERR_OK;
    json_t *times = json_object_get(json, "times");
    struct repeat repeat = {
        .event_id = in->params[0],
        .times = times ? json_integer_value(times) : 1,
        .concurrently = json_is_true(json_object_get(json, "concurrently")),
    };
    json_decref(json);
    if (repeat.times < 1 || repeat.times > REPEATS_MAX)
        return sandbox_hook_wrong(req, 400, "times should be 1 to 1000");
    enum error_code code = pg_transaction(req->db, repeat_in_transaction, &repeat);
    if (code)
        return code;
    if (repeat.made == 0)
        return sandbox_hook_wrong(req, 404, "there is no such event, or nobody listens for it");
    sandbox_webhooks_wake();
    return respond_json(req, 202, arena_printf(req->arena, "{\"deliveries\":%lld}", (long long)repeat.made));
}

const struct api_route sandbox_hook_routes[] = {
    SANDBOX_ROUTE("sandbox_fault_list", "GET", "/sandbox/faults", fault_show),
    SANDBOX_ROUTE("sandbox_fault_set", "POST", "/sandbox/faults", fault_set),
    SANDBOX_ROUTE("sandbox_fault_clear", "DELETE", "/sandbox/faults", fault_clear),
    SANDBOX_ROUTE("sandbox_delivery_list", "GET", "/sandbox/deliveries", delivery_list),
    SANDBOX_ROUTE("sandbox_event_resend", "POST", "/sandbox/events/{id}/resend", event_resend),
    {.path = NULL},
};
