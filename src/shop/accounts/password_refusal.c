/* Which passwords are refused. They are judged without regard to case and width, since that is how they are
 * guessed: a word of the list with digits and signs around it, letters written as digits, a short text over
 * and over, a walk along the alphabet, and what the account itself says. */
#include "base/text.h"
#include "shop/accounts/accounts.h"
#include "shop/accounts/accounts_rules.h"

#include <stdlib.h>

#define OWN_WORD_MIN 3 /* bytes: shorter ones are part of too many words */
#define OWN_REST_MIN 8 /* characters beside the person's own words */

/* common_passwords.txt, sorted by bytes. */
extern const char *const common_passwords[];
extern const size_t common_passwords_count;

static int compare_word(const void *word, const void *entry)
{
    return strcmp(word, *(const char *const *)entry);
}

static bool is_listed(struct arena *arena, struct str word)
{
    const char *text = arena_cstr(arena, word);
    return bsearch(text, common_passwords, common_passwords_count, sizeof common_passwords[0],
                   compare_word) != NULL;
}

static bool is_digit_or_sign(char c)
{
    return !((c >= 'a' && c <= 'z') || (unsigned char)c >= 128);
}

static struct str without_ends(struct str text)
{
    while (text.len && is_digit_or_sign(text.ptr[text.len - 1]))
        text.len--;
    while (text.len && is_digit_or_sign(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    return text;
}

/* "aaaaaaaaaa", "1234567890", "abcdefghij", "9876543210": each step is the same. */
static bool is_run(struct str text)
{
    for (int step = -1; step <= 1; step++) {
        size_t same = 0;
        for (size_t i = 1; i < text.len; i++)
            same += text.ptr[i] - text.ptr[i - 1] == step ||
                    (step == 1 && text.ptr[i - 1] == '9' && text.ptr[i] == '0') ||
                    (step == -1 && text.ptr[i - 1] == '0' && text.ptr[i] == '9');
        if (same + 1 == text.len)
            return true;
    }
    return false;
}

/* What the text says over and over; the text itself where it does not. */
static struct str repeated_part(struct str text)
{
    for (size_t part = 1; part * 2 <= text.len; part++)
        if (memcmp(text.ptr, text.ptr + part, text.len - part) == 0)
            return (struct str){text.ptr, part};
    return text;
}

/* "p@ssw0rd" as "password". */
static struct str letters_of(struct arena *arena, struct str text)
{
    static const char signs[] = "0134578@$!", letters[] = "oieastbasi";
    char *out = arena_bytes(arena, text.len);
    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.ptr[i] ? strchr(signs, text.ptr[i]) : NULL;
        out[i] = at ? letters[at - signs] : text.ptr[i];
    }
    return (struct str){out, text.len};
}

/* The list's words with digits and signs around them. */
static bool is_common(struct arena *arena, struct str text)
{
    struct str core = without_ends(text), part = repeated_part(core);
    return is_listed(arena, text) || is_listed(arena, core) || is_listed(arena, part) ||
           is_listed(arena, letters_of(arena, core)) ||
           is_listed(arena, without_ends(letters_of(arena, text)));
}

static void cover(struct str text, bool *covered, struct str word)
{
    for (size_t i = 0; word.len >= OWN_WORD_MIN && i + word.len <= text.len; i++)
        if (memcmp(text.ptr + i, word.ptr, word.len) == 0)
            memset(covered + i, true, word.len);
}

/* Each word of a name or an address, and the whole. */
static void cover_words(struct str text, bool *covered, struct str own)
{
    cover(text, covered, own);
    size_t begin = 0;
    for (size_t i = 0; i <= own.len; i++) {
        if (i < own.len && !is_digit_or_sign(own.ptr[i]))
            continue;
        cover(text, covered, (struct str){own.ptr + begin, i - begin});
        begin = i + 1;
    }
}

/* Whether little is left of the password beside the person's name and address. */
static bool says_who(struct arena *arena, struct str text, struct str email, struct str name)
{
    bool *covered = ARENA_ARRAY(arena, bool, text.len + 1);
    struct str local = email;
    cover(text, covered, email);
    cover_words(text, covered, str_split(&local, '@'));
    cover_words(text, covered, text_fold(arena, name));
    size_t rest = 0, own = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool begins = ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
        rest += begins && !covered[i];
        own += begins && covered[i];
    }
    return own && rest < OWN_REST_MIN;
}

static const char *refusal_of_fold(struct arena *arena, struct str text, struct str email, struct str name)
{
    struct str core = without_ends(text), part = repeated_part(core);
    if (is_run(text))
        return "is a simple sequence";
    if (says_who(arena, text, email, name))
        return "is little more than the name or the e-mail address";
    if (is_common(arena, text))
        return "is one of the common ones";
    if (part.len < core.len && str_code_points(part) < PASSWORD_CHARACTERS_MIN)
        return "says a short text over and over";
    part = repeated_part(text);
    if (part.len < text.len && str_code_points(part) < PASSWORD_CHARACTERS_MIN)
        return "says a short text over and over";
    if (core.len == 0 && text.len < 14)
        return "has no letters, and fewer than 14 characters";
    return NULL;
}

const char *password_refusal(struct arena *arena, struct str password, struct str email, struct str name)
{
    char bytes[PASSWORD_PREPARED_MAX];
    if (!str_is_utf8(password))
        return "is not UTF-8";
    if (str_code_points(password) > 4 * PASSWORD_CHARACTERS_MAX)
        return "has more than 128 characters";
    struct str prepared = {bytes, text_password(password, bytes, sizeof bytes)};
    size_t characters = str_code_points(prepared);
    const char *refusal = NULL;
    if (characters < PASSWORD_CHARACTERS_MIN)
        refusal = "has fewer than 10 characters";
    else if (characters > PASSWORD_CHARACTERS_MAX)
        refusal = "has more than 128 characters";
    else if (text_has_controls(prepared))
        refusal = "has a control character in it";
    else
        refusal = refusal_of_fold(arena, text_fold(arena, prepared), email, name);
    sodium_memzero(bytes, sizeof bytes);
    return refusal;
}
