/* Three parts, header.payload.signature, each base64url without padding. Verification accepts exactly what
 * token_sign() makes: a header of alg, typ and kid and nothing else, the signature over the text as it came,
 * and the shop's own claims. The signature is checked before a claim is looked at. */
#include "shop/accounts/accounts_token.h"

#include "base/buf.h"
#include "base/check.h"
#include "shop/accounts/accounts.h"

#include <jansson.h>
#include <stdio.h>

#define BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define SIGNATURE_TEXT_BYTES 86

static struct str base64_encode(struct arena *arena, const void *bytes, size_t count)
{
    size_t size = sodium_base64_encoded_len(count, BASE64);
    char *out = arena_bytes(arena, size);
    sodium_bin2base64(out, size, bytes, count, BASE64);
    return (struct str){out, size - 1};
}

/* Strict: no padding, no other characters, no bits set behind the last byte. */
static bool base64_decode(struct str text, uint8_t *out, size_t size, size_t *count)
{
    return text.len > 0 && sodium_base642bin(out, size, text.ptr, text.len, NULL, count, NULL, BASE64) == 0;
}

/* ---- keys ---- */

static bool kid_is_valid(struct str kid)
{
    if (kid.len == 0 || kid.len > TOKEN_KID_MAX)
        return false;
    for (size_t i = 0; i < kid.len; i++) {
        char c = kid.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '_' || c == '.';
        if (!plain)
            return false;
    }
    return true;
}

static bool seed_decode(struct str text, uint8_t seed[crypto_sign_SEEDBYTES])
{
    static const int variants[] = {sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
                                   sodium_base64_VARIANT_URLSAFE, sodium_base64_VARIANT_URLSAFE_NO_PADDING};
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        size_t count;
        if (sodium_base642bin(seed, crypto_sign_SEEDBYTES, text.ptr, text.len, NULL, &count, NULL,
                              variants[i]) == 0 &&
            count == crypto_sign_SEEDBYTES)
            return true;
    }
    return false;
}

static const struct token_key *key_find(const struct token_keys *keys, struct str kid)
{
    for (size_t i = 0; i < keys->count; i++)
        if (str_equal(str_from(keys->items[i].kid), kid))
            return &keys->items[i];
    return NULL;
}

enum error_code token_keys_parse(struct str text, struct token_keys *keys, struct error *error)
{
    *keys = (struct token_keys){0};
    if (str_trim(text).len == 0)
        return error_set(error, ERR_VALIDATION,
                         "CATHAY_TOKEN_KEYS is not set: `cathay config --new-token-key` makes a key; keep it "
                         "secret, and the "
                         "same on every server");
    while (text.ptr) {
        struct str entry = str_trim(str_split(&text, ','));
        struct str kid = str_split(&entry, ':');
        uint8_t seed[crypto_sign_SEEDBYTES];
        if (!kid_is_valid(kid))
            return error_set(
                error, ERR_VALIDATION,
                "CATHAY_TOKEN_KEYS: key %zu: expected kid:base64seed, the kid up to %d of A-Z a-z 0-9 . _ -",
                keys->count + 1, TOKEN_KID_MAX);
        if (!entry.ptr || !seed_decode(entry, seed))
            return error_set(error, ERR_VALIDATION,
                             "CATHAY_TOKEN_KEYS: key \"%.*s\": the seed is not %d bytes of base64",
                             STR_ARG(kid), crypto_sign_SEEDBYTES);
        if (key_find(keys, kid))
            return error_set(error, ERR_VALIDATION, "CATHAY_TOKEN_KEYS: key \"%.*s\" stands twice",
                             STR_ARG(kid));
        if (keys->count == TOKEN_KEYS_MAX)
            return error_set(error, ERR_VALIDATION, "CATHAY_TOKEN_KEYS: more than %d keys", TOKEN_KEYS_MAX);
        struct token_key *key = &keys->items[keys->count++];
        memcpy(key->kid, kid.ptr, kid.len);
        crypto_sign_seed_keypair(key->public_key, key->secret_key, seed);
        sodium_memzero(seed, sizeof seed);
    }
    return ERR_OK;
}

