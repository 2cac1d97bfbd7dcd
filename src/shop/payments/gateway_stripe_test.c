/* PAY-2: signatures; what the adapter reads and says. */
#include "shop/payments/gateway_stripe.h"

#include "base/hmac.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const char body[] = "{\"id\":\"evt_1\"}";
#define BODY ((struct str){body, sizeof body - 1})
#define SECRET STR("whsec_test")
#define NOW_S 1700000000
#define NOW_US (NOW_S * INT64_C(1000000))

static void sign(char out[HMAC_HEX_LEN + 1], const char *seconds, struct str secret, struct str text)
{
    hmac_sha256_hex(secret, (struct str[]){str_from(seconds), STR("."), text}, 3, out);
}

static enum error_code check(const char *header)
{
    struct error error = {.code = ERR_OK};
    return stripe_signature_check(str_from(header), BODY, SECRET, NOW_US, &error);
}

static void known_answer(void **state)
{
    (void)state;
    /* RFC 4231, test case 2, as one piece and as three. */
    char mac[HMAC_HEX_LEN + 1];
    hmac_sha256_hex(STR("Jefe"), (struct str[]){STR("what do ya want for nothing?")}, 1, mac);
    assert_string_equal(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    hmac_sha256_hex(STR("Jefe"), (struct str[]){STR("what do ya"), STR(""), STR(" want for nothing?")}, 3,
                    mac);
    assert_string_equal(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void good_signatures_pass(void **state)
{
    (void)state;
    char mac[HMAC_HEX_LEN + 1], header[512];
    sign(mac, "1700000000", SECRET, BODY);
    snprintf(header, sizeof header, "t=1700000000,v1=%s", mac);
    assert_int_equal(check(header), ERR_OK);
    snprintf(header, sizeof header, "t=1700000000, v0=abc, v1=%064d,v1=%s", 0, mac);
    assert_int_equal(check(header), ERR_OK);
    sign(mac, "1699999700", SECRET, BODY);
    snprintf(header, sizeof header, "t=1699999700,v1=%s", mac);
    assert_int_equal(check(header), ERR_OK);
}

static void bad_signatures_are_refused(void **state)
{
    (void)state;
    char mac[HMAC_HEX_LEN + 1], header[512];
    assert_int_equal(check(NULL), ERR_SIGNATURE);
    assert_int_equal(check(""), ERR_SIGNATURE);
    assert_int_equal(check("t=1700000000"), ERR_SIGNATURE);
    assert_int_equal(check("v1=00"), ERR_SIGNATURE);
    assert_int_equal(check("t=abc,v1=00"), ERR_SIGNATURE);
    assert_int_equal(check("t=-5,v1=00"), ERR_SIGNATURE);
    assert_int_equal(check("t=99999999999999999999,v1=00"), ERR_SIGNATURE);

    sign(mac, "1700000000", STR("whsec_other"), BODY);
    snprintf(header, sizeof header, "t=1700000000,v1=%s", mac);
    assert_int_equal(check(header), ERR_SIGNATURE);

    sign(mac, "1700000000", SECRET, STR("{\"id\":\"evt_2\"}"));
    snprintf(header, sizeof header, "t=1700000000,v1=%s", mac);
    assert_int_equal(check(header), ERR_SIGNATURE);

    /* Signed for another time; given twice; cut off. */
    sign(mac, "1700000000", SECRET, BODY);
    snprintf(header, sizeof header, "t=1700000001,v1=%s", mac);
    assert_int_equal(check(header), ERR_SIGNATURE);
    snprintf(header, sizeof header, "t=1700000000,t=1700000000,v1=%s", mac);
    assert_int_equal(check(header), ERR_SIGNATURE);
    snprintf(header, sizeof header, "t=1700000000,v1=%.63s", mac);
    assert_int_equal(check(header), ERR_SIGNATURE);
}

static void other_times_are_refused(void **state)
{
    (void)state;
    char mac[HMAC_HEX_LEN + 1], header[512];
    sign(mac, "1699999699", SECRET, BODY);
    snprintf(header, sizeof header, "t=1699999699,v1=%s", mac);
    assert_int_equal(check(header), ERR_SIGNATURE);
    sign(mac, "1700000301", SECRET, BODY);
    snprintf(header, sizeof header, "t=1700000301,v1=%s", mac);
    assert_int_equal(check(header), ERR_SIGNATURE);
}

static void no_secret_refuses_all(void **state)
{
    (void)state;
    char mac[HMAC_HEX_LEN + 1], header[512];
    struct error error = {.code = ERR_OK};
    sign(mac, "1700000000", STR(""), BODY);
    snprintf(header, sizeof header, "t=1700000000,v1=%s", mac);
    assert_int_equal(stripe_signature_check(str_from(header), BODY, STR(""), NOW_US, &error), ERR_SIGNATURE);
}

#define ORDER "ord_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f"
#define PAYMENT "pay_0192f3c4a5b67c8d9e0f1a2b3c4d5e70"
#define INTENT(status, more)                                                                                 \
    "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"amount\":12345,\"amount_received\":12345,"             \
    "\"currency\":\"hkd\","                                                                                  \
    "\"client_secret\":\"pi_1_secret_x\",\"metadata\":{\"order_id\":\"" ORDER "\",\"payment_id\":\"" PAYMENT \
    "\"},"                                                                                                   \
    "\"status\":\"" status "\"" more "}"
#define EVENT(type, object)                                                                                  \
    "{\"id\":\"evt_1\",\"object\":\"event\",\"created\":1700000000,\"data\":{\"object\":" object             \
    "},\"type\":\"" type "\"}"

static enum error_code parse(struct arena *arena, const char *text, struct gateway_event *event)
{
    struct error error = {.code = ERR_OK};
    return stripe_event_parse(arena, str_from(text), event, &error);
}

static void events_are_read(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct gateway_event event;
    assert_int_equal(parse(arena, EVENT("payment_intent.succeeded", INTENT("succeeded", "")), &event),
                     ERR_OK);
    assert_int_equal(event.kind, GATEWAY_EVENT_INTENT);
    assert_int_equal(event.intent.state, GATEWAY_INTENT_SUCCEEDED);
    assert_int_equal(event.intent.amount.minor, 12345);
    assert_string_equal(event.intent.amount.currency.code, "HKD");
    char id[ID_TEXT_MAX];
    order_id_text(event.intent.order_id, id);
    assert_string_equal(id, ORDER);
    payment_id_text(event.intent.payment_id, id);
    assert_string_equal(id, PAYMENT);
    /* What is kept holds no secret. */
    assert_true(
        str_equal(event.intent.response,
                  STR("{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"amount\":12345,"
                      "\"amount_received\":12345,\"currency\":\"hkd\",\"metadata\":{\"order_id\":\"" ORDER
                      "\",\"payment_id\":\"" PAYMENT "\"},\"status\":\"succeeded\"}")));

    const char *failed =
        EVENT("payment_intent.payment_failed",
              INTENT("requires_payment_method", ",\"last_payment_error\":{\"code\":\"declined\"}"));
    assert_int_equal(parse(arena, failed, &event), ERR_OK);
    assert_int_equal(event.intent.state, GATEWAY_INTENT_FAILED);
    assert_true(str_equal(event.intent.failure, STR("declined")));

    const char *hostile = EVENT("payment_intent.payment_failed",
                                INTENT("requires_payment_method",
                                       ",\"last_payment_error\":{\"code\":\"a\\r\\nb\\u202e\\u001b[2J\"}"));
    assert_int_equal(parse(arena, hostile, &event), ERR_OK);
    assert_true(str_equal(event.intent.failure, STR("a b [2J")));

    assert_int_equal(parse(arena, EVENT("customer.created", "{\"id\":\"cus_1\"}"), &event), ERR_OK);
    assert_int_equal(event.kind, GATEWAY_EVENT_OTHER);

    const char *refund =
        EVENT("refund.updated", "{\"id\":\"re_1\",\"object\":\"refund\",\"amount\":5,\"currency\":\"usd\","
                                "\"payment_intent\":\"pi_1\",\"status\":\"succeeded\",\"metadata\":{}}");
    assert_int_equal(parse(arena, refund, &event), ERR_OK);
    assert_int_equal(event.refund.state, GATEWAY_REFUND_SUCCEEDED);
    assert_true(uuid_is_zero(event.refund.refund_id.uuid));

    const char *dispute =
        EVENT("charge.dispute.closed", "{\"id\":\"dp_1\",\"object\":\"dispute\",\"amount\":5,\"currency\":"
                                       "\"usd\",\"payment_intent\":\"pi_1\",\"reason\":\"fraudulent\","
                                       "\"status\":\"lost\"}");
    assert_int_equal(parse(arena, dispute, &event), ERR_OK);
    assert_int_equal(event.kind, GATEWAY_EVENT_DISPUTE);
    assert_true(event.dispute.closed);
    assert_true(str_equal(event.dispute.intent_id, STR("pi_1")));
    arena_free(arena);
}

static void other_bodies_are_refused(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct gateway_event event;
    static const char *const wrong[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"id\":\"evt_1\",\"object\":\"event\",\"type\":\"payment_intent.succeeded\"}",
        EVENT("payment_intent.succeeded", "{}"),
        /* The type says one thing, the object another. */
        EVENT("payment_intent.succeeded", INTENT("requires_action", "")),
        EVENT("payment_intent.payment_failed", INTENT("succeeded", "")),
        EVENT("payment_intent.succeeded", INTENT("unheard_of", "")),
        EVENT("payment_intent.succeeded",
              "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"amount\":1.5,\"currency\":\"hkd\","
              "\"status\":\"succeeded\"}"),
        EVENT("payment_intent.succeeded",
              "{\"id\":\"pi_1\",\"object\":\"payment_intent\",\"amount\":-1,\"currency\":\"hkd\","
              "\"status\":\"succeeded\"}"),
        EVENT("refund.updated", INTENT("succeeded", "")),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(parse(arena, wrong[i], &event), ERR_BAD_REQUEST);
    arena_free(arena);
}

static void redirects_of_any_kind_are_found(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct gateway_intent intent;
    static const char *const kinds[] = {"redirect_to_url", "alipay_handle_redirect"};
    for (size_t i = 0; i < 2; i++) {
        struct str text = arena_printf(
            arena,
            INTENT("requires_action",
                   ",\"next_action\":{\"type\":\"%s\",\"%s\":{\"url\":\"https://pay.example/x\"}}"),
            kinds[i], kinds[i]);
        assert_true(stripe_intent_read(arena, json_view_read(arena, text, NULL), &intent));
        assert_true(str_equal(intent.redirect_url, STR("https://pay.example/x")));
    }
    arena_free(arena);
}

static void forms_are_encoded(void **state)
{
    (void)state;
    struct gateway_intent_request request = {.order_number = 100001,
                                             .return_url = STR("https://shop.example/r?a=1&b=2")};
    assert_true(order_id_parse(STR(ORDER), &request.order_id));
    assert_true(payment_id_parse(STR(PAYMENT), &request.payment_id));
    assert_true(currency_parse(STR("HKD"), &request.amount.currency));
    request.amount.minor = 12345;
    struct buf form = buf_new(4096);
    stripe_intent_form(&form, &request, "alipay");
    buf_char(&form, '\0');
    assert_string_equal(
        form.ptr,
        "amount=12345&currency=hkd&confirm=true&payment_method_types%5B%5D=alipay&"
        "payment_method_data%5Btype%5D=alipay&return_url=https%3A%2F%2Fshop.example%2Fr%3Fa%3D1%26b%3D2&"
        "description=Order%20100001&metadata%5Border_id%5D=" ORDER "&metadata%5Bpayment_id%5D=" PAYMENT);
    buf_free(&form);
}

static void limits_are_by_currency(void **state)
{
    (void)state;
    struct currency currency;
    assert_true(currency_parse(STR("HKD"), &currency));
    assert_int_equal(stripe_charge_limits(currency).least, 400);
    assert_int_equal(stripe_charge_limits(currency).most, 99999999);
    assert_true(currency_parse(STR("USD"), &currency));
    assert_int_equal(stripe_charge_limits(currency).least, 50);
    assert_true(currency_parse(STR("XTS"), &currency)); /* none is known */
    assert_int_equal(stripe_charge_limits(currency).least, 1);
    int64_t bound;
    struct cash_limits limits = {400, 99999999};
    assert_null(miles_cash_refusal(limits, 0, &bound));
    assert_null(miles_cash_refusal(limits, 400, &bound));
    assert_null(miles_cash_refusal(limits, 99999999, &bound));
    assert_string_equal(miles_cash_refusal(limits, 399, &bound), "below_least_charge");
    assert_int_equal(bound, 400);
    assert_string_equal(miles_cash_refusal(limits, 100000000, &bound), "above_most_charge");
    assert_int_equal(bound, 99999999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answer),
        cmocka_unit_test(good_signatures_pass),
        cmocka_unit_test(bad_signatures_are_refused),
        cmocka_unit_test(other_times_are_refused),
        cmocka_unit_test(no_secret_refuses_all),
        cmocka_unit_test(events_are_read),
        cmocka_unit_test(other_bodies_are_refused),
        cmocka_unit_test(redirects_of_any_kind_are_found),
        cmocka_unit_test(forms_are_encoded),
        cmocka_unit_test(limits_are_by_currency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
