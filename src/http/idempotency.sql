-- Answers kept by Idempotency-Key, for request_transaction(). The checkout engine writes the same table in its batches.

-- One worker at a time per key; given back when the transaction ends.
-- name: idempotency_lock(owner_id uuid, key text) :one
-- returns: locked bool
SELECT pg_try_advisory_xact_lock(hashtextextended(:owner_id::text || ':' || :key, 7310)) AS locked;

-- name: idempotency_find(owner_id uuid, key text) :one
-- returns: body_hash bytea, status int2, content_type text, body bytea
SELECT body_hash, status, content_type, body
FROM idempotency
WHERE owner_id = :owner_id AND key = :key;

-- name: idempotency_store(owner_id uuid, key text, operation text, body_hash bytea, status int2, content_type text, body bytea) :exec
INSERT INTO idempotency (owner_id, key, operation, body_hash, status, content_type, body)
VALUES (:owner_id, :key, :operation, :body_hash, :status, :content_type, :body)
ON CONFLICT (owner_id, key) DO NOTHING;

-- Answers are kept for 24 hours at least; twice that, so that no clock matters.
-- name: idempotency_delete_old(batch int4) :exec
DELETE FROM idempotency WHERE (owner_id, key) IN (
    SELECT owner_id, key FROM idempotency
    WHERE created_at < now() - interval '48 hours'
    LIMIT :batch FOR UPDATE SKIP LOCKED);
