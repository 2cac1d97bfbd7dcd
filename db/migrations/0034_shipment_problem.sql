-- A label that the carrier refuses waits for a person; an address that is put right begins the parcel anew (revision), and is not changed while
-- the carrier is being asked (asked_at).
ALTER TABLE shipment ADD COLUMN problem text, ADD COLUMN problem_at timestamptz, ADD COLUMN asked_at timestamptz,
    ADD COLUMN revision smallint NOT NULL DEFAULT 0;

-- As before, with why there is no label.
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
