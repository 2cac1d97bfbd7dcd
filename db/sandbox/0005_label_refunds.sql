-- What became of a label that was given back: submitted, refunded, rejected.
ALTER TABLE sandbox.shipment ADD COLUMN refund_status text;

CREATE OR REPLACE FUNCTION sandbox.shipment_json(s sandbox.shipment) RETURNS json
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
        'refund_status', s.refund_status, 'insurance', NULL, 'customs_info', NULL, 'scan_form', NULL, 'order_id', NULL, 'batch_id', NULL,
        'fees', json_build_array(), 'messages', json_build_array(), 'forms', json_build_array(), 'options', json_build_object());
END
$$;
