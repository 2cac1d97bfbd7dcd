#include "http/limiter.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND ((int64_t)1000000)

static struct limiter *new_limiter(int64_t scale_percent)
{
    struct limiter_options options = {
        .scale_percent = scale_percent,
        .requests = {[API_LIMIT_READ] = 600, [API_LIMIT_SIGN_IN] = 10, [API_LIMIT_CHECKOUT] = 60},
        .address_times = 2,
        .account_attempts = 5};
    return limiter_new(options);
}

static struct limiter_verdict ask(struct limiter *limiter, enum api_limit limit, struct str who, int64_t now)
{
    struct limiter_key key = {limit, LIMITER_STRANGER, who};
    return limiter_ask(limiter, &key, 1, now);
}

static void test_quota_then_refusal_then_refill(void **state)
{
    (void)state;
    struct limiter *limiter = new_limiter(100);
    int64_t now = 1000 * SECOND;
    for (int i = 0; i < 10; i++) {
        struct limiter_verdict verdict = ask(limiter, API_LIMIT_SIGN_IN, STR("a"), now);
        assert_true(verdict.allowed);
        assert_string_equal(verdict.policy, "sign-in");
        assert_int_equal(verdict.remaining, 9 - i);
        assert_int_equal(verdict.reset_s, i + 1);
    }
    struct limiter_verdict refused = ask(limiter, API_LIMIT_SIGN_IN, STR("a"), now);
    assert_false(refused.allowed);
    assert_int_equal(refused.remaining, 0);
    assert_int_equal(refused.retry_after_s, 1);
    assert_true(ask(limiter, API_LIMIT_SIGN_IN, STR("b"), now).allowed);
    assert_true(ask(limiter, API_LIMIT_CHECKOUT, STR("a"), now).allowed);
    assert_true(ask(limiter, API_LIMIT_SIGN_IN, STR("a"), now + SECOND).allowed);
    assert_false(ask(limiter, API_LIMIT_SIGN_IN, STR("a"), now + SECOND).allowed);
    int allowed = 0;
    for (int i = 0; i < 20; i++)
        allowed += ask(limiter, API_LIMIT_SIGN_IN, STR("a"), now + 100 * SECOND).allowed;
    assert_int_equal(allowed, 10);
    limiter_free(limiter);
}

static void test_scale(void **state)
{
    (void)state;
    struct limiter *off = new_limiter(0), *twice = new_limiter(200), *tiny = new_limiter(1);
    for (int i = 0; i < 1000; i++)
        assert_true(ask(off, API_LIMIT_SIGN_IN, STR("a"), 0).allowed);
    assert_null(ask(off, API_LIMIT_SIGN_IN, STR("a"), 0).policy);
    int allowed = 0;
    for (int i = 0; i < 100; i++)
        allowed += ask(twice, API_LIMIT_SIGN_IN, STR("a"), 0).allowed;
    assert_int_equal(allowed, 20);
    assert_true(ask(tiny, API_LIMIT_SIGN_IN, STR("a"), 0).allowed);
    assert_false(ask(tiny, API_LIMIT_SIGN_IN, STR("a"), 0).allowed);
    assert_true(limiter_ask(tiny, NULL, 0, 0).allowed);
    limiter_free(off);
    limiter_free(twice);
    limiter_free(tiny);
}

