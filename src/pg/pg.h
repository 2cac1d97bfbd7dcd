/* PostgreSQL: connections, statements, transactions. Owns everything of libpq; what a query says comes from
 * .sql files through the generator. A connection belongs to one thread at a time. Every function here blocks.
 *
 * Errors: ERR_DATABASE (connection lost or refused; the outcome of a COMMIT in flight is unknown),
 * ERR_DATABASE_RETRY (serialization failure or deadlock), ERR_DATABASE_CONSTRAINT (unique, check or foreign
 * key; pg_error() names it), ERR_VALIDATION (a value that PostgreSQL cannot take, which somebody should have
 * refused before: logged), ERR_INTERNAL (everything else: our bug; logged with the statement's name and
 * place).
 */
#ifndef CATHAY_PG_PG_H
#define CATHAY_PG_PG_H

#include "base/arena.h"
#include "base/error.h"

#include <libpq-fe.h>

struct pg;

/* A statement as the SQL generator writes it. `slot` is given at first use: its place in each connection's
 * table of prepared statements. */
struct pg_statement {
    const char *name;
    const char *sql;
    int param_count;
    const Oid *param_types;
    const char *file;
    int line;
    int *slot;
};

/* Parameters, all in binary. */
struct pg_params {
    int count;
    const char *const *values;
    const int *lengths;
    const int *formats;
};

#define PG_STATEMENTS_MAX 2048

/* Opens lazily: the first use connects. `role` ("worker", "lane" …) becomes application_name. `settings`: SQL
 * to run on each new connection (constant text, e.g. "SET deadlock_timeout = '50ms'"), or NULL. */
struct pg *pg_new(const char *url, const char *role, const char *settings);
void pg_free(struct pg *db);
/* Connects if needed. */
enum error_code pg_connect(struct pg *db);
/* The last error of this connection: detail for logs, sqlstate, constraint. */
const struct error *pg_error(const struct pg *db);
/* Connections of this process that could not be made. */
int64_t pg_connect_failures(void);
/* Statements that this connection has sent: tests bound them per request. */
int64_t pg_statement_count(const struct pg *db);
/* Closes the connection; the next use opens a new one. After ERR_DATABASE it is closed already. */
void pg_disconnect(struct pg *db);
bool pg_in_transaction(const struct pg *db);
/* The libpq connection, for COPY and LISTEN only. */
PGconn *pg_raw(struct pg *db);

/* For generated code. */
enum error_code pg_query_send(struct pg *db, const struct pg_statement *statement,
                              const struct pg_params *params);
/* Instead of sending, for a parameter that cannot be sent: ERR_VALIDATION. What was begun on the connection
 * is broken off, so that nothing is committed without this statement. */
enum error_code pg_query_refuse(struct pg *db, const struct pg_statement *statement);
/* The result belongs to the caller (PQclear), NULL on error. */
enum error_code pg_query_result(struct pg *db, PGresult **result);

/* Text without parameters and without rows: migrations, SET. May hold several statements outside a pipeline.
 */
enum error_code pg_execute(struct pg *db, const char *sql);

/* Pipelines: between begin and end, *_queue() only sends; after pg_pipeline_sync() the results are read in
 * order by
 * *_fetch(), then pg_pipeline_end(). A failed statement fails the ones after it up to the sync (they report
 * ERR_DATABASE_RETRY or the first failure's code). */
enum error_code pg_pipeline_begin(struct pg *db);
enum error_code pg_pipeline_sync(struct pg *db);
/* Reads the sync's result and leaves pipeline mode. */
enum error_code pg_pipeline_end(struct pg *db);
/* BEGIN, COMMIT, SET LOCAL … as parts of a pipeline; read with pg_command_fetch in order. */
enum error_code pg_command_queue(struct pg *db, const char *sql);
enum error_code pg_command_fetch(struct pg *db);

/* Runs fn in a transaction and commits when it returns ERR_OK; any other code rolls back and is returned.
 * After a serialization failure or deadlock fn runs again, up to PG_TRANSACTION_ATTEMPTS times with growing
 * random pauses: so fn must only depend on its context's inputs and must not answer anybody. A lost
 * connection before COMMIT was sent runs fn again as well, once; with the COMMIT in doubt the answer is
 * ERR_DATABASE, and the caller finds out by its idempotency key. Nested calls are a bug. */
typedef enum error_code pg_transaction_fn(struct pg *db, void *context);
enum error_code pg_transaction(struct pg *db, pg_transaction_fn *fn, void *context);
#define PG_TRANSACTION_ATTEMPTS 8
/* The same with fewer round trips: BEGIN goes with fn's first pipeline, before which fn sends nothing, and
 * COMMIT with its last one, where fn asks for that. */
enum error_code pg_transaction_of_pipelines(struct pg *db, pg_transaction_fn *fn, void *context);
/* Before the pipeline's sync. Nothing may be refused for what the pipeline's results say: by then it is
 * committed. A statement that fails takes the COMMIT with it. */
enum error_code pg_commit_queue(struct pg *db);

#endif
