/* With a server (TEST_REDIS_URL), in a database of its own there. */
#include "redis/shared_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define TTL_MS 60000

static struct redis *redis;
static struct shared_cache *one, *other;
static const struct uuid apple = {{1}}, pear = {{2}};

static int set_up(void **state)
{
    (void)state;
    const char *server = getenv("TEST_REDIS_URL");
    if (!server)
        return 0;
    char url[512];
    snprintf(url, sizeof url, "%s%s", server, strncmp(server, "unix:", 5) == 0 ? "?db=9" : "/9");
    redis = redis_new(url);
    one = shared_cache_new(url);
    other = shared_cache_new(url);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    if (redis)
        freeReplyObject(REDIS_CALL(redis, STR("FLUSHDB")));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    redis_free(redis);
    shared_cache_free(one);
    shared_cache_free(other);
    return 0;
}

static void need_server(void)
{
    if (!redis)
        skip();
}

/* The stamp of a miss. */
static int64_t begin(struct shared_cache *cache, const char *key)
{
    redisReply *reply;
    struct str value;
    int64_t ttl_ms, stamp = 0;
    assert_int_equal(shared_cache_find(cache, str_from(key), &reply, &value, &ttl_ms, &stamp),
                     SHARED_CACHE_MISS);
    assert_true(stamp > 0);
    return stamp;
}

static bool holds(struct shared_cache *cache, const char *key, const char *wanted)
{
    redisReply *reply;
    struct str value;
    int64_t ttl_ms, stamp;
    enum shared_cache_outcome outcome =
        shared_cache_find(cache, str_from(key), &reply, &value, &ttl_ms, &stamp);
    assert_int_not_equal(outcome, SHARED_CACHE_AWAY);
    bool same =
        outcome == SHARED_CACHE_HIT && str_equal(value, str_from(wanted)) && ttl_ms > 0 && ttl_ms <= TTL_MS;
    freeReplyObject(reply);
    return same;
}

static bool store(const char *key, int64_t stamp, const char *value, struct str kind, struct uuid id)
{
    struct shared_cache_tag tag = {kind, id};
    assert_true(shared_cache_store(one, str_from(key), stamp, str_from(value), &tag, 1, TTL_MS));
    return holds(one, key, value); /* behind it on the same connection */
}

static void invalidate(struct str kind, struct uuid id)
{
    assert_true(shared_cache_invalidate_queue(redis, kind, &id, uuid_is_zero(id) ? 0 : 1, "test", STR("x")));
    assert_true(redis_flush(redis));
}

static void what_one_stores_another_finds(void **state)
{
    (void)state;
    need_server();
    assert_true(store("a", begin(one, "a"), "apple", STR("product"), apple));
    assert_true(holds(other, "a", "apple"));
    assert_false(holds(other, "b", "apple"));
}

static void invalidation_is_exact(void **state)
{
    (void)state;
    need_server();
    int64_t stamp = begin(one, "a");
    store("a", stamp, "apple", STR("product"), apple);
    store("p", stamp, "pear", STR("product"), pear);
    store("list", stamp, "both", STR("product"), (struct uuid){{0}});
    store("v", stamp, "vendor", STR("vendor"), apple);
    invalidate(STR("product"), apple);
    assert_false(holds(other, "a", "apple"));
    assert_true(holds(other, "p", "pear"));
    assert_false(holds(other, "list", "both"));
    assert_true(holds(other, "v", "vendor"));
    invalidate(STR("product"), (struct uuid){{0}});
    assert_false(holds(other, "p", "pear"));
    assert_true(holds(other, "v", "vendor"));
    invalidate(STR(""), (struct uuid){{0}});
    assert_false(holds(other, "v", "vendor"));
}

