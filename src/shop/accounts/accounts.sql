-- One account by its address, for sign-in.
-- name: user_by_email(email text) :one
-- returns: id user_id, email text, password_hash text, name text, role text, vendor_id vendor_id?, state text,
--   created_at timestamptz
SELECT id, email, password_hash, name, role, vendor_id, state, created_at
FROM users
WHERE email = :email;

-- name: user_by_id(id user_id) :one
-- returns: id user_id, email text, password_hash text, name text, role text, vendor_id vendor_id?, state text,
--   created_at timestamptz
SELECT id, email, password_hash, name, role, vendor_id, state, created_at
FROM users
WHERE id = :id;

-- No row: the address is taken.
-- name: user_insert(id user_id, email text, password_hash text, name text, role text, vendor_id vendor_id?) :one
-- returns: created_at timestamptz
INSERT INTO users (id, email, password_hash, name, role, vendor_id)
VALUES (:id, :email, :password_hash, :name, :role, :vendor_id)
ON CONFLICT (email) DO NOTHING
RETURNING created_at;

-- Whether a vendor is there for an account to belong to, and stays open until the transaction ends.
-- name: user_vendor_lock(vendor_id vendor_id) :one
-- returns: id vendor_id
SELECT id FROM vendor WHERE id = :vendor_id AND state = 'active' FOR SHARE;

-- name: user_vendor_by_slug(slug text) :one
-- returns: id vendor_id
SELECT id FROM vendor WHERE slug = :slug;

-- name: user_name_set(id user_id, name text) :exec
UPDATE users SET name = :name, updated_at = now() WHERE id = :id;

-- name: user_password_set(id user_id, password_hash text) :exec
UPDATE users SET password_hash = :password_hash, updated_at = now() WHERE id = :id;

-- The same password hashed anew with the configured cost.
-- name: user_password_rehash(id user_id, new_hash text) :exec
UPDATE users SET password_hash = :new_hash WHERE id = :id;

-- The same, locked: whoever blocks it, changes its role or its password waits, or has done so already.
-- name: user_lock(id user_id) :one
-- returns: id user_id, email text, password_hash text, name text, role text, vendor_id vendor_id?, state text,
--   created_at timestamptz
SELECT id, email, password_hash, name, role, vendor_id, state, created_at
FROM users
WHERE id = :id
FOR NO KEY UPDATE;

-- Blocking ends the account's sessions: a trigger of users, which holds for whoever does it.
-- name: user_state_set(id user_id, state text) :exec
UPDATE users SET state = :state, updated_at = now() WHERE id = :id;

-- A page of accounts, newest first.
-- name: user_page(role text?, state text?, email text?, before user_id?, most int4) :many
-- returns: id user_id, email text, name text, role text, vendor_id vendor_id?, state text, created_at timestamptz
SELECT id, email, name, role, vendor_id, state, created_at
FROM users
WHERE (:role::text IS NULL OR role = :role)
  AND (:state::text IS NULL OR state = :state)
  AND (:email::text IS NULL OR email ^@ :email)
  AND (:before::uuid IS NULL OR id < :before)
ORDER BY id DESC
LIMIT :most;

-- ---- sessions ----

-- name: session_insert(id session_id, user_id user_id, life_s int8) :exec
INSERT INTO session (id, user_id, expires_at) VALUES (:id, :user_id, now() + make_interval(secs => :life_s));

-- name: refresh_token_insert(hash bytea, session_id session_id) :exec
INSERT INTO refresh_token (hash, session_id) VALUES (:hash, :session_id);

-- The session of a token, locked, so that its tokens are used one after the other.
-- name: session_lock_by_token(hash bytea) :one
-- returns: session_id session_id
SELECT s.id AS session_id
FROM session s
WHERE s.id = (SELECT session_id FROM refresh_token WHERE hash = :hash)
FOR UPDATE;

-- What there is to know of a token; read after the lock, so that it is what the last use left.
-- name: refresh_token_facts(hash bytea) :one
-- returns: session_id session_id, session_ended bool, session_expired bool, used_ago_us int8?, successor_salt bytea?,
--   successor_used bool?, user_id user_id, email text, name text, role text, vendor_id vendor_id?, state text,
--   created_at timestamptz, vendor_closed bool
SELECT s.id AS session_id, s.ended_at IS NOT NULL AS session_ended, s.expires_at <= now() AS session_expired,
       (extract(epoch FROM clock_timestamp() - t.used_at) * 1000000)::bigint AS used_ago_us, t.successor_salt,
       (SELECT n.used_at IS NOT NULL FROM refresh_token n WHERE n.hash = t.successor_hash) AS successor_used,
       u.id AS user_id, u.email, u.name, u.role, u.vendor_id, u.state, u.created_at,
       EXISTS (SELECT FROM vendor v WHERE v.id = u.vendor_id AND v.state <> 'active') AS vendor_closed
