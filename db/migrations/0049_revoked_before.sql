-- What ended before this release is known to servers too, as long as tokens may run (access_token_s is at most a day), and accounts of
-- vendors that closed before are out.
ALTER TABLE session VALIDATE CONSTRAINT session_ended_why_check;

INSERT INTO revoked_session (session_id, ended_at)
SELECT id, ended_at FROM session WHERE ended_at > now() - interval '1 day'
ON CONFLICT (session_id) DO NOTHING;

UPDATE session SET ended_at = now(), ended_why = 'vendor'
WHERE ended_at IS NULL
  AND user_id IN (SELECT u.id FROM users u JOIN vendor v ON v.id = u.vendor_id WHERE u.role = 'vendor' AND v.state = 'closed');
