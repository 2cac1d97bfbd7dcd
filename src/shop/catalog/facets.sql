-- Facets: how many products there would be behind each further choice.

-- A facet's counts ignore what was chosen in it, so each facet with a choice is asked about by itself (named by the facet), and one question
-- is about all others (named ''). Where nothing but a list was asked for, its kept counts are read. Where the keys, as if they were
-- independent of each other, leave at most 300 products, those that have them all are looked at (at most 500); else the newest 500 places of the
-- list, or 60 that a search finds, and counts say that they are minimums. So the work is bounded, whatever the size of the shop.

-- The products to be counted, once for all questions that look at the same ones: facets.h says how they are written. What no question of them lets pass
-- is left out; a question about prices or the stock lets pass whatever they are. Planned once for all ways, and those that are not
-- for a question are not begun. asked_keys: those of facets, in their order; where several values of an attribute are asked for, which mean any of them,
-- they are decided by whoever counts (facets.c).
-- name: listing_facet_products(currency text, category_id category_id?, vendor_id vendor_id?, brand text?, facets text[]?, price_least int8?, price_most int8?, in_stock_only bool, typed text?, corrected bool) :many
-- returns: questions text[], is_minimum bool, products bytea?, asked_keys int8[]
WITH whole AS MATERIALIZED (
    SELECT greatest(coalesce((SELECT c.count FROM listing_count c
                              WHERE c.list_id = coalesce(:category_id::uuid, '00000000-0000-0000-0000-000000000000')
                                AND c.currency = :currency::char(3) AND c.key = 0), 1), 1)::float8 AS count
), asked AS MATERIALIZED ( -- each count by the index, not by reading all counts of the list
    SELECT a.facet, a.key,
           coalesce((SELECT c.count FROM listing_count c
                     WHERE c.list_id = coalesce(:category_id::uuid, '00000000-0000-0000-0000-000000000000')
                       AND c.currency = :currency::char(3) AND c.key = a.key), 0)::float8 AS count
    FROM listing_asked(:category_id, :vendor_id, :brand, :facets) a
), facet AS MATERIALIZED (
    SELECT a.facet, CASE WHEN count(*) = 1 THEN min(a.key) END AS key, sum(a.count) AS count FROM asked a GROUP BY a.facet
), chosen AS (
    SELECT '' AS of UNION SELECT a.facet FROM facet a WHERE a.facet <> 'category'
    UNION SELECT 'price' WHERE coalesce(:price_least::bigint, :price_most::bigint) IS NOT NULL
    UNION SELECT 'stock' WHERE :in_stock_only::boolean
), question AS (
    SELECT c.of, keyed.keys, listing_to_read(:category_id, CASE WHEN c.of <> 'vendor' THEN :vendor_id::uuid END, CASE WHEN c.of <> 'brand' THEN :brand::text END) AS list_id,
           CASE WHEN c.of <> 'price' THEN :price_least::bigint END AS least, CASE WHEN c.of <> 'price' THEN :price_most::bigint END AS most,
           :in_stock_only::boolean AND c.of <> 'stock' AS stock, keyed.by_list_alone, keyed.found <= 300 AND cardinality(keyed.keys) > 0 AS narrow
    FROM chosen c
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(a.key ORDER BY a.count, a.key) FILTER (WHERE a.key IS NOT NULL), '{}') AS keys, count(*) FILTER (WHERE a.facet <> 'category') = 0 AS by_list_alone,
               (SELECT count FROM whole) * coalesce(exp(sum(ln(greatest(a.count, 0.001) / (SELECT count FROM whole))) FILTER (WHERE a.key IS NOT NULL)), 1) AS found
        FROM facet a WHERE a.facet <> c.of) keyed
), source AS MATERIALIZED ( -- a search has one for each question, so that it looks among what that lets pass
    SELECT array_agg(q.of) AS questions, q.keys, q.list_id, q.narrow AND :typed::text IS NULL AS narrow, NOT q.narrow AND :typed::text IS NULL AS wide,
           CASE WHEN bool_and(q.least IS NOT NULL) THEN min(q.least) END AS least, CASE WHEN bool_and(q.most IS NOT NULL) THEN max(q.most) END AS most,
           bool_and(q.stock) AS stock
    FROM question q
    WHERE :typed::text IS NOT NULL OR NOT q.by_list_alone OR coalesce(q.least, q.most) IS NOT NULL OR q.stock
    GROUP BY q.keys, q.list_id, q.narrow, CASE WHEN :typed::text IS NOT NULL THEN q.of END
)
SELECT s.questions, looked.count >= CASE WHEN :typed::text IS NULL THEN 500 ELSE 60 END AS is_minimum, looked.products,
       ARRAY(SELECT listing_key('attribute ' || f.facet) FROM unnest(:facets::text[]) WITH ORDINALITY f(facet, n) ORDER BY f.n) AS asked_keys
