#include "redis/memory.h"
#include "redis/redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void urls_of_tcp(void **state)
{
    (void)state;
    struct redis_address address;
    assert_int_equal(redis_url_parse(STR("redis://127.0.0.1:7001/3"), &address, NULL), ERR_OK);
    assert_string_equal(address.host, "127.0.0.1");
    assert_int_equal(address.port, 7001);
    assert_int_equal(address.database, 3);
    assert_string_equal(address.password, "");
    assert_int_equal(redis_url_parse(STR("redis://:se@cret@cache.example"), &address, NULL), ERR_OK);
    assert_string_equal(address.host, "cache.example");
    assert_string_equal(address.password, "se@cret");
    assert_int_equal(address.port, 6379);
    assert_int_equal(redis_url_parse(STR("redis://shop:pw@[::1]:6380/"), &address, NULL), ERR_OK);
    assert_string_equal(address.host, "::1");
    assert_string_equal(address.user, "shop");
    assert_int_equal(address.port, 6380);
    assert_int_equal(redis_url_parse(STR("redis://[::1]"), &address, NULL), ERR_OK);
    assert_int_equal(address.port, 6379);
}

static void urls_of_sockets(void **state)
{
    (void)state;
    struct redis_address address;
    assert_int_equal(redis_url_parse(STR("unix:///run/redis.sock"), &address, NULL), ERR_OK);
    assert_string_equal(address.path, "/run/redis.sock");
    assert_int_equal(redis_url_parse(STR("unix://:pw@/run/redis.sock?db=2"), &address, NULL), ERR_OK);
    assert_string_equal(address.password, "pw");
    assert_int_equal(address.database, 2);
}

static void wrong_urls(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "127.0.0.1",
                                        "http://127.0.0.1",
                                        "redis://",
                                        "redis://host:0",
                                        "redis://host:65536",
                                        "redis://host:port",
                                        "redis://host/x",
                                        "redis://host/-1",
                                        "redis://[::1",
                                        "redis://[::1]x",
                                        "unix://relative",
                                        "unix://",
                                        "unix:///a?x=1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct redis_address address;
        struct error error = {.code = ERR_OK};
        if (redis_url_parse(str_from(wrong[i]), &address, &error) != ERR_VALIDATION)
            fail_msg("taken for right: %s", wrong[i]);
        assert_non_null(strstr(error.detail, "REDIS_URL"));
    }
}

