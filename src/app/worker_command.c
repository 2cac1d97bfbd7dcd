/* The roles without shoppers: `worker` and `scheduler`. Where a port is set, they tell operators how they
 * are. */
#include "app/commands.h"

#include "app/operations.h"
#include "app/process.h"
#include "base/config.h"
#include "http/server.h"
#include "work/work.h"

#include <stdio.h>

static const char worker_help[] = "Usage: cathay worker\n"
                                  "\n"
                                  "Turns events into tasks and runs them, on CATHAY_TASK_WORKERS threads, "
                                  "until SIGTERM or Ctrl-C; running tasks are\n"
                                  "ended first. Start as many as you like, on as many machines.\n";
static const char scheduler_help[] =
    "Usage: cathay scheduler\n"
    "\n"
    "Starts periodic tasks when they are due. Any number may run: one leads, the others wait to take over.\n";

int worker_command(int argc, char **argv)
{
    int status = process_only_help(argc, argv, worker_help);
    if (status >= 0)
        return status;
    if (process_begin("worker"))
        return 2;
    struct error error = {.code = ERR_OK};
    struct relay *relay = NULL;
    struct worker *worker = NULL;
    struct http_server *operations;
    enum error_code code = operations_start(NULL, &operations, &error);
    if (!code)
        code = relay_start(&relay, &error);
    if (!code)
        code = worker_start((int)config()->task_workers, &worker, &error);
    if (code)
        fprintf(stderr, "cathay worker: %s\n", error.detail);
    else
        process_wait();
    worker_stop(worker);
    relay_stop(relay);
    http_server_stop(operations);
    process_end("worker");
    return code ? 2 : 0;
}

int scheduler_command(int argc, char **argv)
{
    int status = process_only_help(argc, argv, scheduler_help);
    if (status >= 0)
        return status;
    if (process_begin("scheduler"))
        return 2;
    struct error error = {.code = ERR_OK};
    struct scheduler *scheduler = NULL;
    struct http_server *operations;
    enum error_code code = operations_start(NULL, &operations, &error);
    if (!code)
        code = scheduler_start(&scheduler, &error);
    if (code)
        fprintf(stderr, "cathay scheduler: %s\n", error.detail);
    else
        process_wait();
    scheduler_stop(scheduler);
    http_server_stop(operations);
    process_end("scheduler");
    return code ? 2 : 0;
}
