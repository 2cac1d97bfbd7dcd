#include "http/cache.h"

#include "base/check.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND ((int64_t)1000000)

static struct uuid id_of(int n)
{
    struct uuid id = {{1, 2, 3}};
    memcpy(id.bytes + 8, &n, sizeof n);
    return id;
}

static struct cached *value_of(const char *text)
{
    return cached_new(200, STR("head"), STR("unchanged"), str_from(text), STR("\"tag\""));
}

/* Puts the text under the key with one tag. */
static void put(struct cache *cache, const char *key, const char *text, struct cache_tag tag)
{
    struct cached *value;
    struct cache_fill *fill;
    assert_int_equal(cache_find(cache, str_from(key), 0, NULL, &value, &fill), CACHE_FILL);
    assert_non_null(fill);
    cache_fill_done(fill, value_of(text), &tag, 1, 0, 60 * SECOND);
}

static bool has(struct cache *cache, const char *key, const char *text, int64_t now_us)
{
    struct cached *value;
    if (!cache_peek(cache, str_from(key), now_us, &value))
        return false;
    bool fits = str_equal(value->body, str_from(text));
    cached_release(value);
    return fits;
}

static void test_hit_and_expiry(void **state)
{
    (void)state;
    struct cache *cache = cache_new(100, 1 << 20);
    put(cache, "a", "one", (struct cache_tag){STR("product"), id_of(1)});
    assert_true(has(cache, "a", "one", 0));
    assert_true(has(cache, "a", "one", 60 * SECOND - 1));
    assert_false(has(cache, "a", "one", 60 * SECOND));
    assert_false(has(cache, "b", "one", 0));
    struct cached *value;
    assert_true(cache_peek(cache, STR("a"), 0, &value));
    assert_true(str_equal(value->head, STR("head")) && str_equal(value->head_unchanged, STR("unchanged")));
    assert_true(str_equal(value->etag, STR("\"tag\"")));
    cached_release(value);
    cache_free(cache);
}

static void test_invalidation_reaches_exactly_its_tags(void **state)
{
    (void)state;
    struct cache *cache = cache_new(100, 1 << 20);
    put(cache, "p1", "x", (struct cache_tag){STR("product"), id_of(1)});
    put(cache, "p2", "x", (struct cache_tag){STR("product"), id_of(2)});
    put(cache, "list", "x", (struct cache_tag){STR("product"), {{0}}});
    put(cache, "c1", "x", (struct cache_tag){STR("category"), id_of(1)});
    cache_invalidate(cache, STR("product"), id_of(1));
    assert_false(has(cache, "p1", "x", 0));
    assert_true(has(cache, "p2", "x", 0));
    assert_false(has(cache, "list", "x", 0));
    assert_true(has(cache, "c1", "x", 0));
    cache_invalidate(cache, STR("product"), (struct uuid){{0}});
    assert_false(has(cache, "p2", "x", 0));
    assert_true(has(cache, "c1", "x", 0));
    cache_invalidate(cache, STR(""), (struct uuid){{0}});
    assert_false(has(cache, "c1", "x", 0));
    put(cache, "c1", "y", (struct cache_tag){STR("category"), id_of(1)});
    assert_true(has(cache, "c1", "y", 0));
    cache_free(cache);
}

/* Thousands of balances a second touch every slot of their own kind, and none of another. */
static void test_a_busy_kind_leaves_the_others_alone(void **state)
{
    (void)state;
    struct cache *cache = cache_new(100, 1 << 20);
    put(cache, "p", "x", (struct cache_tag){STR("product"), id_of(1)});
    put(cache, "b", "x", (struct cache_tag){STR("balance"), id_of(1)});
    for (int i = 2; i < 1000000; i++)
        cache_invalidate(cache, STR("balance"), id_of(i));
    assert_true(has(cache, "p", "x", 0));
    assert_false(has(cache, "b", "x", 0));
    cache_free(cache);
}

