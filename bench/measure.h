/* What benchmarks measure: latencies in a histogram, CPU time of processes from /proc, and what PostgreSQL
 * says of its log. Histograms may be written by several threads at once. Everything else: one thread. */
#ifndef CATHAY_BENCH_MEASURE_H
#define CATHAY_BENCH_MEASURE_H

#include "pg/pg.h"

#include <sys/types.h>

/* Sixteen steps to each power of two of microseconds: a value is told within 6 %. */
#define HISTOGRAM_STEPS 16
#define HISTOGRAM_BUCKETS (32 * HISTOGRAM_STEPS)

struct histogram {
    int64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, int64_t value_us);
int64_t histogram_count(const struct histogram *histogram);
/* The value that this share (0 to 1) of all values does not exceed, in microseconds; 0 without values. */
int64_t histogram_quantile_us(const struct histogram *histogram, double share);

/* Totals at one moment; the difference of two is what a run has used. */
struct sample {
    int64_t at_us;
    int64_t self_cpu_us;
    int64_t server_cpu_us;   /* of the process given; 0 without one */
    int64_t postgres_cpu_us; /* all of its processes */
    int64_t wal_bytes, wal_syncs;
};

/* User and system time of a process, with `children` also of those that it has waited for. 0: it is gone. */
int64_t process_cpu_us(pid_t pid, bool children);
int64_t process_memory_bytes(pid_t pid);
/* server_pid: 0 for none. */
enum error_code sample_take(struct pg *db, pid_t server_pid, struct sample *sample);

/* One line of JSON with what was used between the two, per operation where that says more. */
void sample_print(const struct sample *before, const struct sample *after, int64_t operations);

/* Answers by their HTTP status; 0: there was none. */
#define STATUSES 600
/* An object of JSON with those that came. */
void statuses_print(const int64_t counts[STATUSES]);

#endif
