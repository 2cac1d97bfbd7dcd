/* One JSON line for each answered request, gathered per loop and handed to the log in batches. No query
 * strings, no addresses: nothing that says who somebody is. */
#include "http/server_internal.h"

#include "api.h"
#include "base/clock.h"
#include "base/log.h"

#define PATH_MAX_BYTES 200

static char *put_time(char *at, struct event_loop *loop)
{
    int64_t now = clock_wall_us();
    if (now / 1000000 != loop->date_second)
        loop_date_refresh(loop);
    int64_t fraction = now % 1000000;
    at = str_put(at, STR("{\"time\":\""));
    at = str_put(at, (struct str){loop->log_time, 19});
    *at++ = '.';
    for (int64_t scale = 100000; scale; scale /= 10)
        *at++ = (char)('0' + fraction / scale % 10);
    return str_put(at, STR("Z\",\"level\":\"info\",\"message\":\"request\",\"method\":\""));
}

/* Of a request that fits no route: the path as sent, cut, without what JSON would have to escape. */
static char *put_plain(char *at, struct str text, size_t most)
{
    for (size_t i = 0; i < text.len && i < most; i++) {
        char c = text.ptr[i];
        *at++ = c >= 0x20 && c < 0x7f && c != '"' && c != '\\' ? c : '.';
    }
    return at;
}

void access_log(struct http_exchange *x, int status, int64_t bytes, int64_t duration_us)
{
    struct event_loop *loop = x->loop;
    if (!log_enabled(LOG_INFO))
        return;
    loop->log.max = 2 * LOG_BATCH_BYTES;
    char *start = buf_reserve(&loop->log, 1024), *at = start;
    if (!at)
        return;
    at = put_time(at, loop);
    at = put_plain(at, x->req.method, 16);
    at = str_put(at, STR("\",\"path\":\""));
    if (x->req.route) {
        at = put_plain(at, str_from(x->req.route->path), PATH_MAX_BYTES);
        at = str_put(at, STR("\",\"operation\":\""));
        at = put_plain(at, str_from(x->req.route->operation_id), 80);
    } else {
        at = put_plain(at, x->req.path, PATH_MAX_BYTES);
        if (x->req.path.len > PATH_MAX_BYTES)
            at = str_put(at, STR("\",\"cut\":\"path"));
    }
    at = str_put(at, STR("\",\"status\":"));
    at = str_put_number(at, status);
    at = str_put(at, STR(",\"bytes\":"));
    at = str_put_number(at, bytes);
    at = str_put(at, STR(",\"duration_us\":"));
    at = str_put_number(at, duration_us);
    at = str_put(at, STR(",\"request_id\":\""));
    at = str_put(at, x->req.request_id);
    at = str_put(at, STR("\",\"traceparent\":\""));
    at = str_put(at, x->req.traceparent);
    at = str_put(at, STR("\"}\n"));
    loop->log.len += (size_t)(at - start);
    if (loop->log.len > LOG_BATCH_BYTES)
        access_log_flush(loop);
}

void access_log_flush(struct event_loop *loop)
{
    if (loop->log.len == 0)
        return;
    log_line((struct str){loop->log.ptr, loop->log.len - 1}); /* it adds the last newline itself */
    buf_clear(&loop->log);
}
