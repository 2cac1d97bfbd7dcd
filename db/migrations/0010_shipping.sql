-- Parcels on their way: one shipment for each fulfilment.

CREATE TABLE shipment (
    id            uuid        PRIMARY KEY,
    order_id      uuid        NOT NULL,
    fulfilment_no smallint    NOT NULL,
    vendor_id     uuid        NOT NULL,
    state         text        NOT NULL DEFAULT 'created' CHECK (state IN ('created', 'labelled', 'unknown', 'pre_transit', 'in_transit',
                                  'out_for_delivery', 'delivered', 'available_for_pickup', 'return_to_sender', 'failure', 'cancelled', 'error')),
    carrier       text,
    carrier_id    text        UNIQUE, -- the carrier's shipment
    tracker_id    text        UNIQUE,
    tracking_code text,
    tracking_url  text,
    label_url     text,
    response      jsonb,
    polled_at     timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (order_id, fulfilment_no)
);
CREATE INDEX shipment_open ON shipment (coalesce(polled_at, created_at))
    WHERE state NOT IN ('delivered', 'return_to_sender', 'failure', 'cancelled', 'error');
CREATE INDEX shipment_vendor ON shipment (vendor_id, id);

-- What the carrier said of it, each once however often and in whatever order it was said.
CREATE TABLE shipment_event (
    shipment_id uuid        NOT NULL REFERENCES shipment,
    status      text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    message     text        NOT NULL DEFAULT '',
    place       text,
    PRIMARY KEY (shipment_id, occurred_at, status)
);
