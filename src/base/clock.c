#include "base/clock.h"

#include <stdio.h>
#include <time.h>

/* What RFC 3339 can write in UTC, from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z: a time at a distance
 * from UTC may be beyond, and could not be told again. */
#define FIRST_S (-62135596800LL)
#define LAST_S 253402300799LL

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_monotonic_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static struct tm calendar(int64_t time_us, int64_t *fraction_us)
{
    *fraction_us = ((time_us % 1000000) + 1000000) % 1000000;
    time_t seconds = (time_t)(time_us / 1000000 - (time_us % 1000000 < 0));
    struct tm tm;
    gmtime_r(&seconds, &tm);
    return tm;
}

size_t clock_format(int64_t time_us, char out[CLOCK_TEXT_MAX])
{
    int64_t fraction;
    struct tm tm = calendar(time_us, &fraction);
    int len =
        snprintf(out, CLOCK_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", (tm.tm_year + 1900) % 10000,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)fraction);
    return (size_t)len;
}

void clock_format_http(int64_t time_us, char out[30])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t fraction;
    struct tm tm = calendar(time_us, &fraction);
    char text[48];
    snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday % 7], tm.tm_mday % 100,
             months[tm.tm_mon % 12], (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100,
             tm.tm_sec % 100);
    memcpy(out, text, 29);
    out[29] = '\0';
}

/* `count` digits at *at, moved on; -1 where there are none. */
static int digits(struct str text, size_t *at, size_t count)
{
    int value = 0;
    if (*at + count > text.len)
        return -1;
    for (size_t i = 0; i < count; i++) {
        char c = text.ptr[*at + i];
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    *at += count;
    return value;
}

static bool literal(struct str text, size_t *at, char c)
{
    if (*at >= text.len || text.ptr[*at] != c)
        return false;
    (*at)++;
    return true;
}

static bool parse_offset(struct str text, size_t *at, int64_t *offset_s)
{
    *offset_s = 0;
    if (literal(text, at, 'Z') || literal(text, at, 'z'))
        return true;
    int sign = literal(text, at, '+') ? 1 : literal(text, at, '-') ? -1 : 0;
    int hours = sign ? digits(text, at, 2) : -1;
    if (hours < 0 || hours > 23 || !literal(text, at, ':'))
        return false;
    int minutes = digits(text, at, 2);
    *offset_s = sign * (hours * 3600 + minutes * 60);
    return minutes >= 0 && minutes <= 59;
}

bool clock_parse(struct str text, int64_t *time_us)
{
    size_t at = 0;
    struct tm tm = {0};
    int year = digits(text, &at, 4);
    if (year < 0 || !literal(text, &at, '-') || (tm.tm_mon = digits(text, &at, 2) - 1) < 0 ||
        tm.tm_mon > 11 || !literal(text, &at, '-') || (tm.tm_mday = digits(text, &at, 2)) < 1 ||
        tm.tm_mday > 31)
        return false;
    if (!literal(text, &at, 'T') && !literal(text, &at, 't'))
        return false;
    if ((tm.tm_hour = digits(text, &at, 2)) < 0 || tm.tm_hour > 23 || !literal(text, &at, ':') ||
        (tm.tm_min = digits(text, &at, 2)) < 0 || tm.tm_min > 59 || !literal(text, &at, ':') ||
        (tm.tm_sec = digits(text, &at, 2)) < 0 || tm.tm_sec > 60)
        return false;
    int64_t fraction = 0;
    if (literal(text, &at, '.')) {
        int64_t scale = 100000;
        size_t from = at;
        for (int d; at - from < 9 && (d = digits(text, &at, 1)) >= 0; scale /= 10)
            fraction += d * scale;
        if (at == from)
            return false;
    }
    int64_t offset_s;
    if (!parse_offset(text, &at, &offset_s) || at != text.len)
        return false;
    tm.tm_year = year - 1900;
    int month_day = tm.tm_mday, month = tm.tm_mon, second = tm.tm_sec;
    tm.tm_sec = 0; /* a leap second would move the day on */
    time_t seconds = timegm(&tm);
    if (tm.tm_mday != month_day || tm.tm_mon != month) /* 30 February was moved to March */
        return false;
    int64_t utc_s = (int64_t)seconds + second - offset_s;
    if (utc_s < FIRST_S || utc_s > LAST_S)
        return false;
    *time_us = utc_s * 1000000 + fraction;
    return true;
}
