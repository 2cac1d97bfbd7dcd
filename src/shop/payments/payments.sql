-- Payments of a batch of new orders: those that take cash.
-- name: payment_insert_batch(ids payment_id[], order_ids order_id[], amounts int8[], currencies text[]) :exec
INSERT INTO payment (id, order_id, amount_minor, currency)
SELECT unnest(:ids::uuid[]), unnest(:order_ids::uuid[]), unnest(:amounts::int8[]), unnest(:currencies::text[]);

-- A further attempt, after one that failed.
-- name: payment_insert(id payment_id, order_id order_id, attempt int2, amount_minor int8, currency text) :exec
INSERT INTO payment (id, order_id, attempt, amount_minor, currency)
VALUES (:id, :order_id, :attempt, :amount_minor, :currency);

-- The newest attempt of an order that the caller has locked.
-- name: payment_lock_latest(order_id order_id) :one
-- returns: id payment_id, attempt int2, state text, amount_minor int8, currency text, intent_id text?, requested bool
SELECT id, attempt, state, amount_minor, currency, intent_id, requested_at IS NOT NULL AS requested
FROM payment WHERE order_id = :order_id ORDER BY attempt DESC LIMIT 1
FOR UPDATE;

-- name: payment_lock(id payment_id) :one
-- returns: order_id order_id, attempt int2, state text, amount_minor int8, currency text, intent_id text?, refunded_minor int8,
-- surplus bool, latest bool
SELECT p.order_id, p.attempt, p.state, p.amount_minor, p.currency, p.intent_id, p.refunded_minor, p.surplus,
       NOT EXISTS (SELECT FROM payment later WHERE later.order_id = p.order_id AND later.attempt > p.attempt) AS latest
FROM payment p WHERE p.id = :id
FOR UPDATE;

-- All attempts of orders that the caller has locked, which guards them too: whatever ends or adds an attempt locks its order first.
-- name: payment_list_batch(order_ids order_id[]) :many
-- returns: id payment_id, order_id order_id, attempt int2, state text, amount_minor int8, currency text, intent_id text?, requested bool
SELECT id, order_id, attempt, state, amount_minor, currency, intent_id, requested_at IS NOT NULL AS requested
FROM payment WHERE order_id = ANY(:order_ids)
ORDER BY id;

-- name: payment_requested_set(id payment_id) :exec
UPDATE payment SET requested_at = coalesce(requested_at, now()) WHERE id = :id;

-- name: payment_intent_set(id payment_id, intent_id text, redirect_url text?, answer text) :exec
UPDATE payment
SET intent_id = :intent_id, redirect_url = :redirect_url, answer = :answer, response = NULL,
    state = CASE WHEN state IN ('created', 'cancelled') THEN 'pending' ELSE state END, updated_at = now()
WHERE id = :id;

-- closed: the gateway cannot turn them into money any more.
-- name: payment_state_set_batch(ids payment_id[], state text, closed bool, intent_ids text?[], failures text?[], answers text?[]) :exec
UPDATE payment p
SET state = :state, intent_id = w.intent_id, failure = w.failure, answer = w.answer, response = NULL, updated_at = now(),
    closed_at = CASE WHEN :closed THEN now() END
FROM (SELECT unnest(:ids) AS id, unnest(:intent_ids) AS intent_id, unnest(:failures) AS failure, unnest(:answers) AS answer) w
WHERE p.id = w.id;

-- name: payment_checked_set(id payment_id) :exec
UPDATE payment SET checked_at = now(), ask_failures = 0, ask_after = NULL WHERE id = :id;

-- Asking came to nothing: the next time is later and later, an hour at most, so that those behind it have their turn.
-- name: payment_ask_failed(id payment_id, base_s int8) :exec
UPDATE payment
SET ask_failures = least(ask_failures + 1, 1000),
    ask_after = now() + least(:base_s * 2 ^ least(ask_failures, 12), 3600) * interval '1 second'
WHERE id = :id;

-- The same for whatever attempt an order has, where it could not be expired.
-- name: payment_expiry_failed(order_id order_id, base_s int8) :exec
UPDATE payment
SET ask_failures = least(ask_failures + 1, 1000),
    ask_after = now() + least(:base_s * 2 ^ least(ask_failures, 12), 3600) * interval '1 second'
