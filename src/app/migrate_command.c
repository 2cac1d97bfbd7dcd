#include "app/commands.h"

#include "base/clock.h"
#include "base/config.h"
#include "pg/migrate.h"

#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "Usage: cathay migrate [--status]\n"
    "\n"
    "Brings the database to this program's schema, as the schema's owner (CATHAY_MIGRATE_DATABASE_URL, or\n"
    "DATABASE_URL where one role is both), and gives the role of DATABASE_URL the rights that the shop "
    "needs.\n"
    "Safe to run at any time and by several at once; what was applied before is left alone.\n"
    "\n"
    "  --status   only list the migrations and which of them the database has; exits 1 when one is missing\n";

static void told(const struct migration *migration, int64_t ms, void *context)
{
    ++*(int *)context;
    printf("applied %s (%lld ms)\n", migration->name, (long long)ms);
    fflush(stdout);
}

static int apply(struct pg *db)
{
    struct error error = {.code = ERR_OK};
    int count = 0;
    if (migrate_apply(db, told, &count, &error) || migrate_allow(db, config()->database_url, &error)) {
        fprintf(stderr, "cathay migrate: %s\n", error.detail);
        return 2;
    }
    if (count == 0)
        printf("nothing to do: the schema is at %s\n",
               migration_count ? migrations[migration_count - 1].name : "zero");
    return 0;
}

static int show(struct pg *db)
{
    static const char *const words[] = {[MIGRATION_APPLIED] = "applied",
                                        [MIGRATION_MISSING] = "missing",
                                        [MIGRATION_CHANGED] = "changed since",
                                        [MIGRATION_UNKNOWN] = "not known to this release"};
    struct arena *arena = arena_new();
    struct migration_statuses statuses;
    int status = 0;
    if (migrate_status(db, arena, &statuses)) {
        fprintf(stderr, "cathay migrate: %s\n", pg_error(db)->detail);
        arena_free(arena);
        return 2;
    }
    for (size_t i = 0; i < statuses.count; i++) {
        const struct migration_status *item = &statuses.items[i];
        char time[CLOCK_TEXT_MAX] = "";
        if (item->applied_at_us)
            clock_format(item->applied_at_us, time);
        printf("%-32.*s %-14s %.19s\n", STR_ARG(item->name), words[item->state], time);
        if (item->state != MIGRATION_APPLIED)
            status = 1;
    }
    arena_free(arena);
    return status;
}

int migrate_command(int argc, char **argv)
{
    bool status_only = argc == 2 && strcmp(argv[1], "--status") == 0;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    if (argc > 1 && !status_only) {
        fprintf(stderr, "cathay migrate: cannot make sense of \"%s\"; see cathay migrate --help\n", argv[1]);
        return 2;
    }
    struct pg *db = pg_new(migrate_database(), "cathay migrate", NULL);
    int status = status_only ? show(db) : apply(db);
    pg_free(db);
    return status;
}
