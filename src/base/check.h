/* Assertions that stay on in production: a broken invariant stops the process before it can write a wrong
 * row. */
#ifndef CATHAY_BASE_CHECK_H
#define CATHAY_BASE_CHECK_H

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (__builtin_expect(!(condition), 0))                                                               \
            check_failed(#condition, __FILE__, __LINE__);                                                    \
    } while (0)

/* Says in every message of a crash what the thread was doing: a request id, an operation, a statement name.
 * The pointer must stay valid until the next call on the same thread; NULL clears it. */
void check_context_set(const char *what);

/* Prints the condition, its place and the thread's context to standard error, then aborts. */
void check_failed(const char *condition, const char *file, int line) __attribute__((noreturn, cold));

#endif
