/* The SMTP server: a few threads accept from one listening socket and serve a connection each, one command
 * after the other. */
#include "sandbox/mailbox.h"

#include "base/check.h"
#include "base/config.h"
#include "base/log.h"
#include "base/thread.h"
#include "mailbox_sql.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    int listener;
    pthread_t threads[MAILBOX_THREADS];
    size_t started;
    atomic_bool stopping;
} smtp = {.listener = -1};

struct session {
    int fd;
    struct pg *db;
    struct arena *arena;
    char in[MAILBOX_LINE_MAX];
    size_t in_len, in_at;
    bool has_sender, over;
    char sender[256];
    size_t recipient_count;
    char recipients[MAILBOX_RECIPIENTS_MAX][256];
};

/* ---- bytes ---- */

static bool wait_for(struct session *session, short events)
{
    for (int waited_ms = 0; waited_ms < MAILBOX_TIMEOUT_S * 1000; waited_ms += 100) {
        if (atomic_load(&smtp.stopping))
            return false;
        struct pollfd poll_fd = {.fd = session->fd, .events = events};
        int ready = poll(&poll_fd, 1, 100);
        if (ready != 0)
            return ready > 0;
    }
    return false;
}

static bool byte_next(struct session *session, char *byte)
{
    if (session->in_at == session->in_len) {
        if (!wait_for(session, POLLIN))
            return false;
        ssize_t got = recv(session->fd, session->in, sizeof session->in, 0);
        if (got <= 0)
            return false;
        session->in_len = (size_t)got;
        session->in_at = 0;
    }
    *byte = session->in[session->in_at++];
    return true;
}

/* A line without its end; false when the connection is over. Too long a line is cut and marked. */
static bool line_read(struct session *session, char *line, size_t size, size_t *len, bool *too_long)
{
    *len = 0;
    *too_long = false;
    char byte;
    while (byte_next(session, &byte)) {
        if (byte == '\n') {
            if (*len > 0 && line[*len - 1] == '\r')
                (*len)--;
            return true;
        }
        if (*len < size)
            line[(*len)++] = byte;
        else
            *too_long = true;
    }
    return false;
}

static void reply(struct session *session, const char *text)
{
    struct str rest = str_from(text);
    while (rest.len > 0) {
        if (!wait_for(session, POLLOUT)) {
            session->over = true;
            return;
        }
        ssize_t sent = send(session->fd, rest.ptr, rest.len, MSG_NOSIGNAL);
        if (sent <= 0) {
            session->over = true;
            return;
        }
        rest = (struct str){rest.ptr + sent, rest.len - (size_t)sent};
    }
}

/* ---- commands ---- */

static void forget(struct session *session)
{
    session->has_sender = false;
    session->recipient_count = 0;
}