/* Between a change of this process and its being told. */
static void test_what_was_changed_here_is_ahead(void **state)
{
    (void)state;
    struct cache *cache = cache_new(100, 1 << 20);
    struct cache_tag mine = {STR("balance"), id_of(1)}, hers = {STR("balance"), id_of(2)};
    struct cached *value;
    struct cache_fill *before;
    put(cache, "mine", "old", mine);
    put(cache, "hers", "x", hers);
    cache_find(cache, STR("begun before"), 0, NULL, &value, &before);
    assert_false(cache_is_ahead(cache, &mine, 1, 0));
    cache_invalidate_here(cache, mine.kind, mine.id, 0);
    assert_true(cache_is_ahead(cache, &mine, 1, 60 * SECOND)); /* a relay that hangs */
    assert_false(cache_is_ahead(cache, &hers, 1, 0));
    assert_false(has(cache, "mine", "old", 0));
    assert_true(has(cache, "hers", "x", 0));
    cache_fill_done(before, value_of("old"), &mine, 1, 0, 60 * SECOND);
    assert_false(has(cache, "begun before", "old", 0));
    put(cache, "mine", "new", mine);
    assert_true(has(cache, "mine", "new", 0));
    cache_invalidate(cache, mine.kind, mine.id); /* perhaps of an earlier change */
    assert_true(cache_is_ahead(cache, &mine, 1, 1 * SECOND));
    assert_false(cache_is_ahead(cache, &mine, 1, 6 * SECOND));
    assert_false(has(cache, "mine", "new", 0));
    cache_invalidate_here(cache, mine.kind, mine.id, 60 * SECOND);
    cache_invalidate(cache, STR(""), (struct uuid){{0}});
    assert_true(cache_is_ahead(cache, &mine, 1, 61 * SECOND));
    assert_false(cache_is_ahead(cache, &mine, 1, 66 * SECOND));
    cache_free(cache);
}

/* What comes in messages decides how many kinds there are. */
static void test_more_kinds_than_tables(void **state)
{
    (void)state;
    struct cache *cache = cache_new(100, 1 << 20);
    char names[40][16];
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "kind%d", i);
        put(cache, names[i], "x", (struct cache_tag){str_from(names[i]), id_of(i)});
    }
    for (int i = 0; i < 40; i++) {
        assert_true(has(cache, names[i], "x", 0));
        cache_invalidate(cache, str_from(names[i]), id_of(i));
        assert_false(has(cache, names[i], "x", 0));
    }
    cache_free(cache);
}

static void test_invalidation_during_a_fill(void **state)
{
    (void)state;
    struct cache *cache = cache_new(100, 1 << 20);
    struct cached *value;
    struct cache_fill *fill, *other;
    struct cache_tag tag = {STR("product"), id_of(1)};
    cache_find(cache, STR("a"), 0, NULL, &value, &fill);
    cache_find(cache, STR("b"), 0, NULL, &value, &other);
    cache_invalidate(cache, STR("product"), id_of(1));
    cache_fill_done(fill, value_of("old"), &tag, 1, 0, 60 * SECOND);
    assert_false(has(cache, "a", "old", 0));
    tag.id = id_of(2);
    cache_fill_done(other, value_of("unaffected"), &tag, 1, 0, 60 * SECOND);
    assert_true(has(cache, "b", "unaffected", 0));
    cache_free(cache);
}

struct waiting {
    struct cache_waiter waiter; /* first */
    int woken;
    bool again;
    struct cached *value;
};

static void on_wake(struct cache_waiter *waiter, struct cached *value, bool again)
{
    struct waiting *waiting = (struct waiting *)waiter;
    waiting->woken++;
    waiting->again = again;
    waiting->value = value;
}

static void test_one_computes_for_all(void **state)
{
    (void)state;
    struct cache *cache = cache_new(100, 1 << 20);
    struct waiting waiting[5] = {0};
    struct cached *value;
    struct cache_fill *fill, *none;
    struct cache_tag tag = {STR("product"), id_of(1)};
    assert_int_equal(cache_find(cache, STR("a"), 0, &waiting[0].waiter, &value, &fill), CACHE_FILL);
    for (int i = 0; i < 5; i++) {
        waiting[i].waiter.wake = on_wake;
        assert_int_equal(cache_find(cache, STR("a"), 0, &waiting[i].waiter, &value, &none), CACHE_WAIT);
    }
    assert_int_equal(cache_find(cache, STR("a"), 0, NULL, &value, &none), CACHE_FILL);
    assert_null(none);
    cache_fill_done(fill, value_of("for all"), &tag, 1, 0, 60 * SECOND);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(waiting[i].woken, 1);
        assert_true(str_equal(waiting[i].value->body, STR("for all")));
        cached_release(waiting[i].value);
    }
    cache_free(cache);
}

static void test_waiters_of_a_lost_fill(void **state)
{
    (void)state;
    struct cache *cache = cache_new(100, 1 << 20);
    struct waiting waiting = {.waiter = {.wake = on_wake}};
    struct cached *value;
    struct cache_fill *fill, *none;
    struct cache_tag tag = {STR("product"), id_of(1)};
    cache_find(cache, STR("a"), 0, NULL, &value, &fill);
    cache_find(cache, STR("a"), 0, &waiting.waiter, &value, &none);
    cache_fill_fail(fill);
    assert_true(waiting.woken == 1 && !waiting.value && !waiting.again);
    waiting = (struct waiting){.waiter = {.wake = on_wake}};
    cache_find(cache, STR("a"), 0, NULL, &value, &fill);
    cache_find(cache, STR("a"), 0, &waiting.waiter, &value, &none);
    cache_invalidate(cache, STR("product"), id_of(1));
    cache_fill_done(fill, value_of("old"), &tag, 1, 0, 60 * SECOND);
    assert_true(waiting.woken == 1 && !waiting.value && waiting.again);
    cache_free(cache);
}

