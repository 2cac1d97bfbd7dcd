-- name: outbox_insert(id event_id, type text, aggregate_id uuid, sequence int8, payload text, traceparent text?) :exec
INSERT INTO outbox (id, type, aggregate_id, sequence, payload, traceparent)
VALUES (:id, :type, :aggregate_id, :sequence, :payload, :traceparent);

-- name: outbox_insert_many(ids event_id[], types text[], aggregate_ids uuid[], sequences int8[], payloads text[],
--   traceparents text?[]) :exec
INSERT INTO outbox (id, type, aggregate_id, sequence, payload, traceparent)
SELECT unnest(:ids), unnest(:types), unnest(:aggregate_ids), unnest(:sequences), unnest(:payloads), unnest(:traceparents);

-- name: task_insert(id task_id, name text, aggregate_id uuid, payload text, unique_key text?, priority int2,
--   delay_ms int8, traceparent text?) :exec
INSERT INTO task (id, name, aggregate_id, payload, unique_key, priority, due_at, traceparent)
VALUES (:id, :name, :aggregate_id, :payload, :unique_key, :priority,
        clock_timestamp() + :delay_ms * interval '1 millisecond', :traceparent)
ON CONFLICT (name, unique_key) WHERE state IN ('ready', 'running') DO NOTHING;
