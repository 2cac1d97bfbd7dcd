-- Queries of catalog: what shoppers read, and how vendors and staff change it. For listings and search see listing.sql.
--
-- `vendor_id vendor_id?` limits a query to what one vendor owns; NULL is staff. What is another vendor's has no row: it is
-- not found.

-- ── shoppers ──

-- The tree, parents before children, as a flat list.
-- name: category_tree() :one
-- returns: body json
WITH RECURSIVE tree AS (
    SELECT c.id, c.parent_id, c.slug, c.name, c.position, 0 AS depth, ARRAY[lpad(c.position::text, 10, '0') || c.name || c.id] AS place
    FROM category c WHERE c.parent_id IS NULL
    UNION ALL
    SELECT c.id, c.parent_id, c.slug, c.name, c.position, t.depth + 1, t.place || (lpad(c.position::text, 10, '0') || c.name || c.id)
    FROM category c JOIN tree t ON c.parent_id = t.id
)
SELECT json_build_object('items', coalesce(json_agg(json_build_object('id', wire_id('cat', tree.id), 'parent_id', wire_id('cat', tree.parent_id),
           'slug', tree.slug, 'name', tree.name, 'depth', tree.depth) ORDER BY tree.place), '[]')) AS body
FROM tree;

-- name: vendor_list(after vendor_id?, page_size int4) :one
-- returns: items json, more bool, last_id vendor_id?
WITH page AS (
    SELECT v.id, v.slug, v.name, row_number() OVER (ORDER BY v.id) AS n
    FROM vendor v
    WHERE v.state = 'active' AND (:after::uuid IS NULL OR v.id > :after)
    ORDER BY v.id
    LIMIT :page_size + 1
)
SELECT coalesce(json_agg(json_build_object('id', wire_id('ven', page.id), 'slug', page.slug, 'name', page.name) ORDER BY page.n)
           FILTER (WHERE page.n <= :page_size), '[]') AS items,
       count(*) > :page_size AS more,
       (SELECT last.id FROM page last WHERE last.n = :page_size) AS last_id
FROM page;

-- name: attribute_list() :one
-- returns: body json
SELECT json_build_object('items', coalesce(json_agg(json_build_object('code', a.code, 'label', a.label, 'type', a.type, 'choices', a.choices)
           ORDER BY a.code), '[]')) AS body
FROM attribute a;

-- A published product by its id or its slug, whole. `points`: what a price is in miles under the rules in force.
-- name: product_show(product_id product_id?, slug text?) :one
-- returns: product_id product_id, vendor_id vendor_id, body json
SELECT p.id AS product_id, p.vendor_id, json_build_object(
    'id', wire_id('prd', p.id), 'slug', p.slug, 'name', p.name, 'description', p.description, 'brand', p.brand, 'tender', p.tender,
    'vendor', json_build_object('id', wire_id('ven', ven.id), 'slug', ven.slug, 'name', ven.name),
    'categories', (SELECT json_agg(json_build_object('id', wire_id('cat', c.id), 'slug', c.slug, 'name', c.name) ORDER BY step.n)
                   FROM unnest(p.category_path) WITH ORDINALITY step(id, n) JOIN category c ON c.id = step.id),
    'attributes', (SELECT coalesce(json_agg(json_build_object('code', a.code, 'label', a.label, 'type', a.type,
                                                              'value', p.attributes -> a.code) ORDER BY a.label), '[]')
                   FROM attribute a WHERE p.attributes ? a.code),
    'options', (SELECT coalesce(json_agg(json_build_object('code', o.code, 'values',
                          (SELECT json_agg(x.value ORDER BY x.first)
                           FROM (SELECT v.options ->> o.code AS value, min(v.position) AS first FROM variant v
                                 WHERE v.product_id = p.id AND v.state = 'active' GROUP BY 1) x)) ORDER BY o.n), '[]')
                FROM unnest(p.options) WITH ORDINALITY o(code, n)),
    'media', (SELECT coalesce(json_agg(json_build_object('id', wire_id('med', m.id), 'url', '/media/' || wire_id('med', m.id),
                                                         'alt', m.alt, 'content_type', m.content_type) ORDER BY m.position, m.id), '[]')
              FROM media m WHERE m.product_id = p.id),
    'variants', (
        SELECT coalesce(json_agg(json_build_object(
            'id', wire_id('var', v.id), 'sku', v.sku, 'title', v.title, 'options', v.options, 'weight_grams', v.weight_grams,
            'stock', stock_state((SELECT sum(s.on_hand - s.reserved) FROM stock s WHERE s.variant_id = v.id)),
            'prices', (SELECT coalesce(json_agg(json_build_object(
                           'currency', f.currency, 'amount_minor', f.amount_minor, 'compare_at_minor', f.compare_at_minor,
                           'valid_until', f.valid_until,
                           'points', CASE WHEN p.tender <> 'cash_only' THEN ceil(f.amount_minor * r.points_unit / r.minor_unit::numeric)::bigint END)
                           ORDER BY f.currency), '[]')
                       FROM (SELECT DISTINCT ON (pr.currency) pr.* FROM price pr
                             WHERE pr.variant_id = v.id AND pr.valid_from <= now() AND (pr.valid_until IS NULL OR pr.valid_until > now())
                             ORDER BY pr.currency, pr.valid_from DESC, pr.id DESC) f
                       LEFT JOIN miles_rate r ON r.currency = f.currency AND r.version = (SELECT max(version) FROM miles_policy)))
            ORDER BY v.position, v.id), '[]')
        FROM variant v WHERE v.product_id = p.id AND v.state = 'active'),
    'published_at', p.published_at, 'updated_at', p.updated_at) AS body
