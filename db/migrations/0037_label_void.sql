-- Labels of orders that were cancelled or refunded are given back to the carrier; what became of them is kept with the shipment, and shown to
-- whoever sees the label. Rows that are there have none, so that the constraint reads none of them.
ALTER TABLE shipment ADD COLUMN label_refund text;
ALTER TABLE shipment ADD CONSTRAINT shipment_label_refund_check
    CHECK (label_refund IN ('asked', 'submitted', 'refunded', 'rejected', 'not_applicable')) NOT VALID;
CREATE INDEX shipment_voiding ON shipment (updated_at) WHERE label_refund IN ('asked', 'submitted');

-- As before, with what became of the label.
CREATE OR REPLACE FUNCTION order_fulfilments_json(of_order uuid, for_vendor uuid, with_labels boolean) RETURNS json
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN (
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
                    'problem', CASE WHEN with_labels THEN s.problem END,
                    'label_refund', CASE WHEN with_labels THEN s.label_refund END,
                    'events', (
                        SELECT coalesce(json_agg(json_build_object(
                            'status', e.status, 'occurred_at', e.occurred_at, 'message', e.message, 'place', e.place)
                            ORDER BY e.occurred_at, e.status), '[]')
                        FROM shipment_event e WHERE e.shipment_id = s.id))
                FROM shipment s WHERE s.order_id = of_order AND s.fulfilment_no = f.number))
            ORDER BY f.number), '[]')
        FROM fulfilment f
        LEFT JOIN vendor v ON v.id = f.vendor_id
        WHERE f.order_id = of_order AND (for_vendor IS NULL OR f.vendor_id = for_vendor));
END
$$;
