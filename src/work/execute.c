/* A task's claim (owner and attempt) guards everything that is written about it: whoever has lost the claim,
 * because its lease ended while it was away, finds no row to change, and its transaction rolls back. */
#include "work/execute.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "work/registry.h"
#include "work/retry.h"
#include "work/stop.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#define UNKNOWN_DELAY_MS 30000
#define ERROR_TEXT_MAX 500

struct execution {
    struct task_run run; /* first: task functions get a pointer to it */
    struct uuid owner;
    const struct task_definition *definition;
    bool for_good;
    bool claim_lost;
};

static struct metric *done_total, *failed_total, *dead_total, *lost_total, *duration;

static void register_metrics(void)
{
    static const char name[] = "cathay_tasks_total", help_text[] = "Tasks that were run, by how that ended";
    done_total = metric_counter(name, help_text, "result=\"done\"");
    failed_total = metric_counter(name, help_text, "result=\"failed\"");
    dead_total = metric_counter(name, help_text, "result=\"dead\"");
    lost_total = metric_counter(name, help_text, "result=\"lease_lost\"");
    duration =
        metric_histogram("cathay_task_duration_seconds", "Time that a task took, from its claim to its end",
                         NULL, metric_duration_bounds_us, 15, 1000000);
}

/* Failures are rare enough to look the metric up each time. */
static void count_failure(const struct task_definition *definition, bool dead)
{
    char label[WORK_NAME_MAX + 16];
    snprintf(label, sizeof label, "task=\"%s\"", definition->name);
    metric_add(metric_counter("cathay_task_failures_total", "Failed attempts, by task", label), 1);
    metric_add(dead ? dead_total : failed_total, 1);
}

static enum error_code mark_done(struct execution *execution)
{
    struct task_run *run = &execution->run;
    int64_t affected;
    enum error_code code = task_mark_done(
        run->db, (struct task_mark_done_args){run->id, execution->owner, run->attempt}, &affected);
    if (code)
        return code;
    if (affected == 1)
        return ERR_OK;
    execution->claim_lost = true;
    return error_set(&run->error, ERR_CONFLICT, "the lease ended while the task ran");
}

enum error_code task_complete(struct task_run *run)
{
    CHECK(pg_raw(run->db) == NULL || PQtransactionStatus(pg_raw(run->db)) != PQTRANS_IDLE);
    enum error_code code = mark_done((struct execution *)run);
    run->completed = code == ERR_OK;
    return code;
}

enum error_code task_fail_for_good(struct task_run *run, const char *format, ...)
{
    ((struct execution *)run)->for_good = true;
    va_list args;
    va_start(args, format);
    vsnprintf(run->error.detail, sizeof run->error.detail, format, args);
    va_end(args);
    return run->error.code = ERR_CONFLICT;
}

static enum error_code run_in_transaction(struct pg *db, void *context)
{
    struct execution *execution = context;
    struct task_run *run = &execution->run;
    execution->for_good = execution->claim_lost = run->completed = false; /* this may be a second try */
    error_clear(&run->error);
    char limit[24];
    snprintf(limit, sizeof limit, "%d", work_timeout_s(execution->definition) * 1000);
    struct task_lock_args args = {run->id, execution->owner, run->attempt, str_from(limit)};
    struct task_lock_row row;
    bool found;
    enum error_code code = task_lock(db, run->arena, args, &row, &found);
    if (code)
        return code;
    if (!found) {
        execution->claim_lost = true;
        return error_set(&run->error, ERR_CONFLICT, "the lease ended before the task ran");
    }
    code = execution->definition->run(run);
    return code ? code : run->completed ? ERR_OK : mark_done(execution);
}

static enum error_code run_free(struct execution *execution)
{
    struct task_run *run = &execution->run;
    enum error_code code = execution->definition->run(run);
    CHECK(!pg_in_transaction(run->db)); /* a task that leaves a transaction open is a bug */
    return code || run->completed ? code : mark_done(execution);
}

/* The reason in one line of clean text: what the task said, else the database, else the code's title. */
static struct str reason_text(struct execution *execution, enum error_code code, char out[ERROR_TEXT_MAX])
{
    struct task_run *run = &execution->run;
    const char *detail = run->error.detail;
    bool of_database = code == ERR_DATABASE || code == ERR_DATABASE_RETRY ||
                       code == ERR_DATABASE_CONSTRAINT || code == ERR_INTERNAL || code == ERR_OVERLOADED;
    if (!detail[0] && of_database)
        detail = pg_error(run->db)->detail;
    snprintf(out, ERROR_TEXT_MAX, "%s: %s", error_text(code), detail[0] ? detail : error_title(code));
    return str_from(out);
}

