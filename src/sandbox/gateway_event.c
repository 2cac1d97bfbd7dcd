/* Events and webhook endpoints: https://docs.stripe.com/api/events,
 * https://docs.stripe.com/api/webhook_endpoints. */
#include "sandbox/gateway.h"

#include "base/check.h"
#include "base/clock.h"
#include "gateway_sql.h"
#include "sandbox/webhooks.h"
#include "sandbox_sql.h"

#define API_VERSION "2024-06-20"
#define ENDPOINT_EVENTS_MAX 32

enum error_code gateway_event(struct pg *db, struct arena *arena, const char *type, struct str object_id,
                              struct str object)
{
    struct str id = sandbox_id(arena, "evt");
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    buf_printf(&out,
               "{\"id\":\"%.*s\",\"object\":\"event\",\"api_version\":\"" API_VERSION "\",\"created\":%lld,"
               "\"data\":{\"object\":",
               STR_ARG(id), (long long)(clock_wall_us() / 1000000));
    buf_append(&out, object);
    buf_printf(
        &out,
        "},\"livemode\":false,\"pending_webhooks\":1,\"request\":{\"id\":null,\"idempotency_key\":null},"
        "\"type\":\"%s\"}",
        type);
    bool whole = !out.overflow;
    struct str body = arena_copy(arena, buf_str(&out));
    buf_free(&out);
    if (!whole)
        return ERR_INTERNAL;
    return sandbox_event_publish(db, arena, GATEWAY_NAME, id, str_from(type), object_id, body);
}

static enum error_code event_show_operation(struct gateway_call *call)
{
    struct str id = call->in->params[0];
    struct sandbox_gateway_event_show_row row;
    bool found;
    enum error_code code = sandbox_gateway_event_show(
        call->db, call->arena, (struct sandbox_gateway_event_show_args){id}, &row, &found);
    if (code)
        return code;
    return found ? gateway_answer(call, row.body) : gateway_missing(call, "event", id);
}

static enum error_code event_list_operation(struct gateway_call *call)
{
    struct gateway_paging paging;
    enum error_code code = gateway_paging(call, &paging);
    if (code)
        return code;
    struct sandbox_gateway_event_list_args args = {form_value(&call->form, STR("type")), paging.limit + 1,
                                                   paging.after, paging.before};
    struct sandbox_gateway_event_list_rows rows;
    code = sandbox_gateway_event_list(call->db, call->arena, args, &rows);
    if (code)
        return code;
    GATEWAY_BODIES(call->arena, rows, bodies)
    return gateway_answer_list(call, "/v1/events", &paging, bodies, rows.count);
}

/* ---- endpoints ---- */

static enum error_code endpoint_answer(struct gateway_call *call, struct str id, bool with_secret)
{
    struct sandbox_gateway_endpoint_show_row row;
    bool found;
    struct sandbox_gateway_endpoint_show_args args = {id, with_secret};
    enum error_code code = sandbox_gateway_endpoint_show(call->db, call->arena, args, &row, &found);
    if (code)
        return code;
    return found ? gateway_answer(call, row.body) : gateway_missing(call, "webhook endpoint", id);
}

static enum error_code endpoint_create_operation(struct gateway_call *call)
{
    struct str events[ENDPOINT_EVENTS_MAX];
    struct sandbox_endpoint_put_args args = {
        .id = sandbox_id(call->arena, "we"),
        .partner = STR(GATEWAY_NAME),
        .url = form_value(&call->form, STR("url")),
        .secret = sandbox_id(call->arena, "whsec"),
        .events = {events, form_list(&call->form, STR("enabled_events"), events, ENDPOINT_EVENTS_MAX)},
    };
    if (!args.url.ptr)
        return gateway_refuse(call, 400, "parameter_missing", "url", "Missing required param: url.");
    if (!str_starts_with(args.url, STR("http://")) && !str_starts_with(args.url, STR("https://")))
        return gateway_refuse(call, 400, "url_invalid", "url",
                              "Invalid URL: An explicit scheme (such as https) must be "
                              "provided.");
    if (args.events.count == 0)
        return gateway_refuse(call, 400, "parameter_missing", "enabled_events",
                              "Missing required param: enabled_events.");
    enum error_code code = sandbox_endpoint_put(call->db, args, NULL);
    return code ? code : endpoint_answer(call, args.id, true);
}