FROM product p
JOIN vendor ven ON ven.id = p.vendor_id AND ven.state = 'active'
WHERE p.id = coalesce(:product_id::uuid, (SELECT named.id FROM product named WHERE named.slug = :slug)) AND p.state = 'published';

-- name: media_show(media_id media_id, with_content bool) :one
-- returns: content_type text, content bytea?
SELECT m.content_type, CASE WHEN :with_content THEN m.content END AS content FROM media m WHERE m.id = :media_id;

-- ── vendors and staff: reading ──

-- name: managed_product_list(vendor_id vendor_id?, state text?, before product_id?, page_size int4) :one
-- returns: items json, more bool, last_id product_id?
WITH page AS (
    SELECT p.*, row_number() OVER (ORDER BY p.id DESC) AS n
    FROM product p
    WHERE (:vendor_id::uuid IS NULL OR p.vendor_id = :vendor_id) AND (:state::text IS NULL OR p.state = :state)
      AND (:before::uuid IS NULL OR p.id < :before)
    ORDER BY p.id DESC
    LIMIT :page_size + 1
)
SELECT coalesce(json_agg(json_build_object('id', wire_id('prd', page.id), 'vendor_id', wire_id('ven', page.vendor_id),
           'category_id', wire_id('cat', page.category_id), 'slug', page.slug, 'name', page.name, 'brand', page.brand,
           'state', page.state, 'tender', page.tender, 'version', page.version,
           'created_at', page.created_at, 'updated_at', page.updated_at) ORDER BY page.n)
           FILTER (WHERE page.n <= :page_size), '[]') AS items,
       count(*) > :page_size AS more,
       (SELECT last.id FROM page last WHERE last.n = :page_size) AS last_id
FROM page;

-- name: managed_product_show(product_id product_id, vendor_id vendor_id?) :one
-- returns: version int4, body json
SELECT p.version, json_build_object(
    'id', wire_id('prd', p.id), 'vendor_id', wire_id('ven', p.vendor_id), 'category_id', wire_id('cat', p.category_id),
    'slug', p.slug, 'name', p.name, 'description', p.description, 'brand', p.brand, 'state', p.state, 'tender', p.tender,
    'attributes', p.attributes, 'options', p.options, 'version', p.version,
    'media', (SELECT coalesce(json_agg(json_build_object('id', wire_id('med', m.id), 'url', '/media/' || wire_id('med', m.id), 'alt', m.alt,
                                                         'content_type', m.content_type) ORDER BY m.position, m.id), '[]')
              FROM media m WHERE m.product_id = p.id),
    'variants', (
        SELECT coalesce(json_agg(json_build_object(
            'id', wire_id('var', v.id), 'sku', v.sku, 'title', v.title, 'options', v.options, 'weight_grams', v.weight_grams,
            'position', v.position, 'state', v.state,
            'stock', stock_state((SELECT sum(s.on_hand - s.reserved) FROM stock s WHERE s.variant_id = v.id)),
            'prices', (SELECT coalesce(json_agg(json_build_object('currency', f.currency, 'amount_minor', f.amount_minor,
                                                                  'compare_at_minor', f.compare_at_minor, 'valid_until', f.valid_until)
                                                ORDER BY f.currency), '[]')
                       FROM (SELECT DISTINCT ON (pr.currency) pr.* FROM price pr
                             WHERE pr.variant_id = v.id AND pr.valid_from <= now() AND (pr.valid_until IS NULL OR pr.valid_until > now())
                             ORDER BY pr.currency, pr.valid_from DESC, pr.id DESC) f))
            ORDER BY v.position, v.id), '[]')
        FROM variant v WHERE v.product_id = p.id),
    'created_at', p.created_at, 'updated_at', p.updated_at, 'published_at', p.published_at) AS body
