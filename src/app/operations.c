#include "app/operations.h"

#include "api.h"
#include "base/config.h"

#include <string.h>

/* The server's own operations, out of the contract's. */
enum error_code operations_start(struct http_server *watched, struct http_server **server,
                                 struct error *error)
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
        .database_url = watched ? NULL : config()->database_url,
        .operations = true,
        .watched = watched,
    };
    return http_server_start(&options, server, error);
}
