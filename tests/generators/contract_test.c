/* What the contract generator makes of fixture.yaml: decoders, encoders, the route table, and the router over
 * it. */
#include "api.h"
#include "base/check.h"
#include "http/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PRODUCT "prd_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f"
#define VENDOR "ven_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f"
#define PARTS "\"parts\":[{\"sku\":\"AB-1\",\"quantity\":2}]"
#define THING(more) "{\"name\":\"Lamp\",\"accept\":true," PARTS more "}"

static struct arena *arena;
static struct error error;
static struct router *router;

static struct str header(const void *context, struct str name)
{
    const char *const *pairs = context; /* name, value, …, NULL */
    for (; pairs && *pairs; pairs += 2)
        if (str_equal_ignoring_case(str_from(pairs[0]), name))
            return str_from(pairs[1]);
    return STR_NONE;
}

/* Routes and decodes; NULL when the decoder refuses. The body ends where an allocation ends, so that the
 * sanitizer sees a read behind it, and is gone afterwards: nothing that is decoded from JSON may point into
 * it. */
static void *decode(const char *method, const char *path, const char *query, const char *body,
                    const char *const *headers)
{
    struct router_match match;
    void *out = NULL;
    error_clear(&error);
    assert_int_equal(router_match(router, arena, str_from(method), str_from(path), &match), ROUTER_FOUND);
    struct str text = str_from(body);
    char *tight_body = malloc(text.len + 1);
    assert_non_null(tight_body);
    if (text.len)
        memcpy(tight_body + 1, text.ptr, text.len);
    struct api_input input = {.path_params = match.params,
                              .path_param_count = match.param_count,
                              .query = str_from(query),
                              .header = header,
                              .header_context = headers,
                              .body = {body ? tight_body + 1 : NULL, text.len}};
    bool good = match.route->decode(&input, arena, &out, &error);
    free(tight_body);
    assert_int_equal(good, error.code == ERR_OK);
    return good ? out : NULL;
}

static void *create(const char *body)
{
    return decode("POST", "/things", NULL, body, NULL);
}

static void *list(const char *query)
{
    return decode("GET", "/things", query, NULL, NULL);
}

/* The decoder refused with ERR_VALIDATION, and exactly this field has exactly this reason. */
static void assert_fault(const void *out, const char *field, const char *reason)
{
    assert_null(out);
    assert_int_equal(error.code, ERR_VALIDATION);
    for (size_t i = 0; i < error.field_count; i++)
        if (strcmp(error.fields[i].field, field) == 0) {
            assert_string_equal(error.fields[i].reason, reason);
            return;
        }
    fail_msg("no fault of %s; the first of %zu is of %s: %s", field, error.field_count, error.fields[0].field,
             error.fields[0].reason);
}

static void assert_str(struct str actual, const char *expected)
{
    assert_non_null(actual.ptr);
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.ptr, expected, actual.len);
}

static void body_of_all_kinds(void **state)
{
    (void)state;
    struct api_thing_create *in =
        create("{\"name\":\"\xE7\x87\x88\xE7\xB1\xA0\",\"parts\":[{\"sku\":\"AB-12\",\"quantity\":4},"
               "{\"sku\":\"CD-3\",\"quantity\":10,\"default\":false}],\"accept\":true,\"mood\":\"so-so\","
               "\"moods\":[\"good\",\"good\"],\"email\":\"a.b+c@shop.example\",\"link\":\"https://"
               "shop.example/a?b=c#d\","
               "\"token\":\"0192f3c4-a5b6-7c8d-9e0f-1a2b3c4d5e6f\",\"currency\":\"USD\",\"level\":-"
               "9223372036854775808,"
               "\"born_at\":\"2026-03-01T09:30:00.5+08:00\",\"extra\":{\"b\":[1, "
               "2.5],\"a\":null},\"parent\":\"" VENDOR "\","
               "\"place\":{\"city\":\"\\u9999\\u6e2f\",\"floors\":[-2,7]}}");
    assert_non_null(in);
    assert_str(in->body.name, "\xE7\x87\x88\xE7\xB1\xA0");
    assert_int_equal(in->body.parts.count, 2);
    assert_str(in->body.parts.items[0].sku, "AB-12");
    assert_true(in->body.parts.items[0].default_);
    assert_int_equal(in->body.parts.items[1].quantity, 10);
    assert_false(in->body.parts.items[1].default_);
    assert_true(in->body.has_mood);
    assert_int_equal(in->body.mood, API_MOOD_SO_SO);
    assert_int_equal(in->body.moods.count, 2);
    assert_int_equal(in->body.moods.items[1], API_MOOD_GOOD);
    assert_true(in->body.has_link && !in->body.null_link);
    assert_str(in->body.currency, "USD");
    assert_true(in->body.level == INT64_MIN);
    assert_true(in->body.born_at == INT64_C(1772328600500000));
    assert_str(in->body.extra, "{\"b\":[1,2.5],\"a\":null}");
    struct vendor_id vendor;
    assert_true(vendor_id_parse(STR(VENDOR), &vendor) && vendor_id_equal(vendor, in->body.parent));
    assert_str(in->body.place.city, "\xE9\xA6\x99\xE6\xB8\xAF");
    assert_int_equal(in->body.place.floors.items[0], -2);
}

