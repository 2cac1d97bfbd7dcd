/* Reading mails as others write them. */
#include "sandbox/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void assert_text(struct str got, const char *expected)
{
    char *text = strndup(got.ptr ? got.ptr : "(none)", got.ptr ? got.len : 6);
    assert_string_equal(text, expected);
    free(text);
}

static void plain_mail(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct mailbox_content content;
    mailbox_parse(arena, STR("From: a@b\r\nSubject: Folded\r\n here\r\nTO: c@d\r\n\r\nHello\r\n"), &content);
    assert_text(content.from, "a@b");
    assert_text(content.to, "c@d");
    assert_text(content.subject, "Folded here");
    assert_text(content.text, "Hello\r\n");
    assert_text(content.html, "(none)");
    arena_free(arena);
}

static void parts_and_encodings(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct mailbox_content content;
    mailbox_parse(
        arena,
        STR("Subject: =?UTF-8?B?R3LDvA==?= =?utf-8?q?=C3=9F_dich?= !\r\n"
            "Content-Type: multipart/mixed; boundary=outer\r\n\r\npreamble\r\n--outer\r\n"
            "Content-Type: multipart/alternative; boundary=\"in ner\"\r\n\r\n--in ner\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
            "caf=C3=A9 =\r\nau lait=\r\n\r\n--in ner\r\nContent-Type: text/html\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\nPGI+\r\nSGk8L2I+\r\n--in ner--\r\n--outer--\r\n"),
        &content);
    assert_text(content.subject, "Gr\xc3\xbc\xc3\x9f dich !");
    assert_text(content.text, "caf\xc3\xa9 au lait\r\n");
    assert_text(content.html, "<b>Hi</b>");
    arena_free(arena);
}

static void anything_is_taken(void **state)
{
    (void)state;
    static const char *const odd[] = {"",
                                      "\r\n",
                                      ":",
                                      "Subject",
                                      "Subject: =?",
                                      "Subject: =?utf-8?B?",
                                      "Subject: =?utf-8?B?%%?=",
                                      "Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
                                      "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x\r\n--x",
                                      "Content-Transfer-Encoding: quoted-printable\r\n\r\n=\r=Z=4",
                                      "Subject: \xff\xfe\r\n\r\n\xff"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct arena *arena = arena_new();
        struct mailbox_content content;
        mailbox_parse(arena, str_from(odd[i]), &content);
        assert_true(str_is_utf8(content.subject));
        assert_true(!content.text.ptr || str_is_utf8(content.text));
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_mail),
        cmocka_unit_test(parts_and_encodings),
        cmocka_unit_test(anything_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