FROM refresh_token t
JOIN session s ON s.id = t.session_id
JOIN users u ON u.id = s.user_id
WHERE t.hash = :hash;

-- name: refresh_token_use(hash bytea, successor_hash bytea, successor_salt bytea, session_id session_id, life_s int8) :exec
WITH used AS (
    UPDATE refresh_token
    SET used_at = clock_timestamp(), successor_hash = :successor_hash, successor_salt = :successor_salt
    WHERE hash = :hash
), extended AS (
    UPDATE session SET expires_at = now() + make_interval(secs => :life_s) WHERE id = :session_id
)
INSERT INTO refresh_token (hash, session_id) VALUES (:successor_hash, :session_id);

-- name: session_end(id session_id, why text) :exec
UPDATE session SET ended_at = now(), ended_why = :why WHERE id = :id AND ended_at IS NULL;

-- All sessions of an account but one (absent: all).
-- name: session_end_all(user_id user_id, kept session_id?, why text) :exec
UPDATE session SET ended_at = now(), ended_why = :why
WHERE user_id = :user_id AND ended_at IS NULL AND id IS DISTINCT FROM :kept;

-- name: session_is_open(id session_id, user_id user_id) :one
-- returns: id session_id
SELECT s.id
FROM session s
JOIN users u ON u.id = s.user_id
WHERE s.id = :id AND s.user_id = :user_id AND s.ended_at IS NULL AND s.expires_at > now() AND u.state = 'active';

-- Sessions that have ended since the transactions of a snapshot (0: all that may have tokens), and the oldest transaction that
-- is under way now: what commits later has that number or a greater one. ended_xid is what the index goes by.
-- name: revoked_since(since int8, window_s int8) :one
-- returns: next int8, sessions session_id[]
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8 AS next,
       ARRAY(SELECT session_id FROM revoked_session
             WHERE ended_xid >= (:since::int8)::text::xid8 AND ended_at > now() - make_interval(secs => :window_s)) AS sessions;

-- Access tokens live a day at most.
-- name: revoked_sweep(most int4) :exec
DELETE FROM revoked_session
WHERE session_id IN (SELECT session_id FROM revoked_session WHERE ended_at < now() - interval '2 days' ORDER BY ended_at LIMIT :most);

-- Sessions that were over for thirty days, with their tokens. Those that ended before their time go when that has passed.
-- name: session_sweep(most int4) :exec
DELETE FROM session
WHERE id IN (SELECT id FROM session WHERE expires_at < now() - interval '30 days' ORDER BY expires_at LIMIT :most);

-- ---- invariants ----

-- name: verify_session_tokens() :many
-- returns: session_id session_id, unused int8
SELECT s.id AS session_id, count(t.hash) FILTER (WHERE t.used_at IS NULL) AS unused
FROM session s
LEFT JOIN refresh_token t ON t.session_id = s.id
WHERE s.ended_at IS NULL
GROUP BY s.id
HAVING count(t.hash) FILTER (WHERE t.used_at IS NULL) <> 1
LIMIT 100;

-- name: verify_token_successors() :many
-- returns: session_id session_id
SELECT t.session_id
FROM refresh_token t
WHERE t.used_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM refresh_token n WHERE n.hash = t.successor_hash AND n.session_id = t.session_id)
LIMIT 100;

-- name: verify_blocked_have_no_session() :many
-- returns: user_id user_id, sessions int8
SELECT u.id AS user_id, count(*) AS sessions
FROM users u
JOIN session s ON s.user_id = u.id AND s.ended_at IS NULL AND s.expires_at > now()
LEFT JOIN vendor v ON v.id = u.vendor_id
WHERE u.state = 'blocked' OR v.state = 'closed'
GROUP BY u.id
LIMIT 100;

-- As long as tokens of them may run.
-- name: verify_ended_are_revoked() :many
-- returns: session_id session_id
SELECT s.id AS session_id
FROM session s
WHERE s.ended_at > now() - interval '1 day'
  AND NOT EXISTS (SELECT FROM revoked_session r WHERE r.session_id = s.id)
LIMIT 100;
