/* The table is a set of rows of eight slots. A key's hash chooses the row; within it the key has its slot or
 * takes the one whose allowance has been whole the longest. A slot holds the moment at which the key's quota
 * will be whole again (the theoretical arrival time); one number is all that the algorithm needs. */
#include "http/limiter.h"

#include "base/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

#define LIMITER_ROWS 8192
#define LIMITER_WAYS 8
#define LIMITER_LOCKS 64

struct slot {
    uint64_t hash;
    int64_t full_us;
};

struct limiter {
    struct limiter_options options;
    struct limiter_terms terms[API_LIMIT_COUNT][LIMITER_SCOPE_COUNT]; /* divisions done once */
    pthread_mutex_t locks[LIMITER_LOCKS];
    struct slot rows[LIMITER_ROWS][LIMITER_WAYS];
};

static const char *const policies[API_LIMIT_COUNT][LIMITER_SCOPE_COUNT] = {
    [API_LIMIT_NONE] = {[LIMITER_EVERYTHING] = "address"},
    [API_LIMIT_READ] = {"read", "read", "read-address"},
    [API_LIMIT_WRITE] = {"write", "write", "write-address"},
    [API_LIMIT_SIGN_IN] = {"sign-in", "sign-in", "sign-in-address", "sign-in-account"},
    [API_LIMIT_CHECKOUT] = {"checkout", "checkout", "checkout-address"},
    [API_LIMIT_PAYMENT] = {"payment", "payment", "payment-address"},
};

void limiter_free(struct limiter *limiter)
{
    if (!limiter)
        return;
    for (size_t i = 0; i < LIMITER_LOCKS; i++)
        pthread_mutex_destroy(&limiter->locks[i]);
    free(limiter);
}

static struct slot *slot_for(struct slot row[LIMITER_WAYS], uint64_t hash)
{
    struct slot *oldest = &row[0];
    for (size_t i = 0; i < LIMITER_WAYS; i++) {
        if (row[i].hash == hash)
            return &row[i];
        if (row[i].full_us < oldest->full_us)
            oldest = &row[i];
    }
    *oldest = (struct slot){.hash = hash};
    return oldest;
}

bool limiter_is_shared(const struct limiter *limiter, enum api_limit limit)
{
    return limiter->options.scale_percent > 0 && limit != API_LIMIT_NONE && limit != API_LIMIT_READ;
}

static struct limiter_terms terms_make(const struct limiter_options *options, enum api_limit limit,
                                       enum limiter_scope scope)
{
    struct limiter_terms terms = {
        .policy = policies[limit][scope], .quota = options->requests[limit], .window_s = LIMITER_WINDOW_S};
    if (scope == LIMITER_ADDRESS)
        terms.quota *= options->address_times;
    if (scope == LIMITER_ACCOUNT) {
        terms.quota = options->account_attempts;
        terms.window_s = LIMITER_ACCOUNT_WINDOW_S;
    }
    terms.quota = terms.quota * options->scale_percent / 100;
    if (terms.quota < 1)
        terms.quota = 1;
    terms.window_us = terms.window_s * 1000000;
    terms.step_us = terms.window_us / terms.quota;
    if (terms.step_us < 1)
        terms.step_us = 1;
    return terms;
}

struct limiter *limiter_new(struct limiter_options options)
{
    struct limiter *limiter = calloc(1, sizeof *limiter);
    CHECK(limiter);
    limiter->options = options;
    for (int limit = 0; limit < API_LIMIT_COUNT; limit++)
        for (int scope = 0; scope < LIMITER_SCOPE_COUNT; scope++)
            if (policies[limit][scope])
                limiter->terms[limit][scope] =
                    terms_make(&options, (enum api_limit)limit, (enum limiter_scope)scope);
    for (size_t i = 0; i < LIMITER_LOCKS; i++)
        pthread_mutex_init(&limiter->locks[i], NULL);
    return limiter;
}

struct limiter_terms limiter_terms(const struct limiter *limiter, enum api_limit limit,
                                   enum limiter_scope scope)
{
    CHECK(limit < API_LIMIT_COUNT && policies[limit][scope]);
    return limiter->terms[limit][scope];
}

static bool is_used_up(const struct limiter_terms *terms, int64_t ahead_us)
{
    return ahead_us + terms->step_us > terms->window_us;
}

