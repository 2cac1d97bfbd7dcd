/* The roles without shoppers: `worker` and `scheduler`. Where a port is set, they tell operators how they
 * are. */
#include "app/commands.h"

#include "api.h"
#include "app/process.h"
#include "base/config.h"
#include "http/server.h"
#include "work/work.h"

#include <stdio.h>
#include <string.h>

static const char worker_help[] = "Usage: cathay worker\n"
                                  "\n"
                                  "Turns events into tasks and runs them, on CATHAY_TASK_WORKERS threads, "
                                  "until SIGTERM or Ctrl-C; running tasks are\n"
                                  "ended first. Start as many as you like, on as many machines.\n";
static const char scheduler_help[] =
    "Usage: cathay scheduler\n"
    "\n"
    "Starts periodic tasks when they are due. Any number may run: one leads, the others wait to take over.\n";

/* The server's own operations, out of the contract's: what /metrics tells is of this process. */
static enum error_code operations_start(struct http_server **server, struct error *error)
{
    static const enum api_operation operations[] = {API_OPERATION_LIVE_SHOW, API_OPERATION_READY_SHOW,
                                                    API_OPERATION_METRICS_SHOW};
    static struct api_route routes[sizeof operations / sizeof *operations];
    *server = NULL;
    if (config()->ops_port == 0)
        return ERR_OK;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        memcpy(&routes[i], &api_routes[operations[i]], sizeof *routes);
    struct http_server_options options = {
        .host = config()->listen_host,
        .port = (int)config()->ops_port,
        .routes = routes,
        .route_count = sizeof operations / sizeof *operations,
        .loops = 1,
        .database_url = config()->database_url,
    };
    return http_server_start(&options, server, error);
}

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
    enum error_code code = operations_start(&operations, &error);
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
    enum error_code code = operations_start(&operations, &error);
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
