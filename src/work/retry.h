/* When a task that failed runs again. Plain functions; nothing blocks. */
#ifndef CATHAY_WORK_RETRY_H
#define CATHAY_WORK_RETRY_H

#include "work/registry.h"

/* Milliseconds until the next try after attempt number `attempt` (from 1): attempt⁴ + base seconds, and up to
 * a quarter of that on top (`random`: any 32 bits), so that what failed together does not come back together.
 */
int64_t retry_delay_ms(int attempt, int64_t base_s, uint32_t random);

struct retry {
    bool dead; /* no more tries: a dead letter */
    int64_t delay_ms;
};
/* After a failure that the task reported. */
struct retry retry_after_failure(const struct task_definition *task, int attempt, int64_t base_s,
                                 uint32_t random);
/* After a worker was lost in the middle of the task: the first few times at once, since that is hardly the
 * task's fault; then like a failure, since it may be what kills the workers. task NULL: not known to this
 * release. */
#define RETRY_AT_ONCE 3
struct retry retry_after_loss(const struct task_definition *task, int attempt, int64_t base_s,
                              uint32_t random);

#endif
