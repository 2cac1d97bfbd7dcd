/* Templates, amounts and the message on the wire: against texts written by hand. */
#include "shop/notify/mail_words.h"
#include "shop/notify/notify_mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void assert_text(struct str got, const char *expected)
{
    char *text = strndup(got.ptr, got.len);
    assert_string_equal(text, expected);
    free(text);
}

static void fill_and_compare(const char *template, const struct template_scope *scope, bool html,
                             const char *expected)
{
    struct buf out = buf_new(4096);
    assert_true(mail_template_fill(&out, template, scope, html));
    assert_text(buf_str(&out), expected);
    buf_free(&out);
}

static void sections_repeat_and_nest(void **state)
{
    (void)state;
    struct template_scope inner[] = {{.values = {{"what", STR("a")}}}, {.values = {{"what", STR("b")}}}};
    struct template_scope items[] = {{.values = {{"name", STR("one")}}, .sections = {{"parts", inner, 2}}},
                                     {.values = {{"name", STR("two")}}, .sections = {{"parts", inner, 1}}}};
    struct template_scope scope = {.values = {{"name", STR("outer")}, {"shop", STR("S")}},
                                   .sections = {{"items", items, 2}, {"none", NULL, 0}}};
    fill_and_compare("{{name}}: {{#items}}{{name}}({{#parts}}{{what}}{{shop}}{{/parts}}) {{/items}}.", &scope,
                     false, "outer: one(aSbS) two(aS) .");
    fill_and_compare("x\n{{#none}}\nhidden {{unknown}}\n{{/none}}\ny\n", &scope, false, "x\ny\n");
    fill_and_compare("x\n{{#items}}\n- {{ name }}\n{{/items}}\ny\n", &scope, false, "x\n- one\n- two\ny\n");
    fill_and_compare("no tags", &scope, false, "no tags");
}

static void html_is_escaped_and_text_is_not(void **state)
{
    (void)state;
    struct template_scope scope = {.values = {{"name", STR("<b>\"Tom\" & 'Jo'</b> {{shop}}")}}};
    fill_and_compare("{{name}}", &scope, false, "<b>\"Tom\" & 'Jo'</b> {{shop}}");
    struct buf out = buf_new(4096);
    assert_true(mail_template_fill(&out, "<p>{{name}}</p>", &scope, true));
    assert_null(memmem(out.ptr, out.len, "<b>", 3));
    assert_non_null(memmem(out.ptr, out.len, "&lt;b&gt;", 9));
    assert_non_null(memmem(out.ptr, out.len, "&amp;", 5));
    buf_free(&out);
}

static void broken_templates_are_told(void **state)
{
    (void)state;
    static const char *const broken[] = {"{{unknown}}", "{{#unknown}}{{/unknown}}", "{{name", "{{#list}}x",
                                         "{{/list}}",   "{{#list}}{{/other}}"};
    struct template_scope item = {0};
    struct template_scope scope = {.values = {{"name", STR("n")}}, .sections = {{"list", &item, 1}}};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct buf out = buf_new(4096);
        assert_false(mail_template_fill(&out, broken[i], &scope, false));
        buf_free(&out);
    }
}

