/* Passwords and refresh tokens: what is secret about an account. */
#include "shop/accounts/accounts_rules.h"

#include "base/check.h"
#include "base/config.h"
#include "shop/accounts/accounts.h"

#include <ctype.h>

/* The beginnings of what lists of stolen passwords show most, in lower case and without what people put
 * behind them: "password2024!" begins with "password", and only digits and signs follow. */
static const char *const common[] = {
    "password",   "passw0rd",  "p@ssword", "p@ssw0rd",  "qwerty",     "qwertyuiop", "qwertyui",
    "qazwsx",     "qazwsxedc", "1qaz2wsx", "zaq1zaq1",  "zaq12wsx",   "asdfgh",     "asdfghjkl",
    "zxcvbn",     "zxcvbnm",   "iloveyou", "letmein",   "welcome",    "admin",      "administrator",
    "monkey",     "dragon",    "football", "baseball",  "basketball", "superman",   "batman",
    "trustno1",   "sunshine",  "princess", "starwars",  "whatever",   "master",     "shadow",
    "michael",    "jennifer",  "jordan",   "liverpool", "chelsea",    "arsenal",    "pokemon",
    "computer",   "internet",  "samsung",  "changeme",  "default",    "secret",     "guest",
    "login",      "loveme",    "lovely",   "flower",    "hello",      "helloworld", "freedom",
    "mustang",    "killer",    "charlie",  "summer",    "winter",     "spring",     "autumn",
    "january",    "february",  "november", "december",  "hongkong",   "cathay",     "cathayshop",
    "a1b2c3d4",   "aa123456",  "abc",      "abcd",      "q1w2e3r4",   "q1w2e3r4t5", "1q2w3e4r",
    "1q2w3e4r5t",
};

static bool only_digits_and_signs(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (isalpha((unsigned char)text[i]) || (unsigned char)text[i] >= 128)
            return false;
    return true;
}

/* "aaaaaaaaaa", "1234567890", "abcdefghij", "9876543210": each step is the same. */
static bool is_run(struct str text)
{
    for (int step = -1; step <= 1; step++) {
        size_t same = 0;
        for (size_t i = 1; i < text.len; i++)
            same += text.ptr[i] - text.ptr[i - 1] == step ||
                    (step == 1 && text.ptr[i - 1] == '9' && text.ptr[i] == '0');
        if (same + 1 == text.len)
            return true;
    }
    return false;
}

const char *password_refusal(struct str password, struct str email)
{
    size_t characters = str_is_utf8(password) ? str_code_points(password) : 0;
    if (characters < PASSWORD_CHARACTERS_MIN)
        return "has fewer than 10 characters";
    if (characters > PASSWORD_CHARACTERS_MAX)
        return "has more than 128 characters";
    if (memchr(password.ptr, '\0', password.len))
        return "has a NUL in it";
    char lower[4 * PASSWORD_CHARACTERS_MAX];
    for (size_t i = 0; i < password.len; i++)
        lower[i] = (char)tolower((unsigned char)password.ptr[i]);
    struct str text = {lower, password.len}, domain = email;
    const char *refusal = is_run(text) ? "is a simple sequence" : NULL;
    if (email.len && (str_equal(text, email) || str_starts_with(text, str_split(&domain, '@'))))
        refusal = "begins with the e-mail address";
    for (size_t i = 0; i < sizeof common / sizeof common[0] && !refusal; i++) {
        struct str word = str_from(common[i]);
        if (str_starts_with(text, word) && only_digits_and_signs(text.ptr + word.len, text.len - word.len))
            refusal = "is one of the common ones";
    }
    if (!refusal && only_digits_and_signs(lower, password.len) && password.len < 14)
        refusal = "has no letters, and fewer than 14 characters";
    sodium_memzero(lower, sizeof lower);
    return refusal;
}

/* ---- Argon2id ---- */

static char nobody[PASSWORD_HASH_MAX]; /* of a random password */

static unsigned long long passes(void)
{
    return (unsigned long long)config()->argon2_passes;
}

static size_t memory_bytes(void)
{
    return (size_t)config()->argon2_memory_kib * 1024;
}

enum error_code password_hash(struct str password, char out[PASSWORD_HASH_MAX], struct error *error)
{
    if (crypto_pwhash_str(out, password.ptr, password.len, passes(), memory_bytes()) != 0)
        return error_set(error, ERR_OVERLOADED, "There is no memory for a password hash at the moment");
    return ERR_OK;
}

bool password_verify(struct str hash, struct str password, bool *outdated)
{
    char text[PASSWORD_HASH_MAX];
    bool known = hash.ptr && hash.len < sizeof text;
    memcpy(text, nobody, sizeof text);
    if (known) {
        memcpy(text, hash.ptr, hash.len);
        text[hash.len] = '\0';
    }
    bool fits = crypto_pwhash_str_verify(text, password.ptr, password.len) == 0;
    *outdated = known && fits && crypto_pwhash_str_needs_rehash(text, passes(), memory_bytes()) != 0;
    return known && fits;
}

enum error_code password_service_start(struct error *error)
{
    CHECK(sodium_init() >= 0);
    char random[32];
    randombytes_buf(random, sizeof random);
    return password_hash((struct str){random, sizeof random}, nobody, error);
}

/* ---- refresh tokens ---- */

#define TOKEN_PREFIX STR("rft_")
#define TOKEN_BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

struct refresh_token refresh_token_make(void)
{
    struct refresh_token token;
    randombytes_buf(token.bytes, sizeof token.bytes);
    return token;
}

void refresh_token_text(const struct refresh_token *token, char out[REFRESH_TOKEN_TEXT_MAX])
{
    memcpy(out, TOKEN_PREFIX.ptr, TOKEN_PREFIX.len);
    sodium_bin2base64(out + TOKEN_PREFIX.len, REFRESH_TOKEN_TEXT_MAX - TOKEN_PREFIX.len, token->bytes,
                      sizeof token->bytes, TOKEN_BASE64);
}

bool refresh_token_parse(struct str text, struct refresh_token *token)
{
    size_t count;
    if (!str_starts_with(text, TOKEN_PREFIX))
        return false;
    return sodium_base642bin(token->bytes, sizeof token->bytes, text.ptr + TOKEN_PREFIX.len,
                             text.len - TOKEN_PREFIX.len, NULL, &count, NULL, TOKEN_BASE64) == 0 &&
           count == sizeof token->bytes;
}

void refresh_token_hash(const struct refresh_token *token, uint8_t out[REFRESH_TOKEN_BYTES])
{
    crypto_generichash(out, REFRESH_TOKEN_BYTES, token->bytes, sizeof token->bytes, NULL, 0);
}

struct refresh_token refresh_token_successor(const struct refresh_token *token,
                                             const uint8_t salt[REFRESH_TOKEN_BYTES])
{
    struct refresh_token next;
    crypto_generichash(next.bytes, sizeof next.bytes, salt, REFRESH_TOKEN_BYTES, token->bytes,
                       sizeof token->bytes);
    return next;
}
