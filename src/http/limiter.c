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

struct limiter_verdict limiter_ask(struct limiter *limiter, enum api_limit limit, struct str key,
                                   int64_t now_us)
{
    struct limiter_verdict verdict = {.allowed = true};
    if (limit == API_LIMIT_NONE || limiter->scale_percent == 0)
        return verdict;
    CHECK(limit < API_LIMIT_COUNT);
    verdict.policy = policies[limit].name;
    verdict.window_s = policies[limit].window_s;
    verdict.quota = policies[limit].quota * limiter->scale_percent / 100;
    if (verdict.quota < 1)
        verdict.quota = 1;
    int64_t window_us = verdict.window_s * 1000000, step_us = window_us / verdict.quota;
    if (step_us < 1)
        step_us = 1;
    uint64_t hash = XXH3_64bits_withSeed(key.ptr, key.len, (uint64_t)limit);
    size_t row = (size_t)(hash >> 16) % LIMITER_ROWS;
    pthread_mutex_t *lock = &limiter->locks[row % LIMITER_LOCKS];
    pthread_mutex_lock(lock);
    struct slot *slot = slot_for(limiter->rows[row], hash);
    int64_t full_us = slot->full_us > now_us ? slot->full_us : now_us;
    verdict.allowed = full_us + step_us - now_us <= window_us;
    if (verdict.allowed)
        slot->full_us = full_us += step_us;
    pthread_mutex_unlock(lock);
    verdict.remaining = (window_us - (full_us - now_us)) / step_us;
    verdict.reset_s = (full_us - now_us + 999999) / 1000000;
    if (!verdict.allowed)
        verdict.retry_after_s = (full_us + step_us - now_us - window_us + 999999) / 1000000;
    return verdict;
}
