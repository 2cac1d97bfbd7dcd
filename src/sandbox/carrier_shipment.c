/* Shipments: made with rates, bought once. https://docs.easypost.com/docs/shipments */
#include "sandbox/carrier.h"

#include "base/check.h"
#include "base/log.h"
#include "carrier_sql.h"
#include "sandbox/webhooks.h"

#include <jansson.h>
#include <stdlib.h>

#define RATE_CARRIER "CathayPost"

static struct str dump(struct arena *arena, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(6));
    struct str copy = arena_copy(arena, str_from(text));
    free(text);
    return copy;
}

/* An address or parcel as it was given, with the identifier and object that EasyPost adds. */
static struct str with_id(struct arena *arena, json_t *value, const char *object, const char *prefix)
{
    json_object_set_new(value, "object", json_string(object));
    json_object_set_new(value, "mode", json_string("test"));
    if (!json_object_get(value, "id")) {
        struct str id = sandbox_id(arena, prefix);
        json_object_set_new(value, "id", json_stringn(id.ptr, id.len));
    }
    return dump(arena, value);
}

/* Two services; the price grows with each started pound. In cents. */
static struct str rates_of(struct arena *arena, struct str shipment_id, int64_t tenths_of_ounces)
{
    static const struct {
        const char *service;
        int64_t base_cents, pound_cents;
        int days;
    } services[] = {{"Ground", 395, 110, 5}, {"Express", 1290, 240, 2}};
    int64_t pounds = (tenths_of_ounces + 159) / 160;
    struct buf out = buf_new(8192);
    buf_char(&out, '[');
    for (size_t i = 0; i < 2; i++) {
        int64_t cents = services[i].base_cents + services[i].pound_cents * pounds;
        struct str id = sandbox_id(arena, "rate");
        buf_printf(&out,
                   "%s{\"id\":\"%.*s\",\"object\":\"Rate\",\"mode\":\"test\",\"service\":\"%s\",\"carrier\":"
                   "\"" RATE_CARRIER
                   "\",\"rate\":\"%lld.%02lld\",\"currency\":\"USD\",\"retail_rate\":null,\"list_rate\":null,"
                   "\"delivery_days\":%d,\"est_delivery_days\":%d,\"delivery_date\":null,"
                   "\"delivery_date_guaranteed\":false,\"carrier_account_id\":\"ca_sandbox\",\"shipment_id\":"
                   "\"%.*s\"}",
                   i ? "," : "", STR_ARG(id), services[i].service, (long long)(cents / 100),
                   (long long)(cents % 100), services[i].days, services[i].days, STR_ARG(shipment_id));
    }
    buf_char(&out, ']');
    struct str rates = arena_copy(arena, buf_str(&out));
    buf_free(&out);
    return rates;
}

/* Streets that no carrier finds, for trying that out. */
#define UNKNOWN_STREET "Nowhere Street"

/* NULL, or the field that is wrong. */
static const char *shipment_wrong(const json_t *shipment)
{
    const json_t *to = json_object_get(shipment, "to_address");
    const char *street = json_string_value(json_object_get(to, "street1"));
    if (!json_is_object(to) || (street && strstr(street, UNKNOWN_STREET)))
        return "to_address";
    if (!json_is_object(json_object_get(shipment, "from_address")))
        return "from_address";
    double weight = json_number_value(json_object_get(json_object_get(shipment, "parcel"), "weight"));
    return weight > 0 && weight < 10000 ? NULL : "parcel";
}

