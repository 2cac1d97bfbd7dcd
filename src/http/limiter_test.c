#include "http/limiter.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND ((int64_t)1000000)

static void test_quota_then_refusal_then_refill(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(100);
    int64_t now = 1000 * SECOND;
    for (int i = 0; i < 10; i++) {
        struct limiter_verdict verdict = limiter_ask(limiter, API_LIMIT_SIGN_IN, STR("a"), now);
        assert_true(verdict.allowed);
        assert_string_equal(verdict.policy, "sign-in");
        assert_int_equal(verdict.remaining, 9 - i);
        assert_int_equal(verdict.reset_s, i + 1);
    }
    struct limiter_verdict refused = limiter_ask(limiter, API_LIMIT_SIGN_IN, STR("a"), now);
    assert_false(refused.allowed);
    assert_int_equal(refused.remaining, 0);
    assert_int_equal(refused.retry_after_s, 1);
    assert_true(limiter_ask(limiter, API_LIMIT_SIGN_IN, STR("b"), now).allowed);
    assert_true(limiter_ask(limiter, API_LIMIT_CHECKOUT, STR("a"), now).allowed);
    assert_true(limiter_ask(limiter, API_LIMIT_SIGN_IN, STR("a"), now + SECOND).allowed);
    assert_false(limiter_ask(limiter, API_LIMIT_SIGN_IN, STR("a"), now + SECOND).allowed);
    int allowed = 0;
    for (int i = 0; i < 20; i++)
        allowed += limiter_ask(limiter, API_LIMIT_SIGN_IN, STR("a"), now + 100 * SECOND).allowed;
    assert_int_equal(allowed, 10);
    limiter_free(limiter);
}

static void test_scale(void **state)
{
    (void)state;
    struct limiter *off = limiter_new(0), *twice = limiter_new(200), *tiny = limiter_new(1);
    for (int i = 0; i < 1000; i++)
        assert_true(limiter_ask(off, API_LIMIT_SIGN_IN, STR("a"), 0).allowed);
    assert_null(limiter_ask(off, API_LIMIT_SIGN_IN, STR("a"), 0).policy);
    int allowed = 0;
    for (int i = 0; i < 100; i++)
        allowed += limiter_ask(twice, API_LIMIT_SIGN_IN, STR("a"), 0).allowed;
    assert_int_equal(allowed, 20);
    assert_true(limiter_ask(tiny, API_LIMIT_SIGN_IN, STR("a"), 0).allowed);
    assert_false(limiter_ask(tiny, API_LIMIT_SIGN_IN, STR("a"), 0).allowed);
    assert_true(limiter_ask(tiny, API_LIMIT_NONE, STR("a"), 0).allowed);
    limiter_free(off);
    limiter_free(twice);
    limiter_free(tiny);
}

static void test_a_flood_of_keys_stays_bounded(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(100);
    char key[32];
    for (int i = 0; i < 300000; i++) {
        int len = snprintf(key, sizeof key, "key %d", i);
        assert_true(limiter_ask(limiter, API_LIMIT_SIGN_IN, (struct str){key, (size_t)len}, i).allowed);
    }
    limiter_free(limiter);
}

static struct limiter *shared;
static _Atomic int shared_allowed;

static void *asker_main(void *unused)
{
    for (int i = 0; i < 1000; i++)
        shared_allowed += limiter_ask(shared, API_LIMIT_READ, STR("one"), 0).allowed;
    return unused;
}

static void test_threads_share_one_quota(void **state)
{
    (void)state;
    shared = limiter_new(100);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, asker_main, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared_allowed, 600);
    limiter_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quota_then_refusal_then_refill),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_a_flood_of_keys_stays_bounded),
        cmocka_unit_test(test_threads_share_one_quota),
    };
    return cmocka_run_group_tests_name("http_limiter", tests, NULL, NULL);
}
