#include "base/check.h"

#include "base/thread.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 2048
#define TEXT_BYTES_MAX 256 /* told of each text: ten of them fit */

static _Thread_local struct {
    const char *operation, *statement;
    struct str method, request_id;
    size_t count;
} hand;

static const char *process_role = "";
static volatile sig_atomic_t reported; /* by check_failed(): the signal that it raises need not */

void check_context_set(const char *operation)
{
    hand.operation = operation;
}

void check_statement_set(const char *statement)
{
    hand.statement = statement;
}

void check_request_set(struct str method, struct str request_id, size_t count)
{
    hand.method = method;
    hand.request_id = request_id;
    hand.count = count;
}

void check_hand_clear(void)
{
    memset(&hand, 0, sizeof hand);
}

/* ── the line: written by hand, for a handler of signals may not even allocate ── */

struct line {
    size_t len;
    char text[LINE_BYTES];
};

static void put(struct line *line, const char *text, size_t len)
{
    for (size_t i = 0; i < len && line->len < LINE_BYTES; i++)
        line->text[line->len++] = text[i];
}

static void put_field(struct line *line, const char *name, const char *text, size_t len)
{
    put(line, line->len > 1 ? ",\"" : "\"", line->len > 1 ? 2 : 1);
    put(line, name, strlen(name));
    put(line, "\":\"", 3);
    for (size_t i = 0; i < len && i < TEXT_BYTES_MAX; i++) {
        char c = text[i];
        put(line, c >= 0x20 && c < 0x7f && c != '"' && c != '\\' ? &c : ".", 1);
    }
    put(line, "\"", 1);
}

static void put_text(struct line *line, const char *name, const char *text)
{
    put_field(line, name, text ? text : "", text ? strlen(text) : 0);
}

static void put_number(struct line *line, const char *name, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t left = number < 0 ? 0 : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    put(line, ",\"", 2);
    put(line, name, strlen(name));
    put(line, "\":", 2);
    put(line, digits + at, sizeof digits - at);
}

static void begin(struct line *line, const char *message)
{
    line->len = 0;
    put(line, "{", 1);
    put_text(line, "level", "fatal");
    put_text(line, "message", message);
}

static void write_with_hand(struct line *line)
{
    char thread[17] = "";
    struct timespec now = {0};
    prctl(PR_GET_NAME, thread);
    clock_gettime(CLOCK_REALTIME, &now);
    put_text(line, "role", process_role);
    put_text(line, "thread", thread);
    put_text(line, "operation", hand.operation);
    put_field(line, "method", hand.method.ptr, hand.method.len);
    put_field(line, "request_id", hand.request_id.ptr, hand.request_id.len);
    put_number(line, "requests", (int64_t)hand.count);
    put_text(line, "statement", hand.statement);
    put_number(line, "unix_s", now.tv_sec);
    put(line, "}\n", 2);
    ssize_t written = write(STDERR_FILENO, line->text, line->len);
    (void)written;
}

void check_failed(const char *condition, const char *file, int line_number)
{
    struct line line;
    begin(&line, "check failed");
    put_text(&line, "condition", condition);
    put_text(&line, "file", file);
    put_number(&line, "line", line_number);
    write_with_hand(&line);
    reported = 1;
    abort();
}

/* ── signals ── */

static const struct {
    int number;
    const char *name;
} signals[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}, {SIGABRT, "SIGABRT"}};

#define SIGNAL_COUNT (sizeof signals / sizeof *signals)

static struct sigaction before[SIGNAL_COUNT];

static void on_signal(int number)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (signals[i].number != number)
            continue;
        /* First of all, so that a fault in here ends the process as well. */
        sigaction(number, &before[i], NULL);
        if (!reported) {
            struct line line;
            begin(&line, "crash");
            put_text(&line, "signal", signals[i].name);
            write_with_hand(&line);
        }
    }
    raise(number); /* blocked until this returns; then as it was before */
}

void check_signals_install(const char *role)
{
    process_role = role;
    thread_signal_stack();
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        sigaction(signals[i].number, &action, &before[i]);
}
