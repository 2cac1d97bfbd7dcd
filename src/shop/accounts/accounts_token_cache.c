/* Verified tokens of this process, and the process's keys. An Ed25519 verification costs some 50 µs, which an
 * event loop should spend once per token, not once per request. The cache is a table of sets of four: a token
 * hashes to a set, and when that is full the entry that expires first makes room. The hash is seeded, and a
 * hit compares all bytes, so that nobody can pass with a token that only resembles another. They are compared
 * only where the hashes are equal, so the time that it takes tells nobody how far a guess was right. */
#include "shop/accounts/accounts_token.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "http/cursor.h"
#include "shop/accounts/accounts.h"

#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

#define WAYS 4
#define LOCKS 64
#define SERVICE_CACHE_ENTRIES 32768

struct entry {
    uint64_t hash;
    int64_t expires_s; /* 0: empty */
    size_t len;
    struct principal principal;
    char bytes[TOKEN_CACHED_BYTES];
};

struct token_cache {
    size_t sets;
    uint64_t seed;
    pthread_mutex_t locks[LOCKS];
    struct entry *entries; /* [sets][WAYS]; pages that were never used cost nothing */
};

struct token_cache *token_cache_new(size_t entries)
{
    struct token_cache *cache = calloc(1, sizeof *cache);
    CHECK(cache);
    cache->sets = entries / WAYS > 0 ? entries / WAYS : 1;
    randombytes_buf(&cache->seed, sizeof cache->seed);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&cache->locks[i], NULL);
    cache->entries = calloc(cache->sets * WAYS, sizeof *cache->entries);
    CHECK(cache->entries);
    return cache;
}

void token_cache_free(struct token_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&cache->locks[i]);
    free(cache->entries);
    free(cache);
}

static bool is_of(const struct entry *entry, uint64_t hash, struct str text)
{
    return entry->hash == hash && entry->len == text.len && memcmp(entry->bytes, text.ptr, text.len) == 0;
}

bool token_cache_get(struct token_cache *cache, struct str text, int64_t now_s, struct principal *principal)
{
    uint64_t hash = XXH3_64bits_withSeed(text.ptr, text.len, cache->seed);
    size_t set = hash % cache->sets;
    struct entry *ways = &cache->entries[set * WAYS];
    bool found = false;
    pthread_mutex_lock(&cache->locks[set % LOCKS]);
    for (size_t i = 0; i < WAYS && !found; i++) {
        struct entry *entry = &ways[i];
        found = is_of(entry, hash, text) && entry->expires_s + TOKEN_SKEW_S > now_s;
        if (found)
            *principal = entry->principal;
    }
    pthread_mutex_unlock(&cache->locks[set % LOCKS]);
    return found;
}

void token_cache_put(struct token_cache *cache, struct str text, const struct token *token)
{
    if (text.len == 0 || text.len > TOKEN_CACHED_BYTES || token->expires_s <= 0)
        return;
    uint64_t hash = XXH3_64bits_withSeed(text.ptr, text.len, cache->seed);
    size_t set = hash % cache->sets;
    struct entry *ways = &cache->entries[set * WAYS], *to = &ways[0];
    pthread_mutex_lock(&cache->locks[set % LOCKS]);
    for (size_t i = 0; i < WAYS; i++) {
        bool same = is_of(&ways[i], hash, text);
        if (same || ways[i].expires_s < to->expires_s)
            to = &ways[i];
        if (same)
            break;
    }
    to->hash = hash;
    to->expires_s = token->expires_s;
    to->len = text.len;
    to->principal = token->principal;
    memcpy(to->bytes, text.ptr, text.len);
    pthread_mutex_unlock(&cache->locks[set % LOCKS]);
}

/* ---- of this process ---- */

static struct {
    struct arena *arena; /* lives as long as the process */
    struct token_keys keys;
    struct token_cache *cache;
    struct str issuer, jwks;
} service;

/* Cursors are authenticated by keys that the servers of a shop share already, each derived from one that
 * signs tokens: whoever has a cursor's key has nothing that signs, and both rotate together. */
static void cursor_keys_derive(const struct token_keys *keys)
{
    static const uint8_t label[] = "cathay cursor v1";
    _Static_assert(TOKEN_KEYS_MAX <= CURSOR_KEYS_MAX, "every key that verifies tokens verifies cursors");
    uint8_t derived[TOKEN_KEYS_MAX][CURSOR_KEY_BYTES];
    for (size_t i = 0; i < keys->count; i++)
        crypto_generichash(derived[i], sizeof derived[i], label, sizeof label - 1, keys->items[i].secret_key,
                           sizeof keys->items[i].secret_key);
    cursor_keys_set(derived, keys->count);
    sodium_memzero(derived, sizeof derived);
}

enum error_code token_service_start(struct error *error)
{
    CHECK(sodium_init() >= 0);
    enum error_code code = token_keys_parse(str_from(config()->token_keys), &service.keys, error);
    if (code)
        return code;
    cursor_keys_derive(&service.keys);
    service.arena = arena_new();
    service.cache = token_cache_new(SERVICE_CACHE_ENTRIES);
    service.issuer = str_from(config()->public_url);
    service.jwks = token_keys_jwks(service.arena, &service.keys);
    return ERR_OK;
}

void token_service_stop(void)
{
    token_cache_free(service.cache);
    if (service.arena)
        arena_free(service.arena);
    sodium_memzero(&service, sizeof service);
}

struct str token_service_jwks(void)
{
    return service.jwks;
}

struct str token_service_issue(struct arena *arena, const struct principal *principal)
{
    int64_t now_s = clock_wall_us() / 1000000;
    struct token token = {*principal, now_s, now_s + config()->access_token_s};
    return token_sign(arena, &service.keys, service.issuer, &token);
}

enum error_code accounts_authenticate(struct request *req, struct str bearer, struct principal *principal)
{
    *principal = (struct principal){.role = ROLE_ANONYMOUS};
    if (!bearer.ptr)
        return ERR_OK;
    int64_t now_s = clock_wall_us() / 1000000;
    if (token_cache_get(service.cache, bearer, now_s, principal))
        return ERR_OK;
    struct token token;
    const char *refusal = token_verify(&service.keys, service.issuer, bearer, now_s, &token);
    /* Ended sessions are remembered for access_token_s: tokens of a time when that was longer end with it. */
    int64_t last_s = token.issued_s + config()->access_token_s;
    if (!refusal && token.expires_s > last_s) {
        token.expires_s = token.principal.expires_s = last_s;
        refusal = now_s >= last_s + TOKEN_SKEW_S ? "it has expired" : NULL;
    }
    if (refusal)
        return error_set(&req->error, ERR_UNAUTHENTICATED, "The access token is refused: %s", refusal);
    token_cache_put(service.cache, bearer, &token);
    *principal = token.principal;
    return ERR_OK;
}
