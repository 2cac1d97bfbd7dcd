#include "http/http_module.h"

#include "base/log.h"
#include "idempotency_sql.h"

#define SWEEP_BATCH 1000
#define SWEEP_BATCHES_MAX 500 /* of one run; the next run goes on */

/* Short statements, each a transaction of its own. */
static enum error_code sweep_idempotency(struct task_run *run)
{
    int64_t affected = SWEEP_BATCH, total = 0;
    for (int i = 0; i < SWEEP_BATCHES_MAX && affected == SWEEP_BATCH; i++) {
        enum error_code code =
            idempotency_delete_old(run->db, (struct idempotency_delete_old_args){SWEEP_BATCH}, &affected);
        if (code)
            return code;
        total += affected;
    }
    if (total > 0)
        log_write(LOG_INFO, "old answers removed", LOG_INT("count", total));
    return ERR_OK;
}

static const struct task_definition tasks[] = {
    {.name = "idempotency_sweep",
     .run = sweep_idempotency,
     .mode = TASK_FREE,
     .priority = TASK_LOW,
     .timeout_s = 600},
    {.name = NULL},
};

static const struct schedule_definition schedules[] = {
    {"idempotency_sweep", 3600, "removes answers kept by Idempotency-Key after two days"},
    {.name = NULL},
};

const struct module http_module = {.name = "http", .tasks = tasks, .schedules = schedules};
