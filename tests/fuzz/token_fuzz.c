/* Access tokens, passwords, refresh tokens and If-Match from strangers. The first byte chooses.
 * Nothing may crash, and a token that was not made here is never accepted: neither as it is, nor behind a
 * header that would do. */
#include "base/check.h"
#include "shop/accounts/accounts.h"
#include "shop/accounts/accounts_rules.h"
#include "shop/accounts/accounts_token.h"
#include "shop/cart/cart.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1800000000)

static struct token_keys keys;
static struct arena *arena;

static void start(void)
{
    if (arena)
        return;
    CHECK(sodium_init() >= 0);
    arena = arena_new();
    CHECK(token_keys_parse(STR("k:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), &keys, NULL) == ERR_OK);
}

static void try_token(struct str text)
{
    struct token token;
    struct user_id claimed;
    accounts_claimed_user(text, &claimed);
    CHECK(token_verify(&keys, STR("https://shop.example"), text, NOW, &token) != NULL);
    CHECK(token.principal.role == ROLE_ANONYMOUS && token.expires_s == 0);
}

/* Claims that are signed with our key, and not ours in form: read without a crash. */
static void try_claims(struct str claims)
{
    struct token token;
    char text[TOKEN_BYTES_MAX * 2], signature_text[100];
    uint8_t signature[crypto_sign_BYTES];
    if (claims.len > TOKEN_BYTES_MAX / 2)
        return;
    int len = snprintf(text, sizeof text,
                       "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImsifQ."); /* alg, typ, kid "k" */
    sodium_bin2base64(text + len, sizeof text - (size_t)len, (const uint8_t *)claims.ptr, claims.len,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    crypto_sign_detached(signature, NULL, (const uint8_t *)text, strlen(text), keys.items[0].secret_key);
    sodium_bin2base64(signature_text, sizeof signature_text, signature, sizeof signature,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    struct str whole = arena_printf(arena, "%s.%s", text, signature_text);
    const char *refusal = token_verify(&keys, STR("https://shop.example"), whole, NOW, &token);
    if (!refusal)
        CHECK(token.principal.role >= ROLE_CUSTOMER && token.principal.role <= ROLE_ADMIN &&
              token.expires_s + TOKEN_SKEW_S > NOW &&
              (token.principal.role == ROLE_VENDOR) != uuid_is_zero(token.principal.vendor_id.uuid));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    start();
    if (size == 0)
        return 0;
    /* A copy of its own, so that a read behind the end is seen. */
    char *bytes = malloc(size);
    CHECK(bytes);
    memcpy(bytes, data + 1, size - 1);
    struct str text = {bytes, size - 1};
    struct refresh_token token;
    switch (data[0] % 5) {
    case 0:
        try_token(text);
        break;
    case 1:
        try_claims(text);
        break;
    case 2:
        password_refusal(arena, text, STR("ada@shop.example"), STR("Ada Lovelace"));
        break;
    case 3:
        refresh_token_parse(text, &token);
        break;
    default:
        CHECK(!cart_if_match(text, 7) || memchr(text.ptr, '7', text.len) || memchr(text.ptr, '*', text.len));
        break;
    }
    free(bytes);
    arena_reset(arena);
    return 0;
}
