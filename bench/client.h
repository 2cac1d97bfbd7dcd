/* Connections of the benchmarks' programs: HTTP/1.1 to the server of the configuration over loopback, or over
 * its Unix socket where it has one, with one request in flight on each. epoll, one thread, one set in a
 * process. Requests are written and answers read in one place for all: thousands of connections with buffers
 * of their own would push each other, and the server that is measured, out of the processor's caches. */
#ifndef CATHAY_BENCH_CLIENT_H
#define CATHAY_BENCH_CLIENT_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define CLIENTS_MAX 8192
#define CLIENT_REQUEST_MAX 8192
#define CLIENT_ANSWER_MAX 32768

/* What a socket did not take, or give, at once; malloc'ed. */
struct client_rest {
    char *bytes;
    size_t len;
};

struct client {
    int socket; /* -1: the server has closed it */
    bool waiting;
    char *request;      /* room for CLIENT_REQUEST_MAX: the next one to be sent, whoever sends it */
    const char *answer; /* while answered() runs */
    size_t answer_len;
    struct client_rest unsent, answered;
};

/* Status 0: the connection was lost. It may send the next request. */
typedef void client_answered_fn(struct client *client, int status);

/* Ends the process with status 2 where nothing listens. */
struct client *clients_connect(size_t count, client_answered_fn *answered);
void clients_free(struct client *clients);
/* Sends the first `len` bytes of client->request, which is free again then. */
void client_send(struct client *client, size_t len);
/* Connects anew after the connection was lost. False: nobody listens. Blocks for a moment of loopback. */
bool client_reconnect(struct client *client);
/* Handles what arrives within wait_us; returns after the first events. */
void clients_turn(int64_t wait_us);
/* Requests in flight. */
size_t clients_waiting(void);
bool client_answer_has(const struct client *client, struct str text);

#endif