FROM source s
CROSS JOIN LATERAL (
    SELECT count(*) AS count,
           string_agg(array_send(way.keys || (way.price_minor * 2 + way.in_stock::integer)), '')
               FILTER (WHERE (NOT s.wide OR way.keys @> s.keys) AND (s.least IS NULL OR way.price_minor >= s.least)
                         AND (s.most IS NULL OR way.price_minor <= s.most) AND (way.in_stock OR NOT s.stock)
                         AND coalesce(NOT way.keys && (SELECT listing_leaving()), true)) AS products
    FROM (
        (SELECT l.keys, l.price_minor, l.in_stock FROM listing l
         WHERE s.narrow AND listing_paired(l.keys) @> listing_to_find(s.keys) AND l.currency = :currency::char(3)
         LIMIT 500)
        UNION ALL
        (SELECT at.keys, at.price_minor, at.in_stock FROM listing_place at
         WHERE s.wide AND at.list_id = s.list_id AND at.currency = :currency::char(3)
         ORDER BY at.published_at DESC, at.product_id DESC
         LIMIT 500)
        UNION ALL
        SELECT h.keys, h.price_minor, h.in_stock
        FROM listing_hits(CASE WHEN :corrected::boolean THEN search_corrected(:typed) ELSE search_query(:typed) END, :currency, s.keys, s.least, s.most, s.stock) h
        WHERE :typed::text IS NOT NULL) way) looked;

-- The kept counts of a list: of the one facet that alone was chosen, or of all where none was. The greatest of each facet, so that as much is read of a large
-- shop as of a small one; of categories those right below.
-- name: listing_facet_kept(currency text, category_id category_id?, of text?) :many
-- returns: facet text, value text, count int8, place int8
WITH RECURSIVE list AS MATERIALIZED (
    SELECT coalesce(:category_id::uuid, '00000000-0000-0000-0000-000000000000') AS id, :currency::char(3) AS currency
), kept_facet (facet) AS ( -- from one facet of the list to the next, by the index
    SELECT coalesce(:of::text, (SELECT min(c.facet) FROM listing_count c WHERE c.list_id = list.id AND c.currency = list.currency)) FROM list
    UNION ALL
    SELECT (SELECT min(c.facet) FROM listing_count c WHERE c.list_id = list.id AND c.currency = list.currency AND c.facet > k.facet)
    FROM kept_facet k, list WHERE k.facet IS NOT NULL AND :of::text IS NULL
), told AS ( -- what every list has, and the attributes that most products have
    SELECT o.facet FROM unnest('{brand,price,stock,total,vendor}'::text[]) o (facet) WHERE :of::text IS NULL OR o.facet = :of::text
    UNION ALL
    (SELECT k.facet
     FROM (SELECT k.facet FROM kept_facet k WHERE k.facet LIKE '=%' LIMIT 400) k
     CROSS JOIN list
     CROSS JOIN LATERAL (SELECT c.count FROM listing_count c
                         WHERE c.list_id = list.id AND c.currency = list.currency AND c.facet = k.facet
                         ORDER BY c.count DESC LIMIT 1) greatest
     ORDER BY greatest.count DESC, k.facet LIMIT 40)
)
SELECT f.facet, n.value, most.count, most.place
FROM told f
CROSS JOIN list
CROSS JOIN LATERAL (
    SELECT c.key, c.count, row_number() OVER (ORDER BY c.count DESC, c.key DESC) AS place
    FROM listing_count c
    WHERE c.list_id = list.id AND c.currency = list.currency AND c.facet = f.facet AND c.count > 0
    ORDER BY c.count DESC, c.key DESC LIMIT 50) most
