-- What the sandbox partners share: faults to inject, events that have happened, who listens, and what is being delivered.
-- The sandbox applies these files itself. They are no migrations of the shop: a changed file drops the schema and starts over.

-- The next `calls` uses of something go wrong; `value` says how long or how often, by the name of the fault.
CREATE TABLE sandbox.fault (
    partner text    NOT NULL,
    name    text    NOT NULL,
    calls   integer NOT NULL,
    value   bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (partner, name)
);

-- body: exactly the bytes that are signed and sent.
CREATE TABLE sandbox.event (
    id         text        PRIMARY KEY,
    partner    text        NOT NULL,
    type       text        NOT NULL,
    object_id  text        NOT NULL,
    body       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX event_object ON sandbox.event (object_id);

CREATE TABLE sandbox.endpoint (
    id            text        PRIMARY KEY,
    partner       text        NOT NULL,
    url           text        NOT NULL,
    secret        text        NOT NULL,
    events        text[]      NOT NULL, -- types, or '*'
    from_settings boolean     NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- waiting: due at due_at, which a running attempt moves ahead. dropped: swallowed by a fault, as if it had been lost.
CREATE TABLE sandbox.delivery (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id text        NOT NULL REFERENCES sandbox.endpoint ON DELETE CASCADE,
    event_id    text        NOT NULL REFERENCES sandbox.event,
    after_id    bigint, -- not before that one is through
    state       text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'dead', 'dropped')),
    attempt     integer     NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL DEFAULT now(),
    last_status integer,
    last_error  text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX delivery_due ON sandbox.delivery (due_at) WHERE state = 'waiting';
CREATE INDEX delivery_event ON sandbox.delivery (event_id);
