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
-- returns: order_id order_id, fulfilment_no int2, state text, carrier_id text?, revision int2, is_wanted bool, to_address json, vendor text, location text,
-- location_code text, country text, weight_grams int8
SELECT s.order_id, s.fulfilment_no, s.state, s.carrier_id, s.revision,
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

-- The carrier is about to be asked for its label: from now on the address stays as it is.
-- name: shipment_asked_set(id shipment_id) :exec
UPDATE shipment SET asked_at = now() WHERE id = :id AND state = 'created';

-- name: shipment_carrier_id_set(id shipment_id, revision int2, carrier_id text) :exec
UPDATE shipment SET carrier_id = :carrier_id, updated_at = now() WHERE id = :id AND revision = :revision AND carrier_id IS NULL;

-- The carrier refuses the parcel: it waits for a person, and nobody asks again until then.
-- name: shipment_problem_set(id shipment_id, revision int2, problem text) :exec
UPDATE shipment SET problem = :problem, problem_at = now(), asked_at = NULL, updated_at = now()
WHERE id = :id AND revision = :revision AND state = 'created';

-- Whether a label of the order was made, or may be in the making: an attempt that has not ended takes no longer than this.
-- name: shipment_labels_begun(order_id order_id) :one
-- returns: made bool, asked bool
SELECT coalesce(bool_or(tracking_code IS NOT NULL), false) AS made,
       coalesce(bool_or(state = 'created' AND asked_at > now() - interval '10 minutes'), false) AS asked
FROM shipment WHERE order_id = :order_id;

-- What the carrier knows of these parcels is out of date; they begin anew, under another reference.
-- name: shipment_begin_anew(order_id order_id, id shipment_id?) :exec
UPDATE shipment
SET revision = revision + 1, carrier_id = NULL, problem = NULL, problem_at = NULL, asked_at = NULL, updated_at = now()
WHERE order_id = :order_id AND (:id::uuid IS NULL OR id = :id) AND state = 'created';

-- name: shipment_order(id shipment_id) :one
-- returns: order_id order_id
SELECT order_id FROM shipment WHERE id = :id;

-- Parcels that need a person, the newest first: the carrier refuses the label, it was not made within an hour, or the delivery failed.
-- name: shipment_trouble_page(before shipment_id?, most int8) :one
-- returns: items json, more bool, last_id shipment_id?
WITH page AS (
    SELECT s.*, row_number() OVER (ORDER BY s.id DESC) AS n
    FROM shipment s
    WHERE (s.problem IS NOT NULL OR s.state IN ('created', 'failure', 'error'))
      AND (s.problem IS NOT NULL OR s.state <> 'created' OR s.created_at < now() - interval '1 hour')
      AND (:before::uuid IS NULL OR s.id < :before)
    ORDER BY s.id DESC
    LIMIT :most + 1
)
SELECT coalesce(json_agg(json_build_object(
           'id', wire_id('shp', p.id), 'order_id', wire_id('ord', p.order_id), 'number', o.number, 'vendor_id', wire_id('ven', p.vendor_id),
           'state', p.state, 'problem', p.problem,
           'trouble', CASE WHEN p.problem IS NOT NULL THEN 'label_refused' WHEN p.state = 'created' THEN 'label_late'
                           WHEN p.state = 'failure' THEN 'delivery_failed' ELSE 'carrier_error' END,
           'tracking_code', p.tracking_code, 'since', coalesce(p.problem_at, p.updated_at)) ORDER BY p.n) FILTER (WHERE p.n <= :most), '[]') AS items,
       count(*) > :most AS more, (array_agg(p.id ORDER BY p.n) FILTER (WHERE p.n <= :most))[least(count(*), :most)] AS last_id
FROM page p
JOIN orders o ON o.id = p.order_id;

-- name: shipment_label_set(id shipment_id, revision int2, carrier_id text, carrier text?, tracker_id text?, tracking_code text, tracking_url text?,
-- label_url text, response jsonb?) :exec
UPDATE shipment
SET state = 'labelled', carrier_id = :carrier_id, carrier = :carrier, tracker_id = :tracker_id, tracking_code = :tracking_code,
    tracking_url = :tracking_url, label_url = :label_url, response = :response, problem = NULL, problem_at = NULL, polled_at = now(),
    updated_at = now()
WHERE id = :id AND revision = :revision AND state = 'created';

-- name: shipment_cancel(id shipment_id) :exec
UPDATE shipment SET state = 'cancelled', updated_at = now() WHERE id = :id AND state = 'created';

-- ---- labels of orders that were cancelled or refunded ----

