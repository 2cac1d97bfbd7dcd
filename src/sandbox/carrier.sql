-- name: sandbox_shipment_insert(id text, reference text?, to_address json, from_address json, parcel json, rates json) :one
-- returns: body json
INSERT INTO sandbox.shipment AS s (id, reference, to_address, from_address, parcel, rates)
VALUES (:id, :reference, :to_address, :from_address, :parcel, :rates)
RETURNING sandbox.shipment_json(s) AS body;

-- By identifier, or by the reference that it was made with; the newest of several.
-- name: sandbox_shipment_show(id text) :one
-- returns: body json
SELECT sandbox.shipment_json(s) AS body FROM sandbox.shipment s
WHERE s.id = :id OR s.reference = :id
ORDER BY s.id DESC
LIMIT 1;

-- name: sandbox_shipment_list(most int8, before text?, after text?, purchased bool?) :one
-- returns: body json
WITH page AS (
    SELECT s.* FROM sandbox.shipment s
    WHERE (:before::text IS NULL OR s.id < :before) AND (:after::text IS NULL OR s.id > :after)
      AND (:purchased::bool IS NULL OR (s.label_url IS NOT NULL) = :purchased)
    ORDER BY s.id DESC
    LIMIT :most + 1
), shown AS (
    SELECT * FROM page ORDER BY id DESC LIMIT :most
)
SELECT json_build_object(
    'shipments', (SELECT coalesce(json_agg(sandbox.shipment_json(s) ORDER BY s.id DESC), '[]') FROM sandbox.shipment s WHERE s.id IN (SELECT id FROM shown)),
    'has_more', (SELECT count(*) FROM page) > :most) AS body;

-- name: sandbox_shipment_lock(id text) :one
-- returns: rates json, is_bought bool, city text?, country text?
SELECT rates, label_url IS NOT NULL AS is_bought, to_address ->> 'city' AS city, to_address ->> 'country' AS country
FROM sandbox.shipment WHERE id = :id FOR UPDATE;

-- name: sandbox_shipment_buy(id text, selected_rate json, label_token text, label_url text) :exec
UPDATE sandbox.shipment SET selected_rate = :selected_rate, label_token = :label_token, label_url = :label_url, updated_at = now()
WHERE id = :id;

-- A label is taken back while nobody has scanned it: its parcel does not move by itself any more. No row: not bought, or asked before.
-- name: sandbox_shipment_refund(id text) :one
-- returns: refund_status text
WITH asked AS (
    UPDATE sandbox.shipment s
    SET refund_status = CASE WHEN t.status IN ('unknown', 'pre_transit') THEN 'submitted' ELSE 'rejected' END, updated_at = now()
    FROM sandbox.tracker t
    WHERE s.id = :id AND t.shipment_id = s.id AND s.refund_status IS NULL
    RETURNING s.id, s.refund_status
), stopped AS (
    UPDATE sandbox.tracker t SET due_at = NULL FROM asked a WHERE t.shipment_id = a.id AND a.refund_status = 'submitted'
)
SELECT refund_status FROM asked;

-- What was submitted is refunded as soon as that was said.
-- name: sandbox_shipment_refund_end(id text) :exec
UPDATE sandbox.shipment SET refund_status = 'refunded', updated_at = now() WHERE id = :id AND refund_status = 'submitted';

-- name: sandbox_label(label_token text) :one
-- returns: to_address json, from_address json, parcel json, service text, tracking_code text, reference text?
SELECT s.to_address, s.from_address, s.parcel, coalesce(s.selected_rate ->> 'service', '') AS service, t.tracking_code, s.reference
FROM sandbox.shipment s JOIN sandbox.tracker t ON t.shipment_id = s.id
WHERE s.label_token = :label_token;

-- name: sandbox_tracker_insert(id text, tracking_code text, carrier text, shipment_id text?, public_url text, city text?,
-- country text?, step_ms int8) :exec
INSERT INTO sandbox.tracker (id, tracking_code, carrier, shipment_id, public_url, city, country, due_at)
VALUES (:id, :tracking_code, :carrier, :shipment_id, :public_url, :city, :country,
        CASE WHEN :step_ms::int8 > 0 THEN now() + :step_ms * interval '1 millisecond' END);

