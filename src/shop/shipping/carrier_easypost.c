/* EasyPost's REST API v2. Amounts of money do not pass here but as the rates' text, compared digit by digit;
 * weights are ounces with one decimal. */
#include "shop/shipping/carrier.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/hmac.h"
#include "base/money.h"
#include "base/text.h"
#include "http/client.h"
#include "shop/shipping/parcel.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUEST_MAX ((size_t)16 * 1024)
#define RESPONSE_KEPT_MAX ((size_t)64 * 1024)
#define CARRIER_TEXT_MAX 2000 /* code points */

static struct http_partner *partner;

enum error_code carrier_easypost_start(struct error *error)
{
    /* EasyPost takes the secret in Unicode's NFKD form, which leaves ASCII as it is. */
    for (const char *c = config()->easypost_webhook_secret; c && *c; c++)
        if ((unsigned char)*c >= 0x80)
            return error_set(error, ERR_VALIDATION, "CATHAY_EASYPOST_WEBHOOK_SECRET must be ASCII");
    const char *key = config()->easypost_key ? config()->easypost_key : "";
    char user[512], header[1024] = "Basic ";
    int len = snprintf(user, sizeof user, "%s:", key);
    if (len >= (int)sizeof user)
        return error_set(error, ERR_VALIDATION, "CATHAY_EASYPOST_KEY is too long");
    sodium_bin2base64(header + 6, sizeof header - 6, (const unsigned char *)user, (size_t)len,
                      sodium_base64_VARIANT_ORIGINAL);
    partner = http_partner_new("easypost", config()->easypost_url, header, config()->partner_timeout_ms);
    return ERR_OK;
}

void carrier_easypost_stop(void)
{
    if (partner)
        http_partner_free(partner);
    partner = NULL;
}

/* ---- reading ---- */

/* One line; what carriers write in their events is shown to shoppers. */
static struct str text_of(struct arena *arena, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value))
        return STR_NONE;
    struct str text = {json_string_value(value), json_string_length(value)};
    text = text_clean(arena, arena_copy(arena, text), CARRIER_TEXT_MAX);
    return text.len ? text : STR_NONE;
}

/* Absent where it is no page: it becomes a link. */
static struct str page_of(struct arena *arena, const json_t *object, const char *name)
{
    struct str url = text_of(arena, object, name);
    return str_starts_with(url, STR("https://")) || str_starts_with(url, STR("http://")) ? url : STR_NONE;
}

/* Digits, a point, digits: "7.90". In thousandths; negative: not an amount. */
static int64_t rate_thousandths(struct str text)
{
    int64_t value = 0;
    int decimals = -1;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (c < '0' || c > '9' || value > INT64_MAX / 100)
            return -1;
        if (decimals == 3)
            continue;
        value = value * 10 + (c - '0');
        decimals += decimals >= 0;
    }
    for (int i = decimals < 0 ? 0 : decimals; i < 3; i++)
        value *= 10;
    return text.len ? value : -1;
}

static struct str cheapest_rate(struct arena *arena, const json_t *shipment)
{
    struct str best = STR_NONE;
    int64_t best_rate = -1;
    size_t index;
    json_t *rate;
    json_array_foreach(json_object_get(shipment, "rates"), index, rate)
    {
        int64_t amount = rate_thousandths(text_of(arena, rate, "rate"));
        if (amount >= 0 && (best_rate < 0 || amount < best_rate)) {
            best_rate = amount;
            best = text_of(arena, rate, "id");
        }
    }
    return best;
}

static struct str dump(struct arena *arena, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);
    struct str kept = STR_NONE;
    if (text && strlen(text) <= RESPONSE_KEPT_MAX)
        kept = arena_copy(arena, str_from(text));
    free(text);
    return kept;
}

static enum carrier_refund refund_of(struct arena *arena, const json_t *shipment)
{
    struct str status = text_of(arena, shipment, "refund_status");
    for (int i = CARRIER_REFUND_NONE + 1; i < CARRIER_REFUND_COUNT; i++)
        if (str_equal(status, str_from(carrier_refund_text((enum carrier_refund)i))))
            return (enum carrier_refund)i;
    return CARRIER_REFUND_NONE;
}

static bool shipment_of(struct arena *arena, const json_t *json, struct carrier_shipment *shipment)
{
    const json_t *tracker = json_object_get(json, "tracker");
    const json_t *rate = json_object_get(json, "selected_rate");
    *shipment = (struct carrier_shipment){
        .id = text_of(arena, json, "id"),
        .rate_id = cheapest_rate(arena, json),
        .carrier = text_of(arena, rate, "carrier"),
        .tracker_id = text_of(arena, tracker, "id"),
        .tracking_code = text_of(arena, json, "tracking_code"),
        .tracking_url = page_of(arena, tracker, "public_url"),
        .label_url = text_of(arena, json_object_get(json, "postage_label"), "label_url"),
        .refund = refund_of(arena, json),
        .response = dump(arena, json),
    };
    shipment->labelled = shipment->label_url.ptr && shipment->tracking_code.ptr;
    return shipment->id.ptr != NULL;
}

