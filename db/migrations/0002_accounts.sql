-- People who sign in, and their sessions.

CREATE TABLE users (
    id            uuid        PRIMARY KEY,
    email         text        COLLATE "C" NOT NULL CHECK (email = lower(email)), -- in byte order: found by how it begins
    password_hash text        NOT NULL,
    name          text        NOT NULL,
    role          text        NOT NULL CHECK (role IN ('customer', 'vendor', 'support', 'manager', 'admin')),
    vendor_id     uuid, -- of role vendor
    state         text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'blocked')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CHECK ((role = 'vendor') = (vendor_id IS NOT NULL)),
    CONSTRAINT users_email_key UNIQUE (email)
);
CREATE INDEX users_role ON users (role, id);

-- One sign-in: a family of refresh tokens of which only the newest is good.
CREATE TABLE session (
    id         uuid        PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL, -- moves on with each refresh
    ended_at   timestamptz,
    ended_why  text CHECK (ended_why IN ('sign_out', 'reuse', 'blocked', 'password')),
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
);
CREATE INDEX session_by_user ON session (user_id);
CREATE INDEX session_expires_at ON session (expires_at);

-- Only hashes are kept. A used token names its successor: the salt lets its bearer (and nobody else) compute that again, so
-- that an answer that was lost can be repeated.
CREATE TABLE refresh_token (
    hash           bytea       PRIMARY KEY,
    session_id     uuid        NOT NULL REFERENCES session ON DELETE CASCADE,
    created_at     timestamptz NOT NULL DEFAULT now(),
    used_at        timestamptz,
    successor_hash bytea,
    successor_salt bytea,
    CHECK ((used_at IS NULL) = (successor_hash IS NULL) AND (used_at IS NULL) = (successor_salt IS NULL))
);
CREATE INDEX refresh_token_session ON refresh_token (session_id);
