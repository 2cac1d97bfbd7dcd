-- Prices of variants by currency and time. A change is a new row; an order keeps its own copy.

CREATE TABLE price (
    id               uuid        PRIMARY KEY,
    variant_id       uuid        NOT NULL REFERENCES variant,
    currency         char(3)     NOT NULL,
    amount_minor     bigint      NOT NULL CHECK (amount_minor >= 0),
    compare_at_minor bigint      CHECK (compare_at_minor > amount_minor),
    valid_from       timestamptz NOT NULL DEFAULT now(),
    valid_until      timestamptz CHECK (valid_until > valid_from),
    created_at       timestamptz NOT NULL DEFAULT now()
);
-- In force is the newest row whose time it is.
CREATE INDEX price_in_force ON price (variant_id, currency, valid_from DESC, id DESC);