JOIN listing_key_name n ON n.key = most.key
WHERE most.key <> ALL (coalesce((SELECT listing_leaving()), '{}'))
UNION ALL
SELECT 'category', child.id::text, c.count, 0
FROM list
JOIN category child ON child.parent_id IS NOT DISTINCT FROM :category_id
JOIN listing_count c ON c.list_id = list.id AND c.currency = list.currency AND c.key = listing_key('category ' || child.id)
WHERE :of::text IS NULL AND c.count > 0;

-- What keys mean, for those that this process has not met yet.
-- name: listing_key_names(keys int8[]) :many
-- returns: key int8, facet text, value text
SELECT n.key, n.facet, n.value FROM listing_key_name n WHERE n.key = ANY (:keys::bigint[]);

-- How what is shown is called: attributes in the order of their labels, these vendors, and the categories right below.
-- name: listing_facet_names(category_id category_id?, vendors text[], codes text[]) :many
-- returns: kind text, id text, name text
(SELECT 'attribute' AS kind, c.code AS id, coalesce(a.label, initcap(c.code)) AS name
 FROM unnest(:codes::text[]) c(code) LEFT JOIN attribute a ON a.code = c.code
 ORDER BY 3, 2)
UNION ALL
SELECT 'vendor', v.id::text, v.name FROM vendor v WHERE v.id = ANY (:vendors::text[]::uuid[])
UNION ALL
SELECT 'category', c.id::text, c.name FROM category c WHERE c.parent_id = :category_id
UNION ALL
SELECT 'category', c.id::text, c.name FROM category c WHERE c.parent_id IS NULL AND :category_id::uuid IS NULL;

-- ── kept counts ──

