#include "fixture.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "pg/migrate.h"
#include "redis/redis.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static char database[64], directory[64], redis_socket[96];
static pid_t redis_pid;
static PGconn *observer; /* looks at the database past the code under test */
static struct pg *db;

/* ---- tasks that leave traces ---- */

static enum error_code leave_trace(struct pg *on, const struct task_run *run)
{
    char aggregate[33] = "", id[33] = "", sql[400];
    uuid_hex(run->event.aggregate_id, aggregate);
    uuid_hex(run->id.uuid, id);
    snprintf(sql, sizeof sql,
             "INSERT INTO effect (task, aggregate, attempt) SELECT name, '%s', %d FROM task WHERE id = '%s'",
             aggregate, run->attempt, id);
    return pg_execute(on, sql);
}

static enum error_code run_publishing(struct task_run *run)
{
    struct event event = {
        .type = STR("thing.made"), .aggregate_id = run->event.aggregate_id, .payload = STR("{}")};
    return outbox_publish(run->db, &event, NULL);
}

static enum error_code run_counted(struct task_run *run)
{
    return leave_trace(run->db, run);
}

static enum error_code complete_with_trace(struct pg *on, void *context)
{
    struct task_run *run = context;
    enum error_code code = leave_trace(on, run);
    return code ? code : task_complete(run);
}

static enum error_code run_free(struct task_run *run)
{
    return pg_transaction(run->db, complete_with_trace, run);
}

static enum error_code run_failing(struct task_run *run)
{
    (void)leave_trace(run->db, run); /* rolled back */
    return error_set(&run->error, ERR_PARTNER, "the \"partner\" said no");
}

static enum error_code run_failing_once(struct task_run *run)
{
    return run->attempt == 1 ? ERR_PARTNER_TIMEOUT : leave_trace(run->db, run);
}

static enum error_code run_hopeless(struct task_run *run)
{
    return task_fail_for_good(run, "order %d does not exist", 7);
}

/* payload {"ms":n}: takes that long. */
static enum error_code run_slow(struct task_run *run)
{
    int ms = 0;
    char *text = arena_cstr(run->arena, run->event.payload);
    if (sscanf(text, "{\"ms\":%d", &ms) == 1)
        fixture_sleep_ms(ms);
    return pg_transaction(run->db, complete_with_trace, run);
}

/* The first attempt takes longer than its time limit, so that another worker has the task by the time it
 * ends. */
static enum error_code run_hanging(struct task_run *run)
{
    if (run->attempt == 1)
        fixture_sleep_ms(4000);
    return pg_transaction(run->db, complete_with_trace, run);
}

/* Sleeps inside the database until it has been cut off by the time limit once. */
static enum error_code run_stuck(struct task_run *run)
{
    enum error_code code = pg_execute(run->db, "SELECT pg_sleep(60) FROM task WHERE name = 'stuck' AND "
                                               "coalesce(last_error, '') NOT LIKE '%statement timeout%'");
    return code ? code : leave_trace(run->db, run);
}

/* The first attempt fails once the sweeper has given the task back, and before anybody has claimed it. */
static enum error_code run_late(struct task_run *run)
{
    if (run->attempt > 1)
        return pg_transaction(run->db, complete_with_trace, run);
    enum error_code code =
        pg_execute(run->db, "DO $$ BEGIN FOR look IN 1..500 LOOP EXIT WHEN (SELECT state FROM task WHERE "
                            "name = 'late') = 'ready'; PERFORM pg_sleep(0.02); END LOOP; END $$");
    return code ? code : error_set(&run->error, ERR_PARTNER, "said no, too late");
}

static const char *const on_made[] = {"thing.made", NULL};
static const struct event_definition events[] = {{"thing.made", "thing"}, {.type = NULL}};
static const struct task_definition tasks[] = {
    {.name = "counted", .events = on_made, .run = run_counted, .priority = TASK_HIGH},
    {.name = "free", .events = on_made, .run = run_free, .mode = TASK_FREE, .priority = TASK_NORMAL},
    {.name = "failing", .run = run_failing, .attempts_max = 2},
    {.name = "failing_once", .run = run_failing_once},
    {.name = "hopeless", .run = run_hopeless},
    {.name = "slow", .run = run_slow, .mode = TASK_FREE, .priority = TASK_NORMAL},
    {.name = "hanging", .run = run_hanging, .mode = TASK_FREE, .priority = TASK_NORMAL, .timeout_s = 1},
    {.name = "stuck", .run = run_stuck, .timeout_s = 1},
    {.name = "late", .run = run_late, .mode = TASK_FREE, .timeout_s = 1},
    {.name = "urgent", .run = run_counted, .priority = TASK_HIGH},
    {.name = "idle", .run = run_counted, .priority = TASK_LOW},
    {.name = "publishing", .run = run_publishing},
    {.name = "tick", .run = run_counted},
    {.name = NULL},
};
static const struct schedule_definition schedules[] = {{"tick", 1, "for the tests"}, {.name = NULL}};
static const struct module test_module = {
    .name = "test", .events = events, .tasks = tasks, .schedules = schedules};