FROM product p
WHERE p.id = :product_id AND (:vendor_id::uuid IS NULL OR p.vendor_id = :vendor_id);

-- ── vendors and staff: products ──

-- What a product needs to know of other tables before it is written. NULL: there is no such vendor, no such category.
-- name: product_context(vendor_id vendor_id?, category_id category_id?, codes text[]) :one
-- returns: vendor_state text?, category_path uuid[]?, definitions json
SELECT (SELECT v.state FROM vendor v WHERE v.id = :vendor_id) AS vendor_state,
       (SELECT c.path FROM category c WHERE c.id = :category_id) AS category_path,
       (SELECT coalesce(json_object_agg(a.code, json_build_object('type', a.type, 'choices', a.choices)), '{}')
        FROM attribute a WHERE a.code = ANY(:codes)) AS definitions;

-- name: product_create(id product_id, vendor_id vendor_id, category_id category_id, category_path uuid[], slug text, name text, description text, brand text?, tender text, attributes jsonb, options text[]) :exec
INSERT INTO product (id, vendor_id, category_id, category_path, slug, name, description, brand, tender, attributes, options)
VALUES (:id, :vendor_id, :category_id, :category_path, :slug, :name, :description, :brand, :tender, :attributes, :options);

-- Every change of a product, its variants, pictures or prices begins here, so that they happen one after the other.
-- name: product_lock(product_id product_id, vendor_id vendor_id?) :one
-- returns: id product_id, vendor_id vendor_id, category_id category_id, state text, version int4, name text, options text[], variants int8, pictures int8
SELECT p.id, p.vendor_id, p.category_id, p.state, p.version, p.name, p.options,
       (SELECT count(*) FROM variant v WHERE v.product_id = p.id) AS variants,
       (SELECT count(*) FROM media m WHERE m.product_id = p.id) AS pictures
FROM product p
WHERE p.id = :product_id AND (:vendor_id::uuid IS NULL OR p.vendor_id = :vendor_id)
FOR NO KEY UPDATE OF p;

-- The product of a variant, of a picture; no row where it is another vendor's.
-- name: variant_product(variant_id variant_id, vendor_id vendor_id?) :one
-- returns: product_id product_id
SELECT v.product_id FROM variant v WHERE v.id = :variant_id AND (:vendor_id::uuid IS NULL OR v.vendor_id = :vendor_id);

-- name: media_product(media_id media_id, vendor_id vendor_id?) :one
-- returns: product_id product_id
SELECT m.product_id FROM media m JOIN product p ON p.id = m.product_id
WHERE m.id = :media_id AND (:vendor_id::uuid IS NULL OR p.vendor_id = :vendor_id);

-- NULL leaves a column as it is; brand is set when set_brand.
-- name: product_update(product_id product_id, category_id category_id?, category_path uuid[]?, slug text?, name text?, description text?, set_brand bool, brand text?, tender text?, attributes jsonb?, options text[]?) :exec
UPDATE product
SET category_id = coalesce(:category_id, category_id), category_path = coalesce(:category_path, category_path),
    slug = coalesce(:slug, slug), name = coalesce(:name, name), description = coalesce(:description, description),
    brand = CASE WHEN :set_brand THEN :brand ELSE brand END, tender = coalesce(:tender, tender),
    attributes = coalesce(:attributes, attributes), options = coalesce(:options, options),
    version = version + 1, updated_at = now()
WHERE id = :product_id;

-- name: product_touch(product_id product_id) :exec
UPDATE product SET version = version + 1, updated_at = now() WHERE id = :product_id;

-- name: variant_titles_update(product_id product_id) :exec
UPDATE variant v SET title = variant_title(p.name, p.options, v.options), updated_at = now()
FROM product p
WHERE p.id = :product_id AND v.product_id = p.id AND v.title <> variant_title(p.name, p.options, v.options);

