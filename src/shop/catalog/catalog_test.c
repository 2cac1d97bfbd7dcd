#include "base/buf.h"
#include "shop/catalog/catalog.h"
#include "shop/catalog/facets.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

#define DEFINITIONS                                                                                          \
    "{\"fabric\":{\"type\":\"choice\",\"choices\":[\"wool\",\"silk\"]},\"litres\":{\"type\":\"number\"},"    \
    "\"tint\":{\"type\":\"colour\"},\"washable\":{\"type\":\"boolean\"},\"origin\":{\"type\":\"text\"}}"

static void attributes_case(const char *attributes, const char *field)
{
    struct error error = {.code = ERR_OK};
    struct str text = str_from(attributes);
    enum error_code code = catalog_attributes_check(arena, &text, STR(DEFINITIONS), &error);
    assert_int_equal(code, field ? ERR_VALIDATION : ERR_OK);
    assert_int_equal(error.field_count, field ? 1 : 0);
    if (field)
        assert_string_equal(error.fields[0].field, field);
}

static void test_attributes_fit_their_types(void **state)
{
    (void)state;
    attributes_case("{}", NULL);
    attributes_case(
        "{\"fabric\":\"silk\",\"litres\":3,\"tint\":\"#00fFaB\",\"washable\":false,\"origin\":\"香港\"}",
        NULL);
    attributes_case("{\"litres\":2.5}", NULL);
    attributes_case("{\"litres\":97812345678901234567}", NULL);
    attributes_case("{\"litres\":1e999}", "attributes.litres");
    attributes_case("{\"litres\":1234567890123456789012345678901}", "attributes.litres");
    attributes_case("{\"litres\":\"3\"}", "attributes.litres");
    attributes_case("{\"litres\":true}", "attributes.litres");
    attributes_case("{\"washable\":0}", "attributes.washable");
    attributes_case("{\"fabric\":\"felt\"}", "attributes.fabric");
    attributes_case("{\"fabric\":1}", "attributes.fabric");
    attributes_case("{\"tint\":\"00ffab\"}", "attributes.tint");
    attributes_case("{\"tint\":\"#00ffa\"}", "attributes.tint");
    attributes_case("{\"tint\":\"#00ffag\"}", "attributes.tint");
    attributes_case("{\"origin\":\"\"}", "attributes.origin");
    attributes_case("{\"origin\":null}", "attributes.origin");
    attributes_case("{\"origin\":[\"x\"]}", "attributes.origin");
    attributes_case("{\"nobody_knows\":1}", "attributes.nobody_knows");
}

static void form_case(const char *attributes, const char *expected)
{
    struct error error = {.code = ERR_OK};
    struct str text = str_from(attributes);
    assert_int_equal(catalog_attributes_check(arena, &text, STR(DEFINITIONS), &error), ERR_OK);
    if (!str_equal(text, str_from(expected)))
        fail_msg("%s became %.*s, not %s", attributes, STR_ARG(text), expected);
    assert_int_equal(catalog_attributes_check(arena, &text, STR(DEFINITIONS), &error), ERR_OK);
    assert_true(str_equal(text, str_from(expected)));
}

static void test_values_have_one_form(void **state)
{
    (void)state;
    static const char *const numbers[][2] = {
        {"1.0", "1"},
        {"1e0", "1"},
        {"-0.0", "0"},
        {"0e99", "0"},
        {"100", "100"},
        {"12.50", "12.5"},
        {"0.050", "0.05"},
        {"1.25E+3", "1250"},
        {"5e-3", "0.005"},
        {"-1250e-2", "-12.5"},
        {"1e29", "100000000000000000000000000000"},
        {"0.10", "0.1"},
        {"10.01", "10.01"},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct str typed = arena_printf(arena, "{\"litres\":%s}", numbers[i][0]);
        form_case(arena_cstr(arena, typed),
                  arena_cstr(arena, arena_printf(arena, "{\"litres\":%s}", numbers[i][1])));
    }
    attributes_case("{\"litres\":1e30}", "attributes.litres");
    attributes_case("{\"litres\":1e-40}", "attributes.litres");
    form_case("{\"tint\":\"#AbCDEF\"}", "{\"tint\":\"#abcdef\"}");
    form_case("{\"origin\":\" Cafe\xcc\x81\\nNoir\\u3000\"}", "{\"origin\":\"Caf\xc3\xa9 Noir\"}");
    form_case("{\"fabric\":\" silk \", \"washable\": true}", "{\"fabric\":\"silk\",\"washable\":true}");
    attributes_case("{\"origin\":\"\\u200b\"}", "attributes.origin");
    attributes_case("{\"origin\":\"a\\u202eb\"}", "attributes.origin");
}

