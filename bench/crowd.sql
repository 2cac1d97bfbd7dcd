-- The crowd of a flash sale: :buyers customers who have not bought anything, each signed in; a session has the identifier of its customer.
BEGIN;
CREATE TEMP TABLE crowd ON COMMIT DROP AS
SELECT gen_random_uuid() AS id, n FROM generate_series(1, :buyers) n;

INSERT INTO users (id, email, password_hash, name, role)
SELECT id, 'buyer' || n || '@bench.example', '!', 'Buyer ' || n, 'customer' FROM crowd;

INSERT INTO session (id, user_id, expires_at) SELECT id, id, now() + interval '1 day' FROM crowd;
INSERT INTO refresh_token (hash, session_id) SELECT sha256(id::text::bytea), id FROM crowd;

INSERT INTO ledger_account (id, kind, user_id) SELECT gen_random_uuid(), 'customer', id FROM crowd;
COMMIT;
ANALYZE users, session, refresh_token, ledger_account;
