/* `cathay verify`: each invariant in a transaction of its own that reads one snapshot of the database, so
 * that a shop in full swing raises no false alarm. */
#include "app/commands.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "work/violations.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "Usage: cathay verify [--json] [--list] [--timeout SECONDS] [INVARIANT...]\n"
    "\n"
    "Checks every invariant of stock, ledger, orders, payments and tasks on the live database "
    "(DATABASE_URL), and says\n"
    "what is wrong and where. Reads only; the shop may go on.\n"
    "\n"
    "  INVARIANT   check only these (by name)\n"
    "  --list      say which invariants there are\n"
    "  --json      one JSON object instead of text\n"
    "  --timeout   the most that one statement may take (default 60)\n"
    "\n"
    "Exits 0 when all hold, 1 when something is wrong, 2 when something could not be checked.\n";

#define TIMEOUT_DEFAULT_S 60
#define NAMES_MAX 64

struct options {
    bool json, list;
    int64_t timeout_s;
    const char *names[NAMES_MAX];
    int name_count;
};

struct check {
    const struct invariant *invariant;
    const struct options *options;
    struct arena *arena;
    struct violations violations;
    enum error_code code;
    int64_t ms;
    char reason[300];
};

static int parse(int argc, char **argv, struct options *options)
{
    *options = (struct options){.timeout_s = TIMEOUT_DEFAULT_S};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            options->list = true;
        } else if (strcmp(argv[i], "--timeout") == 0 && i + 1 < argc) {
            if (!str_to_int64(str_from(argv[++i]), &options->timeout_s) || options->timeout_s < 1 ||
                options->timeout_s > 86400) {
                fprintf(stderr, "cathay verify: --timeout takes seconds, 1 to 86400\n");
                return 2;
            }
        } else if (argv[i][0] == '-' || options->name_count == NAMES_MAX) {
            fprintf(stderr, "cathay verify: cannot make sense of \"%s\"; see cathay verify --help\n",
                    argv[i]);
            return 2;
        } else {
            options->names[options->name_count++] = argv[i];
        }
    }
    return -1;
}

static bool is_wanted(const struct options *options, const char *name)
{
    for (int i = 0; i < options->name_count; i++)
        if (strcmp(options->names[i], name) == 0)
            return true;
    return options->name_count == 0;
}

static bool is_known(const char *name)
{
    for (const struct module *const *module = modules; *module; module++)
        for (const struct invariant *one = (*module)->invariants; one && one->name; one++)
            if (strcmp(one->name, name) == 0)
                return true;
    return false;
}