const struct module *const modules[] = {&work_module, &test_module, NULL};

/* ---- servers ---- */

void fixture_sleep_ms(int ms)
{
    struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static pid_t spawn(char *const argv[], bool quiet)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (quiet) {
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    }
    pid_t pid = 0;
    CHECK(posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

void fixture_wait(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0)
        continue;
}

void fixture_redis_start(void)
{
    if (redis_pid)
        return;
    char *const argv[] = {"setpriv",      "--pdeathsig", "KILL",   "--", "redis-server", "--port", "0",
                          "--unixsocket", redis_socket,  "--save", "",   "--appendonly", "no",     "--dir",
                          directory,      NULL};
    redis_pid = spawn(argv, true);
    char url[128];
    snprintf(url, sizeof url, "unix://%s", redis_socket);
    for (int tries = 0;;
         tries++) { /* a new handle each time: a connection that failed waits before it tries again */
        struct redis *redis = redis_new(url);
        bool there = redis_connected(redis);
        redis_free(redis);
        if (there)
            return;
        CHECK(tries < 1000);
        fixture_sleep_ms(10);
    }
}

void fixture_redis_stop(void)
{
    if (!redis_pid)
        return;
    kill(redis_pid, SIGKILL);
    fixture_wait(redis_pid);
    unlink(redis_socket);
    redis_pid = 0;
}

void fixture_redis_hang(bool hang)
{
    kill(redis_pid, hang ? SIGSTOP : SIGCONT);
}

/* Until it is done: on a busy machine an answer may take longer than REDIS_TIMEOUT_MS. */
void fixture_redis_flush(void)
{
    for (int tries = 0;; tries++) {
        struct redis *redis = redis_new(config()->redis_url);
        redisReply *reply = REDIS_CALL(redis, STR("FLUSHALL"));
        bool done = reply && reply->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
        redis_free(redis);
        if (done)
            return;
        CHECK(tries < 100);
        fixture_sleep_ms(10);
    }
}

/* The cluster's address with another database: keyword=value, as libpq takes it. */
static void database_url(const char *url, const char *name, char *out, size_t size)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    CHECK(options);
    size_t len = (size_t)snprintf(out, size, "dbname='%s'", name);
    for (PQconninfoOption *option = options; option->keyword; option++)
        if (option->val && strcmp(option->keyword, "dbname") != 0)
            len += (size_t)snprintf(out + len, size - len, " %s='%s'", option->keyword, option->val);
    PQconninfoFree(options);
}

static void administrate(const char *verb)
{
    char sql[128];
    snprintf(sql, sizeof sql, "%s DATABASE %s%s", verb, database,
             strcmp(verb, "DROP") == 0 ? " WITH (FORCE)" : ""); /* sessions of a killed worker may linger */
    PGconn *conn = PQconnectdb(getenv("TEST_DATABASE_URL"));
    PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fprintf(stderr, "%s: %s", sql, PQerrorMessage(conn));
    CHECK(PQresultStatus(result) == PGRES_COMMAND_OK);
    PQclear(result);
    PQfinish(conn);
}

int fixture_start(void **state)
{
    (void)state;
    struct error error = {.code = ERR_OK};
    fixture_redis_start();
    administrate("CREATE");
    observer = PQconnectdb(config()->database_url);
    CHECK(PQstatus(observer) == CONNECTION_OK);
    db = pg_new(config()->database_url, "test", NULL);
    if (migrate_apply(db, NULL, NULL, &error))
        fprintf(stderr, "%s\n", error.detail);
    CHECK(error.code == ERR_OK);
    fixture_execute("CREATE TABLE effect (task text, aggregate uuid, attempt int, at timestamptz DEFAULT "
                    "clock_timestamp())");
    return 0;
}

int fixture_stop(void **state)
{
    (void)state;
    PQfinish(observer);
    pg_free(db);
    fixture_redis_stop();
    administrate("DROP");
    rmdir(directory);
    return 0;
}

int fixture_clear(void **state)
{
    (void)state;
    fixture_redis_start();
    fixture_redis_flush();
    fixture_execute("TRUNCATE outbox, task, schedule, effect");
    return 0;
}

static int worker_process(void)
{
    struct error error = {.code = ERR_OK};
    struct worker *worker;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (config_load(&error) || worker_start(4, &worker, &error))
        return 2;
    for (;;)
        pause();
}

pid_t fixture_worker_process(void)
{
    char *const argv[] = {"/proc/self/exe", "worker", NULL};
    return spawn(argv, false);
}

