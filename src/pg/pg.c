/* A connection remembers which statements it has prepared in a bitmap by slot; a slot is a statement's number
 * within the process, given when it is first used anywhere. Reconnecting clears the bitmap. */
#include "pg/pg.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define PENDING_MAX 256

struct pg {
    PGconn *conn;
    const char *url;
    const char *role;
    const char *settings;
    struct error error;
    int64_t statements;
    bool transaction; /* between BEGIN and its end, by our own doing */
    bool begin_due;   /* of a transaction that begins with a pipeline: goes with it */
    bool commit_sent; /* by pg_commit_queue */
    bool pipeline;
    bool pipeline_failed;
    enum error_code pipeline_code;
    /* For each statement sent in the pipeline: how many results come before its own (a Parse that was sent
     * ahead), what it is, for error messages, and whether it is our own BEGIN or COMMIT, which nobody
     * fetches.
     */
    struct {
        bool prepare_first, own;
        const struct pg_statement *statement;
    } pending[PENDING_MAX];
    size_t pending_head, pending_count;
    uint64_t prepared[PG_STATEMENTS_MAX / 64];
};

static int slot_of(const struct pg_statement *statement)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int next = 1;
    int slot = __atomic_load_n(statement->slot, __ATOMIC_ACQUIRE);
    if (slot)
        return slot;
    pthread_mutex_lock(&lock);
    slot = *statement->slot;
    if (!slot) {
        slot = next++;
        CHECK(slot < PG_STATEMENTS_MAX);
        __atomic_store_n(statement->slot, slot, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return slot;
}

static bool is_prepared(const struct pg *db, int slot)
{
    return db->prepared[slot / 64] >> (slot % 64) & 1;
}

static void set_prepared(struct pg *db, int slot)
{
    db->prepared[slot / 64] |= (uint64_t)1 << (slot % 64);
}

static void clear_prepared(struct pg *db, int slot)
{
    db->prepared[slot / 64] &= ~((uint64_t)1 << (slot % 64));
}

struct pg *pg_new(const char *url, const char *role, const char *settings)
{
    struct pg *db = calloc(1, sizeof *db);
    CHECK(db);
    db->url = url;
    db->role = role;
    db->settings = settings;
    return db;
}

void pg_disconnect(struct pg *db)
{
    PQfinish(db->conn);
    db->conn = NULL;
    db->transaction = db->begin_due = db->pipeline = db->pipeline_failed = false;
    db->pending_head = db->pending_count = 0;
    memset(db->prepared, 0, sizeof db->prepared);
}

void pg_free(struct pg *db)
{
    if (!db)
        return;
    pg_disconnect(db);
    free(db);
}

const struct error *pg_error(const struct pg *db)
{
    return &db->error;
}

static _Atomic int64_t connect_failures;

int64_t pg_connect_failures(void)
{
    return atomic_load(&connect_failures);
}

int64_t pg_statement_count(const struct pg *db)
{
    return db->statements;
}

bool pg_in_transaction(const struct pg *db)
{
    return db->transaction;
}

PGconn *pg_raw(struct pg *db)
{
    return db->conn;
}

static enum error_code connection_lost(struct pg *db, const char *during)
{
    error_clear(&db->error);
    error_set(&db->error, ERR_DATABASE, "%s: %.180s", during,
              db->conn ? PQerrorMessage(db->conn) : "not connected");
    for (char *c = db->error.detail; *c; c++)
        if (*c == '\n')
            *c = ' ';
    log_write(LOG_WARN, "database connection lost", LOG_TEXT("role", db->role),
              LOG_TEXT("detail", db->error.detail));
    pg_disconnect(db);
    return ERR_DATABASE;
}

/* libpq would print it to standard error, as lines that are none of the log. */
static void notice(void *context, const PGresult *result)
{
    const struct pg *db = context;
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    log_write(LOG_WARN, "notice of the database", LOG_TEXT("role", db->role), LOG_TEXT("sqlstate", sqlstate),
              LOG_TEXT("detail", message));
}

enum error_code pg_connect(struct pg *db)
{
    if (db->conn)
        return ERR_OK;
    const char *keys[] = {"dbname",          "application_name", "connect_timeout",
                          "client_encoding", "options",          NULL};
    /* Notices below warnings are of searches for words that the index does not have, and of our migrations.
     */
    const char *values[] = {db->url, db->role, "5", "UTF8", "-c timezone=UTC -c client_min_messages=warning",
                            NULL};
    db->conn = PQconnectdbParams(keys, values, 1);
    if (PQstatus(db->conn) != CONNECTION_OK) {
        atomic_fetch_add(&connect_failures, 1);
        return connection_lost(db, "connect");
    }
    PQsetNoticeReceiver(db->conn, notice, db);
    if (db->settings) {
        enum error_code code = pg_execute(db, db->settings);
        if (code) {
            pg_disconnect(db);
            return code;
        }
    }
    return ERR_OK;
}

/* A value, and no statement, was wrong: too long, out of range, no text, no JSON (class 22, and of it only
 * what a parameter can cause). */
static bool is_of_value(const char *sqlstate)
{
    static const char *const states[] = {"22001", "22003", "22007", "22008", "22021",
                                         "22P02", "22P03", "22P05", "22032"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(states[i], sqlstate) == 0)
            return true;
    return false;
}

static enum error_code classify(const char *sqlstate)
{
    if (strncmp(sqlstate, "40", 2) == 0 || strcmp(sqlstate, "55P03") == 0)
        return ERR_DATABASE_RETRY;
    if (strncmp(sqlstate, "23", 2) == 0)
        return ERR_DATABASE_CONSTRAINT;
    if (strncmp(sqlstate, "57P", 3) == 0 || strncmp(sqlstate, "08", 2) == 0 ||
        strncmp(sqlstate, "53", 2) == 0)
        return ERR_DATABASE;
    return is_of_value(sqlstate) ? ERR_VALIDATION : ERR_INTERNAL;
}

/* Takes the result's error into db->error. The result is cleared. */
static enum error_code statement_failed(struct pg *db, PGresult *result, const struct pg_statement *statement)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (!sqlstate || PQstatus(db->conn) == CONNECTION_BAD) {
        PQclear(result);
        return connection_lost(db, statement ? statement->name : "statement");
    }
    enum error_code code = classify(sqlstate);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    error_clear(&db->error);
    error_set(&db->error, code, "%s: %s", statement ? statement->name : "statement", message ? message : "");
    snprintf(db->error.sqlstate, sizeof db->error.sqlstate, "%s", sqlstate);
    snprintf(db->error.constraint, sizeof db->error.constraint, "%s", constraint ? constraint : "");
    if (code == ERR_INTERNAL || code == ERR_VALIDATION)
        log_write(LOG_ERROR, "statement failed", LOG_TEXT("statement", statement ? statement->name : ""),
                  LOG_TEXT("file", statement ? statement->file : ""),
                  LOG_INT("line", statement ? statement->line : 0), LOG_TEXT("sqlstate", sqlstate));
    PQclear(result);
    if (code ==
        ERR_DATABASE) /* terminated by an administrator or shutting down: the connection is going away */
        pg_disconnect(db);
    return code;
}

