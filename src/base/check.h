/* Assertions that stay on in production: a broken invariant stops the process before it can write a wrong
 * row. And what is left of a process that stops so, or by a signal that only a bug raises: one line on
 * standard error that says what its thread had in hand. */
#ifndef CATHAY_BASE_CHECK_H
#define CATHAY_BASE_CHECK_H

#include "base/str.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (__builtin_expect(!(condition), 0))                                                               \
            check_failed(#condition, __FILE__, __LINE__);                                                    \
    } while (0)

/* What the thread has in hand, each told until it is set anew or cleared (NULL, STR_NONE). Nothing is copied:
 * what is told has to live as long. Some stores to thread-local memory, so that requests can afford them. */
void check_context_set(const char *operation);   /* or task, schedule, invariant, lane */
void check_statement_set(const char *statement); /* the name of the last query, never what it was given */
/* count: of a batch the first one is named. */
void check_request_set(struct str method, struct str request_id, size_t count);
/* All three of them. */
void check_hand_clear(void);

/* Writes the condition, its place and what the thread has in hand to standard error, then aborts. */
void check_failed(const char *condition, const char *file, int line) __attribute__((noreturn, cold));

/* From now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT write such a line before they end the process (or
 * before whoever had handled them, as a sanitizer does), on a stack apart (base/thread.h). role: a constant
 * that is told. The handler takes no lock, no memory, and calls what is async-signal-safe only. Once, before
 * threads are started. */
void check_signals_install(const char *role);

#endif