-- name: product_state_set(product_id product_id, state text) :exec
UPDATE product
SET state = :state, published_at = CASE WHEN :state = 'published' THEN coalesce(published_at, now()) ELSE published_at END,
    version = version + 1, updated_at = now()
WHERE id = :product_id;

-- A vendor who closes waits until a product of his that is being published is, so that it is among those that leave the lists.
-- name: product_vendor_hold(product_id product_id) :one
-- returns: vendor_id vendor_id
SELECT ven.id AS vendor_id FROM product p JOIN vendor ven ON ven.id = p.vendor_id WHERE p.id = :product_id FOR SHARE OF ven;

-- What stands in the way of publishing.
-- name: product_publish_check(product_id product_id) :one
-- returns: vendor_state text, variants int8, unpriced int8, pictures int8
SELECT ven.state AS vendor_state,
       (SELECT count(*) FROM variant v WHERE v.product_id = p.id AND v.state = 'active') AS variants,
       (SELECT count(*) FROM variant v WHERE v.product_id = p.id AND v.state = 'active'
        AND NOT EXISTS (SELECT FROM price pr WHERE pr.variant_id = v.id AND pr.valid_from <= now()
                        AND (pr.valid_until IS NULL OR pr.valid_until > now()))) AS unpriced,
       (SELECT count(*) FROM media m WHERE m.product_id = p.id) AS pictures
FROM product p JOIN vendor ven ON ven.id = p.vendor_id
WHERE p.id = :product_id;

-- name: variant_create(id variant_id, product_id product_id, sku text, options jsonb, weight_grams int4, position int4) :exec
INSERT INTO variant (id, product_id, vendor_id, sku, sku_key, options, options_key, title, weight_grams, position)
SELECT :id, p.id, p.vendor_id, :sku, lookalike_key(:sku), :options, lookalike_key(:options::jsonb::text),
       variant_title(p.name, p.options, :options), :weight_grams, :position
FROM product p WHERE p.id = :product_id;

-- name: variant_update(variant_id variant_id, sku text?, weight_grams int4?, position int4?, state text?) :exec
UPDATE variant
SET sku = coalesce(:sku, sku), sku_key = coalesce(lookalike_key(:sku), sku_key), weight_grams = coalesce(:weight_grams, weight_grams), position = coalesce(:position, position),
    state = coalesce(:state, state), updated_at = now()
WHERE id = :variant_id;

-- name: media_create(id media_id, product_id product_id, position int4, alt text, content_type text, content bytea) :exec
INSERT INTO media (id, product_id, position, alt, content_type, content)
VALUES (:id, :product_id, :position, :alt, :content_type, :content);

-- name: media_delete(media_id media_id) :exec
DELETE FROM media WHERE id = :media_id;

-- ── staff: categories, vendors, attributes ──

-- No row where the parent is given and does not exist.
-- name: category_create(id category_id, parent_id category_id?, slug text, name text, position int4) :one
-- returns: version int4, body json
INSERT INTO category AS made (id, parent_id, path, slug, name, position)
SELECT :id, :parent_id, coalesce(parent.path, '{}') || ARRAY[:id], :slug, :name, :position
FROM (SELECT 1) always
LEFT JOIN category parent ON parent.id = :parent_id
WHERE :parent_id::uuid IS NULL OR parent.id IS NOT NULL
RETURNING made.version, json_build_object('id', wire_id('cat', made.id), 'parent_id', wire_id('cat', made.parent_id), 'slug', made.slug,
    'name', made.name, 'depth', cardinality(made.path) - 1, 'position', made.position, 'version', made.version) AS body;

-- name: category_lock(category_id category_id) :one
-- returns: version int4
SELECT c.version FROM category c WHERE c.id = :category_id FOR NO KEY UPDATE;

-- name: category_update(category_id category_id, slug text?, name text?, position int4?) :one
-- returns: version int4, body json
UPDATE category AS made
SET slug = coalesce(:slug, slug), name = coalesce(:name, name), position = coalesce(:position, position), version = version + 1
WHERE id = :category_id
RETURNING made.version, json_build_object('id', wire_id('cat', made.id), 'parent_id', wire_id('cat', made.parent_id), 'slug', made.slug,
    'name', made.name, 'depth', cardinality(made.path) - 1, 'position', made.position, 'version', made.version) AS body;

