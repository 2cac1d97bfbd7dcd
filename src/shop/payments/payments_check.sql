-- Invariants of payments, for `cathay verify`. Each looks at the newest payments or refunds only (:newest), and tells at most
-- :most faults.

-- name: check_payment_amounts(newest int8, most int8) :many
-- returns: id payment_id, what text
WITH recent AS MATERIALIZED (SELECT * FROM payment ORDER BY id DESC LIMIT :newest)
SELECT p.id, CASE WHEN o.id IS NULL THEN 'is of an order that does not exist'
                  ELSE format('takes %s %s, its order %s %s', p.amount_minor, p.currency, o.cash_minor, o.currency) END AS what
FROM recent p LEFT JOIN orders o ON o.id = p.order_id
WHERE o.id IS NULL OR o.cash_minor <> p.amount_minor OR o.currency <> p.currency
LIMIT :most;

-- name: check_payment_refunds(newest int8, most int8) :many
-- returns: id payment_id, what text
WITH recent AS MATERIALIZED (SELECT * FROM payment ORDER BY id DESC LIMIT :newest), summed AS (
    SELECT r.payment_id, sum(r.amount_minor) FILTER (WHERE r.state <> 'failed') AS asked,
           sum(r.amount_minor) FILTER (WHERE r.state = 'succeeded') AS sent
    FROM refund r JOIN recent p ON p.id = r.payment_id GROUP BY r.payment_id
)
SELECT p.id, CASE WHEN coalesce(s.sent, 0) > p.amount_minor THEN format('took %s and gave %s back', p.amount_minor, s.sent)
                  WHEN coalesce(s.asked, 0) > 0 AND p.state <> 'succeeded' THEN format('is %s and has refunds', p.state)
                  ELSE format('counts %s as refunded, its refunds are %s', p.refunded_minor, coalesce(s.asked, 0)) END AS what
FROM recent p LEFT JOIN summed s ON s.payment_id = p.id
WHERE p.refunded_minor <> coalesce(s.asked, 0) OR coalesce(s.sent, 0) > p.amount_minor
   OR (coalesce(s.asked, 0) > 0 AND p.state <> 'succeeded')
LIMIT :most;

-- Confirmed orders have taken their cash.
-- name: check_payment_of_order(newest int8, most int8) :many
-- returns: order_id order_id, what text
WITH recent AS MATERIALIZED (SELECT id, state, cash_minor FROM orders ORDER BY id DESC LIMIT :newest)
SELECT o.id AS order_id, format('is %s and no payment has succeeded', o.state) AS what
FROM recent o
WHERE o.cash_minor > 0
  AND o.state IN ('confirmed', 'processing', 'shipped', 'delivered', 'returned', 'partially_refunded', 'refunded')
  AND NOT EXISTS (SELECT FROM payment p WHERE p.order_id = o.id AND p.state = 'succeeded')
LIMIT :most;

-- Orders that wait for cash have an attempt that may bring it.
-- name: check_payment_waiting(newest int8, most int8) :many
-- returns: order_id order_id, what text
WITH recent AS MATERIALIZED (SELECT id, state, cash_minor FROM orders ORDER BY id DESC LIMIT :newest)
SELECT o.id AS order_id, 'waits for a payment that does not exist' AS what
FROM recent o
WHERE o.cash_minor > 0 AND o.state = 'pending_payment'
  AND NOT EXISTS (SELECT FROM payment p WHERE p.order_id = o.id AND p.state IN ('created', 'pending'))
LIMIT :most;

-- Money is taken for an order once: what more has come, or came for nothing, is on its way back.
-- name: check_payment_kept(newest int8, most int8) :many
-- returns: id payment_id, what text
WITH recent AS MATERIALIZED (SELECT * FROM payment WHERE state = 'succeeded' ORDER BY id DESC LIMIT :newest)
SELECT p.id, CASE WHEN o.state IN ('pending_payment', 'payment_failed', 'expired', 'cancelled', 'refunded')
                  THEN format('is kept, its order is %s', o.state) ELSE 'is kept, another one has paid the order' END AS what
FROM recent p JOIN orders o ON o.id = p.order_id
WHERE p.refunded_minor < p.amount_minor
  AND NOT EXISTS (SELECT FROM refund r WHERE r.payment_id = p.id AND r.state = 'failed')
  AND (o.state IN ('pending_payment', 'payment_failed', 'expired', 'cancelled', 'refunded')
       OR EXISTS (SELECT FROM payment other WHERE other.order_id = p.order_id AND other.id < p.id
                  AND other.state = 'succeeded' AND other.refunded_minor < other.amount_minor))
LIMIT :most;

-- name: check_refund_state(late_s int8, most int8) :many
-- returns: id refund_id, what text
SELECT id, CASE WHEN state = 'failed' THEN 'failed and was not asked for again'
                ELSE format('waits for the gateway since %s', created_at) END AS what
FROM refund r
WHERE (state = 'requested' AND created_at < now() - make_interval(secs => :late_s::int8))
   OR (state = 'failed' AND NOT EXISTS (SELECT FROM refund later WHERE later.payment_id = r.payment_id AND later.id > r.id)
       AND created_at < now() - make_interval(secs => :late_s::int8))
LIMIT :most;

-- name: check_webhook_waiting(late_s int8, most int8) :many
-- returns: id webhook_id, what text
SELECT id, format('%s of %s waits since %s', type, provider, received_at) AS what
FROM webhook
WHERE state = 'received' AND received_at < now() - make_interval(secs => :late_s::int8)
LIMIT :most;

-- Open attempts that nobody waits for any more are closed within minutes, here and at the gateway.
-- name: check_payment_open(late_s int8, most int8) :many
-- returns: id payment_id, what text
SELECT p.id, format(CASE WHEN p.requested_at IS NULL THEN 'was never begun and is %s, its order is %s' ELSE 'is %s, its order is %s' END,
                    p.state, o.state) AS what
FROM payment p JOIN orders o ON o.id = p.order_id
WHERE p.state IN ('created', 'pending') AND o.state <> 'pending_payment' AND o.updated_at < now() - make_interval(secs => :late_s::int8)
LIMIT :most;

-- name: check_payment_unclosed(late_s int8, most int8) :many
-- returns: id payment_id, what text
SELECT id, format('failed at %s and can still be paid at the gateway', updated_at) AS what
FROM payment
WHERE state = 'failed' AND closed_at IS NULL AND intent_id IS NOT NULL AND updated_at < now() - make_interval(secs => :late_s::int8)
LIMIT :most;
