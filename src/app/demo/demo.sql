-- What `cathay demo` writes, set-based. All ids are made up by the program, the same on every run.

-- name: demo_is_loaded(vendor_id vendor_id) :one
-- returns: loaded bool
SELECT EXISTS (SELECT FROM vendor v WHERE v.id = :vendor_id) AS loaded;

-- Two runs at once: the second one waits, and finds the shop there.
-- name: demo_lock() :one
-- returns: locked bool
SELECT pg_advisory_xact_lock(7263545241) IS NOT NULL AS locked;

-- name: demo_vendor_insert(ids vendor_id[], slugs text[], names text[]) :exec
INSERT INTO vendor (id, slug, name) SELECT * FROM unnest(:ids, :slugs, :names);

-- name: demo_location_insert(ids location_id[], vendor_ids vendor_id[], codes text[], names text[], countries text[], priorities int4[]) :exec
INSERT INTO location (id, vendor_id, code, name, country, priority)
SELECT * FROM unnest(:ids, :vendor_ids, :codes, :names, :countries, :priorities);

-- Parents first: a batch's parents are in the table already, or NULL.
-- name: demo_category_insert(ids category_id[], parent_ids category_id?[]?, slugs text[], names text[]) :exec
INSERT INTO category (id, parent_id, path, slug, name, position)
SELECT c.id, c.parent_id, coalesce(parent.path, '{}') || ARRAY[c.id], c.slug, c.name, c.n
FROM unnest(:ids, :parent_ids, :slugs, :names) WITH ORDINALITY c(id, parent_id, slug, name, n)
LEFT JOIN category parent ON parent.id = c.parent_id;

-- name: demo_attribute_insert(materials text[], origins text[]) :exec
INSERT INTO attribute (code, label, type, choices)
VALUES ('material', 'Material', 'choice', :materials),
       ('origin', 'Made in', 'choice', :origins),
       ('warranty_years', 'Warranty in years', 'number', '{}'),
       ('vintage', 'Vintage', 'number', '{}'),
       ('gift_wrap', 'Gift wrap', 'boolean', '{}'),
       ('main_colour', 'Main colour', 'colour', '{}'),
       ('care', 'Care', 'text', '{}')
ON CONFLICT DO NOTHING;

-- options: separated by commas. hours_ago: of publishing; negative for drafts.
-- name: demo_product_insert(ids product_id[], vendor_ids vendor_id[], category_ids category_id[], slugs text[], names text[], descriptions text[], brands text[], tenders text[], attributes text[], options text[], states text[], hours_ago int4[]) :exec
INSERT INTO product (id, vendor_id, category_id, category_path, slug, name, description, brand, tender, attributes, options, state,
                     published_at)
SELECT d.id, d.vendor_id, d.category_id, c.path, d.slug, d.name, d.description, d.brand, d.tender, d.attributes::jsonb,
       string_to_array(d.options, ','), d.state,
       CASE WHEN d.hours_ago >= 0 THEN date_trunc('hour', now()) - make_interval(hours => d.hours_ago) END
FROM unnest(:ids, :vendor_ids, :category_ids, :slugs, :names, :descriptions, :brands, :tenders, :attributes, :options, :states, :hours_ago)
     d(id, vendor_id, category_id, slug, name, description, brand, tender, attributes, options, state, hours_ago)
JOIN category c ON c.id = d.category_id;

-- name: demo_variant_insert(ids variant_id[], product_ids product_id[], skus text[], options text[], weights int4[], positions int4[]) :exec
INSERT INTO variant (id, product_id, vendor_id, sku, options, title, weight_grams, position)
SELECT d.id, p.id, p.vendor_id, d.sku, d.options::jsonb, variant_title(p.name, p.options, d.options::jsonb), d.weight, d.position
FROM unnest(:ids, :product_ids, :skus, :options, :weights, :positions) d(id, product_id, sku, options, weight, position)
JOIN product p ON p.id = d.product_id;

-- name: demo_media_insert(ids media_id[], product_ids product_id[], positions int4[], alts text[], contents text[]) :exec
INSERT INTO media (id, product_id, position, alt, content_type, content)
SELECT d.id, d.product_id, d.position, d.alt, 'image/svg+xml', convert_to(d.content, 'UTF8')
FROM unnest(:ids, :product_ids, :positions, :alts, :contents) d(id, product_id, position, alt, content);

-- compare_at_minor: 0 for none.
-- name: demo_price_insert(ids price_id[], variant_ids variant_id[], currencies text[], amounts_minor int8[], compares_minor int8[]) :exec
INSERT INTO price (id, variant_id, currency, amount_minor, compare_at_minor, valid_from)
SELECT d.id, d.variant_id, d.currency, d.amount, nullif(d.compare, 0), now() - interval '300 days'
FROM unnest(:ids, :variant_ids, :currencies, :amounts_minor, :compares_minor) d(id, variant_id, currency, amount, compare);

-- What is on hand came in by one receipt each.
-- name: demo_stock_insert(ids movement_id[], variant_ids variant_id[], location_ids location_id[], quantities int4[]) :exec
WITH given AS MATERIALIZED (
    SELECT d.*, l.priority
    FROM unnest(:ids, :variant_ids, :location_ids, :quantities) d(id, variant_id, location_id, quantity)
    JOIN location l ON l.id = d.location_id
), received AS (
    INSERT INTO movement (id, variant_id, location_id, quantity, reason, note)
    SELECT g.id, g.variant_id, g.location_id, g.quantity, 'receipt', 'opening stock' FROM given g WHERE g.quantity > 0
)
INSERT INTO stock (variant_id, location_id, priority, on_hand)
SELECT g.variant_id, g.location_id, g.priority, g.quantity FROM given g;

-- name: demo_counts() :one
-- returns: products int8, variants int8, vendors int8, categories int8, pictures int8, units int8
SELECT (SELECT count(*) FROM product p WHERE p.state = 'published') AS products,
       (SELECT count(*) FROM variant) AS variants, (SELECT count(*) FROM vendor) AS vendors,
       (SELECT count(*) FROM category) AS categories, (SELECT count(*) FROM media) AS pictures,
       (SELECT coalesce(sum(s.on_hand), 0)::bigint FROM stock s) AS units;

-- name: demo_user_find(email text) :one
-- returns: id user_id
SELECT u.id FROM users u WHERE u.email = :email;

-- Plans that are made on statistics of empty tables are poison.
-- name: demo_analyze() :exec
ANALYZE vendor, location, category, attribute, product, variant, media, price, stock, movement, listing, listing_place, search_word;
