#include "sandbox/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct form parsed(struct arena *arena, const char *text)
{
    struct form form;
    assert_true(form_parse(str_from(text), arena, &form));
    return form;
}

static void assert_text(struct str actual, const char *expected)
{
    assert_true(str_equal(actual, str_from(expected)));
}

static void values_are_decoded(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct form form = parsed(arena, "amount=1200&description=Tea+%26+more&empty=&bare&amount=1300");
    assert_text(form_value(&form, STR("amount")), "1300");
    assert_text(form_value(&form, STR("description")), "Tea & more");
    assert_text(form_value(&form, STR("empty")), "");
    assert_text(form_value(&form, STR("bare")), "");
    assert_null(form_value(&form, STR("other")).ptr);
    arena_free(arena);
}

static void lists_take_both_spellings(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct form form =
        parsed(arena, "types[]=card&types%5B0%5D=alipay&types[x]=no&types=no&typesx[]=no&types[0][a]=no");
    struct str values[4];
    assert_int_equal(form_list(&form, STR("types"), values, 4), 2);
    assert_text(values[0], "card");
    assert_text(values[1], "alipay");
    assert_int_equal(form_list(&form, STR("types"), values, 1), 1);
    arena_free(arena);
}

static void objects_become_json(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct form form =
        parsed(arena, "metadata[order_id]=ord_1&metadata[note]=%22hi%22&metadata[order_id]=ord_2");
    assert_text(form_object_json(&form, STR("metadata"), arena),
                "{\"note\":\"\\\"hi\\\"\",\"order_id\":\"ord_2\"}");
    form = parsed(arena, "amount=1");
    assert_text(form_object_json(&form, STR("metadata"), arena), "{}");
    arena_free(arena);
}

static void unknown_names_are_found(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    static const char *const known[] = {"amount", "metadata", NULL};
    struct form form = parsed(arena, "amount=1&metadata[a]=b");
    assert_null(form_unknown(&form, known).ptr);
    form = parsed(arena, "amount=1&amonut[x]=2");
    assert_text(form_unknown(&form, known), "amonut");
    arena_free(arena);
}

static void broken_texts_are_refused(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct form form;
    assert_false(form_parse(STR("a=%zz"), arena, &form));
    assert_false(form_parse(STR("a=%ff"), arena, &form));
    assert_false(form_parse(STR("a=%00"), arena, &form));
    char many[FORM_PAIRS_MAX * 2 + 3];
    for (size_t i = 0; i < sizeof many - 1; i += 2)
        memcpy(many + i, "a&", 2);
    assert_false(form_parse((struct str){many, sizeof many - 1}, arena, &form));
    assert_true(form_parse(STR_NONE, arena, &form));
    assert_int_equal(form.count, 0);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_decoded),       cmocka_unit_test(lists_take_both_spellings),
        cmocka_unit_test(objects_become_json),      cmocka_unit_test(unknown_names_are_found),
        cmocka_unit_test(broken_texts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
