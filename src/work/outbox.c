/* Writing events and tasks. Everything here is an INSERT in the caller's transaction; what happens after the
 * commit is the relay's. */
#include "base/check.h"
#include "base/log.h"
#include "outbox_sql.h"
#include "work/registry.h"
#include "work/work.h"

static void check_event(const struct event *event)
{
    CHECK(event->type.len > 0 && event->type.len <= WORK_NAME_MAX);
    CHECK(event->payload.len > 1 && event->payload.ptr[0] == '{');
}

/* The event's own, else that of the request or task that this thread is working on. */
static struct str trace_of(struct str traceparent)
{
    struct str trace = traceparent.len ? traceparent : log_context_traceparent();
    return trace.len ? trace : STR_NONE;
}

enum error_code outbox_publish(struct pg *db, const struct event *event, struct event_id *id)
{
    /* An event that commits separately could be lost, or announce a change that was rolled back. */
    CHECK(!pg_raw(db) || PQtransactionStatus(pg_raw(db)) != PQTRANS_IDLE);
    check_event(event);
    struct event_id made = event_id_new();
    if (id)
        *id = made;
    struct outbox_insert_args args = {.id = made,
                                      .type = event->type,
                                      .aggregate_id = event->aggregate_id,
                                      .sequence = event->sequence,
                                      .payload = event->payload,
                                      .traceparent = trace_of(event->traceparent)};
    return outbox_insert(db, args, NULL);
}

enum error_code outbox_publish_queue(struct pg *db, struct arena *arena, const struct event *events,
                                     size_t count)
{
    struct event_id *ids = ARENA_ARRAY(arena, struct event_id, count);
    struct str *types = ARENA_ARRAY(arena, struct str, count);
    struct uuid *aggregates = ARENA_ARRAY(arena, struct uuid, count);
    int64_t *sequences = ARENA_ARRAY(arena, int64_t, count);
    struct str *payloads = ARENA_ARRAY(arena, struct str, count);
    struct str *traces = ARENA_ARRAY(arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        check_event(&events[i]);
        ids[i] = event_id_new();
        types[i] = events[i].type;
        aggregates[i] = events[i].aggregate_id;
        sequences[i] = events[i].sequence;
        payloads[i] = events[i].payload;
        traces[i] = trace_of(events[i].traceparent);
    }
    struct outbox_insert_many_args args = {.ids = {ids, count},
                                           .types = {types, count},
                                           .aggregate_ids = {aggregates, count},
                                           .sequences = {sequences, count},
                                           .payloads = {payloads, count},
                                           .traceparents = {traces, count}};
    return outbox_insert_many_queue(db, args);
}

enum error_code outbox_publish_fetch(struct pg *db)
{
    return outbox_insert_many_fetch(db, NULL);
}

enum error_code task_enqueue(struct pg *db, const struct task_request *request)
{
    const struct task_definition *task = work_task_find(request->name);
    CHECK(task && request->delay_ms >= 0);
    struct task_insert_args args = {.id = task_id_new(),
                                    .name = request->name,
                                    .aggregate_id = request->aggregate_id,
                                    .payload = request->payload.len ? request->payload : STR("{}"),
                                    .unique_key = request->unique_key,
                                    .priority = (int16_t)task->priority,
                                    .delay_ms = request->delay_ms,
                                    .traceparent = trace_of(STR_NONE)};
    return task_insert(db, args, NULL);
}
