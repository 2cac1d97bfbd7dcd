/* Texts as people and attackers write them, by kind. */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct arena *arena;

static int start(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

#define ZWJ "\xe2\x80\x8d"
#define ZWNJ "\xe2\x80\x8c"
#define ZWSP "\xe2\x80\x8b"
#define WIDE_BLANK "\xe3\x80\x80" /* U+3000 */

struct example {
    enum text_kind kind;
    const char *typed;
    const char *expected; /* NULL: refused, with `reason` in the reason */
    const char *reason;
};

static void check(const struct example *example)
{
    struct str text = str_from(example->typed), again;
    const char *reason = text_prepare(arena, example->kind, &text);
    if (!example->expected) {
        if (!reason || !strstr(reason, example->reason))
            fail_msg("\"%s\" of kind %d: %s, not refused for %s", example->typed, (int)example->kind,
                     reason ? reason : "taken", example->reason);
        return;
    }
    if (reason || !str_equal(text, str_from(example->expected)))
        fail_msg("\"%s\" of kind %d: %s \"%.*s\"", example->typed, (int)example->kind, reason ? reason : "is",
                 STR_ARG(text));
    again = text;
    assert_null(text_prepare(arena, example->kind, &again));
    assert_true(str_equal(text, again));
}

#define CHECK_ALL(examples)                                                                                  \
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples)[0]; i++)                                      \
    check(&(examples)[i])

static void blanks_come_into_one_form(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {TEXT_NAME, "Ada Lovelace", "Ada Lovelace", NULL},
        {TEXT_NAME, "  Ada \t Lovelace ", "Ada Lovelace", NULL},
        {TEXT_NAME, WIDE_BLANK "王" WIDE_BLANK WIDE_BLANK "小明\xc2\xa0", "王 小明", NULL},
        {TEXT_NAME, "Flat 3\r\nHarbour Road", "Flat 3 Harbour Road", NULL},
        {TEXT_NAME, ZWSP "Ada\xef\xbb\xbf", "Ada", NULL},
        {TEXT_NAME, "   ", "", NULL},
        {TEXT_NAME, WIDE_BLANK ZWSP "\xe3\x85\xa4\xe2\xa0\x80", "", NULL}, /* Hangul filler, Braille blank */
        {TEXT_LINE, "\n\n", "", NULL},
        {TEXT_FREE, "  \r\n one \r\n\r\n  two\t\r\n ", "one\n\n  two", NULL},
        {TEXT_FREE, "one\xe2\x80\xa8two\rthree", "one\ntwo\nthree", NULL},
        {TEXT_FREE, ZWSP "\n" ZWJ, "", NULL},
        {TEXT_QUERY, " silk" ZWSP "shirt\x07 \xe2\x80\xae", "silk shirt", NULL},
        {TEXT_QUERY, ZWSP, "", NULL},
    };
    CHECK_ALL(examples);
}

static void letters_come_into_one_form(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {TEXT_NAME, "Cafe\xcc\x81", "Caf\xc3\xa9", NULL},
        {TEXT_NAME, "Caf\xc3\xa9", "Caf\xc3\xa9", NULL},
        {TEXT_QUERY, "cafe\xcc\x81", "caf\xc3\xa9", NULL},
        {TEXT_FREE, "\xe1\x84\x80\xe1\x85\xa1", "가", NULL},
        {TEXT_NAME, "\xe2\x84\xab", "Å", NULL},                  /* Ångström sign */
        {TEXT_NAME, "Ｗide", "Ｗide", NULL},                     /* width is kept in names */
        {TEXT_IDENTIFIER, " ＡＢＣ-1 ", "ABC-1", NULL},          /* and not in identifiers */
        {TEXT_NAME, "می" ZWNJ "خواهم", "می" ZWNJ "خواهم", NULL}, /* scripts that join */
        {TEXT_NAME, "क्" ZWJ "ष", "क्" ZWJ "ष", NULL},
        {TEXT_LINE, "👩" ZWJ "💻 desk", "👩" ZWJ "💻 desk", NULL},
        {TEXT_LINE, "❤\xef\xb8\x8f" ZWJ "🔥", "❤\xef\xb8\x8f" ZWJ "🔥", NULL},
        {TEXT_NAME, "葛\xf3\xa0\x84\x80城", "葛\xf3\xa0\x84\x80城", NULL}, /* an ideograph's variant */
    };
    CHECK_ALL(examples);
}

