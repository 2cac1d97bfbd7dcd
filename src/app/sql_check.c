#include "app/sql_check.h"

#include "base/check.h"
#include "pg/pg_codec.h"
#include "sql_catalogue.h"
#include "sql_check_sql.h"

#include <inttypes.h>

struct checking {
    struct pg *db;
    FILE *out;
    struct arena *arena;
    const struct pg_query *query;
    int64_t faults, notes;
};

static void say(struct checking *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct checking *check, const char *format, ...)
{
    const struct pg_statement *statement = &check->query->statement;
    fprintf(check->out, "%s:%d: %s: ", statement->file, statement->line, statement->name);
    va_list args;
    va_start(args, format);
    vfprintf(check->out, format, args);
    va_end(args);
    fputc('\n', check->out);
}

static void type_of(struct checking *check, Oid oid, struct sql_check_type_row *type)
{
    bool found;
    enum error_code code =
        sql_check_type(check->db, check->arena, (struct sql_check_type_args){oid}, type, &found);
    if (code || !found)
        *type = (struct sql_check_type_row){.name = arena_printf(check->arena, "type %u", oid)};
}

/* A column read straight from a table where it may be NULL: often an oversight, sometimes what the WHERE
 * excludes. */
static void note_nullable(struct checking *check, const struct pg_field *column, const PGresult *described,
                          int index)
{
    Oid table = PQftable(described, index);
    if (table == InvalidOid || column->flags & PG_FIELD_NULLABLE)
        return;
    struct sql_check_column_row row;
    bool found;
    enum error_code code =
        sql_check_column(check->db, check->arena,
                         (struct sql_check_column_args){table, PQftablecol(described, index)}, &row, &found);
    if (!code && found && row.nullable) {
        say(check, "note: column %s of %.*s may be NULL, but is declared without '?'", column->name,
            STR_ARG(row.table_name));
        check->notes++;
    }
}

static void check_column(struct checking *check, const PGresult *described, int index)
{
    const struct pg_field *column = &check->query->columns[index];
    const char *name = PQfname(described, index);
    Oid oid = PQftype(described, index);
    if (strcmp(name, column->name) != 0) {
        say(check, "column %d is named %s, but declared %s", index + 1, name, column->name);
        check->faults++;
    }
    struct sql_check_type_row type = {0};
    bool reads = pg_field_reads(column, oid);
    /* Types that users made are only known here: enums and citext are text, anything else is not. */
    if (!reads || (oid != column->oid && oid >= 16384 && !(column->flags & PG_FIELD_ARRAY))) {
        type_of(check, oid, &type);
        if (!reads || !type.reads_as_text) {
            say(check, "column %s is %.*s, but declared %s%s", column->name, STR_ARG(type.name),
                pg_type_name(column->type), column->flags & PG_FIELD_ARRAY ? "[]" : "");
            check->faults++;
        }
    }
    note_nullable(check, column, described, index);
}

static void check_described(struct checking *check, const PGresult *described)
{
    const struct pg_query *query = check->query;
    if (PQnparams(described) != query->statement.param_count) {
        say(check, "has %d parameters, but declares %d", PQnparams(described), query->statement.param_count);
        check->faults++;
    }
    for (int i = 0; i < PQnparams(described) && i < query->statement.param_count; i++)
        if (PQparamtype(described, i) != query->statement.param_types[i]) {
            struct sql_check_type_row type;
            type_of(check, PQparamtype(described, i), &type);
            say(check, "parameter %s is %.*s, but declared %s", query->params[i].name, STR_ARG(type.name),
                pg_type_name(query->params[i].type));
            check->faults++;
        }
    /* A query of kind :exec may select (a function for its effect): its columns are not read. */
    if (query->column_count && PQnfields(described) != query->column_count) {
        say(check, "returns %d columns, but declares %d", PQnfields(described), query->column_count);
        check->faults++;
        return;
    }
    for (int i = 0; i < query->column_count; i++)
        check_column(check, described, i);
}

/* The server's message with its position turned into a piece of the statement. */
static void say_refused(struct checking *check, const PGresult *result)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    const char *sql = check->query->statement.sql;
    int64_t at = 0;
    if (!position || !str_to_int64(str_from(position), &at) || at < 1 || (size_t)at > strlen(sql))
        at = 0;
    const char *near = at ? sql + at - 1 : "";
    size_t near_len = strcspn(near, "\n");
    say(check, "%s%s%.*s%s%s%s", message ? message : "refused", at ? ", near: " : "",
        (int)(near_len < 60 ? near_len : 60), near, hint ? " (" : "", hint ? hint : "", hint ? ")" : "");
    check->faults++;
}

static void check_query(struct checking *check)
{
    const struct pg_statement *statement = &check->query->statement;
    PGconn *conn = pg_raw(check->db);
    PGresult *result = PQprepare(conn, "", statement->sql, statement->param_count, statement->param_types);
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        PGresult *described = PQdescribePrepared(conn, "");
        if (PQresultStatus(described) == PGRES_COMMAND_OK)
            check_described(check, described);
        else
            say_refused(check, described);
        PQclear(described);
    } else {
        say_refused(check, result);
    }
    PQclear(result);
}

int sql_check(struct pg *db, FILE *out)
{
    if (pg_connect(db)) {
        fprintf(out, "sql-check: %s\n", pg_error(db)->detail);
        return 1;
    }
    CHECK(!pg_in_transaction(db));
    struct checking check = {.db = db, .out = out, .arena = arena_new()};
    for (size_t i = 0; i < sql_catalogue_count; i++) {
        check.query = sql_catalogue[i];
        check_query(&check);
        arena_reset(check.arena);
    }
    arena_free(check.arena);
    fprintf(out, "sql-check: %zu queries, %" PRId64 " faults, %" PRId64 " notes\n", sql_catalogue_count,
            check.faults, check.notes);
    return check.faults ? 1 : 0;
}
