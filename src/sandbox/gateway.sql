-- The first one with a key makes the row; others wait until it has committed, and then find it.
-- name: sandbox_idempotency_claim(key text, hash bytea) :exec
INSERT INTO sandbox.idempotency (key, hash) VALUES (:key, :hash) ON CONFLICT DO NOTHING;

-- name: sandbox_idempotency_show(key text) :one
-- returns: hash bytea, status int4, body text
SELECT hash, status, body FROM sandbox.idempotency WHERE key = :key;

-- name: sandbox_idempotency_store(key text, status int4, body text) :exec
UPDATE sandbox.idempotency SET status = :status, body = :body WHERE key = :key;

-- name: sandbox_idempotency_forget() :exec
DELETE FROM sandbox.idempotency WHERE created_at < now() - interval '24 hours';

-- name: sandbox_intent_insert(id text, client_secret text, amount int8, currency text, status text, payment_method_types text[],
-- payment_method text?, return_url text?, description text?, metadata jsonb) :exec
INSERT INTO sandbox.payment_intent (id, client_secret, amount, currency, status, payment_method_types, payment_method, return_url,
                                    description, metadata)
VALUES (:id, :client_secret, :amount, :currency, :status, :payment_method_types, :payment_method, :return_url, :description,
        :metadata);

-- name: sandbox_intent_lock(id text) :one
-- returns: status text, payment_method text?, payment_method_types text[], return_url text?, amount int8, amount_refunded int8
SELECT status, payment_method, payment_method_types, return_url, amount, amount_refunded
FROM sandbox.payment_intent WHERE id = :id
FOR UPDATE;

-- name: sandbox_intent_show(id text) :one
-- returns: body json
SELECT sandbox.payment_intent_json(i) AS body FROM sandbox.payment_intent i WHERE i.id = :id;

-- name: sandbox_intent_charge(id text) :one
-- returns: body json
SELECT sandbox.charge_json(i) AS body FROM sandbox.payment_intent i WHERE i.id = :id;

-- name: sandbox_intent_list(most int8, after text?, before text?) :many
-- returns: body json
SELECT sandbox.payment_intent_json(i) AS body FROM sandbox.payment_intent i
WHERE (:after::text IS NULL OR i.id < :after) AND (:before::text IS NULL OR i.id > :before)
ORDER BY i.id DESC LIMIT :most;

-- name: sandbox_intent_confirm(id text, payment_method text, return_url text, page_token text, page_url text) :exec
UPDATE sandbox.payment_intent
SET status = 'requires_action', payment_method = :payment_method, return_url = :return_url, page_token = :page_token,
    page_url = :page_url, last_payment_error = NULL
WHERE id = :id;

-- name: sandbox_intent_succeed(id text, charge text) :exec
UPDATE sandbox.payment_intent SET status = 'succeeded', latest_charge = :charge, last_payment_error = NULL WHERE id = :id;

-- name: sandbox_intent_decline(id text, error jsonb) :exec
UPDATE sandbox.payment_intent SET status = 'requires_payment_method', payment_method = NULL, last_payment_error = :error
WHERE id = :id;

-- name: sandbox_intent_cancel(id text, reason text?) :exec
UPDATE sandbox.payment_intent SET status = 'canceled', canceled_at = now(), cancellation_reason = :reason WHERE id = :id;

-- name: sandbox_intent_page(token text) :one
-- returns: id text, client_secret text, status text, amount int8, currency text, description text?, return_url text?
SELECT id, client_secret, status, amount, currency, description, return_url
FROM sandbox.payment_intent WHERE page_token = :token;

-- name: sandbox_intent_by_charge(charge text) :one
-- returns: id text
SELECT id FROM sandbox.payment_intent WHERE latest_charge = :charge;

-- name: sandbox_refund_insert(id text, payment_intent text, amount int8, status text, reason text?, metadata jsonb) :exec
WITH counted AS (
    UPDATE sandbox.payment_intent SET amount_refunded = amount_refunded + :amount WHERE id = :payment_intent RETURNING id
)
INSERT INTO sandbox.refund (id, payment_intent, amount, status, reason, metadata)
SELECT :id, id, :amount, :status, :reason, :metadata FROM counted;

-- name: sandbox_refund_show(id text) :one
-- returns: body json, status text, payment_intent text
SELECT sandbox.refund_json(r) AS body, r.status, r.payment_intent FROM sandbox.refund r WHERE r.id = :id;

-- A failed refund gives its amount back to what may be refunded.
-- name: sandbox_refund_settle(id text, status text, failure_reason text?) :exec
WITH settled AS (
    UPDATE sandbox.refund SET status = :status, failure_reason = :failure_reason
    WHERE id = :id AND status = 'pending'
    RETURNING payment_intent, amount
)
UPDATE sandbox.payment_intent i
SET amount_refunded = i.amount_refunded - CASE WHEN :status = 'failed' THEN s.amount ELSE 0 END
FROM settled s WHERE i.id = s.payment_intent;

-- A dispute has the name of its intent, and no row: what is told of it is all there is.
-- name: sandbox_dispute_show(payment_intent text, status text) :one
-- returns: id text, body json
SELECT 'dp_' || substr(id, 4) AS id, json_build_object('id', 'dp_' || substr(id, 4), 'object', 'dispute', 'amount', amount, 'charge', latest_charge,
       'currency', currency, 'created', sandbox.seconds(now()), 'payment_intent', id, 'reason', 'fraudulent', 'status', :status::text,
       'livemode', false) AS body
FROM sandbox.payment_intent WHERE id = :payment_intent AND status = 'succeeded';

-- name: sandbox_refund_list(payment_intent text?, since_s int8, most int8, after text?, before text?) :many
-- returns: body json
SELECT sandbox.refund_json(r) AS body FROM sandbox.refund r
WHERE (:payment_intent::text IS NULL OR r.payment_intent = :payment_intent) AND r.created_at >= to_timestamp(:since_s::int8)
  AND (:after::text IS NULL OR r.id < :after) AND (:before::text IS NULL OR r.id > :before)
ORDER BY r.id DESC LIMIT :most;

-- name: sandbox_gateway_event_show(id text) :one
-- returns: body text
SELECT body FROM sandbox.event WHERE partner = 'gateway' AND id = :id;

-- name: sandbox_gateway_event_list(type text?, most int8, after text?, before text?) :many
-- returns: body text
SELECT body FROM sandbox.event
WHERE partner = 'gateway' AND (:type::text IS NULL OR type = :type)
  AND (:after::text IS NULL OR id < :after) AND (:before::text IS NULL OR id > :before)
ORDER BY id DESC LIMIT :most;

-- name: sandbox_gateway_endpoint_show(id text, with_secret bool) :one
-- returns: body jsonb
SELECT sandbox.endpoint_json(e, :with_secret) AS body FROM sandbox.endpoint e WHERE e.partner = 'gateway' AND e.id = :id;

-- name: sandbox_gateway_endpoint_list(most int8, after text?, before text?) :many
-- returns: body jsonb
SELECT sandbox.endpoint_json(e, false) AS body FROM sandbox.endpoint e
WHERE e.partner = 'gateway' AND (:after::text IS NULL OR e.id < :after) AND (:before::text IS NULL OR e.id > :before)
ORDER BY e.id DESC LIMIT :most;

-- name: sandbox_gateway_endpoint_delete(id text) :exec
DELETE FROM sandbox.endpoint WHERE partner = 'gateway' AND id = :id;