static void defaults_and_absence(void **state)
{
    (void)state;
    struct api_thing_create *in = create(THING(",\"link\":null,\"parent\":null"));
    assert_non_null(in);
    assert_str(in->body.currency, "HKD");
    assert_int_equal(in->body.level, 7);
    assert_int_equal(in->body.moods.count, 0);
    assert_false(in->body.has_mood || in->body.has_email || in->body.has_extra || in->body.has_place);
    assert_true(in->body.has_link && in->body.null_link && in->body.has_parent && in->body.null_parent);
    struct api_thing_list *listing = list(NULL);
    assert_non_null(listing);
    assert_int_equal(listing->limit, 20);
    assert_int_equal(listing->sort, API_THING_LIST_SORT_NEWEST);
    assert_false(listing->has_cursor || listing->has_tag || listing->has_in_stock);
    assert_non_null(decode("GET", "/things/new", "", "", NULL));
}

static void body_faults(void **state)
{
    (void)state;
    static const struct {
        const char *body, *field, *reason;
    } cases[] = {
        {"", "body", "is required"},
        {"[]", "body", "must be an object"},
        {"null", "body", "must be an object"},
        {"{}", "parts", "is required"},
        {THING(",\"colour\":1"), "colour", "is not a member that the contract knows"},
        {THING(",\"place\":{\"city\":\"x\",\"zip\":1}"), "place.zip",
         "is not a member that the contract knows"},
        {THING(",\"place\":{\"city\":\"\"}"), "place.city", "has fewer than 1 character"},
        {THING(",\"place\":{\"city\":\"x\",\"floors\":[1,-3]}"), "place.floors[1]", "is less than -2"},
        {THING(",\"place\":null"), "place", "must be an object"},
        {"{\"name\":\"Lampe\"}", "name", "has more than 4 characters"},
        {"{\"name\":\"\xE7\x87\x88\"}", "name", "has fewer than 2 characters"},
        {"{\"name\":7}", "name", "must be a string"},
        {"{\"name\":null}", "name", "must be a string"},
        {"{\"accept\":false}", "accept", "must be true"},
        {"{\"accept\":1}", "accept", "must be true or false"},
        {"{\"parts\":[]}", "parts", "has fewer than 1 item"},
        {"{\"parts\":{}}", "parts", "must be an array"},
        {"{\"parts\":[1,2,3,4]}", "parts", "has more than 3 items"},
        {"{\"parts\":[{\"sku\":\"AB-1\",\"quantity\":2},{\"quantity\":2,\"sku\":\"AB-1\"}]}", "parts[1]",
         "is there twice"},
        {"{\"parts\":[{\"sku\":\"AB-1\\n\",\"quantity\":2}]}", "parts[0].sku",
         "does not match the pattern ^[A-Z]{2}-\\d+$"},
        {"{\"parts\":[{\"sku\":\"AB-1\",\"quantity\":3}]}", "parts[0].quantity", "is not a multiple of 2"},
        {"{\"parts\":[{\"sku\":\"AB-1\",\"quantity\":12}]}", "parts[0].quantity", "is greater than 10"},
        {"{\"parts\":[{\"sku\":\"AB-1\",\"quantity\":2.0}]}", "parts[0].quantity", "must be an integer"},
        {"{\"parts\":[{\"sku\":\"AB-1\",\"quantity\":\"2\"}]}", "parts[0].quantity", "must be an integer"},
        {THING(",\"level\":9223372036854775808"), "level", "does not fit into 64 bits"},
        {THING(",\"level\":1e3"), "level", "must be an integer"},
        {THING(",\"mood\":\"Good\""), "mood", "is not one of the values that the contract lists"},
        {THING(",\"moods\":[\"good\",\"\"]"), "moods[1]", "is not one of the values that the contract lists"},
        {THING(",\"email\":\"nobody\""), "email", "is not an e-mail address: it has no @"},
        {THING(",\"email\":\"a b@shop.example\""), "email", "is not an e-mail address that the shop takes"},
        {THING(",\"email\":\"a@shop\""), "email", "is not an e-mail address that the shop takes"},
        {THING(",\"email\":\"a@-shop.example\""), "email", "is not an e-mail address that the shop takes"},
        {THING(",\"link\":\"no scheme\""), "link", "is not a URI"},
        {THING(",\"link\":\"https://shop.example/<b>\""), "link", "is not a URI"},
        {THING(",\"token\":\"0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\""), "token", "is not a UUID"},
        {THING(",\"born_at\":\"2026-02-30T00:00:00Z\""), "born_at", "is not a time as in RFC 3339"},
        {THING(",\"parent\":\"" PRODUCT "\""), "parent",
         "is not an identifier of the form ven_ and 32 hex digits"},
        {THING(",\"extra\":[]"), "extra", "has another type of JSON than the contract says"},
        {THING(",\"currency\":\"hkd\""), "currency", "does not match the pattern ^[A-Z]{3}$"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_fault(create(cases[i].body), cases[i].field, cases[i].reason);
}

static void broken_json(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{",
        "{]",
        "{\"name\":\"a\"",
        "nonsense",
        "{} {}",
        "{\"name\":\"\\ud800\"}",
        "{\"name\":\"\\u0000\"}",
        "{\"name\":\"\xC0\xAF\"}",
        "{\"name\":\"a\",\"name\":\"b\"}",
        "{\"level\":1e9999}",
        "\xEF\xBB\xBF{}",
        "{\"name\":\"tab\there\"}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_null(create(bodies[i]));
        assert_int_equal(error.code, ERR_BAD_REQUEST);
        assert_non_null(strstr(error.detail, "The body is not valid JSON: line 1"));
    }
    assert_null(create("{\n  \"name\": \"a\",\n  \"name\": 1}"));
    assert_string_equal(error.detail,
                        "The body is not valid JSON: line 3, column 9: a member that is there twice.");
    char deep[3000];
    memset(deep, '[', sizeof deep);
    deep[sizeof deep - 1] = '\0';
    assert_null(create(deep));
    assert_string_equal(error.detail,
                        "The body is not valid JSON: line 1, column 33: nested deeper than 32 levels.");
}

static void all_faults_at_once_up_to_32(void **state)
{
    (void)state;
    assert_null(create("{\"name\":1,\"accept\":1,\"parts\":1,\"mood\":1}"));
    assert_int_equal(error.field_count, 4);
    struct buf body = buf_new(10000);
    buf_printf(&body, "{\"m0\":1");
    for (int i = 1; i < 40; i++)
        buf_printf(&body, ",\"m%d\":1", i);
    buf_printf(&body, "}%c", 0);
    assert_null(create(body.ptr));
    assert_int_equal(error.field_count, ERROR_FIELDS_MAX);
    /* A name longer than the field's room is cut off, not written past it. */
    buf_clear(&body);
    buf_printf(&body, "{\"%0400d\":1}%c", 1, 0);
    assert_null(create(body.ptr));
    buf_free(&body);
    assert_int_equal(strlen(error.fields[0].field), sizeof error.fields[0].field - 1);
}

static void query_parameters(void **state)
{
    (void)state;
    struct api_thing_list *in = list("limit=100&cursor=a%2Bb+c&sort=price-low&tag=x&tag=%E7%87%88&in_stock="
                                     "true&since=2026-03-01T00:00:00Z&&"
                                     "vendor_id=" VENDOR);
    assert_non_null(in);
    assert_int_equal(in->limit, 100);
    assert_true(in->has_cursor);
    assert_str(in->cursor, "a+b c");
    assert_int_equal(in->sort, API_THING_LIST_SORT_PRICE_LOW);
    assert_int_equal(in->tag.count, 2);
    assert_str(in->tag.items[1], "\xE7\x87\x88");
    assert_true(in->has_in_stock && in->in_stock);
    assert_int_equal(in->vendor_id.count, 1);
    assert_fault(list("limit=0"), "limit", "is less than 1");
    assert_fault(list("limit="), "limit", "must be an integer");
    assert_fault(list("limit=1e2"), "limit", "must be an integer");
    assert_fault(list("limit=99999999999999999999"), "limit", "must be an integer");
    assert_fault(list("limit=1&limit=1"), "limit", "is given more than once");
    assert_fault(list("Limit=1"), "Limit", "is not a query parameter of this operation");
    assert_fault(list("tag=a&tag=b&tag=a"), "tag", "is given twice with the same value");
    assert_fault(list("tag=a&tag=b&tag=c&tag=d"), "tag", "has more than 3 values");
    assert_fault(list("tag=a&tag="), "tag[1]", "has fewer than 1 character");
    assert_fault(list("in_stock=1"), "in_stock", "must be true or false");
}

static void broken_queries(void **state)
{
    (void)state;
    static const char *const queries[] = {"cursor=%",   "cursor=%4",  "cursor=%zz",
                                          "cursor=%00", "cursor=%ff", "%ff=1"};
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++)
        assert_fault(list(queries[i]), "query", "is not percent-encoded UTF-8");
    struct buf query = buf_new(10000);
    for (int i = 0; i <= API_QUERY_FIELDS_MAX; i++)
        buf_printf(&query, "x=%d&", i);
    buf_char(&query, '\0');
    assert_fault(list(query.ptr), "query", "has more than 64 parameters");
    buf_free(&query);
}

static void headers_and_partial_bodies(void **state)
{
    (void)state;
    const char *const headers[] = {"if-match", "\"7\"", "X-LEVEL", "9", NULL};
    struct api_thing_change *in = decode("PATCH", "/things/" PRODUCT, NULL, "{\"note\":null}", headers);
    assert_non_null(in);
    assert_str(in->if_match, "\"7\"");
    assert_true(in->has_x_level && in->x_level == 9 && in->has_body);
    assert_true(in->body.has_note && in->body.null_note && !in->body.has_name);
    in = decode("PATCH", "/things/" PRODUCT, NULL, NULL, headers);
    assert_non_null(in);
    assert_false(in->has_body);
    assert_fault(decode("PATCH", "/things/" PRODUCT, NULL, "{}", headers), "body",
                 "needs at least 1 of its members");
    assert_fault(decode("PATCH", "/things/" PRODUCT, NULL, NULL, NULL), "If-Match", "is required");
    const char *const wrong[] = {"If-Match", "\xff", "X-Level", "10", NULL};
    assert_fault(decode("PATCH", "/things/" PRODUCT, NULL, NULL, wrong), "If-Match", "is not UTF-8");
    assert_fault(decode("PATCH", "/things/" PRODUCT, NULL, NULL, wrong), "X-Level", "is greater than 9");
}

static void path_parameters(void **state)
{
    (void)state;
    struct api_thing_show *in = decode("GET", "/things/" PRODUCT, NULL, NULL, NULL);
    struct product_id id;
    assert_non_null(in);
    assert_true(product_id_parse(STR(PRODUCT), &id) && product_id_equal(id, in->thing_id));
    assert_fault(decode("GET", "/things/" VENDOR, NULL, NULL, NULL), "thing_id",
                 "is not an identifier of the form prd_ and 32 hex digits");
    struct api_part_delete *part = decode("DELETE", "/things/a%2Fb/parts/07", NULL, NULL, NULL);
    assert_non_null(part);
    assert_str(part->thing_id, "a/b");
    assert_int_equal(part->number, 7);
    assert_fault(decode("DELETE", "/things/x/parts/100", NULL, NULL, NULL), "number", "is greater than 99");
}

static void raw_bodies_are_handed_over(void **state)
{
    (void)state;
    struct router_match match;
    void *out;
    struct api_input input = {.body = {"\xff{\0", 3}};
    assert_int_equal(router_match(router, arena, STR("POST"), STR("/webhooks/thing"), &match), ROUTER_FOUND);
    assert_true(match.route->raw_body);
    assert_int_equal(match.route->early(NULL, NULL, STR_NONE), ERR_UNAUTHENTICATED);
    assert_true(match.route->decode(&input, arena, &out, &error));
    const struct api_thing_webhook *in = out;
    assert_int_equal(in->body.len, 3);
    assert_memory_equal(in->body.ptr, "\xff{\0", 3);
}

static void route_table(void **state)
{
    (void)state;
    const struct api_route *route = &api_routes[API_OPERATION_THING_CREATE];
    assert_string_equal(route->operation_id, "thing_create");
    assert_string_equal(route->method, "POST");
    assert_string_equal(route->path, "/things");
    assert_int_equal(route->roles, 1u << ROLE_VENDOR | 1u << ROLE_ADMIN);
    assert_int_equal(route->limit, API_LIMIT_WRITE);
    assert_int_equal(route->run, API_RUN_WORKER);
    assert_int_equal(route->session, API_SESSION_IMMEDIATE);
    assert_int_equal(route->idempotency, API_IDEMPOTENCY_REQUIRED);
    assert_int_equal(route->body_max, 2000);
    assert_true(route->body_required);
    assert_string_equal(route->body_type, "application/json");
    assert_null(route->cache_tags);
    assert_int_equal(api_routes[API_OPERATION_THING_CHANGE].body_max, 65536);
    assert_false(api_routes[API_OPERATION_THING_CHANGE].body_required);
    assert_int_equal(api_routes[API_OPERATION_THING_SHOW].body_max, 0);
    route = &api_routes[API_OPERATION_THING_LIST];
    assert_int_equal(route->run, API_RUN_LOOP);
    assert_int_equal(route->session, API_SESSION_NONE);
    assert_string_equal(route->cache_tags[1], "shop");
    assert_null(route->cache_tags[2]);
    assert_int_equal(route->cache_ttl_s, 60);
    struct api_thing_show in = {0};
    assert_int_equal(api_routes[API_OPERATION_THING_SHOW].handle(NULL, &in), ERR_OK);
    assert_true(str_starts_with(api_openapi_json, STR("{\"openapi\":\"3.1.0\"")));
    assert_true(str_ends_with(api_openapi_json, STR("}")));
}

static enum router_outcome match(const char *method, const char *path, struct router_match *out)
{
    return router_match(router, arena, str_from(method), str_from(path), out);
}

static void routing(void **state)
{
    (void)state;
    struct router_match found;
    assert_int_equal(match("GET", "/things/new", &found), ROUTER_FOUND);
    assert_int_equal(found.route->operation, API_OPERATION_THING_NEW);
    assert_int_equal(match("GET", "/things/newer", &found), ROUTER_FOUND);
    assert_int_equal(found.route->operation, API_OPERATION_THING_SHOW);
    assert_int_equal(match("HEAD", "/things", &found), ROUTER_FOUND);
    assert_true(found.head);
    assert_int_equal(found.route->operation, API_OPERATION_THING_LIST);
    /* A literal that leads nowhere gives way to the parameter beside it. */
    assert_int_equal(match("DELETE", "/things/new/parts/1", &found), ROUTER_FOUND);
    assert_str(found.params[0], "new");
    assert_int_equal(found.param_count, 2);
    assert_int_equal(match("PUT", "/things", &found), ROUTER_METHOD_NOT_ALLOWED);
    assert_str(found.allow, "GET, POST, HEAD, OPTIONS");
    assert_int_equal(match("OPTIONS", "/webhooks/thing", &found), ROUTER_OPTIONS);
    assert_str(found.allow, "POST, OPTIONS");
    assert_int_equal(match("HEAD", "/webhooks/thing", &found), ROUTER_METHOD_NOT_ALLOWED);
    assert_int_equal(match("get", "/things", &found), ROUTER_METHOD_NOT_ALLOWED);
    static const char *const nowhere[] = {"/",
                                          "/thing",
                                          "/things/",
                                          "//things",
                                          "/things/a/b",
                                          "/things/a/parts/",
                                          "/Things",
                                          "/webhooks",
                                          "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s",
                                          "/things//parts/1"};
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++)
        assert_int_equal(match("GET", nowhere[i], &found), ROUTER_NOT_FOUND);
    static const char *const broken[] = {
        "", "things", "*", "/things/%", "/things/%0", "/things/%00", "/things/%c0%af"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        assert_int_equal(match("GET", broken[i], &found), ROUTER_BAD_PATH);
    assert_int_equal(match("GET", "/%74hings", &found), ROUTER_FOUND);
}

static void encoding(void **state)
{
    (void)state;
    struct api_part parts[] = {{STR("AB-1"), 2, true}, {STR("\"\\\n\x01\xff"), -1, false}};
    int64_t floors[] = {INT64_MIN, 0};
    struct api_thing thing = {.made_at = 1772328600500000,
                              .name = STR("\xE7\x87\x88"),
                              .mood = API_MOOD_SO_SO,
                              .parts = {parts, 2},
                              .floors = {floors, 2},
                              .extra = STR("{\"a\":1}"),
                              .available = true};
    assert_true(product_id_parse(STR(PRODUCT), &thing.id));
    struct buf out = buf_new(4096);
    api_thing_encode(&out, &thing);
    assert_str(
        buf_str(&out),
        "{\"made_at\":\"2026-03-01T01:30:00.500000Z\",\"id\":\"" PRODUCT "\",\"name\":\"\xE7\x87\x88\","
        "\"mood\":\"so-so\",\"note\":null,\"parts\":[{\"sku\":\"AB-1\",\"quantity\":2,\"default\":true},"
        "{\"sku\":\"\\\"\\\\\\n\\u0001\\ufffd\",\"quantity\":-1,\"default\":false}],"
        "\"floors\":[-9223372036854775808,0],\"extra\":{\"a\":1},\"available\":true}");
    thing.note = STR("");
    thing.has_price_minor = true;
    thing.price_minor = 5;
    thing.has_sold_at = thing.null_sold_at = true;
    thing.parts.count = thing.floors.count = 0;
    thing.extra = thing.name = STR_NONE;
    buf_clear(&out);
    api_thing_encode(&out, &thing);
    assert_str(buf_str(&out),
               "{\"made_at\":\"2026-03-01T01:30:00.500000Z\",\"id\":\"" PRODUCT
               "\",\"name\":\"\",\"mood\":\"so-so\","
               "\"note\":\"\",\"price_minor\":5,\"parts\":[],\"floors\":[],\"extra\":null,\"available\":true,"
               "\"sold_at\":null}");
    buf_free(&out);
}

static void enums_and_patterns(void **state)
{
    (void)state;
    assert_int_equal(api_mood_parse(STR("so-so")), API_MOOD_SO_SO);
    assert_int_equal(api_mood_parse(STR("so")), 0);
    assert_string_equal(api_mood_names[API_MOOD_GOOD - 1], "good");
    api_patterns_compile();
    /* A pattern that could take for ever gives up instead. */
    static struct api_pattern slow = {"^(a+)+$", NULL};
    assert_true(api_pattern_matches(&slow, STR("aaa")));
    assert_false(
        api_pattern_matches(&slow, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")));
}

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    router = router_new(api_routes, API_OPERATION_COUNT);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    router_free(router);
    arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(body_of_all_kinds),
        cmocka_unit_test(defaults_and_absence),
        cmocka_unit_test(body_faults),
        cmocka_unit_test(broken_json),
        cmocka_unit_test(all_faults_at_once_up_to_32),
        cmocka_unit_test(query_parameters),
        cmocka_unit_test(broken_queries),
        cmocka_unit_test(headers_and_partial_bodies),
        cmocka_unit_test(path_parameters),
        cmocka_unit_test(raw_bodies_are_handed_over),
        cmocka_unit_test(route_table),
        cmocka_unit_test(routing),
        cmocka_unit_test(encoding),
        cmocka_unit_test(enums_and_patterns),
    };
    return cmocka_run_group_tests_name("contract generator", tests, set_up, tear_down);
}
