/* How often somebody may ask, by class of operation (x-limit) and by whose quota it is. A quota may be used
 * in its window at once; it flows back evenly (generic cell rate algorithm), so there is no edge at which it
 * jumps. A request may be bound by several quotas: it passes all or uses none. Kept in the process, in a
 * table of fixed size: when it is full, the key that has been quiet longest is forgotten. Thread-safe; does
 * not block. docs/decisions/0008-rate-limits.md says why these quotas. */
#ifndef CATHAY_HTTP_LIMITER_H
#define CATHAY_HTTP_LIMITER_H

#include "base/str.h"
#include "http/api_decode.h"

#define LIMITER_KEYS_MAX 3 /* of one request: customer, address, account */
#define LIMITER_WINDOW_S 10
#define LIMITER_TOLD_FROM 10 /* limiter_passes(): a tenth */
#define LIMITER_ACCOUNT_WINDOW_S 900

struct limiter;

/* Whose quota it is. */
enum limiter_scope {
    LIMITER_CUSTOMER,   /* who is signed in */
    LIMITER_STRANGER,   /* all strangers of an address */
    LIMITER_ADDRESS,    /* all who are signed in of an address */
    LIMITER_ACCOUNT,    /* who tries to sign in to an account */
    LIMITER_EVERYTHING, /* of class NONE: all that an address asks, of whatever class */
    LIMITER_SCOPE_COUNT
};

struct limiter_options {
    int64_t scale_percent;             /* of all quotas; 0 allows everything */
    int64_t requests[API_LIMIT_COUNT]; /* of a customer, or of an address's strangers, per window; NONE: of an
                                          address over everything */
    int64_t address_times;             /* those of an address's customers, in quotas of one */
    int64_t account_attempts;          /* per LIMITER_ACCOUNT_WINDOW_S */
};

struct limiter_key {
    enum api_limit limit;
    enum limiter_scope scope;
    struct str who; /* any bytes */
};

/* What the algorithm needs to know: one request takes step_us of an allowance of window_us. */
struct limiter_terms {
    const char *policy; /* "checkout", "checkout-address" */
    int64_t quota, window_s;
    int64_t step_us, window_us;
};

/* What is told: of the quota that refused, or is nearest to it. */
struct limiter_verdict {
    bool allowed;
    const char *policy; /* NULL: nothing is limited */
    int64_t quota;      /* requests per window */
    int64_t window_s;
    int64_t remaining;
    int64_t reset_s;       /* until the whole quota is there again */
    int64_t retry_after_s; /* of a refusal */
};

struct limiter *limiter_new(struct limiter_options options);
void limiter_free(struct limiter *limiter);
/* `now_us`: monotonic. At most LIMITER_KEYS_MAX keys; without keys everything is allowed.
 */
struct limiter_verdict limiter_ask(struct limiter *limiter, const struct limiter_key *keys, size_t count,
                                   int64_t now_us);

/* As limiter_ask() for one key, where most pass and none needs to be told how much is left: true. False: it
 * is refused, or less than a tenth is left, and *verdict says which. Not with scale_percent 0. */
bool limiter_passes(struct limiter *limiter, const struct limiter_key *key, int64_t now_us,
                    struct limiter_verdict *verdict);

/* For a limiter elsewhere (http/shared_limiter.h). Is the class limited over all servers together? The others
 * are cheap and many. */
bool limiter_is_shared(const struct limiter *limiter, enum api_limit limit);
struct limiter_terms limiter_terms(const struct limiter *limiter, enum api_limit limit,
                                   enum limiter_scope scope);
/* The verdict when ahead_us[i] of the allowance of keys[i] are used, this request included if it is allowed.
 */
struct limiter_verdict limiter_verdict(const struct limiter *limiter, const struct limiter_key *keys,
                                       const int64_t *ahead_us, size_t count, bool allowed);

#endif
