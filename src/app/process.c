#include "app/process.h"

#include "base/check.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "pg/migrate.h"
#include "redis/memory.h"
#include "work/work.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t started; /* modules whose start() has run */

static sigset_t stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (config()->log_file[0])
        sigaddset(&set, SIGHUP); /* whoever has moved the log file away says so */
    return set;
}

static void stop_modules(void)
{
    while (started > 0)
        if (modules[--started]->stop)
            modules[started]->stop();
}

static enum error_code start_modules(struct pg *db, struct error *error)
{
    for (started = 0; modules[started]; started++) {
        enum error_code code = modules[started]->start ? modules[started]->start(db, error) : ERR_OK;
        if (code) {
            stop_modules();
            return code;
        }
    }
    return ERR_OK;
}

/* What the supervisor above this process tells it; 0 without one. */
static void count_crashes(const char *role)
{
    char label[64];
    int64_t crashes = 0;
    const char *told = getenv(SUPERVISOR_CRASHES_VARIABLE);
    if (told && !str_to_int64(str_from(told), &crashes))
        crashes = 0;
    snprintf(label, sizeof label, "role=\"%s\"", role);
    metric_add(metric_counter("cathay_process_crashes_total",
                              "Ends of this role's process that its supervisor made up for", label),
               crashes);
}

#define DATABASE_RETRY_S 1

/* Until PostgreSQL takes connections: in a machine that starts, it may come later than we do. Its words are
 * told when they change. */
static enum error_code wait_for_database(const char *role, struct pg *db, struct error *error)
{
    char told[sizeof error->detail] = "";
    sigset_t set = stop_signals();
    while (pg_connect(db)) {
        const char *why = pg_error(db)->detail;
        if (strcmp(told, why) != 0) {
            fprintf(stderr, "cathay %s: waiting for PostgreSQL: %s\n", role, why);
            snprintf(told, sizeof told, "%s", why);
        }
        if (sigtimedwait(&set, NULL, &(struct timespec){.tv_sec = DATABASE_RETRY_S}) > 0)
            return error_set(error, ERR_DATABASE, "stopped while it waited for PostgreSQL");
    }
    return ERR_OK;
}

static enum error_code start_on(struct pg *db, const char *role, bool shop, struct error *error)
{
    enum error_code code = wait_for_database(role, db, error);
    if (!code && shop)
        code = migrate_check(db, error);
    if (!code && shop)
        code = redis_memory_check(config()->redis_url, error);
    return !code && shop ? start_modules(db, error) : code;
}

static enum error_code begin(const char *role, const char *database_url, bool shop)
{
    sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    check_signals_install(role);
    count_crashes(role);
    struct error error = {.code = ERR_OK};
    enum log_level level = LOG_INFO;
    enum error_code code = ERR_OK;
    if (!log_level_parse(str_from(config()->log_level), &level))
        code = error_set(&error, ERR_VALIDATION, "CATHAY_LOG_LEVEL: use debug, info, warn or error");
    const struct config *settings = config();
    log_start(level, settings->log_file[0] ? settings->log_file : NULL,
              (struct log_bounds){.bytes_per_s = settings->log_bytes_per_s,
                                  .file_bytes = settings->log_file_bytes,
                                  .files = settings->log_files});
    if (!code) {
        struct pg *db = pg_new(database_url, "cathay start", NULL);
        code = start_on(db, role, shop, &error);
        pg_free(db);
    }
    if (code) {
        log_stop();
        fprintf(stderr, "cathay %s: %s\n", role, error.detail[0] ? error.detail : error_title(code));
        return code;
    }
    log_write(LOG_INFO, "started", LOG_TEXT("role", role), LOG_INT("pid", getpid()));
    return ERR_OK;
}

enum error_code process_begin(const char *role)
{
    return begin(role, config()->database_url, true);
}

enum error_code process_begin_without_shop(const char *role, const char *database_url)
{
    return begin(role, database_url, false);
}

void process_wait(void)
{
    sigset_t set = stop_signals();
    int number = 0;
    while (sigwait(&set, &number) == 0 && number == SIGHUP)
        log_reopen();
    log_write(LOG_INFO, "stopping", LOG_INT("signal", number));
}

void process_end(const char *role)
{
    stop_modules();
    log_write(LOG_INFO, "stopped", LOG_TEXT("role", role));
    log_stop();
}

int process_only_help(int argc, char **argv, const char *help)
{
    if (argc == 1)
        return -1;
    if (strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    fprintf(stderr, "cathay %s: cannot make sense of \"%s\"; see cathay %s --help\n", argv[0], argv[1],
            argv[0]);
    return 2;
}