static enum error_code shipment_create(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    enum sandbox_fault fault;
    if (!carrier_begin(req, &fault))
        return ERR_OK;
    json_t *json = json_loadb(in->body.ptr ? in->body.ptr : "", in->body.len, 0, NULL);
    json_t *shipment = json_object_get(json, "shipment");
    const char *wrong = shipment_wrong(shipment);
    if (wrong) {
        json_decref(json);
        return carrier_refuse(req, 422, "SHIPMENT.INVALID_PARAMS",
                              "Unable to create shipment, one or more parameters were invalid.", wrong);
    }
    json_t *parcel = json_object_get(shipment, "parcel");
    double weight = json_number_value(json_object_get(parcel, "weight"));
    json_object_set_new(parcel, "weight", json_real(weight));
    const char *reference = json_string_value(json_object_get(shipment, "reference"));
    struct str id = sandbox_id(req->arena, "shp");
    struct sandbox_shipment_insert_args args = {
        .id = id,
        .reference = arena_copy(req->arena, str_from(reference)),
        .to_address = with_id(req->arena, json_object_get(shipment, "to_address"), "Address", "adr"),
        .from_address = with_id(req->arena, json_object_get(shipment, "from_address"), "Address", "adr"),
        .parcel = with_id(req->arena, parcel, "Parcel", "prcl"),
        .rates = rates_of(req->arena, id, (int64_t)(weight * 10 + 0.5)),
    };
    if (!reference)
        args.reference = STR_NONE;
    json_decref(json);
    struct sandbox_shipment_insert_row row = {STR_NONE};
    bool found;
    enum error_code code = sandbox_shipment_insert(req->db, req->arena, args, &row, &found);
    return carrier_end(req, fault, code, 201, row.body);
}

static enum error_code shipment_body(struct request *req, struct str id, struct str *body)
{
    struct sandbox_shipment_show_row row = {STR_NONE};
    bool found = false;
    enum error_code code =
        sandbox_shipment_show(req->db, req->arena, (struct sandbox_shipment_show_args){id}, &row, &found);
    *body = row.body;
    return code == ERR_OK && !found ? ERR_NOT_FOUND : code;
}

static enum error_code shipment_show(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    enum sandbox_fault fault;
    if (!carrier_begin(req, &fault))
        return ERR_OK;
    struct str body = STR_NONE;
    enum error_code code = shipment_body(req, in->params[0], &body);
    return carrier_end(req, fault, code, 200, body);
}

static enum error_code shipment_list(struct request *req, const void *input)
{
    enum sandbox_fault fault;
    struct carrier_paging paging;
    if (!carrier_begin(req, &fault) || !carrier_paging(req, input, &paging))
        return ERR_OK;
    struct str purchased = form_value(&paging.form, STR("purchased"));
    struct sandbox_shipment_list_args args = {
        .most = paging.most,
        .before = paging.before,
        .after = paging.after,
        .purchased = {purchased.ptr != NULL, purchased.ptr && str_equal(purchased, STR("true"))},
    };
    struct sandbox_shipment_list_row row = {STR_NONE};
    bool found;
    enum error_code code = sandbox_shipment_list(req->db, req->arena, args, &row, &found);
    return carrier_end(req, fault, code, 200, row.body);
}

/* ---- buying ---- */

struct purchase {
    struct request *req;
    struct str id, rate_id, origin;
    bool bought_before, rate_unknown;
};

/* The rate of that identifier as JSON; absent where there is none. */
static struct str rate_find(struct arena *arena, struct str rates, struct str rate_id)
{
    json_t *list = json_loadb(rates.ptr, rates.len, 0, NULL);
    struct str rate = STR_NONE;
    size_t index;
    json_t *entry;
    json_array_foreach(list, index, entry)
    {
        const char *id = json_string_value(json_object_get(entry, "id"));
        if (id && str_equal(str_from(id), rate_id))
            rate = dump(arena, entry);
    }
    json_decref(list);
    return rate;
}

