-- Events of the last seconds, newest first; asked only while Redis is away.
-- name: live_recent(since uuid, batch int4) :many
-- returns: id event_id, type text, aggregate_id uuid, payload text?
SELECT id, type, aggregate_id, CASE WHEN aggregate_id = '00000000-0000-0000-0000-000000000000' THEN payload END AS payload
FROM outbox WHERE id >= :since ORDER BY id DESC LIMIT :batch;