WHERE order_id = :order_id AND state = 'created';

-- It came when nothing was to be paid with it.
-- name: payment_surplus_set(id payment_id) :exec
UPDATE payment SET surplus = true WHERE id = :id;

-- Of one that failed: the gateway cannot turn it into money any more.
-- name: payment_closed_set(id payment_id) :exec
UPDATE payment SET closed_at = now() WHERE id = :id AND state = 'failed' AND closed_at IS NULL;

-- Attempts of an order that the gateway was never asked about.
-- name: payment_cancel_unrequested(order_id order_id) :exec
UPDATE payment SET state = 'cancelled', updated_at = now()
WHERE order_id = :order_id AND state = 'created' AND requested_at IS NULL;

-- Whether an order has attempts that the gateway may still turn into money.
-- name: payment_requested_open(order_id order_id) :one
-- returns: is_open bool
SELECT EXISTS (SELECT FROM payment WHERE order_id = :order_id AND state IN ('created', 'pending') AND requested_at IS NOT NULL)
       AS is_open;

-- Attempts of one order that the gateway may still turn into money though the order does not wait for them: open ones, unless it waits, and
-- failed ones.
-- name: payment_unwanted_of_order(order_id order_id) :many
-- returns: id payment_id, order_id order_id, number int8, amount_minor int8, currency text, intent_id text?, ask_failures int2
SELECT p.id, p.order_id, o.number, p.amount_minor, p.currency, p.intent_id, p.ask_failures
FROM payment p JOIN orders o ON o.id = p.order_id
WHERE p.order_id = :order_id
  AND (p.state IN ('created', 'pending') AND p.requested_at IS NOT NULL AND o.state <> 'pending_payment'
       OR p.state = 'failed' AND p.closed_at IS NULL AND p.intent_id IS NOT NULL)
ORDER BY p.attempt;

-- Open for so long that the gateway is asked: its webhook may have been lost; those that were not asked about in vain first. wanted: the
-- order still waits for it.
-- name: payment_open_list(after_s int8, most int8) :many
-- returns: id payment_id, order_id order_id, number int8, amount_minor int8, currency text, intent_id text?, ask_failures int2, wanted bool
SELECT p.id, p.order_id, o.number, p.amount_minor, p.currency, p.intent_id, p.ask_failures, o.state = 'pending_payment' AS wanted
FROM payment p JOIN orders o ON o.id = p.order_id
WHERE p.state IN ('created', 'pending') AND p.requested_at < now() - make_interval(secs => :after_s::int8)
  AND (p.checked_at IS NULL OR p.checked_at < now() - make_interval(secs => :after_s::int8))
  AND (p.ask_after IS NULL OR p.ask_after <= now())
ORDER BY p.ask_after NULLS FIRST, p.created_at
LIMIT :most;

-- Failed for so long, and still to be closed at the gateway: the task of its failure did not come through.
-- name: payment_unclosed_list(after_s int8, most int8) :many
-- returns: id payment_id, order_id order_id, number int8, amount_minor int8, currency text, intent_id text?, ask_failures int2
SELECT p.id, p.order_id, o.number, p.amount_minor, p.currency, p.intent_id, p.ask_failures
FROM payment p JOIN orders o ON o.id = p.order_id
WHERE p.state = 'failed' AND p.closed_at IS NULL AND p.intent_id IS NOT NULL
  AND p.updated_at < now() - make_interval(secs => :after_s::int8) AND (p.ask_after IS NULL OR p.ask_after <= now())
ORDER BY p.created_at
LIMIT :most;

-- Payments that were never begun end with their orders; those that ended before this was so, by and by.
-- name: payment_cancel_unbegun(most int8) :exec
UPDATE payment SET state = 'cancelled', updated_at = now()
WHERE id IN (SELECT p.id FROM payment p JOIN orders o ON o.id = p.order_id
             WHERE p.state = 'created' AND p.requested_at IS NULL AND o.state <> 'pending_payment'
             ORDER BY p.created_at LIMIT :most
             FOR UPDATE OF p SKIP LOCKED);

