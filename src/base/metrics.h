/* Metrics of the process: counters, gauges and histograms that any part registers by name, rendered as
 * Prometheus text. They live as long as the process: registering the same name and labels again gives the
 * same metric. Updating is one atomic addition; thread-safe; nothing blocks but registering and rendering (a
 * mutex).
 *
 * Names: prefix cathay_, base units, _total for counters. Labels are bounded sets: never a user, an order, an
 * address. */
#ifndef CATHAY_BASE_METRICS_H
#define CATHAY_BASE_METRICS_H

#include "base/buf.h"

struct metric;

/* `labels`: constant text such as "lane=\"0\"", or NULL. name, help and labels are copied. */
struct metric *metric_counter(const char *name, const char *help, const char *labels);
struct metric *metric_gauge(const char *name, const char *help, const char *labels);
/* Asks read(context) at each rendering; registering again replaces function and context; NULL takes the
 * metric away. */
struct metric *metric_gauge_read(const char *name, const char *help, const char *labels,
                                 int64_t (*read)(void *context), void *context);
/* Buckets up to and including each bound; ascending, at most METRIC_BOUNDS_MAX. Values and bounds are
 * integers in `per_unit` parts of the base unit: microseconds with per_unit 1000000 are shown as seconds. */
#define METRIC_BOUNDS_MAX 24
struct metric *metric_histogram(const char *name, const char *help, const char *labels, const int64_t *bounds,
                                size_t bound_count, int64_t per_unit);
/* Common bounds: 100 µs to 10 s. */
extern const int64_t metric_duration_bounds_us[15];

void metric_add(struct metric *metric, int64_t n);
void metric_set(struct metric *metric, int64_t value);
void metric_observe(struct metric *metric, int64_t value);
int64_t metric_value(const struct metric *metric); /* of a histogram: the count */

void metrics_render(struct buf *out);
/* "0.0025" for 2500 of 1000000; for those who render histograms of their own. */
void metrics_render_ratio(struct buf *out, int64_t value, int64_t per_unit);

#endif