static struct str place_of(struct arena *arena, const json_t *location)
{
    struct str city = text_of(arena, location, "city");
    struct str country = text_of(arena, location, "country");
    if (city.ptr && country.ptr)
        return arena_printf(arena, "%.*s, %.*s", STR_ARG(city), STR_ARG(country));
    return city.ptr ? city : country;
}

static bool tracker_of(struct arena *arena, const json_t *json, struct carrier_tracker *tracker)
{
    *tracker = (struct carrier_tracker){
        .id = text_of(arena, json, "id"),
        .tracking_code = text_of(arena, json, "tracking_code"),
        .response = dump(arena, json),
    };
    if (!tracker->id.ptr || !parcel_status_parse(text_of(arena, json, "status"), &tracker->status))
        return false;
    const json_t *details = json_object_get(json, "tracking_details");
    struct carrier_event *events = ARENA_ARRAY(arena, struct carrier_event, json_array_size(details) + 1);
    size_t index;
    json_t *detail;
    json_array_foreach(details, index, detail)
    {
        struct carrier_event *event = &events[tracker->event_count];
        if (tracker->event_count == CARRIER_EVENTS_MAX)
            break;
        if (!parcel_status_parse(text_of(arena, detail, "status"), &event->status) ||
            !clock_parse(text_of(arena, detail, "datetime"), &event->occurred_at_us))
            continue; /* one odd line does not hide the others */
        event->message = text_of(arena, detail, "message");
        event->place = place_of(arena, json_object_get(detail, "tracking_location"));
        tracker->event_count++;
    }
    tracker->events = events;
    return true;
}

/* ---- calling ---- */

/* EasyPost says {"error": {"code", "message"}}. */
static enum error_code refusal(const struct http_answer *answer, const json_t *json, struct error *error)
{
    const json_t *told = json_object_get(json, "error");
    const char *code = json_string_value(json_object_get(told, "code"));
    const char *message = json_string_value(json_object_get(told, "message"));
    bool refused = answer->status == 422 || answer->status == 400;
    return error_set(error, refused ? ERR_VALIDATION : ERR_PARTNER, "EasyPost answered %d %s: %.120s",
                     answer->status, code ? code : "", message ? message : "");
}

/* *json belongs to the caller. Not found is no error where `found` is given. */
static enum error_code call(struct pg *db, struct arena *arena, const char *method, struct str path,
                            struct str body, json_t **json, bool *found, struct error *error)
{
    *json = NULL;
    struct http_call request = {
        .method = str_from(method),
        .path = path,
        .content_type = body.ptr ? STR("application/json") : STR_NONE,
        .body = body,
    };
    struct http_answer answer;
    enum error_code code = http_partner_call(partner, db, &request, arena, &answer, error);
    if (code != ERR_OK)
        return code;
    if (found) {
        *found = answer.status != 404;
        if (!*found)
            return ERR_OK;
    }
    *json = json_loadb(answer.body.ptr ? answer.body.ptr : "", answer.body.len, JSON_REJECT_DUPLICATES, NULL);
    if (answer.status < 200 || answer.status > 299)
        code = refusal(&answer, *json, error);
    else if (!json_is_object(*json))
        code = error_set(error, ERR_PARTNER, "EasyPost answered %d with something that is no object",
                         answer.status);
    if (code != ERR_OK) {
        json_decref(*json);
        *json = NULL;
    }
    return code;
}

static void put_text(struct buf *out, const char *name, struct str value)
{
    if (!value.ptr)
        return;
    if (out->len > 0 && out->ptr[out->len - 1] != '{')
        buf_char(out, ',');
    buf_printf(out, "\"%s\":", name);
    buf_json_str(out, value);
}

static void put_address(struct buf *out, const char *name, const struct carrier_address *address)
{
    buf_printf(out, ",\"%s\":{", name);
    put_text(out, "name", address->name);
    put_text(out, "company", address->company);
    put_text(out, "street1", address->line1);
    put_text(out, "street2", address->line2);
    put_text(out, "city", address->city);
    put_text(out, "state", address->region);
    put_text(out, "zip", address->postal_code);
    put_text(out, "country", address->country);
    put_text(out, "phone", address->phone);
    buf_char(out, '}');
}

/* An ounce is 28.349523125 g; up to the next tenth, at least one. */
static int64_t tenths_of_ounces(int64_t grams)
{
    int64_t tenths = ratio_ceil(grams, 100000000, 283495231);
    return tenths > 0 ? tenths : 1;
}

static enum error_code shipment_result(enum error_code code, json_t *json, struct arena *arena,
                                       struct carrier_shipment *shipment, struct error *error)
{
    if (code != ERR_OK || !json)
        return code;
    if (!shipment_of(arena, json, shipment))
        code = error_set(error, ERR_PARTNER, "EasyPost answered with something that is no shipment");
    json_decref(json);
    return code;
}

