-- People who sign in, and their sessions.

CREATE TABLE users (
    id            uuid        PRIMARY KEY,
    email         text        NOT NULL CHECK (email = lower(email)),
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

-- One sign-in: a family of refresh tokens of which only the newest is good.
CREATE TABLE session (
    id         uuid        PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz,
    ended_why  text CHECK (ended_why IN ('sign_out', 'reuse', 'blocked', 'password'))
);
CREATE INDEX session_by_user ON session (user_id);

-- Only hashes are kept.
CREATE TABLE refresh_token (
    hash       bytea       PRIMARY KEY,
    session_id uuid        NOT NULL REFERENCES session ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at    timestamptz
);
CREATE INDEX refresh_token_session ON refresh_token (session_id);