-- name: sandbox_tracker_show(id text) :one
-- returns: body json
SELECT sandbox.tracker_json(t) AS body FROM sandbox.tracker t WHERE t.id = :id OR t.tracking_code = :id;

-- name: sandbox_tracker_list(most int8, before text?, after text?, tracking_code text?, carrier text?) :one
-- returns: body json
WITH page AS (
    SELECT t.id FROM sandbox.tracker t
    WHERE (:before::text IS NULL OR t.id < :before) AND (:after::text IS NULL OR t.id > :after)
      AND (:tracking_code::text IS NULL OR t.tracking_code = :tracking_code) AND (:carrier::text IS NULL OR t.carrier = :carrier)
    ORDER BY t.id DESC
    LIMIT :most + 1
), shown AS (
    SELECT id FROM page ORDER BY id DESC LIMIT :most
)
SELECT json_build_object(
    'trackers', (SELECT coalesce(json_agg(sandbox.tracker_json(t) ORDER BY t.id DESC), '[]') FROM sandbox.tracker t WHERE t.id IN (SELECT id FROM shown)),
    'has_more', (SELECT count(*) FROM page) > :most) AS body;

-- name: sandbox_tracker_lock(id text) :one
-- returns: id text, status text, city text?, country text?
SELECT id, status, city, country FROM sandbox.tracker WHERE id = :id OR tracking_code = :id FOR UPDATE;

-- name: sandbox_tracker_due(most int8) :many
-- returns: id text
SELECT id FROM sandbox.tracker WHERE due_at <= now() ORDER BY due_at LIMIT :most;

-- Another step; the next one is due after step_ms, where it goes on (0: it does not by itself).
-- name: sandbox_tracker_move(id text, status text, message text, city text?, country text?, step_ms int8) :one
-- returns: id text
WITH step AS (
    INSERT INTO sandbox.tracker_step (tracker_id, number, status, message, city, country)
    SELECT :id, coalesce(max(number), 0) + 1, :status, :message, :city, :country FROM sandbox.tracker_step WHERE tracker_id = :id
    RETURNING number
)
UPDATE sandbox.tracker SET status = :status, updated_at = clock_timestamp(),
       due_at = CASE WHEN :step_ms::int8 > 0 THEN now() + :step_ms * interval '1 millisecond' END
FROM step
WHERE id = :id
RETURNING id;

-- name: sandbox_carrier_event_show(id text) :one
-- returns: body json
SELECT body::json AS body FROM sandbox.event WHERE partner = 'carrier' AND id = :id;

-- name: sandbox_carrier_event_list(most int8, before text?, after text?) :one
-- returns: body json
WITH page AS (
    SELECT e.id, e.body FROM sandbox.event e
    WHERE e.partner = 'carrier' AND (:before::text IS NULL OR e.id < :before) AND (:after::text IS NULL OR e.id > :after)
    ORDER BY e.id DESC
    LIMIT :most + 1
)
SELECT json_build_object(
    'events', (SELECT coalesce(json_agg(s.body::json ORDER BY s.id DESC), '[]') FROM (SELECT * FROM page ORDER BY id DESC LIMIT :most) s),
    'has_more', (SELECT count(*) FROM page) > :most) AS body;

-- name: sandbox_carrier_endpoint_show(id text) :one
-- returns: body json
SELECT json_build_object('id', id, 'object', 'Webhook', 'mode', 'test', 'url', url, 'created_at', created_at, 'disabled_at', NULL) AS body
FROM sandbox.endpoint WHERE partner = 'carrier' AND id = :id;

-- name: sandbox_carrier_endpoint_list() :one
-- returns: body json
SELECT json_build_object('webhooks', coalesce(json_agg(json_build_object('id', id, 'object', 'Webhook', 'mode', 'test', 'url', url,
       'created_at', created_at, 'disabled_at', NULL) ORDER BY id), '[]')) AS body
FROM sandbox.endpoint WHERE partner = 'carrier';

-- name: sandbox_carrier_endpoint_delete(id text) :exec
DELETE FROM sandbox.endpoint WHERE partner = 'carrier' AND id = :id;