/* Reads up to the NULL that ends a statement's results and returns the first result. */
static PGresult *read_result(struct pg *db)
{
    PGresult *result = PQgetResult(db->conn);
    if (!result)
        return NULL;
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT)
        return result;
    for (PGresult *more; (more = PQgetResult(db->conn)) != NULL;) {
        /* several statements in one text: the first error, or the last result, is the one that counts */
        if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
            PQclear(more);
        } else {
            PQclear(result);
            result = more;
        }
    }
    return result;
}

static bool result_ok(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_COPY_IN ||
           status == PGRES_COPY_OUT || status == PGRES_EMPTY_QUERY;
}

static enum error_code prepare_now(struct pg *db, const struct pg_statement *statement, int slot)
{
    if (!PQsendPrepare(db->conn, statement->name, statement->sql, statement->param_count,
                       statement->param_types))
        return connection_lost(db, statement->name);
    PGresult *result = read_result(db);
    if (!result)
        return connection_lost(db, statement->name);
    if (!result_ok(result))
        return statement_failed(db, result, statement);
    PQclear(result);
    set_prepared(db, slot);
    return ERR_OK;
}

static void pending_push(struct pg *db, const struct pg_statement *statement, bool prepare_first)
{
    CHECK(db->pending_count < PENDING_MAX);
    size_t at = (db->pending_head + db->pending_count++) % PENDING_MAX;
    db->pending[at].statement = statement;
    db->pending[at].prepare_first = prepare_first;
    db->pending[at].own = false;
}

enum error_code pg_query_send(struct pg *db, const struct pg_statement *statement,
                              const struct pg_params *params)
{
    CHECK(params->count == statement->param_count && (db->pipeline || !db->begin_due));
    if (!db->conn && (db->transaction || db->pipeline))
        return ERR_DATABASE;
    enum error_code code = pg_connect(db);
    if (code)
        return code;
    check_statement_set(statement->name);
    int slot = slot_of(statement);
    bool prepare_first = !is_prepared(db, slot);
    if (prepare_first && !db->pipeline) {
        code = prepare_now(db, statement, slot);
        if (code)
            return code;
        prepare_first = false;
    } else if (prepare_first) {
        if (!PQsendPrepare(db->conn, statement->name, statement->sql, statement->param_count,
                           statement->param_types))
            return connection_lost(db, statement->name);
        set_prepared(db, slot); /* for the same statement further down the pipeline; taken back if it fails */
    }
    if (!PQsendQueryPrepared(db->conn, statement->name, params->count, params->values, params->lengths,
                             params->formats, 1))
        return connection_lost(db, statement->name);
    pending_push(db, statement, prepare_first);
    db->statements++;
    return ERR_OK;
}