static enum error_code shipment_create(struct pg *db, struct arena *arena,
                                       const struct carrier_parcel *parcel, struct carrier_shipment *shipment,
                                       struct error *error)
{
    int64_t weight = tenths_of_ounces(parcel->weight_grams);
    struct buf body = buf_new(REQUEST_MAX);
    BUF_LITERAL(&body, "{\"shipment\":{");
    put_text(&body, "reference", parcel->reference);
    put_address(&body, "to_address", &parcel->to);
    put_address(&body, "from_address", &parcel->from);
    buf_printf(&body, ",\"parcel\":{\"weight\":%lld.%lld}}}", (long long)(weight / 10),
               (long long)(weight % 10));
    json_t *json = NULL;
    enum error_code code =
        body.overflow ? error_set(error, ERR_VALIDATION, "The addresses are too long")
                      : call(db, arena, "POST", STR("/v2/shipments"), buf_str(&body), &json, NULL, error);
    buf_free(&body);
    return shipment_result(code, json, arena, shipment, error);
}

static enum error_code shipment_find(struct pg *db, struct arena *arena, struct str id_or_reference,
                                     struct carrier_shipment *shipment, bool *found, struct error *error)
{
    json_t *json;
    struct str path = arena_printf(arena, "/v2/shipments/%.*s", STR_ARG(id_or_reference));
    enum error_code code = call(db, arena, "GET", path, STR_NONE, &json, found, error);
    return shipment_result(code, json, arena, shipment, error);
}

static enum error_code label_buy(struct pg *db, struct arena *arena, struct str id, struct str rate_id,
                                 struct carrier_shipment *shipment, struct error *error)
{
    struct buf body = buf_new(REQUEST_MAX);
    BUF_LITERAL(&body, "{\"rate\":{\"id\":");
    buf_json_str(&body, rate_id);
    BUF_LITERAL(&body, "}}");
    json_t *json;
    struct str path = arena_printf(arena, "/v2/shipments/%.*s/buy", STR_ARG(id));
    enum error_code code = call(db, arena, "POST", path, buf_str(&body), &json, NULL, error);
    buf_free(&body);
    code = shipment_result(code, json, arena, shipment, error);
    if (code == ERR_OK && !shipment->labelled)
        code = error_set(error, ERR_PARTNER, "EasyPost sold a label without tracking code");
    return code;
}

static enum error_code label_void(struct pg *db, struct arena *arena, struct str id,
                                  struct carrier_shipment *shipment, struct error *error)
{
    json_t *json;
    struct str path = arena_printf(arena, "/v2/shipments/%.*s/refund", STR_ARG(id));
    enum error_code code = call(db, arena, "POST", path, STR("{}"), &json, NULL, error);
    return shipment_result(code, json, arena, shipment, error);
}

static bool is_away(void)
{
    return http_partner_is_away(partner);
}

static enum error_code tracker_read(struct pg *db, struct arena *arena, struct str id,
                                    struct carrier_tracker *tracker, bool *found, struct error *error)
{
    json_t *json;
    struct str path = arena_printf(arena, "/v2/trackers/%.*s", STR_ARG(id));
    enum error_code code = call(db, arena, "GET", path, STR_NONE, &json, found, error);
    if (code != ERR_OK || !json)
        return code;
    if (!tracker_of(arena, json, tracker))
        code = error_set(error, ERR_PARTNER, "EasyPost answered with something that is no tracker");
    json_decref(json);
    return code;
}

/* ---- webhooks ---- */

static bool webhook_verify(struct str signature, struct str body)
{
    struct str prefix = STR("hmac-sha256-hex=");
    struct str secret = str_from(config()->easypost_webhook_secret);
    if (secret.len == 0 || !str_starts_with(signature, prefix))
        return false;
    char expected[HMAC_HEX_LEN + 1];
    hmac_sha256_hex(secret, &body, 1, expected);
    return hmac_hex_equal(expected, (struct str){signature.ptr + prefix.len, signature.len - prefix.len});
}

static bool webhook_parse(struct arena *arena, struct str body, struct carrier_news *news)
{
    *news = (struct carrier_news){0};
    json_t *json = json_loadb(body.ptr ? body.ptr : "", body.len, JSON_REJECT_DUPLICATES, NULL);
    news->event_id = text_of(arena, json, "id");
    news->type = text_of(arena, json, "description");
    bool ours = news->event_id.ptr && news->type.ptr && news->event_id.len <= 200 && news->type.len <= 100;
    if (ours && str_starts_with(news->type, STR("tracker.")))
        news->about_tracker = tracker_of(arena, json_object_get(json, "result"), &news->tracker);
    json_decref(json);
    return ours;
}

const struct carrier carrier_easypost = {
    .version = CARRIER_VERSION,
    .name = "easypost",
    .shipment_create = shipment_create,
    .shipment_find = shipment_find,
    .label_buy = label_buy,
    .label_void = label_void,
    .is_away = is_away,
    .tracker_read = tracker_read,
    .webhook_verify = webhook_verify,
    .webhook_parse = webhook_parse,
};
