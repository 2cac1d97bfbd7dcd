-- Whether there is anything to do: what the relay asks most of the time.
-- name: relay_pending() :one
-- returns: events bool, tasks bool
SELECT EXISTS (SELECT 1 FROM outbox WHERE expanded_at IS NULL) AS events,
       EXISTS (SELECT 1 FROM task WHERE state = 'ready' AND pushed_at IS NULL AND due_at <= now()) AS tasks;

-- The payload is wanted of events about many things.
-- name: relay_take(batch int4) :many
-- returns: id event_id, type text, aggregate_id uuid, payload text?
SELECT id, type, aggregate_id, CASE WHEN aggregate_id = '00000000-0000-0000-0000-000000000000' THEN payload END AS payload
FROM outbox
WHERE expanded_at IS NULL
ORDER BY id LIMIT :batch
FOR UPDATE SKIP LOCKED;

-- name: relay_insert_tasks(ids task_id[], event_ids event_id[], names text[], aggregate_ids uuid[], priorities int2[],
--   pushed bool) :exec
INSERT INTO task (id, event_id, name, aggregate_id, priority, pushed_at)
SELECT t.id, t.event_id, t.name, t.aggregate_id, t.priority, CASE WHEN :pushed THEN now() END
FROM unnest(:ids, :event_ids, :names, :aggregate_ids, :priorities) AS t (id, event_id, name, aggregate_id, priority)
ON CONFLICT (event_id, name) DO NOTHING;

-- name: relay_mark_expanded(ids event_id[], task_counts int2[]) :exec
UPDATE outbox SET expanded_at = now(), task_count = m.task_count
FROM unnest(:ids, :task_counts) AS m (id, task_count)
WHERE outbox.id = m.id;

-- Tasks whose time has come and that nobody has told the workers of.
-- name: relay_take_due(batch int4) :many
-- returns: id task_id, priority int2
UPDATE task SET pushed_at = now()
WHERE id = ANY (ARRAY(SELECT t.id FROM task t
                      WHERE t.state = 'ready' AND t.pushed_at IS NULL AND t.due_at <= now()
                      ORDER BY t.due_at LIMIT :batch
                      FOR UPDATE SKIP LOCKED))
RETURNING id, priority;

-- Tasks that were pushed some time ago and that no worker has claimed: their stream entry was lost.
-- name: relay_take_late(priority int2, late_ms int8, batch int4) :many
-- returns: id task_id
UPDATE task SET pushed_at = now()
WHERE id = ANY (ARRAY(SELECT t.id FROM task t
                      WHERE t.state = 'ready' AND t.pushed_at < now() - :late_ms * interval '1 millisecond'
                        AND t.priority = :priority AND t.due_at <= now()
                      ORDER BY t.pushed_at LIMIT :batch
                      FOR UPDATE SKIP LOCKED))
RETURNING id;

-- Running tasks whose lease has ended. A row that is locked belongs to a worker that is alive and in the middle of its
-- transaction.
-- name: relay_take_lapsed(batch int4) :many
-- returns: id task_id, name text, attempt int4
SELECT id, name, attempt FROM task
WHERE state = 'running' AND lease_until < now()
ORDER BY lease_until LIMIT :batch
FOR UPDATE SKIP LOCKED;

-- name: relay_give_back(ids task_id[], dead bool[], delays_ms int8[]) :exec
UPDATE task SET
    state = CASE WHEN g.dead THEN 'dead' ELSE 'ready' END,
    finished_at = CASE WHEN g.dead THEN now() END,
    due_at = now() + g.delay_ms * interval '1 millisecond',
    pushed_at = NULL, lease_until = NULL, lease_owner = NULL,
    last_error = 'the lease ended: the worker was lost, or the task took longer than its time limit'
FROM unnest(:ids, :dead, :delays_ms) AS g (id, dead, delay_ms)
WHERE task.id = g.id;

-- How far the work is behind, for metrics. Each part reads the first entry of an index.
-- name: relay_lag() :one
-- returns: outbox_ms int8, due_ms int8, dead int8
SELECT coalesce((SELECT extract(epoch FROM now() - created_at) * 1000 FROM outbox WHERE expanded_at IS NULL
                 ORDER BY id LIMIT 1), 0)::int8 AS outbox_ms,
       coalesce((SELECT max(extract(epoch FROM now() - t.due_at) * 1000)
                 FROM generate_series(0, 2) p (priority),
                      LATERAL (SELECT due_at FROM task WHERE state = 'ready' AND task.priority = p.priority
                               ORDER BY due_at LIMIT 1) t
                 WHERE t.due_at <= now()), 0)::int8 AS due_ms,
       (SELECT count(*) FROM (SELECT 1 FROM task WHERE state = 'dead' LIMIT 10000) d) AS dead;
