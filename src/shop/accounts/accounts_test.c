/* ACC-1: rules of accounts, tokens and their cache. */
#include "base/buf.h"
#include "shop/accounts/accounts.h"
#include "base/config.h"
#include "shop/accounts/accounts_rules.h"
#include "shop/accounts/accounts_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NOW INT64_C(1800000000)
#define ISSUER STR("https://shop.example")

static struct arena *arena;
static struct token_keys keys;

static int setup(void **state)
{
    (void)state;
    arena = arena_new();
    assert_true(sodium_init() >= 0);
    char text[ACCOUNTS_TOKEN_KEY_TEXT_MAX];
    accounts_token_key_make(text);
    return token_keys_parse(str_from(text), &keys, NULL) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct token customer_token(void)
{
    struct token token = {.issued_s = NOW, .expires_s = NOW + 900};
    token.principal.role = ROLE_CUSTOMER;
    token.principal.user_id = user_id_new();
    token.principal.session_id = session_id_new();
    token.principal.expires_s = token.expires_s;
    return token;
}

/* ---- rules ---- */

static const char *refusal_of(const char *password)
{
    return password_refusal(arena, str_from(password), STR("maria.chan@example.org"),
                            STR("Maria Chan Tai-Man"));
}

static void passwords(void **state)
{
    (void)state;
    static const char *const good[] = {"correct horse battery",       "Tr0ub4dor&3x",
                                       "密碼要夠長才安全喔好嗎",      "mariatheshopper",
                                       "correct horse correct horse", "maria.chan sails on Tuesdays",
                                       "                x         y"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (refusal_of(good[i]))
            fail_msg("%s: %s", good[i], refusal_of(good[i]));
    static const char *const bad[][2] = {
        {"ninechars", "fewer than 10"},
        {"password12", "common"},
        {"PASSWORD1234!", "common"},
        {"ＰＡＳＳＷＯＲＤ12", "common"},
        {"2024passw0rd!!", "common"},
        {"P@$$w0rd2024", "common"},
        {"qwertyuiop", "common"},
        {"Welcome2024!", "common"},
        {"passwordpassword", "common"},
        {"passwordpassword1", "common"},
        {"liverpoolfc1892", "common"},
        {"xyvxyvxyvxyv", "over and over"},
        {"19371937193719371937", "over and over"},
        {"1234567890", "sequence"},
        {"0987654321", "sequence"},
        {"aaaaaaaaaaaa", "sequence"},
        {"abcdefghij", "sequence"},
        {"4820193857", "no letters"},
        {"maria.chan@example.org", "name or the e-mail"},
        {"Maria.Chan77", "name or the e-mail"},
        {"taimanchanmaria", "name or the e-mail"},
        {"mariachan2024!", "name or the e-mail"},
        {"短密碼", "fewer than 10"},
        {"correct\x07horse", "control character"},
        {"e\xcc\x81"
         "e\xcc\x81"
         "e\xcc\x81"
         "e\xcc\x81"
         "e\xcc\x81"
         "e\xcc\x81",
         "fewer than 10"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *refusal = refusal_of(bad[i][0]);
        if (!refusal || !strstr(refusal, bad[i][1]))
            fail_msg("%s: %s, expected %s", bad[i][0], refusal ? refusal : "taken", bad[i][1]);
    }
    char lengthy[PASSWORD_CHARACTERS_MAX + 2];
    for (size_t i = 0; i < sizeof lengthy - 1; i++)
        lengthy[i] = (char)('a' + i * i * 7 % 26);
    lengthy[sizeof lengthy - 1] = '\0';
    assert_non_null(refusal_of(lengthy));
    lengthy[PASSWORD_CHARACTERS_MAX] = '\0';
    assert_null(refusal_of(lengthy));
    assert_non_null(password_refusal(arena, (struct str){"correct\0horse", 13}, STR_NONE, STR_NONE));
    assert_non_null(
        password_refusal(arena, STR("\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6\xf5"), STR_NONE, STR_NONE));
}

static void roles(void **state)
{
    (void)state;
    for (enum api_role role = ROLE_CUSTOMER; role <= ROLE_ADMIN; role++) {
        enum api_role parsed;
        assert_true(accounts_role_parse(str_from(accounts_role_text(role)), &parsed) && parsed == role);
        assert_true(user_role_may_manage(ROLE_ADMIN, role));
        assert_int_equal(user_role_may_manage(ROLE_MANAGER, role),
                         role != ROLE_MANAGER && role != ROLE_ADMIN);
        assert_false(user_role_may_manage(ROLE_SUPPORT, role) || user_role_may_manage(ROLE_VENDOR, role));
    }
    enum api_role parsed;
    assert_false(accounts_role_parse(STR("anonymous"), &parsed) ||
                 accounts_role_parse(STR("partner"), &parsed));
    assert_null(accounts_role_text(ROLE_ANONYMOUS));
    assert_null(accounts_role_text(ROLE_PARTNER));
}

/* ---- refresh tokens ---- */

static void refresh_rules(void **state)
{
    (void)state;
    struct refresh_facts facts = {0};
    assert_int_equal(refresh_decide(&facts, 10), REFRESH_ROTATE);
    facts.used = true;
    facts.used_ago_us = 9999999;
    assert_int_equal(refresh_decide(&facts, 10), REFRESH_REPEAT);
    facts.successor_used = true;
    assert_int_equal(refresh_decide(&facts, 10), REFRESH_REUSE);
    facts.successor_used = false;
    facts.used_ago_us = 10000001;
    assert_int_equal(refresh_decide(&facts, 10), REFRESH_REUSE);
    facts.session_ended = true;
    assert_int_equal(refresh_decide(&facts, 10), REFRESH_REFUSE);
    assert_int_equal(refresh_decide(&(struct refresh_facts){.session_expired = true}, 10), REFRESH_REFUSE);
    assert_int_equal(refresh_decide(&(struct refresh_facts){.account_blocked = true}, 10), REFRESH_REFUSE);
}

static void refresh_texts(void **state)
{
    (void)state;
    struct refresh_token token = refresh_token_make(), read;
    char text[REFRESH_TOKEN_TEXT_MAX];
    refresh_token_text(&token, text);
    assert_true(refresh_token_parse(str_from(text), &read));
    assert_memory_equal(&token, &read, sizeof token);
    text[10] = text[10] == 'A' ? 'B' : 'A';
    assert_true(refresh_token_parse(str_from(text), &read));
    assert_memory_not_equal(&token, &read, sizeof token);
    assert_false(refresh_token_parse((struct str){text, strlen(text) - 1}, &read));
    assert_false(refresh_token_parse(STR("rft_"), &read));
    assert_false(refresh_token_parse(str_from(text + 4), &read));

    uint8_t salt[REFRESH_TOKEN_BYTES] = {1}, hash[REFRESH_TOKEN_BYTES];
    struct refresh_token next = refresh_token_successor(&token, salt),
                         again = refresh_token_successor(&token, salt);
    assert_memory_equal(&next, &again, sizeof next);
    salt[0] = 2;
    again = refresh_token_successor(&token, salt);
    assert_memory_not_equal(&next, &again, sizeof next);
    refresh_token_hash(&token, hash);
    assert_memory_not_equal(&next, hash, sizeof hash);
}

/* ---- keys ---- */

static void assert_keys_refused(const char *text, const char *says)
{
    struct token_keys parsed;
    struct error error = {.code = ERR_OK};
    assert_int_equal(token_keys_parse(str_from(text), &parsed, &error), ERR_VALIDATION);
    if (!strstr(error.detail, says))
        fail_msg("expected \"%s\" in \"%s\"", says, error.detail);
    assert_null(strstr(error.detail, "c2VjcmV0"));
}

static void key_settings(void **state)
{
    (void)state;
    assert_keys_refused("", "--new-token-key");
    assert_keys_refused("  ", "--new-token-key");
    assert_keys_refused("abc", "seed");
    assert_keys_refused(":c2VjcmV0", "kid:base64seed");
    assert_keys_refused("k1:c2VjcmV0", "32 bytes");
    assert_keys_refused("k 1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "kid:base64seed");
    assert_keys_refused(
        "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=",
        "twice");
    struct token_keys parsed;
    assert_int_equal(token_keys_parse(STR("new:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= , "
                                          "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="),
                                      &parsed, NULL),
                     ERR_OK);
    assert_int_equal(parsed.count, 2);
    assert_string_equal(parsed.items[0].kid, "new");
}

/* ---- access tokens ---- */

static const char *verify(struct str text, int64_t now_s)
{
    struct token token;
    return token_verify(&keys, ISSUER, text, now_s, &token);
}

static void tokens_round(void **state)
{
    (void)state;
    struct token token = customer_token(), read;
    struct str text = token_sign(arena, &keys, ISSUER, &token);
    assert_null(token_verify(&keys, ISSUER, text, NOW, &read));
    assert_memory_equal(&token.principal, &read.principal, sizeof read.principal);
    assert_int_equal(read.expires_s, NOW + 900);

    token.principal.role = ROLE_VENDOR;
    token.principal.vendor_id = vendor_id_new();
    text = token_sign(arena, &keys, ISSUER, &token);
    assert_null(token_verify(&keys, ISSUER, text, NOW, &read));
    assert_true(vendor_id_equal(token.principal.vendor_id, read.principal.vendor_id));

    assert_null(verify(text, NOW + 900 + TOKEN_SKEW_S - 1));
    assert_non_null(verify(text, NOW + 900 + TOKEN_SKEW_S));
    assert_null(verify(text, NOW - TOKEN_SKEW_S));
    assert_non_null(verify(text, NOW - TOKEN_SKEW_S - 1));
    assert_non_null(token_verify(&keys, STR("https://other.example"), text, NOW, &read));
}

/* Whom a token is of can be read without its signature, wherever the claim falls in the groups of base64. */
static void tokens_claim(void **state)
{
    (void)state;
    static const char *const issuers[] = {"https://shop.example", "https://a", "https://ab", "https://abc",
                                          "https://x/\",\"sub\":\"usr_"};
    struct token token = customer_token();
    struct user_id claimed;
    for (size_t i = 0; i < sizeof issuers / sizeof *issuers; i++) {
        struct str text = token_sign(arena, &keys, str_from(issuers[i]), &token);
        memset(&claimed, 0, sizeof claimed);
        assert_true(accounts_claimed_user(text, &claimed));
        assert_true(user_id_equal(claimed, token.principal.user_id));
        char *forged = arena_cstr(arena, text);
        forged[text.len - 10] ^= 1;
        assert_true(accounts_claimed_user((struct str){forged, text.len}, &claimed));
        for (size_t len = 0; len < text.len; len++)
            accounts_claimed_user((struct str){text.ptr, len}, &claimed);
    }
    for (const char *const *bad = (const char *const[]){"", ".", "..", "a.b.c", "a.!!!!.c", "a.e30.c", NULL};
         *bad; bad++)
        assert_false(accounts_claimed_user(str_from(*bad), &claimed));
    assert_false(accounts_claimed_user(STR_NONE, &claimed));
}

/* Every single changed character of a token is noticed, also in the unused bits of the last one. */
static void tokens_tampered(void **state)
{
    (void)state;
    struct token token = customer_token();
    struct str text = token_sign(arena, &keys, ISSUER, &token);
    char *copy = arena_cstr(arena, text);
    for (size_t i = 0; i < text.len; i++)
        for (const char *c = "AB-_9.= "; *c; c++) {
            if (*c == text.ptr[i])
                continue;
            copy[i] = *c;
            if (!verify((struct str){copy, text.len}, NOW))
                fail_msg("accepted with byte %zu changed to %c", i, *c);
            copy[i] = text.ptr[i];
        }
    for (size_t len = 0; len < text.len; len++)
        assert_non_null(verify((struct str){text.ptr, len}, NOW));
    assert_non_null(verify(arena_printf(arena, "%.*s=", STR_ARG(text)), NOW));
    assert_non_null(verify(arena_printf(arena, "%.*s.e30", STR_ARG(text)), NOW));
}

static struct str encode(const char *text)
{
    size_t size = sodium_base64_encoded_len(strlen(text), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *out = arena_bytes(arena, size);
    sodium_bin2base64(out, size, (const uint8_t *)text, strlen(text),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return str_from(out);
}

/* A token of our key with any header and claims. */
static struct str forge(const char *header, const char *claims)
{
    struct str message = arena_printf(arena, "%.*s.%.*s", STR_ARG(encode(header)), STR_ARG(encode(claims)));
    uint8_t signature[crypto_sign_BYTES];
    crypto_sign_detached(signature, NULL, (const uint8_t *)message.ptr, message.len,
                         keys.items[0].secret_key);
    char text[sodium_base64_ENCODED_LEN(crypto_sign_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
    sodium_bin2base64(text, sizeof text, signature, sizeof signature,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return arena_printf(arena, "%.*s.%s", STR_ARG(message), text);
}

static void tokens_forged(void **state)
{
    (void)state;
    static const char claims[] =
        "{\"iss\":\"https://"
        "shop.example\",\"aud\":\"cathay-shop\",\"sub\":\"usr_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\","
        "\"role\":\"customer\",\"sid\":\"ses_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"iat\":1800000000,\"exp\":"
        "1800000900}";
    char header[200];
    snprintf(header, sizeof header, "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\"}", keys.items[0].kid);
    assert_null(verify(forge(header, claims), NOW)); /* so what follows is refused for what it says */

    static const char *const headers[] = {
        "{\"alg\":\"none\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
        "{\"alg\":\"eddsa\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
        "{\"typ\":\"JWT\",\"kid\":\"%s\"}",
        "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}",
        "{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
        "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%sx\"}",
        "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\",\"jwk\":{}}",
        "{\"alg\":\"none\",\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
        "[\"%s\"]",
        "{\"alg\":[\"EdDSA\"],\"typ\":\"JWT\",\"kid\":\"%s\"}",
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct str wrong = arena_printf(arena, "%s", headers[i]);
        char *at = strstr(arena_cstr(arena, wrong), "%s");
        assert_non_null(at);
        struct str text = arena_printf(arena, "%.*s%s%s", (int)(strstr(headers[i], "%s") - headers[i]),
                                       headers[i], keys.items[0].kid, strstr(headers[i], "%s") + 2);
        if (!verify(forge(arena_cstr(arena, text), claims), NOW))
            fail_msg("accepted header %s", headers[i]);
    }
    static const char *const bodies[] = {
        "{}",
        "[]",
        "\"x\"",
        "{\"iss\":\"https://"
        "shop.example\",\"aud\":\"other\",\"sub\":\"usr_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"role\":"
        "\"customer\",\"sid\":\"ses_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"iat\":1800000000,\"exp\":"
        "1800000900}",
        "{\"iss\":\"https://"
        "shop.example\",\"aud\":\"cathay-shop\",\"sub\":\"ord_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"role\":"
        "\"customer\",\"sid\":\"ses_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"iat\":1800000000,\"exp\":"
        "1800000900}",
        "{\"iss\":\"https://"
        "shop.example\",\"aud\":\"cathay-shop\",\"sub\":\"usr_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"role\":"
        "\"partner\",\"sid\":\"ses_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"iat\":1800000000,\"exp\":1800000900}",
        "{\"iss\":\"https://"
        "shop.example\",\"aud\":\"cathay-shop\",\"sub\":\"usr_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"role\":"
        "\"vendor\",\"sid\":\"ses_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"iat\":1800000000,\"exp\":1800000900}",
        "{\"iss\":\"https://"
        "shop.example\",\"aud\":\"cathay-shop\",\"sub\":\"usr_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"role\":"
        "\"customer\",\"vendor\":\"ven_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"sid\":\"ses_"
        "0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"iat\":1800000000,\"exp\":1800000900}",
        "{\"iss\":\"https://"
        "shop.example\",\"aud\":\"cathay-shop\",\"sub\":\"usr_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"role\":"
        "\"customer\",\"sid\":\"ses_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"iat\":1800000000}",
        "{\"iss\":\"https://"
        "shop.example\",\"aud\":\"cathay-shop\",\"sub\":\"usr_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"role\":"
        "\"customer\",\"sid\":\"ses_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"iat\":1800000000,\"exp\":1e20}",
        "{\"iss\":\"https://"
        "shop.example\",\"aud\":\"cathay-shop\",\"sub\":\"usr_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"role\":"
        "\"customer\",\"role\":\"admin\",\"sid\":\"ses_0192f3c4a5b67c8d9e0f1a2b3c4d5e6f\",\"iat\":1800000000,"
        "\"exp\":1800000900}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        if (!verify(forge(header, bodies[i]), NOW))
            fail_msg("accepted claims %s", bodies[i]);
}

static void tokens_rotated_keys(void **state)
{
    (void)state;
    struct token token = customer_token(), read;
    struct str old_text = token_sign(arena, &keys, ISSUER, &token);
    char added[ACCOUNTS_TOKEN_KEY_TEXT_MAX];
    accounts_token_key_make(added);
    struct token_keys rotated;
    assert_int_equal(token_keys_parse(str_from(added), &rotated, NULL), ERR_OK);
    assert_non_null(token_verify(&rotated, ISSUER, old_text, NOW, &read)); /* the old key is not known */
    rotated.items[rotated.count++] = keys.items[0];
    assert_null(token_verify(&rotated, ISSUER, old_text, NOW, &read));
    struct str new_text = token_sign(arena, &rotated, ISSUER, &token);
    assert_null(token_verify(&rotated, ISSUER, new_text, NOW, &read));
    assert_non_null(verify(new_text, NOW));
    struct str set = token_keys_jwks(arena, &rotated);
    char *text = arena_cstr(arena, set);
    assert_non_null(strstr(text, rotated.items[0].kid));
    assert_non_null(strstr(text, rotated.items[1].kid));
}

/* ---- cache ---- */

static void cache(void **state)
{
    (void)state;
    struct token_cache *cache = token_cache_new(16);
    struct principal found;
    struct token token = customer_token();
    struct str text = STR("header.claims.signature"), other = STR("header.claims.signaturf");
    assert_false(token_cache_get(cache, text, NOW, &found));
    token_cache_put(cache, text, &token);
    assert_true(token_cache_get(cache, text, NOW, &found));
    assert_memory_equal(&found, &token.principal, sizeof found);
    assert_false(token_cache_get(cache, other, NOW, &found));
    assert_false(token_cache_get(cache, (struct str){text.ptr, text.len - 1}, NOW, &found));
    assert_true(token_cache_get(cache, text, NOW + 900 + TOKEN_SKEW_S - 1, &found));
    assert_false(token_cache_get(cache, text, NOW + 900 + TOKEN_SKEW_S, &found));

    /* Bounded: of many only so many stay, and each that stays is the right one. */
    size_t kept = 0;
    struct user_id users[200];
    for (int i = 0; i < 200; i++) {
        token = customer_token();
        users[i] = token.principal.user_id;
        token_cache_put(cache, arena_printf(arena, "token %d", i), &token);
    }
    for (int i = 0; i < 200; i++)
        if (token_cache_get(cache, arena_printf(arena, "token %d", i), NOW, &found)) {
            assert_true(user_id_equal(found.user_id, users[i]));
            kept++;
        }
    assert_in_range(kept, 1, 16);

    char lengthy[TOKEN_CACHED_BYTES + 1];
    memset(lengthy, 'x', sizeof lengthy);
    token_cache_put(cache, (struct str){lengthy, sizeof lengthy}, &token);
    assert_false(token_cache_get(cache, (struct str){lengthy, sizeof lengthy}, NOW, &found));
    token_cache_free(cache);
}

/* ---- hashing ---- */

static void hashes(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_MAX];
    bool outdated;
    assert_int_equal(password_service_start(NULL), ERR_OK);
    assert_int_equal(password_hash(STR("correct horse battery"), hash, NULL), ERR_OK);
    assert_memory_equal(hash, "$argon2id$", 10);
    assert_true(password_verify(str_from(hash), STR("correct horse battery"), &outdated));
    assert_false(outdated);
    assert_false(password_verify(str_from(hash), STR("correct horse batterz"), &outdated));
    assert_false(password_verify(STR_NONE, STR("correct horse battery"), &outdated));
    /* Made with other costs: fits, and is to be made anew. */
    assert_int_equal(crypto_pwhash_str(hash, "correct horse battery", 21, 1, 8192 * 2), 0);
    assert_true(password_verify(str_from(hash), STR("correct horse battery"), &outdated));
    assert_true(outdated);
}

/* An é may be one code point or two. Hashes of before NFC are of the bytes as they were typed. */
static void passwords_composed_and_decomposed(void **state)
{
    (void)state;
    const struct str composed = STR("caf\xc3\xa9 noir et cr\xc3\xa8me"),
                     decomposed = STR("cafe\xcc\x81 noir et cre\xcc\x80me");
    char hash[PASSWORD_HASH_MAX];
    bool outdated;
    assert_int_equal(password_hash(decomposed, hash, NULL), ERR_OK);
    assert_true(password_verify(str_from(hash), composed, &outdated) && !outdated);
    assert_true(password_verify(str_from(hash), decomposed, &outdated) && !outdated);

    const size_t memory_bytes = (size_t)config()->argon2_memory_kib * 1024;
    const unsigned long long passes = (unsigned long long)config()->argon2_passes;
    assert_int_equal(crypto_pwhash_str(hash, decomposed.ptr, decomposed.len, passes, memory_bytes), 0);
    assert_true(password_verify(str_from(hash), decomposed, &outdated) && outdated);
    assert_false(password_verify(str_from(hash), composed, &outdated));
    assert_false(password_verify(STR_NONE, decomposed, &outdated));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords),
        cmocka_unit_test(passwords_composed_and_decomposed),
        cmocka_unit_test(roles),
        cmocka_unit_test(refresh_rules),
        cmocka_unit_test(refresh_texts),
        cmocka_unit_test(key_settings),
        cmocka_unit_test(tokens_round),
        cmocka_unit_test(tokens_claim),
        cmocka_unit_test(tokens_tampered),
        cmocka_unit_test(tokens_forged),
        cmocka_unit_test(tokens_rotated_keys),
        cmocka_unit_test(cache),
        cmocka_unit_test(hashes),
    };
    return cmocka_run_group_tests_name("accounts", tests, setup, teardown);
}