enum error_code pg_query_refuse(struct pg *db, const struct pg_statement *statement)
{
    log_write(LOG_ERROR, "a value is too large to be sent", LOG_TEXT("statement", statement->name),
              LOG_TEXT("file", statement->file), LOG_INT("line", statement->line));
    if (db->transaction || db->pipeline)
        pg_disconnect(db);
    error_clear(&db->error);
    return error_set(&db->error, ERR_VALIDATION, "%s: a value is too large", statement->name);
}

/* One statement's result within a pipeline; after a failure the rest of the pipeline is aborted by the
 * server. */
static enum error_code pipeline_result(struct pg *db, const struct pg_statement *statement, PGresult **result)
{
    PGresult *got = read_result(db);
    if (!got)
        return connection_lost(db, statement ? statement->name : "pipeline");
    if (PQresultStatus(got) == PGRES_PIPELINE_ABORTED) {
        PQclear(got);
        return db->pipeline_code ? db->pipeline_code : ERR_DATABASE_RETRY;
    }
    if (!result_ok(got)) {
        enum error_code code = statement_failed(db, got, statement);
        db->pipeline_code = code;
        return code;
    }
    *result = got;
    return ERR_OK;
}

/* Reads what stands first among the results, if it is our own: a failure shows in what comes after it. */
static bool own_result(struct pg *db)
{
    if (!db->conn || db->pending_count == 0 || !db->pending[db->pending_head].own)
        return false;
    PGresult *result = NULL;
    db->pending_head = (db->pending_head + 1) % PENDING_MAX;
    db->pending_count--;
    pipeline_result(db, NULL, &result);
    PQclear(result);
    return true;
}

enum error_code pg_query_result(struct pg *db, PGresult **result)
{
    *result = NULL;
    while (own_result(db))
        ;
    if (!db->conn)
        return ERR_DATABASE;
    CHECK(db->pending_count > 0);
    const struct pg_statement *statement = db->pending[db->pending_head].statement;
    check_statement_set(statement ? statement->name : NULL);
    bool prepare_first = db->pending[db->pending_head].prepare_first;
    CHECK(statement || (db->pipeline && !prepare_first)); /* only a pipeline takes a command */
    db->pending_head = (db->pending_head + 1) % PENDING_MAX;
    db->pending_count--;
    enum error_code code = ERR_OK;
    if (prepare_first) {
        code = pipeline_result(db, statement, result);
        PQclear(*result);
        *result = NULL;
        if (!db->conn)
            return code;
        if (code)
            clear_prepared(db, slot_of(statement));
    }
    if (db->pipeline) {
        enum error_code second = pipeline_result(db, statement, result);
        return code ? code : second;
    }
    PGresult *got = read_result(db);
    if (!got)
        return connection_lost(db, statement->name);
    if (!result_ok(got))
        return statement_failed(db, got, statement);
    *result = got;
    return ERR_OK;
}

enum error_code pg_execute(struct pg *db, const char *sql)
{
    CHECK(!db->pipeline && !db->begin_due);
    enum error_code code = pg_connect(db);
    if (code)
        return code;
    if (!PQsendQuery(db->conn, sql))
        return connection_lost(db, "execute");
    db->statements++;
    PGresult *result = read_result(db);
    if (!result)
        return connection_lost(db, "execute");
    if (!result_ok(result))
        return statement_failed(db, result, NULL);
    PQclear(result);
    return ERR_OK;
}

enum error_code pg_command_queue(struct pg *db, const char *sql)
{
    if (!db->conn)
        return ERR_DATABASE;
    CHECK(db->pipeline);
    if (!PQsendQueryParams(db->conn, sql, 0, NULL, NULL, NULL, NULL, 1))
        return connection_lost(db, sql);
    pending_push(db, NULL, false);
    db->statements++;
    return ERR_OK;
}

static enum error_code own_command(struct pg *db, const char *sql)
{
    enum error_code code = pg_command_queue(db, sql);
    if (!code)
        db->pending[(db->pending_head + db->pending_count - 1) % PENDING_MAX].own = true;
    return code;
}

