/* Threads: each is named, and has a stack apart for handlers of signals, so that one whose own stack is used
 * up still leaves a line (base/check.h). */
#ifndef CATHAY_BASE_THREAD_H
#define CATHAY_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#define THREAD_NAME_MAX 16 /* with its end; Linux takes no more */

/* Runs main(argument) in a new thread. name: copied, cut. False: there are no more threads to be had. */
bool thread_start(pthread_t *thread, const char *name, void *(*main)(void *), void *argument);

/* For a thread that was not started here: the process's first. For as long as the thread lives. */
void thread_signal_stack(void);

#endif
