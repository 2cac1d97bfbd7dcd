-- A shipment for each fulfilment that waits for one. Its identifier is a fresh one with the fulfilment's number in its last bytes.
-- name: shipment_insert_missing(order_id order_id, fresh_id uuid) :exec
INSERT INTO shipment (id, order_id, fulfilment_no, vendor_id)
SELECT overlay(:fresh_id::uuid::text placing lpad(to_hex(f.number::int), 4, '0') FROM 33)::uuid, f.order_id, f.number, f.vendor_id
FROM fulfilment f
WHERE f.order_id = :order_id AND f.state = 'pending'
ON CONFLICT (order_id, fulfilment_no) DO NOTHING;

-- name: shipment_unlabelled_of_order(order_id order_id) :many
-- returns: id shipment_id
SELECT id FROM shipment WHERE order_id = :order_id AND state = 'created' ORDER BY fulfilment_no;

-- What a parcel needs to be told to the carrier.
-- name: shipment_parcel(id shipment_id) :one
-- returns: order_id order_id, fulfilment_no int2, state text, carrier_id text?, is_wanted bool, to_address json, vendor text, location text,
-- location_code text, country text, weight_grams int8
SELECT s.order_id, s.fulfilment_no, s.state, s.carrier_id,
       f.state IN ('pending', 'processing') AND o.state NOT IN ('cancelled', 'refunded') AS is_wanted,
       o.address::json AS to_address, v.name AS vendor, l.name AS location, l.code AS location_code, l.country,
       (SELECT coalesce(sum(r.quantity::int8 * a.weight_grams), 0)::int8
        FROM reservation r JOIN variant a ON a.id = r.variant_id
        WHERE r.order_id = s.order_id AND r.location_id = f.location_id) AS weight_grams
FROM shipment s
JOIN fulfilment f ON f.order_id = s.order_id AND f.number = s.fulfilment_no
JOIN orders o ON o.id = s.order_id
JOIN vendor v ON v.id = f.vendor_id
JOIN location l ON l.id = f.location_id
WHERE s.id = :id;

-- name: shipment_carrier_id_set(id shipment_id, carrier_id text) :exec
UPDATE shipment SET carrier_id = :carrier_id, updated_at = now() WHERE id = :id AND carrier_id IS NULL;

-- name: shipment_label_set(id shipment_id, carrier_id text, carrier text?, tracker_id text?, tracking_code text, tracking_url text?,
-- label_url text, response jsonb?) :exec
UPDATE shipment
SET state = 'labelled', carrier_id = :carrier_id, carrier = :carrier, tracker_id = :tracker_id, tracking_code = :tracking_code,
    tracking_url = :tracking_url, label_url = :label_url, response = :response, polled_at = now(), updated_at = now()
WHERE id = :id AND state = 'created';

-- name: shipment_cancel(id shipment_id) :exec
UPDATE shipment SET state = 'cancelled', updated_at = now() WHERE id = :id AND state = 'created';

-- name: shipment_by_tracker(tracker_id text) :one
-- returns: id shipment_id, order_id order_id, fulfilment_no int2, tracking_code text
SELECT id, order_id, fulfilment_no, coalesce(tracking_code, '') AS tracking_code FROM shipment WHERE tracker_id = :tracker_id;

-- name: shipment_lock(id shipment_id) :one
-- returns: state text
SELECT state FROM shipment WHERE id = :id FOR NO KEY UPDATE;

-- name: shipment_state_set(id shipment_id, state text, response jsonb?) :exec
UPDATE shipment SET state = :state, response = :response, polled_at = now(), updated_at = now() WHERE id = :id;

-- Heard of: the next poll is due later.
-- name: shipment_heard(id shipment_id) :exec
UPDATE shipment SET polled_at = now() WHERE id = :id;

