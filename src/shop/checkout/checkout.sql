-- The engine's batches. What belongs to other modules (stock, ledger, orders, payments, carts) is in their files; here is
-- what is checkout's own.

-- Numbers for people, taken ahead, so that an order's answer is known before it is written; and the version of the rules of miles that is in force.
-- name: checkout_number_batch(count int4) :many
-- returns: number int8, policy_version int4
SELECT nextval('order_number') AS number, (SELECT max(version) FROM miles_policy) AS policy_version FROM generate_series(1, :count);

-- Stored answers of the batch's keys. Read after all locks, so that the snapshot has the order that was waited for, should it
-- have been this one by another server. Where there was nothing to wait for, the key that is written meets the other's, and the
-- next try reads its answer here. LATERAL and LIMIT leave no other plan than one look into the index per key: a join,
-- planned while the table was small, was kept when it had grown.
-- name: checkout_key_batch(owner_ids user_id[], keys text[]) :many
-- returns: owner_id user_id, key text, body_hash bytea, status int2, body bytea
SELECT i.owner_id, i.key, i.body_hash, i.status, i.body
FROM unnest(:owner_ids, :keys) AS w (owner_id, key),
     LATERAL (SELECT * FROM idempotency f WHERE f.owner_id = w.owner_id AND f.key = w.key LIMIT 1) i;

-- Of an order's answer a reference is stored (batch_answer.c) in place of the JSON, and half of the body's hash. So a server of
-- the release before, which would take a reference for the answer, meets a hash that is not its own and refuses.
-- name: checkout_key_insert_batch(owner_ids user_id[], keys text[], body_hashes bytea[], refs bytea[]) :exec
INSERT INTO idempotency (owner_id, key, operation, body_hash, status, content_type, body)
SELECT unnest(:owner_ids), unnest(:keys), 'order_place', unnest(:body_hashes), 201, 'order', unnest(:refs);

-- What the answers to these orders said, a row for each line.
-- name: checkout_answer_batch(order_ids order_id[]) :many
-- returns: id order_id, number int8, currency text, subtotal_minor int8, total_minor int8, points int8, points_value_minor int8,
--   cash_minor int8, earn_points int8, placed_at timestamptz, line_no int2, variant_id variant_id, sku text, title text, quantity int4,
--   unit_price_minor int8, line_total_minor int8, line_points int8, line_points_value_minor int8, line_cash_minor int8
SELECT o.id, o.number, o.currency::text AS currency, o.subtotal_minor, o.total_minor, o.points, o.points_value_minor, o.cash_minor,
       o.earn_points, o.placed_at, l.line_no, l.variant_id, l.sku, l.title, l.quantity, l.unit_price_minor,
       l.total_minor AS line_total_minor, l.points AS line_points, l.points_value_minor AS line_points_value_minor,
       l.cash_minor AS line_cash_minor
FROM (SELECT DISTINCT unnest(:order_ids) AS id) w
JOIN orders o ON o.id = w.id
JOIN order_line l ON l.order_id = w.id
ORDER BY o.id, l.line_no;

-- A hold stays pending only while its order waits for payment.
-- name: verify_hold_has_order() :many
-- returns: root_id uuid, order_id uuid?
SELECT o.root_id, o.order_id
FROM transfer o
WHERE o.step = 0 AND o.phase = 'pending' AND o.kind = 'redeem'
  AND NOT EXISTS (SELECT FROM transfer c WHERE c.root_id = o.root_id AND c.step = 1)
  AND NOT EXISTS (SELECT FROM orders r WHERE r.id = o.order_id AND r.hold_id = o.root_id AND r.state = 'pending_payment')
LIMIT 100;
