/* What the tests of background work stand on: a database of their own on the cluster of TEST_DATABASE_URL
 * (created and migrated at the start, dropped at the end), a Redis of their own that can be stopped and
 * started, and a module with tasks that leave traces in the table `effect`. Without TEST_DATABASE_URL the
 * tests are skipped. */
#ifndef CATHAY_TESTS_WORK_FIXTURE_H
#define CATHAY_TESTS_WORK_FIXTURE_H

#include "base/config.h"
#include "work/work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/types.h>

#include <cmocka.h>

#define WAIT_MS 30000

/* Group set-up and tear-down; and for each test: nothing left of the one before. */
int fixture_start(void **state);
int fixture_stop(void **state);
int fixture_clear(void **state);
/* As main(): with the argument "worker" the program is a worker process that waits to be killed. */
int fixture_main(int argc, char **argv, const char *group, const struct CMUnitTest *tests, size_t count);
#define FIXTURE_TEST(function) cmocka_unit_test_setup(function, fixture_clear)

/* Starts this program as a worker process; ended by kill(pid, SIGKILL) and waited for with fixture_wait(pid).
 */
pid_t fixture_worker_process(void);
void fixture_wait(pid_t pid);

void fixture_redis_start(void);
void fixture_redis_stop(void); /* kill -9 */
void fixture_redis_flush(void);
/* SIGSTOP and SIGCONT: a server that takes connections and never answers. */
void fixture_redis_hang(bool hang);

/* A connection of the test's own, through the code under test. */
struct pg *fixture_db(void);
/* The first column of the first row of a query as a number; the text is a printf format. */
int64_t fixture_number(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fixture_execute(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Polls until the query gives the number; fails the test after WAIT_MS. */
void fixture_expect(int64_t expected, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fixture_sleep_ms(int ms);

/* One transaction that publishes `count` events "thing.made"; rolled back if asked. */
void fixture_publish(int count, bool roll_back);
void fixture_enqueue(const char *name, const char *unique_key, int64_t delay_ms, const char *payload);

/* Rows of `effect`, one for each time that a task took effect: task name, aggregate, attempt, when. */
#define EFFECTS_OF(name) "SELECT count(*) FROM effect WHERE task = '" name "'"

/* The roles under test, started with the least ceremony. */
struct roles {
    struct relay *relays[2];
    struct worker *worker;
};
void fixture_roles_start(struct roles *roles, int relays, int worker_threads);
void fixture_roles_stop(struct roles *roles);

#endif