static enum error_code endpoint_show_operation(struct gateway_call *call)
{
    return endpoint_answer(call, call->in->params[0], false);
}

static enum error_code endpoint_list_operation(struct gateway_call *call)
{
    struct gateway_paging paging;
    enum error_code code = gateway_paging(call, &paging);
    if (code)
        return code;
    struct sandbox_gateway_endpoint_list_args args = {paging.limit + 1, paging.after, paging.before};
    struct sandbox_gateway_endpoint_list_rows rows;
    code = sandbox_gateway_endpoint_list(call->db, call->arena, args, &rows);
    if (code)
        return code;
    GATEWAY_BODIES(call->arena, rows, bodies)
    return gateway_answer_list(call, "/v1/webhook_endpoints", &paging, bodies, rows.count);
}

static enum error_code endpoint_delete_operation(struct gateway_call *call)
{
    struct str id = call->in->params[0];
    int64_t affected = 0;
    enum error_code code = sandbox_gateway_endpoint_delete(
        call->db, (struct sandbox_gateway_endpoint_delete_args){id}, &affected);
    if (code)
        return code;
    if (!affected)
        return gateway_missing(call, "webhook endpoint", id);
    return gateway_answer(
        call, arena_printf(call->arena, "{\"id\":\"%.*s\",\"object\":\"webhook_endpoint\",\"deleted\":true}",
                           STR_ARG(id)));
}

static const char *const show_known[] = {"expand", NULL};
static const char *const event_list_known[] = {"type",          "limit",  "starting_after",
                                               "ending_before", "expand", NULL};
static const char *const endpoint_create_known[] = {"url",      "enabled_events", "description",
                                                    "metadata", "expand",         NULL};
static const char *const endpoint_list_known[] = {"limit", "starting_after", "ending_before", "expand", NULL};

static enum error_code event_show(struct request *req, const void *in)
{
    return gateway_read(req, in, show_known, event_show_operation);
}
static enum error_code event_list(struct request *req, const void *in)
{
    return gateway_read(req, in, event_list_known, event_list_operation);
}
static enum error_code endpoint_create(struct request *req, const void *in)
{
    return gateway_change(req, in, endpoint_create_known, endpoint_create_operation);
}
static enum error_code endpoint_show(struct request *req, const void *in)
{
    return gateway_read(req, in, show_known, endpoint_show_operation);
}
static enum error_code endpoint_list(struct request *req, const void *in)
{
    return gateway_read(req, in, endpoint_list_known, endpoint_list_operation);
}
static enum error_code endpoint_delete(struct request *req, const void *in)
{
    return gateway_change(req, in, show_known, endpoint_delete_operation);
}

const struct api_route gateway_event_routes[] = {
    SANDBOX_ROUTE("sandbox_event_list", "GET", "/v1/events", event_list),
    SANDBOX_ROUTE("sandbox_event_show", "GET", "/v1/events/{id}", event_show),
    SANDBOX_ROUTE("sandbox_endpoint_create", "POST", "/v1/webhook_endpoints", endpoint_create),
    SANDBOX_ROUTE("sandbox_endpoint_list", "GET", "/v1/webhook_endpoints", endpoint_list),
    SANDBOX_ROUTE("sandbox_endpoint_show", "GET", "/v1/webhook_endpoints/{id}", endpoint_show),
    SANDBOX_ROUTE("sandbox_endpoint_delete", "DELETE", "/v1/webhook_endpoints/{id}", endpoint_delete),
    {.path = NULL},
};