static void test_texts_have_a_length_in_characters(void **state)
{
    (void)state;
    char text[ATTRIBUTE_TEXT_MAX * 3 + 64];
    for (int over = 0; over <= 1; over++) {
        size_t length = (size_t)snprintf(text, sizeof text, "{\"origin\":\"");
        for (int i = 0; i < ATTRIBUTE_TEXT_MAX + over; i++)
            length += (size_t)snprintf(text + length, sizeof text - length, "港");
        snprintf(text + length, sizeof text - length, "\"}");
        attributes_case(text, over ? "attributes.origin" : NULL);
    }
}

static void test_codes_of_attributes(void **state)
{
    (void)state;
    struct str_array codes;
    struct error error = {.code = ERR_OK};
    assert_int_equal(catalog_attribute_codes(arena, STR("{\"a\":1,\"b\":{}}"), &codes, &error), ERR_OK);
    assert_int_equal(codes.count, 2);
    assert_int_equal(catalog_attribute_codes(arena, STR("{}"), &codes, &error), ERR_OK);
    assert_int_equal(codes.count, 0);
    assert_non_null(codes.items); /* an empty array, not NULL */
    assert_int_equal(catalog_attribute_codes(arena, STR("[]"), &codes, &error), ERR_VALIDATION);
    assert_int_equal(catalog_attribute_codes(arena, STR("{\"a\":1,\"a\":2}"), &codes, &error),
                     ERR_VALIDATION);
    assert_int_equal(catalog_attribute_codes(arena, STR("{\"a\":\"\\u0000\"}"), &codes, &error),
                     ERR_VALIDATION);
    struct buf many = buf_new(4096);
    for (int i = 0; i <= PRODUCT_ATTRIBUTES_MAX; i++)
        buf_printf(&many, "%s\"a%d\":1", i ? "," : "{", i);
    buf_char(&many, '}');
    assert_int_equal(catalog_attribute_codes(arena, buf_str(&many), &codes, &error), ERR_VALIDATION);
    buf_free(&many);
}

static void options_case(const char *chosen, const char *field)
{
    static const struct str options[] = {{"size", 4}, {"colour", 6}};
    struct error error = {.code = ERR_OK};
    struct str text = str_from(chosen);
    enum error_code code = catalog_options_check(arena, &text, (struct str_array){options, 2}, &error);
    assert_int_equal(code, field ? ERR_VALIDATION : ERR_OK);
    if (field)
        assert_string_equal(error.fields[0].field, field);
}

static void test_variants_choose_every_option_of_their_product(void **state)
{
    (void)state;
    options_case("{\"size\":\"M\",\"colour\":\"navy\"}", NULL);
    options_case("{\"colour\":\"navy\",\"size\":\"M\"}", NULL);
    options_case("{\"size\":\"M\"}", "options.colour");
    options_case("{\"size\":\"M\",\"colour\":\"navy\",\"fit\":\"slim\"}", "options.fit");
    options_case("{\"size\":1,\"colour\":\"navy\"}", "options.size");
    options_case("{\"size\":\"\",\"colour\":\"navy\"}", "options.size");
    options_case("[]", "options");
    struct error error = {.code = ERR_OK};
    struct str none = STR("{}");
    assert_int_equal(catalog_options_check(arena, &none, (struct str_array){NULL, 0}, &error), ERR_OK);
    assert_true(str_equal(none, STR("{}")));
}