-- Orders whose time to pay is over and whose payment was never begun.
-- name: payment_expired_unrequested(most int8) :many
-- returns: order_id order_id
SELECT o.id AS order_id FROM orders o
WHERE o.state = 'pending_payment' AND o.expires_at < now() AND o.cash_minor > 0
  AND NOT EXISTS (SELECT FROM payment p
                  WHERE p.order_id = o.id AND p.state IN ('created', 'pending') AND (p.requested_at IS NOT NULL OR p.ask_after > now()))
ORDER BY o.expires_at
LIMIT :most;

-- Orders whose time to pay is over and whose payment the gateway knows of; those that were not asked about in vain first.
-- name: payment_expired_requested(most int8) :many
-- returns: id payment_id, order_id order_id, number int8, amount_minor int8, currency text, intent_id text?, ask_failures int2
SELECT p.id, p.order_id, o.number, p.amount_minor, p.currency, p.intent_id, p.ask_failures
FROM orders o
JOIN payment p ON p.order_id = o.id AND p.state IN ('created', 'pending') AND p.requested_at IS NOT NULL
WHERE o.state = 'pending_payment' AND o.expires_at < now() AND (p.ask_after IS NULL OR p.ask_after <= now())
ORDER BY p.ask_after NULLS FIRST, o.expires_at
LIMIT :most;

-- An answer is stored under this key: nothing may be done before it is replayed.
-- name: payment_key_known(owner_id user_id, key text) :one
-- returns: known bool
SELECT EXISTS (SELECT FROM idempotency WHERE owner_id = :owner_id AND key = :key) AS known;

-- The payment of an order as its customer or staff sees it.
-- name: payment_show_body(order_id order_id, customer_id user_id?) :one
-- returns: body json, id payment_id?, state text?, intent_id text?, checked_now bool
SELECT json_build_object(
           'order_id', wire_id('ord', o.id), 'order_state', o.state,
           'payment', CASE WHEN p.id IS NOT NULL THEN json_build_object(
               'id', wire_id('pay', p.id), 'attempt', p.attempt, 'state', p.state, 'amount_minor', p.amount_minor,
               'refunded_minor', p.refunded_minor, 'currency', p.currency, 'failure', p.failure,
               'redirect_url', CASE WHEN o.state = 'pending_payment' AND p.state = 'pending' THEN p.redirect_url END,
               'created_at', p.created_at) END,
           'redirect_url', CASE WHEN o.state = 'pending_payment' AND p.state = 'pending' THEN p.redirect_url END,
           'expires_at', CASE WHEN o.state = 'pending_payment' THEN o.expires_at END,
           'disputes', CASE WHEN :customer_id::uuid IS NULL THEN coalesce((
               SELECT json_agg(json_build_object('id', d.gateway_id, 'payment_id', wire_id('pay', d.payment_id), 'amount_minor', d.amount_minor,
                               'currency', d.currency, 'reason', d.reason, 'state', d.state, 'closed', d.closed, 'created_at', d.created_at)
                               ORDER BY d.created_at)
               FROM dispute d WHERE d.order_id = o.id), '[]') END) AS body,
       p.id, p.state, p.intent_id, coalesce(p.checked_at > now() - interval '2 seconds', false) AS checked_now
FROM orders o
LEFT JOIN LATERAL (SELECT * FROM payment WHERE order_id = o.id ORDER BY attempt DESC LIMIT 1) p ON true
WHERE o.id = :order_id AND (:customer_id::uuid IS NULL OR o.customer_id = :customer_id);

-- ---- refunds ----

-- The money that an order took: the payment that is named, else one with something left to refund, what paid the order before what came
-- for nothing.
-- name: payment_lock_succeeded(order_id order_id, payment_id payment_id?) :one
-- returns: id payment_id, amount_minor int8, refunded_minor int8, surplus bool
SELECT id, amount_minor, refunded_minor, surplus FROM payment
WHERE order_id = :order_id AND state = 'succeeded' AND (:payment_id::uuid IS NULL OR id = :payment_id)
ORDER BY amount_minor = refunded_minor, surplus, attempt LIMIT 1
FOR UPDATE;

