-- What growth showed: the parts of an order were planned at each call, and a search ranked more than anybody looks at.

-- The parts of an order with their parcels: as before, but planned once for each connection. As a function of plain SQL it was planned anew
-- at each call, over every month's partitions of three tables, which took longer than to run it.
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

-- A search ranks at most 120 products, six pages of twenty, instead of 250: half the rows to fetch.
CREATE OR REPLACE FUNCTION listing_hits(words tsquery, of_currency text, asked bigint[], price_least bigint, price_most bigint, in_stock_only boolean)
RETURNS SETOF listing_hit
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    hits listing_hit[];
    question tsquery;
BEGIN
    FOR level IN REVERSE 3..1 LOOP
        question := search_at_level(words, level);
        SELECT array_agg(found.hit) INTO hits
        FROM (SELECT ROW(l.product_id, (ts_rank(l.search, words) * 1000000)::bigint, l.keys, l.price_minor, l.in_stock)::listing_hit AS hit
              FROM listing l
              WHERE l.search_sampled @@ question AND ts_match_vq(l.search, words) -- the function, which no index answers
                AND l.currency = of_currency::char(3) AND l.keys @> asked
                AND (price_least IS NULL OR l.price_minor >= price_least) AND (price_most IS NULL OR l.price_minor <= price_most) AND (NOT in_stock_only OR l.in_stock)
              LIMIT 120) found;
        EXIT WHEN cardinality(hits) = 120;
    END LOOP;
    IF cardinality(hits) = 120 THEN
        RETURN QUERY SELECT * FROM unnest(hits);
        RETURN;
    END IF;
    RETURN QUERY
    SELECT l.product_id, (ts_rank(l.search, words) * 1000000)::bigint, l.keys, l.price_minor, l.in_stock
    FROM listing l
    WHERE l.search @@ words AND l.currency = of_currency::char(3) AND l.keys @> asked
      AND (price_least IS NULL OR l.price_minor >= price_least) AND (price_most IS NULL OR l.price_minor <= price_most) AND (NOT in_stock_only OR l.in_stock)
    LIMIT 120;
END
$$;
