-- name: migration_table_exists() :one
-- returns: there bool
SELECT to_regclass('schema_migration') IS NOT NULL AS there;

-- name: migration_table_create() :exec
CREATE TABLE schema_migration (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: migration_applied() :many
-- returns: version int4, name text, checksum text, applied_at timestamptz
SELECT version, name, checksum, applied_at FROM schema_migration ORDER BY version;

-- name: migration_record(version int4, name text, checksum text) :exec
INSERT INTO schema_migration (version, name, checksum) VALUES (:version, :name, :checksum);

-- name: migration_role() :one
-- returns: role text
SELECT current_user::text AS role;

-- name: migration_role_allow(role text) :exec
SELECT shop_role_allow(:role::name);

-- Asked for again and again instead of waited for: a waiting statement would hold a snapshot, and CREATE INDEX
-- CONCURRENTLY of the one who migrates would wait for that in turn.
-- name: migration_lock() :one
-- returns: locked bool
SELECT pg_try_advisory_lock(4841726113) AS locked;

-- name: migration_unlock() :one
-- returns: unlocked bool
SELECT pg_advisory_unlock(4841726113) AS unlocked;
