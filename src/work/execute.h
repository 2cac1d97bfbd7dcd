/* Runs one claimed task to its end: done, ready again later, or dead. */
#ifndef CATHAY_WORK_EXECUTE_H
#define CATHAY_WORK_EXECUTE_H

#include "task_sql.h"
#include "work/work.h"

/* Never fails as such: what could not be recorded is left to the lease's end. Blocks as long as the task
 * runs. */
void task_execute(struct pg *db, struct arena *arena, struct uuid owner,
                  const struct task_claim_row *claimed);

#endif