/* Two customers of one address: 10 each, 20 together; whoever is refused has used nothing. */
static void test_several_quotas_all_or_none(void **state)
{
    (void)state;
    struct limiter *limiter = new_limiter(100);
    struct limiter_key keys[2] = {{API_LIMIT_SIGN_IN, LIMITER_CUSTOMER, STR("ann")},
                                  {API_LIMIT_SIGN_IN, LIMITER_ADDRESS, STR("here")}};
    struct limiter_verdict verdict = limiter_ask(limiter, keys, 2, 0);
    assert_string_equal(verdict.policy, "sign-in");
    assert_int_equal(verdict.remaining, 9);
    for (int i = 0; i < 20; i++)
        limiter_ask(limiter, keys, 2, 0);
    assert_string_equal(limiter_ask(limiter, keys, 2, 0).policy, "sign-in");
    keys[0].who = STR("ben");
    for (int i = 0; i < 10; i++)
        assert_true(limiter_ask(limiter, keys, 2, 0).allowed);
    keys[0].who = STR("cat");
    verdict = limiter_ask(limiter, keys, 2, 0);
    assert_false(verdict.allowed);
    assert_string_equal(verdict.policy, "sign-in-address");
    assert_int_equal(verdict.quota, 20);
    assert_int_equal(verdict.retry_after_s, 1);
    keys[1].who = STR("elsewhere");
    assert_int_equal(limiter_ask(limiter, keys, 2, 0).remaining, 9);
    limiter_free(limiter);
}

static void test_what_passes_is_told_when_little_is_left(void **state)
{
    (void)state;
    struct limiter_options options = {.scale_percent = 100, .requests = {[API_LIMIT_NONE] = 100}};
    struct limiter *limiter = limiter_new(options);
    struct limiter_key key = {API_LIMIT_NONE, LIMITER_EVERYTHING, STR("a")};
    struct limiter_verdict verdict = {0};
    for (int i = 0; i < 90; i++)
        assert_true(limiter_passes(limiter, &key, SECOND, &verdict));
    for (int i = 9; i >= 0; i--) {
        assert_false(limiter_passes(limiter, &key, SECOND, &verdict));
        assert_true(verdict.allowed);
        assert_string_equal(verdict.policy, "address");
        assert_int_equal(verdict.remaining, i);
    }
    assert_false(limiter_passes(limiter, &key, SECOND, &verdict));
    assert_false(verdict.allowed);
    assert_int_equal(verdict.retry_after_s, 1);
    assert_true(limiter_passes(limiter, &key, 12 * SECOND, &verdict));
    limiter_free(limiter);
}

static void test_an_account_has_a_longer_window(void **state)
{
    (void)state;
    struct limiter *limiter = new_limiter(100);
    struct limiter_key key = {API_LIMIT_SIGN_IN, LIMITER_ACCOUNT, STR("hash")};
    for (int i = 0; i < 5; i++)
        assert_true(limiter_ask(limiter, &key, 1, 0).allowed);
    struct limiter_verdict refused = limiter_ask(limiter, &key, 1, 0);
    assert_false(refused.allowed);
    assert_string_equal(refused.policy, "sign-in-account");
    assert_int_equal(refused.retry_after_s, LIMITER_ACCOUNT_WINDOW_S / 5);
    limiter_free(limiter);
}

static void test_a_flood_of_keys_stays_bounded(void **state)
{
    (void)state;
    struct limiter *limiter = new_limiter(100);
    char key[32];
    for (int i = 0; i < 300000; i++) {
        int len = snprintf(key, sizeof key, "key %d", i);
        assert_true(ask(limiter, API_LIMIT_SIGN_IN, (struct str){key, (size_t)len}, i).allowed);
    }
    limiter_free(limiter);
}

static struct limiter *shared;
static _Atomic int shared_allowed;

static void *asker_main(void *unused)
{
    for (int i = 0; i < 1000; i++)
        shared_allowed += ask(shared, API_LIMIT_READ, STR("one"), 0).allowed;
    return unused;
}

static void test_threads_share_one_quota(void **state)
{
    (void)state;
    shared = new_limiter(100);
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
        cmocka_unit_test(test_several_quotas_all_or_none),
        cmocka_unit_test(test_what_passes_is_told_when_little_is_left),
        cmocka_unit_test(test_an_account_has_a_longer_window),
        cmocka_unit_test(test_a_flood_of_keys_stays_bounded),
        cmocka_unit_test(test_threads_share_one_quota),
    };
    return cmocka_run_group_tests_name("http_limiter", tests, NULL, NULL);
}
