-- Payments through the gateway, and refunds. A payment is bound to the frozen amount of its order.

CREATE TABLE payment (
    id             uuid        PRIMARY KEY,
    order_id       uuid        NOT NULL,
    attempt        smallint    NOT NULL DEFAULT 1, -- a retry after failure is a new payment
    state          text        NOT NULL DEFAULT 'created' CHECK (state IN ('created', 'pending', 'succeeded', 'failed', 'cancelled')),
    amount_minor   bigint      NOT NULL CHECK (amount_minor > 0),
    currency       char(3)     NOT NULL,
    intent_id      text,               -- the gateway's
    requested_at   timestamptz,        -- the gateway was asked for an intent; whether it made one shows in intent_id
    redirect_url   text,               -- the hosted page
    failure        text,
    response       jsonb,              -- the gateway's newest word on it
    refunded_minor bigint      NOT NULL DEFAULT 0, -- refunds that were requested or have succeeded
    checked_at     timestamptz,                    -- the sweeper last asked the gateway
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (order_id, attempt),
    CONSTRAINT payment_refunded_within_captured CHECK (refunded_minor BETWEEN 0 AND amount_minor)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX payment_intent_id_key ON payment (intent_id) WHERE intent_id IS NOT NULL; -- new payments have none
CREATE INDEX payment_open ON payment (created_at) WHERE state IN ('created', 'pending');

CREATE TABLE refund (
    id           uuid        PRIMARY KEY, -- also the idempotency key at the gateway
    order_id     uuid        NOT NULL,
    payment_id   uuid, -- none where the order was paid with points alone
    amount_minor bigint      NOT NULL CHECK (amount_minor >= 0),
    points       bigint      NOT NULL CHECK (points >= 0),
    currency     char(3)     NOT NULL,
    state        text        NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'succeeded', 'failed')),
    reason       text        NOT NULL,
    actor_id     uuid, -- none: by the shop's own rule (late payment)
    gateway_id   text        UNIQUE,
    response     jsonb,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (amount_minor > 0 OR points > 0)
);
CREATE INDEX refund_order ON refund (order_id);
CREATE INDEX refund_requested ON refund (created_at) WHERE state = 'requested';
CREATE INDEX refund_payment ON refund (payment_id) WHERE payment_id IS NOT NULL;

-- Webhooks that wait, and refusals by time: a bound on how many are kept.
CREATE INDEX webhook_waiting ON webhook (received_at) WHERE state = 'received';
CREATE INDEX webhook_received_at ON webhook USING brin (received_at);
CREATE INDEX webhook_refusal_received_at ON webhook_refusal (received_at);