static void configure(void)
{
    char url[1024], redis_url[128];
    snprintf(directory, sizeof directory, "/tmp/cathay-work-%d.XXXXXX", (int)getpid());
    CHECK(mkdtemp(directory));
    snprintf(redis_socket, sizeof redis_socket, "%s/redis.sock", directory);
    snprintf(redis_url, sizeof redis_url, "unix://%s", redis_socket);
    snprintf(database, sizeof database, "work_test_%d", (int)getpid());
    database_url(getenv("TEST_DATABASE_URL"), database, url, sizeof url);
    setenv("DATABASE_URL", url, 1);
    setenv("REDIS_URL", redis_url, 1);
    setenv("CATHAY_TASK_LEASE_S", "1", 1);
    setenv("CATHAY_TASK_RETRY_BASE_S", "0", 1);
    setenv("CATHAY_RELAY_POLL_MS", "10", 1);
    setenv("CATHAY_SCHEDULE_TICK_MS", "50", 1);
    struct error error = {.code = ERR_OK};
    CHECK(config_load(&error) == ERR_OK);
}

int fixture_main(int argc, char **argv, const char *group, const struct CMUnitTest *tests, size_t count)
{
    log_start(getenv("TEST_LOG") ? LOG_DEBUG : LOG_ERROR, "/dev/null", (struct log_bounds){0});
    if (getenv("TEST_LOG")) {
        log_stop();
        log_start(LOG_DEBUG, getenv("TEST_LOG"), (struct log_bounds){0});
    }
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return worker_process();
    if (!getenv("TEST_DATABASE_URL")) {
        printf("1..0 # SKIP TEST_DATABASE_URL is not set\n");
        return 77;
    }
    configure();
    int failed = _cmocka_run_group_tests(group, tests, count, fixture_start, fixture_stop);
    log_stop();
    return failed;
}

/* ---- looking and doing ---- */

struct pg *fixture_db(void)
{
    return db;
}

#define SQL_MAX 2000
/* NOLINTBEGIN(clang-analyzer-valist.Uninitialized): clang-tidy 14 does not see this va_start */
#define FORMAT_SQL(sql, format)                                                                              \
    do {                                                                                                     \
        va_list args;                                                                                        \
        va_start(args, format);                                                                              \
        CHECK((size_t)vsnprintf(sql, SQL_MAX, format, args) < SQL_MAX);                                      \
        va_end(args);                                                                                        \
    } while (0)

static PGresult *observe(const char *sql)
{
    if (PQstatus(observer) != CONNECTION_OK)
        PQreset(observer);
    PGresult *result = PQexec(observer, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(observer));
    return result;
}

static int64_t number_of(const char *sql)
{
    PGresult *result = observe(sql);
    int64_t value = PQntuples(result) > 0 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : -1;
    PQclear(result);
    return value;
}

int64_t fixture_number(const char *format, ...)
{
    char sql[SQL_MAX];
    FORMAT_SQL(sql, format);
    return number_of(sql);
}

void fixture_execute(const char *format, ...)
{
    char sql[SQL_MAX];
    FORMAT_SQL(sql, format);
    PQclear(observe(sql));
}

void fixture_expect(int64_t expected, const char *format, ...)
{
    int64_t until_us = clock_monotonic_us() + (int64_t)WAIT_MS * 1000, value;
    char sql[SQL_MAX];
    FORMAT_SQL(sql, format);
    do {
        value = number_of(sql);
        if (value == expected)
            return;
        fixture_sleep_ms(20);
    } while (clock_monotonic_us() < until_us);
    fail_msg("%s: %lld instead of %lld", sql, (long long)value, (long long)expected);
}

/* NOLINTEND(clang-analyzer-valist.Uninitialized) */

struct publication {
    int count;
    bool roll_back;
};

static enum error_code publish(struct pg *on, void *context)
{
    const struct publication *publication = context;
    for (int i = 0; i < publication->count; i++) {
        struct event event = {.type = STR("thing.made"),
                              .aggregate_id = uuid_new(),
                              .sequence = 1,
                              .payload = STR("{\"n\":1}")};
        enum error_code code = outbox_publish(on, &event, NULL);
        if (code)
            return code;
    }
    return publication->roll_back ? ERR_CONFLICT : ERR_OK;
}

void fixture_publish(int count, bool roll_back)
{
    struct publication publication = {count, roll_back};
    assert_int_equal(pg_transaction(db, publish, &publication), roll_back ? ERR_CONFLICT : ERR_OK);
}

void fixture_enqueue(const char *name, const char *unique_key, int64_t delay_ms, const char *payload)
{
    struct task_request request = {.name = str_from(name),
                                   .unique_key = str_from(unique_key),
                                   .delay_ms = delay_ms,
                                   .aggregate_id = uuid_new(),
                                   .payload = str_from(payload)};
    assert_int_equal(task_enqueue(db, &request), ERR_OK);
}

void fixture_roles_start(struct roles *roles, int relays, int worker_threads)
{
    struct error error = {.code = ERR_OK};
    *roles = (struct roles){.worker = NULL};
    for (int i = 0; i < relays; i++)
        assert_int_equal(relay_start(&roles->relays[i], &error), ERR_OK);
    if (worker_threads > 0)
        assert_int_equal(worker_start(worker_threads, &roles->worker, &error), ERR_OK);
}

void fixture_roles_stop(struct roles *roles)
{
    worker_stop(roles->worker);
    for (size_t i = 0; i < 2; i++)
        relay_stop(roles->relays[i]);
    *roles = (struct roles){.worker = NULL};
}
