/* `cathay tasks`: what staff see and do about background work, from a terminal. */
#include "app/commands.h"

#include "base/clock.h"
#include "base/config.h"
#include "pg/pg.h"
#include "tasks_admin_sql.h"
#include "work/registry.h"

#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "Usage: cathay tasks [summary]                      counts by name and state\n"
    "       cathay tasks list [--state S] [--name N] [--limit N]\n"
    "                                                   newest first; S: ready running done dead discarded\n"
    "       cathay tasks show ID                        everything about one\n"
    "       cathay tasks retry ID                       run it again now, with all its attempts\n"
    "       cathay tasks retry --all-dead [--name N]    the same for every dead letter\n"
    "       cathay tasks discard ID                     never run it (again)\n"
    "       cathay tasks kinds                          which tasks there are, and the events that start "
    "them\n"
    "       cathay tasks schedules                      periodic tasks\n"
    "       cathay tasks pause NAME                     a periodic task: not until resumed\n"
    "       cathay tasks resume NAME\n"
    "       cathay tasks run NAME                       a periodic task: now\n"
    "\n"
    "Tasks come from events and schedules; they are kept for 24 hours when done and for 30 days when dead.\n";

#define LIST_DEFAULT 50
#define LIST_MAX 10000
#define RETRY_BATCH 10000
#define AGE_MAX 24

struct command {
    struct pg *db;
    struct arena *arena;
};

static int database_failed(const struct command *command)
{
    fprintf(stderr, "cathay tasks: %s\n", pg_error(command->db)->detail);
    return 2;
}

static int misused(const char *word)
{
    fprintf(stderr, "cathay tasks: cannot make sense of \"%s\"; see cathay tasks --help\n", word);
    return 2;
}

/* "in 3 m", "12 s ago". */
static const char *age(int64_t time_us, char out[AGE_MAX])
{
    int64_t seconds = (time_us - clock_wall_us()) / 1000000;
    int64_t size = seconds < 0 ? -seconds : seconds;
    char amount[AGE_MAX / 2];
    if (size < 120)
        snprintf(amount, sizeof amount, "%d s", (int)size);
    else if (size < 7200)
        snprintf(amount, sizeof amount, "%d m", (int)(size / 60));
    else if (size < 172800)
        snprintf(amount, sizeof amount, "%d h", (int)(size / 3600));
    else
        snprintf(amount, sizeof amount, "%d d", (int)(size / 86400 % 100000));
    snprintf(out, AGE_MAX, seconds > 0 ? "in %s" : "%s ago", amount);
    return out;
}

static bool parse_task_id(const char *text, struct task_id *id)
{
    if (task_id_parse(str_from(text), id) || uuid_parse(str_from(text), &id->uuid))
        return true;
    fprintf(stderr, "cathay tasks: \"%s\" is not a task's id (tsk_ and 32 hex digits)\n", text);
    return false;
}

static int summary(const struct command *command)
{
    struct tasks_summary_rows rows;
    struct tasks_outbox_waiting_row outbox;
    bool found;
    if (tasks_summary(command->db, command->arena, &rows) ||
        tasks_outbox_waiting(command->db, command->arena, &outbox, &found))
        return database_failed(command);
    char text[AGE_MAX];
    printf("%-40s %8s %8s %8s %6s %9s  %s\n", "TASK", "READY", "RUNNING", "DONE", "DEAD", "DISCARDED",
           "OLDEST DUE");
    for (size_t i = 0; i < rows.count; i++) {
        const struct tasks_summary_row *row = &rows.items[i];
        printf("%-40.*s %8lld %8lld %8lld %6lld %9lld  %s\n", STR_ARG(row->name), (long long)row->ready,
               (long long)row->running, (long long)row->done, (long long)row->dead, (long long)row->discarded,
               row->oldest_due_at.present ? age(row->oldest_due_at.value, text) : "-");
    }
    if (rows.count == 0)
        printf("no tasks\n");
    printf("\nevents waiting for the relay: %lld", (long long)outbox.events);
    if (outbox.oldest_at.present)
        printf(", the oldest %s", age(outbox.oldest_at.value, text));
    printf("\n");
    return 0;
}