struct limiter_verdict limiter_verdict(const struct limiter *limiter, const struct limiter_key *keys,
                                       const int64_t *ahead_us, size_t count, bool allowed)
{
    struct limiter_verdict strictest = {.allowed = allowed};
    for (size_t i = 0; i < count; i++) {
        struct limiter_terms terms = limiter_terms(limiter, keys[i].limit, keys[i].scope);
        if (!allowed && !is_used_up(&terms, ahead_us[i]))
            continue;
        struct limiter_verdict one = {.allowed = allowed,
                                      .policy = terms.policy,
                                      .quota = terms.quota,
                                      .window_s = terms.window_s,
                                      .remaining = (terms.window_us - ahead_us[i]) / terms.step_us,
                                      .reset_s = (ahead_us[i] + 999999) / 1000000};
        if (!allowed)
            one.retry_after_s = (ahead_us[i] + terms.step_us - terms.window_us + 999999) / 1000000;
        bool stricter =
            allowed ? one.remaining < strictest.remaining : one.retry_after_s > strictest.retry_after_s;
        if (!strictest.policy || stricter)
            strictest = one;
    }
    return strictest;
}

static pthread_mutex_t *row_of(struct limiter *limiter, const struct limiter_key *key, uint64_t *hash,
                               struct slot **row)
{
    uint64_t seed = (uint64_t)key->limit * LIMITER_SCOPE_COUNT + (uint64_t)key->scope;
    *hash = XXH3_64bits_withSeed(key->who.ptr, key->who.len, seed);
    size_t at = (size_t)(*hash >> 16) % LIMITER_ROWS;
    *row = limiter->rows[at];
    return &limiter->locks[at % LIMITER_LOCKS];
}

/* Uses the quota of one key; *ahead_us is what is used of it now. */
static bool take(struct limiter *limiter, const struct limiter_key *key, int64_t now_us, int64_t *ahead_us)
{
    const struct limiter_terms *terms = &limiter->terms[key->limit][key->scope];
    CHECK(terms->policy);
    uint64_t hash;
    struct slot *row;
    pthread_mutex_t *lock = row_of(limiter, key, &hash, &row);
    pthread_mutex_lock(lock);
    struct slot *slot = slot_for(row, hash);
    *ahead_us = slot->full_us > now_us ? slot->full_us - now_us : 0;
    bool allowed = !is_used_up(terms, *ahead_us);
    if (allowed) {
        *ahead_us += terms->step_us;
        slot->full_us = now_us + *ahead_us;
    }
    pthread_mutex_unlock(lock);
    return allowed;
}

static void give_back(struct limiter *limiter, const struct limiter_key *key)
{
    uint64_t hash;
    struct slot *row;
    pthread_mutex_t *lock = row_of(limiter, key, &hash, &row);
    pthread_mutex_lock(lock);
    for (size_t i = 0; i < LIMITER_WAYS; i++)
        if (row[i].hash == hash)
            row[i].full_us -= limiter_terms(limiter, key->limit, key->scope).step_us;
    pthread_mutex_unlock(lock);
}

/* One key after the other, each under its own lock: what a later one refuses is given back to the earlier
 * ones. Meanwhile they count one too many, which may refuse somebody else and never lets anybody through. */
struct limiter_verdict limiter_ask(struct limiter *limiter, const struct limiter_key *keys, size_t count,
                                   int64_t now_us)
{
    int64_t ahead_us[LIMITER_KEYS_MAX];
    CHECK(count <= LIMITER_KEYS_MAX);
    if (limiter->options.scale_percent == 0)
        return (struct limiter_verdict){.allowed = true};
    for (size_t i = 0; i < count; i++) {
        if (take(limiter, &keys[i], now_us, &ahead_us[i]))
            continue;
        for (size_t k = 0; k < i; k++)
            give_back(limiter, &keys[k]);
        return limiter_verdict(limiter, &keys[i], &ahead_us[i], 1, false);
    }
    return limiter_verdict(limiter, keys, ahead_us, count, true);
}

bool limiter_passes(struct limiter *limiter, const struct limiter_key *key, int64_t now_us,
                    struct limiter_verdict *verdict)
{
    int64_t ahead_us;
    bool allowed = take(limiter, key, now_us, &ahead_us);
    int64_t window_us = limiter->terms[key->limit][key->scope].window_us;
    if (allowed && ahead_us <= window_us - window_us / LIMITER_TOLD_FROM)
        return true;
    *verdict = limiter_verdict(limiter, key, &ahead_us, 1, allowed);
    return false;
}