void accounts_token_key_make(char out[ACCOUNTS_TOKEN_KEY_TEXT_MAX])
{
    CHECK(sodium_init() >= 0);
    uint8_t seed[crypto_sign_SEEDBYTES], public_key[crypto_sign_PUBLICKEYBYTES],
        secret_key[crypto_sign_SECRETKEYBYTES];
    uint8_t digest[crypto_generichash_BYTES];
    randombytes_buf(seed, sizeof seed);
    crypto_sign_seed_keypair(public_key, secret_key, seed);
    crypto_generichash(digest, sizeof digest, public_key, sizeof public_key, NULL, 0);
    char kid[17], text[sodium_base64_ENCODED_LEN(crypto_sign_SEEDBYTES, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2hex(kid, sizeof kid, digest, 8);
    sodium_bin2base64(text, sizeof text, seed, sizeof seed, sodium_base64_VARIANT_ORIGINAL);
    snprintf(out, ACCOUNTS_TOKEN_KEY_TEXT_MAX, "%s:%s", kid, text);
}

struct str token_keys_jwks(struct arena *arena, const struct token_keys *keys)
{
    struct buf out = buf_new(TOKEN_KEYS_MAX * 256);
    BUF_LITERAL(&out, "{\"keys\":[");
    for (size_t i = 0; i < keys->count; i++) {
        const struct token_key *key = &keys->items[i];
        struct str x = base64_encode(arena, key->public_key, sizeof key->public_key);
        buf_printf(&out,
                   "%s{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"use\":\"sig\",\"alg\":\"EdDSA\",\"kid\":\"%s\","
                   "\"x\":\"%.*s\"}",
                   i ? "," : "", key->kid, STR_ARG(x));
    }
    BUF_LITERAL(&out, "]}");
    CHECK(!out.overflow);
    struct str text = arena_copy(arena, buf_str(&out));
    buf_free(&out);
    return text;
}

/* ---- signing ---- */

struct str token_sign(struct arena *arena, const struct token_keys *keys, struct str issuer,
                      const struct token *token)
{
    CHECK(keys->count > 0);
    const struct token_key *key = &keys->items[0];
    const struct principal *who = &token->principal;
    const char *role = accounts_role_text(who->role);
    CHECK(role);
    char user[ID_TEXT_MAX], session[ID_TEXT_MAX], vendor[ID_TEXT_MAX];
    user_id_text(who->user_id, user);
    session_id_text(who->session_id, session);

    struct buf json = buf_new(TOKEN_BYTES_MAX);
    buf_printf(&json, "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\"}", key->kid);
    struct str header = base64_encode(arena, json.ptr, json.len);
    buf_clear(&json);
    BUF_LITERAL(&json, "{\"iss\":");
    buf_json_str(&json, issuer);
    buf_printf(&json, ",\"aud\":\"" TOKEN_AUDIENCE "\",\"sub\":\"%s\",\"role\":\"%s\"", user, role);
    if (who->role == ROLE_VENDOR) {
        vendor_id_text(who->vendor_id, vendor);
        buf_printf(&json, ",\"vendor\":\"%s\"", vendor);
    }
    buf_printf(&json, ",\"sid\":\"%s\",\"iat\":%lld,\"exp\":%lld}", session, (long long)token->issued_s,
               (long long)token->expires_s);
    CHECK(!json.overflow);
    struct str payload = base64_encode(arena, json.ptr, json.len);
    buf_free(&json);

    struct str message = arena_printf(arena, "%.*s.%.*s", STR_ARG(header), STR_ARG(payload));
    uint8_t signature[crypto_sign_BYTES];
    crypto_sign_detached(signature, NULL, (const uint8_t *)message.ptr, message.len, key->secret_key);
    struct str signature_text = base64_encode(arena, signature, sizeof signature);
    return arena_printf(arena, "%.*s.%.*s", STR_ARG(message), STR_ARG(signature_text));
}

/* ---- verifying ---- */

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '-'             ? 62
           : c == '_'             ? 63
                                  : -1;
}

/* As base64_decode(), where the contents are no secret and the form need not be strict: sodium's takes the
 * same time for all contents, which is five times as long. Bytes written; 0: other characters. */
static size_t base64_decode_public(struct str text, char *out, size_t size)
{
    unsigned bits = 0;
    size_t count = 0;
    for (size_t i = 0; i < text.len && count < size; i++) {
        int digit = base64_digit(text.ptr[i]);
        if (digit < 0)
            return 0;
        bits = bits << 6 | (unsigned)digit;
        if (i % 4 != 0)
            out[count++] = (char)(bits >> (6 - i % 4 * 2) & 255);
    }
    return count;
}

/* In what token_sign() writes, the text ,"sub":" begins that claim and nothing else: inside of a string its
 * quotes would be escaped. */
bool accounts_claimed_user(struct str text, struct user_id *user_id)
{
    static const char member[] = ",\"sub\":\"";
    char claims[TOKEN_BYTES_MAX];
    struct str rest = text;
    str_split(&rest, '.');
    struct str payload = str_split(&rest, '.');
    if (!rest.ptr)
        return false;
    size_t count = base64_decode_public(payload, claims, sizeof claims);
    const char *at = memmem(claims, count, member, sizeof member - 1);
    if (!at)
        return false;
    struct str subject = {at + sizeof member - 1, (size_t)(claims + count - at) - (sizeof member - 1)};
    return user_id_parse(str_split(&subject, '"'), user_id);
}

static struct str member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : STR_NONE;
}

