-- Functions and tables that every module stands on: wire identifiers, partitions by time, idempotency, events and tasks,
-- incoming webhooks.

CREATE FUNCTION wire_id(prefix text, id uuid) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT prefix || '_' || replace(id::text, '-', '') $$;

-- The smallest UUIDv7 of a moment: its milliseconds in the first 48 bits, zeros after.
CREATE FUNCTION uuid_floor(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT rpad(lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid $$;

-- The moment that a UUIDv7 carries.
CREATE FUNCTION uuid_time(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT to_timestamp(('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0) $$;

-- Big tables are partitioned by range of a UUIDv7, one partition a month. Makes the month's partition of one table;
-- true if it was not there. A default partition takes what no month holds, so that a late task stops no order.
CREATE FUNCTION partition_ensure(parent text, month date) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    first timestamptz := date_trunc('month', month::timestamp) AT TIME ZONE 'UTC';
    after timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
    child text := parent || '_' || to_char(date_trunc('month', month::timestamp), 'YYYYMM');
BEGIN
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent,
                   uuid_floor(first), uuid_floor(after));
    RETURN true;
END
$$;

-- The tables that are partitioned so. Modules add theirs.
CREATE TABLE partitioned_table (
    name text PRIMARY KEY
);

-- Makes the partitions of all such tables from some months back to some months ahead; how many were made.
CREATE FUNCTION partitions_ensure(months_back integer, months_ahead integer) RETURNS integer
LANGUAGE sql
AS $$
    SELECT count(*) FILTER (WHERE partition_ensure(t.name, (date_trunc('month', now()) + make_interval(months => m))::date))::integer
    FROM partitioned_table t, generate_series(-months_back, months_ahead) m
$$;

-- Declares a table as partitioned by time: a default partition, and months around now.
CREATE FUNCTION partitioned_by_time(parent text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO partitioned_table VALUES (parent);
    EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', parent || '_default', parent);
    PERFORM partition_ensure(parent, (date_trunc('month', now()) + make_interval(months => m))::date)
    FROM generate_series(-1, 3) m;
END
$$;

-- Answers of requests that carried an Idempotency-Key, written in the transaction of what they did.
CREATE TABLE idempotency (
    owner_id     uuid        NOT NULL, -- the user; of a stranger: made from the address
    key          text        NOT NULL,
    operation    text        NOT NULL,
    body_hash    bytea       NOT NULL,
    status       smallint    NOT NULL,
    content_type text        NOT NULL,
    body         bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner_id, key)
);
CREATE INDEX idempotency_created_at ON idempotency USING brin (created_at);

-- Events that have happened, written with the change that caused them. expanded_at: turned into tasks, task_count of them.
CREATE TABLE outbox (
    id           uuid        PRIMARY KEY,
    type         text        NOT NULL,
    aggregate_id uuid        NOT NULL,
    sequence     bigint      NOT NULL,
    version      smallint    NOT NULL DEFAULT 1,
    payload      text        NOT NULL,
    traceparent  text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expanded_at  timestamptz,
    task_count   smallint,
    CHECK ((expanded_at IS NULL) = (task_count IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE INDEX outbox_unexpanded ON outbox (id) WHERE expanded_at IS NULL;

CREATE TABLE task (
    id           uuid        PRIMARY KEY,
    event_id     uuid,
    name         text        NOT NULL,
    aggregate_id uuid        NOT NULL,
    payload      text, -- of a task without an event; else the event's
    unique_key   text,
    traceparent  text, -- of a task without an event; else the event's
    priority     smallint    NOT NULL DEFAULT 1,
    state        text        NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'running', 'done', 'dead', 'discarded')),
    attempt      integer     NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),
    pushed_at    timestamptz,
    lease_until  timestamptz,
    lease_owner  uuid,
    last_error   text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    UNIQUE (event_id, name)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE UNIQUE INDEX task_unique_key ON task (name, unique_key) WHERE state IN ('ready', 'running');
CREATE INDEX task_due ON task (priority, due_at) WHERE state = 'ready';
CREATE INDEX task_unpushed ON task (due_at) WHERE state = 'ready' AND pushed_at IS NULL;
CREATE INDEX task_pushed ON task (priority, pushed_at) WHERE state = 'ready' AND pushed_at IS NOT NULL;
CREATE INDEX task_lease ON task (lease_until) WHERE state = 'running';
CREATE INDEX task_finished ON task (state, finished_at) WHERE state IN ('done', 'dead', 'discarded');

CREATE TABLE schedule (
    name            text        PRIMARY KEY,
    interval_s      integer     NOT NULL CHECK (interval_s > 0),
    why             text        NOT NULL,
    paused          boolean     NOT NULL DEFAULT false,
    due_at          timestamptz NOT NULL DEFAULT now(),
    last_started_at timestamptz,
    last_error      text -- of its last run; absent when that went well
);

-- What partners told us: stored before it is answered, processed once.
CREATE TABLE webhook (
    id           uuid        PRIMARY KEY,
    provider     text        NOT NULL,
    event_id     text        NOT NULL,
    type         text        NOT NULL,
    body         text        NOT NULL,
    state        text        NOT NULL DEFAULT 'received' CHECK (state IN ('received', 'processed', 'ignored', 'mismatched')),
    detail       text,
    received_at  timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz,
    UNIQUE (provider, event_id)
);

-- Forged, stale or unreadable: nothing of it is believed; kept to be looked at.
CREATE TABLE webhook_refusal (
    id          uuid        PRIMARY KEY,
    provider    text        NOT NULL,
    reason      text        NOT NULL,
    body_sha256 bytea       NOT NULL,
    body_bytes  integer     NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