static void amounts(void **state)
{
    (void)state;
    static const struct {
        int64_t minor;
        const char *code, *text;
    } cases[] = {{0, "HKD", "HK$0.00"},          {5, "HKD", "HK$0.05"},
                 {123456, "HKD", "HK$1,234.56"}, {1200, "USD", "US$12.00"},
                 {-99, "USD", "-US$0.99"},       {100000000, "USD", "US$1,000,000.00"},
                 {1200, "JPY", "JPY 1,200"},     {99950, "EUR", "EUR 999.50"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct currency currency;
        assert_true(currency_parse(str_from(cases[i].code), &currency));
        struct buf out = buf_new(64);
        mail_money(&out, money_of(cases[i].minor, currency));
        assert_text(buf_str(&out), cases[i].text);
        buf_free(&out);
    }
}

static struct order_mail sample(void)
{
    static struct mail_lines_row lines[] = {{STR("Tea <green>, 100 g"), 2, 17600},
                                            {STR("Kettle & lid"), 1, 45900}};
    static struct mail_parcels_row parcels[] = {{STR("CathayPost"), STR("CP0123456789AB"),
                                                 STR("http://carrier.example/track/CP0123456789AB"),
                                                 STR("in transit")}};
    struct order_mail mail = {
        .order =
            {.number = 100042,
             .name = STR("Mei & Sons"),
             .email = STR("mei@example.com"),
             .currency = STR("HKD"),
             .total_minor = 63500,
             .points = 12000,
             .points_value_minor = 12000,
             .cash_minor = 51500,
             .earn_points = 128,
             .address = STR(
                 "{\"name\":\"Mei\",\"line1\":\"1 Harbour Road\",\"city\":\"Wan Chai\",\"country\":\"HK\"}")},
        .refunded_minor = 51500,
        .refunded_points = 12000,
        .lines = {lines, 2},
        .parcels = {parcels, 1},
        .reason = STR("Changed my mind"),
    };
    return mail;
}

static void confirmed_mail_is_as_written(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct order_mail mail = sample();
    struct mail_message message = {0};
    assert_true(order_mail_fill(arena, &mail, mail_template_find(STR("order_confirmed")), &message));
    assert_text(message.subject, "Your order 100042 is confirmed");
    struct str expected =
        arena_printf(arena,
                     "Dear Mei & Sons,\n\nthank you: your order 100042 is paid and confirmed.\n\n"
                     "  2 x Tea <green>, 100 g  HK$176.00\n  1 x Kettle & lid  HK$459.00\n\n"
                     "Total: HK$635.00\nPaid with miles: 12,000 miles (HK$120.00)\nPaid in cash: HK$515.00\n"
                     "You will earn 128 miles once the time for returns has passed.\n\nIt goes to:\n"
                     "  Mei\n  1 Harbour Road\n  Wan Chai\n  HK\n\n"
                     "Follow it at %.*s\n\n"
                     "Cathay Shop\n",
                     STR_ARG(order_mail_link(arena, mail.order_id)));
    assert_true(str_equal(message.text, expected));
    struct str address = STR("http://127.0.0.1:8080/orders/ord_00000000000000000000000000000000?key=");
    assert_true(str_starts_with(order_mail_link(arena, mail.order_id), address));
    assert_null(memmem(message.html.ptr, message.html.len, "<green>", 7));
    assert_non_null(memmem(message.html.ptr, message.html.len, "Kettle &amp; lid", 16));
    assert_null(memmem(message.html.ptr, message.html.len, "{{", 2));
    arena_free(arena);
}

static void long_orders_fill_and_what_is_beyond_is_an_error(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    char name[400];
    memset(name, '"', sizeof name); /* six bytes each, as HTML */
    struct mail_lines_row *lines = ARENA_ARRAY(arena, struct mail_lines_row, 10000);
    for (size_t i = 0; i < 10000; i++)
        lines[i] = (struct mail_lines_row){.title = {name, sizeof name}, .quantity = 99, .total_minor = 1};
    struct order_mail mail = sample();
    struct mail_message message = {.from = STR("a@b.example"), .message_id = STR("1@b.example")};
    mail.lines = (struct mail_lines_rows){lines, 100};
    assert_true(order_mail_fill(arena, &mail, mail_template_find(STR("order_confirmed")), &message));
    struct buf out = buf_new(MAIL_MESSAGE_MAX);
    assert_true(mail_message_write(&out, &message));
    buf_free(&out);
    mail.lines.count = 10000;
    assert_false(order_mail_fill(arena, &mail, mail_template_find(STR("order_confirmed")), &message));
    arena_free(arena);
}

/* Every template finds all that it asks for, also where an order has the least there can be. */
static void every_template_fills(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    size_t count = 0;
    for (const struct mail_template *template = mail_templates; template->name; template ++, count++) {
        struct order_mail rich = sample();
        struct order_mail poor = {.order = {.currency = STR("USD"), .name = STR(""), .email = STR("a@b")}};
        struct mail_message message = {0};
        assert_true(order_mail_fill(arena, &rich, template, &message));
        assert_true(message.subject.len > 0 && message.text.len > 0 && message.html.len > 0);
        assert_true(order_mail_fill(arena, &poor, template, &message));
        assert_true(message.subject.len > 0 && message.text.len > 0 && message.html.len > 0);
    }
    assert_int_equal(count, 13);
    arena_free(arena);
}

static void message_on_the_wire(void **state)
{
    (void)state;
    struct mail_message message = {
        .from = STR("Cathay Shop <shop@cathay.example>"),
        .to = STR("mei@example.com"),
        .to_name = STR("\xe7\xbe\x8e \"M\""),
        .subject = STR("Gr\xc3\xbc\xc3\x9f"),
        .message_id = STR("1.order@cathay.example"),
        .date_us = 784111777LL * 1000000,
        .text = STR("Hi\n"),
        .html = STR("<p>Hi</p>"),
    };
    struct buf out = buf_new(MAIL_MESSAGE_MAX);
    assert_true(mail_message_write(&out, &message));
    assert_text(buf_str(&out),
                "Date: Sun, 06 Nov 1994 08:49:37 +0000\r\n"
                "From: \"Cathay Shop\" <shop@cathay.example>\r\n"
                "To: =?UTF-8?B?576OICJNIg==?=\r\n <mei@example.com>\r\n"
                "Message-ID: <1.order@cathay.example>\r\n"
                "Subject: =?UTF-8?B?R3LDvMOf?=\r\n"
                "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                "Content-Type: multipart/alternative; boundary=\"=_cathay_shop_alternative_=\"\r\n\r\n"
                "--=_cathay_shop_alternative_=\r\nContent-Type: text/plain; charset=utf-8\r\n"
                "Content-Transfer-Encoding: base64\r\n\r\nSGkK\r\n"
                "--=_cathay_shop_alternative_=\r\nContent-Type: text/html; charset=utf-8\r\n"
                "Content-Transfer-Encoding: base64\r\n\r\nPHA+SGk8L3A+\r\n"
                "--=_cathay_shop_alternative_=--\r\n");
    buf_free(&out);
}

/* Nobody writes headers through a name, a subject or an address. */
static void no_header_is_injected(void **state)
{
    (void)state;
    struct mail_message message = {
        .from = STR("shop@cathay.example"),
        .to = STR("mei@example.com"),
        .to_name = STR("Mei\r\nBcc: all@example.com"),
        .subject = STR("Hello\r\nBcc: all@example.com"),
        .message_id = STR("1@cathay.example"),
        .text = STR(""),
        .html = STR(""),
    };
    struct buf out = buf_new(MAIL_MESSAGE_MAX);
    assert_true(mail_message_write(&out, &message));
    assert_null(memmem(out.ptr, out.len, "Bcc:", 4));
    buf_free(&out);
    message.to = STR("mei@example.com>\r\nBcc: <all@example.com");
    out = buf_new(MAIL_MESSAGE_MAX);
    assert_false(mail_message_write(&out, &message));
    buf_free(&out);
}

static void words_make_no_links(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    static const char *const cases[][2] = {
        {"Visit http://evil.example/x", "Visit http: //evil. example/x"},
        {"www.evil.com", "www. evil. com"},
        {"evil\xe3\x80\x82\xe4\xb8\xad\xe5\x9b\xbd", "evil\xe3\x80\x82 \xe4\xb8\xad\xe5\x9b\xbd"},
        {"evil\xef\xbc\x8e"
         "com",
         "evil\xef\xbc\x8e com"},
        {"me@evil.com", "me @ evil. com"},
        {"mailto:me", "mailto: me"},
        {"J.R. Tolkien, Flat 5.B, No.5/F", "J.R. Tolkien, Flat 5.B, No.5/F"},
        {"Attn: Mei", "Attn: Mei"},
        {"", ""},
        {".com", ".com"},
        {"a.", "a."},
        {"@", " @ "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str plain = mail_without_links(arena, str_from(cases[i][0]));
        assert_true(str_equal(plain, str_from(cases[i][1])));
    }
    assert_true(str_equal(mail_name(arena, STR("Mei & Sons")), STR("Mei & Sons")));
    assert_true(str_equal(mail_name(arena, STR("win at evil.com")), STR("customer")));
    struct str one = mail_box(arena, STR("mei.chan+shop@Mail.example"));
    assert_true(str_equal(one, mail_box(arena, STR("MEICHAN@mail.example"))));
    assert_false(str_equal(one, mail_box(arena, STR("meichan@other.example"))));
    mail_box(arena, STR("no address"));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_repeat_and_nest),
        cmocka_unit_test(html_is_escaped_and_text_is_not),
        cmocka_unit_test(broken_templates_are_told),
        cmocka_unit_test(amounts),
        cmocka_unit_test(confirmed_mail_is_as_written),
        cmocka_unit_test(long_orders_fill_and_what_is_beyond_is_an_error),
        cmocka_unit_test(every_template_fills),
        cmocka_unit_test(words_make_no_links),
        cmocka_unit_test(message_on_the_wire),
        cmocka_unit_test(no_header_is_injected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
