/* cathay: one program, a role for each subcommand. */
#include "app/commands.h"
#include "base/config.h"

#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help; /* NULL: not listed */
} commands[] = {
    {"all", all_command, "every role in one process: shop, worker, scheduler, sandbox partners"},
    {"serve", serve_command, "the shop over HTTP"},
    {"worker", worker_command, "background tasks"},
    {"scheduler", scheduler_command, "periodic tasks"},
    {"sandbox", sandbox_command, "the partners for development: gateway, carrier, mailbox"},
    {"supervise", supervise_command, "one of these roles, started again when it crashes"},
    {"migrate", migrate_command, "bring the database to this program's schema"},
    {"demo", demo_command, "fill an empty shop with products and people, and print their sign-ins"},
    {"verify", verify_command, "check every invariant of the data on a live database"},
    {"tasks", tasks_command, "see, retry and discard background tasks; pause schedules"},
    {"user", user_command, "make, list and block accounts; set a password"},
    {"config", config_command, "print the settings in force"},
    {"sql-check", sql_check_command, NULL},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(FILE *out)
{
    fputs("Usage: cathay COMMAND [arguments]; cathay COMMAND --help tells more\n\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (commands[i].help)
            fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    fputs("\nSettings come from the environment: DATABASE_URL, REDIS_URL and CATHAY_…; `cathay config` lists "
          "them.\n",
          out);
}

/* What a batch of orders gave back is wanted again by the next: memory that is free stays with the process,
 * up to this much for each of malloc's arenas, rather than to be zeroed anew by the kernel a hundred times a
 * second. */
#define KEPT_FREE_BYTES (2 * 1024 * 1024)

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (sodium_init() < 0) {
        fputs("cathay: libsodium cannot be initialised\n", stderr);
        return 2;
    }
    mallopt(M_TRIM_THRESHOLD, KEPT_FREE_BYTES);
    mallopt(M_MMAP_THRESHOLD, KEPT_FREE_BYTES);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        struct error error = {.code = ERR_OK};
        if (config_load(&error)) {
            fprintf(stderr, "cathay: %s\n", error.detail);
            return 2;
        }
        return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "cathay: there is no command \"%s\"; cathay --help lists them\n", argv[1]);
    return 2;
}
