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

-- The crowd of a flash sale, see crowd.sql.
-- name: bench_buyers(first int8, most int8) :many
-- returns: user_id user_id
SELECT id AS user_id FROM users WHERE email LIKE 'buyer%@bench.example' ORDER BY id OFFSET :first LIMIT :most;

-- name: bench_orders() :one
-- returns: count int8
SELECT count(*) AS count FROM orders;

-- What the gateway will tell of, in the order of placing: payments of orders that were placed so long ago, behind the last one known.
-- name: bench_payments(last payment_id, after_ms int8, most int8) :many
-- returns: payment_id payment_id, order_id order_id, number int8, intent_id text, amount_minor int8, currency text
SELECT p.id AS payment_id, p.order_id, o.number, coalesce(p.intent_id, 'pi_' || replace(p.id::text, '-', '')) AS intent_id, p.amount_minor,
       p.currency
FROM payment p JOIN orders o ON o.id = p.order_id
WHERE p.id > :last AND p.id < uuid_floor(now() - :after_ms::int8 * interval '1 millisecond') AND p.state IN ('created', 'pending')
ORDER BY p.id LIMIT :most;

-- Whether an order up to this payment still waits.
-- name: bench_waiting(last payment_id) :one
-- returns: waiting bool
SELECT EXISTS (SELECT FROM payment p JOIN orders o ON o.id = p.order_id
               WHERE p.id <= :last AND (p.state IN ('created', 'pending') OR o.state = 'pending_payment')) AS waiting;
