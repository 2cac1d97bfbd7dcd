#include "shop/notify/mail_words.h"

#include "base/buf.h"
#include "base/check.h"

#include <sodium.h>

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The length of a dot that begins here, or 0. Of others than ASCII's, those that IDNA (RFC 3490, 3.1) has
 * mapped to it, and the one dot leader, which NFKC does. */
static size_t dot_at(struct str text, size_t at)
{
    static const struct str dots[] = {STR("."), STR("\xe3\x80\x82"), STR("\xef\xbc\x8e"), STR("\xef\xbd\xa1"),
                                      STR("\xe2\x80\xa4")};
    for (size_t i = 0; i < sizeof dots / sizeof dots[0]; i++)
        if (text.len - at >= dots[i].len && memcmp(text.ptr + at, dots[i].ptr, dots[i].len) == 0)
            return dots[i].len;
    return 0;
}

/* "a.com", "1.example", not "J.R." and "No.5": behind the dot there are two letters, or one of three bytes.
 */
static bool is_domain_dot(struct str text, size_t at, size_t len)
{
    size_t next = at + len;
    return at > 0 && (is_letter(text.ptr[at - 1]) || is_digit(text.ptr[at - 1])) && text.len - next >= 2 &&
           is_letter(text.ptr[next]) && is_letter(text.ptr[next + 1]);
}

static bool is_scheme_colon(struct str text, size_t at)
{
    return text.ptr[at] == ':' && at > 0 && is_letter(text.ptr[at - 1]) && at + 1 < text.len &&
           text.ptr[at + 1] != ' ';
}

struct str mail_without_links(struct arena *arena, struct str text)
{
    struct buf out = buf_new(4 * text.len + 1);
    for (size_t i = 0; i < text.len;) {
        size_t dot = dot_at(text, i);
        if (dot && is_domain_dot(text, i, dot)) {
            buf_append(&out, (struct str){text.ptr + i, dot});
            buf_char(&out, ' ');
            i += dot;
            continue;
        }
        bool at_sign = text.ptr[i] == '@';
        if (at_sign)
            buf_char(&out, ' ');
        buf_char(&out, text.ptr[i]);
        if (at_sign || is_scheme_colon(text, i))
            buf_char(&out, ' ');
        i++;
    }
    CHECK(!out.overflow);
    struct str plain = arena_copy(arena, buf_str(&out));
    buf_free(&out);
    return plain;
}

struct str mail_name(struct arena *arena, struct str name)
{
    return str_equal(mail_without_links(arena, name), name) ? name : STR("customer");
}

struct str mail_box(struct arena *arena, struct str address)
{
    char *form = arena_bytes(arena, address.len + 1);
    size_t len = 0;
    struct str domain = address, local = str_split(&domain, '@');
    for (size_t i = 0; i < local.len && local.ptr[i] != '+'; i++)
        if (local.ptr[i] != '.')
            form[len++] = local.ptr[i];
    form[len++] = '@';
    for (size_t i = 0; i < domain.len; i++)
        form[len++] = domain.ptr[i];
    CHECK(len <= address.len + 1);
    for (size_t i = 0; i < len; i++)
        if (form[i] >= 'A' && form[i] <= 'Z')
            form[i] = (char)(form[i] | 0x20);
    unsigned char *hash = (unsigned char *)arena_bytes(arena, MAILBOX_BYTES);
    crypto_generichash(hash, MAILBOX_BYTES, (const unsigned char *)form, len, NULL, 0);
    return (struct str){(const char *)hash, MAILBOX_BYTES};
}
