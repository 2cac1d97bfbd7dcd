/* The scheduler: one thread on a connection of its own. Whoever holds the advisory lock leads; the lock goes
 * with the connection, so a lost connection is a lost lead. The rows of `schedule` are moved in the
 * transaction that makes their tasks, so even two leaders would not start anything twice. */
#include "base/check.h"
#include "base/config.h"
#include "base/log.h"
#include "base/thread.h"
#include "schedule_sql.h"
#include "work/registry.h"
#include "work/stop.h"

#include <stdlib.h>

struct scheduler {
    struct pg *db;
    struct arena *arena;
    struct stop stop;
    pthread_t thread;
    int leading_pid; /* of the session that holds the lock; 0: not leading */
    struct str_array names;
    int started;
};

static enum error_code declare(struct scheduler *scheduler)
{
    const struct schedule_definition *const *schedules;
    size_t count = work_schedules(&schedules);
    struct str *whys = ARENA_ARRAY(scheduler->arena, struct str, count);
    int32_t *intervals = ARENA_ARRAY(scheduler->arena, int32_t, count);
    for (size_t i = 0; i < count; i++) {
        whys[i] = str_from(schedules[i]->why ? schedules[i]->why : "");
        intervals[i] = schedules[i]->interval_s;
    }
    struct schedule_declare_args args = {scheduler->names, {intervals, count}, {whys, count}};
    return schedule_declare(scheduler->db, args, NULL);
}

/* True while this session holds the lock. */
static bool lead(struct scheduler *scheduler)
{
    PGconn *conn = pg_raw(scheduler->db);
    if (scheduler->leading_pid && conn && PQbackendPID(conn) == scheduler->leading_pid)
        return true;
    if (scheduler->leading_pid)
        log_write(LOG_WARN, "scheduler lost its lead");
    scheduler->leading_pid = 0;
    struct schedule_lead_row row;
    bool found;
    if (schedule_lead(scheduler->db, scheduler->arena, &row, &found) || !row.leads || declare(scheduler))
        return false;
    conn = pg_raw(scheduler->db);
    scheduler->leading_pid = conn ? PQbackendPID(conn) : 0;
    if (scheduler->leading_pid)
        log_write(LOG_INFO, "scheduler leads", LOG_INT("schedules", (int64_t)scheduler->names.count));
    return scheduler->leading_pid != 0;
}

static enum error_code start_due(struct pg *db, void *context)
{
    struct scheduler *scheduler = context;
    struct schedule_take_due_rows rows;
    scheduler->started = 0;
    enum error_code code =
        schedule_take_due(db, scheduler->arena, (struct schedule_take_due_args){scheduler->names}, &rows);
    for (size_t i = 0; i < rows.count && !code; i++) {
        code = task_enqueue(
            db, &(struct task_request){.name = rows.items[i].name, .unique_key = rows.items[i].name});
        scheduler->started++;
    }
    return code;
}

static void *scheduler_main(void *argument)
{
    struct scheduler *scheduler = argument;
    while (!stop_requested(&scheduler->stop)) {
        if (lead(scheduler)) {
            enum error_code code = pg_transaction(scheduler->db, start_due, scheduler);
            if (code && code != ERR_DATABASE)
                log_write(LOG_ERROR, "scheduler failed", LOG_TEXT("code", error_text(code)));
            else if (!code && scheduler->started > 0)
                log_write(LOG_DEBUG, "periodic tasks started", LOG_INT("count", scheduler->started));
        }
        arena_reset(scheduler->arena);
        stop_wait(&scheduler->stop, (int)config()->schedule_tick_ms);
    }
    return NULL;
}

enum error_code scheduler_start(struct scheduler **out, struct error *error)
{
    (void)error;
    struct scheduler *scheduler = calloc(1, sizeof *scheduler);
    CHECK(scheduler);
    const struct schedule_definition *const *schedules;
    size_t count = work_schedules(&schedules);
    struct str *names = calloc(count + 1, sizeof *names);
    CHECK(names);
    for (size_t i = 0; i < count; i++)
        names[i] = str_from(schedules[i]->name);
    scheduler->names = (struct str_array){names, count};
    scheduler->db = pg_new(config()->database_url, "cathay scheduler", NULL);
    scheduler->arena = arena_new();
    stop_init(&scheduler->stop);
    CHECK(thread_start(&scheduler->thread, "scheduler", scheduler_main, scheduler));
    *out = scheduler;
    return ERR_OK;
}

void scheduler_stop(struct scheduler *scheduler)
{
    if (!scheduler)
        return;
    stop_request(&scheduler->stop);
    pthread_join(scheduler->thread, NULL);
    stop_destroy(&scheduler->stop);
    pg_free(scheduler->db);
    arena_free(scheduler->arena);
    free((void *)scheduler->names.items);
    free(scheduler);
}
