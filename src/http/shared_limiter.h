/* Rate limits that all servers share, in Redis: one script call per request, on the event loop, without ever
 * blocking it. Each loop has one of these and one connection.
 *
 * It only answers when it can do so soon: while Redis is away (connecting is tried again after a pause), when
 * no answer has come SHARED_LIMITER_DEADLINE_MS after the question, and for a while after that, the caller is
 * told so and decides with its local limiter. Everything here is called on the loop's thread. */
#ifndef CATHAY_HTTP_SHARED_LIMITER_H
#define CATHAY_HTTP_SHARED_LIMITER_H

#include "base/str.h"
#include "http/limiter.h"

#include <uv.h>

#define SHARED_LIMITER_DEADLINE_MS 20
#define SHARED_LIMITER_PENDING_MAX 4096 /* questions without an answer; more are decided locally */

#define SHARED_LIMITER_NAME_MAX 96

struct shared_limiter;

/* A key in Redis with the quota that it counts. */
struct shared_limit {
    struct limiter_terms terms;
    char name[SHARED_LIMITER_NAME_MAX];
    size_t name_len;
};

/* What one request is bound by. Where a key of the name `excuse` is there, `instead` counts in place of the
 * last limit; an empty excuse is none. */
struct shared_question {
    struct shared_limit limits[LIMITER_KEYS_MAX];
    size_t count;
    char excuse[SHARED_LIMITER_NAME_MAX];
    size_t excuse_len;
    char instead[SHARED_LIMITER_NAME_MAX];
    size_t instead_len;
};

/* known: Redis has decided, and ahead_us[i] is used of limit i, this request included if it is allowed;
 * otherwise the rest says nothing. */
struct shared_answer {
    bool known, allowed;
    int64_t ahead_us[LIMITER_KEYS_MAX];
};
typedef void shared_limiter_fn(void *context, const struct shared_answer *answer);

/* Connects at once, in the background. redis_url has been checked. `tells`: logs a loss and a return, once
 * each; set for one loop of a server. */
struct shared_limiter *shared_limiter_new(uv_loop_t *loop, const char *redis_url, bool tells,
                                          shared_limiter_fn *decided);
/* False: not now, decide locally. True: `decided` will be called once with `context`, on this loop and not
 * from within this call. The question is copied. */
bool shared_limiter_ask(struct shared_limiter *limiter, const struct shared_question *question,
                        void *context);
/* Sets the key of that name for a time; nobody waits for it, and it may fail. */
void shared_limiter_remember(struct shared_limiter *limiter, struct str name, int64_t time_s);
/* No question may be open. Closes its handles; the memory may be freed when the loop has ended. */
void shared_limiter_close(struct shared_limiter *limiter);
void shared_limiter_free(struct shared_limiter *limiter); /* NULL is allowed */

#endif
