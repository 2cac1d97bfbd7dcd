-- A claim is not flushed to disk (synchronous_commit off for this one statement): lost in a crash of PostgreSQL it leaves
-- the task ready, which is right.
-- name: task_claim(id task_id, owner uuid, lease_s int4) :one
-- returns: id task_id, event_id event_id?, name text, aggregate_id uuid, payload text, attempt int4, type text?,
-- sequence int8?, traceparent text?, quiet text
WITH claimed AS (
    UPDATE task SET state = 'running', attempt = attempt + 1, lease_owner = :owner,
                    lease_until = clock_timestamp() + :lease_s * interval '1 second'
    WHERE id = :id AND state = 'ready' AND due_at <= clock_timestamp()
    RETURNING id, event_id, name, aggregate_id, payload, attempt, traceparent
)
SELECT c.id, c.event_id, c.name, c.aggregate_id, coalesce(c.payload, o.payload, '{}') AS payload, c.attempt, o.type, o.sequence,
       coalesce(o.traceparent, c.traceparent) AS traceparent, set_config('synchronous_commit', 'off', true) AS quiet
FROM claimed c LEFT JOIN outbox o ON o.id = c.event_id;

-- The same for the task that has waited longest: how workers find work without Redis.
-- name: task_claim_next(priority int2, owner uuid, lease_s int4) :one
-- returns: id task_id, event_id event_id?, name text, aggregate_id uuid, payload text, attempt int4, type text?,
-- sequence int8?, traceparent text?, quiet text
WITH claimed AS (
    UPDATE task SET state = 'running', attempt = attempt + 1, lease_owner = :owner,
                    lease_until = clock_timestamp() + :lease_s * interval '1 second'
    WHERE id = (SELECT id FROM task
                WHERE state = 'ready' AND priority = :priority AND due_at <= now()
                ORDER BY due_at LIMIT 1
                FOR UPDATE SKIP LOCKED)
    RETURNING id, event_id, name, aggregate_id, payload, attempt, traceparent
)
SELECT c.id, c.event_id, c.name, c.aggregate_id, coalesce(c.payload, o.payload, '{}') AS payload, c.attempt, o.type, o.sequence,
       coalesce(o.traceparent, c.traceparent) AS traceparent, set_config('synchronous_commit', 'off', true) AS quiet
FROM claimed c LEFT JOIN outbox o ON o.id = c.event_id;

-- Owner and attempt together are the claim: somebody else's, or a later one of the same worker, does not match. The
-- settings last as long as the transaction: what takes longer than the task's time limit is cut off by the database.
-- name: task_lock(id task_id, owner uuid, attempt int4, limit_ms text) :one
-- returns: id task_id, statement_limit text, idle_limit text
SELECT id, set_config('statement_timeout', :limit_ms, true) AS statement_limit,
       set_config('idle_in_transaction_session_timeout', :limit_ms, true) AS idle_limit
FROM task
WHERE id = :id AND state = 'running' AND lease_owner = :owner AND attempt = :attempt
FOR UPDATE;

-- name: task_mark_done(id task_id, owner uuid, attempt int4) :exec
UPDATE task SET state = 'done', finished_at = clock_timestamp(), lease_until = NULL, lease_owner = NULL
WHERE id = :id AND state = 'running' AND lease_owner = :owner AND attempt = :attempt;

-- A transaction's row was locked while it ran, so its lease may have ended unrenewed, and the sweeper may come between its
-- rollback and this. While nobody has claimed the task since (its attempt is still ours), the reason and the pause are ours to
-- say; once it is somebody else's there is no row to change.
-- name: task_mark_failed(id task_id, owner uuid, attempt int4, dead bool, delay_ms int8, error text) :exec
UPDATE task SET state = CASE WHEN :dead THEN 'dead' ELSE 'ready' END,
    finished_at = CASE WHEN :dead THEN clock_timestamp() END,
    due_at = clock_timestamp() + :delay_ms * interval '1 millisecond',
    pushed_at = NULL, lease_until = NULL, lease_owner = NULL, last_error = :error
WHERE id = :id AND attempt = :attempt AND (state = 'running' AND lease_owner = :owner OR state = 'ready');

-- A task that this release does not know: given back as if it had not been claimed, for a worker of another release.
-- name: task_put_back(id task_id, owner uuid, attempt int4, delay_ms int8) :exec
UPDATE task SET state = 'ready', attempt = attempt - 1, pushed_at = NULL, lease_until = NULL, lease_owner = NULL,
    due_at = clock_timestamp() + :delay_ms * interval '1 millisecond',
    last_error = 'the worker that claimed it does not know this task'
WHERE id = :id AND state = 'running' AND lease_owner = :owner AND attempt = :attempt;

-- The heartbeat. A locked row is left alone: its task is in the middle of its transaction, and the lock keeps others off.
-- name: task_renew(ids task_id[], attempts int4[], owner uuid, lease_s int4) :one
-- returns: renewed int8, quiet text
WITH mine AS (
    SELECT t.id FROM task t JOIN unnest(:ids, :attempts) AS m (id, attempt) ON m.id = t.id AND m.attempt = t.attempt
    WHERE t.state = 'running' AND t.lease_owner = :owner
    FOR UPDATE OF t SKIP LOCKED
), renewed AS (
    UPDATE task SET lease_until = clock_timestamp() + :lease_s * interval '1 second'
    WHERE id IN (SELECT id FROM mine)
    RETURNING id
)
SELECT (SELECT count(*) FROM renewed) AS renewed, set_config('synchronous_commit', 'off', true) AS quiet;

-- name: task_schedule_result(name text, error text?) :exec
UPDATE schedule SET last_error = :error WHERE name = :name AND last_error IS DISTINCT FROM :error;
