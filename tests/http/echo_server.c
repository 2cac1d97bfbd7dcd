/* A server with a few routes of its own, for tests of the HTTP layer: no shop, no database. Prints its port,
 * stops at SIGTERM. Settings as for the shop (CATHAY_…). */
#include "api.h"
#include "base/check.h"
#include "base/config.h"
#include "base/log.h"
#include "echo_routes.h"
#include "http/server.h"

#include <signal.h>
#include <stdio.h>

int main(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct error error = {.code = ERR_OK};
    if (config_load(&error)) {
        fprintf(stderr, "%s\n", error.detail);
        return 2;
    }
    enum log_level level = LOG_INFO;
    log_level_parse(str_from(config()->log_level), &level);
    const struct config *settings = config();
    log_start(level, settings->log_file[0] ? settings->log_file : NULL,
              (struct log_bounds){.bytes_per_s = settings->log_bytes_per_s,
                                  .file_bytes = settings->log_file_bytes,
                                  .files = settings->log_files});
    struct http_server_options options = echo_options();
    options.host = config()->listen_host;
    options.port = (int)config()->listen_port;
    options.socket = config()->listen_socket;
    options.loops = (int)config()->loops;
    options.workers = (int)config()->workers;
    struct http_server *server;
    if (http_server_start(&options, &server, &error)) {
        fprintf(stderr, "%s\n", error.detail);
        return 1;
    }
    printf("port %d\n", http_server_port(server));
    fflush(stdout);
    int number;
    sigwait(&set, &number);
    http_server_stop(server);
    echo_end();
    log_stop();
    return 0;
}
