-- Whoever makes a mail holds this lock of the mailbox until his transaction ends, so that mails of several workers are counted.
-- name: mail_mailbox_lock(mailbox bytea) :one
-- returns: locked int8
SELECT count(*) AS locked FROM (SELECT pg_advisory_xact_lock(hashtextextended(encode(:mailbox, 'hex'), 0)) OFFSET 0) l;

-- The mail of an event; at most one for each template. Nobody proves that the address is his; who has paid with money once from this account is
-- taken to be. Others' mailboxes get so many mails in 24 hours, over all accounts; 0: any number.
-- name: mail_insert(id mail_id, event_id event_id, template text, user_id user_id, order_id order_id, message_id text, mailbox bytea, most int8) :exec
INSERT INTO mail (id, event_id, template, user_id, order_id, message_id, mailbox, state)
SELECT :id::uuid, :event_id::uuid, :template::text, :user_id::uuid, :order_id::uuid, :message_id::text, :mailbox::bytea,
    CASE WHEN :most::int8 = 0
           OR EXISTS (SELECT FROM orders
                      WHERE customer_id = :user_id AND cash_minor > 0
                        AND state NOT IN ('pending_payment', 'payment_failed', 'cancelled', 'expired'))
           OR (SELECT count(*) FROM (SELECT FROM mail WHERE mailbox = :mailbox AND created_at > now() - interval '24 hours'
                                       AND state <> 'withheld' LIMIT :most) m) < :most
         THEN 'created' ELSE 'withheld' END
ON CONFLICT (event_id, template) DO NOTHING;

-- name: mail_show(event_id event_id, template text) :one
-- returns: id mail_id, state text, message_id text
SELECT id, state, message_id FROM mail WHERE event_id = :event_id AND template = :template;

-- name: mail_sent(id mail_id) :exec
UPDATE mail SET state = 'sent', sent_at = now() WHERE id = :id AND state = 'created';

-- What mails say of an order.
-- name: mail_order(order_id order_id) :one
-- returns: number int8, customer_id user_id, name text, email text, currency text, total_minor int8, points int8,
-- points_value_minor int8, cash_minor int8, earn_points int8, address json, state text, parts_open int8, parts_returned int8
SELECT o.number, o.customer_id, u.name, u.email, o.currency, o.total_minor, o.points, o.points_value_minor, o.cash_minor,
       o.earn_points, o.address::json AS address, replace(o.state, '_', ' ') AS state, p.parts_open, p.parts_returned
FROM orders o
JOIN users u ON u.id = o.customer_id
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state IN ('pending', 'processing', 'shipped')) AS parts_open,
           count(*) FILTER (WHERE state = 'returned') AS parts_returned
    FROM fulfilment WHERE order_id = o.id
) p
WHERE o.id = :order_id;

-- name: mail_lines(order_id order_id) :many
-- returns: title text, quantity int4, total_minor int8
SELECT title, quantity, total_minor FROM order_line WHERE order_id = :order_id ORDER BY line_no;

-- Parcels that have left; of a mail about one of them, that one.
-- name: mail_parcels(order_id order_id, shipment_id shipment_id?) :many
-- returns: carrier text, tracking_code text, tracking_url text, state text
SELECT coalesce(carrier, '') AS carrier, coalesce(tracking_code, '') AS tracking_code, coalesce(tracking_url, '') AS tracking_url,
       replace(state, '_', ' ') AS state
FROM shipment
WHERE order_id = :order_id AND (:shipment_id::uuid IS NULL OR id = :shipment_id) AND tracking_code IS NOT NULL AND state NOT IN ('created', 'labelled', 'unknown', 'pre_transit', 'cancelled')
ORDER BY fulfilment_no;
