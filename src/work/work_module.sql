-- Bounded batches: short locks, and a run that is stopped in the middle has still done something.
-- name: work_delete_finished(batch int4) :exec
DELETE FROM task WHERE id = ANY (ARRAY(
    SELECT id FROM task
    WHERE state IN ('done', 'discarded') AND finished_at < now() - interval '24 hours'
    LIMIT :batch FOR UPDATE SKIP LOCKED));

-- name: work_delete_dead(batch int4) :exec
DELETE FROM task WHERE id = ANY (ARRAY(
    SELECT id FROM task WHERE state = 'dead' AND finished_at < now() - interval '30 days'
    LIMIT :batch FOR UPDATE SKIP LOCKED));

-- An event goes after the last of its tasks.
-- name: work_delete_events(batch int4) :exec
DELETE FROM outbox WHERE id = ANY (ARRAY(
    SELECT o.id FROM outbox o
    WHERE o.id < uuid_floor(now() - interval '24 hours') AND o.expanded_at < now() - interval '24 hours'
      AND NOT EXISTS (SELECT 1 FROM task t WHERE t.event_id = o.id)
    LIMIT :batch FOR UPDATE SKIP LOCKED));

-- name: work_partitions_ensure() :one
-- returns: made int4
SELECT partitions_ensure(1, 3) AS made;

-- name: work_check_unexpanded() :many
-- returns: place text, what text
SELECT wire_id('evt', id) AS place,
       type || ' of ' || created_at || ' has not been turned into tasks' AS what
FROM outbox WHERE expanded_at IS NULL AND created_at < now() - interval '5 minutes' LIMIT 101;

-- Done tasks are kept for 24 hours, so of younger events every task must still be there.
-- name: work_check_event_tasks() :many
-- returns: place text, what text
SELECT wire_id('evt', o.id) AS place,
       o.type || ' became ' || o.task_count || ' tasks, but there are ' || count(t.id) AS what
FROM outbox o LEFT JOIN task t ON t.event_id = o.id
WHERE o.expanded_at > now() - interval '23 hours'
GROUP BY o.id, o.type, o.task_count HAVING count(t.id) <> o.task_count LIMIT 101;

-- name: work_check_states() :many
-- returns: place text, what text
SELECT wire_id('tsk', id) AS place,
       name || ' is ' || state || ' with '
    || CASE WHEN (state IN ('done', 'dead', 'discarded')) <> (finished_at IS NOT NULL) THEN 'a wrong finished_at'
            ELSE 'a wrong lease' END AS what
FROM task
WHERE (state IN ('done', 'dead', 'discarded')) <> (finished_at IS NOT NULL)
   OR (state = 'running') <> (lease_until IS NOT NULL) OR (state = 'running') <> (lease_owner IS NOT NULL)
LIMIT 101;

-- name: work_check_lapsed() :many
-- returns: place text, what text
SELECT wire_id('tsk', id) AS place,
       name || ' runs since its lease ended at ' || lease_until || ' and nobody has taken it back' AS what
FROM task WHERE state = 'running' AND lease_until < now() - interval '5 minutes' LIMIT 101;

-- name: work_check_payloads() :many
-- returns: place text, what text
SELECT wire_id('tsk', t.id) AS place,
       t.name || ' has lost its event ' || wire_id('evt', t.event_id) AS what
FROM task t
WHERE t.state IN ('ready', 'running', 'dead') AND t.event_id IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.id = t.event_id) LIMIT 101;

-- name: work_waiting_names() :many
-- returns: name text, tasks int8
SELECT name, count(*) AS tasks FROM task WHERE state IN ('ready', 'running') AND created_at < now() - interval '1 hour' GROUP BY name;
