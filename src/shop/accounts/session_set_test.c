/* The set of ended sessions: what it keeps, forgets and refuses, and many threads at once. */
#include "shop/accounts/accounts_session_set.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MANY 20000
#define THREADS 4

static void keeps_until_its_time(void **state)
{
    (void)state;
    struct session_set *set = session_set_new(MANY);
    struct session_id *ids = calloc(MANY, sizeof *ids);
    assert_non_null(ids);
    assert_false(session_set_has(set, session_id_new()));
    for (size_t i = 0; i < MANY; i++) {
        ids[i] = session_id_new();
        assert_true(session_set_add(set, ids[i], i % 2 ? 100 : 200));
        assert_true(session_set_add(set, ids[i], i % 2 ? 100 : 200)); /* told twice, counted once */
    }
    assert_int_equal(session_set_count(set), MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_true(session_set_has(set, ids[i]));
    assert_false(session_set_has(set, session_id_new()));
    session_set_expire(set, 100);
    assert_int_equal(session_set_count(set), MANY / 2);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(session_set_has(set, ids[i]), i % 2 == 0);
    session_set_expire(set, 200);
    assert_int_equal(session_set_count(set), 0);
    free(ids);
    session_set_free(set);
}

static void refuses_what_is_beyond_its_size(void **state)
{
    (void)state;
    struct session_set *set = session_set_new(10);
    struct session_id first = session_id_new();
    assert_true(session_set_add(set, first, 100));
    for (size_t i = 1; i < 10; i++)
        assert_true(session_set_add(set, session_id_new(), 100));
    assert_false(session_set_add(set, session_id_new(), 100));
    assert_true(session_set_add(set, first, 300)); /* what is there may stay longer */
    session_set_expire(set, 100);
    assert_int_equal(session_set_count(set), 1);
    assert_true(session_set_add(set, session_id_new(), 300));
    session_set_free(set);
}

static struct session_set *shared;

static void *add_and_look(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < MANY; i++) {
        struct session_id id = session_id_new();
        assert_true(session_set_add(shared, id, 100));
        assert_true(session_set_has(shared, id));
        if (i % 1000 == 0)
            session_set_expire(shared, 99);
    }
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    shared = session_set_new((size_t)THREADS * MANY);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_and_look, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(session_set_count(shared), THREADS * MANY);
    session_set_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_until_its_time),
                                       cmocka_unit_test(refuses_what_is_beyond_its_size),
                                       cmocka_unit_test(many_threads)};
    return cmocka_run_group_tests_name("session_set", tests, NULL, NULL);
}
