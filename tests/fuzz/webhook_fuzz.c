/* Webhooks of the gateway: a signature header in the first line, the body as the rest; and the same bytes as
 * a form. Whatever comes: no crash, no leak; nobody guesses a signature; what is taken for an event keeps its
 * promises. */
#include "base/check.h"
#include "sandbox/form.h"
#include "shop/payments/gateway_stripe.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Numbers that no C type holds are only spans to the shop's own reader; the library refuses them. */
static json_t *load(struct str text, size_t flags)
{
    json_error_t error;
    json_t *json = json_loadb(text.ptr, text.len, flags, &error);
    CHECK(json || json_error_code(&error) == json_error_numeric_overflow);
    return json;
}

static void look_at_intent(const struct gateway_intent *intent)
{
    CHECK(intent->id.len > 0 && intent->amount.minor >= 0 && intent->amount.minor <= MONEY_MINOR_MAX);
    CHECK(intent->response.len > 0);
    /* The client's secret is not kept. */
    json_t *kept = load(intent->response, 0);
    CHECK(!json_object_get(kept, "client_secret"));
    json_decref(kept);
}

/* What the shop's own reader takes for JSON, a library does, and the members are the same. */
static void look_at_json(struct arena *arena, struct str text)
{
    const struct json_view *root = json_view_read(arena, text, NULL);
    if (!root)
        return;
    json_t *json = load(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY);
    for (const struct json_view *member = root->first; json && member; member = member->next) {
        CHECK(!json_is_object(json) ||
              json_object_getn(json, member->name.ptr ? member->name.ptr : "", member->name.len));
        struct str string = json_view_string(arena, member);
        json_t *of = json_is_object(json)
                         ? json_object_getn(json, member->name.ptr ? member->name.ptr : "", member->name.len)
                         : NULL;
        CHECK(!string.ptr || !of ||
              (json_string_length(of) == string.len &&
               memcmp(json_string_value(of), string.ptr, string.len) == 0));
    }
    json_decref(json);
}

static void look_at_form(struct arena *arena, struct str text)
{
    struct form form;
    if (!form_parse(text, arena, &form))
        return;
    struct str values[4];
    CHECK(form.count <= FORM_PAIRS_MAX && form_list(&form, STR("a"), values, 4) <= 4);
    struct str object = form_object_json(&form, STR("metadata"), arena);
    json_t *json = json_loadb(object.ptr, object.len, JSON_REJECT_DUPLICATES, NULL);
    CHECK(json_is_object(json));
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct error error = {.code = ERR_OK};
    struct str body = {(const char *)data, size};
    struct str header = str_split(&body, '\n');
    enum error_code code = stripe_signature_check(header, body, STR("whsec_of_which_no_input_knows"),
                                                  1700000000 * INT64_C(1000000), &error);
    CHECK(code == ERR_SIGNATURE && error.detail[0]);
    struct gateway_event event;
    if (stripe_event_parse(arena, body, &event, &error) == ERR_OK) {
        CHECK(event.id.len > 0 && event.id.len <= 255 && event.type.len > 0);
        if (event.kind == GATEWAY_EVENT_INTENT)
            look_at_intent(&event.intent);
        else if (event.kind == GATEWAY_EVENT_REFUND)
            CHECK(event.refund.id.len > 0 && event.refund.amount.minor >= 0);
    }
    look_at_json(arena, body);
    look_at_form(arena, body);
    arena_free(arena);
    return 0;
}
