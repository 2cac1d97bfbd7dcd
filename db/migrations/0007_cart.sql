-- Carts of guests and customers.

CREATE TABLE cart (
    id         uuid        PRIMARY KEY, -- of a guest's cart: whoever knows it may use it
    user_id    uuid,
    currency   char(3)     NOT NULL,
    state      text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'spent', 'merged')),
    version    integer     NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX cart_open_of_user ON cart (user_id) WHERE state = 'open';
CREATE INDEX cart_stale ON cart (updated_at) WHERE state = 'open' AND user_id IS NULL;

CREATE TABLE cart_item (
    cart_id    uuid        NOT NULL REFERENCES cart ON DELETE CASCADE,
    variant_id uuid        NOT NULL,
    quantity   integer     NOT NULL CHECK (quantity BETWEEN 1 AND 999),
    saved      boolean     NOT NULL DEFAULT false, -- for later
    added_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cart_id, variant_id)
);