-- Takes in what has changed, the oldest first. Rows that another run has taken are left to it.
-- name: listing_count_fold(most int4) :one
-- returns: taken int8
WITH taken AS (
    DELETE FROM listing_count_change
    WHERE id IN (SELECT id FROM listing_count_change ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING list_id, currency, gained, lost
), changed AS (
    SELECT t.list_id, t.currency, by.key, sum(by.n) AS n
    FROM taken t, LATERAL (SELECT key, 1 AS n FROM unnest(t.gained) key UNION ALL SELECT key, -1 FROM unnest(t.lost) key) by
    GROUP BY 1, 2, 3
    HAVING sum(by.n) <> 0
), folded AS (
    INSERT INTO listing_count AS k (list_id, currency, key, facet, count)
    SELECT c.list_id, c.currency, c.key, n.facet, c.n
    FROM changed c JOIN listing_key_name n ON n.key = c.key
    ORDER BY 1, 2, 3
    ON CONFLICT (list_id, currency, key) DO UPDATE SET count = k.count + excluded.count
)
SELECT count(*) AS taken FROM taken;

-- Two that count at once would both add what is missing: one waits for the other. Not in the statement that counts, whose snapshot is older than its locks.
-- name: listing_recount_lock() :one
-- returns: locked bool
SELECT pg_advisory_xact_lock(5201734418) IS NOT NULL AS locked;

-- Counts what stands in some lists, in the order of their ids, and adds to the kept counts what they lack beside the changes that wait. So
-- edits go on meanwhile, and changes are taken in: both leave the sum of kept and waiting as it was, or as it has to be.
-- name: listing_recount(after uuid, most int4) :one
-- returns: lists int8, last_id uuid?
WITH list AS MATERIALIZED (
    SELECT l.list_id
    FROM (SELECT '00000000-0000-0000-0000-000000000000'::uuid AS list_id UNION ALL SELECT id FROM category) l
    WHERE l.list_id > :after OR (:after = '00000000-0000-0000-0000-000000000000' AND l.list_id = :after)
    ORDER BY l.list_id LIMIT :most
), kept AS (
    SELECT c.list_id, c.currency, c.key, sum(c.count) AS count
    FROM (SELECT k.list_id, k.currency, k.key, k.count FROM list JOIN listing_count k USING (list_id)
          UNION ALL
          SELECT w.list_id, w.currency, by.key, by.n
          FROM list JOIN listing_count_change w USING (list_id),
               LATERAL (SELECT key, 1 AS n FROM unnest(w.gained) key UNION ALL SELECT key, -1 FROM unnest(w.lost) key) by) c
    GROUP BY 1, 2, 3
), counted AS (
    SELECT at.list_id, at.currency, key, count(*) AS count
    FROM list JOIN listing_place at USING (list_id), unnest(listing_counted(at.keys, at.price_minor, at.in_stock)) key
    WHERE key IS NOT NULL
    GROUP BY 1, 2, 3
), mended AS (
    INSERT INTO listing_count AS k (list_id, currency, key, facet, count)
    SELECT list_id, currency, key, n.facet, coalesce(c.count, 0) - coalesce(k.count, 0)
    FROM kept k FULL JOIN counted c USING (list_id, currency, key) JOIN listing_key_name n USING (key)
    WHERE coalesce(c.count, 0) <> coalesce(k.count, 0)
    ORDER BY 1, 2, 3
    ON CONFLICT (list_id, currency, key) DO UPDATE SET count = k.count + excluded.count
)
SELECT count(*) AS lists, (array_agg(list_id ORDER BY list_id DESC))[1] AS last_id FROM list;

-- Where kept counts, with what waits to be taken in, are not what the lists hold: in some lists drawn by lot, of at most 5,000
-- products each.
-- name: listing_count_check(lists int4, most int4) :many
-- returns: list text, currency text, key_name text, kept int8, counted int8
WITH list AS MATERIALIZED (
    SELECT k.list_id, k.currency FROM listing_count k
    WHERE k.key = 0 AND k.count <= 5000
    ORDER BY random() LIMIT :lists
), kept AS (
    SELECT c.list_id, c.currency, c.key, sum(c.count) AS count
    FROM (SELECT k.list_id, k.currency, k.key, k.count FROM listing_count k JOIN list USING (list_id, currency)
          UNION ALL
          SELECT w.list_id, w.currency, by.key, by.n
          FROM listing_count_change w JOIN list USING (list_id, currency),
               LATERAL (SELECT key, 1 AS n FROM unnest(w.gained) key UNION ALL SELECT key, -1 FROM unnest(w.lost) key) by) c
    GROUP BY 1, 2, 3
), counted AS (
    SELECT at.list_id, at.currency, key, count(*) AS count
    FROM list JOIN listing_place at USING (list_id, currency), unnest(listing_counted(at.keys, at.price_minor, at.in_stock)) key
    WHERE key IS NOT NULL
    GROUP BY 1, 2, 3
)
SELECT CASE list_id WHEN '00000000-0000-0000-0000-000000000000' THEN 'everything' ELSE wire_id('cat', list_id) END AS list,
       currency::text, coalesce(n.facet || ' ' || n.value, key::text) AS key_name, coalesce(k.count, 0)::bigint AS kept,
       coalesce(c.count, 0) AS counted
FROM kept k
FULL JOIN counted c USING (list_id, currency, key)
LEFT JOIN listing_key_name n USING (key)
WHERE coalesce(k.count, 0) <> coalesce(c.count, 0)
LIMIT :most;
