#include "pg/migrate.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "migrate_sql.h"

#include <stdlib.h>
#include <unistd.h>

#define LOCK_POLL_MS 200

static const struct migration *known(int version)
{
    for (size_t i = 0; i < migration_count; i++)
        if (migrations[i].version == version)
            return &migrations[i];
    return NULL;
}

static enum error_code database_failed(struct pg *db, enum error_code code, struct error *error)
{
    return error_set(error, code, "%s", pg_error(db)->detail);
}

/* What the database has had, nothing when it is empty. */
static enum error_code read_applied(struct pg *db, struct arena *arena, struct migration_applied_rows *rows)
{
    *rows = (struct migration_applied_rows){NULL, 0};
    struct migration_table_exists_row table;
    bool found;
    enum error_code code = migration_table_exists(db, arena, &table, &found);
    if (code || !found || !table.there)
        return code;
    return migration_applied(db, arena, rows);
}

static bool is_applied(const struct migration_applied_rows *rows, int version)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->items[i].version == version)
            return true;
    return false;
}

static enum error_code refuse_changed(const struct migration_applied_rows *rows, struct error *error)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct migration *migration = known(rows->items[i].version);
        if (migration && !str_equal(rows->items[i].checksum, str_from(migration->checksum)))
            return error_set(
                error, ERR_CONFLICT,
                "db/migrations/%s.sql has changed since this database had it applied; undo the change and "
                "write a new migration (for a throw-away database: start afresh)",
                migration->name);
    }
    return ERR_OK;
}

static enum error_code refuse_newer(const struct migration_applied_rows *rows, struct error *error)
{
    for (size_t i = 0; i < rows->count; i++)
        if (!known(rows->items[i].version))
            return error_set(
                error, ERR_CONFLICT,
                "this database is newer than the program: it has migration %.*s, which this release does "
                "not know; migrate with the newer release",
                STR_ARG(rows->items[i].name));
    return ERR_OK;
}

static enum error_code record(struct pg *db, const struct migration *migration)
{
    struct migration_record_args args = {migration->version, str_from(migration->name),
                                         str_from(migration->checksum)};
    return migration_record(db, args, NULL);
}

static enum error_code apply_in_transaction(struct pg *db, void *context)
{
    const struct migration *migration = context;
    enum error_code code = pg_execute(db, "SET LOCAL lock_timeout = '2s'");
    if (!code)
        code = pg_execute(db, migration->sql);
    return code ? code : record(db, migration);
}

static enum error_code apply_one(struct pg *db, const struct migration *migration)
{
    if (migration->transaction)
        return pg_transaction(db, apply_in_transaction, (void *)migration);
    enum error_code code = pg_execute(db, "SET lock_timeout = '2s'");
    if (!code)
        code = pg_execute(db, migration->sql);
    if (!code)
        code = record(db, migration);
    return code;
}

static enum error_code apply_missing(struct pg *db, struct arena *arena,
                                     void (*told)(const struct migration *, int64_t, void *), void *context,
                                     struct error *error)
{
    struct migration_applied_rows applied;
    enum error_code code = read_applied(db, arena, &applied);
    if (code)
        return database_failed(db, code, error);
    code = refuse_changed(&applied, error);
    if (!code)
        code = refuse_newer(&applied, error);
    if (code)
        return code;
    struct migration_table_exists_row table;
    bool found;
    code = migration_table_exists(db, arena, &table, &found);
    if (!code && !table.there)
        code = migration_table_create(db, NULL);
    if (code)
        return database_failed(db, code, error);
    for (size_t i = 0; i < migration_count; i++) {
        const struct migration *migration = &migrations[i];
        if (is_applied(&applied, migration->version))
            continue;
        int64_t started_us = clock_monotonic_us();
        code = apply_one(db, migration);
        if (code)
            return error_set(error, code, "db/migrations/%s.sql: %.180s", migration->name,
                             pg_error(db)->detail);
        if (told)
            told(migration, (clock_monotonic_us() - started_us) / 1000, context);
    }
    return ERR_OK;
}