static void slug_case(const char *name, const char *slug)
{
    struct product_id id;
    assert_true(product_id_parse(STR("prd_0192f3c4a5b67c8d9e0f1a2b3cabcdef"), &id));
    struct str made = catalog_slug(arena, str_from(name), id);
    assert_string_equal(made.ptr, slug);
    assert_int_equal(made.len, strlen(slug));
}

static void test_slugs(void **state)
{
    (void)state;
    slug_case("Café Noir, 200 g", "cafe-noir-200-g-abcdef");
    slug_case("  --Über-Größe!!", "uber-grose-abcdef");
    slug_case("登機箱", "abcdef");
    slug_case("Tea 鐵觀音 Tin", "tea-tin-abcdef");
    slug_case("abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijXYZ",
              "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij-abcdef");
    slug_case("\xc3", "abcdef"); /* cut in the middle of a character */
}

static void picture_case(const char *type, const char *bytes, size_t count, const char *known_as)
{
    struct str found = catalog_picture_type(str_from(type), (struct str){bytes, count});
    if (known_as)
        assert_true(str_equal(found, str_from(known_as)));
    else
        assert_null(found.ptr);
}

static void test_pictures_are_what_they_say(void **state)
{
    (void)state;
    picture_case("image/png", "\x89PNG\r\n\x1a\n....", 12, "image/png");
    picture_case("IMAGE/PNG; x=1", "\x89PNG\r\n\x1a\n....", 12, "image/png");
    picture_case("image/jpeg", "\x89PNG\r\n\x1a\n....", 12, NULL);
    picture_case("image/jpeg", "\xff\xd8\xff\xe0", 4, "image/jpeg");
    picture_case("image/webp", "RIFF1234WEBPVP8 ", 16, "image/webp");
    picture_case("image/webp", "RIFF1234WAVEfmt ", 16, NULL);
    picture_case("image/webp", "RIFF", 4, NULL);
    picture_case("image/svg+xml", "<svg/>", 6, "image/svg+xml");
    picture_case("image/svg+xml", "<?xml?><svg/>", 13, "image/svg+xml");
    picture_case("image/svg+xml", "<html></html>", 13, NULL);
    picture_case("image/svg+xml", "<svg>\xff", 6, NULL);
    picture_case("image/svg+xml", "", 0, NULL);
    picture_case("text/html", "<svg/>", 6, NULL);
    picture_case("image/gif", "GIF89a", 6, NULL);
}

static void test_facets(void **state)
{
    (void)state;
    assert_string_equal(catalog_facet(arena, STR("material:leather")).ptr, "material=leather");
    assert_string_equal(catalog_facet(arena, STR("ratio:16:9")).ptr, "ratio=16:9");
}

/* Appends what PostgreSQL's array_send() makes of these numbers. */
static void product_put(struct buf *products, const int64_t *numbers, size_t count)
{
    uint32_t head[5] = {htobe32(1), 0, htobe32(20), htobe32((uint32_t)count), htobe32(1)},
             length = htobe32(8);
    buf_append(products, (struct str){(const char *)head, sizeof head});
    for (size_t i = 0; i < count; i++) {
        uint64_t number = htobe64((uint64_t)numbers[i]);
        buf_append(products, (struct str){(const char *)&length, sizeof length});
        buf_append(products, (struct str){(const char *)&number, sizeof number});
    }
}

static int64_t counted(struct facet_tally tally, int64_t key)
{
    for (size_t i = 0; i < tally.slot_count; i++)
        if (tally.slots[i].count && tally.slots[i].key == key)
            return tally.slots[i].count;
    return 0;
}

