-- Refunds as staff see them: all of one state, and one that is asked for again.

-- asked_again: a later refund of the same payment.
-- name: staff_refund_page(state text, before refund_id?, most int8) :one
-- returns: body json
WITH page AS (
    SELECT r.* FROM refund r
    WHERE r.state = :state AND (:before::uuid IS NULL OR r.id < :before)
    ORDER BY r.id DESC
    LIMIT :most + 1
), shown AS (
    SELECT * FROM page ORDER BY id DESC LIMIT :most
)
SELECT json_build_object(
    'items', coalesce(json_agg(json_build_object(
        'id', wire_id('ref', s.id), 'order_id', wire_id('ord', s.order_id), 'order_number', o.number,
        'customer_id', wire_id('usr', o.customer_id), 'payment_id', wire_id('pay', s.payment_id), 'state', s.state,
        'amount_minor', s.amount_minor, 'points', s.points, 'currency', s.currency, 'reason', s.reason,
        'actor_id', wire_id('usr', s.actor_id),
        'asked_again', EXISTS (SELECT FROM refund later WHERE later.payment_id = s.payment_id AND later.id > s.id),
        'created_at', s.created_at, 'updated_at', s.updated_at) ORDER BY s.id DESC), '[]'),
    'next_cursor', CASE WHEN (SELECT count(*) FROM page) > :most THEN wire_id('ref', (SELECT id FROM shown ORDER BY id LIMIT 1)) END) AS body
FROM shown s JOIN orders o ON o.id = s.order_id;

-- The caller has locked the order.
-- name: refund_retry_lock(id refund_id) :one
-- returns: payment_id payment_id?, amount_minor int8, state text, reason text
SELECT payment_id, amount_minor, state, reason FROM refund WHERE id = :id FOR UPDATE;