static void many_at_once(void **state)
{
    (void)state;
    need_server();
    struct uuid ids[SHARED_CACHE_IDS_MAX];
    for (size_t i = 0; i < SHARED_CACHE_IDS_MAX; i++)
        ids[i] = (struct uuid){{(uint8_t)i, 7}};
    ids[17] = apple;
    store("a", begin(one, "a"), "apple", STR("product"), apple);
    store("p", begin(one, "p"), "pear", STR("product"), pear);
    store("b", begin(one, "b"), "balance", STR("balance"), apple);
    assert_true(
        shared_cache_invalidate_queue(redis, STR("product"), ids, SHARED_CACHE_IDS_MAX, "test", STR("x")));
    assert_true(redis_flush(redis));
    assert_false(holds(other, "a", "apple"));
    assert_true(holds(other, "p", "pear"));
    assert_true(holds(other, "b", "balance"));
}

static void begun_before_is_not_kept(void **state)
{
    (void)state;
    need_server();
    int64_t before = begin(one, "a");
    invalidate(STR("product"), apple);
    assert_false(store("a", before, "old", STR("product"), apple));
    assert_false(store("list", before, "old", STR("product"), (struct uuid){{0}}));
    assert_true(store("p", before, "pear", STR("product"), pear));
    int64_t after = begin(one, "a");
    assert_true(store("a", after, "new", STR("product"), apple));
    assert_true(holds(other, "a", "new"));
}

static void an_older_one_does_not_replace_a_younger(void **state)
{
    (void)state;
    need_server();
    int64_t before = begin(one, "p");
    invalidate(STR("product"), apple);
    assert_true(store("p", begin(one, "p"), "younger", STR("product"), pear));
    assert_false(store("p", before, "older", STR("product"), pear));
    assert_true(holds(other, "p", "younger"));
}

static void after_a_flush_nothing_older_is_kept(void **state)
{
    (void)state;
    need_server();
    int64_t before = begin(one, "a");
    invalidate(STR("product"), apple);
    clean(state);
    assert_false(store("a", before, "old", STR("product"), apple));
    begin(one, "a");
    assert_false(store("a", before, "old", STR("product"), apple));
    /* Stamps lost alone: what survived is not trusted. */
    store("a", begin(one, "a"), "apple", STR("product"), apple);
    freeReplyObject(REDIS_CALL(redis, STR("DEL"), STR("cache:stamps")));
    assert_false(holds(other, "a", "apple"));
    assert_false(holds(other, "a", "apple"));
}

/* Ends all connections to this test's database but the one that says so. */
static void kill_others(void)
{
    redisReply *list = REDIS_CALL(redis, STR("CLIENT"), STR("LIST"));
    struct str lines = redis_reply_str(list);
    while (lines.len > 0) {
        struct str line = str_split(&lines, '\n'), first = str_split(&line, ' ');
        if (!line.ptr || !memmem(line.ptr, line.len, " db=9 ", 6))
            continue;
        struct str id = {first.ptr + 3, first.len - 3}; /* "id=7" */
        freeReplyObject(
            REDIS_CALL(redis, STR("CLIENT"), STR("KILL"), STR("ID"), id, STR("SKIPME"), STR("yes")));
    }
    freeReplyObject(list);
}

static void after_a_lost_connection_everything_is_invalid(void **state)
{
    (void)state;
    need_server();
    store("a", begin(one, "a"), "apple", STR("product"), apple);
    assert_true(holds(other, "a", "apple"));
    kill_others();
    redisReply *reply;
    struct str value;
    int64_t ttl_ms, stamp;
    assert_int_equal(shared_cache_find(other, STR("a"), &reply, &value, &ttl_ms, &stamp), SHARED_CACHE_AWAY);
    struct timespec pause = {.tv_sec = 1, .tv_nsec = 100000000}; /* REDIS_BACKOFF_MS */
    nanosleep(&pause, NULL);
    assert_false(holds(other, "a", "apple"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_one_stores_another_finds, clean),
        cmocka_unit_test_setup(invalidation_is_exact, clean),
        cmocka_unit_test_setup(many_at_once, clean),
        cmocka_unit_test_setup(begun_before_is_not_kept, clean),
        cmocka_unit_test_setup(an_older_one_does_not_replace_a_younger, clean),
        cmocka_unit_test_setup(after_a_flush_nothing_older_is_kept, clean),
        cmocka_unit_test_setup(after_a_lost_connection_everything_is_invalid, clean),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
