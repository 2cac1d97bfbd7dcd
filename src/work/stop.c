#include "work/stop.h"

#include "base/check.h"
#include "base/clock.h"

#include <sys/random.h>
#include <sys/types.h>
#include <time.h>

void stop_init(struct stop *stop)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&stop->lock, NULL);
    pthread_cond_init(&stop->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    stop->requested = false;
}

void stop_destroy(struct stop *stop)
{
    pthread_cond_destroy(&stop->wake);
    pthread_mutex_destroy(&stop->lock);
}

void stop_request(struct stop *stop)
{
    pthread_mutex_lock(&stop->lock);
    stop->requested = true;
    pthread_cond_broadcast(&stop->wake);
    pthread_mutex_unlock(&stop->lock);
}

bool stop_requested(struct stop *stop)
{
    pthread_mutex_lock(&stop->lock);
    bool requested = stop->requested;
    pthread_mutex_unlock(&stop->lock);
    return requested;
}

void stop_wait(struct stop *stop, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + (int64_t)ms * 1000000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&stop->lock);
    while (!stop->requested && pthread_cond_timedwait(&stop->wake, &stop->lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&stop->lock);
}

uint32_t stop_random(void)
{
    uint32_t random;
    CHECK(getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random);
    return random;
}
