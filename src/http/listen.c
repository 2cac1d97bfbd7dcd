/* Where connections come in: a TCP socket for each loop, and a Unix socket for a proxy on the same host where
 * one is configured, which all loops share. */
#include "base/check.h"
#include "base/config.h"
#include "http/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096
#define ACCEPTS_PER_TURN 256
#define SOCKET_MODE 0660 /* the proxy is in the server's group */

/* ---- a loop ---- */

/* Without a free descriptor accept() fails and the listener stays readable: one kept in reserve lets us take
 * the connection and close it. */
static void shed_connection(struct event_loop *loop, int listener)
{
    close(loop->spare_fd);
    int fd = accept(listener, NULL, NULL);
    if (fd >= 0)
        close(fd);
    loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    counter_add(&loop->metrics.refused, 1);
}

static void accept_waiting(struct event_loop *loop, int listener, int most)
{
    for (int i = 0; i < most; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        int fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            connection_accept(loop, fd, &peer);
        } else if (errno == EMFILE || errno == ENFILE) {
            shed_connection(loop, listener);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void on_acceptable(uv_poll_t *handle, int status, int events)
{
    const struct listener *listener = (const struct listener *)handle;
    (void)events;
    if (status == 0)
        accept_waiting(handle->data, listener->fd, ACCEPTS_PER_TURN);
}

void loop_listen(struct event_loop *loop, const int fds[LISTENERS_MAX])
{
    loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (; loop->listener_count < LISTENERS_MAX && fds[loop->listener_count] >= 0; loop->listener_count++) {
        struct listener *listener = &loop->listeners[loop->listener_count];
        listener->fd = fds[loop->listener_count];
        listener->poll.data = loop;
        CHECK(uv_poll_init(&loop->uv, &listener->poll, listener->fd) == 0);
        CHECK(uv_poll_start(&listener->poll, UV_READABLE, on_acceptable) == 0);
    }
}

static void on_listener_closed(uv_handle_t *handle)
{
    close(((struct listener *)handle)->fd);
}

void loop_listen_end(struct event_loop *loop)
{
    for (; loop->listener_count > 0; loop->listener_count--) {
        struct listener *listener = &loop->listeners[loop->listener_count - 1];
        accept_waiting(loop, listener->fd, BACKLOG); /* the kernel has promised them an answer */
        uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
    }
}

/* ---- TCP ---- */

static int listen_on(const struct addrinfo *address, bool shared)
{
    int on = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static void port_set(struct addrinfo *address, int port)
{
    if (address->ai_family == AF_INET)
        ((struct sockaddr_in *)(void *)address->ai_addr)->sin_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in6 *)(void *)address->ai_addr)->sin6_port = htons((uint16_t)port);
}

static int port_get(int fd)
{
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof bound;
    CHECK(getsockname(fd, (struct sockaddr *)&bound, &len) == 0);
    /* zeroed above and filled by the kernel: NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage) */
    return ntohs(bound.ss_family == AF_INET ? ((struct sockaddr_in *)(void *)&bound)->sin_port
                                            : ((struct sockaddr_in6 *)(void *)&bound)->sin6_port);
}

/* One socket a loop. The first try is without SO_REUSEPORT, so that a port which another program holds is an
 * error, not shared with it by accident. */
static enum error_code listen_tcp(struct http_server *server, int fds[LOOPS_MAX][LISTENERS_MAX],
                                  struct error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found = NULL;
    char port[12];
    snprintf(port, sizeof port, "%d", server->options.port);
    int failed = getaddrinfo(server->host, port, &hints, &found);
    if (failed)
        return error_set(error, ERR_VALIDATION, "cannot listen on \"%s\": %s", server->host,
                         gai_strerror(failed));
    int count = 0, fd = listen_on(found, false);
    if (fd >= 0) {
        server->port = port_get(fd);
        port_set(found, server->port);
        if (server->loop_count == 1) {
            fds[count++][0] = fd;
        } else {
            close(fd);
            while (count < server->loop_count && (fds[count][0] = listen_on(found, true)) >= 0)
                count++;
        }
    }
    int why = errno;
    freeaddrinfo(found);
    if (count == server->loop_count)
        return ERR_OK;
    while (count > 0)
        close(fds[--count][0]);
    return error_set(error, ERR_VALIDATION, "cannot listen on %s:%d: %s%s", server->host,
                     server->options.port, strerror(why),
                     why == EADDRINUSE ? " (another program holds that port)" : "");
}

/* ---- a Unix socket ---- */

/* A server that was killed leaves its socket: nobody answers there, so it may be replaced. */
static bool is_abandoned(const struct sockaddr_un *address)
{
    struct stat found;
    if (lstat(address->sun_path, &found) != 0 || !S_ISSOCK(found.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return refused;
}

static int bind_unix(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int failed = bind(fd, (const struct sockaddr *)address, sizeof *address);
    if (failed && errno == EADDRINUSE && is_abandoned(address) && unlink(address->sun_path) == 0)
        failed = bind(fd, (const struct sockaddr *)address, sizeof *address);
    if (!failed && chmod(address->sun_path, SOCKET_MODE) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static enum error_code listen_unix(struct http_server *server, int fds[LOOPS_MAX][LISTENERS_MAX],
                                   struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(server->socket) >= sizeof address.sun_path)
        return error_set(error, ERR_VALIDATION,
                         "cannot listen on a socket whose path has more than %zu bytes: %s",
                         sizeof address.sun_path - 1, server->socket);
    memcpy(address.sun_path, server->socket, strlen(server->socket));
    int fd = bind_unix(&address);
    if (fd < 0)
        return error_set(error, ERR_VALIDATION, "cannot listen on %s: %s%s", server->socket, strerror(errno),
                         errno == EADDRINUSE ? " (another program listens there, or it is no socket)" : "");
    for (int i = 0; i < server->loop_count; i++) {
        fds[i][1] = i == 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 0);
        CHECK(fds[i][1] >= 0);
    }
    return ERR_OK;
}

enum error_code server_listen(struct http_server *server, int fds[LOOPS_MAX][LISTENERS_MAX],
                              struct error *error)
{
    for (int i = 0; i < LOOPS_MAX; i++)
        for (int k = 0; k < LISTENERS_MAX; k++)
            fds[i][k] = -1;
    enum error_code code = listen_tcp(server, fds, error);
    if (code || !server->socket)
        return code;
    code = listen_unix(server, fds, error);
    for (int i = 0; code && i < server->loop_count; i++)
        close(fds[i][0]);
    return code;
}

void server_listen_end(const struct http_server *server)
{
    if (server->socket)
        unlink(server->socket);
}
