#include "arguments.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void explain(const struct argument *table, size_t count, const char *program)
{
    fputs(program, stderr);
    for (size_t i = 0; i < count; i++) {
        if (table[i].text)
            fprintf(stderr, " [--%s TEXT]", table[i].name);
        else
            fprintf(stderr, " [--%s %lld]", table[i].name, (long long)*table[i].number);
    }
    fputc('\n', stderr);
}

static bool take(const struct argument *argument, const char *value)
{
    if (argument->text) {
        *argument->text = value;
        return true;
    }
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno || end == value || *end || number < argument->least || number > argument->most)
        return false;
    *argument->number = number;
    return true;
}

static const struct argument *find(const struct argument *table, size_t count, const char *word)
{
    for (size_t i = 0; i < count && strncmp(word, "--", 2) == 0; i++)
        if (strcmp(word + 2, table[i].name) == 0)
            return &table[i];
    return NULL;
}

void arguments_read(const struct argument *table, size_t count, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const struct argument *argument = find(table, count, argv[i]);
        if (!argument || i + 1 == argc || !take(argument, argv[i + 1])) {
            explain(table, count, argv[0]);
            exit(2);
        }
    }
}
