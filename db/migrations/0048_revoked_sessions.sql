-- Access tokens are verified without the database, so every server has to know which sessions have ended while tokens of theirs may
-- still run. A session that ends leaves a row here, whoever ends it: this shop's code of any release, or a person with psql. Servers
-- ask several times a second for what is new since the oldest transaction that was running when they asked last (ended_xid): unlike a
-- time or a sequence, that misses nothing of a transaction that commits late.
CREATE TABLE revoked_session (
    session_id uuid        PRIMARY KEY,
    ended_xid  xid8        NOT NULL DEFAULT pg_current_xact_id(),
    ended_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX revoked_session_ended_xid ON revoked_session (ended_xid);
CREATE INDEX revoked_session_ended_at ON revoked_session (ended_at);

-- The three triggers act with the rights of the owner: the release before may serve under a role that has no rights on the new
-- table yet, and whoever may block an account ends its sessions, may it touch them or not.
CREATE FUNCTION session_revoke() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO revoked_session (session_id) VALUES (NEW.id)
    ON CONFLICT (session_id) DO UPDATE SET ended_xid = pg_current_xact_id(), ended_at = now();
    RETURN NULL;
END
$$;

-- A token says the role and the vendor of its bearer. Who is given others, or is blocked, has to sign in again.
CREATE FUNCTION users_end_sessions() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE session SET ended_at = now(), ended_why = CASE WHEN NEW.state <> OLD.state THEN 'blocked' ELSE 'role' END
    WHERE user_id = NEW.id AND ended_at IS NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER users_end_sessions AFTER UPDATE OF state, role, vendor_id ON users
FOR EACH ROW WHEN ((NEW.state = 'blocked' AND OLD.state <> 'blocked') OR NEW.role <> OLD.role OR NEW.vendor_id IS DISTINCT FROM OLD.vendor_id)
EXECUTE FUNCTION users_end_sessions();

-- The people of a vendor that closes are out; when it opens again they sign in again.
CREATE FUNCTION vendor_end_sessions() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE session SET ended_at = now(), ended_why = 'vendor'
    WHERE ended_at IS NULL AND user_id IN (SELECT id FROM users WHERE role = 'vendor' AND vendor_id = NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER vendor_end_sessions AFTER UPDATE OF state ON vendor
FOR EACH ROW WHEN (NEW.state = 'closed' AND OLD.state <> 'closed') EXECUTE FUNCTION vendor_end_sessions();

-- Tables are locked in the order of those who block and close: account, vendor, session; the strongest lock of session first.
-- Validated in a migration of its own: that reads the table, and must not keep this one's locks meanwhile.
ALTER TABLE session DROP CONSTRAINT session_ended_why_check,
    ADD CONSTRAINT session_ended_why_check CHECK (ended_why IN ('sign_out', 'reuse', 'blocked', 'password', 'role', 'vendor')) NOT VALID;
CREATE TRIGGER session_revoke AFTER UPDATE OF ended_at ON session
FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION session_revoke();
