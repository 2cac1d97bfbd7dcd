/* Calls, errors, events and webhooks of the sandbox carrier. */
#include "sandbox/carrier.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/hmac.h"
#include "base/log.h"
#include "carrier_sql.h"
#include "sandbox/webhooks.h"
#include "sandbox_sql.h"

#include <jansson.h>
#include <sodium.h>

enum error_code carrier_refuse(struct request *req, int status, const char *error_code, const char *message,
                               const char *field)
{
    struct buf out = buf_new(4096);
    buf_printf(&out, "{\"error\":{\"code\":\"%s\",\"message\":", error_code);
    buf_json_str(&out, str_from(message));
    BUF_LITERAL(&out, ",\"errors\":[");
    if (field)
        buf_printf(&out, "{\"field\":\"%s\",\"message\":\"Required, and missing or malformed.\"}", field);
    BUF_LITERAL(&out, "]}}");
    return respond_buf(req, status, &out);
}

enum error_code carrier_missing(struct request *req)
{
    return carrier_refuse(req, 404, "NOT_FOUND", "The requested resource could not be found.", NULL);
}

bool carrier_begin(struct request *req, enum sandbox_fault *fault)
{
    struct str key = sandbox_key_sent(req);
    if (!key.ptr || !sandbox_key_fits(key, config()->easypost_key, STR("EZ"))) {
        carrier_refuse(req, 401, "APIKEY.INACTIVE", "This api key is not known.", NULL);
        return false;
    }
    int status;
    *fault = sandbox_fault_of_call(req->db, req->arena, CARRIER_NAME, &status);
    if (*fault == SANDBOX_FAULT_ERROR) {
        carrier_refuse(req, 500, "INTERNAL_SERVER_ERROR", "The sandbox was told to fail here.", NULL);
        return false;
    }
    if (*fault == SANDBOX_FAULT_REFUSED) {
        carrier_refuse(req, status, "SANDBOX.REFUSED", "The sandbox was told to refuse this.", NULL);
        return false;
    }
    return true;
}

enum error_code carrier_end(struct request *req, enum sandbox_fault fault, enum error_code code, int status,
                            struct str body)
{
    if (code == ERR_NOT_FOUND)
        return carrier_missing(req);
    if (code != ERR_OK) {
        log_write(LOG_WARN, "sandbox carrier could not answer", LOG_TEXT("code", error_text(code)));
        return carrier_refuse(req, 500, "INTERNAL_SERVER_ERROR", "The sandbox could not do that.", NULL);
    }
    if (fault == SANDBOX_FAULT_LOST)
        return carrier_refuse(req, 500, "INTERNAL_SERVER_ERROR", "The sandbox was told to lose this answer.",
                              NULL);
    return respond_json(req, status, body);
}

bool carrier_paging(struct request *req, const struct sandbox_input *in, struct carrier_paging *paging)
{
    *paging = (struct carrier_paging){.most = CARRIER_LIST_DEFAULT};
    if (!form_parse(in->query, req->arena, &paging->form)) {
        carrier_refuse(req, 400, "BAD_REQUEST", "The query could not be read.", NULL);
        return false;
    }
    struct str size = form_value(&paging->form, STR("page_size"));
    if (size.ptr &&
        (!str_to_int64(size, &paging->most) || paging->most < 1 || paging->most > CARRIER_LIST_MAX)) {
        carrier_refuse(req, 422, "PARAMETER.INVALID", "page_size is between 1 and 100.", "page_size");
        return false;
    }
    paging->before = form_value(&paging->form, STR("before_id"));
    paging->after = form_value(&paging->form, STR("after_id"));
    return true;
}

/* ---- events ---- */

enum error_code carrier_event(struct pg *db, struct arena *arena, const char *description,
                              struct str object_id, struct str object, struct str previous)
{
    struct str id = sandbox_id(arena, "evt");
    char now[CLOCK_TEXT_MAX];
    clock_format(clock_wall_us(), now);
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    buf_printf(&out,
               "{\"id\":\"%.*s\",\"object\":\"Event\",\"mode\":\"test\",\"description\":\"%s\",\"created_"
               "at\":\"%s\","
               "\"updated_at\":\"%s\",\"status\":\"pending\",\"pending_urls\":[],\"completed_urls\":[],"
               "\"previous_attributes\":",
               STR_ARG(id), description, now, now);
    buf_append(&out, previous.ptr ? previous : STR("{}"));
    BUF_LITERAL(&out, ",\"result\":");
    buf_append(&out, object);
    buf_char(&out, '}');
    bool whole = !out.overflow;
    struct str body = arena_copy(arena, buf_str(&out));
    buf_free(&out);
    if (!whole)
        return ERR_INTERNAL;
    return sandbox_event_publish(db, arena, CARRIER_NAME, id, str_from(description), object_id, body);
}

static enum error_code event_show(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    enum sandbox_fault fault;
    if (!carrier_begin(req, &fault))
        return ERR_OK;
    struct sandbox_carrier_event_show_row row;
    bool found = false;
    enum error_code code = sandbox_carrier_event_show(
        req->db, req->arena, (struct sandbox_carrier_event_show_args){in->params[0]}, &row, &found);
    return carrier_end(req, fault, code == ERR_OK && !found ? ERR_NOT_FOUND : code, 200, row.body);
}

