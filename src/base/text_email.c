/* E-mail addresses: one form for one mailbox, so that whoever registered signs in however the address is
 * typed. The local part is an RFC 5321 dot-string in ASCII, in lower case (no provider of note tells cases
 * apart); one outside ASCII would need SMTPUTF8 (RFC 6531) at every relay on the way, and is refused. A
 * domain outside ASCII is kept as A-labels (RFC 5890), which every mail server takes. */
#include "base/text.h"
#include "base/text_points.h"

#include <idn2.h>

#define TYPED_BYTES_MAX 2048

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

static bool is_local_part(struct str local)
{
    if (local.len == 0 || local.len > 64 || local.ptr[0] == '.' || local.ptr[local.len - 1] == '.')
        return false;
    for (size_t i = 0; i < local.len; i++)
        if (!(is_alnum(local.ptr[i]) || memchr(".!#$%&'*+/=?^_`{|}~-", local.ptr[i], 20)) ||
            (local.ptr[i] == '.' && local.ptr[i - 1] == '.'))
            return false;
    return true;
}

static bool is_domain(struct str domain)
{
    size_t labels = 0;
    while (domain.ptr) {
        struct str label = str_split(&domain, '.');
        if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!is_alnum(label.ptr[i]) && label.ptr[i] != '-')
                return false;
        labels++;
    }
    return labels >= 2;
}

static bool is_ascii(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] >= 128)
            return false;
    return true;
}

/* Absent: it is no domain. */
static struct str a_labels(struct arena *arena, struct str domain)
{
    uint8_t *found = NULL;
    char *terminated = arena_cstr(arena, domain);
    if (strlen(terminated) != domain.len ||
        idn2_lookup_u8((const uint8_t *)terminated, &found, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return STR_NONE;
    struct str out = arena_copy(arena, str_from((const char *)found));
    idn2_free(found);
    return out;
}

static struct str lower(struct arena *arena, struct str text)
{
    char *out = arena_bytes(arena, text.len);
    for (size_t i = 0; i < text.len; i++)
        out[i] = text.ptr[i] >= 'A' && text.ptr[i] <= 'Z' ? (char)(text.ptr[i] + 32) : text.ptr[i];
    return (struct str){out, text.len};
}

const char *text_prepare_email(struct arena *arena, struct str *text)
{
    if (text->len > TYPED_BYTES_MAX)
        return "is not an e-mail address: it is too long";
    const char *reason = text_prepare(arena, TEXT_LINE, text);
    if (reason)
        return reason;
    struct str domain = *text, local = str_split(&domain, '@');
    if (!domain.ptr)
        return "is not an e-mail address: it has no @";
    if (!is_ascii(local))
        return "has letters before the @ that most mail servers cannot reach: use those of ASCII";
    if (!is_ascii(domain))
        domain = a_labels(arena, domain);
    if (!domain.ptr)
        return "is not an e-mail address: there can be no such domain";
    *text = lower(arena, arena_printf(arena, "%.*s@%.*s", STR_ARG(local), STR_ARG(domain)));
    domain = *text;
    local = str_split(&domain, '@');
    if (!is_local_part(local) || !is_domain(domain) || text->len > TEXT_EMAIL_BYTES_MAX)
        return "is not an e-mail address that the shop takes";
    return NULL;
}
