-- Each query here is one that `cathay sql-check` has to refuse; sql_check_test.c says how.
-- name: wrong_type() :one
-- returns: n int4
SELECT 1::bigint AS n;

-- name: wrong_name() :one
-- returns: total int4
SELECT 1 AS sum;

-- name: wrong_count() :one
-- returns: a int4
SELECT 1 AS a, 2 AS b;

-- name: wrong_table(id order_id) :exec
DELETE FROM no_such_table WHERE id = :id;

-- name: wrong_operator(id text) :one
-- returns: found bool
SELECT '00000000-0000-0000-0000-000000000000'::uuid = :id AS found;

-- name: wrong_null() :many
-- returns: rolvaliduntil timestamptz
SELECT rolvaliduntil FROM pg_authid;

-- name: right(id order_id) :one
-- returns: id order_id
SELECT :id AS id;