static void what_cannot_be_seen_is_refused(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {TEXT_NAME, "A" ZWSP "da", NULL, "cannot be seen, U+200B"},
        {TEXT_NAME, "A" ZWJ "da", NULL, "joiner where nothing is joined, U+200D"},
        {TEXT_LINE,
         "a\xe2\x80\xae"
         "b",
         NULL, "direction of writing, U+202E"},
        {TEXT_LINE,
         "a\xe2\x81\xa6"
         "b",
         NULL, "U+2066"},
        {TEXT_NAME,
         "a\x07"
         "b",
         NULL, "control character, U+0007"},
        {TEXT_NAME,
         "a\xc2\x9b"
         "b",
         NULL, "control character, U+009B"},
        {TEXT_FREE, "a\x1b[2J", NULL, "control character, U+001B"},
        {TEXT_FREE,
         "a\xe2\x80\xae"
         "b",
         NULL, "U+202E"},
        {TEXT_NAME, "a\xee\x80\x80", NULL, "not in Unicode"},
        {TEXT_FREE, "a\xef\xbf\xbf", NULL, "not in Unicode"},
        {TEXT_NAME,
         "a\xf3\xa0\x80\xa1"
         "b",
         NULL, "cannot be seen"}, /* a tag */
        {TEXT_NAME, "a\xef\xb8\x8f\xef\xb8\x8f", NULL, "variation of nothing"},
        {TEXT_NAME,
         "\xcc\x81"
         "a",
         NULL, "begins with a mark"},
        {TEXT_NAME, "---", NULL, "neither a letter nor a digit"},
        {TEXT_NAME, "Z\xcc\x90\xcc\x90\xcc\x90\xcc\x90\xcc\x90\xcc\x90\xcc\x90\xcc\x90\xcc\x90", NULL,
         "more than 8 marks"},
        {TEXT_IDENTIFIER, "A B", NULL, "blank in it"},
        {TEXT_IDENTIFIER, "A\nB", NULL, "line break in it"},
        {TEXT_TOKEN, "a\nb", NULL, "printable ASCII"},
        {TEXT_TOKEN, "\xc3\xa9", NULL, "printable ASCII"},
        {TEXT_LINE, "\xff", NULL, "UTF-8"},
    };
    CHECK_ALL(examples);
    struct str nul = {"a\0b", 3};
    assert_non_null(text_prepare(arena, TEXT_NAME, &nul));
}

static void emails_have_one_form(void **state)
{
    (void)state;
    char lengthy[80] = "";
    memset(lengthy, 'a', 65);
    memcpy(lengthy + 65, "@x.co", 6);
    const struct example examples[] = {
        {TEXT_EMAIL, "  Ada.Lovelace@Example.ORG ", "ada.lovelace@example.org", NULL},
        {TEXT_EMAIL, "a+b@x.co", "a+b@x.co", NULL},
        {TEXT_EMAIL, "mail@BÜCHER.example", "mail@xn--bcher-kva.example", NULL},
        {TEXT_EMAIL,
         "mail@bu\xcc\x88"
         "cher.example",
         "mail@xn--bcher-kva.example", NULL},
        {TEXT_EMAIL, "mail@xn--BCHER-kva.example", "mail@xn--bcher-kva.example", NULL},
        {TEXT_EMAIL, "mail@例え。テスト", "mail@xn--r8jz45g.xn--zckzah", NULL},
        {TEXT_EMAIL, "bücher@x.co", NULL, "before the @"},
        {TEXT_EMAIL, "a" ZWSP "b@x.co", NULL, "cannot be seen"},
        {TEXT_EMAIL, "a@x.co\r\nBcc: b@x.co", NULL, "not an e-mail address"},
        {TEXT_EMAIL, "a@b\xe2\x80\xae.co", NULL, "direction"},
        {TEXT_EMAIL, lengthy, NULL, "not an e-mail address"},
        {TEXT_EMAIL, lengthy + 1, lengthy + 1, NULL},
    };
    CHECK_ALL(examples);
    static const char *const wrong[] = {"",         "a",         "@x.co",    "a@",        "a@x",
                                        "a@b@x.co", "a b@x.co",  "a@x..co",  ".a@x.co",   "a.@x.co",
                                        "a@-x.co",  "a..b@x.co", "a@x-.co",  "a@x.co.",   "a\n@x.co",
                                        "a@x_y.co", "a,b@x.co",  "<a@x.co>", "a@\xff.co", "a@ü..co"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct str text = str_from(wrong[i]);
        assert_non_null(text_prepare(arena, TEXT_EMAIL, &text));
    }
}

