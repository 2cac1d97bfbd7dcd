/* The pool of threads for handlers that block, each with a PostgreSQL connection of its own, behind one
 * bounded queue. A bound on the length alone says little of how long one waits: when the database answers a
 * hundred times more slowly a queue of the same length takes a hundred times longer. So the age of the first
 * one is bounded as well. */
#include "http/server_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/thread.h"

#include <stdio.h>

static struct http_exchange *take(struct worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->stopping)
        pthread_cond_wait(&pool->wake, &pool->lock);
    struct http_exchange *x = pool->first;
    if (x) {
        pool->first = x->next;
        if (!pool->first)
            pool->last = NULL;
        pool->queued--;
        pool->oldest_us = pool->first ? pool->first->queued_us : 0;
        pool->busy++;
    }
    pthread_mutex_unlock(&pool->lock);
    return x;
}

static void *worker_main(void *context)
{
    struct http_server *server = context;
    struct worker_pool *pool = &server->pool;
    struct pg *db = server->database_url ? pg_new(server->database_url, "worker", NULL) : NULL;
    struct shared_cache *shared_cache =
        server->cache && server->options.shared_cache ? shared_cache_new(config()->redis_url) : NULL;
    for (struct http_exchange *x; (x = take(pool));) {
        phases_work(x, db, shared_cache); /* x is gone after this */
        pthread_mutex_lock(&pool->lock);
        pool->busy--;
        pthread_mutex_unlock(&pool->lock);
    }
    shared_cache_free(shared_cache);
    if (db)
        pg_free(db);
    return NULL;
}

void workers_start(struct http_server *server)
{
    struct worker_pool *pool = &server->pool;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->queue_max = (int)config()->request_queue;
    pool->wait_max_us = config()->queue_wait_ms * 1000;
    pool->count = server->options.workers < WORKERS_MAX ? server->options.workers : WORKERS_MAX;
    for (int i = 0; i < pool->count; i++) {
        char name[THREAD_NAME_MAX];
        snprintf(name, sizeof name, "worker-%d", i % 1000);
        CHECK(thread_start(&pool->threads[i], name, worker_main, server));
    }
}

bool workers_refuse(struct worker_pool *pool, int64_t waited_us)
{
    int64_t oldest_us = atomic_load_explicit(&pool->oldest_us, memory_order_relaxed);
    int queued = atomic_load_explicit(&pool->queued, memory_order_relaxed);
    int64_t age_us = oldest_us ? clock_monotonic_us() - oldest_us : 0;
    bool refused = queued >= pool->queue_max || age_us + waited_us > pool->wait_max_us;
    if (refused)
        atomic_fetch_add_explicit(&pool->refused_total, 1, memory_order_relaxed);
    return refused;
}

bool workers_push(struct worker_pool *pool, struct http_exchange *x)
{
    if (workers_refuse(pool, 0))
        return false;
    pthread_mutex_lock(&pool->lock);
    bool room = !pool->stopping;
    if (room) {
        x->next = NULL;
        x->queued_us = clock_monotonic_us();
        if (!pool->first)
            pool->oldest_us = x->queued_us;
        *(pool->last ? &pool->last->next : &pool->first) = x;
        pool->last = x;
        pool->queued++;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return room;
}

void workers_stop(struct worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->wake);
}
