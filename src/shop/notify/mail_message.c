#include "shop/notify/mail_message.h"

#include "base/check.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#define BASE64_LINE 76
/* Bytes of text in one encoded word: 75 characters with "=?UTF-8?B?" and "?=", in base64. */
#define WORD_BYTES 42

struct str mail_address(struct str mailbox)
{
    struct str address = str_trim(mailbox);
    const char *open = address.len ? memchr(address.ptr, '<', address.len) : NULL;
    if (open) {
        if (address.ptr[address.len - 1] != '>')
            return STR_NONE;
        address = (struct str){open + 1, address.len - (size_t)(open + 1 - address.ptr) - 1};
    }
    bool has_at = false;
    for (size_t i = 0; i < address.len; i++) {
        unsigned char c = (unsigned char)address.ptr[i];
        if (c <= ' ' || c == 0x7f || strchr("<>()[]\\,;:\"", c))
            return STR_NONE;
        has_at |= c == '@';
    }
    return has_at && address.len <= 254 ? address : STR_NONE;
}

static void base64(struct buf *out, struct str bytes, size_t line)
{
    size_t size = sodium_base64_ENCODED_LEN(bytes.len, sodium_base64_VARIANT_ORIGINAL);
    char *encoded = malloc(size);
    CHECK(encoded);
    sodium_bin2base64(encoded, size, (const unsigned char *)bytes.ptr, bytes.len,
                      sodium_base64_VARIANT_ORIGINAL);
    size_t len = strlen(encoded);
    for (size_t at = 0; at < len; at += line) {
        buf_append(out, (struct str){encoded + at, len - at < line ? len - at : line});
        if (line == BASE64_LINE)
            BUF_LITERAL(out, "\r\n");
    }
    free(encoded);
}

static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] > '~')
            return false;
    return text.len <= 60 && !memmem(text.ptr ? text.ptr : "", text.len, "=?", 2);
}

/* Encoded words, each of whole characters, one a line. */
static void encoded_words(struct buf *out, struct str text)
{
    while (text.len > 0) {
        size_t len = text.len < WORD_BYTES ? text.len : WORD_BYTES;
        while (len < text.len && len > 1 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
            len--;
        BUF_LITERAL(out, "=?UTF-8?B?");
        base64(out, (struct str){text.ptr, len}, SIZE_MAX / 2);
        BUF_LITERAL(out, "?=");
        text = (struct str){text.ptr + len, text.len - len};
        if (text.len > 0)
            BUF_LITERAL(out, "\r\n ");
    }
}

static void put_text(struct buf *out, struct str text)
{
    if (is_plain(text))
        buf_append(out, text);
    else
        encoded_words(out, text);
}

/* A display name: quoted where plain, else encoded. */
static void put_mailbox(struct buf *out, struct str name, struct str address)
{
    if (name.len > 0 && is_plain(name)) {
        buf_char(out, '"');
        for (size_t i = 0; i < name.len; i++) {
            if (name.ptr[i] == '"' || name.ptr[i] == '\\')
                buf_char(out, '\\');
            buf_char(out, name.ptr[i]);
        }
        BUF_LITERAL(out, "\" ");
    } else if (name.len > 0) {
        encoded_words(out, name);
        BUF_LITERAL(out, "\r\n ");
    }
    buf_char(out, '<');
    buf_append(out, address);
    BUF_LITERAL(out, ">\r\n");
}

static void put_date(struct buf *out, int64_t date_us)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = date_us / 1000000;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    buf_printf(out, "Date: %s, %02d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday,
               months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void put_part(struct buf *out, struct str boundary, const char *type, struct str content)
{
    BUF_LITERAL(out, "--");
    buf_append(out, boundary);
    buf_printf(out, "\r\nContent-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n", type);
    base64(out, content, BASE64_LINE);
}

static struct str name_of(struct str mailbox)
{
    const char *open = mailbox.len ? memchr(mailbox.ptr, '<', mailbox.len) : NULL;
    struct str name = open ? str_trim((struct str){mailbox.ptr, (size_t)(open - mailbox.ptr)}) : STR("");
    if (name.len >= 2 && name.ptr[0] == '"' && name.ptr[name.len - 1] == '"')
        name = (struct str){name.ptr + 1, name.len - 2};
    return name;
}

bool mail_message_write(struct buf *out, const struct mail_message *message)
{
    struct str from = mail_address(message->from), to = mail_address(message->to);
    if (!from.ptr || !to.ptr)
        return false;
    /* Base64 has neither '=' in front nor '_': the boundary cannot appear in a part. */
    struct str boundary = STR("=_cathay_shop_alternative_=");
    put_date(out, message->date_us);
    BUF_LITERAL(out, "From: ");
    put_mailbox(out, name_of(message->from), from);
    BUF_LITERAL(out, "To: ");
    put_mailbox(out, message->to_name, to);
    BUF_LITERAL(out, "Message-ID: <");
    buf_append(out, message->message_id);
    BUF_LITERAL(out, ">\r\nSubject: ");
    put_text(out, message->subject);
    BUF_LITERAL(out, "\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                     "Content-Type: multipart/alternative; boundary=\"");
    buf_append(out, boundary);
    BUF_LITERAL(out, "\"\r\n\r\n");
    put_part(out, boundary, "text/plain", message->text);
    put_part(out, boundary, "text/html", message->html);
    BUF_LITERAL(out, "--");
    buf_append(out, boundary);
    BUF_LITERAL(out, "--\r\n");
    return !out->overflow;
}