-- name: category_show(category_id category_id) :one
-- returns: version int4, body json
SELECT c.version, json_build_object('id', wire_id('cat', c.id), 'parent_id', wire_id('cat', c.parent_id), 'slug', c.slug,
    'name', c.name, 'depth', cardinality(c.path) - 1, 'position', c.position, 'version', c.version) AS body
FROM category c WHERE c.id = :category_id;

-- name: vendor_create(id vendor_id, slug text, name text) :one
-- returns: version int4, body json
INSERT INTO vendor AS made (id, slug, name) VALUES (:id, :slug, :name)
RETURNING made.version, json_build_object('id', wire_id('ven', made.id), 'slug', made.slug, 'name', made.name, 'state', made.state,
    'version', made.version, 'created_at', made.created_at) AS body;

-- name: vendor_show(vendor_id vendor_id) :one
-- returns: version int4, body json
SELECT v.version, json_build_object('id', wire_id('ven', v.id), 'slug', v.slug, 'name', v.name, 'state', v.state,
    'version', v.version, 'created_at', v.created_at) AS body
FROM vendor v WHERE v.id = :vendor_id;

-- name: vendor_lock(vendor_id vendor_id) :one
-- returns: version int4
SELECT v.version FROM vendor v WHERE v.id = :vendor_id FOR NO KEY UPDATE;

-- Who closes is leaving until the task listing_vendor has taken everything out of the lists.
-- name: vendor_update(vendor_id vendor_id, slug text?, name text?, state text?) :one
-- returns: version int4, body json
UPDATE vendor AS made
SET slug = coalesce(:slug, slug), name = coalesce(:name, name), state = coalesce(:state, state), version = version + 1,
    leaving = coalesce(:state, state) = 'closed' AND (state <> 'closed' OR leaving)
WHERE id = :vendor_id
RETURNING made.version, json_build_object('id', wire_id('ven', made.id), 'slug', made.slug, 'name', made.name, 'state', made.state,
    'version', made.version, 'created_at', made.created_at) AS body;

-- Makes an attribute or changes its label; its type stays and its choices only grow, so that values that products have stay
-- good. No row where that would be broken.
-- name: attribute_put(code text, label text, type text, choices text[]) :one
-- returns: body json
INSERT INTO attribute AS made (code, label, type, choices)
VALUES (:code, :label, :type, :choices)
ON CONFLICT (code) DO UPDATE SET label = excluded.label, choices = excluded.choices
WHERE made.type = excluded.type AND made.choices <@ excluded.choices
RETURNING json_build_object('code', made.code, 'label', made.label, 'type', made.type, 'choices', made.choices) AS body;

-- name: attribute_choices(code text) :one
-- returns: choices text[]
SELECT a.choices FROM attribute a WHERE a.code = :code;

-- ── invariants ──

-- A variant's copy of the vendor, a product's copy of its category's path, and categories' paths.
-- name: catalog_check_copies(most int4) :many
-- returns: prefix text, id uuid, why text
SELECT 'var' AS prefix, v.id, 'its vendor is not the product''s' AS why FROM variant v JOIN product p ON p.id = v.product_id WHERE v.vendor_id <> p.vendor_id
UNION ALL
SELECT 'prd', p.id, 'its path is not the category''s' FROM product p JOIN category c ON c.id = p.category_id WHERE p.category_path <> c.path
UNION ALL
SELECT 'cat', c.id, 'its path is not its parent''s and its own id' FROM category c LEFT JOIN category parent ON parent.id = c.parent_id
WHERE c.path <> coalesce(parent.path, '{}') || ARRAY[c.id]
LIMIT :most;

-- A published product has an active variant, and each active variant names exactly the options of its product.
-- name: catalog_check_published(most int4) :many
-- returns: prefix text, id uuid, why text
SELECT 'prd' AS prefix, p.id, 'is on sale without an active variant' AS why FROM product p
WHERE p.state = 'published' AND NOT EXISTS (SELECT FROM variant v WHERE v.product_id = p.id AND v.state = 'active')
UNION ALL
SELECT 'var', v.id, 'its options are not those of its product' FROM variant v JOIN product p ON p.id = v.product_id
WHERE v.state = 'active' AND ARRAY(SELECT k FROM jsonb_object_keys(v.options) k ORDER BY k) <> ARRAY(SELECT o FROM unnest(p.options) o ORDER BY o)
LIMIT :most;
