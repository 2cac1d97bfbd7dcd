#include "base/json_view.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

static void members_are_found_as_they_stand(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    const struct json_view *root = json_view_read(
        arena, STR(" { \"a\" : [1, {\"b\": null}, \"x\"] ,\"n\":-12,\"t\":true, \"e\":{}, \"big\":1e400} "));
    assert_non_null(root);
    const struct json_view *list = json_view_member(root, STR("a"));
    assert_true(str_equal(list->text, STR("[1, {\"b\": null}, \"x\"]")));
    assert_true(str_starts_with((struct str){list->start, 6}, STR("\"a\" :")));
    assert_int_equal(list->first->next->kind, JSON_VIEW_OBJECT);
    assert_int_equal(json_view_member(list->first->next, STR("b"))->kind, JSON_VIEW_NULL);
    assert_true(str_equal(json_view_string(arena, list->first->next->next), STR("x")));
    assert_null(list->first->next->next->next);
    int64_t number;
    assert_true(json_view_integer(json_view_member(root, STR("n")), &number));
    assert_int_equal(number, -12);
    assert_false(json_view_integer(json_view_member(root, STR("big")), &number));
    assert_false(json_view_integer(json_view_member(root, STR("t")), &number));
    assert_null(json_view_member(root, STR("e"))->first);
    assert_null(json_view_member(json_view_member(root, STR("none")), STR("x")));
    assert_null(json_view_string(arena, json_view_member(root, STR("n"))).ptr);
    arena_free(arena);
}

static void escapes_are_what_they_mean(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    const struct json_view *root = json_view_read(
        arena,
        STR("{\"\\u0061\\n\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\ude00\xe4\xb8\xad\"}"));
    assert_non_null(root);
    assert_true(str_equal(json_view_string(arena, json_view_member(root, STR("a\n"))),
                          STR("\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xe4\xb8\xad")));
    arena_free(arena);
}

static void what_is_not_json_is_refused(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    static const char *const wrong[] = {
        "", " ", "{", "}", "[", "]", "{}{}", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
        "{1:1}", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "01", "-", "1.", ".5", "1e", "1e1000", "+1",
        "tru", "nul", "truex", "\"", "\"\\x\"", "\"\\u12\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\ud800x\"",
        "\"\\ude00\"", "\"\\ud800\\u0041\"", "\"\n\"", "\"\xff\"", "\"\xc3\"", "[1 2]", "{\"a\" 1}", "[1}",
        "{\"a\":1]",
        /* deeper than may be */
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (json_view_read(arena, str_from(wrong[i])))
            fail_msg("taken for JSON: %s", wrong[i]);
    assert_null(json_view_read(arena, (struct str){"\"a\0\"", 4}));
    assert_null(json_view_read(arena, (struct str){"1\0", 2}));
    static const char *const right[] = {"0",    "-0.5e-3",           "1E+2",           "\"\"", "[]", "{}",
                                        "null", "[[[[[[[[1]]]]]]]]", "{\"\":{\"\":1}}"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        if (!json_view_read(arena, str_from(right[i])))
            fail_msg("not taken for JSON: %s", right[i]);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_as_they_stand),
        cmocka_unit_test(escapes_are_what_they_mean),
        cmocka_unit_test(what_is_not_json_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
