-- The engine's batches. What belongs to other modules (stock, ledger, orders, payments, carts) is in their files; here is
-- what is checkout's own.

-- Stored answers of the batch's keys. Read after the accounts are locked, so that the snapshot has what an order of the
-- same customer has just committed.
-- name: checkout_key_batch(owner_ids user_id[], keys text[]) :many
-- returns: owner_id user_id, key text, body_hash bytea, status int2, body bytea
SELECT i.owner_id, i.key, i.body_hash, i.status, i.body
FROM unnest(:owner_ids, :keys) AS w (owner_id, key)
JOIN idempotency i ON i.owner_id = w.owner_id AND i.key = w.key;

-- name: checkout_key_insert_batch(owner_ids user_id[], keys text[], body_hashes bytea[], bodies bytea[]) :exec
INSERT INTO idempotency (owner_id, key, operation, body_hash, status, content_type, body)
SELECT b.owner_id, b.key, 'order_place', b.body_hash, 201, 'application/json', b.body
FROM unnest(:owner_ids, :keys, :body_hashes, :bodies) AS b (owner_id, key, body_hash, body);

-- A hold stays pending only while its order waits for payment.
-- name: verify_hold_has_order() :many
-- returns: root_id uuid, order_id uuid?
SELECT o.root_id, o.order_id
FROM transfer o
WHERE o.step = 0 AND o.phase = 'pending' AND o.kind = 'redeem'
  AND NOT EXISTS (SELECT FROM transfer c WHERE c.root_id = o.root_id AND c.step = 1)
  AND NOT EXISTS (SELECT FROM orders r WHERE r.id = o.order_id AND r.hold_id = o.root_id AND r.state = 'pending_payment')
LIMIT 100;