static void test_facets_count_what_a_question_lets_pass(void **state)
{
    (void)state;
    struct buf products = buf_new(BUF_DEFAULT_MAX);
    for (int64_t n = 0; n < 500;
         n++) /* each costs n, every other one is in stock; a key of its own and one of all */
        product_put(&products, (int64_t[]){INT64_MIN + n, 777777, n * 2 + n % 2}, 3);
    product_put(&products, (int64_t[]){INT64_C(9000000) * 2 + 1}, 1);
    struct facet_filter all = {0};
    struct facet_filter some = {.price_least = {true, 100}, .price_most = {true, 199}, .in_stock_only = true};

    struct facet_tally tally = facets_tally(arena, buf_str(&products), STR(""), &all);
    assert_int_equal(tally.used, 500 + 1 + 1 + 1 + 2);
    assert_int_equal(counted(tally, FACET_KEY_TOTAL), 501);
    assert_int_equal(counted(tally, FACET_KEY_STOCK), 251);
    assert_int_equal(counted(tally, 777777), 500);
    assert_int_equal(counted(tally, INT64_MIN + 499), 1);
    assert_int_equal(counted(tally, 1), 500);
    assert_int_equal(counted(tally, FACET_BANDS), 1);

    tally = facets_tally(arena, buf_str(&products), STR("=colour"), &some);
    assert_int_equal(counted(tally, FACET_KEY_TOTAL), 50);
    assert_int_equal(counted(tally, INT64_MIN + 100), 0);
    assert_int_equal(counted(tally, INT64_MIN + 101), 1);
    assert_int_equal(counted(tally, INT64_MIN + 199), 1);

    tally = facets_tally(arena, buf_str(&products), STR("price"), &some); /* in stock, whatever it costs */
    assert_int_equal(tally.used, 2);
    assert_int_equal(counted(tally, 1), 250);
    tally = facets_tally(arena, buf_str(&products), STR("stock"), &some); /* of that price, those in stock */
    assert_int_equal(tally.used, 1);
    assert_int_equal(counted(tally, FACET_KEY_STOCK), 50);
    assert_int_equal(facets_tally(arena, STR_NONE, STR(""), &all).used, 0);

    /* Of one attribute either value, and of the other one too; a question about an attribute does not ask for
     * its own. */
    const struct facet_choice choices[] = {
        {STR("=size"), INT64_MIN + 7}, {STR("=colour"), 777777}, {STR("=size"), INT64_MIN + 8}};
    struct facet_filter chosen = {.choices = choices, .choice_count = 3};
    assert_int_equal(counted(facets_tally(arena, buf_str(&products), STR(""), &chosen), FACET_KEY_TOTAL), 2);
    assert_int_equal(counted(facets_tally(arena, buf_str(&products), STR("=size"), &chosen), FACET_KEY_TOTAL),
                     500);
    assert_int_equal(
        counted(facets_tally(arena, buf_str(&products), STR("=colour"), &chosen), FACET_KEY_TOTAL), 2);
    buf_free(&products);
}

static void test_facets_are_named_once_and_sorted(void **state)
{
    (void)state;
    assert_null(facets_name(42));
    facets_name_add(42, STR("=colour"), STR("navy"));
    const struct facet_name *name = facets_name(42);
    assert_non_null(name);
    facets_name_add(42, STR("=colour"), STR("navy"));
    assert_ptr_equal(facets_name(42), name);
    assert_true(str_equal(name->facet, STR("=colour")) && str_equal(name->value, STR("navy")));
    struct facet_value values[] = {{STR("vendor"), STR("b"), 1, 0},
                                   {STR("brand"), STR("d"), 2, 2},
                                   {STR("brand"), STR("a"), 2, 3},
                                   {STR("vendor"), STR("a"), 1, 0},
                                   {STR("brand"), STR("c"), 5, 1}};
    facets_sort(values, 5);
    assert_int_equal(values[0].count, 5);
    assert_true(str_equal(values[1].value, STR("d")) && str_equal(values[2].value, STR("a")));
    assert_true(str_equal(values[3].value, STR("a")) && str_equal(values[4].value, STR("b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_attributes_fit_their_types, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_values_have_one_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_texts_have_a_length_in_characters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_codes_of_attributes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_variants_choose_every_option_of_their_product, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_slugs, set_up, tear_down),
        cmocka_unit_test(test_pictures_are_what_they_say),
        cmocka_unit_test_setup_teardown(test_facets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_facets_count_what_a_question_lets_pass, set_up, tear_down),
        cmocka_unit_test(test_facets_are_named_once_and_sorted),
    };
    return cmocka_run_group_tests_name("catalog", tests, NULL, NULL);
}
