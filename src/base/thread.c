#include "base/thread.h"

#include "base/check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define SIGNAL_STACK_BYTES                                                                                   \
    ((size_t)64 * 1024) /* of it, check.c's line takes 2 KB; a sanitizer's report more */

struct start {
    void *(*main)(void *);
    void *argument;
    char name[THREAD_NAME_MAX];
};

/* NULL: there is one already, a sanitizer's. */
static void *signal_stack_new(void)
{
    stack_t there;
    if (sigaltstack(NULL, &there) != 0 || !(there.ss_flags & SS_DISABLE))
        return NULL;
    void *memory = malloc(SIGNAL_STACK_BYTES);
    CHECK(memory);
    CHECK(sigaltstack(&(stack_t){.ss_sp = memory, .ss_size = SIGNAL_STACK_BYTES}, NULL) == 0);
    return memory;
}

static void signal_stack_free(void *memory)
{
    if (!memory)
        return;
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    free(memory);
}

void thread_signal_stack(void)
{
    static void *kept; /* until the process ends */
    if (!kept)
        kept = signal_stack_new();
}

static void *run(void *context)
{
    struct start start = *(struct start *)context;
    free(context);
    pthread_setname_np(pthread_self(), start.name);
    void *memory = signal_stack_new();
    void *result = start.main(start.argument);
    signal_stack_free(memory);
    return result;
}

bool thread_start(pthread_t *thread, const char *name, void *(*main)(void *), void *argument)
{
    struct start *start = malloc(sizeof *start);
    CHECK(start);
    *start = (struct start){.main = main, .argument = argument};
    snprintf(start->name, sizeof start->name, "%s", name);
    if (pthread_create(thread, NULL, run, start) == 0)
        return true;
    free(start);
    return false;
}
