-- Orders, their lines with prices frozen, their history, their fulfilments. No foreign keys here: the checkout engine has
-- proved what they would, and `cathay verify` proves it again.

CREATE SEQUENCE order_number START 100001 CACHE 100;

CREATE TABLE orders (
    id                 uuid        NOT NULL,
    number             bigint      NOT NULL DEFAULT nextval('order_number'),
    customer_id        uuid        NOT NULL,
    state              text        NOT NULL CHECK (state IN ('pending_payment', 'confirmed', 'processing', 'shipped', 'delivered',
                                       'payment_failed', 'cancelled', 'expired', 'returned', 'partially_refunded', 'refunded')),
    sequence           integer     NOT NULL, -- of the newest order_event
    currency           char(3)     NOT NULL,
    subtotal_minor     bigint      NOT NULL CHECK (subtotal_minor >= 0),
    discount_minor     bigint      NOT NULL DEFAULT 0 CHECK (discount_minor >= 0),
    shipping_minor     bigint      NOT NULL DEFAULT 0 CHECK (shipping_minor >= 0),
    tax_minor          bigint      NOT NULL DEFAULT 0 CHECK (tax_minor >= 0),
    total_minor        bigint      NOT NULL,
    points             bigint      NOT NULL DEFAULT 0 CHECK (points >= 0),
    points_value_minor bigint      NOT NULL DEFAULT 0 CHECK (points_value_minor >= 0),
    cash_minor         bigint      NOT NULL CHECK (cash_minor >= 0),
    earn_points        bigint      NOT NULL DEFAULT 0 CHECK (earn_points >= 0),
    hold_id            uuid, -- root of the transfer that holds the points; a retried payment has a new one
    policy_version     integer     NOT NULL,
    address            text        NOT NULL, -- JSON as the shopper gave it
    cart_id            uuid,
    expires_at         timestamptz, -- of pending_payment
    placed_at          timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id),
    CONSTRAINT orders_total_adds_up CHECK (total_minor = subtotal_minor - discount_minor + shipping_minor + tax_minor),
    CONSTRAINT orders_tenders_add_up CHECK (cash_minor + points_value_minor = total_minor)
) PARTITION BY RANGE (id);
CREATE INDEX orders_customer ON orders (customer_id, id);
CREATE INDEX orders_number ON orders (number);
CREATE INDEX orders_state ON orders (state, id);
CREATE INDEX orders_expiring ON orders (expires_at) WHERE state = 'pending_payment';
SELECT partitioned_by_time('orders');

CREATE TABLE order_line (
    order_id           uuid     NOT NULL,
    line_no            smallint NOT NULL,
    product_id         uuid     NOT NULL,
    variant_id         uuid     NOT NULL,
    vendor_id          uuid     NOT NULL,
    sku                text     NOT NULL,
    title              text     NOT NULL,
    quantity           integer  NOT NULL CHECK (quantity > 0),
    unit_price_minor   bigint   NOT NULL CHECK (unit_price_minor >= 0),
    total_minor        bigint   NOT NULL,
    points             bigint   NOT NULL DEFAULT 0 CHECK (points >= 0),
    points_value_minor bigint   NOT NULL DEFAULT 0 CHECK (points_value_minor >= 0),
    cash_minor         bigint   NOT NULL CHECK (cash_minor >= 0),
    PRIMARY KEY (order_id, line_no),
    CHECK (total_minor = unit_price_minor * quantity),
    CHECK (cash_minor + points_value_minor = total_minor)
) PARTITION BY RANGE (order_id);
CREATE INDEX order_line_vendor ON order_line (vendor_id, order_id);
CREATE INDEX order_line_sku ON order_line (sku, order_id);
SELECT partitioned_by_time('order_line');

CREATE TABLE order_event (
    order_id   uuid        NOT NULL,
    sequence   integer     NOT NULL,
    from_state text,       -- of the first: none
    to_state   text        NOT NULL,
    actor      text        NOT NULL CHECK (actor IN ('customer', 'staff', 'vendor', 'gateway', 'carrier', 'system')),
    actor_id   uuid,
    reason     text,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, sequence)
) PARTITION BY RANGE (order_id);
SELECT partitioned_by_time('order_event');

-- The part of an order that one vendor sends from one location: its lines are the order's reservations there.
CREATE TABLE fulfilment (
    order_id    uuid        NOT NULL,
    number      smallint    NOT NULL,
    id          uuid        NOT NULL,
    vendor_id   uuid        NOT NULL,
    location_id uuid        NOT NULL,
    state       text        NOT NULL DEFAULT 'pending'
                CHECK (state IN ('pending', 'processing', 'shipped', 'delivered', 'returned', 'cancelled')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, number),
    UNIQUE (order_id, vendor_id, location_id)
) PARTITION BY RANGE (order_id);
CREATE INDEX fulfilment_vendor ON fulfilment (vendor_id, order_id);
SELECT partitioned_by_time('fulfilment');
