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

-- The parts of an order with their parcels, as people see them. for_vendor: that vendor's parts only; NULL: all.
CREATE FUNCTION order_fulfilments_json(of_order uuid, for_vendor uuid, with_labels boolean) RETURNS json
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(json_agg(json_build_object(
        'id', wire_id('ful', f.id), 'number', f.number, 'vendor_id', wire_id('ven', f.vendor_id), 'vendor', v.name,
        'location_id', wire_id('loc', f.location_id), 'state', f.state,
        'lines', (
            SELECT coalesce(json_agg(json_build_object('line_no', r.line_no, 'quantity', r.quantity) ORDER BY r.line_no), '[]')
            FROM reservation r WHERE r.order_id = of_order AND r.location_id = f.location_id),
        'shipment', (
            SELECT json_build_object(
                'id', wire_id('shp', s.id), 'state', s.state, 'carrier', s.carrier, 'tracking_code', s.tracking_code,
                'tracking_url', s.tracking_url, 'label_url', CASE WHEN with_labels THEN s.label_url END,
                'events', (
                    SELECT coalesce(json_agg(json_build_object(
                        'status', e.status, 'occurred_at', e.occurred_at, 'message', e.message, 'place', e.place)
                        ORDER BY e.occurred_at, e.status), '[]')
                    FROM shipment_event e WHERE e.shipment_id = s.id))
            FROM shipment s WHERE s.order_id = of_order AND s.fulfilment_no = f.number))
        ORDER BY f.number), '[]')
    FROM fulfilment f
    LEFT JOIN vendor v ON v.id = f.vendor_id
    WHERE f.order_id = of_order AND (for_vendor IS NULL OR f.vendor_id = for_vendor)
$$;
