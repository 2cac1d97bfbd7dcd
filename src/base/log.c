#include "base/log.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_BUFFER_BYTES ((size_t)4 * 1024 * 1024)
#define LOG_PIECE_BYTES ((size_t)64 * 1024)
#define LOG_FLUSH_MS 20
#define LOG_LINE_END_MAX 16 /* of LOG_LINE_MAX: for what ends a line */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t writer;
    struct buf pending;
    bool running;
    bool stopping;
    enum log_level least;
    struct log_bounds bounds;
    int64_t second; /* monotonic, of which `second_bytes` have been taken */
    int64_t second_bytes;
    int64_t dropped;
    int64_t dropped_told;
    _Atomic bool reopen;
    /* of the writer alone */
    int fd;
    char *path; /* NULL: standard error */
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

/* ---- the file: bounded, and others may move it away ---- */

static bool file_open(void)
{
    int fd = open(state.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return false;
    if (state.fd != STDERR_FILENO)
        close(state.fd);
    state.fd = fd;
    return true;
}

/* Whether `path` still names what is written to, and how large that is. */
static bool file_is_ours(int64_t *size)
{
    struct stat open_one, named;
    if (fstat(state.fd, &open_one) != 0 || stat(state.path, &named) != 0)
        return false;
    *size = open_one.st_size;
    return open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

/* "log" becomes "log.1", that "log.2" and so on; the oldest goes. */
static bool files_move(void)
{
    size_t size = strlen(state.path) + 24;
    char *from = malloc(size), *to = malloc(size);
    CHECK(from && to);
    bool moved = true;
    for (int64_t i = state.bounds.files - 1; i >= 0 && moved; i--) {
        snprintf(from, size, i ? "%s.%lld" : "%s", state.path, (long long)i);
        snprintf(to, size, "%s.%lld", state.path, (long long)i + 1);
        moved = rename(from, to) == 0 || errno == ENOENT;
    }
    free(from);
    free(to);
    return moved;
}

/* Several processes may write to one file: who rotates holds its lock, and who waited for that looks again.
 * Where files cannot be moved, the one there is begins anew: a full disk stops the shop. */
static void file_make_room(size_t bytes)
{
    int64_t size = 0;
    if (!state.path)
        return;
    if (atomic_exchange(&state.reopen, false) || !file_is_ours(&size)) {
        file_open();
        size = 0;
        file_is_ours(&size);
    }
    if (state.bounds.file_bytes == 0 || size == 0 || size + (int64_t)bytes <= state.bounds.file_bytes)
        return;
    flock(state.fd, LOCK_EX);
    int locked = state.fd;
    if (!file_is_ours(&size)) {
        file_open(); /* closes what was locked */
        return;
    }
    bool moved = state.bounds.files > 0 && files_move() && file_open();
    if (!moved) {
        if (ftruncate(locked, 0) != 0)
            return;
        flock(locked, LOCK_UN);
    }
}

/* In pieces of whole lines, so that a file is not much larger than it may be. */
static void write_lines(struct str text)
{
    while (text.len > 0) {
        size_t len = text.len < LOG_PIECE_BYTES ? text.len : LOG_PIECE_BYTES;
        const char *end = memrchr(text.ptr, '\n', len);
        if (end)
            len = (size_t)(end - text.ptr) + 1;
        file_make_room(len);
        write_all((struct str){text.ptr, len});
        text.ptr += len;
        text.len -= len;
    }
}

/* Past the bounds: it is one line for many. */
static void tell_dropped(int64_t count)
{
    char time[CLOCK_TEXT_MAX], line[160];
    clock_format(clock_wall_us(), time);
    int len = snprintf(line, sizeof line,
                       "{\"time\":\"%s\",\"level\":\"warn\",\"message\":\"log lines not written\","
                       "\"count\":%lld}\n",
                       time, (long long)count);
    CHECK(len > 0 && (size_t)len < sizeof line);
    write_lines((struct str){line, (size_t)len});
}

static void *writer_main(void *unused)
{
    (void)unused;
    struct buf taken = buf_new(LOG_BUFFER_BYTES);
    int64_t told_second = 0;
    for (;;) {
        pthread_mutex_lock(&state.lock);
        while (state.pending.len == 0 && !state.stopping)
            pthread_cond_wait(&state.wake, &state.lock);
        bool stop = state.stopping && state.pending.len == 0;
        struct buf swap = state.pending;
        state.pending = taken;
        taken = swap;
        int64_t dropped = 0, second = clock_monotonic_us() / 1000000;
        if (state.stopping || second != told_second) {
            told_second = second;
            dropped = state.dropped - state.dropped_told;
            state.dropped_told = state.dropped;
        }
        bool stopping = state.stopping;
        pthread_mutex_unlock(&state.lock);
        write_lines(buf_str(&taken));
        buf_clear(&taken);
        if (dropped > 0)
            tell_dropped(dropped);
        if (stop)
            break;
        if (!stopping) /* let lines gather: one write for many */
            usleep(LOG_FLUSH_MS * 1000);
    }
    buf_free(&taken);
    return NULL;
}

void log_start(enum log_level least, const char *path_or_null, struct log_bounds bounds)
{
    CHECK(!state.running);
    state.least = least;
    state.bounds = bounds;
    if (path_or_null) {
        state.path = strdup(path_or_null);
        CHECK(state.path);
        if (!file_open()) {
            log_write(LOG_ERROR, "log file cannot be opened", LOG_TEXT("path", path_or_null));
            free(state.path);
            state.path = NULL;
        }
    }
    state.pending = buf_new(LOG_BUFFER_BYTES);
    state.stopping = false;
    state.running = true;
    CHECK(thread_start(&state.writer, "log", writer_main, NULL));
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
    free(state.path); /* the descriptor stays: what is said from now on goes there */
    state.path = NULL;
}

void log_reopen(void)
{
    atomic_store(&state.reopen, true);
}

void log_least(enum log_level least)
{
    state.least = least;
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

static int64_t lines_of(struct str text)
{
    int64_t lines = 1;
    const char *at = text.ptr, *end = text.ptr + text.len;
    while ((at = memchr(at, '\n', (size_t)(end - at)))) {
        lines++;
        at++;
    }
    return lines;
}

/* Under the lock: whether this second has room. What bounds requests leaves as much for all else, so that a
 * flood does not hide why it is one. */
static bool take_rate(size_t bytes, int64_t times)
{
    int64_t second = clock_monotonic_us() / 1000000;
    if (second != state.second) {
        state.second = second;
        state.second_bytes = 0;
    }
    if (state.bounds.bytes_per_s && state.second_bytes >= state.bounds.bytes_per_s * times)
        return false;
    state.second_bytes += (int64_t)bytes;
    return true;
}

static void put_line(struct str json, int64_t times)
{
    pthread_mutex_lock(&state.lock);
    if (!state.running) {
        pthread_mutex_unlock(&state.lock);
        write_all(json);
        write_all(STR("\n"));
        return;
    }
    if (state.pending.len + json.len + 1 > LOG_BUFFER_BYTES || !take_rate(json.len + 1, times)) {
        state.dropped += lines_of(json);
    } else {
        bool idle = state.pending.len == 0;
        buf_append(&state.pending, json);
        buf_char(&state.pending, '\n');
        if (idle)
            pthread_cond_signal(&state.wake);
    }
    pthread_mutex_unlock(&state.lock);
}

void log_line(struct str json)
{
    put_line(json, 1);
}

/* Appends at most `most` bytes of it, whole characters. True: something is missing. */
static bool put_text(struct buf *line, struct str text, size_t most)
{
    bool cut = text.len > most;
    if (cut) {
        text.len = most;
        while (text.len > 0 && ((unsigned char)text.ptr[text.len] & 0xc0) == 0x80)
            text.len--;
    }
    buf_json_str(line, text);
    return cut;
}

static bool put_field(struct buf *line, const struct log_field *field)
{
    buf_printf(line, ",\"%s\":", field->name);
    if (field->kind == LOG_FIELD_TEXT)
        return put_text(line, field->text, LOG_TEXT_MAX);
    if (field->kind == LOG_FIELD_NUMBER)
        buf_int(line, field->number);
    else
        buf_append(line, field->number ? STR("true") : STR("false"));
    return false;
}

void log_fields(enum log_level level, const char *message, const struct log_field *fields)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (!log_enabled(level))
        return;
    char time[CLOCK_TEXT_MAX];
    clock_format(clock_wall_us(), time);
    struct buf line = buf_new(LOG_LINE_MAX);
    buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", time, names[level]);
    buf_json_str(&line, str_from(message));
    if (context_request_id.len) {
        BUF_LITERAL(&line, ",\"request_id\":");
        buf_json_str(&line, context_request_id);
    }
    if (context_traceparent.len) {
        BUF_LITERAL(&line, ",\"traceparent\":");
        buf_json_str(&line, context_traceparent);
    }
    bool cut = false;
    for (; fields->kind != LOG_FIELDS_END; fields++) {
        size_t before = line.len;
        cut = put_field(&line, fields) || cut;
        if (line.overflow || line.len > LOG_LINE_MAX - LOG_LINE_END_MAX) {
            /* Escaped, a text may take six times its length. */
            line.len = before;
            line.overflow = false;
            cut = true;
        }
    }
    if (cut)
        BUF_LITERAL(&line, ",\"cut\":true");
    buf_char(&line, '}');
    put_line(buf_str(&line), 2);
    buf_free(&line);
}

int64_t log_dropped_total(void)
{
    pthread_mutex_lock(&state.lock);
    int64_t dropped = state.dropped;
    pthread_mutex_unlock(&state.lock);
    return dropped;
}