/* The address between '<' and '>' behind "FROM:" or "TO:"; the parameters behind it. */
static bool path_of(struct str argument, const char *keyword, char out[256], struct str *parameters)
{
    struct str word = str_from(keyword);
    if (argument.len < word.len || !str_equal_ignoring_case((struct str){argument.ptr, word.len}, word))
        return false;
    argument = str_trim((struct str){argument.ptr + word.len, argument.len - word.len});
    const char *close =
        argument.len > 1 && argument.ptr[0] == '<' ? memchr(argument.ptr, '>', argument.len) : NULL;
    if (!close || (size_t)(close - argument.ptr) > 255)
        return false;
    size_t len = (size_t)(close - argument.ptr) - 1;
    for (size_t i = 0; i < len; i++) {
        char c = argument.ptr[1 + i];
        if ((unsigned char)c <= ' ' || (unsigned char)c >= 0x7f)
            return false;
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    out[len] = 0;
    *parameters = str_trim((struct str){close + 1, argument.len - len - 2});
    return true;
}

static void on_mail(struct session *session, struct str argument)
{
    struct str parameters;
    if (session->has_sender) {
        reply(session, "503 5.5.1 One mail at a time\r\n");
        return;
    }
    if (!path_of(argument, "FROM:", session->sender, &parameters)) {
        reply(session, "501 5.5.4 MAIL FROM:<address>\r\n");
        return;
    }
    while (parameters.ptr && parameters.len > 0) {
        struct str value = str_split(&parameters, ' ');
        struct str name = str_split(&value, '=');
        int64_t size;
        if (str_equal_ignoring_case(name, STR("SIZE")) && str_to_int64(value, &size) &&
            size > (int64_t)MAILBOX_MESSAGE_MAX) {
            reply(session, "552 5.3.4 The message is too large\r\n");
            return;
        }
    }
    session->has_sender = true;
    reply(session, "250 2.1.0 Go on\r\n");
}

static void on_rcpt(struct session *session, struct str argument)
{
    struct str parameters;
    char *recipient = session->recipients[session->recipient_count % MAILBOX_RECIPIENTS_MAX];
    if (!session->has_sender)
        reply(session, "503 5.5.1 MAIL first\r\n");
    else if (session->recipient_count == MAILBOX_RECIPIENTS_MAX)
        reply(session, "452 4.5.3 Too many recipients\r\n");
    else if (!path_of(argument, "TO:", recipient, &parameters) || !*recipient)
        reply(session, "501 5.5.4 RCPT TO:<address>\r\n");
    else {
        session->recipient_count++;
        reply(session, "250 2.1.5 Go on\r\n");
    }
}

static enum error_code keep(struct session *session, struct str raw)
{
    struct mailbox_content content;
    mailbox_parse(session->arena, raw, &content);
    struct str recipients[MAILBOX_RECIPIENTS_MAX];
    for (size_t i = 0; i < session->recipient_count; i++)
        recipients[i] = str_from(session->recipients[i]);
    struct sandbox_mail_insert_args args = {
        .id = sandbox_id(session->arena, "mail"),
        .sender = str_from(session->sender),
        .recipients = {recipients, session->recipient_count},
        .from_text = content.from,
        .to_text = content.to,
        .subject = content.subject,
        .message_id = content.message_id,
        .text_part = content.text,
        .html_part = content.html,
        .raw = raw,
    };
    return sandbox_mail_insert(session->db, args, NULL);
}

/* Up to the line with a single dot; a dot in front of a line is one too many (RFC 5321, 4.5.2). */
static void on_data(struct session *session)
{
    if (session->recipient_count == 0) {
        reply(session, "503 5.5.1 MAIL and RCPT first\r\n");
        return;
    }
    reply(session, "354 End with a dot on a line of its own\r\n");
    struct buf raw = buf_new(MAILBOX_MESSAGE_MAX);
    bool begins_line = true, ended = false;
    char previous = 0, byte;
    while (!ended && byte_next(session, &byte)) {
        if (begins_line && byte == '.') {
            char next, last;
            if (!byte_next(session, &next))
                break;
            if (next == '\r' && byte_next(session, &last) && last == '\n') {
                ended = true;
                break;
            }
            byte = next; /* the first of two dots goes */
        }
        buf_char(&raw, byte);
        begins_line = byte == '\n' && previous == '\r';
        previous = byte;
    }
    if (!ended)
        session->over = true;
    else if (raw.overflow)
        reply(session, "552 5.3.4 The message is too large\r\n");
    else if (keep(session, buf_str(&raw)) != ERR_OK)
        reply(session, "451 4.3.0 Could not be kept; try again\r\n");
    else
        reply(session, "250 2.0.0 Kept\r\n");
    buf_free(&raw);
    arena_reset(session->arena);
    forget(session);
}

static void on_ehlo(struct session *session)
{
    forget(session);
    char text[160];
    snprintf(
        text, sizeof text,
        "250-cathay sandbox\r\n250-SIZE %zu\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING\r\n",
        MAILBOX_MESSAGE_MAX);
    reply(session, text);
}

static void on_command(struct session *session, struct str line)
{
    struct str argument = line;
    struct str verb = str_split(&argument, ' ');
    argument = argument.ptr ? str_trim(argument) : STR("");
    if (str_equal_ignoring_case(verb, STR("EHLO")))
        on_ehlo(session);
    else if (str_equal_ignoring_case(verb, STR("HELO"))) {
        forget(session);
        reply(session, "250 cathay sandbox\r\n");
    } else if (str_equal_ignoring_case(verb, STR("MAIL")))
        on_mail(session, argument);
    else if (str_equal_ignoring_case(verb, STR("RCPT")))
        on_rcpt(session, argument);
    else if (str_equal_ignoring_case(verb, STR("DATA")))
        on_data(session);
    else if (str_equal_ignoring_case(verb, STR("RSET"))) {
        forget(session);
        reply(session, "250 2.0.0 Forgotten\r\n");
    } else if (str_equal_ignoring_case(verb, STR("NOOP")))
        reply(session, "250 2.0.0 Here\r\n");
    else if (str_equal_ignoring_case(verb, STR("VRFY")))
        reply(session, "252 2.5.2 Every address is taken\r\n");
    else if (str_equal_ignoring_case(verb, STR("QUIT"))) {
        reply(session, "221 2.0.0 Bye\r\n");
        session->over = true;
    } else
        reply(session, "502 5.5.2 Not known here\r\n");
}

static void serve(struct session *session)
{
    reply(session, "220 cathay sandbox ESMTP\r\n");
    char line[MAILBOX_LINE_MAX];
    size_t len;
    bool too_long;
    while (!session->over && line_read(session, line, sizeof line, &len, &too_long)) {
        if (too_long)
            reply(session, "500 5.5.2 The line is too long\r\n");
        else
            on_command(session, (struct str){line, len});
    }
}

/* ---- the server ---- */

static void *run(void *context)
{
    (void)context;
    struct session *session = calloc(1, sizeof *session);
    CHECK(session);
    struct pg *db = pg_new(sandbox_database(), "cathay sandbox mailbox", NULL);
    struct arena *arena = arena_new();
    while (!atomic_load(&smtp.stopping)) {
        struct pollfd poll_fd = {.fd = smtp.listener, .events = POLLIN};
        if (poll(&poll_fd, 1, 100) <= 0)
            continue;
        int fd = accept4(smtp.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            continue; /* another thread was quicker */
        memset(session, 0, sizeof *session);
        session->fd = fd;
        session->db = db;
        session->arena = arena;
        serve(session);
        close(fd);
        arena_reset(arena);
    }
    arena_free(arena);
    pg_free(db);
    free(session);
    return NULL;
}

static int listen_on(const char *host, int port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST},
                    *found = NULL;
    char service[8];
    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd >= 0 && (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 128) != 0)) {
        int kept = errno;
        close(fd);
        errno = kept;
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

enum error_code mailbox_smtp_start(struct error *error)
{
    int port = (int)config()->sandbox_smtp_port;
    smtp.listener = listen_on(config()->sandbox_host, port);
    if (smtp.listener < 0)
        return error_set(error, ERR_INTERNAL, "sandbox mailbox: cannot listen on %s:%d: %s",
                         config()->sandbox_host, port, strerror(errno));
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } address = {.six = {0}};
    socklen_t len = sizeof address;
    CHECK(getsockname(smtp.listener, &address.any, &len) == 0);
    port = ntohs(address.any.sa_family == AF_INET6 ? address.six.sin6_port : address.four.sin_port);
    atomic_store(&smtp.stopping, false);
    for (smtp.started = 0; smtp.started < MAILBOX_THREADS; smtp.started++)
        CHECK(thread_start(&smtp.threads[smtp.started], "smtp", run, NULL));
    log_write(LOG_INFO, "sandbox mailbox listens", LOG_INT("port", port));
    return ERR_OK;
}

void mailbox_smtp_stop(void)
{
    atomic_store(&smtp.stopping, true);
    while (smtp.started > 0)
        pthread_join(smtp.threads[--smtp.started], NULL);
    if (smtp.listener >= 0)
        close(smtp.listener);
    smtp.listener = -1;
}
