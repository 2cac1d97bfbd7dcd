/* Command lines of the benchmarks' programs: --name VALUE, from a table. */
#ifndef CATHAY_BENCH_ARGUMENTS_H
#define CATHAY_BENCH_ARGUMENTS_H

#include <stddef.h>
#include <stdint.h>

struct argument {
    const char *name;
    int64_t *number; /* what it holds before is the default */
    int64_t least, most;
    const char **text; /* instead of a number */
};

/* Fills what the table points at. Whatever is no --name of it, or out of range, ends the process with status
 * 2 and one line that tells the names with their defaults. */
void arguments_read(const struct argument *table, size_t count, int argc, char **argv);

#endif
