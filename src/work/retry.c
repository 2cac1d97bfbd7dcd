#include "work/retry.h"

#include "base/check.h"

int64_t retry_delay_ms(int attempt, int64_t base_s, uint32_t random)
{
    CHECK(attempt >= 1 && base_s >= 0);
    int64_t n = attempt < 100 ? attempt : 100;
    int64_t delay_ms = (n * n * n * n + base_s) * 1000;
    return delay_ms + (int64_t)(random % (uint64_t)(delay_ms / 4 + 1));
}

struct retry retry_after_failure(const struct task_definition *task, int attempt, int64_t base_s,
                                 uint32_t random)
{
    if (attempt >= work_attempts_max(task))
        return (struct retry){.dead = true};
    return (struct retry){.delay_ms = retry_delay_ms(attempt, base_s, random)};
}

struct retry retry_after_loss(const struct task_definition *task, int attempt, int64_t base_s,
                              uint32_t random)
{
    int most = task ? work_attempts_max(task) : WORK_ATTEMPTS_DEFAULT;
    if (attempt >= most)
        return (struct retry){.dead = true};
    return (struct retry){.delay_ms = attempt <= RETRY_AT_ONCE ? 0 : retry_delay_ms(attempt, base_s, random)};
}
