/* `cathay sql-check`: has PostgreSQL prepare every named query of the program against the migrated schema and
 * compares what it says about parameters and columns with what the .sql files declare. For tests and for
 * releases. */
#ifndef CATHAY_APP_SQL_CHECK_H
#define CATHAY_APP_SQL_CHECK_H

#include "pg/pg.h"

#include <stdio.h>

/* Prints a line `file:line: query: reason` for each fault to `out`, and notes, which are no faults: a column
 * that is read from a table where it may be NULL but is declared without '?'. Returns the exit code: 0
 * without faults, else 1. Blocks; no transaction may be open. */
int sql_check(struct pg *db, FILE *out);

#endif