static enum error_code buy(struct pg *db, void *context)
{
    struct purchase *purchase = context;
    struct arena *arena = purchase->req->arena;
    purchase->bought_before = purchase->rate_unknown = false;
    struct sandbox_shipment_lock_row row;
    bool found;
    enum error_code code =
        sandbox_shipment_lock(db, arena, (struct sandbox_shipment_lock_args){purchase->id}, &row, &found);
    if (code != ERR_OK || !found)
        return code == ERR_OK ? ERR_NOT_FOUND : code;
    purchase->bought_before = row.is_bought;
    struct str rate = rate_find(arena, row.rates, purchase->rate_id);
    purchase->rate_unknown = !rate.ptr;
    if (row.is_bought || !rate.ptr)
        return ERR_CONFLICT;
    /* Sortable identifiers are guessable at their beginning; labels and codes take the random end. */
    struct str token = sandbox_id(arena, "label");
    token = (struct str){token.ptr + token.len - 20, 20};
    struct sandbox_shipment_buy_args args = {
        purchase->id, rate, token,
        arena_printf(arena, "%.*s/labels/%.*s", STR_ARG(purchase->origin), STR_ARG(token))};
    code = sandbox_shipment_buy(db, args, NULL);
    struct str unique = sandbox_id(arena, "");
    char *code_text = arena_bytes(arena, 14);
    memcpy(code_text, "CP", 2);
    for (size_t i = 0; i < 12; i++) {
        char c = unique.ptr[unique.len - 12 + i];
        code_text[2 + i] = (char)(c >= 'a' ? c - 32 : c);
    }
    struct str body;
    if (code == ERR_OK)
        code = carrier_tracker_make(db, arena, purchase->origin, (struct str){code_text, 14}, purchase->id,
                                    row.city, row.country, &body);
    return code;
}

static enum error_code shipment_buy(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    enum sandbox_fault fault;
    if (!carrier_begin(req, &fault))
        return ERR_OK;
    json_t *json = json_loadb(in->body.ptr ? in->body.ptr : "", in->body.len, 0, NULL);
    const char *rate_id = json_string_value(json_object_get(json_object_get(json, "rate"), "id"));
    struct purchase purchase = {
        .req = req,
        .id = in->params[0],
        .rate_id = arena_copy(req->arena, rate_id ? str_from(rate_id) : STR("")),
        .origin = sandbox_origin(req),
    };
    json_decref(json);
    enum error_code code = pg_transaction(req->db, buy, &purchase);
    if (code == ERR_CONFLICT && purchase.bought_before)
        return carrier_refuse(req, 422, "SHIPMENT.POSTAGE.EXISTS",
                              "Postage already exists for this shipment.", NULL);
    if (code == ERR_CONFLICT)
        return carrier_refuse(req, 422, "SHIPMENT.POSTAGE.RATE_NOT_FOUND",
                              "The rate is not one of this shipment.", "rate");
    struct str body = STR_NONE;
    if (code == ERR_OK) {
        sandbox_webhooks_wake();
        code = shipment_body(req, purchase.id, &body);
    }
    return carrier_end(req, fault, code, 200, body);
}

/* ---- giving a label back ---- */

static enum error_code shipment_refund(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    enum sandbox_fault fault;
    if (!carrier_begin(req, &fault))
        return ERR_OK;
    struct str body = STR_NONE, id = in->params[0];
    struct sandbox_shipment_refund_row row;
    bool found = false;
    enum error_code code = shipment_body(req, id, &body);
    if (code == ERR_OK)
        code = sandbox_shipment_refund(req->db, req->arena, (struct sandbox_shipment_refund_args){id}, &row,
                                       &found);
    if (code == ERR_OK && !found)
        return carrier_refuse(req, 422, "SHIPMENT.REFUND.UNAVAILABLE",
                              "The shipment has no label that could be refunded.", NULL);
    if (code == ERR_OK)
        code = shipment_body(req, id, &body);
    if (code == ERR_OK)
        code = sandbox_shipment_refund_end(req->db, (struct sandbox_shipment_refund_end_args){id}, NULL);
    return carrier_end(req, fault, code, 200, body);
}

const struct api_route carrier_shipment_routes[] = {
    SANDBOX_ROUTE("carrier_shipment_create", "POST", "/v2/shipments", shipment_create),
    SANDBOX_ROUTE("carrier_shipment_list", "GET", "/v2/shipments", shipment_list),
    SANDBOX_ROUTE("carrier_shipment_show", "GET", "/v2/shipments/{id}", shipment_show),
    SANDBOX_ROUTE("carrier_shipment_refund", "POST", "/v2/shipments/{id}/refund", shipment_refund),
    SANDBOX_ROUTE("carrier_shipment_buy", "POST", "/v2/shipments/{id}/buy", shipment_buy),
    {.path = NULL},
};
