#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

static _Thread_local const char *context;

void check_context_set(const char *what)
{
    context = what;
}

void check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr,
            "{\"level\":\"fatal\",\"message\":\"check "
            "failed\",\"condition\":\"%s\",\"at\":\"%s:%d\",\"doing\":\"%s\"}\n",
            condition, file, line, context ? context : "");
    abort();
}
