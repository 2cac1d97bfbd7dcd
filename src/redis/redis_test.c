#include "redis/redis.h"

#include <setjmp.h>
#include <stdarg.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_of_tcp),
        cmocka_unit_test(urls_of_sockets),
        cmocka_unit_test(wrong_urls),
        cmocka_unit_test(away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