static int list(const struct command *command, int argc, char **argv)
{
    static const char *const states[] = {"ready", "running", "done", "dead", "discarded"};
    struct tasks_list_args args = {.most = LIST_DEFAULT};
    for (int i = 0; i < argc; i += 2) {
        int64_t number;
        if (i + 1 == argc)
            return misused(argv[i]);
        if (strcmp(argv[i], "--state") == 0)
            args.state = str_from(argv[i + 1]);
        else if (strcmp(argv[i], "--name") == 0)
            args.name = str_from(argv[i + 1]);
        else if (strcmp(argv[i], "--limit") == 0 && str_to_int64(str_from(argv[i + 1]), &number) &&
                 number > 0 && number <= LIST_MAX)
            args.most = (int32_t)number;
        else
            return misused(argv[i]);
    }
    bool known = !args.state.ptr;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        known = known || str_equal(args.state, str_from(states[i]));
    if (!known)
        return misused(args.state.ptr);
    struct tasks_list_rows rows;
    if (tasks_list(command->db, command->arena, args, &rows))
        return database_failed(command);
    printf("%-36s  %-32s %-9s %5s  %-9s %-24s %s\n", "ID", "TASK", "STATE", "TRIES", "WHEN", "EVENT",
           "LAST ERROR");
    for (size_t i = 0; i < rows.count; i++) {
        const struct tasks_list_row *row = &rows.items[i];
        char id[ID_TEXT_MAX], text[AGE_MAX];
        task_id_text(row->id, id);
        printf("%-36s  %-32.*s %-9.*s %5d  %-9s %-24.*s %.60s\n", id, STR_ARG(row->name), STR_ARG(row->state),
               row->attempt, age(row->finished_at.present ? row->finished_at.value : row->due_at, text),
               STR_ARG(row->event_type.ptr ? row->event_type : STR("-")),
               row->last_error.ptr ? arena_cstr(command->arena, row->last_error) : "");
    }
    if (rows.count == 0)
        printf("none\n");
    else if (rows.count == (size_t)args.most)
        printf("… the newest %d; --limit shows more\n", args.most);
    return 0;
}

static void show_time(const char *name, struct opt_int64 time_us)
{
    char text[CLOCK_TEXT_MAX], ago[AGE_MAX];
    if (!time_us.present)
        return;
    clock_format(time_us.value, text);
    printf("%-12s %s (%s)\n", name, text, age(time_us.value, ago));
}

static void show_text(const char *name, struct str text)
{
    if (text.ptr)
        printf("%-12s %.*s\n", name, STR_ARG(text));
}

static int show(const struct command *command, const char *id_text)
{
    static const char *const priorities[] = {"high", "normal", "low"};
    struct task_id id;
    if (!parse_task_id(id_text, &id))
        return 2;
    struct tasks_show_row row;
    bool found;
    if (tasks_show(command->db, command->arena, (struct tasks_show_args){id}, &row, &found))
        return database_failed(command);
    if (!found) {
        fprintf(stderr, "cathay tasks: there is no task %s (done ones are removed after 24 hours)\n",
                id_text);
        return 1;
    }
    char text[ID_TEXT_MAX];
    task_id_text(id, text);
    show_text("task", str_from(text));
    show_text("name", row.name);
    show_text("state", row.state);
    if (row.priority >= 0 && row.priority < TASK_PRIORITY_COUNT)
        show_text("priority", str_from(priorities[row.priority]));
    const struct task_definition *definition = work_task_find(row.name);
    if (definition)
        printf("%-12s %d of at most %d\n", "attempt", row.attempt, work_attempts_max(definition));
    else
        printf("%-12s %d (this release does not know the task)\n", "attempt", row.attempt);
    if (row.event_id.present) {
        event_id_text(row.event_id.value, text);
        printf("%-12s %s %.*s, number %lld of its aggregate\n", "event", text, STR_ARG(row.event_type),
               (long long)(row.sequence.present ? row.sequence.value : 0));
    }
    char hex[32];
    uuid_hex(row.aggregate_id, hex);
    show_text("aggregate", (struct str){hex, sizeof hex});
    show_text("unique key", row.unique_key);
    show_text("trace", row.traceparent);
    show_time("made", opt_int64(row.created_at));
    show_time("due", opt_int64(row.due_at));
    show_time("pushed", row.pushed_at);
    show_time("lease until", row.lease_until);
    show_time("finished", row.finished_at);
    show_text("last error", row.last_error);
    show_text("payload", row.payload);
    return 0;
}

static int retry_one(const struct command *command, const char *id_text)
{
    struct task_id id;
    if (!parse_task_id(id_text, &id))
        return 2;
    struct tasks_retry_row row;
    bool found;
    if (tasks_retry(command->db, command->arena, (struct tasks_retry_args){id}, &row, &found))
        return database_failed(command);
    if (!found) {
        fprintf(
            stderr,
            "cathay tasks: %s is not there, runs or is done, or another one of the same unique key waits\n",
            id_text);
        return 1;
    }
    printf("%.*s will run again now\n", STR_ARG(row.name));
    return 0;
}

static int retry(const struct command *command, int argc, char **argv)
{
    if (argc == 1 && argv[0][0] != '-')
        return retry_one(command, argv[0]);
    bool by_name = argc == 3 && strcmp(argv[1], "--name") == 0;
    if (argc < 1 || strcmp(argv[0], "--all-dead") != 0 || (argc != 1 && !by_name))
        return misused(argc > 0 ? argv[argc - 1] : "retry");
    struct tasks_retry_dead_args args = {by_name ? str_from(argv[2]) : STR_NONE, RETRY_BATCH};
    int64_t total = 0, affected = RETRY_BATCH;
    while (affected == RETRY_BATCH) {
        if (tasks_retry_dead(command->db, args, &affected))
            return database_failed(command);
        total += affected;
    }
    printf("%lld dead %s will run again now\n", (long long)total, total == 1 ? "task" : "tasks");
    return 0;
}

