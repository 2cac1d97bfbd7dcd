-- What the benchmarks' programs read. No part of the shop.

-- name: bench_server() :one
-- returns: backend int4, wal_bytes int8, wal_syncs int8
SELECT pg_backend_pid() AS backend, (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8 AS wal_bytes,
       (SELECT wal_sync FROM pg_stat_wal) AS wal_syncs;

-- name: bench_variants(most int8) :many
-- returns: variant_id variant_id, product_id product_id, amount_minor int8
SELECT v.id AS variant_id, v.product_id, p.amount_minor
FROM variant v
JOIN price p ON p.variant_id = v.id AND p.currency = 'HKD'
WHERE v.sku LIKE 'BENCH-%'
ORDER BY v.id
LIMIT :most;

-- name: bench_customers(most int8) :many
-- returns: user_id user_id
SELECT id AS user_id FROM users WHERE email LIKE 'shopper%@bench.example' ORDER BY id LIMIT :most;

-- name: bench_orders() :one
-- returns: count int8
SELECT count(*) AS count FROM orders;
