-- name: schedule_lead() :one
-- returns: leads bool
SELECT pg_try_advisory_lock(4841726114) AS leads;

-- name: schedule_declare(names text[], intervals_s int4[], whys text[]) :exec
INSERT INTO schedule (name, interval_s, why)
SELECT * FROM unnest(:names, :intervals_s, :whys)
ON CONFLICT (name) DO UPDATE SET interval_s = excluded.interval_s, why = excluded.why
WHERE (schedule.interval_s, schedule.why) IS DISTINCT FROM (excluded.interval_s, excluded.why);

-- Moves what is due to its next time. Runs that were missed while nobody led are made up for by one.
-- name: schedule_take_due(names text[]) :many
-- returns: name text
UPDATE schedule SET last_started_at = now(),
    due_at = due_at + make_interval(secs => interval_s * (1 + floor(extract(epoch FROM now() - due_at) / interval_s)))
WHERE name = ANY (ARRAY(SELECT s.name FROM schedule s
                        WHERE s.name = ANY (:names) AND s.due_at <= now() AND NOT s.paused
                        FOR UPDATE SKIP LOCKED))
RETURNING name;