static json_t *part_decode(struct str part)
{
    uint8_t bytes[TOKEN_BYTES_MAX];
    size_t count;
    if (!base64_decode(part, bytes, sizeof bytes, &count))
        return NULL;
    json_t *json = json_loadb((const char *)bytes, count, JSON_REJECT_DUPLICATES, NULL);
    if (json && !json_is_object(json)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static const char *header_check(const struct token_keys *keys, struct str part, const struct token_key **key)
{
    json_t *header = part_decode(part);
    if (!header)
        return "its header is malformed";
    const char *refusal = NULL;
    *key = key_find(keys, member(header, "kid"));
    if (!str_equal(member(header, "alg"), STR("EdDSA")))
        refusal = "its algorithm is not EdDSA";
    else if (!str_equal(member(header, "typ"), STR("JWT")))
        refusal = "its type is not JWT";
    else if (json_object_size(header) != 3)
        refusal = "its header says more than alg, typ and kid";
    else if (!*key)
        refusal = "its key is not known";
    json_decref(header);
    return refusal;
}

static bool time_claim(const json_t *claims, const char *name, int64_t *seconds)
{
    const json_t *value = json_object_get(claims, name);
    *seconds = json_integer_value(value);
    return json_is_integer(value) && *seconds >= 0 && *seconds < INT64_C(1) << 40;
}

static const char *claims_check(const json_t *claims, struct str issuer, int64_t now_s, struct token *token)
{
    struct principal *who = &token->principal;
    if (!str_equal(member(claims, "iss"), issuer))
        return "its issuer is another";
    if (!str_equal(member(claims, "aud"), STR(TOKEN_AUDIENCE)))
        return "its audience is another";
    if (!time_claim(claims, "iat", &token->issued_s) || !time_claim(claims, "exp", &token->expires_s))
        return "its times are malformed";
    if (now_s >= token->expires_s + TOKEN_SKEW_S)
        return "it has expired";
    if (token->issued_s > now_s + TOKEN_SKEW_S)
        return "it is from the future";
    if (!user_id_parse(member(claims, "sub"), &who->user_id) ||
        !session_id_parse(member(claims, "sid"), &who->session_id) ||
        !accounts_role_parse(member(claims, "role"), &who->role))
        return "its subject, session or role is malformed";
    struct str vendor = member(claims, "vendor");
    if ((who->role == ROLE_VENDOR) != (vendor.ptr != NULL) ||
        (vendor.ptr && !vendor_id_parse(vendor, &who->vendor_id)))
        return "its vendor is malformed";
    who->expires_s = token->expires_s;
    return NULL;
}

const char *token_verify(const struct token_keys *keys, struct str issuer, struct str text, int64_t now_s,
                         struct token *token)
{
    *token = (struct token){0};
    if (text.len > TOKEN_BYTES_MAX)
        return "it is too long";
    struct str rest = text;
    struct str header = str_split(&rest, '.'), payload = str_split(&rest, '.'), signature_text = rest;
    if (!signature_text.ptr || signature_text.len != SIGNATURE_TEXT_BYTES)
        return "it is not a signed token";
    const struct token_key *key;
    const char *refusal = header_check(keys, header, &key);
    if (refusal)
        return refusal;
    uint8_t signature[crypto_sign_BYTES];
    size_t count;
    if (!base64_decode(signature_text, signature, sizeof signature, &count) || count != sizeof signature)
        return "its signature is malformed";
    struct str message = {text.ptr, header.len + 1 + payload.len};
    if (crypto_sign_verify_detached(signature, (const uint8_t *)message.ptr, message.len, key->public_key) !=
        0)
        return "its signature is wrong";
    json_t *claims = part_decode(payload);
    if (!claims)
        return "its claims are malformed";
    refusal = claims_check(claims, issuer, now_s, token);
    json_decref(claims);
    if (refusal)
        *token = (struct token){0};
    return refusal;
}