static void test_bounds_and_second_chance(void **state)
{
    (void)state;
    struct cache *cache = cache_new(160, 1 << 20);
    char key[16];
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(cache, key, "x", (struct cache_tag){STR("product"), id_of(i)});
        if (i > 0)
            assert_true(has(cache, "k0", "x", 0)); /* what is asked for stays */
    }
    struct cache_counts counts = cache_counts(cache);
    assert_in_range(counts.entries, 100, 160);
    assert_int_equal(counts.evictions, 5000 - counts.entries);
    cache_free(cache);

    static char large[20000];
    memset(large, 'x', sizeof large - 1);
    cache = cache_new(100000, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(cache, key, large, (struct cache_tag){STR("product"), id_of(i)});
    }
    counts = cache_counts(cache);
    assert_in_range(counts.bytes, 1, 1 << 20);
    assert_true(counts.entries > 10);
    cache_free(cache);
}

/* ---- many threads: an answer is never older than the last invalidation before it was asked for ---- */

#define THINGS 8
#define ROUNDS 3000

static struct {
    struct cache *cache;
    pthread_mutex_t locks[THINGS];
    int64_t versions[THINGS];
    _Atomic int64_t hits;
} race;

static void *reader_main(void *seed)
{
    unsigned random = (unsigned)(uintptr_t)seed;
    for (int i = 0; i < ROUNDS; i++) {
        int thing = rand_r(&random) % THINGS;
        char key[8];
        snprintf(key, sizeof key, "t%d", thing);
        pthread_mutex_lock(&race.locks[thing]);
        int64_t least = race.versions[thing];
        pthread_mutex_unlock(&race.locks[thing]);
        struct cached *value;
        struct cache_fill *fill;
        enum cache_outcome outcome = cache_find(race.cache, str_from(key), 0, NULL, &value, &fill);
        if (outcome == CACHE_HIT) {
            int64_t version = 0;
            CHECK(str_to_int64(value->body, &version));
            CHECK(version >= least);
            race.hits++;
            cached_release(value);
        } else if (fill) {
            char text[32];
            pthread_mutex_lock(&race.locks[thing]);
            snprintf(text, sizeof text, "%lld", (long long)race.versions[thing]);
            pthread_mutex_unlock(&race.locks[thing]);
            struct cache_tag tag = {STR("thing"), id_of(thing)};
            if (rand_r(&random) % 10)
                cache_fill_done(fill, value_of(text), &tag, 1, 0, SECOND);
            else
                cache_fill_fail(fill);
        }
    }
    return NULL;
}

static void *writer_main(void *seed)
{
    unsigned random = (unsigned)(uintptr_t)seed;
    for (int i = 0; i < ROUNDS / 4; i++) {
        int thing = rand_r(&random) % THINGS;
        pthread_mutex_lock(&race.locks[thing]);
        race.versions[thing]++;
        cache_invalidate(race.cache, STR("thing"), id_of(thing)); /* in the order of the changes */
        pthread_mutex_unlock(&race.locks[thing]);
    }
    return NULL;
}

static void test_threads_never_see_what_was_invalidated(void **state)
{
    (void)state;
    race.cache = cache_new(64, 1 << 20);
    for (int i = 0; i < THINGS; i++)
        pthread_mutex_init(&race.locks[i], NULL);
    pthread_t threads[6];
    for (uintptr_t i = 0; i < 6; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < 4 ? reader_main : writer_main, (void *)(i + 1)), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_true(race.hits > 0);
    cache_free(race.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hit_and_expiry),
        cmocka_unit_test(test_invalidation_reaches_exactly_its_tags),
        cmocka_unit_test(test_a_busy_kind_leaves_the_others_alone),
        cmocka_unit_test(test_what_was_changed_here_is_ahead),
        cmocka_unit_test(test_more_kinds_than_tables),
        cmocka_unit_test(test_invalidation_during_a_fill),
        cmocka_unit_test(test_one_computes_for_all),
        cmocka_unit_test(test_waiters_of_a_lost_fill),
        cmocka_unit_test(test_bounds_and_second_chance),
        cmocka_unit_test(test_threads_never_see_what_was_invalidated),
    };
    return cmocka_run_group_tests_name("http_cache", tests, NULL, NULL);
}
