/* Access tokens: JSON Web Tokens (RFC 7519) signed with Ed25519 (RFC 8037), written and read here by hand
 * because the shop speaks one algorithm only, and a general library would have to be taught to refuse the
 * others. Pure functions of their arguments; nothing blocks. */
#ifndef CATHAY_SHOP_ACCOUNTS_ACCOUNTS_TOKEN_H
#define CATHAY_SHOP_ACCOUNTS_ACCOUNTS_TOKEN_H

#include "base/arena.h"
#include "http/request.h"

#include <sodium.h>

#define TOKEN_KEYS_MAX 8
#define TOKEN_KID_MAX 32
#define TOKEN_BYTES_MAX 2048
#define TOKEN_SKEW_S 30 /* clocks of servers may differ by that much */
#define TOKEN_AUDIENCE "cathay-shop"

struct token_key {
    char kid[TOKEN_KID_MAX + 1];
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
    uint8_t secret_key[crypto_sign_SECRETKEYBYTES];
};

/* The first signs, all verify. */
struct token_keys {
    size_t count;
    struct token_key items[TOKEN_KEYS_MAX];
};

struct token {
    struct principal principal;
    int64_t issued_s, expires_s; /* since 1970 */
};

/* Reads "kid:base64seed,…". ERR_VALIDATION with one clear line (without the secret). */
enum error_code token_keys_parse(struct str text, struct token_keys *keys, struct error *error);
/* The JWK set (RFC 7517) of the public halves. */
struct str token_keys_jwks(struct arena *arena, const struct token_keys *keys);

struct str token_sign(struct arena *arena, const struct token_keys *keys, struct str issuer,
                      const struct token *token);
/* NULL and *token, or in a few words why it is refused: wrong in form, algorithm, key, signature, issuer,
 * audience or time. */
const char *token_verify(const struct token_keys *keys, struct str issuer, struct str text, int64_t now_s,
                         struct token *token);

/* Tokens that were verified, by all their bytes, until they expire: bounded, thread-safe, holds a lock for
 * some nanoseconds. Tokens of more than TOKEN_CACHED_BYTES are not kept. */
#define TOKEN_CACHED_BYTES 768
struct token_cache;
struct token_cache *token_cache_new(size_t entries);
void token_cache_free(struct token_cache *cache);
bool token_cache_get(struct token_cache *cache, struct str text, int64_t now_s, struct principal *principal);
void token_cache_put(struct token_cache *cache, struct str text, const struct token *token);

/* Of this process, by its configuration: set once at the start. */
enum error_code token_service_start(struct error *error);
void token_service_stop(void);
/* A token of access_token_s from now, in the arena. */
struct str token_service_issue(struct arena *arena, const struct principal *principal);
struct str token_service_jwks(void);

#endif
