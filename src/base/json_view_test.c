#include "base/json_view.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

static void members_are_found_as_they_stand(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    const struct json_view *root = json_view_read(
        arena, STR(" { \"a\" : [1, {\"b\": null}, \"x\"] ,\"n\":-12,\"t\":true, \"e\":{}, \"big\":1e400} "),
        NULL);
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
        arena, STR("{\"\\u0061\\n\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\ude00\xe4\xb8\xad\"}"),
        NULL);
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
        if (json_view_read(arena, str_from(wrong[i]), NULL))
            fail_msg("taken for JSON: %s", wrong[i]);
    assert_null(json_view_read(arena, (struct str){"\"a\0\"", 4}, NULL));
    assert_null(json_view_read(arena, (struct str){"1\0", 2}, NULL));
    static const char *const right[] = {"0",    "-0.5e-3",           "1E+2",           "\"\"", "[]", "{}",
                                        "null", "[[[[[[[[1]]]]]]]]", "{\"\":{\"\":1}}"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        if (!json_view_read(arena, str_from(right[i]), NULL))
            fail_msg("not taken for JSON: %s", right[i]);
    arena_free(arena);
}

static void assert_refused(struct arena *arena, const char *text, const char *reason, size_t at)
{
    struct json_view_fault fault;
    assert_null(json_view_read(arena, str_from(text), &fault));
    assert_string_equal(fault.reason, reason);
    assert_int_equal(fault.at, at);
}

static void a_fault_says_why_and_where(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    assert_refused(arena, "", "the end, too early", 0);
    assert_refused(arena, "[1, 2", "the end, too early", 5);
    assert_refused(arena, "[1, x]", "what cannot stand there", 4);
    assert_refused(arena, "\"\xff\"", "bytes that are not UTF-8", 0);
    char many[16 * (JSON_VIEW_MEMBERS_MAX + 1)];
    size_t len = 1;
    many[0] = '{';
    for (int i = 0; i <= JSON_VIEW_MEMBERS_MAX; i++)
        len += (size_t)snprintf(many + len, sizeof many - len, "\"%05d\":1,", i);
    assert_refused(arena, many, "an object of more than 512 members", len - 3);
    arena_free(arena);
}

static void assert_equal(struct arena *arena, const char *a, const char *b, bool expected)
{
    assert_int_equal(json_view_equal(arena, json_view_read(arena, str_from(a), NULL),
                                     json_view_read(arena, str_from(b), NULL)),
                     expected);
}

static void values_are_compared_by_what_they_mean(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    assert_equal(arena, "{\"a\":[1,true],\"b\":\"\\u0063\"}", "{ \"b\":\"c\", \"a\":[1, true]}", true);
    assert_equal(arena, "[1,2]", "[2,1]", false);
    assert_equal(arena, "[1,2]", "[1,2,3]", false);
    assert_equal(arena, "{\"a\":1}", "{\"b\":1}", false);
    assert_equal(arena, "1", "1.0", false);
    assert_equal(arena, "true", "false", false);
    assert_equal(arena, "null", "null", true);
    assert_equal(arena, "\"1\"", "1", false);
    arena_free(arena);
}

static void space_between_parts_is_left_out(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    const struct json_view *root =
        json_view_read(arena, STR("[ { \"a b\\\" \" :\t1.50 } ,\n\"\\\\\" , null ]"), NULL);
    assert_non_null(root);
    assert_true(str_equal(json_view_compact(arena, root), STR("[{\"a b\\\" \":1.50},\"\\\\\",null]")));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_as_they_stand),
        cmocka_unit_test(escapes_are_what_they_mean),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(a_fault_says_why_and_where),
        cmocka_unit_test(values_are_compared_by_what_they_mean),
        cmocka_unit_test(space_between_parts_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
