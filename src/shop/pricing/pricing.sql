-- Queries of pricing. The price in force is the newest row whose time it is.

-- For the checkout engine: what each of these variants is, and costs now in each of these currencies. A variant that does not
-- exist has no row; amount_minor is NULL where it has no price in that currency. Closed vendors are few: one list of them costs
-- less than a look at each variant's vendor.
-- name: checkout_variant_batch(variant_ids variant_id[], currencies text[]) :many
-- returns: variant_id variant_id, currency text, product_id product_id, vendor_id vendor_id, sku text, title text,
--   for_sale bool, tender text, category_path uuid[], amount_minor int8?, good_for_us int8?
SELECT v.id AS variant_id, asked.currency, v.product_id, v.vendor_id, v.sku, v.title,
       p.state = 'published' AND v.state = 'active'
       AND v.vendor_id <> ALL (ARRAY(SELECT ven.id FROM vendor ven WHERE ven.state <> 'active')) AS for_sale,
       p.tender, p.category_path, now_price.amount_minor,
       (extract(epoch FROM least(now_price.valid_until, (
            SELECT min(later.valid_from) FROM price later
            WHERE later.variant_id = v.id AND later.currency = asked.currency::char(3) AND later.valid_from > now())) - now()) * 1000000)::int8
           AS good_for_us
FROM unnest(:currencies) asked(currency)
CROSS JOIN variant v
JOIN product p ON p.id = v.product_id
LEFT JOIN LATERAL (
    SELECT pr.amount_minor, pr.valid_until
    FROM price pr
    WHERE pr.variant_id = v.id AND pr.currency = asked.currency::char(3)
      AND pr.valid_from <= now() AND (pr.valid_until IS NULL OR pr.valid_until > now())
    ORDER BY pr.valid_from DESC, pr.id DESC
    LIMIT 1
) now_price ON true
WHERE v.id = ANY(:variant_ids);

-- ── endpoints ──

-- The variant and its product, the product locked: prices of one product change one after the other. For the variant's
-- vendor (vendor_id) or staff (NULL).
-- name: price_variant_lock(variant_id variant_id, vendor_id vendor_id?) :one
-- returns: product_id product_id, product_state text
SELECT p.id AS product_id, p.state AS product_state
FROM variant v
JOIN product p ON p.id = v.product_id
WHERE v.id = :variant_id AND (:vendor_id::uuid IS NULL OR v.vendor_id = :vendor_id)
FOR NO KEY UPDATE OF p;

-- valid_from: now unless given.
-- name: price_create(id price_id, variant_id variant_id, currency text, amount_minor int8, compare_at_minor int8?, valid_from timestamptz?, valid_until timestamptz?) :one
-- returns: body json
INSERT INTO price AS made (id, variant_id, currency, amount_minor, compare_at_minor, valid_from, valid_until)
VALUES (:id, :variant_id, :currency, :amount_minor, :compare_at_minor, coalesce(:valid_from, now()), :valid_until)
RETURNING json_build_object('id', wire_id('prc', made.id), 'variant_id', wire_id('var', made.variant_id), 'currency', made.currency,
    'amount_minor', made.amount_minor, 'compare_at_minor', made.compare_at_minor, 'valid_from', made.valid_from,
    'valid_until', made.valid_until, 'created_at', made.created_at) AS body;

-- name: price_variant_vendor(variant_id variant_id) :one
-- returns: vendor_id vendor_id
SELECT v.vendor_id FROM variant v WHERE v.id = :variant_id;

-- All prices of a variant, newest first; in_force marks those that hold now.
-- name: price_list(variant_id variant_id, before price_id?, page_size int4) :one
-- returns: items json, more bool, last_id price_id?
WITH page AS (
    SELECT pr.*, row_number() OVER (ORDER BY pr.id DESC) AS n,
           pr.id = (SELECT f.id FROM price f
                    WHERE f.variant_id = pr.variant_id AND f.currency = pr.currency AND f.valid_from <= now()
                      AND (f.valid_until IS NULL OR f.valid_until > now())
                    ORDER BY f.valid_from DESC, f.id DESC LIMIT 1) AS in_force
    FROM price pr
    WHERE pr.variant_id = :variant_id AND (:before IS NULL OR pr.id < :before)
    ORDER BY pr.id DESC
    LIMIT :page_size + 1
)
SELECT coalesce(json_agg(json_build_object(
           'id', wire_id('prc', page.id), 'variant_id', wire_id('var', page.variant_id), 'currency', page.currency,
           'amount_minor', page.amount_minor, 'compare_at_minor', page.compare_at_minor, 'valid_from', page.valid_from,
           'valid_until', page.valid_until, 'created_at', page.created_at, 'in_force', coalesce(page.in_force, false)) ORDER BY page.n)
           FILTER (WHERE page.n <= :page_size), '[]') AS items,
       count(*) > :page_size AS more,
       (SELECT last.id FROM page last WHERE last.n = :page_size) AS last_id
FROM page;

-- ── invariants ──

-- A published product can be bought: one of its active variants has had a price. (A variant that is new may wait for its first.)
-- name: price_check_published(most int4) :many
-- returns: product_id product_id
SELECT p.id AS product_id
FROM product p
WHERE p.state = 'published'
  AND NOT EXISTS (SELECT FROM variant v JOIN price pr ON pr.variant_id = v.id WHERE v.product_id = p.id AND v.state = 'active')
LIMIT :most;

-- ── tasks ──

-- name: price_product_lock(product_id product_id) :one
-- returns: id product_id
SELECT p.id FROM product p WHERE p.id = :product_id FOR NO KEY UPDATE;
