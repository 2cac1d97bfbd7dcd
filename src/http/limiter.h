/* How often one customer or address may ask, by class of operation (x-limit). Each (class, key) may ask
 * `quota` times in a window; the allowance flows back evenly (generic cell rate algorithm), so there is no
 * edge at which it jumps. Kept in the process, in a table of fixed size: when it is full, the key that has
 * been quiet longest is forgotten. Thread-safe; does not block. */
#ifndef CATHAY_HTTP_LIMITER_H
#define CATHAY_HTTP_LIMITER_H

#include "base/str.h"
#include "http/api_decode.h"

struct limiter;

struct limiter_verdict {
    bool allowed;
    const char *policy; /* name of the class: "read" */
    int64_t quota;      /* requests per window */
    int64_t window_s;
    int64_t remaining;
    int64_t reset_s;       /* until the whole quota is there again */
    int64_t retry_after_s; /* of a refusal */
};

/* What the algorithm needs to know: one request takes step_us of an allowance of window_us. */
struct limiter_terms {
    int64_t step_us, window_us;
};

/* scale_percent stretches every quota; 0 allows everything (verdicts then have no policy). */
struct limiter *limiter_new(int64_t scale_percent);
void limiter_free(struct limiter *limiter);
/* `key`: who asks, any bytes. `now_us`: monotonic. */
struct limiter_verdict limiter_ask(struct limiter *limiter, enum api_limit limit, struct str key,
                                   int64_t now_us);

/* For a limiter elsewhere (http/shared_limiter.h). Is the class limited over all servers together? The others
 * are cheap and many: docs/decisions/0008-rate-limits.md. */
bool limiter_is_shared(const struct limiter *limiter, enum api_limit limit);
struct limiter_terms limiter_terms(const struct limiter *limiter, enum api_limit limit);
/* The verdict when `ahead_us` of the allowance are used, this request included if it is allowed. */
struct limiter_verdict limiter_verdict(const struct limiter *limiter, enum api_limit limit, bool allowed,
                                       int64_t ahead_us);

#endif
