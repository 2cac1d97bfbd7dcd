-- Facets: how many products there would be behind each further choice.

-- A facet's counts ignore what was chosen in it, so each facet with a choice is asked about by itself (`of`), and one question
-- is about all others (`of` is NULL). Where nothing but a list was asked for, its kept counts are read. Where the keys, as if they were
-- independent of each other, leave at most 300 products, those that have them all are looked at (at most 500); else the newest 500 places of the
-- list, or 60 that a search finds, and counts say that they are minimums. So the work is bounded, whatever the size of the shop. Planned once for
-- all questions: every way stands in the plan, and those that are not for a question are not begun.
-- name: listing_facets(currency text, category_id category_id?, vendor_id vendor_id?, brand text?, facets text[]?, price_least int8?, price_most int8?, in_stock_only bool, typed text?, corrected bool) :one
-- returns: body json
WITH RECURSIVE whole AS MATERIALIZED (
    SELECT greatest(coalesce((SELECT c.count FROM listing_count c
                              WHERE c.list_id = coalesce(:category_id::uuid, '00000000-0000-0000-0000-000000000000')
                                AND c.currency = :currency::char(3) AND c.key = 0), 1), 1)::float8 AS count
), asked AS MATERIALIZED ( -- each count by the index, not by reading all counts of the list
    SELECT a.facet, a.key,
           coalesce((SELECT c.count FROM listing_count c
                     WHERE c.list_id = coalesce(:category_id::uuid, '00000000-0000-0000-0000-000000000000')
                       AND c.currency = :currency::char(3) AND c.key = a.key), 0)::float8 AS count
    FROM listing_asked(:category_id, :vendor_id, :brand, :facets) a
), chosen AS (
    SELECT NULL AS of UNION SELECT a.facet FROM asked a WHERE a.facet <> 'category'
    UNION SELECT 'price' WHERE coalesce(:price_least::bigint, :price_most::bigint) IS NOT NULL
    UNION SELECT 'stock' WHERE :in_stock_only::boolean
), question AS (
    SELECT c.of, CASE WHEN c.of IS DISTINCT FROM 'vendor' THEN :vendor_id::uuid END AS vendor_id,
           CASE WHEN c.of IS DISTINCT FROM 'brand' THEN :brand::text END AS brand,
           CASE WHEN c.of IS DISTINCT FROM 'price' THEN :price_least::bigint END AS least,
           CASE WHEN c.of IS DISTINCT FROM 'price' THEN :price_most::bigint END AS most,
           :in_stock_only::boolean AND c.of IS DISTINCT FROM 'stock' AS stock,
           keyed.keys, keyed.by_list_alone, keyed.found
    FROM chosen c
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(a.key ORDER BY a.count, a.key), '{}') AS keys, count(*) FILTER (WHERE a.facet <> 'category') = 0 AS by_list_alone,
               (SELECT count FROM whole) * coalesce(exp(sum(ln(greatest(a.count, 0.001) / (SELECT count FROM whole)))), 1) AS found
        FROM asked a WHERE a.facet IS DISTINCT FROM c.of) keyed
), sized AS MATERIALIZED (
    SELECT p.*, NOT p.kept AND :typed::text IS NULL AND p.found <= 300 AS narrow, NOT p.kept AND :typed::text IS NULL AND p.found > 300 AS wide
    FROM (SELECT q.*, listing_to_read(:category_id, q.vendor_id, q.brand) AS list_id,
                 :typed::text IS NULL AND q.by_list_alone AND coalesce(q.least, q.most) IS NULL AND NOT q.stock AS kept
          FROM question q) p
), walked AS MATERIALIZED ( -- once for all questions about a list
    SELECT w.list_id, at.keys, at.price_minor, at.in_stock
    FROM (SELECT DISTINCT s.list_id FROM sized s WHERE s.wide) w
    CROSS JOIN LATERAL (
        SELECT at.keys, at.price_minor, at.in_stock FROM listing_place at
        WHERE at.list_id = w.list_id AND at.currency = :currency::char(3)
        ORDER BY at.published_at DESC, at.product_id DESC
        LIMIT 500) at
), searched AS MATERIALIZED ( -- once for each question, so that the search looks among what it lets pass
    SELECT s.of, h.keys, h.price_minor, h.in_stock
    FROM sized s
    CROSS JOIN LATERAL listing_hits(CASE WHEN :corrected::boolean THEN search_corrected(:typed) ELSE search_query(:typed) END, :currency, s.keys, s.least,
                                    s.most, s.stock) h
    WHERE :typed::text IS NOT NULL
), fetched AS MATERIALIZED ( -- once for all questions that ask for the same keys
    SELECT n.keys AS asked, l.keys, l.price_minor, l.in_stock
    FROM (SELECT DISTINCT s.keys FROM sized s WHERE s.narrow) n
    CROSS JOIN LATERAL (
        SELECT l.keys, l.price_minor, l.in_stock FROM listing l
        WHERE listing_paired(l.keys) @> listing_to_find(n.keys) AND l.keys @> n.keys AND l.currency = :currency::char(3)
        LIMIT 500) l
), looked AS MATERIALIZED (
    SELECT s.of, way.keys, way.price_minor, way.in_stock
    FROM sized s
    CROSS JOIN LATERAL (
        SELECT f.keys, f.price_minor, f.in_stock FROM fetched f WHERE s.narrow AND f.asked = s.keys
        UNION ALL
        SELECT w.keys, w.price_minor, w.in_stock FROM walked w WHERE s.wide AND w.list_id = s.list_id AND w.keys @> s.keys
        UNION ALL
        SELECT f.keys, f.price_minor, f.in_stock FROM searched f WHERE f.of IS NOT DISTINCT FROM s.of) way
    WHERE (s.least IS NULL OR way.price_minor >= s.least) AND (s.most IS NULL OR way.price_minor <= s.most) AND (NOT s.stock OR way.in_stock)
), limited AS MATERIALIZED ( -- the ways of which there was more than is looked at
    SELECT w.list_id, NULL::bigint[] AS keys, NULL AS of FROM walked w GROUP BY w.list_id HAVING count(*) >= 500
    UNION ALL SELECT NULL, f.asked, NULL FROM fetched f GROUP BY f.asked HAVING count(*) >= 500
    UNION ALL SELECT NULL, NULL, coalesce(f.of, '') FROM searched f GROUP BY f.of HAVING count(*) >= 60
), minimum AS MATERIALIZED (
    SELECT s.of, NOT s.kept AND EXISTS (SELECT FROM limited l WHERE CASE WHEN s.wide THEN l.list_id = s.list_id WHEN s.narrow THEN l.keys = s.keys
                                                                         ELSE l.of = coalesce(s.of, '') END) AS it
    FROM sized s
), tallied AS MATERIALIZED ( -- of a question about prices or the stock nothing else is counted
    SELECT l.of, key, count(*) AS count
    FROM looked l,
         unnest(CASE l.of WHEN 'price' THEN listing_counted('{}', l.price_minor, NULL) WHEN 'stock' THEN listing_counted('{}', 0, l.in_stock)
                          ELSE listing_counted(l.keys, l.price_minor, l.in_stock) END) key
    WHERE key IS NOT NULL
    GROUP BY 1, 2
), named AS MATERIALIZED ( -- a key that several questions have met is looked up once
    SELECT t.key, n.facet, n.value
    FROM (SELECT DISTINCT key FROM tallied) t
    CROSS JOIN LATERAL (SELECT n.facet, n.value FROM listing_key_name n WHERE n.key = t.key LIMIT 1) n
), kept_facet (list_id, facet) AS ( -- from one facet of the list to the next, by the index
    SELECT s.list_id, (SELECT min(c.facet) FROM listing_count c WHERE c.list_id = s.list_id AND c.currency = :currency::char(3))
    FROM sized s WHERE s.kept
    UNION ALL
    SELECT k.list_id, (SELECT min(c.facet) FROM listing_count c
                       WHERE c.list_id = k.list_id AND c.currency = :currency::char(3) AND c.facet > k.facet)
    FROM kept_facet k WHERE k.facet IS NOT NULL
), counted AS (
    SELECT n.facet, n.value, c.count, row_number() OVER (PARTITION BY n.facet ORDER BY c.count DESC, n.value) AS n
    FROM tallied c JOIN named n ON n.key = c.key
    WHERE c.of IS NOT DISTINCT FROM (SELECT p.of FROM sized p WHERE p.of = n.facet)
      AND (n.facet <> 'category' OR EXISTS (SELECT FROM category child WHERE child.id = n.value::uuid
                                            AND child.parent_id IS NOT DISTINCT FROM :category_id))
    UNION ALL
    -- Kept: the greatest of each facet, so that as much is read of a large shop as of a small one.
    SELECT f.facet, n.value, most.count, most.n
    FROM sized s
    JOIN (SELECT list_id, facet FROM kept_facet WHERE facet <> 'category' LIMIT 100) f ON f.list_id = s.list_id
    CROSS JOIN LATERAL (
        SELECT c.key, c.count, row_number() OVER (ORDER BY c.count DESC, c.key DESC) AS n
        FROM listing_count c
        WHERE c.list_id = s.list_id AND c.currency = :currency::char(3) AND c.facet = f.facet AND c.count > 0
        ORDER BY c.count DESC, c.key DESC LIMIT 50) most
    JOIN listing_key_name n ON n.key = most.key
    WHERE s.kept AND s.of IS NOT DISTINCT FROM (SELECT p.of FROM sized p WHERE p.of = f.facet)
    UNION ALL
    SELECT 'category', child.id::text, c.count, row_number() OVER (ORDER BY c.count DESC, child.id)
    FROM sized s
    JOIN category child ON child.parent_id IS NOT DISTINCT FROM :category_id
    JOIN listing_count c ON c.list_id = s.list_id AND c.currency = :currency::char(3) AND c.key = listing_key('category ' || child.id)
    WHERE s.kept AND s.of IS NULL AND c.count > 0
), shown AS MATERIALIZED (
    SELECT c.facet, c.value, c.count, c.n FROM counted c WHERE c.n <= 50
), is_minimum AS MATERIALIZED (
    SELECT f.facet, coalesce((SELECT m.it FROM minimum m WHERE m.of = f.facet), (SELECT m.it FROM minimum m WHERE m.of IS NULL)) AS it
    FROM (SELECT DISTINCT facet FROM shown UNION SELECT unnest('{brand,vendor,category,price,stock,total}'::text[])) f
)
SELECT json_build_object(
    'total', coalesce((SELECT count FROM shown WHERE facet = 'total'), 0),
    'count_is_minimum', (SELECT it FROM is_minimum WHERE facet = 'total'),
    'attributes', (
        SELECT coalesce(json_agg(json_build_object('code', substr(v.facet, 2), 'label', coalesce(a.label, initcap(substr(v.facet, 2))), 'count_is_minimum', m.it, 'values', v.items)
                                 ORDER BY coalesce(a.label, initcap(substr(v.facet, 2))), v.facet), '[]')
        FROM (SELECT facet, json_agg(json_build_object('value', value, 'count', count) ORDER BY n) AS items
              FROM shown WHERE facet LIKE '=%' GROUP BY facet) v
        JOIN is_minimum m ON m.facet = v.facet
        LEFT JOIN attribute a ON a.code = substr(v.facet, 2)),
    'brands', (
        SELECT json_build_object('count_is_minimum', (SELECT it FROM is_minimum WHERE facet = 'brand'),
                                 'values', coalesce(json_agg(json_build_object('brand', value, 'count', count) ORDER BY n), '[]'))
        FROM shown WHERE facet = 'brand'),
    'vendors', (
        SELECT json_build_object('count_is_minimum', (SELECT it FROM is_minimum WHERE facet = 'vendor'),
                                 'values', coalesce(json_agg(json_build_object('id', wire_id('ven', v.id), 'name', v.name, 'count', count) ORDER BY n), '[]'))
        FROM shown JOIN vendor v ON v.id = value::uuid WHERE facet = 'vendor'),
    'categories', (
        SELECT json_build_object('count_is_minimum', (SELECT it FROM is_minimum WHERE facet = 'category'),
                                 'values', coalesce(json_agg(json_build_object('id', wire_id('cat', c.id), 'name', c.name, 'count', count) ORDER BY n), '[]'))
        FROM shown JOIN category c ON c.id = value::uuid WHERE facet = 'category'),
    'prices', (
        SELECT json_build_object('count_is_minimum', (SELECT it FROM is_minimum WHERE facet = 'price'),
                                 'values', coalesce(json_agg(json_build_object('from_minor', (listing_bands())[value::int],
                                     'to_minor', (listing_bands())[value::int + 1] - 1, 'count', count) ORDER BY value::int), '[]'))
        FROM shown WHERE facet = 'price'),
    'in_stock', json_build_object('count_is_minimum', (SELECT it FROM is_minimum WHERE facet = 'stock'),
                                  'count', coalesce((SELECT count FROM shown WHERE facet = 'stock'), 0))) AS body;

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
