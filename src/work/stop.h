/* How background threads wait: for a time, or until they are asked to stop. */
#ifndef CATHAY_WORK_STOP_H
#define CATHAY_WORK_STOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct stop {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool requested;
};

void stop_init(struct stop *stop);
void stop_destroy(struct stop *stop);
void stop_request(struct stop *stop);
bool stop_requested(struct stop *stop);
/* Returns early when a stop is requested. */
void stop_wait(struct stop *stop, int ms);
/* 32 random bits, for jitter. */
uint32_t stop_random(void);

#endif