enum error_code pg_pipeline_begin(struct pg *db)
{
    CHECK(!db->pipeline && db->pending_count == 0);
    enum error_code code = pg_connect(db);
    if (code)
        return code;
    if (!PQenterPipelineMode(db->conn))
        return connection_lost(db, "pipeline");
    db->pipeline = true;
    db->pipeline_code = ERR_OK;
    if (!db->begin_due)
        return ERR_OK;
    db->begin_due = false;
    return own_command(db, "BEGIN");
}

enum error_code pg_pipeline_sync(struct pg *db)
{
    if (!db->conn)
        return ERR_DATABASE;
    CHECK(db->pipeline);
    if (!PQpipelineSync(db->conn))
        return connection_lost(db, "pipeline sync");
    return ERR_OK;
}

enum error_code pg_pipeline_end(struct pg *db)
{
    if (!db->conn)
        return ERR_DATABASE;
    CHECK(db->pipeline);
    while (db->pending_count > 0) { /* what the caller did not read after a failure */
        PGresult *result = NULL;
        if (!own_result(db))
            pg_query_result(db, &result);
        PQclear(result);
        if (!db->conn)
            return ERR_DATABASE;
    }
    PGresult *sync = PQgetResult(db->conn);
    ExecStatusType status = PQresultStatus(sync);
    PQclear(sync);
    if (status != PGRES_PIPELINE_SYNC || !PQexitPipelineMode(db->conn))
        return connection_lost(db, "pipeline end");
    db->pipeline = false;
    return db->pipeline_code;
}

enum error_code pg_command_fetch(struct pg *db)
{
    PGresult *result;
    enum error_code code = pg_query_result(db, &result);
    PQclear(result);
    return code;
}

enum error_code pg_commit_queue(struct pg *db)
{
    CHECK(db->transaction && !db->commit_sent);
    db->commit_sent = true;
    return own_command(db, "COMMIT");
}

static void pause_before_retry(int attempt)
{
    uint32_t random;
    CHECK(getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random);
    useconds_t most_us = 1000u << attempt;
    usleep(random % most_us);
}

static enum error_code begin(struct pg *db, bool with_pipeline)
{
    enum error_code code = with_pipeline ? pg_connect(db) : pg_execute(db, "BEGIN");
    if (code)
        return code;
    db->transaction = true;
    db->begin_due = with_pipeline;
    return ERR_OK;
}

/* One attempt. in_doubt: the connection was lost when the COMMIT was on its way. */
static enum error_code attempt_once(struct pg *db, pg_transaction_fn *fn, void *context, bool with_pipeline,
                                    bool *in_doubt)
{
    db->commit_sent = false;
    enum error_code code = begin(db, with_pipeline);
    if (code)
        return code;
    code = fn(db, context);
    bool nothing_sent = db->begin_due;
    db->transaction = db->begin_due = false;
    CHECK(!db->pipeline || !db->conn);
    CHECK(code || !nothing_sent || !db->commit_sent);
    bool commit = !code && !db->commit_sent && !nothing_sent;
    if (commit)
        code = pg_execute(db, "COMMIT");
    *in_doubt = code == ERR_DATABASE && (commit || db->commit_sent);
    return code;
}

static enum error_code run_transaction(struct pg *db, pg_transaction_fn *fn, void *context,
                                       bool with_pipeline)
{
    CHECK(!db->transaction && !db->pipeline);
    bool reconnected = false;
    enum error_code code = ERR_OK;
    for (int attempt = 0; attempt < PG_TRANSACTION_ATTEMPTS; attempt++) {
        bool in_doubt = false;
        code = attempt_once(db, fn, context, with_pipeline, &in_doubt);
        if (!code || in_doubt)
            return code;
        if (code == ERR_DATABASE && !db->conn && !reconnected) {
            reconnected = true;
            continue;
        }
        if (db->conn) {
            /* Keep the first error: ROLLBACK would overwrite nothing, but a failure of it closes the
             * connection. */
            struct error first = db->error;
            if (pg_execute(db, "ROLLBACK"))
                pg_disconnect(db);
            db->error = first;
        }
        if (code != ERR_DATABASE_RETRY)
            return code;
        pause_before_retry(attempt);
    }
    return code == ERR_DATABASE_RETRY
               ? error_set(&db->error, ERR_OVERLOADED, "the transaction kept colliding with others")
               : code;
}

enum error_code pg_transaction(struct pg *db, pg_transaction_fn *fn, void *context)
{
    return run_transaction(db, fn, context, false);
}

enum error_code pg_transaction_of_pipelines(struct pg *db, pg_transaction_fn *fn, void *context)
{
    return run_transaction(db, fn, context, true);
}
