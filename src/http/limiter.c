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
    int64_t scale_percent;
    pthread_mutex_t locks[LIMITER_LOCKS];
    struct slot rows[LIMITER_ROWS][LIMITER_WAYS];
};

static const struct {
    const char *name;
    int64_t quota, window_s;
} policies[API_LIMIT_COUNT] = {
    [API_LIMIT_READ] = {"read", 600, 10},      [API_LIMIT_WRITE] = {"write", 120, 10},
    [API_LIMIT_SIGN_IN] = {"sign-in", 10, 10}, [API_LIMIT_CHECKOUT] = {"checkout", 60, 10},
    [API_LIMIT_PAYMENT] = {"payment", 30, 10},
};

struct limiter *limiter_new(int64_t scale_percent)
{
    struct limiter *limiter = calloc(1, sizeof *limiter);
    CHECK(limiter);
    limiter->scale_percent = scale_percent;
    for (size_t i = 0; i < LIMITER_LOCKS; i++)
        pthread_mutex_init(&limiter->locks[i], NULL);
    return limiter;
}

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

static int64_t quota_of(const struct limiter *limiter, enum api_limit limit)
{
    int64_t quota = policies[limit].quota * limiter->scale_percent / 100;
    return quota < 1 ? 1 : quota;
}

bool limiter_is_shared(const struct limiter *limiter, enum api_limit limit)
{
    return limiter->scale_percent > 0 && limit != API_LIMIT_NONE && limit != API_LIMIT_READ;
}

struct limiter_terms limiter_terms(const struct limiter *limiter, enum api_limit limit)
{
    CHECK(limit != API_LIMIT_NONE && limit < API_LIMIT_COUNT);
    struct limiter_terms terms = {.window_us = policies[limit].window_s * 1000000};
    terms.step_us = terms.window_us / quota_of(limiter, limit);
    if (terms.step_us < 1)
        terms.step_us = 1;
    return terms;
}

struct limiter_verdict limiter_verdict(const struct limiter *limiter, enum api_limit limit, bool allowed,
                                       int64_t ahead_us)
{
    struct limiter_terms terms = limiter_terms(limiter, limit);
    struct limiter_verdict verdict = {.allowed = allowed,
                                      .policy = policies[limit].name,
                                      .quota = quota_of(limiter, limit),
                                      .window_s = policies[limit].window_s};
    verdict.remaining = (terms.window_us - ahead_us) / terms.step_us;
    verdict.reset_s = (ahead_us + 999999) / 1000000;
    if (!allowed)
        verdict.retry_after_s = (ahead_us + terms.step_us - terms.window_us + 999999) / 1000000;
    return verdict;
}

struct limiter_verdict limiter_ask(struct limiter *limiter, enum api_limit limit, struct str key,
                                   int64_t now_us)
{
    if (limit == API_LIMIT_NONE || limiter->scale_percent == 0)
        return (struct limiter_verdict){.allowed = true};
    struct limiter_terms terms = limiter_terms(limiter, limit);
    uint64_t hash = XXH3_64bits_withSeed(key.ptr, key.len, (uint64_t)limit);
    size_t row = (size_t)(hash >> 16) % LIMITER_ROWS;
    pthread_mutex_t *lock = &limiter->locks[row % LIMITER_LOCKS];
    pthread_mutex_lock(lock);
    struct slot *slot = slot_for(limiter->rows[row], hash);
    int64_t full_us = slot->full_us > now_us ? slot->full_us : now_us;
    bool allowed = full_us + terms.step_us - now_us <= terms.window_us;
    if (allowed)
        slot->full_us = full_us += terms.step_us;
    pthread_mutex_unlock(lock);
    return limiter_verdict(limiter, limit, allowed, full_us - now_us);
}
