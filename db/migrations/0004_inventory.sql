-- Stock: on hand and reserved per variant and location, a movement for every change of what is on hand, a reservation
-- for every part of reserved.

CREATE TABLE location (
    id         uuid        PRIMARY KEY,
    vendor_id  uuid        NOT NULL REFERENCES vendor,
    code       text        NOT NULL UNIQUE,
    name       text        NOT NULL,
    country    char(2)     NOT NULL,
    priority   integer     NOT NULL DEFAULT 0, -- the lowest that has enough is taken first
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX location_vendor ON location (vendor_id, id);

-- Rows change on every order: half of each page is left free, and no index touches what changes (HOT).
CREATE TABLE stock (
    variant_id  uuid     NOT NULL,
    location_id uuid     NOT NULL,
    priority    integer  NOT NULL DEFAULT 0, -- the location's
    on_hand     integer  NOT NULL DEFAULT 0,
    reserved    integer  NOT NULL DEFAULT 0,
    PRIMARY KEY (variant_id, location_id),
    CONSTRAINT stock_reserved_within_on_hand CHECK (reserved BETWEEN 0 AND on_hand)
) WITH (fillfactor = 50);
CREATE INDEX stock_location ON stock (location_id);

CREATE TABLE movement (
    id          uuid        PRIMARY KEY,
    variant_id  uuid        NOT NULL,
    location_id uuid        NOT NULL,
    quantity    integer     NOT NULL CHECK (quantity <> 0), -- signed: what on_hand changed by
    reason      text        NOT NULL CHECK (reason IN ('receipt', 'correction', 'shipment', 'return', 'damage')),
    order_id    uuid,
    actor_id    uuid,
    note        text,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX movement_variant ON movement (variant_id, id);

-- How well a variant is stocked, from what is available over all its locations. inventory.c says the same in C.
CREATE FUNCTION stock_state(available bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN coalesce(available, 0) <= 0 THEN 'out_of_stock' WHEN available <= 5 THEN 'low' ELSE 'in_stock' END $$;

-- held: until paid. confirmed: paid, waiting to be shipped. consumed: shipped. released: given back.
CREATE TABLE reservation (
    order_id    uuid     NOT NULL,
    line_no     smallint NOT NULL,
    location_id uuid     NOT NULL,
    variant_id  uuid     NOT NULL,
    quantity    integer  NOT NULL CHECK (quantity > 0),
    state       text     NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'confirmed', 'consumed', 'released')),
    PRIMARY KEY (order_id, line_no, location_id)
) PARTITION BY RANGE (order_id);
SELECT partitioned_by_time('reservation');
