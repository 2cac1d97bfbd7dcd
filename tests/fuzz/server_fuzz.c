/* A connection to a running server, with the echo server's routes: requests that succeed, fail and are cut
 * off, one after the other on exchanges that are used again, with all that a server does about them (access
 * log, trace, problem documents, limits of sizes). Whatever comes, it answers or closes, and what it answers
 * is HTTP. The first byte chooses where the input is cut in two writes. */
#include "../http/echo_routes.h"
#include "base/check.h"
#include "base/config.h"
#include "base/log.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ANSWER_WAIT_MS 20000 /* past what a hanging server is */

static char path[96];

static struct sockaddr_un address_of_server(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static struct http_server *server;
    snprintf(path, sizeof path, "/tmp/cathay-server-fuzz-%d", (int)getpid());
    struct error error = {.code = ERR_OK};
    setenv("CATHAY_LISTEN_SOCKET", path, 1);
    setenv("CATHAY_LISTEN_PORT", "0", 1);
    CHECK(config_load(&error) == ERR_OK);
    log_start(LOG_INFO, "/dev/null", (struct log_bounds){0}); /* lines are made, and thrown away */
    struct http_server_options options = echo_options();
    options.host = "127.0.0.1";
    options.socket = path;
    options.loops = 1;
    options.workers = 1;
    CHECK(http_server_start(&options, &server, &error) == ERR_OK);
    return 0;
}

/* Reads until the server closes. */
static void read_answers(int fd)
{
    char first[5] = "";
    size_t total = 0;
    for (;;) {
        char bytes[65536];
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        CHECK(poll(&ready, 1, ANSWER_WAIT_MS) == 1);
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0)
            break;
        for (size_t i = 0; i < (size_t)got && total + i < sizeof first; i++)
            first[total + i] = bytes[i];
        total += (size_t)got;
    }
    CHECK(total == 0 || (total > sizeof first && memcmp(first, "HTTP/", sizeof first) == 0));
}

static void send_bytes(int fd, const uint8_t *bytes, size_t len)
{
    while (len) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* it has closed: what came too much is not wanted */
        bytes += sent;
        len -= (size_t)sent;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct sockaddr_un address = address_of_server();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    size_t cut = data[0] % size;
    data++;
    size--;
    if (cut > size)
        cut = size;
    send_bytes(fd, data, cut);
    send_bytes(fd, data + cut, size - cut);
    shutdown(fd, SHUT_WR);
    read_answers(fd);
    close(fd);
    return 0;
}
