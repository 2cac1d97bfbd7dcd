/* The routes of the echo server; also used by the threaded test. */
#ifndef CATHAY_TESTS_ECHO_ROUTES_H
#define CATHAY_TESTS_ECHO_ROUTES_H

#include "http/server.h"

#include <pthread.h>

/* Options with the routes filled in. */
struct http_server_options echo_options(void);
/* Joins the threads that async answers have used; after the server has stopped. */
void echo_end(void);
/* How often /cached/{id} was computed. */
int64_t echo_computed(void);

#endif