/* Nobody listens: every call says so, and the second does not even try. */
static void away(void **state)
{
    (void)state;
    struct redis *redis = redis_new("unix:///nonexistent/redis.sock");
    assert_false(redis_connected(redis));
    assert_null(REDIS_CALL(redis, STR("PING")));
    assert_false(redis_queue(redis, 1, &STR("PING")));
    assert_false(redis_flush(redis));
    static struct redis_script script = {.text = "return 1"};
    assert_null(redis_script_run(redis, &script, 0, 0, NULL));
    assert_string_equal(script.sha1, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    assert_int_equal(redis_epoch(redis), 0);
    redis_free(redis);
}

/* With a server (TEST_REDIS_URL): what the others build on. */
static struct redis *connect_or_skip(void)
{
    const char *url = getenv("TEST_REDIS_URL");
    if (!url)
        skip();
    struct redis *redis = redis_new(url);
    assert_true(redis_connected(redis));
    assert_int_equal(redis_epoch(redis), 1);
    return redis;
}

static void commands_and_scripts(void **state)
{
    (void)state;
    struct redis *redis = connect_or_skip();
    char name[64];
    int len = snprintf(name, sizeof name, "redis_test:%d", (int)getpid());
    struct str key = {name, (size_t)len}, binary = {"a\0b", 3};
    redisReply *reply = REDIS_CALL(redis, STR("SET"), key, binary, STR("EX"), STR("60"));
    assert_true(str_equal(redis_reply_str(reply), STR("OK")));
    freeReplyObject(reply);
    static struct redis_script script = {.text = "return {redis.call('GET', KEYS[1]), ARGV[1]}"};
    for (int i = 0; i < 2; i++) { /* by text, then by hash */
        if (i == 0)
            freeReplyObject(REDIS_CALL(redis, STR("SCRIPT"), STR("FLUSH")));
        reply = redis_script_run(redis, &script, 1, 2, (struct str[]){key, STR("argument")});
        assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
        assert_true(str_equal(redis_reply_str(reply->element[0]), binary));
        assert_true(str_equal(redis_reply_str(reply->element[1]), STR("argument")));
        freeReplyObject(reply);
    }
    reply = REDIS_CALL(redis, STR("INCR"), key);
    assert_true(redis_reply_is_error(reply, "ERR"));
    freeReplyObject(reply);
    for (int i = 0; i < 100; i++)
        assert_true(redis_queue(redis, 3, (struct str[]){STR("APPEND"), key, STR("x")}));
    assert_true(redis_flush(redis));
    assert_true(redis_queue(redis, 2, (struct str[]){STR("INCR"), key}));
    assert_false(redis_flush(redis)); /* refused */
    reply = REDIS_CALL(redis, STR("STRLEN"), key);
    assert_int_equal(reply->integer, 103);
    freeReplyObject(reply);
    freeReplyObject(REDIS_CALL(redis, STR("DEL"), key));
    redis_free(redis);
}

static void messages(void **state)
{
    (void)state;
    struct redis *sender = connect_or_skip(), *listener = connect_or_skip();
    char name[64];
    int len = snprintf(name, sizeof name, "redis_test:%d", (int)getpid());
    struct str mine = {name, (size_t)len}, channels[] = {STR("redis_test:other"), mine};
    assert_true(redis_subscribe(listener, 2, channels));
    redisReply *reply;
    struct str channel, payload;
    assert_int_equal(redis_next_message(listener, 1, &reply, &channel, &payload), REDIS_QUIET);
    assert_true(redis_ping_subscribed(listener));
    for (int i = 0; i < 2; i++)
        freeReplyObject(REDIS_CALL(sender, STR("PUBLISH"), mine, i ? STR("two") : STR("one")));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(redis_next_message(listener, 5000, &reply, &channel, &payload), REDIS_MESSAGE);
        assert_true(str_equal(channel, mine));
        assert_true(str_equal(payload, i ? STR("two") : STR("one")));
        freeReplyObject(reply);
    }
    assert_true(redis_ping_subscribed(listener)); /* the first one was answered meanwhile */
    /* A peer that does not answer the ping in time is given up. */
    assert_false(redis_ping_subscribed(listener));
    assert_int_equal(redis_next_message(listener, 1, &reply, &channel, &payload), REDIS_AWAY);
    redis_free(listener);
    redis_free(sender);
}

/* As Redis 7 and its managed kin tell it; anything else is no reason to warn. */
static void memory_policies(void **state)
{
    (void)state;
    struct redis_memory memory = redis_memory_parse(
        STR("# Memory\r\nused_memory:1005032\r\nmaxmemory:268435456\r\nmaxmemory_human:256.00M\r\n"
            "maxmemory_policy:volatile-lru\r\n"));
    assert_true(str_equal(memory.policy, STR("volatile-lru")));
    assert_int_equal(memory.max_bytes, 268435456);
    assert_null(redis_memory_fault(&memory));
    memory.policy = STR("allkeys-random");
    assert_non_null(redis_memory_fault(&memory));
    memory = (struct redis_memory){STR("noeviction"), REDIS_MEMORY_LEAST - 1};
    assert_non_null(redis_memory_fault(&memory));
    memory.max_bytes = 0;
    assert_null(redis_memory_fault(&memory));
    static const char *const odd[] = {"", "maxmemory", "maxmemory:\r\nmaxmemory_policy:", "maxmemory:-",
                                      "\r\n:::"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        memory = redis_memory_parse(str_from(odd[i]));
        assert_null(redis_memory_fault(&memory));
    }
    memory = redis_memory_parse(STR_NONE);
    assert_null(redis_memory_fault(&memory));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_of_tcp),          cmocka_unit_test(urls_of_sockets),
        cmocka_unit_test(wrong_urls),           cmocka_unit_test(away),
        cmocka_unit_test(commands_and_scripts), cmocka_unit_test(messages),
        cmocka_unit_test(memory_policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
