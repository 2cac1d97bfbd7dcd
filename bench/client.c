#include "client.h"

#include "base/check.h"
#include "base/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define TIMER_SLACK_NS 1000 /* waits of less than a tenth of a millisecond have to end in time */

static struct {
    int epoll;
    size_t count, waiting;
    client_answered_fn *answered;
    bool told; /* that connections were lost */
    char request[CLIENT_REQUEST_MAX], answer[CLIENT_ANSWER_MAX];
} set;

static void rest_keep(struct client_rest *rest, const char *bytes, size_t len)
{
    char *copy = len ? malloc(len) : NULL;
    CHECK(copy || !len);
    if (len)
        memcpy(copy, bytes, len);
    free(rest->bytes);
    *rest = (struct client_rest){copy, len};
}

static void lost(struct client *client)
{
    if (!set.told)
        fprintf(stderr, "the server closed a connection: %s\n", strerror(errno));
    set.told = true;
    close(client->socket);
    client->socket = -1;
    if (client->waiting) {
        client->waiting = false;
        client->answer_len = 0;
        set.waiting--;
        set.answered(client, 0);
    }
}

static void write_some(struct client *client, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(client->socket, bytes, len);
        if (n < 0 && errno == EAGAIN)
            break; /* EPOLLOUT is edge-triggered: it comes when there is room */
        if (n <= 0) {
            lost(client);
            return;
        }
        bytes += n;
        len -= (size_t)n;
    }
    if (len != client->unsent.len)
        rest_keep(&client->unsent, bytes, len);
}

void client_send(struct client *client, size_t len)
{
    CHECK(!client->waiting && client->socket >= 0 && len <= CLIENT_REQUEST_MAX);
    rest_keep(&client->unsent, NULL, 0);
    rest_keep(&client->answered, NULL, 0);
    client->waiting = true;
    set.waiting++;
    write_some(client, client->request, len);
}

static bool whole(const char *answer, size_t len)
{
    const char *field = memmem(answer, len, "\r\nContent-Length: ", 18);
    const char *end = field ? memmem(field, (size_t)(answer + len - field), "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    size_t all = (size_t)(end - answer) + 4 + strtoul(field + 18, NULL, 10);
    CHECK(all <= CLIENT_ANSWER_MAX);
    return len >= all;
}

static void read_some(struct client *client)
{
    size_t len = client->answered.len;
    if (len)
        memcpy(set.answer, client->answered.bytes, len);
    for (;;) {
        ssize_t n = read(client->socket, set.answer + len, CLIENT_ANSWER_MAX - len);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            lost(client);
            return;
        }
        len += (size_t)n;
        if (!whole(set.answer, len))
            continue;
        int status = atoi(set.answer + 9);
        CHECK(status >= 100 && status < 600);
        client->waiting = false;
        client->answer = set.answer;
        client->answer_len = len;
        set.waiting--;
        set.answered(client, status);
        return; /* nothing is pipelined: what comes next is a new edge */
    }
    if (len != client->answered.len)
        rest_keep(&client->answered, set.answer, len);
}

void clients_turn(int64_t wait_us)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    int count = epoll_pwait2(set.epoll, events, EVENTS_MAX, &wait, NULL);
    for (int i = 0; i < count; i++) {
        struct client *client = events[i].data.ptr;
        if (events[i].events & EPOLLOUT && client->unsent.len && client->socket >= 0)
            write_some(client, client->unsent.bytes, client->unsent.len);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && client->socket >= 0 && client->waiting)
            read_some(client);
    }
}

size_t clients_waiting(void)
{
    return set.waiting;
}

bool client_answer_has(const struct client *client, struct str text)
{
    return memmem(client->answer, client->answer_len, text.ptr, text.len) != NULL;
}

static bool connect_tcp(int fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)config()->listen_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

static bool connect_unix(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CHECK(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

bool client_reconnect(struct client *client)
{
    const char *path = config()->listen_socket;
    CHECK(client->socket < 0 && !client->waiting);
    client->socket = socket(path[0] ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    CHECK(client->socket >= 0);
    if (path[0] ? !connect_unix(client->socket, path) : !connect_tcp(client->socket)) {
        close(client->socket);
        client->socket = -1;
        return false;
    }
    fcntl(client->socket, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = client};
    CHECK(epoll_ctl(set.epoll, EPOLL_CTL_ADD, client->socket, &event) == 0);
    return true;
}

struct client *clients_connect(size_t count, client_answered_fn *answered)
{
    signal(SIGPIPE, SIG_IGN); /* a server that left is an error of write() */
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    struct client *clients = calloc(count, sizeof *clients);
    CHECK(clients && count <= CLIENTS_MAX);
    set.count = count;
    set.epoll = epoll_create1(0);
    set.answered = answered;
    for (size_t i = 0; i < count; i++) {
        clients[i].socket = -1;
        clients[i].request = set.request;
        if (client_reconnect(&clients[i]))
            continue;
        fprintf(stderr, "no server on port %lld %s: %s\n", (long long)config()->listen_port,
                config()->listen_socket, strerror(errno));
        exit(2);
    }
    return clients;
}

void clients_free(struct client *clients)
{
    for (size_t i = 0; i < set.count; i++) {
        free(clients[i].unsent.bytes);
        free(clients[i].answered.bytes);
    }
    free(clients);
    close(set.epoll);
}
