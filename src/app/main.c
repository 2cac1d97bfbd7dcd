/* cathay: one program, a role for each subcommand. */
#include "app/commands.h"
#include "base/config.h"
#include "base/log.h"
#include "cathay_version.h"
#include "pg/pg.h"

#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    ROLE,   /* runs until it is stopped, and logs */
    ANSWER, /* ends with an answer for who asked, from the database */
};

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    enum kind kind;
    const char *help;
} commands[] = {
    {"all", all_command, ROLE,
     "serve, worker and scheduler in one process; sandbox too with CATHAY_SANDBOX=1"},
    {"serve", serve_command, ROLE, "the shop over HTTP"},
    {"worker", worker_command, ROLE, "background tasks"},
    {"scheduler", scheduler_command, ROLE, "periodic tasks"},
    {"sandbox", sandbox_command, ROLE, "the partners for development: gateway, carrier, mailbox"},
    {"supervise", supervise_command, ROLE, "one of these roles, started again when it crashes"},
    {"migrate", migrate_command, ANSWER, "bring the database to this program's schema"},
    {"demo", demo_command, ANSWER, "fill an empty shop with products and people, and print their sign-ins"},
    {"verify", verify_command, ANSWER, "check every invariant of the data on a live database"},
    {"tasks", tasks_command, ANSWER, "see, retry and discard background tasks; pause schedules"},
    {"user", user_command, ANSWER, "make, list and block accounts; set a password"},
    {"config", config_command, ANSWER, "print the settings in force"},
    {"sql-check", sql_check_command, ANSWER,
     "have PostgreSQL prepare every query of this program on a migrated database"},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(FILE *out)
{
    fputs("Usage: cathay COMMAND [arguments]; cathay COMMAND --help tells more\n\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    fputs("\n  -h, --help   this text\n  --version    the release\n", out);
    fputs("\nSettings come from the environment: DATABASE_URL, REDIS_URL and CATHAY_…; `cathay config` lists "
          "them.\n",
          out);
}

/* What a batch of orders gave back is wanted again by the next: memory that is free stays with the process,
 * up to this much for each of malloc's arenas, rather than to be zeroed anew by the kernel a hundred times a
 * second. */
#define KEPT_FREE_BYTES (2 * 1024 * 1024)

static bool is_any(const char *word, const char *one, const char *other)
{
    return strcmp(word, one) == 0 || strcmp(word, other) == 0;
}

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct error error = {.code = ERR_OK};
    if (config_load(&error)) {
        fprintf(stderr, "cathay: %s\n", error.detail);
        return 2;
    }
    if (command->kind == ANSWER) /* an answer is not told between lines of a log */
        log_least(LOG_ERROR);
    int status = command->run(argc, argv);
    if (status != 0 && pg_connect_failures() > 0 && !is_set("DATABASE_URL") && !is_set("DATABASE_URL_FILE"))
        fprintf(stderr,
                "DATABASE_URL is not set, so %s was asked. Beside ./run, read its settings first: "
                ". var/environment\n",
                config()->database_url);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2 || is_any(argv[1], "--help", "-h") || strcmp(argv[1], "help") == 0) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (is_any(argv[1], "--version", "version")) {
        puts("cathay " CATHAY_VERSION);
        return 0;
    }
    if (sodium_init() < 0) {
        fputs("cathay: libsodium cannot be initialised\n", stderr);
        return 2;
    }
    mallopt(M_TRIM_THRESHOLD, KEPT_FREE_BYTES);
    mallopt(M_MMAP_THRESHOLD, KEPT_FREE_BYTES);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return run(&commands[i], argc - 1, argv + 1);
    fprintf(stderr, "cathay: there is no command \"%s\"; cathay --help lists them\n", argv[1]);
    return 2;
}