-- Payments of an order with something left to refund.
-- name: payment_refundable_list(order_id order_id) :many
-- returns: id payment_id, surplus bool
SELECT id, surplus FROM payment WHERE order_id = :order_id AND state = 'succeeded' AND refunded_minor < amount_minor ORDER BY attempt;

-- name: payment_of_intent(intent_id text) :one
-- returns: id payment_id, order_id order_id
SELECT id, order_id FROM payment WHERE intent_id = :intent_id;

-- name: refund_of_gateway(gateway_id text) :one
-- returns: id refund_id
SELECT id FROM refund WHERE gateway_id = :gateway_id;

-- A refund that was made at the gateway.
-- name: refund_adopt(id refund_id, order_id order_id, payment_id payment_id, amount_minor int8, points int8, currency text, state text,
-- reason text, gateway_id text, response jsonb) :exec
WITH counted AS (
    UPDATE payment SET refunded_minor = refunded_minor + :amount_minor, updated_at = now() WHERE id = :payment_id
)
INSERT INTO refund (id, order_id, payment_id, amount_minor, points, currency, state, reason, gateway_id, response)
VALUES (:id, :order_id, :payment_id, :amount_minor, :points, :currency, :state, :reason, :gateway_id, :response);

-- News in any order: what is closed stays closed.
-- name: dispute_upsert(gateway_id text, payment_id payment_id, order_id order_id, amount_minor int8, currency text, reason text, state text,
-- closed bool) :exec
INSERT INTO dispute (gateway_id, payment_id, order_id, amount_minor, currency, reason, state, closed)
VALUES (:gateway_id, :payment_id, :order_id, :amount_minor, :currency, :reason, :state, :closed)
ON CONFLICT (gateway_id) DO UPDATE SET amount_minor = excluded.amount_minor, reason = excluded.reason, state = excluded.state,
    closed = excluded.closed, updated_at = now()
WHERE NOT dispute.closed OR excluded.closed;

-- Miles go back when a refund is asked for, also where its cash then fails.
-- name: refund_points_given(order_id order_id) :one
-- returns: points int8
SELECT coalesce(sum(points), 0)::int8 AS points FROM refund WHERE order_id = :order_id;

-- name: refund_insert(id refund_id, order_id order_id, payment_id uuid?, amount_minor int8, points int8, currency text, state text,
-- reason text, actor_id uuid?) :exec
WITH counted AS (
    UPDATE payment SET refunded_minor = refunded_minor + :amount_minor, updated_at = now() WHERE id = :payment_id
)
INSERT INTO refund (id, order_id, payment_id, amount_minor, points, currency, state, reason, actor_id)
VALUES (:id, :order_id, :payment_id, :amount_minor, :points, :currency, :state, :reason, :actor_id);

-- name: refund_show(id refund_id) :one
-- returns: order_id order_id, payment_id uuid?, amount_minor int8, points int8, currency text, state text, gateway_id text?,
-- intent_id text?
SELECT r.order_id, r.payment_id, r.amount_minor, r.points, r.currency, r.state, r.gateway_id, p.intent_id
FROM refund r LEFT JOIN payment p ON p.id = r.payment_id
WHERE r.id = :id;

-- name: refund_lock(id refund_id) :one
-- returns: state text
SELECT state FROM refund WHERE id = :id FOR UPDATE;

-- name: refund_state_set(id refund_id, state text, gateway_id text?, failure text?, response jsonb?) :exec
UPDATE refund
SET state = :state, gateway_id = coalesce(:gateway_id, gateway_id), failure = :failure, response = coalesce(:response, response),
    updated_at = now()
WHERE id = :id;

-- As payment_ask_failed.
-- name: refund_ask_failed(id refund_id, base_s int8) :exec
UPDATE refund
SET ask_failures = least(ask_failures + 1, 1000),
    ask_after = now() + least(:base_s * 2 ^ least(ask_failures, 12), 3600) * interval '1 second'
WHERE id = :id;

-- A refund that came to nothing: its amount may be refunded again.
-- name: payment_refund_undo(id uuid, amount_minor int8) :exec
UPDATE payment SET refunded_minor = refunded_minor - :amount_minor, updated_at = now() WHERE id = :id;

