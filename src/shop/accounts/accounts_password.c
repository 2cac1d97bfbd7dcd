/* Hashes of passwords, and refresh tokens. */
#include "shop/accounts/accounts_rules.h"

#include "base/check.h"
#include "base/config.h"
#include "base/text.h"
#include "shop/accounts/accounts.h"

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

/* In NFC, so that a letter is the same however a keyboard makes it. */
struct prepared {
    char bytes[PASSWORD_PREPARED_MAX];
    struct str text;
};

static void prepare(struct str password, struct prepared *prepared)
{
    size_t len = text_password(password, prepared->bytes, sizeof prepared->bytes);
    prepared->text = len ? (struct str){prepared->bytes, len} : password;
}

enum error_code password_hash(struct str password, char out[PASSWORD_HASH_MAX], struct error *error)
{
    struct prepared prepared;
    prepare(password, &prepared);
    int failed = crypto_pwhash_str(out, prepared.text.ptr, prepared.text.len, passes(), memory_bytes());
    sodium_memzero(prepared.bytes, sizeof prepared.bytes);
    if (failed)
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
    struct prepared prepared;
    prepare(password, &prepared);
    bool fits = crypto_pwhash_str_verify(text, prepared.text.ptr, prepared.text.len) == 0;
    bool as_typed = !fits && !str_equal(prepared.text, password) &&
                    crypto_pwhash_str_verify(text, password.ptr, password.len) == 0;
    sodium_memzero(prepared.bytes, sizeof prepared.bytes);
    *outdated =
        known && (as_typed || (fits && crypto_pwhash_str_needs_rehash(text, passes(), memory_bytes()) != 0));
    return known && (fits || as_typed);
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
