-- Carts of guests and customers.

CREATE TABLE cart (
    id          uuid        PRIMARY KEY, -- of a guest's cart: whoever knows it may use it
    user_id     uuid,                    -- none: a guest's
    currency    char(3)     NOT NULL,
    state       text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'spent', 'merged')),
    version     integer     NOT NULL DEFAULT 1,
    merged_into uuid, -- the customer's cart that took a guest's over
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'merged') = (merged_into IS NOT NULL)),
    CONSTRAINT cart_spent_by_customer CHECK (state <> 'spent' OR user_id IS NOT NULL),
    CONSTRAINT cart_merged_from_guest CHECK (state <> 'merged' OR user_id IS NULL)
);
CREATE UNIQUE INDEX cart_open_of_user ON cart (user_id) WHERE state = 'open';
CREATE INDEX cart_stale ON cart (updated_at) WHERE user_id IS NULL;

CREATE TABLE cart_item (
    cart_id          uuid        NOT NULL REFERENCES cart ON DELETE CASCADE,
    variant_id       uuid        NOT NULL,
    quantity         integer     NOT NULL CHECK (quantity BETWEEN 1 AND 999),
    saved            boolean     NOT NULL DEFAULT false, -- for later
    seen_price_minor bigint, -- the unit price when the line was last touched, in the cart's currency
    added_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cart_id, variant_id)
);