-- Refunds that the gateway has accepted and not finished.
-- name: refund_pending_list(after_s int8, most int8) :many
-- returns: id refund_id, gateway_id text, amount_minor int8, currency text, intent_id text, ask_failures int2
SELECT r.id, r.gateway_id, r.amount_minor, r.currency, p.intent_id, r.ask_failures
FROM refund r JOIN payment p ON p.id = r.payment_id
WHERE r.state = 'requested' AND r.gateway_id IS NOT NULL AND r.updated_at < now() - make_interval(secs => :after_s::int8)
  AND (r.ask_after IS NULL OR r.ask_after <= now())
ORDER BY r.ask_after NULLS FIRST, r.created_at LIMIT :most;

-- name: refund_show_body(id refund_id) :one
-- returns: body json
SELECT json_build_object('id', wire_id('ref', r.id), 'state', r.state, 'amount_minor', r.amount_minor, 'points', r.points,
                         'currency', r.currency, 'reason', r.reason, 'payment_id', wire_id('pay', r.payment_id),
                         'failure', r.failure, 'created_at', r.created_at) AS body
FROM refund r WHERE r.id = :id;

-- name: refund_list_body(order_id order_id, customer_id user_id?) :one
-- returns: body json
SELECT json_build_object('items', coalesce((
           SELECT json_agg(json_build_object('id', wire_id('ref', r.id), 'state', r.state, 'amount_minor', r.amount_minor,
                           'points', r.points, 'currency', r.currency, 'reason', r.reason, 'payment_id', wire_id('pay', r.payment_id),
                           'failure', r.failure, 'created_at', r.created_at)
                           ORDER BY r.id)
           FROM refund r WHERE r.order_id = o.id), '[]')) AS body
FROM orders o
WHERE o.id = :order_id AND (:customer_id::uuid IS NULL OR o.customer_id = :customer_id);

-- name: refund_order_was_confirmed(order_id order_id) :one
-- returns: was bool
SELECT EXISTS (SELECT FROM order_event WHERE order_id = :order_id AND to_state = 'confirmed') AS was;

-- ---- webhooks ----

-- Those that were not stored before. The events are sorted, so that batches that store the same ones wait for each other
-- without deadlock.
-- name: payment_webhook_insert_batch(ids webhook_id[], provider text, event_ids text[], types text[], bodies text[], states text[],
-- details text[]) :many
-- returns: id webhook_id
INSERT INTO webhook (id, provider, event_id, type, body, state, detail, processed_at)
SELECT w.id, :provider, w.event_id, w.type, w.body, w.state, w.detail, CASE WHEN w.state <> 'received' THEN now() END
FROM (SELECT unnest(:ids) AS id, unnest(:event_ids) AS event_id, unnest(:types) AS type, unnest(:bodies) AS body,
             unnest(:states) AS state, unnest(:details) AS detail) w
ON CONFLICT (provider, event_id) DO NOTHING
RETURNING id;

-- name: payment_webhook_lock(id webhook_id) :one
-- returns: provider text, event_id text, type text, body text, state text
SELECT provider, event_id, type, body, state FROM webhook WHERE id = :id FOR UPDATE;

-- name: payment_webhook_state_set(id webhook_id, state text, detail text) :exec
UPDATE webhook SET state = :state, detail = :detail, processed_at = CASE WHEN :state <> 'received' THEN now() END WHERE id = :id;

-- At most so many refusals a minute are kept; the rest is only counted in the log.
-- name: payment_webhook_refusal_insert(id uuid, provider text, reason text, body_sha256 bytea, body_bytes int4, most_per_minute int8) :exec
INSERT INTO webhook_refusal (id, provider, reason, body_sha256, body_bytes)
SELECT :id, :provider, :reason, :body_sha256, :body_bytes
WHERE (SELECT count(*) FROM (SELECT FROM webhook_refusal WHERE received_at > now() - interval '1 minute'
                             LIMIT :most_per_minute) recent) < :most_per_minute;

-- name: payment_webhook_forget(days int4) :exec
DELETE FROM webhook WHERE received_at < now() - make_interval(days => :days::int4) AND state <> 'received';

-- name: payment_webhook_refusal_forget(days int4) :exec
DELETE FROM webhook_refusal WHERE received_at < now() - make_interval(days => :days::int4);
