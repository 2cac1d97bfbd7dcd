#include "app/commands.h"

#include "app/sql_check.h"
#include "base/config.h"
#include "sandbox/sandbox.h"

#include <string.h>

int sql_check_command(int argc, char **argv)
{
    if (argc > 1) {
        FILE *out = strcmp(argv[1], "--help") == 0 ? stdout : stderr;
        fputs(
            "Usage: cathay sql-check\n\n"
            "Has PostgreSQL (DATABASE_URL, migrated) prepare every named query of this program and compares\n"
            "parameters and columns with what the .sql files declare. Exits 1 when one does not fit. Makes "
            "the\n"
            "schema of the sandbox partners where it is missing, since their queries are checked too.\n",
            out);
        return out == stdout ? 0 : 2;
    }
    struct pg *db = pg_new(config()->database_url, "cathay sql-check", NULL);
    struct error error = {.code = ERR_OK};
    if (sandbox_schema_apply(db, &error)) {
        fprintf(stderr, "cathay sql-check: %s\n", error.detail);
        pg_free(db);
        return 2;
    }
    int status = sql_check(db, stdout);
    pg_free(db);
    return status;
}
