#include "work/registry.h"

#include "base/check.h"
#include "base/log.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

#define SUBSCRIPTIONS_MAX 4096
#define EVENTS_MAX 1024
#define SCHEDULES_MAX 256

static const struct task_definition *tasks[WORK_TASKS_MAX]; /* by name */
static size_t task_count;
static struct subscription {
    struct str type;
    const struct task_definition *task;
} subscriptions[SUBSCRIPTIONS_MAX];                                  /* by type, then task name */
static const struct task_definition *subscribers[SUBSCRIPTIONS_MAX]; /* the same order, only the tasks */
static size_t subscription_count;
static const struct event_definition
    *events[EVENTS_MAX]; /* by type; a type may be declared by several modules */
static size_t event_count;
static const struct schedule_definition *schedules[SCHEDULES_MAX];
static size_t schedule_count;

static int compare_str(struct str a, struct str b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int order = least ? memcmp(a.ptr, b.ptr, least) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int tasks_by_name(const void *a, const void *b)
{
    return strcmp((*(const struct task_definition *const *)a)->name,
                  (*(const struct task_definition *const *)b)->name);
}

static int events_by_type(const void *a, const void *b)
{
    return strcmp((*(const struct event_definition *const *)a)->type,
                  (*(const struct event_definition *const *)b)->type);
}

static int subscriptions_by_type(const void *a, const void *b)
{
    const struct subscription *left = a, *right = b;
    int order = compare_str(left->type, right->type);
    return order ? order : strcmp(left->task->name, right->task->name);
}

static void check_name(const char *name)
{
    check_context_set(name);
    CHECK(name[0] && strlen(name) <= WORK_NAME_MAX);
    for (const char *c = name; *c; c++)
        CHECK((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_' || *c == '.');
}

static void add_task(const struct task_definition *task)
{
    check_name(task->name);
    CHECK(task->run && task->priority < TASK_PRIORITY_COUNT && task_count < WORK_TASKS_MAX);
    tasks[task_count++] = task;
    for (const char *const *type = task->events; type && *type; type++) {
        check_name(*type);
        CHECK(subscription_count < SUBSCRIPTIONS_MAX);
        subscriptions[subscription_count++] = (struct subscription){str_from(*type), task};
    }
}

static void add_module(const struct module *module)
{
    for (const struct task_definition *task = module->tasks; task && task->name; task++)
        add_task(task);
    for (const struct event_definition *event = module->events; event && event->type; event++) {
        check_name(event->type);
        CHECK(event_count < EVENTS_MAX);
        events[event_count++] = event;
    }
    for (const struct schedule_definition *schedule = module->schedules; schedule && schedule->name;
         schedule++) {
        check_name(schedule->name);
        CHECK(schedule_count < SCHEDULES_MAX && schedule->interval_s > 0);
        schedules[schedule_count++] = schedule;
    }
}

static const struct event_definition *find_event(struct str type)
{
    size_t low = 0, high = event_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_str(str_from(events[middle]->type), type);
        if (order == 0)
            return events[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const struct task_definition *find_task(struct str name)
{
    size_t low = 0, high = task_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_str(str_from(tasks[middle]->name), name);
        if (order == 0)
            return tasks[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void check_all(void)
{
    for (size_t i = 1; i < task_count; i++) {
        check_context_set(tasks[i]->name);
        CHECK(strcmp(tasks[i - 1]->name, tasks[i]->name) != 0); /* two tasks of one name */
    }
    for (size_t i = 0; i < schedule_count; i++) {
        check_context_set(schedules[i]->name);
        CHECK(find_task(str_from(schedules[i]->name))); /* a schedule without its task */
    }
    for (size_t i = 0; i < subscription_count; i++) {
        subscribers[i] = subscriptions[i].task;
        if (!find_event(subscriptions[i].type))
            log_write(LOG_WARN, "a task subscribes to an event that no module declares",
                      LOG_TEXT("task", subscriptions[i].task->name), LOG_STR("event", subscriptions[i].type));
    }
    check_context_set(NULL);
}

static void build(void)
{
    for (const struct module *const *module = modules; *module; module++)
        add_module(*module);
    qsort(tasks, task_count, sizeof *tasks, tasks_by_name);
    qsort(events, event_count, sizeof *events, events_by_type);
    qsort(subscriptions, subscription_count, sizeof *subscriptions, subscriptions_by_type);
    check_all();
}

static void ensure_built(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, build) == 0);
}

const struct task_definition *work_task_find(struct str name)
{
    ensure_built();
    return find_task(name);
}

int work_attempts_max(const struct task_definition *task)
{
    return task->attempts_max ? task->attempts_max : WORK_ATTEMPTS_DEFAULT;
}

int work_timeout_s(const struct task_definition *task)
{
    return task->timeout_s ? task->timeout_s : WORK_TIMEOUT_DEFAULT_S;
}

size_t work_subscribers(struct str type, const struct task_definition *const **out)
{
    ensure_built();
    size_t low = 0, high = subscription_count;
    while (low < high) { /* the first one that is not less */
        size_t middle = (low + high) / 2;
        if (compare_str(subscriptions[middle].type, type) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    size_t count = 0;
    while (low + count < subscription_count && str_equal(subscriptions[low + count].type, type))
        count++;
    *out = subscribers + low;
    return count;
}

const char *work_event_invalidates(struct str type)
{
    ensure_built();
    const struct event_definition *event = find_event(type);
    return event ? event->invalidates : NULL;
}

struct uuid_array work_event_things(struct arena *arena, struct uuid aggregate_id, struct str payload)
{
    struct uuid *ids = ARENA_ARRAY(arena, struct uuid, 1 + payload.len / 32);
    if (!uuid_is_zero(aggregate_id)) {
        ids[0] = aggregate_id;
        return (struct uuid_array){ids, 1};
    }
    size_t count = 0;
    json_t *root = payload.ptr ? json_loadb(payload.ptr, payload.len, 0, NULL) : NULL, *one;
    size_t i;
    json_array_foreach(json_object_get(root, "ids"), i,
                       one) if (json_is_string(one) &&
                                uuid_parse(str_from(json_string_value(one)), &ids[count])) count++;
    json_decref(root);
    return (struct uuid_array){ids, count};
}

size_t work_schedules(const struct schedule_definition *const **out)
{
    ensure_built();
    *out = schedules;
    return schedule_count;
}

bool work_is_schedule(struct str name)
{
    ensure_built();
    for (size_t i = 0; i < schedule_count; i++)
        if (str_equal(str_from(schedules[i]->name), name))
            return true;
    return false;
}
