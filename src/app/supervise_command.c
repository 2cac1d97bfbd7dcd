/* A parent that does nothing but keep one role running: small enough to have no bugs of the shop's own. What
 * was acknowledged lies in PostgreSQL, so a process that crashed is simply started again.
 *
 * A role that cannot start at all (a wrong setting, a database without its schema) ends with a line of its
 * own and is not tried again. One that crashes again and again within a minute of its start is given up, so
 * that whoever stands above (systemd, ./run) hears of it. */
#include "app/commands.h"

#include "app/process.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define QUICK_US (INT64_C(60) * 1000000) /* a run that is shorter counts as quick */
#define QUICK_CRASHES_MAX 6              /* one after the other: some half a minute with their pauses */
#define PAUSE_FIRST_MS 200
#define PAUSE_MOST_MS 10000
#define STATUS_CANNOT_START 2 /* see commands.h */

static const char help[] =
    "Usage: cathay supervise ROLE\n"
    "\n"
    "Runs `cathay ROLE` (all, serve, worker, scheduler, sandbox) and starts it again when it crashes, after "
    "a\n"
    "pause that doubles; gives up after six crashes in a row, each within a minute of its start. Signals "
    "are\n"
    "passed on. /metrics of the role counts its crashes: cathay_process_crashes_total.\n";

static bool is_role(const char *name)
{
    static const char *const roles[] = {"all", "serve", "worker", "scheduler", "sandbox"};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(roles[i], name) == 0)
            return true;
    return false;
}

struct supervisor {
    const char *role;
    sigset_t signals, before;
    pid_t pid, child;
    int64_t crashes;
    int quick; /* crashes in a row, each soon after its start */
    bool stopping;
};

/* The child ends with its parent, as gracefully as by a signal of whoever ends the parent. */
static void run_role(const struct supervisor *self)
{
    char count[24];
    snprintf(count, sizeof count, "%lld", (long long)self->crashes);
    setenv(SUPERVISOR_CRASHES_VARIABLE, count, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != self->pid)
        _exit(0); /* it ended before that was set */
    sigprocmask(SIG_SETMASK, &self->before, NULL);
    char name[16];
    snprintf(name, sizeof name, "%s", self->role);
    char *arguments[] = {(char[]){"cathay"}, name, NULL};
    execv("/proc/self/exe", arguments);
    _exit(STATUS_CANNOT_START);
}

static bool start_role(struct supervisor *self)
{
    self->child = fork();
    if (self->child == 0)
        run_role(self);
    return self->child > 0;
}

/* SIGHUP says that the log file was moved away, or, where there is none, that the terminal is gone. */
static void pass_on(struct supervisor *self, int number)
{
    bool stops = number != SIGHUP || !config()->log_file[0];
    self->stopping |= stops;
    if (self->child > 0)
        kill(self->child, stops ? SIGTERM : number);
}

/* The status that waitpid() gives. */
static int wait_role(struct supervisor *self)
{
    for (;;) {
        int status;
        pid_t ended = waitpid(self->child, &status, WNOHANG);
        if (ended == self->child) {
            self->child = 0;
            return status;
        }
        int number = 0;
        if (sigwait(&self->signals, &number) == 0 && number != SIGCHLD)
            pass_on(self, number);
    }
}

/* True: a signal to stop came meanwhile. */
static bool pause_for(struct supervisor *self, int64_t ms)
{
    int64_t until_us = clock_monotonic_us() + ms * 1000;
    for (int64_t left_us; (left_us = until_us - clock_monotonic_us()) > 0 && !self->stopping;) {
        struct timespec left = {left_us / 1000000, left_us % 1000000 * 1000};
        int number = sigtimedwait(&self->signals, NULL, &left);
        if (number > 0 && number != SIGCHLD)
            pass_on(self, number);
    }
    return self->stopping;
}

static int64_t pause_ms(int quick)
{
    int64_t ms = PAUSE_FIRST_MS;
    for (int i = 1; i < quick && ms < PAUSE_MOST_MS; i++)
        ms *= 2;
    return ms < PAUSE_MOST_MS ? ms : PAUSE_MOST_MS;
}

static int exit_status(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Whether to start it again; else *result is the supervisor's own exit status. */
static bool crashed(struct supervisor *self, int status, int64_t ran_us, int *result)
{
    bool ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool cannot_start = WIFEXITED(status) && WEXITSTATUS(status) == STATUS_CANNOT_START && self->crashes == 0;
    *result = exit_status(status);
    if (self->stopping || ended_well || cannot_start)
        return false;
    self->crashes++;
    self->quick = ran_us < QUICK_US ? self->quick + 1 : 1;
    bool again = self->quick < QUICK_CRASHES_MAX;
    log_write(LOG_ERROR, "a process has crashed", LOG_TEXT("role", self->role),
              LOG_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
              LOG_INT("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0),
              LOG_INT("crashes", self->crashes), LOG_INT("ran_ms", ran_us / 1000),
              LOG_BOOL("starts_again", again));
    if (!again)
        fprintf(stderr, "cathay supervise: %s crashed %d times, each soon after its start; given up\n",
                self->role, self->quick);
    return again;
}

static int supervise(struct supervisor *self)
{
    for (;;) {
        int64_t started_us = clock_monotonic_us();
        if (!start_role(self)) {
            fprintf(stderr, "cathay supervise: cannot start a process: %s\n", strerror(errno));
            return STATUS_CANNOT_START;
        }
        int result, status = wait_role(self);
        if (!crashed(self, status, clock_monotonic_us() - started_us, &result))
            return result;
        if (pause_for(self, pause_ms(self->quick)))
            return 0;
    }
}

int supervise_command(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    if (argc != 2 || !is_role(argv[1])) {
        fputs("cathay supervise: which role? all, serve, worker, scheduler or sandbox\n", stderr);
        return 2;
    }
    struct supervisor self = {.role = argv[1], .pid = getpid()};
    static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigemptyset(&self.signals);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaddset(&self.signals, passed_on[i]);
    sigprocmask(SIG_BLOCK, &self.signals, &self.before);
    return supervise(&self);
}