static enum error_code take_lock(struct pg *db, struct arena *arena, struct error *error)
{
    int64_t until_us = clock_monotonic_us() + (int64_t)MIGRATE_WAIT_S * 1000000;
    for (bool said = false;; said = true) {
        struct migration_lock_row row;
        bool found;
        enum error_code code = migration_lock(db, arena, &row, &found);
        if (code)
            return database_failed(db, code, error);
        if (row.locked)
            return ERR_OK;
        if (clock_monotonic_us() > until_us)
            return error_set(error, ERR_CONFLICT, "another process has been migrating this database for %d s",
                             MIGRATE_WAIT_S);
        if (!said)
            log_write(LOG_INFO, "another process is migrating; waiting for it");
        usleep(LOCK_POLL_MS * 1000);
    }
}

enum error_code migrate_apply(struct pg *db, void (*told)(const struct migration *, int64_t, void *),
                              void *context, struct error *error)
{
    struct arena *arena = arena_new();
    enum error_code code = take_lock(db, arena, error);
    if (!code) {
        code = apply_missing(db, arena, told, context, error);
        struct migration_unlock_row row;
        bool found;
        if (pg_raw(db))
            migration_unlock(db, arena, &row, &found); /* a lost connection has given it up already */
    }
    arena_free(arena);
    return code;
}

const char *migrate_database(void)
{
    return config()->migrate_database_url[0] ? config()->migrate_database_url : config()->database_url;
}

enum error_code migrate_allow(struct pg *owner, const char *shop_url, struct error *error)
{
    struct arena *arena = arena_new();
    struct pg *shop = pg_new(shop_url, "cathay migrate", NULL);
    struct migration_role_row of_shop = {0}, of_owner = {0};
    bool found;
    enum error_code code = migration_role(shop, arena, &of_shop, &found);
    if (code) {
        database_failed(shop, code, error);
    } else {
        code = migration_role(owner, arena, &of_owner, &found);
        if (!code && !str_equal(of_shop.role, of_owner.role))
            code = migration_role_allow(owner, (struct migration_role_allow_args){of_shop.role}, NULL);
        if (code)
            database_failed(owner, code, error);
    }
    pg_free(shop);
    arena_free(arena);
    return code;
}

enum error_code migrate_check(struct pg *db, struct error *error)
{
    struct arena *arena = arena_new();
    struct migration_applied_rows applied;
    enum error_code code = read_applied(db, arena, &applied);
    code = code ? database_failed(db, code, error) : refuse_changed(&applied, error);
    for (size_t i = 0; i < migration_count && !code; i++)
        if (!is_applied(&applied, migrations[i].version))
            code =
                error_set(error, ERR_PRECONDITION,
                          "the database lacks migration %s; run `cathay migrate` first", migrations[i].name);
    arena_free(arena);
    return code;
}

static int by_version(const void *a, const void *b)
{
    return ((const struct migration_status *)a)->version - ((const struct migration_status *)b)->version;
}

enum error_code migrate_status(struct pg *db, struct arena *arena, struct migration_statuses *statuses)
{
    struct migration_applied_rows applied;
    enum error_code code = read_applied(db, arena, &applied);
    if (code)
        return code;
    struct migration_status *items =
        ARENA_ARRAY(arena, struct migration_status, applied.count + migration_count);
    size_t count = 0;
    for (size_t i = 0; i < applied.count; i++) {
        const struct migration_applied_row *row = &applied.items[i];
        const struct migration *migration = known(row->version);
        enum migration_state state = !migration ? MIGRATION_UNKNOWN
                                     : str_equal(row->checksum, str_from(migration->checksum))
                                         ? MIGRATION_APPLIED
                                         : MIGRATION_CHANGED;
        items[count++] = (struct migration_status){row->version, row->name, state, row->applied_at};
    }
    for (size_t i = 0; i < migration_count; i++)
        if (!is_applied(&applied, migrations[i].version))
            items[count++] = (struct migration_status){migrations[i].version, str_from(migrations[i].name),
                                                       MIGRATION_MISSING, 0};
    qsort(items, count, sizeof *items, by_version);
    *statuses = (struct migration_statuses){items, count};
    return ERR_OK;
}
