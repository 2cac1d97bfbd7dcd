/* Background work. PostgreSQL remembers, Redis carries.
 *
 * A module publishes an event in the transaction that makes the change (outbox_publish). The relay turns it
 * into one task row for each subscription and pushes ready tasks to Redis Streams; a worker claims the row
 * (lease), runs the task, and completes it. A sweeper pushes again what is late; without Redis workers read
 * PostgreSQL. A task may run twice, and tasks in any order: its writes happen in one transaction with its
 * completion (TASK_TRANSACTION), or are idempotent by their own means (TASK_FREE: those that call partners).
 *
 * Tables: outbox, task, schedule (db/migrations). See README.md here for states and times. */
#ifndef CATHAY_WORK_WORK_H
#define CATHAY_WORK_WORK_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "pg/pg.h"

/* Something that has happened. `aggregate_id`: the order, product, payment … it is about; zero: many things
 * of a kind, which the payload lists as `ids`, in hexadecimal. `sequence` counts up per aggregate (0 where
 * order does not matter). payload: a JSON object. */
struct event {
    struct str type; /* "order.confirmed" */
    struct uuid aggregate_id;
    int64_t sequence;
    struct str payload;
    struct str traceparent; /* absent: that of the request or task in hand (log_context_set), if any */
};

/* Inside a transaction. id may be NULL. */
enum error_code outbox_publish(struct pg *db, const struct event *event, struct event_id *id);
/* The same for many, as one statement of a pipeline; fetch reads its result. Ids are made here. */
enum error_code outbox_publish_queue(struct pg *db, struct arena *arena, const struct event *events,
                                     size_t count);
enum error_code outbox_publish_fetch(struct pg *db);

/* A task without an event: now or later. `unique_key`: while a task of that name and key is not done, a
 * second one is not made (absent: no such check). Inside a transaction or outside. */
struct task_request {
    struct str name;
    struct str unique_key;
    int64_t delay_ms;
    struct uuid aggregate_id;
    struct str payload; /* a JSON object */
};
enum error_code task_enqueue(struct pg *db, const struct task_request *request);

/* What a running task is given. */
struct task_run {
    struct pg *db;
    struct arena *arena;
    struct task_id id;
    struct event_id event_id; /* zero for a task without an event */
    struct event event;       /* type is the task's name for a task without an event */
    int attempt;              /* from 1 */
    struct error error;       /* set it before returning a code */
    bool completed;           /* by task_complete */
};

enum task_mode {
    TASK_TRANSACTION, /* run inside a transaction that also records completion; must not call partners */
    TASK_FREE         /* no transaction is open; may call partners and run its own transactions */
};

/* ERR_OK: done. Another code: tried again later (n^4 + base + jitter, at most attempts_max times, then dead
 * letter). task_fail_for_good() makes it a dead letter at once. */
typedef enum error_code task_fn(struct task_run *run);
/* For TASK_FREE: records completion inside the caller's open transaction, so that it commits with the task's
 * writes. */
enum error_code task_complete(struct task_run *run);
enum error_code task_fail_for_good(struct task_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

enum task_priority { TASK_HIGH, TASK_NORMAL, TASK_LOW, TASK_PRIORITY_COUNT };

struct task_definition {
    const char *name; /* "mail_order_confirmed" */
    const char *const
        *events; /* NULL-terminated types that it subscribes to, or NULL: only task_enqueue and schedules */
    task_fn *run;
    enum task_mode mode;
    enum task_priority priority;
    int attempts_max; /* 0: 20 */
    int timeout_s;    /* 0: 60; past it the lease is not renewed and another worker takes over */
};

/* Run by the one leading scheduler: makes a task every interval. */
struct schedule_definition {
    const char *name; /* of the schedule and of its task */
    int interval_s;
    const char *why;
};

/* What an event does to caches: invalidates what it is about, as things of that kind, in every server. */
struct event_definition {
    const char *type;
    const char *invalidates; /* cache kind, or NULL */
};

/* Invariants for `cathay verify`: add what is wrong and where. Bounded: look for the first VIOLATIONS_MAX. */
#define VIOLATIONS_MAX 100
struct violations;
void violation_add(struct violations *violations, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct invariant {
    const char *name; /* "stock_on_hand_is_sum_of_movements" */
    const char *says; /* what must hold, in a sentence */
    enum error_code (*check)(struct pg *db, struct arena *arena, struct violations *violations);
};

/* A module of the shop. Arrays end with an entry whose name/type is NULL; each may be NULL. */
struct module {
    const char *name;
    const struct event_definition *events;
    const struct task_definition *tasks;
    const struct schedule_definition *schedules;
    const struct invariant *invariants;
    /* Once per process before any thread starts, with a connection to the migrated database; may be NULL. */
    enum error_code (*start)(struct pg *db, struct error *error);
    void (*stop)(void);
};
/* All modules, NULL-terminated; src/app/modules.c defines it. */
extern const struct module *const modules[];

/* Cleaning up, partitions, and the invariants of events and tasks themselves; belongs into modules[]. */
extern const struct module work_module;

/* Roles. Each starts its threads and returns; stop joins them and lets running tasks end. */
struct worker;
enum error_code worker_start(int threads, struct worker **worker, struct error *error);
void worker_stop(struct worker *worker);
struct relay;
enum error_code relay_start(struct relay **relay, struct error *error); /* any number in any process */
void relay_stop(struct relay *relay);
struct scheduler;
enum error_code scheduler_start(struct scheduler **scheduler,
                                struct error *error); /* one leads, the others wait */
void scheduler_stop(struct scheduler *scheduler);

/* Live news of aggregates, for Server-Sent Events: the relay publishes each event's aggregate on Redis; this
 * process's listener calls back (on its own thread) within a second of the commit, also when Redis is away
 * (it then polls). The callback gets only its context: it reads what is new from the database. It must be
 * quick (hand over to another thread) and must not take a lock that is held around live_unsubscribe(). News
 * may come without anything being new. */
struct live_subscription;
enum error_code live_start(struct error *error);
void live_stop(void);
struct live_subscription *live_subscribe(struct uuid aggregate_id, void (*news)(void *context),
                                         void *context);
/* After it has returned the callback does not run any more. */
void live_unsubscribe(struct live_subscription *subscription);
/* For the cache: called for every invalidation message; kind and id as in struct event_definition; an empty
 * kind means messages may have been lost: drop everything. */
void live_on_invalidate(void (*invalidate)(struct str kind, struct uuid id));

#endif
