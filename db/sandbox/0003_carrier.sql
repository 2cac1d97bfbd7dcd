-- The sandbox carrier: shipments, trackers and where they have been, and their JSON as EasyPost's API gives it.

CREATE TABLE sandbox.tracker (
    id            text        PRIMARY KEY,
    tracking_code text        NOT NULL UNIQUE,
    carrier       text        NOT NULL,
    shipment_id   text        UNIQUE,
    status        text        NOT NULL DEFAULT 'unknown',
    public_url    text        NOT NULL,
    city          text, -- where it goes
    country       text,
    due_at        timestamptz, -- of its next step; none: it moves on demand only, or has arrived
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tracker_due ON sandbox.tracker (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE sandbox.tracker_step (
    tracker_id text        NOT NULL REFERENCES sandbox.tracker,
    number     integer     NOT NULL,
    status     text        NOT NULL,
    message    text        NOT NULL,
    city       text,
    country    text,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tracker_id, number)
);

CREATE TABLE sandbox.shipment (
    id            text        PRIMARY KEY,
    reference     text,
    to_address    json        NOT NULL,
    from_address  json        NOT NULL,
    parcel        json        NOT NULL,
    rates         json        NOT NULL,
    selected_rate json,
    label_token   text        UNIQUE,
    label_url     text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX shipment_reference ON sandbox.shipment (reference);

-- These functions read tables, so that PostgreSQL does not inline them; as plain SQL they would be planned anew at each call.
CREATE FUNCTION sandbox.tracker_json(t sandbox.tracker) RETURNS json
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN json_build_object(
        'id', t.id, 'object', 'Tracker', 'mode', 'test', 'tracking_code', t.tracking_code, 'status', t.status,
        'status_detail', t.status, 'created_at', t.created_at, 'updated_at', t.updated_at, 'signed_by', NULL, 'weight', NULL,
        'est_delivery_date', NULL, 'shipment_id', t.shipment_id, 'carrier', t.carrier,
        'tracking_details', (
            SELECT coalesce(json_agg(json_build_object(
                'object', 'TrackingDetail', 'message', s.message, 'description', s.message, 'status', s.status,
                'status_detail', s.status, 'datetime', s.at, 'source', t.carrier, 'carrier_code', NULL,
                'tracking_location', json_build_object('object', 'TrackingLocation', 'city', s.city, 'state', NULL,
                                                       'country', s.country, 'zip', NULL)) ORDER BY s.number), '[]')
            FROM sandbox.tracker_step s WHERE s.tracker_id = t.id),
        'fees', json_build_array(), 'carrier_detail', NULL, 'public_url', t.public_url);
END
$$;

CREATE FUNCTION sandbox.shipment_json(s sandbox.shipment) RETURNS json
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    t sandbox.tracker;
BEGIN
    SELECT * INTO t FROM sandbox.tracker WHERE shipment_id = s.id;
    RETURN json_build_object(
        'id', s.id, 'object', 'Shipment', 'mode', 'test', 'created_at', s.created_at, 'updated_at', s.updated_at,
        'reference', s.reference, 'is_return', false, 'status', coalesce(t.status, 'unknown'),
        'to_address', s.to_address, 'from_address', s.from_address, 'buyer_address', s.to_address,
        'return_address', s.from_address, 'parcel', s.parcel, 'rates', s.rates, 'selected_rate', s.selected_rate,
        'postage_label', CASE WHEN s.label_url IS NOT NULL THEN json_build_object(
            'id', 'pl_' || s.label_token, 'object', 'PostageLabel', 'created_at', s.updated_at, 'updated_at', s.updated_at,
            'date_advance', 0, 'integrated_form', 'none', 'label_date', s.updated_at, 'label_resolution', 300,
            'label_size', '4x6', 'label_type', 'default', 'label_file_type', 'image/svg+xml', 'label_url', s.label_url) END,
        'tracking_code', t.tracking_code,
        'tracker', CASE WHEN t.id IS NOT NULL THEN sandbox.tracker_json(t) END,
        'refund_status', NULL, 'insurance', NULL, 'customs_info', NULL, 'scan_form', NULL, 'order_id', NULL, 'batch_id', NULL,
        'fees', json_build_array(), 'messages', json_build_array(), 'forms', json_build_array(), 'options', json_build_object());
END
$$;
