-- What staff and `cathay tasks` see and do. State and name are optional filters.
-- name: tasks_list(state text?, name text?, most int4) :many
-- returns: id task_id, name text, state text, priority int2, attempt int4, event_type text?, aggregate_id uuid,
-- due_at timestamptz, created_at timestamptz, finished_at timestamptz?, last_error text?
SELECT t.id, t.name, t.state, t.priority, t.attempt, o.type AS event_type, t.aggregate_id, t.due_at, t.created_at, t.finished_at,
       t.last_error
FROM task t LEFT JOIN outbox o ON o.id = t.event_id
WHERE (:state::text IS NULL OR t.state = :state) AND (:name::text IS NULL OR t.name = :name)
ORDER BY t.id DESC LIMIT :most;

-- name: tasks_show(id task_id) :one
-- returns: id task_id, name text, state text, priority int2, attempt int4, event_id event_id?, event_type text?,
-- sequence int8?, aggregate_id uuid, payload text?, unique_key text?, traceparent text?, due_at timestamptz,
-- pushed_at timestamptz?, lease_until timestamptz?, lease_owner uuid?, created_at timestamptz, finished_at timestamptz?,
-- last_error text?
SELECT t.id, t.name, t.state, t.priority, t.attempt, t.event_id, o.type AS event_type, o.sequence, t.aggregate_id,
       coalesce(t.payload, o.payload) AS payload, t.unique_key,
       coalesce(o.traceparent, t.traceparent) AS traceparent, t.due_at, t.pushed_at, t.lease_until, t.lease_owner,
       t.created_at, t.finished_at, t.last_error
FROM task t LEFT JOIN outbox o ON o.id = t.event_id
WHERE t.id = :id;

-- Ready again at once, with all its attempts. A waiting task is brought forward; one that runs is left alone. A task whose
-- unique key another one holds by now stays as it is.
-- name: tasks_retry(id task_id) :one
-- returns: name text
UPDATE task SET state = 'ready', attempt = 0, due_at = clock_timestamp(), pushed_at = NULL, finished_at = NULL
WHERE id = :id AND state IN ('ready', 'dead', 'discarded')
  AND NOT EXISTS (SELECT 1 FROM task other WHERE other.name = task.name AND other.unique_key = task.unique_key
                  AND other.state IN ('ready', 'running') AND other.id <> task.id)
RETURNING name;

-- Of dead tasks with the same unique key only the newest comes back.
-- name: tasks_retry_dead(name text?, most int4) :exec
UPDATE task SET state = 'ready', attempt = 0, due_at = clock_timestamp(), pushed_at = NULL, finished_at = NULL
WHERE id = ANY (ARRAY(
    SELECT t.id FROM task t
    WHERE t.state = 'dead' AND (:name::text IS NULL OR t.name = :name)
      AND NOT EXISTS (SELECT 1 FROM task other WHERE other.name = t.name AND other.unique_key = t.unique_key
                      AND (other.state IN ('ready', 'running') OR (other.state = 'dead' AND other.id > t.id)))
    LIMIT :most FOR UPDATE SKIP LOCKED));

-- name: tasks_discard(id task_id) :one
-- returns: name text
UPDATE task SET state = 'discarded', finished_at = clock_timestamp()
WHERE id = :id AND state IN ('ready', 'dead')
RETURNING name;

-- name: tasks_summary() :many
-- returns: name text, ready int8, running int8, done int8, dead int8, discarded int8, oldest_due_at timestamptz?
SELECT name, count(*) FILTER (WHERE state = 'ready') AS ready, count(*) FILTER (WHERE state = 'running') AS running,
       count(*) FILTER (WHERE state = 'done') AS done, count(*) FILTER (WHERE state = 'dead') AS dead,
       count(*) FILTER (WHERE state = 'discarded') AS discarded, min(due_at) FILTER (WHERE state = 'ready') AS oldest_due_at
FROM task GROUP BY name ORDER BY name;

-- name: tasks_outbox_waiting() :one
-- returns: events int8, oldest_at timestamptz?
SELECT count(*) AS events, min(created_at) AS oldest_at FROM outbox WHERE expanded_at IS NULL;

-- name: tasks_schedules() :many
-- returns: name text, interval_s int4, why text, paused bool, due_at timestamptz, last_started_at timestamptz?, last_error text?
SELECT name, interval_s, why, paused, due_at, last_started_at, last_error FROM schedule ORDER BY name;

-- name: tasks_schedule_pause(name text, paused bool) :exec
UPDATE schedule SET paused = :paused, due_at = CASE WHEN :paused THEN due_at ELSE greatest(due_at, now()) END
WHERE name = :name;

-- Runs at the scheduler's next look.
-- name: tasks_schedule_run(name text) :exec
UPDATE schedule SET due_at = now() WHERE name = :name;