static enum error_code event_list(struct request *req, const void *input)
{
    enum sandbox_fault fault;
    struct carrier_paging paging;
    if (!carrier_begin(req, &fault) || !carrier_paging(req, input, &paging))
        return ERR_OK;
    struct sandbox_carrier_event_list_row row = {STR_NONE};
    bool found;
    enum error_code code = sandbox_carrier_event_list(
        req->db, req->arena,
        (struct sandbox_carrier_event_list_args){paging.most, paging.before, paging.after}, &row, &found);
    return carrier_end(req, fault, code, 200, row.body);
}

/* ---- webhooks ---- */

static enum error_code endpoint_body(struct request *req, struct str id, struct str *body)
{
    struct sandbox_carrier_endpoint_show_row row = {STR_NONE};
    bool found = false;
    enum error_code code = sandbox_carrier_endpoint_show(
        req->db, req->arena, (struct sandbox_carrier_endpoint_show_args){id}, &row, &found);
    *body = row.body;
    return code == ERR_OK && !found ? ERR_NOT_FOUND : code;
}

static enum error_code endpoint_create(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    enum sandbox_fault fault;
    if (!carrier_begin(req, &fault))
        return ERR_OK;
    json_t *json = json_loadb(in->body.ptr ? in->body.ptr : "", in->body.len, 0, NULL);
    const json_t *webhook = json_object_get(json, "webhook");
    const char *url = json_string_value(json_object_get(webhook, "url"));
    const char *secret = json_string_value(json_object_get(webhook, "webhook_secret"));
    static const struct str every[] = {{"*", 1}};
    struct sandbox_endpoint_put_args args = {
        .id = sandbox_id(req->arena, "hook"),
        .partner = STR(CARRIER_NAME),
        .url = arena_copy(req->arena, str_from(url)),
        .secret = arena_copy(req->arena, secret ? str_from(secret) : STR("")),
        .events = {every, 1},
    };
    json_decref(json);
    if (!str_starts_with(args.url, STR("http://")) && !str_starts_with(args.url, STR("https://")))
        return carrier_refuse(req, 422, "PARAMETER.INVALID", "The webhook needs a url.", "url");
    enum error_code code = sandbox_endpoint_put(req->db, args, NULL);
    struct str body = STR_NONE;
    if (code == ERR_OK)
        code = endpoint_body(req, args.id, &body);
    return carrier_end(req, fault, code, 201, body);
}

static enum error_code endpoint_show(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    enum sandbox_fault fault;
    if (!carrier_begin(req, &fault))
        return ERR_OK;
    struct str body = STR_NONE;
    enum error_code code = endpoint_body(req, in->params[0], &body);
    return carrier_end(req, fault, code, 200, body);
}

static enum error_code endpoint_list(struct request *req, const void *input)
{
    (void)input;
    enum sandbox_fault fault;
    if (!carrier_begin(req, &fault))
        return ERR_OK;
    struct sandbox_carrier_endpoint_list_row row = {STR_NONE};
    bool found;
    enum error_code code = sandbox_carrier_endpoint_list(req->db, req->arena, &row, &found);
    return carrier_end(req, fault, code, 200, row.body);
}

static enum error_code endpoint_delete(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    enum sandbox_fault fault;
    if (!carrier_begin(req, &fault))
        return ERR_OK;
    int64_t affected = 0;
    enum error_code code = sandbox_carrier_endpoint_delete(
        req->db, (struct sandbox_carrier_endpoint_delete_args){in->params[0]}, &affected);
    return carrier_end(req, fault, code == ERR_OK && affected == 0 ? ERR_NOT_FOUND : code, 200, STR("{}"));
}

static const struct api_route carrier_routes[] = {
    SANDBOX_ROUTE("carrier_event_list", "GET", "/v2/events", event_list),
    SANDBOX_ROUTE("carrier_event_show", "GET", "/v2/events/{id}", event_show),
    SANDBOX_ROUTE("carrier_webhook_create", "POST", "/v2/webhooks", endpoint_create),
    SANDBOX_ROUTE("carrier_webhook_list", "GET", "/v2/webhooks", endpoint_list),
    SANDBOX_ROUTE("carrier_webhook_show", "GET", "/v2/webhooks/{id}", endpoint_show),
    SANDBOX_ROUTE("carrier_webhook_delete", "DELETE", "/v2/webhooks/{id}", endpoint_delete),
    {.path = NULL},
};

/* ---- the part ---- */

static const struct api_route *const routes[] = {carrier_routes, carrier_shipment_routes,
                                                 carrier_tracker_routes, carrier_page_routes, NULL};

static enum error_code start(struct pg *db, struct error *error)
{
    static const char *const events[] = {"*", NULL};
    enum error_code code = sandbox_endpoint_from_settings(db, CARRIER_NAME, "/v1/webhooks/easypost",
                                                          config()->easypost_webhook_secret, events);
    if (code != ERR_OK)
        return error_set(error, code, "sandbox carrier: %s", pg_error(db)->detail);
    carrier_mover_start();
    return ERR_OK;
}

/* X-Hmac-Signature: hmac-sha256-hex=<HMAC-SHA256 of the body>. */
static void sign(struct str secret, struct str body, int64_t now_us, struct buf *headers)
{
    (void)now_us;
    char mac[HMAC_HEX_LEN + 1];
    hmac_sha256_hex(secret, &body, 1, mac);
    buf_printf(headers, "X-Hmac-Signature: hmac-sha256-hex=%s\n", mac);
}

const struct sandbox_part sandbox_carrier = {
    .name = CARRIER_NAME, .routes = routes, .start = start, .stop = carrier_mover_stop, .sign = sign};
