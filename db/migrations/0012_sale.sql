-- Flash sales: so many units of one variant at one price between two moments, so many to a customer. A sale sets no stock aside.

CREATE TABLE sale (
    id           uuid        PRIMARY KEY,
    variant_id   uuid        NOT NULL REFERENCES variant,
    currency     char(3)     NOT NULL,
    price_minor  bigint      NOT NULL CHECK (price_minor > 0),
    quantity     integer     NOT NULL CHECK (quantity > 0),
    sold         integer     NOT NULL DEFAULT 0, -- sum of the claims that are taken
    per_customer integer     NOT NULL CHECK (per_customer BETWEEN 1 AND 999),
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    cancelled_at timestamptz,
    version      bigint      NOT NULL DEFAULT 1, -- of sold and cancelled_at: servers compare it to see whether they are up to date
    created_by   uuid        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sale_ends_after_start CHECK (starts_at < ends_at),
    CONSTRAINT sale_sold_within_quantity CHECK (sold BETWEEN 0 AND quantity)
) WITH (fillfactor = 25);
CREATE INDEX sale_ends ON sale (ends_at);

-- What a customer has of a sale. Written only with the sale's row locked.
CREATE TABLE sale_customer (
    sale_id     uuid    NOT NULL,
    customer_id uuid    NOT NULL,
    quantity    integer NOT NULL,
    most        integer NOT NULL, -- the sale's per_customer
    PRIMARY KEY (sale_id, customer_id),
    CONSTRAINT sale_customer_within_most CHECK (quantity BETWEEN 0 AND most)
) WITH (fillfactor = 80);

-- taken: the order has its units. released: the order came to nothing, its units are sold again. Never taken a second time.
CREATE TABLE sale_claim (
    order_id    uuid    PRIMARY KEY,
    sale_id     uuid    NOT NULL,
    customer_id uuid    NOT NULL,
    quantity    integer NOT NULL CHECK (quantity > 0),
    state       text    NOT NULL DEFAULT 'taken' CHECK (state IN ('taken', 'released')),
    key         bytea   NOT NULL -- of the admission: a hash of customer and Idempotency-Key
);
CREATE INDEX sale_claim_customer ON sale_claim (sale_id, customer_id);

-- An order of a sale cannot be begun anew once it has failed: its units are somebody else's then.
ALTER TABLE orders ADD COLUMN sale_id uuid;

CREATE FUNCTION sale_state(s sale) RETURNS text
LANGUAGE sql STABLE
AS $$ SELECT CASE WHEN s.cancelled_at IS NOT NULL THEN 'cancelled' WHEN now() >= s.ends_at THEN 'ended' WHEN now() < s.starts_at THEN 'upcoming'
                  WHEN s.sold >= s.quantity THEN 'sold_out' ELSE 'open' END $$;

-- What everybody may know of it.
CREATE FUNCTION sale_json(s sale) RETURNS json
LANGUAGE sql STABLE
AS $$ SELECT json_build_object('id', wire_id('sal', s.id), 'product_id', wire_id('prd', v.product_id), 'variant_id', wire_id('var', v.id), 'sku', v.sku,
                               'title', v.title, 'currency', s.currency, 'price_minor', s.price_minor, 'per_customer', s.per_customer,
                               'starts_at', s.starts_at, 'ends_at', s.ends_at, 'state', sale_state(s),
                               'remaining', CASE WHEN s.sold >= s.quantity THEN 'none' WHEN (s.quantity - s.sold)::bigint * 5 <= s.quantity THEN 'few'
                                                 ELSE 'plenty' END)
      FROM variant v WHERE v.id = s.variant_id $$;

-- What staff see beside it.
CREATE FUNCTION sale_staff_json(s sale) RETURNS json
LANGUAGE sql STABLE
AS $$ SELECT json_build_object('id', wire_id('sal', s.id), 'product_id', wire_id('prd', v.product_id), 'variant_id', wire_id('var', v.id), 'sku', v.sku,
                               'title', v.title, 'currency', s.currency, 'price_minor', s.price_minor, 'per_customer', s.per_customer,
                               'starts_at', s.starts_at, 'ends_at', s.ends_at, 'state', sale_state(s), 'quantity', s.quantity, 'sold', s.sold,
                               'cancelled_at', s.cancelled_at, 'created_by', wire_id('usr', s.created_by), 'created_at', s.created_at)
      FROM variant v WHERE v.id = s.variant_id $$;
