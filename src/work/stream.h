/* Redis Streams that carry the ids of ready tasks: one stream a priority, one consumer group of all workers.
 * An entry is a hint and nothing more: the claim in PostgreSQL decides, so entries are read without
 * acknowledgement, may be lost (the sweeper pushes again) and may come twice. Also the names of the two
 * channels for live news. */
#ifndef CATHAY_WORK_STREAM_H
#define CATHAY_WORK_STREAM_H

#include "redis/redis.h"
#include "work/work.h"

#define STREAM_LENGTH_MAX "20000" /* entries kept for each priority; what is trimmed away is pushed again */
#define STREAM_GROUP "workers"
#define CHANNEL_LIVE "cathay:live"             /* the aggregate's 32 hex digits; "*": any may have changed */
#define CHANNEL_INVALIDATE "cathay:invalidate" /* "kind 32hex 32hex …"; "*": drop everything */

/* Queues one entry; redis_flush() sends. */
bool stream_push(struct redis *redis, struct task_id id, enum task_priority priority);

/* Entries that have been read but not yet worked on: a blocking read may bring one of each priority. */
struct stream_reader {
    struct task_id waiting[TASK_PRIORITY_COUNT];
    size_t count;
};
/* The next task, urgent ones first, none less urgent than `least`; waits up to wait_ms. REDIS_QUIET: none. */
enum redis_wait stream_next(struct redis *redis, struct stream_reader *reader, enum task_priority least,
                            int wait_ms, struct task_id *id);

/* Entries pushed and not read yet. false: Redis is away. */
bool stream_backlog(struct redis *redis, enum task_priority priority, int64_t *entries);

#endif
