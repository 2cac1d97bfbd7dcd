-- Disputes as the gateway tells of them: recorded, so that staff see them; what follows is theirs.
CREATE TABLE dispute (
    gateway_id   text        PRIMARY KEY,
    payment_id   uuid        NOT NULL,
    order_id     uuid        NOT NULL,
    amount_minor bigint      NOT NULL,
    currency     char(3)     NOT NULL,
    reason       text        NOT NULL, -- the gateway's word
    state        text        NOT NULL, -- the gateway's word
    closed       boolean     NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dispute_order ON dispute (order_id);
