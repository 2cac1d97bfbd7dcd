#include "base/metrics.h"

#include "base/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_READ, METRIC_HISTOGRAM };

struct metric {
    struct metric *next; /* of the same name: behind each other, so that they are rendered together */
    enum metric_kind kind;
    char *name, *help, *labels;
    _Atomic int64_t value; /* of a histogram: the sum */
    int64_t (*read)(void *context);
    void *context;
    int64_t bounds[METRIC_BOUNDS_MAX], per_unit;
    size_t bound_count;
    _Atomic int64_t buckets[METRIC_BOUNDS_MAX + 1];
};

const int64_t metric_duration_bounds_us[15] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000};

static struct {
    pthread_mutex_t lock;
    struct metric *first;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static char *copy(const char *text)
{
    char *copied = strdup(text ? text : "");
    CHECK(copied);
    return copied;
}

/* Called with the lock held. */
static struct metric *find_or_make(const char *name, const char *help, const char *labels,
                                   enum metric_kind kind)
{
    struct metric **at = &registry.first, **behind = NULL;
    for (; *at; at = &(*at)->next) {
        if (strcmp((*at)->name, name) != 0)
            continue;
        CHECK((*at)->kind == kind);
        if (strcmp((*at)->labels, labels ? labels : "") == 0)
            return *at;
        behind = &(*at)->next;
    }
    struct metric *metric = calloc(1, sizeof *metric);
    CHECK(metric);
    metric->kind = kind;
    metric->name = copy(name);
    metric->help = copy(help);
    metric->labels = copy(labels);
    metric->per_unit = 1;
    if (!behind)
        behind = at;
    metric->next = *behind;
    *behind = metric;
    return metric;
}

static struct metric *register_metric(const char *name, const char *help, const char *labels,
                                      enum metric_kind kind)
{
    pthread_mutex_lock(&registry.lock);
    struct metric *metric = find_or_make(name, help, labels, kind);
    pthread_mutex_unlock(&registry.lock);
    return metric;
}

struct metric *metric_counter(const char *name, const char *help, const char *labels)
{
    return register_metric(name, help, labels, METRIC_COUNTER);
}

struct metric *metric_gauge(const char *name, const char *help, const char *labels)
{
    return register_metric(name, help, labels, METRIC_GAUGE);
}

struct metric *metric_gauge_read(const char *name, const char *help, const char *labels,
                                 int64_t (*read)(void *context), void *context)
{
    pthread_mutex_lock(&registry.lock);
    struct metric *metric = find_or_make(name, help, labels, METRIC_READ);
    metric->read = read;
    metric->context = context;
    pthread_mutex_unlock(&registry.lock);
    return metric;
}

struct metric *metric_histogram(const char *name, const char *help, const char *labels, const int64_t *bounds,
                                size_t bound_count, int64_t per_unit)
{
    CHECK(bound_count <= METRIC_BOUNDS_MAX && per_unit > 0);
    pthread_mutex_lock(&registry.lock);
    struct metric *metric = find_or_make(name, help, labels, METRIC_HISTOGRAM);
    memcpy(metric->bounds, bounds, bound_count * sizeof *bounds);
    metric->bound_count = bound_count;
    metric->per_unit = per_unit;
    pthread_mutex_unlock(&registry.lock);
    return metric;
}

void metric_add(struct metric *metric, int64_t n)
{
    atomic_fetch_add_explicit(&metric->value, n, memory_order_relaxed);
}

void metric_set(struct metric *metric, int64_t value)
{
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void metric_observe(struct metric *metric, int64_t value)
{
    size_t i = 0;
    while (i < metric->bound_count && value > metric->bounds[i])
        i++;
    atomic_fetch_add_explicit(&metric->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&metric->value, value, memory_order_relaxed);
}

int64_t metric_value(const struct metric *metric)
{
    if (metric->kind != METRIC_HISTOGRAM)
        return atomic_load_explicit(&metric->value, memory_order_relaxed);
    int64_t count = 0;
    for (size_t i = 0; i <= metric->bound_count; i++)
        count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
    return count;
}

void metrics_render_ratio(struct buf *out, int64_t value, int64_t per_unit)
{
    if (value < 0) {
        buf_char(out, '-');
        value = -value;
    }
    buf_int(out, value / per_unit);
    int64_t rest = value % per_unit;
    if (rest == 0)
        return;
    char digits[20];
    int len = 0, last = 0;
    for (int64_t scale = per_unit / 10; scale > 0 && len < 18; scale /= 10) {
        digits[len++] = (char)('0' + rest / scale % 10);
        if (digits[len - 1] != '0')
            last = len;
    }
    if (last == 0)
        return;
    buf_char(out, '.');
    buf_append(out, (struct str){digits, (size_t)last});
}

static void render_name(struct buf *out, const struct metric *metric, const char *suffix, const char *more)
{
    buf_printf(out, "%s%s", metric->name, suffix);
    if (metric->labels[0] || more[0])
        buf_printf(out, "{%s%s%s}", metric->labels, metric->labels[0] && more[0] ? "," : "", more);
    buf_char(out, ' ');
}

static void render_histogram(struct buf *out, const struct metric *metric)
{
    int64_t count = 0;
    for (size_t i = 0; i <= metric->bound_count; i++) {
        count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
        struct buf bound = buf_new(64);
        BUF_LITERAL(&bound, "le=\"");
        if (i < metric->bound_count)
            metrics_render_ratio(&bound, metric->bounds[i], metric->per_unit);
        else
            BUF_LITERAL(&bound, "+Inf");
        BUF_LITERAL(&bound, "\"");
        buf_char(&bound, '\0');
        render_name(out, metric, "_bucket", bound.ptr);
        buf_free(&bound);
        buf_printf(out, "%lld\n", (long long)count);
    }
    render_name(out, metric, "_sum", "");
    metrics_render_ratio(out, atomic_load_explicit(&metric->value, memory_order_relaxed), metric->per_unit);
    buf_char(out, '\n');
    render_name(out, metric, "_count", "");
    buf_printf(out, "%lld\n", (long long)count);
}

void metrics_render(struct buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "gauge", "histogram"};
    const char *before = "";
    pthread_mutex_lock(&registry.lock);
    for (const struct metric *metric = registry.first; metric; metric = metric->next) {
        if (metric->kind == METRIC_READ && !metric->read)
            continue;
        if (strcmp(before, metric->name) != 0)
            buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
                       kinds[metric->kind]);
        before = metric->name;
        if (metric->kind == METRIC_HISTOGRAM) {
            render_histogram(out, metric);
            continue;
        }
        render_name(out, metric, "", "");
        buf_int(out, metric->kind == METRIC_READ ? metric->read(metric->context) : metric_value(metric));
        buf_char(out, '\n');
    }
    pthread_mutex_unlock(&registry.lock);
}
