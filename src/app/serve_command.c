/* The roles that serve HTTP: `serve`, `sandbox`, and `all`, which runs everything in one process for one
 * machine. Roles are started from the bottom up and stopped from the top down, so that nothing is left
 * without what it stands on. */
#include "app/commands.h"

#include "api.h"
#include "app/operations.h"
#include "app/process.h"
#include "base/config.h"
#include "http/server.h"
#include "sandbox/sandbox.h"
#include "shop/accounts/accounts.h"
#include "shop/checkout/checkout.h"
#include "shop/payments/payments.h"
#include "shop/sale/sale.h"
#include "work/work.h"

#include <stdio.h>

struct roles {
    bool everything; /* worker, relay and scheduler too, and the sandbox where it is asked for */
    struct sandbox *sandbox;
    struct relay *relay;
    struct worker *worker;
    struct scheduler *scheduler;
    struct http_server *server, *operations;
    bool live, engine, sales;
};

static enum error_code start_background(struct roles *roles, struct error *error)
{
    enum error_code code = config()->sandbox ? sandbox_start(&roles->sandbox, error) : ERR_OK;
    if (!code)
        code = relay_start(&roles->relay, error);
    if (!code)
        code = worker_start((int)config()->task_workers, &roles->worker, error);
    return code ? code : scheduler_start(&roles->scheduler, error);
}

static void invalidate(struct str kind, struct uuid id)
{
    http_cache_invalidate(kind, id);
    sale_invalidate(kind, id);
}

static enum error_code start(struct roles *roles, struct error *error)
{
    const struct config *settings = config();
    enum error_code code = roles->everything ? start_background(roles, error) : ERR_OK;
    if (!code)
        code = live_start(error);
    if (code)
        return code;
    roles->live = true;
    accounts_revoked_start();
    struct checkout_options checkout = {
        .database_url = settings->database_url,
        .lanes = (int)settings->lanes,
        .batch_max = (size_t)settings->batch_max,
        .queue_max = (size_t)settings->checkout_queue,
        .wait_max_ms = settings->checkout_wait_ms,
        .reservation_s = settings->reservation_s,
    };
    code = checkout_engine_start(&checkout, error);
    if (code)
        return code;
    roles->engine = true;
    struct payments_webhooks_options webhooks = {
        .database_url = settings->database_url,
        .lanes = (int)settings->webhook_lanes,
        .batch_max = (size_t)settings->webhook_batch_max,
        .queue_max = (size_t)settings->webhook_queue,
        .wait_max_ms = settings->queue_wait_ms,
    };
    code = payments_webhooks_start(&webhooks, error);
    if (code)
        return code;
    code = sale_start(settings->database_url, settings->redis_url, error);
    if (code)
        return code;
    roles->sales = true;
    live_on_invalidate(invalidate);
    api_patterns_compile();
    struct http_server_options http = {
        .host = settings->listen_host,
        .port = (int)settings->listen_port,
        .socket = settings->listen_socket,
        .routes = api_routes,
        .route_count = API_OPERATION_COUNT,
        .loops = (int)settings->loops,
        .workers = (int)settings->workers,
        .authenticate = accounts_authenticate,
        .session = accounts_session,
        .session_ask = accounts_session_check,
        .database_url = settings->database_url,
        .rate_limits = settings->limit_scale_percent > 0,
        .shared_cache = true,
    };
    code = http_server_start(&http, &roles->server, error);
    return code ? code : operations_start(roles->server, &roles->operations, error);
}

static void stop(struct roles *roles)
{
    http_server_stop(roles->operations);
    http_server_stop(roles->server);
    if (roles->sales)
        sale_stop();
    payments_webhooks_stop();
    if (roles->engine)
        checkout_engine_stop();
    accounts_revoked_stop();
    if (roles->live)
        live_stop();
    if (roles->everything) {
        scheduler_stop(roles->scheduler);
        worker_stop(roles->worker);
        relay_stop(roles->relay);
        sandbox_stop(roles->sandbox);
    }
}

static int run(struct roles *roles, const char *name)
{
    if (process_begin(name))
        return 2;
    struct error error = {.code = ERR_OK};
    enum error_code code = start(roles, &error);
    if (code) {
        fprintf(stderr, "cathay %s: %s\n", name, error.detail[0] ? error.detail : error_title(code));
    } else {
        printf("listening on http://%s:%d\n", config()->listen_host, http_server_port(roles->server));
        fflush(stdout);
        process_wait();
    }
    stop(roles);
    process_end(name);
    return code ? 2 : 0;
}

int serve_command(int argc, char **argv)
{
    int status = process_only_help(
        argc, argv,
        "Usage: cathay serve\n\nServes the shop over HTTP on CATHAY_LISTEN_HOST and CATHAY_LISTEN_PORT "
        "until SIGTERM or Ctrl-C; open requests are\nanswered first. Any number of servers may share one "
        "database and one Redis.\n");
    struct roles roles = {.everything = false};
    return status >= 0 ? status : run(&roles, "serve");
}

int sandbox_command(int argc, char **argv)
{
    int status = process_only_help(
        argc, argv,
        "Usage: cathay sandbox\n\nServes the partners for development and tests: a payment gateway with a "
        "hosted page, a "
        "carrier whose parcels move,\na mailbox. They keep what they know in a schema of their own.\n");
    if (status >= 0)
        return status;
    if (process_begin_without_shop("sandbox", sandbox_database()))
        return 2;
    struct error error = {.code = ERR_OK};
    struct sandbox *sandbox = NULL;
    enum error_code code = sandbox_start(&sandbox, &error);
    if (code) {
        fprintf(stderr, "cathay sandbox: %s\n", error.detail[0] ? error.detail : error_title(code));
    } else {
        printf("listening on http://%s:%d\n", config()->sandbox_host, sandbox_port(sandbox));
        fflush(stdout);
        process_wait();
    }
    sandbox_stop(sandbox);
    process_end("sandbox");
    return code ? 2 : 0;
}

int all_command(int argc, char **argv)
{
    int status = process_only_help(
        argc, argv,
        "Usage: cathay all\n\nRuns serve, worker and scheduler in one process, for one machine; the "
        "sandbox partners too with CATHAY_SANDBOX=1.\n");
    struct roles roles = {.everything = true};
    return status >= 0 ? status : run(&roles, "all");
}