-- From now on the carrier is asked until it is known what became of the label.
-- name: shipment_void_ask(order_id order_id) :exec
UPDATE shipment s SET label_refund = 'asked', updated_at = now()
FROM orders o, fulfilment f
WHERE s.order_id = :order_id AND s.label_refund IS NULL AND s.tracking_code IS NOT NULL
  AND o.id = :order_id AND o.state IN ('cancelled', 'refunded')
  AND f.order_id = :order_id AND f.number = s.fulfilment_no AND f.state IN ('processing', 'cancelled');

-- name: shipment_void_list_of_order(order_id order_id) :many
-- returns: id shipment_id
SELECT id FROM shipment WHERE order_id = :order_id AND label_refund = 'asked' ORDER BY fulfilment_no;

-- Still to be asked about, or taken by the carrier and not ended.
-- name: shipment_void_list(quiet_s int8, most int8) :many
-- returns: id shipment_id
SELECT id FROM shipment
WHERE label_refund IN ('asked', 'submitted') AND updated_at < now() - make_interval(secs => :quiet_s::int8)
ORDER BY updated_at
LIMIT :most;

-- name: shipment_void_show(id shipment_id) :one
-- returns: order_id order_id, fulfilment_no int2, carrier_id text, label_refund text?
SELECT order_id, fulfilment_no, coalesce(carrier_id, '') AS carrier_id, label_refund FROM shipment WHERE id = :id;

-- The carrier was asked in vain: others have their turn before.
-- name: shipment_void_touch(id shipment_id) :exec
UPDATE shipment SET updated_at = now() WHERE id = :id AND label_refund IN ('asked', 'submitted');

-- cancelled: the parcel will not leave. No row where the carrier's word was here before.
-- name: shipment_void_set(id shipment_id, label_refund text, cancelled bool) :exec
UPDATE shipment
SET label_refund = :label_refund, updated_at = now(),
    state = CASE WHEN :cancelled AND state IN ('labelled', 'unknown', 'pre_transit') THEN 'cancelled' ELSE state END
WHERE id = :id AND label_refund IN ('asked', 'submitted') AND label_refund <> :label_refund;

-- name: shipment_by_tracker(tracker_id text) :one
-- returns: id shipment_id, order_id order_id, fulfilment_no int2, tracking_code text
SELECT id, order_id, fulfilment_no, coalesce(tracking_code, '') AS tracking_code FROM shipment WHERE tracker_id = :tracker_id;

-- name: shipment_lock(id shipment_id) :one
-- returns: state text, newest_event_at timestamptz?
SELECT state, (SELECT max(e.occurred_at) FROM shipment_event e WHERE e.shipment_id = s.id) AS newest_event_at
FROM shipment s
WHERE id = :id FOR NO KEY UPDATE;

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

-- Under way, and not heard of for a while; or still without a label. A failed attempt to deliver is no end: the courier comes again. After
-- a day the carrier is asked less and less often, and after two months no more.
-- name: shipment_quiet_list(quiet_s int8, most int8) :many
-- returns: id shipment_id, order_id order_id, fulfilment_no int2, tracker_id text?, state text
SELECT id, order_id, fulfilment_no, tracker_id, state
FROM shipment
WHERE state NOT IN ('delivered', 'return_to_sender', 'cancelled') AND problem IS NULL
  AND coalesce(polled_at, created_at) < now() - make_interval(secs => :quiet_s::int8)
  AND (updated_at > now() - interval '1 day' OR coalesce(polled_at, created_at) <= now() - (now() - updated_at) / 16)
  AND updated_at > now() - interval '60 days'
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

-- Labels of orders that ended are void, or their parcels booked out, within hours.
-- name: check_label_voids(late_s int8, most int8) :many
-- returns: shipment_id shipment_id, what text
SELECT s.id AS shipment_id, format('has a label, its order is %s since %s', o.state, o.updated_at) AS what
FROM orders o
JOIN fulfilment f ON f.order_id = o.id AND f.state = 'processing'
JOIN shipment s ON s.order_id = o.id AND s.fulfilment_no = f.number
WHERE o.state IN ('cancelled', 'refunded') AND o.updated_at < now() - make_interval(secs => :late_s::int8)
LIMIT :most;

-- Webhooks of the carrier that were stored long ago and never looked at.
-- name: check_easypost_webhooks(late_s int8, most int8) :many
-- returns: webhook_id webhook_id
SELECT id AS webhook_id FROM webhook
WHERE provider = 'easypost' AND state = 'received' AND received_at < now() - make_interval(secs => :late_s::int8)
ORDER BY received_at DESC
LIMIT :most;
