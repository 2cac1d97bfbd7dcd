/* The module of background work itself: cleaning up, partitions, invariants. */
#include "base/check.h"
#include "base/log.h"
#include "work/registry.h"
#include "work_module_sql.h"

#define BATCH 1000
#define BATCHES_MAX 200 /* of one run; the next run goes on */

typedef enum error_code delete_batch_fn(struct pg *db, int64_t *affected);

static enum error_code delete_finished(struct pg *db, int64_t *affected)
{
    return work_delete_finished(db, (struct work_delete_finished_args){BATCH}, affected);
}

static enum error_code delete_dead(struct pg *db, int64_t *affected)
{
    return work_delete_dead(db, (struct work_delete_dead_args){BATCH}, affected);
}

static enum error_code delete_events(struct pg *db, int64_t *affected)
{
    return work_delete_events(db, (struct work_delete_events_args){BATCH}, affected);
}

static enum error_code delete_batches(struct pg *db, delete_batch_fn *delete_batch, int64_t *total)
{
    int64_t affected = BATCH;
    *total = 0;
    for (int i = 0; i < BATCHES_MAX && affected == BATCH; i++) {
        enum error_code code = delete_batch(db, &affected);
        if (code)
            return code;
        *total += affected;
    }
    return ERR_OK;
}

static enum error_code cleanup(struct task_run *run)
{
    int64_t finished = 0, dead = 0, events = 0;
    enum error_code code = delete_batches(run->db, delete_finished, &finished);
    if (!code)
        code = delete_batches(run->db, delete_dead, &dead);
    if (!code)
        code = delete_batches(run->db, delete_events, &events);
    if (finished + dead + events > 0)
        log_write(LOG_INFO, "old tasks and events removed", LOG_INT("finished", finished),
                  LOG_INT("dead", dead), LOG_INT("events", events));
    return code;
}

/* A new partition needs the parent's lock for a moment: rather try again later than make orders wait. */
static enum error_code ensure_partitions(struct task_run *run)
{
    enum error_code code = pg_execute(run->db, "SET LOCAL lock_timeout = '1s'");
    struct work_partitions_ensure_row row = {0};
    bool found;
    if (!code)
        code = work_partitions_ensure(run->db, run->arena, &row, &found);
    if (!code && row.made > 0)
        log_write(LOG_INFO, "partitions made", LOG_INT("count", row.made));
    return code;
}

#define CHECK_BY(query)                                                                                      \
    static enum error_code check_##query(struct pg *db, struct arena *arena, struct violations *violations)  \
    {                                                                                                        \
        struct work_check_##query##_rows rows;                                                               \
        enum error_code code = work_check_##query(db, arena, &rows);                                         \
        for (size_t i = 0; i < rows.count; i++)                                                              \
            violation_add(violations, arena_cstr(arena, rows.items[i].place), "%.*s",                        \
                          STR_ARG(rows.items[i].what));                                                      \
        return code;                                                                                         \
    }

CHECK_BY(unexpanded)
CHECK_BY(event_tasks)
CHECK_BY(states)
CHECK_BY(lapsed)
CHECK_BY(payloads)

static enum error_code check_names(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct work_waiting_names_rows rows;
    enum error_code code = work_waiting_names(db, arena, &rows);
    for (size_t i = 0; i < rows.count; i++)
        if (!work_task_find(rows.items[i].name))
            violation_add(violations, arena_cstr(arena, rows.items[i].name),
                          "%lld tasks wait for more than an hour, and this release does not know the name",
                          (long long)rows.items[i].tasks);
    return code;
}

static const struct task_definition tasks[] = {
    {.name = "work_cleanup", .run = cleanup, .mode = TASK_FREE, .priority = TASK_LOW, .timeout_s = 600},
    {.name = "work_partitions", .run = ensure_partitions, .mode = TASK_TRANSACTION, .priority = TASK_LOW},
    {.name = NULL},
};

static const struct schedule_definition schedules[] = {
    {"work_cleanup", 600,
     "removes finished tasks after a day, dead ones after 30 days, and events after their tasks"},
    {"work_partitions", 21600, "makes next months' partitions of the big tables"},
    {.name = NULL},
};

static const struct invariant invariants[] = {
    {"events_become_tasks_in_time", "An event is turned into its tasks within five minutes of its commit",
     check_unexpanded},
    {"event_tasks_complete", "Every event of the last day has all the tasks that it was turned into",
     check_event_tasks},
    {"task_states_whole", "A finished task says when; a running task has a lease, and only a running one",
     check_states},
    {"leases_taken_back", "A task whose lease has ended is taken back within five minutes", check_lapsed},
    {"task_events_kept", "The event of a task that may still run is there", check_payloads},
    {"task_names_known", "Every waiting task has code that runs it", check_names},
    {.name = NULL},
};

const struct module work_module = {
    .name = "work", .tasks = tasks, .schedules = schedules, .invariants = invariants};
