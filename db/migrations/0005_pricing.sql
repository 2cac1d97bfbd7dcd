-- Prices of variants by currency and time. A change is a new row; an order keeps its own copy.

CREATE TABLE price (
    id               uuid        PRIMARY KEY,
    variant_id       uuid        NOT NULL REFERENCES variant,
    currency         char(3)     NOT NULL,
    amount_minor     bigint      NOT NULL CHECK (amount_minor >= 0),
    compare_at_minor bigint      CHECK (compare_at_minor > amount_minor),
    valid_from       timestamptz NOT NULL DEFAULT now(),
    valid_until      timestamptz CHECK (valid_until > valid_from),
    created_at       timestamptz NOT NULL DEFAULT now()
);
-- In force is the newest row whose time it is.
CREATE INDEX price_in_force ON price (variant_id, currency, valid_from DESC, id DESC);

-- What the table listing has to say, computed from products, prices in force, stock and pictures: one row for each
-- published product of an active vendor and currency in which one of its active variants has a price.
CREATE VIEW listing_source AS
SELECT p.id AS product_id,
       prices.currency,
       p.vendor_id,
       p.category_path,
       p.brand,
       left(lower(p.name), 48) AS sort_name,
       lower(concat_ws(' ', p.name, p.brand)) AS search_name,
       search_vector(p.name, p.brand, p.description) AS search,
       facets.facets,
       prices.lowest AS price_minor,
       stocked.available > 0 AS in_stock,
       p.published_at,
       json_build_object(
           'id', wire_id('prd', p.id), 'slug', p.slug, 'name', p.name, 'brand', p.brand,
           'vendor', json_build_object('id', wire_id('ven', ven.id), 'slug', ven.slug, 'name', ven.name),
           'category_id', wire_id('cat', p.category_id), 'tender', p.tender, 'currency', prices.currency,
           'price_minor', prices.lowest, 'price_most_minor', prices.highest, 'compare_at_minor', prices.compare_at,
           'stock', stock_state(stocked.available), 'image', picture.image)::text AS card
FROM product p
JOIN vendor ven ON ven.id = p.vendor_id AND ven.state = 'active'
CROSS JOIN LATERAL (
    SELECT f.currency, min(f.amount_minor) AS lowest, max(f.amount_minor) AS highest,
           (array_agg(f.compare_at_minor ORDER BY f.amount_minor, f.variant_id))[1] AS compare_at
    FROM (SELECT DISTINCT ON (pr.variant_id, pr.currency) pr.variant_id, pr.currency, pr.amount_minor, pr.compare_at_minor
          FROM variant v
          JOIN price pr ON pr.variant_id = v.id
          WHERE v.product_id = p.id AND v.state = 'active'
            AND pr.valid_from <= now() AND (pr.valid_until IS NULL OR pr.valid_until > now())
          ORDER BY pr.variant_id, pr.currency, pr.valid_from DESC, pr.id DESC) f
    GROUP BY f.currency
) prices
-- A product is stocked as well as the best stocked of its variants.
CROSS JOIN LATERAL (
    SELECT coalesce(max(each.available), 0) AS available
    FROM variant v
    CROSS JOIN LATERAL (SELECT sum(s.on_hand - s.reserved) AS available FROM stock s WHERE s.variant_id = v.id) each
    WHERE v.product_id = p.id AND v.state = 'active'
) stocked
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(DISTINCT each.facet ORDER BY each.facet), '{}') AS facets
    FROM (SELECT a.key || '=' || a.value AS facet FROM jsonb_each_text(p.attributes) a
          UNION ALL
          SELECT o.key || '=' || o.value FROM variant v, jsonb_each_text(v.options) o
          WHERE v.product_id = p.id AND v.state = 'active') each
) facets
LEFT JOIN LATERAL (
    SELECT json_build_object('id', wire_id('med', m.id), 'url', '/media/' || wire_id('med', m.id), 'alt', m.alt) AS image
    FROM media m WHERE m.product_id = p.id ORDER BY m.position, m.id LIMIT 1
) picture ON true
WHERE p.state = 'published';
