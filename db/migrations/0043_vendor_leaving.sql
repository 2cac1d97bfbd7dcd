-- A vendor who closes is out of all lists at once, though its products are taken out of them in steps: until that is done, readers leave out
-- what is the vendor's. A server of the release before neither sets this nor looks at it.
ALTER TABLE vendor ADD COLUMN leaving boolean NOT NULL DEFAULT false;
CREATE INDEX vendor_leaving ON vendor (id) WHERE leaving;

-- Their keys (listing_key), NULL where there are none.
CREATE FUNCTION listing_leaving() RETURNS bigint[]
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (SELECT array_agg(listing_key('vendor ' || v.id::text)) FROM vendor v WHERE v.leaving);
END
$$;

-- Whether anybody can order it now, as far as that does not depend on price and stock.
CREATE FUNCTION variant_is_on_sale(of_variant uuid) RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM variant v
                   JOIN product p ON p.id = v.product_id AND p.state = 'published'
                   JOIN vendor ven ON ven.id = p.vendor_id AND ven.state = 'active'
                   WHERE v.id = of_variant AND v.state = 'active');
END
$$;

-- Staff see whether a sale's goods are on sale: while they are not, shoppers do not see the sale, and nobody can buy in it.
CREATE OR REPLACE FUNCTION sale_staff_json(s sale) RETURNS json
LANGUAGE sql STABLE
AS $$ SELECT json_build_object('id', wire_id('sal', s.id), 'product_id', wire_id('prd', v.product_id), 'variant_id', wire_id('var', v.id), 'sku', v.sku,
                               'title', v.title, 'currency', s.currency, 'price_minor', s.price_minor, 'per_customer', s.per_customer,
                               'starts_at', s.starts_at, 'ends_at', s.ends_at, 'state', sale_state(s), 'on_sale', variant_is_on_sale(v.id),
                               'quantity', s.quantity, 'sold', s.sold,
                               'cancelled_at', s.cancelled_at, 'created_by', wire_id('usr', s.created_by), 'created_at', s.created_at)
      FROM variant v WHERE v.id = s.variant_id $$;
