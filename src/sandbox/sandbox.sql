-- name: sandbox_schema_applied() :one
-- returns: checksum text
SELECT coalesce(obj_description(to_regnamespace('sandbox')::oid, 'pg_namespace'), '') AS checksum;

-- One use of each of these faults that has any left.
-- name: sandbox_fault_use(partner text, names text[]) :many
-- returns: name text, value int8
UPDATE sandbox.fault SET calls = calls - 1
WHERE partner = :partner AND name = ANY (:names) AND calls > 0
RETURNING name, value;

-- name: sandbox_fault_set(partner text, name text, calls int4, value int8) :exec
INSERT INTO sandbox.fault (partner, name, calls, value) VALUES (:partner, :name, :calls, :value)
ON CONFLICT (partner, name) DO UPDATE SET calls = EXCLUDED.calls, value = EXCLUDED.value;

-- name: sandbox_fault_clear() :exec
DELETE FROM sandbox.fault;

-- name: sandbox_fault_list() :one
-- returns: body json
SELECT json_build_object('data', coalesce(json_agg(json_build_object('partner', partner, 'name', name, 'calls', calls,
                         'value', value) ORDER BY partner, name), '[]')) AS body
FROM sandbox.fault;

-- name: sandbox_event_insert(id text, partner text, type text, object_id text, body text) :exec
INSERT INTO sandbox.event (id, partner, type, object_id, body) VALUES (:id, :partner, :type, :object_id, :body);

-- Copies to each endpoint that listens.
-- name: sandbox_delivery_insert(partner text, event_id text, type text, state text, delay_ms int8, copies int8) :exec
INSERT INTO sandbox.delivery (endpoint_id, event_id, state, due_at)
SELECT p.id, :event_id, :state, now() + :delay_ms::int8 * interval '1 millisecond'
FROM sandbox.endpoint p, generate_series(1, :copies::int8)
WHERE p.partner = :partner AND (:type = ANY (p.events) OR '*' = ANY (p.events));

-- The same event again, all at once.
-- name: sandbox_delivery_repeat(event_id text, copies int8) :exec
INSERT INTO sandbox.delivery (endpoint_id, event_id)
SELECT p.id, e.id
FROM sandbox.event e
JOIN sandbox.endpoint p ON p.partner = e.partner AND (e.type = ANY (p.events) OR '*' = ANY (p.events)),
     generate_series(1, :copies::int8)
WHERE e.id = :event_id;

-- The same event once more, after the deliveries that wait already.
-- name: sandbox_delivery_append(event_id text) :exec
INSERT INTO sandbox.delivery (endpoint_id, event_id, after_id)
SELECT p.id, e.id,
       (SELECT max(d.id) FROM sandbox.delivery d WHERE d.endpoint_id = p.id AND d.event_id = e.id AND d.state = 'waiting')
FROM sandbox.event e
JOIN sandbox.endpoint p ON p.partner = e.partner AND (e.type = ANY (p.events) OR '*' = ANY (p.events))
WHERE e.id = :event_id;

-- What is due, marked as being under way for as long as an attempt may take.
-- name: sandbox_delivery_claim(most int8) :many
-- returns: id int8, attempt int4, partner text, url text, secret text, body text
UPDATE sandbox.delivery d
SET attempt = d.attempt + 1, due_at = now() + interval '30 seconds', updated_at = now()
FROM sandbox.endpoint p, sandbox.event e
WHERE p.id = d.endpoint_id AND e.id = d.event_id AND d.id IN (
    SELECT w.id FROM sandbox.delivery w
    WHERE w.state = 'waiting' AND w.due_at <= now() AND NOT EXISTS (
        SELECT FROM sandbox.delivery b WHERE b.id = w.after_id AND b.state = 'waiting')
    ORDER BY w.due_at, w.id
    LIMIT :most
    FOR UPDATE SKIP LOCKED)
RETURNING d.id, d.attempt, e.partner, p.url, p.secret, e.body;

-- name: sandbox_delivery_finish(id int8, state text, pause_ms int8, status int4?, error text?) :exec
UPDATE sandbox.delivery
SET state = :state, due_at = now() + :pause_ms::int8 * interval '1 millisecond', last_status = :status, last_error = :error,
    updated_at = now()
WHERE id = :id AND state = 'waiting';

-- After a start: what was under way when the last one ended is due again.
-- name: sandbox_delivery_revive() :exec
UPDATE sandbox.delivery SET due_at = now() WHERE state = 'waiting' AND attempt > 0;

-- name: sandbox_delivery_list(event_id text?, object_id text?) :one
-- returns: body json
SELECT json_build_object('data', coalesce(json_agg(json_build_object('id', d.id, 'event_id', e.id, 'type', e.type,
           'object_id', e.object_id, 'url', p.url, 'state', d.state, 'attempt', d.attempt, 'last_status', d.last_status,
           'last_error', d.last_error) ORDER BY d.id), '[]')) AS body
FROM sandbox.delivery d
JOIN sandbox.event e ON e.id = d.event_id
JOIN sandbox.endpoint p ON p.id = d.endpoint_id
WHERE (:event_id::text IS NULL OR e.id = :event_id) AND (:object_id::text IS NULL OR e.object_id = :object_id);

-- name: sandbox_endpoint_put(id text, partner text, url text, secret text, events text[], from_settings bool) :exec
INSERT INTO sandbox.endpoint (id, partner, url, secret, events, from_settings)
VALUES (:id, :partner, :url, :secret, :events, :from_settings)
ON CONFLICT (id) DO UPDATE SET url = EXCLUDED.url, secret = EXCLUDED.secret, events = EXCLUDED.events;

-- Payments that wait for somebody, the newest first.
-- name: sandbox_index_payments(most int8) :many
-- returns: token text, amount int8, currency text, description text, created text
SELECT page_token AS token, amount, currency, coalesce(description, '') AS description,
       to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS created
FROM sandbox.payment_intent WHERE status = 'requires_action' AND page_token IS NOT NULL
ORDER BY created_at DESC LIMIT :most;

-- name: sandbox_index_parcels(most int8) :many
-- returns: tracking_code text, status text, updated text
SELECT tracking_code, status, to_char(updated_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS updated
FROM sandbox.tracker ORDER BY created_at DESC LIMIT :most;