static void phones_have_digits(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {TEXT_PHONE, "+852 5555 0100", "+852 5555 0100", NULL},
        {TEXT_PHONE,
         " (+852)\xc2\xa0"
         "5555–0100",
         "(+852) 5555-0100", NULL},
        {TEXT_PHONE, "＋８５２５５５５０１００", "+85255550100", NULL},
        {TEXT_PHONE, "-----", NULL, "5 to 15 digits"},
        {TEXT_PHONE, "( ) - - -", NULL, "5 to 15 digits"},
        {TEXT_PHONE, "1234", NULL, "5 to 15 digits"},
        {TEXT_PHONE, "1234567890123456", NULL, "5 to 15 digits"},
        {TEXT_PHONE, "12+34567", NULL, "+ before them"},
        {TEXT_PHONE, "call 555 0100", NULL, "not a phone number"},
        {TEXT_PHONE, "555" ZWSP "0100", NULL, "cannot be seen"},
    };
    CHECK_ALL(examples);
}

static void passwords_are_hashed_in_one_form(void **state)
{
    (void)state;
    char one[64], other[64];
    size_t len = text_password(STR(" Caf\xc3\xa9\xc2\xa0x "), one, sizeof one);
    assert_int_equal(len, text_password(STR(" Cafe\xcc\x81 x "), other, sizeof other));
    assert_memory_equal(one, other, len);
    assert_true(str_equal((struct str){one, len}, STR(" Caf\xc3\xa9 x ")));
    assert_int_equal(text_password(STR(""), one, sizeof one), 0);
    assert_int_equal(text_password(STR("\xff"), one, sizeof one), 0);
    assert_int_equal(text_password(STR("longer than that"), one, 8), 0);
    assert_true(text_has_controls(STR("a\x07")) && text_has_controls(STR("a\xc2\x85")));
    assert_false(text_has_controls(STR("a é 密")));
}

static void what_partners_say_is_one_line(void **state)
{
    (void)state;
    struct str clean = text_clean(arena, STR("Left\r\n\x1b[31mthe\xff depot\xe2\x80\xae "), 100);
    assert_true(str_equal(clean, STR("Left [31mthe\xef\xbf\xbd depot")));
    assert_true(str_equal(text_clean(arena, STR("é密密密"), 2), STR("é密")));
    assert_true(str_equal(text_clean(arena, STR("ab cd"), 3), STR("ab")));
    assert_true(str_equal(text_clean(arena, STR("می" ZWNJ "خ"), 3), STR("می")));
    assert_null(text_clean(arena, STR_NONE, 3).ptr);
    assert_int_equal(text_clean(arena, STR("\x01"), 3).len, 0);
    assert_true(str_equal(text_fold(arena, STR("ＡＢc É")), text_fold(arena, STR("abC e\xcc\x81"))));
}

static void plain_text_is_not_copied(void **state)
{
    (void)state;
    static const enum text_kind kinds[] = {TEXT_NAME,  TEXT_LINE,  TEXT_FREE,
                                           TEXT_QUERY, TEXT_TOKEN, TEXT_PASSWORD};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct str text = STR("12 Harbour Road, Wan Chai");
        const char *before = text.ptr;
        assert_null(text_prepare(arena, kinds[i], &text));
        assert_ptr_equal(text.ptr, before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blanks_come_into_one_form, start, stop),
        cmocka_unit_test_setup_teardown(letters_come_into_one_form, start, stop),
        cmocka_unit_test_setup_teardown(what_cannot_be_seen_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(emails_have_one_form, start, stop),
        cmocka_unit_test_setup_teardown(phones_have_digits, start, stop),
        cmocka_unit_test_setup_teardown(passwords_are_hashed_in_one_form, start, stop),
        cmocka_unit_test_setup_teardown(what_partners_say_is_one_line, start, stop),
        cmocka_unit_test_setup_teardown(plain_text_is_not_copied, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
