/* What the modules declare, indexed: event type → tasks that subscribe, name → task. Built once from
 * modules[] by the first caller; constant afterwards, so any thread may read. A task name that two modules
 * use, a schedule without a task, or a name past the limits is a bug and stops the process. Nothing here
 * blocks. */
#ifndef CATHAY_WORK_REGISTRY_H
#define CATHAY_WORK_REGISTRY_H

#include "work/work.h"

#define WORK_NAME_MAX 80
#define WORK_TASKS_MAX 1024
#define WORK_ATTEMPTS_DEFAULT 20
#define WORK_TIMEOUT_DEFAULT_S 60

/* NULL: no such task in this release. */
const struct task_definition *work_task_find(struct str name);
int work_attempts_max(const struct task_definition *task);
int work_timeout_s(const struct task_definition *task);

/* Tasks that subscribe to the type, as a run of pointers; count may be 0. */
size_t work_subscribers(struct str type, const struct task_definition *const **tasks);
/* The cache kind that the event invalidates, or NULL. */
const char *work_event_invalidates(struct str type);
/* What the event is about: its aggregate; or, where that is zero, what its payload lists. In the arena. */
struct uuid_array work_event_things(struct arena *arena, struct uuid aggregate_id, struct str payload);

size_t work_schedules(const struct schedule_definition *const **schedules);
bool work_is_schedule(struct str name);

#endif
