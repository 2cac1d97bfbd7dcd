/* PostgreSQL's CPU time is that of its postmaster, of the children that it has waited for and of those that
 * run: whoever ends between two samples is counted all the same. */
#include "measure.h"

#include "base/clock.h"
#include "bench_sql.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static size_t bucket_of(int64_t value_us)
{
    uint64_t value = value_us > 0 ? (uint64_t)value_us : 0;
    if (value < HISTOGRAM_STEPS)
        return (size_t)value;
    int power = 63 - __builtin_clzll(value);
    size_t bucket = (size_t)(power - 3) * HISTOGRAM_STEPS + (size_t)(value >> (power - 4)) - HISTOGRAM_STEPS;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static int64_t bucket_middle_us(size_t bucket)
{
    if (bucket < HISTOGRAM_STEPS)
        return (int64_t)bucket;
    size_t power = bucket / HISTOGRAM_STEPS - 1;
    int64_t low = (int64_t)(HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS) << power;
    return low + ((int64_t)1 << power) / 2;
}

void histogram_add(struct histogram *histogram, int64_t value_us)
{
    __atomic_fetch_add(&histogram->buckets[bucket_of(value_us)], 1, __ATOMIC_RELAXED);
}

int64_t histogram_count(const struct histogram *histogram)
{
    int64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += histogram->buckets[i];
    return count;
}

int64_t histogram_quantile_us(const struct histogram *histogram, double share)
{
    int64_t count = histogram_count(histogram), seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (count > 0 && (double)seen >= (double)count * share)
            return bucket_middle_us(i);
    }
    return 0;
}

/* The fields of /proc/PID/stat behind the command's name, which may hold anything. */
static bool read_stat(pid_t pid, long long fields[18])
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = 0;
    char *at = strrchr(text, ')');
    if (!at || strlen(at) < 4)
        return false;
    at += 3; /* the state's letter */
    for (int i = 0; i < 18; i++)
        fields[i] = strtoll(at + 1, &at, 10);
    return true;
}

enum { STAT_PARENT = 0, STAT_USER = 10, STAT_SYSTEM, STAT_WAITED_USER, STAT_WAITED_SYSTEM };

int64_t process_cpu_us(pid_t pid, bool children)
{
    long long stat[18];
    if (!read_stat(pid, stat))
        return 0;
    long long ticks = stat[STAT_USER] + stat[STAT_SYSTEM];
    if (children)
        ticks += stat[STAT_WAITED_USER] + stat[STAT_WAITED_SYSTEM];
    return ticks * 1000000 / sysconf(_SC_CLK_TCK);
}

int64_t process_memory_bytes(pid_t pid)
{
    char path[64];
    long long size, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%lld %lld", &size, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

static int64_t postgres_cpu_us(pid_t backend)
{
    long long stat[18];
    if (!read_stat(backend, stat))
        return 0;
    pid_t postmaster = (pid_t)stat[STAT_PARENT];
    int64_t sum = process_cpu_us(postmaster, true);
    DIR *directory = opendir("/proc");
    if (!directory)
        return sum;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid > 0 && read_stat(pid, stat) && stat[STAT_PARENT] == postmaster)
            sum += process_cpu_us(pid, false);
    }
    closedir(directory);
    return sum;
}

enum error_code sample_take(struct pg *db, pid_t server_pid, struct sample *sample)
{
    struct arena *arena = arena_new();
    struct bench_server_row row;
    bool found;
    enum error_code code = bench_server(db, arena, &row, &found);
    arena_free(arena);
    if (code)
        return code;
    *sample = (struct sample){
        .at_us = clock_monotonic_us(),
        .self_cpu_us = process_cpu_us(getpid(), false),
        .server_cpu_us = server_pid ? process_cpu_us(server_pid, false) : 0,
        .postgres_cpu_us = postgres_cpu_us(row.backend),
        .wal_bytes = row.wal_bytes,
        .wal_syncs = row.wal_syncs,
    };
    return ERR_OK;
}

void sample_print(const struct sample *before, const struct sample *after, int64_t operations)
{
    double seconds = (double)(after->at_us - before->at_us) / 1e6;
    double count = operations > 0 ? (double)operations : 1;
    printf("\"seconds\":%.2f,\"per_s\":%.1f,\"self_cpu_us\":%.2f,\"server_cpu_us\":%.2f,\"postgres_cpu_us\":%"
           ".2f,"
           "\"wal_bytes\":%.0f,\"syncs\":%.4f",
           seconds, (double)operations / seconds, (double)(after->self_cpu_us - before->self_cpu_us) / count,
           (double)(after->server_cpu_us - before->server_cpu_us) / count,
           (double)(after->postgres_cpu_us - before->postgres_cpu_us) / count,
           (double)(after->wal_bytes - before->wal_bytes) / count,
           (double)(after->wal_syncs - before->wal_syncs) / count);
}

void statuses_print(const int64_t counts[STATUSES])
{
    putchar('{');
    for (int i = 0, any = 0; i < STATUSES; i++)
        if (counts[i])
            printf("%s\"%d\":%lld", any++ ? "," : "", i, (long long)counts[i]);
    putchar('}');
}