static int discard(const struct command *command, const char *id_text)
{
    struct task_id id;
    if (!parse_task_id(id_text, &id))
        return 2;
    struct tasks_discard_row row;
    bool found;
    if (tasks_discard(command->db, command->arena, (struct tasks_discard_args){id}, &row, &found))
        return database_failed(command);
    if (!found) {
        fprintf(stderr, "cathay tasks: %s is not there, or neither waits nor is dead\n", id_text);
        return 1;
    }
    printf("%.*s is discarded\n", STR_ARG(row.name));
    return 0;
}

/* From the program alone, one line for each task and event. */
static int kinds(void)
{
    static const char *const priorities[] = {"high", "normal", "low"};
    printf("%-10s %-32s %-28s %-8s %5s %7s\n", "MODULE", "TASK", "STARTED BY", "PRIORITY", "TRIES", "LIMIT");
    for (const struct module *const *module = modules; *module; module++) {
        for (const struct task_definition *task = (*module)->tasks; task && task->name; task++) {
            static const char *const no_event[] = {NULL};
            const char *const *event = task->events ? task->events : no_event;
            do {
                const char *starter = *event                                   ? *event
                                      : work_is_schedule(str_from(task->name)) ? "(schedule)"
                                                                               : "(code)";
                printf("%-10s %-32s %-28s %-8s %5d %5d s\n", (*module)->name, task->name, starter,
                       priorities[task->priority], work_attempts_max(task), work_timeout_s(task));
            } while (*event && *++event);
        }
    }
    return 0;
}

static int schedules(const struct command *command)
{
    struct tasks_schedules_rows rows;
    if (tasks_schedules(command->db, command->arena, &rows))
        return database_failed(command);
    printf("%-32s %9s  %-9s %-9s %s\n", "SCHEDULE", "EVERY", "NEXT", "LAST", "WHAT IT DOES");
    for (size_t i = 0; i < rows.count; i++) {
        const struct tasks_schedules_row *row = &rows.items[i];
        char next[AGE_MAX], last[AGE_MAX];
        printf("%-32.*s %7d s  %-9s %-9s %.*s\n", STR_ARG(row->name), row->interval_s,
               row->paused ? "paused" : age(row->due_at, next),
               row->last_started_at.present ? age(row->last_started_at.value, last) : "never",
               STR_ARG(row->why));
        if (row->last_error.ptr)
            printf("%-32s failed last time: %.*s\n", "", STR_ARG(row->last_error));
    }
    if (rows.count == 0)
        printf("none: no scheduler has led yet\n");
    return 0;
}

static int change_schedule(const struct command *command, const char *verb, const char *name)
{
    int64_t affected;
    bool pause = strcmp(verb, "pause") == 0;
    enum error_code code =
        strcmp(verb, "run") == 0
            ? tasks_schedule_run(command->db, (struct tasks_schedule_run_args){str_from(name)}, &affected)
            : tasks_schedule_pause(command->db, (struct tasks_schedule_pause_args){str_from(name), pause},
                                   &affected);
    if (code)
        return database_failed(command);
    if (affected == 0) {
        fprintf(stderr, "cathay tasks: there is no schedule \"%s\"; see cathay tasks schedules\n", name);
        return 1;
    }
    printf("%s %s\n", name,
           pause                      ? "is paused"
           : strcmp(verb, "run") == 0 ? "runs at the scheduler's next look"
                                      : "goes on");
    return 0;
}

static int dispatch(const struct command *command, int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "summary";
    if (strcmp(verb, "summary") == 0 && argc <= 2)
        return summary(command);
    if (strcmp(verb, "list") == 0)
        return list(command, argc - 2, argv + 2);
    if (strcmp(verb, "retry") == 0)
        return retry(command, argc - 2, argv + 2);
    if (strcmp(verb, "kinds") == 0 && argc == 2)
        return kinds();
    if (strcmp(verb, "schedules") == 0 && argc == 2)
        return schedules(command);
    if (argc != 3)
        return misused(verb);
    if (strcmp(verb, "show") == 0)
        return show(command, argv[2]);
    if (strcmp(verb, "discard") == 0)
        return discard(command, argv[2]);
    if (strcmp(verb, "pause") == 0 || strcmp(verb, "resume") == 0 || strcmp(verb, "run") == 0)
        return change_schedule(command, verb, argv[2]);
    return misused(verb);
}

int tasks_command(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return 0;
        }
    }
    struct command command = {pg_new(config()->database_url, "cathay tasks", NULL), arena_new()};
    int status = dispatch(&command, argc, argv);
    arena_free(command.arena);
    pg_free(command.db);
    return status;
}
