#include "program.h"

#include "client.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "shop/accounts/accounts_token.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define WARM_UP_US 500000 /* plans, caches, tokens */
#define DRAIN_US 10000000

static volatile sig_atomic_t stopping;

struct program program_begin(const struct argument *table, size_t count, int argc, char **argv)
{
    CHECK(sodium_init() >= 0);
    arguments_read(table, count, argc, argv);
    struct error error = {.code = ERR_OK};
    if (config_load(&error) || token_service_start(&error)) {
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, error.detail);
        exit(2);
    }
    return (struct program){arena_new(), pg_new(config()->database_url, "bench", NULL)};
}

void program_end(struct program *program)
{
    token_service_stop();
    pg_free(program->db);
    arena_free(program->arena);
}

void program_give_up(const struct program *program, const char *why)
{
    const char *detail = pg_error(program->db)->detail;
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, detail[0] ? detail : why);
    exit(2);
}

static void on_term(int number)
{
    (void)number;
    program_stop();
}

void program_stop(void)
{
    stopping = true;
}

void program_await_term(void)
{
    signal(SIGTERM, on_term);
}

bool program_stopping(void)
{
    return stopping;
}

struct str program_token(const struct program *program, struct user_id customer)
{
    /* bench/crowd.sql has made a session of this id: whoever pays is asked for it. */
    struct principal principal = {.role = ROLE_CUSTOMER, .user_id = customer, .session_id = {customer.uuid}};
    return token_service_issue(program->arena, &principal);
}

static void run_for(struct course *course, int64_t time_us)
{
    int64_t until_us = clock_monotonic_us() + time_us;
    for (int64_t now_us; (now_us = clock_monotonic_us()) < until_us;) {
        if (!course->sending && clients_waiting() == 0)
            return;
        course->turn(now_us, until_us);
    }
}

void course_run(const struct program *program, struct course *course)
{
    run_for(course, WARM_UP_US);
    while (course->warm && !course->warm())
        run_for(course, WARM_UP_US / 10);
    CHECK(sample_take(program->db, course->server, &course->before) == ERR_OK);
    course->counting = true;
    run_for(course, course->seconds * 1000000);
    course->counting = false;
    CHECK(sample_take(program->db, course->server, &course->after) == ERR_OK);
    course->sending = false;
    run_for(course, DRAIN_US);
}
