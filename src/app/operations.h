/* The port for operators: /livez, /readyz and /metrics, and nothing else. */
#ifndef CATHAY_APP_OPERATIONS_H
#define CATHAY_APP_OPERATIONS_H

#include "http/server.h"

/* Where ops_port is set; else *server is NULL. It tells of `watched`, which has to be stopped after it, or of
 * this process where that is NULL. */
enum error_code operations_start(struct http_server *watched, struct http_server **server,
                                 struct error *error);

#endif
