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
#include <unistd.h>

#define EVENTS_MAX 256
#define TIMER_SLACK_NS 1000 /* waits of less than a tenth of a millisecond have to end in time */

static struct {
    int epoll;
    size_t waiting;
    client_answered_fn *answered;
    bool told; /* that connections were lost */
} set;

static void lost(struct client *client)
{
    if (!set.told)
        fprintf(stderr, "the server closed a connection: %s\n", strerror(errno));
    set.told = true;
    close(client->socket);
    client->socket = -1;
    if (client->waiting) {
        client->waiting = false;
        set.waiting--;
        set.answered(client, 0);
    }
}

static void write_some(struct client *client)
{
    while (client->written < client->request_len) {
        ssize_t n =
            write(client->socket, client->request + client->written, client->request_len - client->written);
        if (n < 0 && errno == EAGAIN)
            return; /* EPOLLOUT is edge-triggered: it comes when there is room */
        if (n <= 0) {
            lost(client);
            return;
        }
        client->written += (size_t)n;
    }
}

void client_send(struct client *client, size_t len)
{
    CHECK(!client->waiting && client->socket >= 0 && len <= CLIENT_REQUEST_MAX);
    client->request_len = len;
    client->written = client->answer_len = 0;
    client->waiting = true;
    set.waiting++;
    write_some(client);
}

static bool whole(const struct client *client)
{
    const char *end = memmem(client->answer, client->answer_len, "\r\n\r\n", 4);
    if (!end)
        return false;
    size_t head = (size_t)(end - client->answer) + 4;
    const char *field = memmem(client->answer, head, "\r\nContent-Length: ", 18);
    CHECK(field);
    size_t all = head + strtoul(field + 18, NULL, 10);
    CHECK(all <= CLIENT_ANSWER_MAX);
    return client->answer_len >= all;
}

static void read_some(struct client *client)
{
    for (;;) {
        ssize_t n =
            read(client->socket, client->answer + client->answer_len, CLIENT_ANSWER_MAX - client->answer_len);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            lost(client);
            return;
        }
        client->answer_len += (size_t)n;
        if (!whole(client))
            continue;
        int status = atoi(client->answer + 9);
        CHECK(status >= 100 && status < 600);
        client->waiting = false;
        set.waiting--;
        set.answered(client, status);
        return; /* nothing is pipelined: what comes next is a new edge */
    }
}

void clients_turn(int64_t wait_us)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    int count = epoll_pwait2(set.epoll, events, EVENTS_MAX, &wait, NULL);
    for (int i = 0; i < count; i++) {
        struct client *client = events[i].data.ptr;
        if (events[i].events & EPOLLOUT && client->socket >= 0)
            write_some(client);
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

bool client_reconnect(struct client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)config()->listen_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    CHECK(client->socket < 0 && !client->waiting);
    client->socket = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(client->socket >= 0);
    if (connect(client->socket, (struct sockaddr *)&address, sizeof address)) {
        close(client->socket);
        client->socket = -1;
        return false;
    }
    setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
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
    set.epoll = epoll_create1(0);
    set.answered = answered;
    for (size_t i = 0; i < count; i++) {
        clients[i].socket = -1;
        if (client_reconnect(&clients[i]))
            continue;
        fprintf(stderr, "no server on port %lld: %s\n", (long long)config()->listen_port, strerror(errno));
        exit(2);
    }
    return clients;
}

void clients_free(struct client *clients)
{
    free(clients);
    close(set.epoll);
}
