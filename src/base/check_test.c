#include "base/check.h"
#include "base/thread.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

static volatile int depth_max = 1 << 30;

/* Until the stack is used up. */
__attribute__((noinline)) static int deeper(int depth)
{
    volatile char room[1024] = {(char)depth};
    return depth < depth_max ? deeper(depth + 1) + room[0] : room[0];
}

static void *overflow_main(void *unused)
{
    (void)unused;
    check_context_set("order_place");
    check_statement_set("order_insert");
    deeper(0);
    return NULL;
}

/* What a child that does so writes to standard error before it ends. */
static void said_by(void (*work)(void), char *said, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        check_signals_install("serve");
        work();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    for (ssize_t n; len < size - 1 && (n = read(ends[0], said + len, size - 1 - len)) > 0;)
        len += (size_t)n;
    said[len] = '\0';
    char rest[4096];
    while (read(ends[0], rest, sizeof rest) > 0)
        ;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

static void in_a_thread(void)
{
    pthread_t thread;
    if (thread_start(&thread, "worker-7", overflow_main, NULL))
        pthread_join(thread, NULL);
}

static void in_the_first_thread(void)
{
    overflow_main(NULL);
}

static void a_stack_that_is_used_up_leaves_a_line(void **state)
{
    (void)state;
    char said[2048];
    said_by(in_a_thread, said, sizeof said);
    assert_non_null(strstr(
        said, "\"message\":\"crash\",\"signal\":\"SIGSEGV\",\"role\":\"serve\",\"thread\":\"worker-7\""));
    assert_non_null(strstr(said, "\"operation\":\"order_place\""));
    assert_non_null(strstr(said, "\"statement\":\"order_insert\""));
    said_by(in_the_first_thread, said, sizeof said);
    assert_non_null(strstr(said, "\"message\":\"crash\",\"signal\":\"SIGSEGV\""));
}

static void failed(void)
{
    CHECK(depth_max == 0);
}

static void a_check_that_fails_leaves_one_line(void **state)
{
    (void)state;
    char said[4096];
    said_by(failed, said, sizeof said);
    assert_non_null(strstr(said, "\"message\":\"check failed\",\"condition\":\"depth_max == 0\""));
    assert_null(strstr(said, "\"message\":\"crash\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stack_that_is_used_up_leaves_a_line),
        cmocka_unit_test(a_check_that_fails_leaves_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
