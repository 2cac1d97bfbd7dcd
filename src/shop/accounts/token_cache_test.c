/* ACC-1: the cache of verified tokens, used by many threads at once: nobody ever gets somebody else's
 * principal. */
#include "shop/accounts/accounts_token.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define NOW INT64_C(1800000000)
#define THREADS 4
#define TOKENS 64
#define ROUNDS 5000

static struct token_cache *cache;
static struct token tokens[TOKENS];
static char texts[TOKENS][TOKEN_CACHED_BYTES];

struct result {
    unsigned seed;
    int hits, wrong;
};

static void *use(void *context)
{
    struct result *result = context;
    unsigned at = result->seed;
    for (int i = 0; i < ROUNDS; i++) {
        at = at * 1103515245u + 12345u;
        unsigned n = at >> 16 & (TOKENS - 1);
        struct str text = {texts[n], 100 + n * 10};
        struct principal found;
        if (token_cache_get(cache, text, NOW, &found)) {
            result->hits++;
            result->wrong += !user_id_equal(found.user_id, tokens[n].principal.user_id);
        } else {
            token_cache_put(cache, text, &tokens[n]);
        }
    }
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    assert_true(sodium_init() >= 0);
    cache = token_cache_new(32); /* fewer than there are tokens: entries are replaced all the time */
    for (int n = 0; n < TOKENS; n++) {
        memset(texts[n], 'x', sizeof texts[n]); /* alike but for their length and a few bytes */
        snprintf(texts[n], 8, "%d", n);
        tokens[n] = (struct token){.issued_s = NOW, .expires_s = NOW + 900};
        tokens[n].principal = (struct principal){.role = ROLE_CUSTOMER, .user_id = user_id_new()};
    }
    pthread_t threads[THREADS];
    struct result results[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        results[i] = (struct result){.seed = i};
        assert_int_equal(pthread_create(&threads[i], NULL, use, &results[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(results[i].wrong, 0);
        assert_true(results[i].hits > 0 && results[i].hits < ROUNDS);
    }
    token_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_threads)};
    return cmocka_run_group_tests_name("token_cache", tests, NULL, NULL);
}