static enum error_code check_in_snapshot(struct pg *db, void *context)
{
    struct check *check = context;
    check->violations.count = check->violations.more = 0; /* this may be a second try */
    char limit[64];
    snprintf(limit, sizeof limit, "SET LOCAL statement_timeout = '%llds'",
             (long long)check->options->timeout_s);
    enum error_code code = pg_execute(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
    /* Invariants compare big sets whose sizes the planner can only guess (the newest orders, sums of groups):
     * a nested loop over two of them would never end. */
    if (!code)
        code = pg_execute(db, "SET LOCAL enable_nestloop = off; SET LOCAL work_mem = '64MB'");
    if (!code)
        code = pg_execute(db, limit);
    return code ? code : check->invariant->check(db, check->arena, &check->violations);
}

static void run_check(struct pg *db, struct check *check)
{
    int64_t started_us = clock_monotonic_us();
    check_context_set(check->invariant->name);
    check->violations.arena = check->arena;
    check->code = pg_transaction(db, check_in_snapshot, check);
    check->ms = (clock_monotonic_us() - started_us) / 1000;
    if (check->code)
        snprintf(check->reason, sizeof check->reason, "%s",
                 pg_error(db)->detail[0] ? pg_error(db)->detail : error_title(check->code));
    check_hand_clear();
}

static void print_text(const struct check *check)
{
    bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    const char *red = colour ? "\033[31m" : "", *green = colour ? "\033[32m" : "",
               *plain = colour ? "\033[0m" : "";
    const struct invariant *invariant = check->invariant;
    if (check->code) {
        printf("%sNOT CHECKED%s %s: %s\n", red, plain, invariant->name, check->reason);
    } else if (check->violations.count == 0) {
        printf("%sok%s          %s (%lld ms)\n", green, plain, invariant->name, (long long)check->ms);
    } else {
        printf("%sVIOLATED%s    %s: %s\n", red, plain, invariant->name, invariant->says);
        for (size_t i = 0; i < check->violations.count; i++)
            printf("            %.*s: %.*s\n", STR_ARG(check->violations.items[i].where),
                   STR_ARG(check->violations.items[i].what));
        if (check->violations.more > 0)
            printf("            … and at least %zu more\n", check->violations.more);
    }
    fflush(stdout);
}

static void append_json(struct buf *out, const struct check *check)
{
    if (out->len > 0)
        buf_char(out, ',');
    BUF_LITERAL(out, "{\"name\":");
    buf_json_str(out, str_from(check->invariant->name));
    BUF_LITERAL(out, ",\"says\":");
    buf_json_str(out, str_from(check->invariant->says));
    buf_printf(out, ",\"state\":\"%s\",\"ms\":%lld",
               check->code                    ? "not_checked"
               : check->violations.count == 0 ? "ok"
                                              : "violated",
               (long long)check->ms);
    if (check->code) {
        BUF_LITERAL(out, ",\"reason\":");
        buf_json_str(out, str_from(check->reason));
    }
    BUF_LITERAL(out, ",\"violations\":[");
    for (size_t i = 0; i < check->violations.count; i++) {
        buf_append(out, i > 0 ? STR(",{\"where\":") : STR("{\"where\":"));
        buf_json_str(out, check->violations.items[i].where);
        BUF_LITERAL(out, ",\"what\":");
        buf_json_str(out, check->violations.items[i].what);
        BUF_LITERAL(out, "}");
    }
    buf_printf(out, "],\"more\":%zu}", check->violations.more);
}

struct tally {
    int held, violated, unchecked;
};

static void check_one(struct pg *db, const struct options *options, const struct invariant *invariant,
                      struct tally *tally, struct buf *json)
{
    struct check *check = calloc(1, sizeof *check);
    CHECK(check);
    check->invariant = invariant;
    check->options = options;
    check->arena = arena_new();
    run_check(db, check);
    tally->unchecked += check->code != ERR_OK;
    tally->held += !check->code && check->violations.count == 0;
    tally->violated += !check->code && check->violations.count > 0;
    if (options->json)
        append_json(json, check);
    else
        print_text(check);
    arena_free(check->arena);
    free(check);
}

static void list_invariants(void)
{
    for (const struct module *const *module = modules; *module; module++)
        for (const struct invariant *one = (*module)->invariants; one && one->name; one++)
            printf("%-10s %-44s %s\n", (*module)->name, one->name, one->says);
}

int verify_command(int argc, char **argv)
{
    struct options options;
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;
    for (int i = 0; i < options.name_count; i++) {
        if (!is_known(options.names[i])) {
            fprintf(stderr, "cathay verify: there is no invariant \"%s\"; see cathay verify --list\n",
                    options.names[i]);
            return 2;
        }
    }
    if (options.list) {
        list_invariants();
        return 0;
    }
    struct pg *db = pg_new(config()->database_url, "cathay verify", NULL);
    if (pg_connect(db)) {
        fprintf(stderr, "cathay verify: %s\n", pg_error(db)->detail);
        pg_free(db);
        return 2;
    }
    struct tally tally = {0};
    struct buf json = buf_new(BUF_DEFAULT_MAX);
    for (const struct module *const *module = modules; *module; module++)
        for (const struct invariant *one = (*module)->invariants; one && one->name; one++)
            if (is_wanted(&options, one->name))
                check_one(db, &options, one, &tally, &json);
    if (options.json)
        printf("{\"held\":%d,\"violated\":%d,\"not_checked\":%d,\"invariants\":[%.*s]}\n", tally.held,
               tally.violated, tally.unchecked, STR_ARG(buf_str(&json)));
    else
        printf("%d invariants hold, %d violated, %d not checked\n", tally.held, tally.violated,
               tally.unchecked);
    buf_free(&json);
    pg_free(db);
    return tally.violated ? 1 : tally.unchecked ? 2 : 0;
}