static struct retry retry_of(const struct execution *execution, enum error_code code)
{
    if (execution->for_good)
        return (struct retry){.dead = true};
    int64_t base_s = config()->task_retry_base_s;
    if (code ==
        ERR_DATABASE) /* our own connection: not the task's fault, and the database is there again by now */
        return retry_after_loss(execution->definition, execution->run.attempt, base_s, stop_random());
    return retry_after_failure(execution->definition, execution->run.attempt, base_s, stop_random());
}

static void record_failure(struct execution *execution, enum error_code code)
{
    struct task_run *run = &execution->run;
    const struct task_definition *definition = execution->definition;
    char text[ERROR_TEXT_MAX];
    struct str reason = reason_text(execution, code, text);
    struct retry retry = retry_of(execution, code);
    struct task_mark_failed_args args = {.id = run->id,
                                         .owner = execution->owner,
                                         .attempt = run->attempt,
                                         .dead = retry.dead,
                                         .delay_ms = retry.delay_ms,
                                         .error = reason};
    count_failure(definition, retry.dead);
    if (retry.dead) {
        log_write(LOG_ERROR, "task is dead", LOG_TEXT("name", definition->name),
                  LOG_INT("attempt", run->attempt), LOG_TEXT("reason", text));
    } else {
        log_write(LOG_WARN, "task failed", LOG_TEXT("name", definition->name),
                  LOG_INT("attempt", run->attempt), LOG_INT("again_in_ms", retry.delay_ms),
                  LOG_TEXT("reason", text));
    }
    enum error_code recorded = task_mark_failed(run->db, args, NULL);
    if (recorded)
        log_write(LOG_WARN, "failure not recorded; the lease will end",
                  LOG_TEXT("code", error_text(recorded)));
    else if (work_is_schedule(str_from(definition->name)))
        task_schedule_result(run->db, (struct task_schedule_result_args){str_from(definition->name), reason},
                             NULL);
}

static void put_back_unknown(struct execution *execution, struct str name)
{
    struct task_run *run = &execution->run;
    log_write(LOG_WARN, "task is not known to this release", LOG_STR("name", name));
    task_put_back(run->db,
                  (struct task_put_back_args){run->id, execution->owner, run->attempt, UNKNOWN_DELAY_MS},
                  NULL);
}

static void execution_begin(struct execution *execution, struct pg *db, struct arena *arena,
                            struct uuid owner, const struct task_claim_row *claimed)
{
    *execution = (struct execution){.owner = owner, .definition = work_task_find(claimed->name)};
    struct task_run *run = &execution->run;
    run->db = db;
    run->arena = arena;
    run->id = claimed->id;
    run->attempt = claimed->attempt;
    if (claimed->event_id.present)
        run->event_id = claimed->event_id.value;
    run->event = (struct event){.type = claimed->type.ptr ? claimed->type : claimed->name,
                                .aggregate_id = claimed->aggregate_id,
                                .sequence = claimed->sequence.present ? claimed->sequence.value : 0,
                                .payload = claimed->payload,
                                .traceparent = claimed->traceparent};
}

void task_execute(struct pg *db, struct arena *arena, struct uuid owner, const struct task_claim_row *claimed)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_metrics);
    struct execution execution;
    execution_begin(&execution, db, arena, owner, claimed);
    struct task_run *run = &execution.run;
    char id_text[ID_TEXT_MAX];
    size_t len = task_id_text(run->id, id_text);
    log_context_set((struct str){id_text, len}, run->event.traceparent);
    if (!execution.definition) {
        put_back_unknown(&execution, claimed->name);
        log_context_clear();
        return;
    }
    const struct task_definition *definition = execution.definition;
    int64_t started_us = clock_monotonic_us();
    check_context_set(definition->name);
    check_request_set(STR_NONE, (struct str){id_text, len}, 1);
    enum error_code code = definition->mode == TASK_TRANSACTION
                               ? pg_transaction(db, run_in_transaction, &execution)
                               : run_free(&execution);
    int64_t took_us = clock_monotonic_us() - started_us;
    metric_observe(duration, took_us);
    if (execution.claim_lost) {
        metric_add(lost_total, 1);
        log_write(LOG_WARN, "task lost its lease; another worker has it", LOG_TEXT("name", definition->name),
                  LOG_INT("attempt", run->attempt));
    } else if (code) {
        record_failure(&execution, code);
    } else {
        metric_add(done_total, 1);
        log_write(LOG_DEBUG, "task done", LOG_TEXT("name", definition->name),
                  LOG_INT("attempt", run->attempt), LOG_INT("ms", took_us / 1000));
        if (work_is_schedule(str_from(definition->name)))
            task_schedule_result(db, (struct task_schedule_result_args){str_from(definition->name), STR_NONE},
                                 NULL);
    }
    check_hand_clear();
    log_context_clear();
}