-- name: shipment_event_insert(shipment_id shipment_id, statuses text[], occurred_at timestamptz[], messages text[], places text?[]) :exec
INSERT INTO shipment_event (shipment_id, status, occurred_at, message, place)
SELECT :shipment_id, u.status, u.occurred_at, u.message, u.place
FROM unnest(:statuses::text[], :occurred_at::timestamptz[], :messages::text[], :places::text[]) AS u(status, occurred_at, message, place)
ON CONFLICT DO NOTHING;

-- Under way, and not heard of for a while; or still without a label.
-- name: shipment_quiet_list(quiet_s int8, most int8) :many
-- returns: id shipment_id, order_id order_id, fulfilment_no int2, tracker_id text?, state text
SELECT id, order_id, fulfilment_no, tracker_id, state
FROM shipment
WHERE state NOT IN ('delivered', 'return_to_sender', 'failure', 'cancelled', 'error')
  AND coalesce(polled_at, created_at) < now() - make_interval(secs => :quiet_s::int8)
ORDER BY coalesce(polled_at, created_at)
LIMIT :most;

-- name: easypost_webhook_store(id webhook_id, event_id text, type text, body text) :exec
INSERT INTO webhook (id, provider, event_id, type, body)
VALUES (:id, 'easypost', :event_id, :type, :body)
ON CONFLICT (provider, event_id) DO NOTHING;

-- name: easypost_webhook_lock(id webhook_id) :one
-- returns: body text, state text
SELECT body, state FROM webhook WHERE id = :id AND provider = 'easypost' FOR UPDATE;

-- name: easypost_webhook_finish(id webhook_id, state text, detail text?) :exec
UPDATE webhook SET state = :state, detail = :detail, processed_at = now() WHERE id = :id;

-- At most so many refusals a minute are kept; the rest is only in the log.
-- name: easypost_webhook_refuse(id uuid, reason text, body_sha256 bytea, body_bytes int4, most_per_minute int8) :exec
INSERT INTO webhook_refusal (id, provider, reason, body_sha256, body_bytes)
SELECT :id, 'easypost', :reason, :body_sha256, :body_bytes
WHERE (SELECT count(*) FROM (SELECT FROM webhook_refusal WHERE received_at > now() - interval '1 minute' LIMIT :most_per_minute) recent)
      < :most_per_minute;

-- Parcels and fulfilments tell the same story; every shipment has its fulfilment and every sent one its label.
-- name: check_shipments(newest int8, most int8) :many
-- returns: shipment_id shipment_id, what text
WITH recent AS MATERIALIZED (
    SELECT * FROM shipment ORDER BY id DESC LIMIT :newest
), fault AS (
    SELECT s.id, CASE
            WHEN f.order_id IS NULL THEN 'has no fulfilment'
            WHEN f.vendor_id <> s.vendor_id THEN 'is of another vendor than its fulfilment'
            WHEN s.state = 'delivered' AND f.state NOT IN ('delivered', 'returned', 'cancelled') THEN format('is delivered, its fulfilment %s', f.state)
            WHEN f.state = 'delivered' AND s.state <> 'delivered' THEN format('is %s, its fulfilment delivered', s.state)
            WHEN s.state NOT IN ('created', 'cancelled') AND (s.tracking_code IS NULL OR s.label_url IS NULL) THEN format('is %s without a label', s.state)
            END AS what
    FROM recent s
    LEFT JOIN fulfilment f ON f.order_id = s.order_id AND f.number = s.fulfilment_no
)
SELECT id AS shipment_id, what FROM fault WHERE what IS NOT NULL LIMIT :most;

-- Webhooks of the carrier that were stored long ago and never looked at.
-- name: check_easypost_webhooks(late_s int8, most int8) :many
-- returns: webhook_id webhook_id
SELECT id AS webhook_id FROM webhook
WHERE provider = 'easypost' AND state = 'received' AND received_at < now() - make_interval(secs => :late_s::int8)
ORDER BY received_at DESC
LIMIT :most;
