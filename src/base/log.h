/* Logs: one JSON object a line on standard error, or the file given. No personal data: ids, codes, counts,
 * times. Lines are handed to a writer thread through a bounded buffer, so that a slow disk never stops an
 * event loop; when the buffer is full lines are dropped and counted, and the count is logged. Before
 * log_start and after log_stop lines are written directly. Thread-safe.
 *
 * Bounded: so many bytes in a second, of which lines of requests leave half; a line's texts are cut at 8 KB
 * and then say "cut"; a file that is full becomes FILE.1, and so on. Who else moves the file away
 * (logrotate) is noticed at the next line. */
#ifndef CATHAY_BASE_LOG_H
#define CATHAY_BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* 0 is no bound. */
struct log_bounds {
    int64_t bytes_per_s; /* of requests; as much for everything else */
    int64_t file_bytes;
    int64_t files; /* kept beside the one that is written to */
};

void log_start(enum log_level least, const char *path_or_null, struct log_bounds bounds);
/* The file is opened anew before the next line. Any thread. */
void log_reopen(void);
/* Writes what is left. */
void log_stop(void);
/* Before log_start: what is below this level is not told. */
void log_least(enum log_level least);
bool log_level_parse(struct str text, enum log_level *level);
bool log_enabled(enum log_level level);

/* The trace that this thread's lines carry: request or task id and traceparent. Pointers stay valid until
 * cleared. */
void log_context_set(struct str request_id, struct str traceparent);
void log_context_clear(void);
/* Of this thread; absent without a trace. For outgoing calls and events. */
struct str log_context_traceparent(void);

/* A member of a line: log_write(LOG_INFO, "order placed", LOG_TEXT("order", id), LOG_INT("lines", n)). Values
 * are escaped here, whatever is in them; a text longer than LOG_TEXT_MAX is cut, and the line then has
 * "cut":true. Texts are read during the call only. */
#define LOG_TEXT_MAX ((size_t)8 * 1024) /* bytes of one value */
#define LOG_LINE_MAX ((size_t)64 * 1024)
enum log_field_kind { LOG_FIELDS_END, LOG_FIELD_TEXT, LOG_FIELD_NUMBER, LOG_FIELD_FLAG };
struct log_field {
    enum log_field_kind kind;
    const char *name; /* plain characters */
    struct str text;  /* absent: null */
    int64_t number;
};
#define LOG_STR(field_name, value) ((struct log_field){LOG_FIELD_TEXT, (field_name), (value), 0})
#define LOG_TEXT(field_name, value) ((struct log_field){LOG_FIELD_TEXT, (field_name), str_from(value), 0})
#define LOG_INT(field_name, value) ((struct log_field){LOG_FIELD_NUMBER, (field_name), STR_NONE, (value)})
#define LOG_BOOL(field_name, value) ((struct log_field){LOG_FIELD_FLAG, (field_name), STR_NONE, (value)})

#define log_write(level, message, ...)                                                                       \
    log_fields((level), (message), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){LOG_FIELDS_END}})
void log_fields(enum log_level level, const char *message, const struct log_field *fields);
/* A line that is already JSON, without its newline: the access log. */
void log_line(struct str json);
int64_t log_dropped_total(void);

#endif
