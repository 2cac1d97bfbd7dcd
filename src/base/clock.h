/* Time. Wall time is microseconds since 1970 UTC; monotonic time is for measuring and deadlines. Text is RFC
 * 3339. */
#ifndef CATHAY_BASE_CLOCK_H
#define CATHAY_BASE_CLOCK_H

#include "base/str.h"

int64_t clock_wall_us(void);
int64_t clock_monotonic_us(void);

/* The end of the year 9999, the last that RFC 3339 can write. */
#define CLOCK_LAST_US INT64_C(253402300799999999)

#define CLOCK_TEXT_MAX 32
/* "2026-03-01T09:30:00.123456Z", terminated; the length is returned. */
size_t clock_format(int64_t time_us, char out[CLOCK_TEXT_MAX]);
/* RFC 3339 with up to nine digits of fraction (the rest of a microsecond is cut off) and any offset, of
 * the years 1 to 9999 in UTC: what is beyond could not be written again. */
bool clock_parse(struct str text, int64_t *time_us);
/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), 29 characters and a terminator. */
void clock_format_http(int64_t time_us, char out[30]);

#endif
