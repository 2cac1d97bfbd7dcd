#include "base/log.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOG_BUFFER_BYTES ((size_t)4 * 1024 * 1024)
#define LOG_FLUSH_MS 20
#define LOG_FIELDS_MAX 2048

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t writer;
    struct buf pending;
    bool running;
    bool stopping;
    int fd;
    enum log_level least;
    int64_t dropped;
    int64_t dropped_told;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER,
           .wake = PTHREAD_COND_INITIALIZER,
           .fd = STDERR_FILENO,
           .least = LOG_INFO};

static _Thread_local struct str context_request_id, context_traceparent;

static void write_all(struct str text)
{
    while (text.len > 0) {
        ssize_t n = write(state.fd, text.ptr, text.len);
        if (n <= 0)
            return; /* nobody reads the log; the shop goes on */
        text.ptr += n;
        text.len -= (size_t)n;
    }
}

static void *writer_main(void *unused)
{
    (void)unused;
    struct buf taken = buf_new(LOG_BUFFER_BYTES);
    for (;;) {
        pthread_mutex_lock(&state.lock);
        while (state.pending.len == 0 && !state.stopping)
            pthread_cond_wait(&state.wake, &state.lock);
        bool stop = state.stopping && state.pending.len == 0;
        struct buf swap = state.pending;
        state.pending = taken;
        taken = swap;
        int64_t dropped = state.dropped - state.dropped_told;
        state.dropped_told = state.dropped;
        bool stopping = state.stopping;
        pthread_mutex_unlock(&state.lock);
        write_all(buf_str(&taken));
        buf_clear(&taken);
        if (dropped > 0)
            log_write(LOG_WARN, "log lines dropped", "\"count\":%lld", (long long)dropped);
        if (stop)
            break;
        if (!stopping) /* let lines gather: one write for many */
            usleep(LOG_FLUSH_MS * 1000);
    }
    buf_free(&taken);
    return NULL;
}

void log_start(enum log_level least, const char *path_or_null)
{
    CHECK(!state.running);
    state.least = least;
    if (path_or_null) {
        int fd = open(path_or_null, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd >= 0)
            state.fd = fd;
        else
            log_write(LOG_ERROR, "log file cannot be opened", "\"path\":\"%s\"", path_or_null);
    }
    state.pending = buf_new(LOG_BUFFER_BYTES);
    state.stopping = false;
    state.running = true;
    CHECK(pthread_create(&state.writer, NULL, writer_main, NULL) == 0);
}

void log_stop(void)
{
    if (!state.running)
        return;
    pthread_mutex_lock(&state.lock);
    state.stopping = true;
    pthread_cond_signal(&state.wake);
    pthread_mutex_unlock(&state.lock);
    pthread_join(state.writer, NULL);
    state.running = false;
    buf_free(&state.pending);
}

bool log_level_parse(struct str text, enum log_level *level)
{
    static const struct str names[] = {STR("debug"), STR("info"), STR("warn"), STR("error")};
    for (int i = 0; i < 4; i++)
        if (str_equal(text, names[i])) {
            *level = (enum log_level)i;
            return true;
        }
    return false;
}

bool log_enabled(enum log_level level)
{
    return level >= state.least;
}

void log_context_set(struct str request_id, struct str traceparent)
{
    context_request_id = request_id;
    context_traceparent = traceparent;
}

void log_context_clear(void)
{
    context_request_id = context_traceparent = STR_NONE;
}

struct str log_context_traceparent(void)
{
    return context_traceparent;
}

void log_line(struct str json)
{
    pthread_mutex_lock(&state.lock);
    if (!state.running) {
        pthread_mutex_unlock(&state.lock);
        write_all(json);
        write_all(STR("\n"));
        return;
    }
    if (state.pending.len + json.len + 1 > LOG_BUFFER_BYTES) {
        state.dropped++;
    } else {
        bool idle = state.pending.len == 0;
        buf_append(&state.pending, json);
        buf_char(&state.pending, '\n');
        if (idle)
            pthread_cond_signal(&state.wake);
    }
    pthread_mutex_unlock(&state.lock);
}

void log_write(enum log_level level, const char *message, const char *fields, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (!log_enabled(level))
        return;
    char time[CLOCK_TEXT_MAX];
    clock_format(clock_wall_us(), time);
    struct buf line = buf_new(LOG_FIELDS_MAX + 1024);
    buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", time, names[level]);
    buf_json_str(&line, str_from(message));
    if (context_request_id.len)
        buf_printf(&line, ",\"request_id\":\"%.*s\"", STR_ARG(context_request_id));
    if (context_traceparent.len)
        buf_printf(&line, ",\"traceparent\":\"%.*s\"", STR_ARG(context_traceparent));
    if (fields) {
        char text[LOG_FIELDS_MAX];
        va_list args;
        va_start(args, fields);
        int len = vsnprintf(text, sizeof text, fields, args);
        va_end(args);
        if (len > 0 && (size_t)len < sizeof text) {
            buf_char(&line, ',');
            buf_append(&line, (struct str){text, (size_t)len});
        }
    }
    buf_char(&line, '}');
    log_line(buf_str(&line));
    buf_free(&line);
}

int64_t log_dropped_total(void)
{
    pthread_mutex_lock(&state.lock);
    int64_t dropped = state.dropped;
    pthread_mutex_unlock(&state.lock);
    return dropped;
}
