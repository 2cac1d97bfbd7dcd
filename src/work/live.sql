-- Events of the last seconds, newest first; asked only while Redis is away.
-- name: live_recent(since uuid, batch int4) :many
-- returns: id event_id, type text, aggregate_id uuid
SELECT id, type, aggregate_id FROM outbox WHERE id >= :since ORDER BY id DESC LIMIT :batch;
