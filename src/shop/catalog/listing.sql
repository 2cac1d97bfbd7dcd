-- Listings and search. A page of a list is read from an index of listing_place that has the list's order and, beside it, all
-- that filters ask for; only the cards of the page are fetched. Where filters leave little, everything that has the keys is
-- found first and sorted (listing_narrow); listing_plan says which of both costs less. Search begins with the words.
--
-- keys: what is asked for beside standing in the list. either_1 to either_4: of each of these one key, where several values of an attribute were chosen.
-- leaving: the vendors who have closed and whose products still wait to be taken out of the lists; hardly ever any.
-- Filters that were not asked for are NULL and fold away when PostgreSQL plans with the values at hand.

-- Newest first.
-- name: listing_newest(currency text, category_id category_id?, vendor_id vendor_id?, brand text?, value_list uuid?, keys int8[]?, facets text[]?, price_least int8?, price_most int8?, in_stock_only bool, typed text?, after_key timestamptz?, after_id product_id?, page_size int4) :one
-- returns: items text, more bool, last_number int8?, last_text text?, last_id product_id?
WITH asked AS MATERIALIZED (
    SELECT f.*, :page_size::integer + 1 AS most_places,
           coalesce(:after_key::timestamptz, 'infinity') AS after_key, coalesce(:after_id::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AS after_id
    FROM (SELECT coalesce(:value_list::uuid, listing_to_read(:category_id, :vendor_id, :brand)) AS list_id, :currency::char(3) AS currency, :keys::bigint[] AS keys,
                 :price_least::bigint AS least, :price_most::bigint AS most,
                 :in_stock_only::boolean AS in_stock_only, CASE WHEN :typed::text IS NOT NULL THEN search_query(:typed) END AS words,
                 listing_leaving() AS leaving, listing_either(:facets::text[], 1) AS either_1, listing_either(:facets::text[], 2) AS either_2,
                 listing_either(:facets::text[], 3) AS either_3, listing_either(:facets::text[], 4) AS either_4) f
), page AS (
    SELECT at.product_id, at.published_at, row_number() OVER (ORDER BY at.published_at DESC, at.product_id DESC) AS n
    FROM asked
    CROSS JOIN LATERAL (
        SELECT at.product_id, at.published_at
        FROM listing_place at
        WHERE at.list_id = asked.list_id AND at.currency = asked.currency AND (at.published_at, at.product_id) < (asked.after_key, asked.after_id)
          AND (asked.least IS NULL OR at.price_minor >= asked.least) AND (asked.most IS NULL OR at.price_minor <= asked.most)
          AND (at.in_stock OR NOT asked.in_stock_only)
          AND (asked.keys IS NULL OR at.keys @> asked.keys)
          AND (asked.either_1 IS NULL OR at.keys && asked.either_1 AND (asked.either_2 IS NULL OR at.keys && asked.either_2 AND
               (asked.either_3 IS NULL OR at.keys && asked.either_3 AND (asked.either_4 IS NULL OR at.keys && asked.either_4))))
          AND (asked.leaving IS NULL OR NOT at.keys && asked.leaving)
          AND (asked.words IS NULL OR EXISTS (
              SELECT FROM listing l WHERE l.product_id = at.product_id AND l.currency = at.currency AND l.search @@ asked.words))
        ORDER BY at.published_at DESC, at.product_id DESC
        LIMIT asked.most_places) at
)
SELECT coalesce((SELECT '[' || string_agg(l.card, ',' ORDER BY page.n) || ']'
                 FROM page JOIN listing l ON l.product_id = page.product_id AND l.currency = :currency::char(3)
                 WHERE page.n <= :page_size), '[]') AS items,
       (SELECT count(*) FROM page) > :page_size AS more,
       (extract(epoch FROM last.published_at) * 1000000)::bigint AS last_number, NULL::text AS last_text, last.product_id AS last_id
FROM (SELECT 1) always
LEFT JOIN page last ON last.n = :page_size;

-- Cheapest first: behind the cursor, or from the least price that was asked for.
-- name: listing_price_up(currency text, category_id category_id?, vendor_id vendor_id?, brand text?, value_list uuid?, keys int8[]?, facets text[]?, price_least int8?, price_most int8?, in_stock_only bool, typed text?, after_key int8?, after_id product_id?, page_size int4) :one
-- returns: items text, more bool, last_number int8?, last_text text?, last_id product_id?
WITH asked AS MATERIALIZED (
    SELECT f.*, :page_size::integer + 1 AS most_places,
           greatest(:after_key::bigint, f.least) AS after_key, CASE WHEN :after_key::bigint >= f.least THEN :after_id::uuid ELSE '00000000-0000-0000-0000-000000000000' END AS after_id
    FROM (SELECT coalesce(:value_list::uuid, listing_to_read(:category_id, :vendor_id, :brand)) AS list_id, :currency::char(3) AS currency, :keys::bigint[] AS keys,
                 coalesce(:price_least::bigint, 0) AS least, coalesce(:price_most::bigint, 9223372036854775807) AS most,
                 :in_stock_only::boolean AS in_stock_only, CASE WHEN :typed::text IS NOT NULL THEN search_query(:typed) END AS words,
                 listing_leaving() AS leaving, listing_either(:facets::text[], 1) AS either_1, listing_either(:facets::text[], 2) AS either_2,
                 listing_either(:facets::text[], 3) AS either_3, listing_either(:facets::text[], 4) AS either_4) f
), page AS (
    SELECT at.product_id, at.price_minor, row_number() OVER (ORDER BY at.price_minor, at.product_id) AS n
    FROM asked
    CROSS JOIN LATERAL (
        SELECT at.product_id, at.price_minor
        FROM listing_place at
        WHERE at.list_id = asked.list_id AND at.currency = asked.currency AND (at.price_minor, at.product_id) > (asked.after_key, asked.after_id)
          AND at.price_minor <= asked.most
          AND (at.in_stock OR NOT asked.in_stock_only)
          AND (asked.keys IS NULL OR at.keys @> asked.keys)
          AND (asked.either_1 IS NULL OR at.keys && asked.either_1 AND (asked.either_2 IS NULL OR at.keys && asked.either_2 AND
               (asked.either_3 IS NULL OR at.keys && asked.either_3 AND (asked.either_4 IS NULL OR at.keys && asked.either_4))))
          AND (asked.leaving IS NULL OR NOT at.keys && asked.leaving)
          AND (asked.words IS NULL OR EXISTS (
              SELECT FROM listing l WHERE l.product_id = at.product_id AND l.currency = at.currency AND l.search @@ asked.words))
        ORDER BY at.price_minor, at.product_id
        LIMIT asked.most_places) at
)
SELECT coalesce((SELECT '[' || string_agg(l.card, ',' ORDER BY page.n) || ']'
                 FROM page JOIN listing l ON l.product_id = page.product_id AND l.currency = :currency::char(3)
                 WHERE page.n <= :page_size), '[]') AS items,
       (SELECT count(*) FROM page) > :page_size AS more,
       last.price_minor AS last_number, NULL::text AS last_text, last.product_id AS last_id
FROM (SELECT 1) always
LEFT JOIN page last ON last.n = :page_size;

-- Dearest first.
-- name: listing_price_down(currency text, category_id category_id?, vendor_id vendor_id?, brand text?, value_list uuid?, keys int8[]?, facets text[]?, price_least int8?, price_most int8?, in_stock_only bool, typed text?, after_key int8?, after_id product_id?, page_size int4) :one
-- returns: items text, more bool, last_number int8?, last_text text?, last_id product_id?
WITH asked AS MATERIALIZED (
    SELECT f.*, :page_size::integer + 1 AS most_places,
           least(:after_key::bigint, f.most) AS after_key, CASE WHEN :after_key::bigint <= f.most THEN :after_id::uuid ELSE 'ffffffff-ffff-ffff-ffff-ffffffffffff' END AS after_id
    FROM (SELECT coalesce(:value_list::uuid, listing_to_read(:category_id, :vendor_id, :brand)) AS list_id, :currency::char(3) AS currency, :keys::bigint[] AS keys,
                 coalesce(:price_least::bigint, 0) AS least, coalesce(:price_most::bigint, 9223372036854775807) AS most,
                 :in_stock_only::boolean AS in_stock_only, CASE WHEN :typed::text IS NOT NULL THEN search_query(:typed) END AS words,
                 listing_leaving() AS leaving, listing_either(:facets::text[], 1) AS either_1, listing_either(:facets::text[], 2) AS either_2,
                 listing_either(:facets::text[], 3) AS either_3, listing_either(:facets::text[], 4) AS either_4) f
), page AS (
    SELECT at.product_id, at.price_minor, row_number() OVER (ORDER BY at.price_minor DESC, at.product_id DESC) AS n
    FROM asked
    CROSS JOIN LATERAL (
        SELECT at.product_id, at.price_minor
        FROM listing_place at
        WHERE at.list_id = asked.list_id AND at.currency = asked.currency AND (at.price_minor, at.product_id) < (asked.after_key, asked.after_id)
          AND at.price_minor >= asked.least
          AND (at.in_stock OR NOT asked.in_stock_only)
          AND (asked.keys IS NULL OR at.keys @> asked.keys)
          AND (asked.either_1 IS NULL OR at.keys && asked.either_1 AND (asked.either_2 IS NULL OR at.keys && asked.either_2 AND
               (asked.either_3 IS NULL OR at.keys && asked.either_3 AND (asked.either_4 IS NULL OR at.keys && asked.either_4))))
          AND (asked.leaving IS NULL OR NOT at.keys && asked.leaving)
          AND (asked.words IS NULL OR EXISTS (
              SELECT FROM listing l WHERE l.product_id = at.product_id AND l.currency = at.currency AND l.search @@ asked.words))
        ORDER BY at.price_minor DESC, at.product_id DESC
        LIMIT asked.most_places) at
)
SELECT coalesce((SELECT '[' || string_agg(l.card, ',' ORDER BY page.n) || ']'
                 FROM page JOIN listing l ON l.product_id = page.product_id AND l.currency = :currency::char(3)
                 WHERE page.n <= :page_size), '[]') AS items,
       (SELECT count(*) FROM page) > :page_size AS more,
       last.price_minor AS last_number, NULL::text AS last_text, last.product_id AS last_id
FROM (SELECT 1) always
LEFT JOIN page last ON last.n = :page_size;

-- By name.
-- name: listing_name(currency text, category_id category_id?, vendor_id vendor_id?, brand text?, value_list uuid?, keys int8[]?, facets text[]?, price_least int8?, price_most int8?, in_stock_only bool, typed text?, after_key text?, after_id product_id?, page_size int4) :one
-- returns: items text, more bool, last_number int8?, last_text text?, last_id product_id?
WITH asked AS MATERIALIZED (
    SELECT f.*, :page_size::integer + 1 AS most_places,
           coalesce(:after_key::text, '') AS after_key, coalesce(:after_id::uuid, '00000000-0000-0000-0000-000000000000') AS after_id
    FROM (SELECT coalesce(:value_list::uuid, listing_to_read(:category_id, :vendor_id, :brand)) AS list_id, :currency::char(3) AS currency, :keys::bigint[] AS keys,
                 :price_least::bigint AS least, :price_most::bigint AS most,
                 :in_stock_only::boolean AS in_stock_only, CASE WHEN :typed::text IS NOT NULL THEN search_query(:typed) END AS words,
                 listing_leaving() AS leaving, listing_either(:facets::text[], 1) AS either_1, listing_either(:facets::text[], 2) AS either_2,
                 listing_either(:facets::text[], 3) AS either_3, listing_either(:facets::text[], 4) AS either_4) f
), page AS (
    SELECT at.product_id, at.sort_name, row_number() OVER (ORDER BY at.sort_name, at.product_id) AS n
    FROM asked
    CROSS JOIN LATERAL (
        SELECT at.product_id, at.sort_name
        FROM listing_place at
        WHERE at.list_id = asked.list_id AND at.currency = asked.currency AND (at.sort_name, at.product_id) > (asked.after_key, asked.after_id)
          AND (asked.least IS NULL OR at.price_minor >= asked.least) AND (asked.most IS NULL OR at.price_minor <= asked.most)
          AND (at.in_stock OR NOT asked.in_stock_only)
          AND (asked.keys IS NULL OR at.keys @> asked.keys)
          AND (asked.either_1 IS NULL OR at.keys && asked.either_1 AND (asked.either_2 IS NULL OR at.keys && asked.either_2 AND
               (asked.either_3 IS NULL OR at.keys && asked.either_3 AND (asked.either_4 IS NULL OR at.keys && asked.either_4))))
          AND (asked.leaving IS NULL OR NOT at.keys && asked.leaving)
          AND (asked.words IS NULL OR EXISTS (
              SELECT FROM listing l WHERE l.product_id = at.product_id AND l.currency = at.currency AND l.search @@ asked.words))
        ORDER BY at.sort_name, at.product_id
        LIMIT asked.most_places) at
)
SELECT coalesce((SELECT '[' || string_agg(l.card, ',' ORDER BY page.n) || ']'
                 FROM page JOIN listing l ON l.product_id = page.product_id AND l.currency = :currency::char(3)
                 WHERE page.n <= :page_size), '[]') AS items,
       (SELECT count(*) FROM page) > :page_size AS more,
       NULL::bigint AS last_number, last.sort_name AS last_text, last.product_id AS last_id
FROM (SELECT 1) always
LEFT JOIN page last ON last.n = :page_size;

-- What to look for, and whether few enough products have all of it that finding and sorting them costs less than walking a list until a page is
-- full. By the kept counts, as if keys were independent of each other, in microseconds of one machine: 0.25 for each place walked
-- and 0.7 for each product found. A wrong guess costs time only. keys: all, the rarest first; pairs: what listing_narrow finds them by;
-- value_list: to be walked instead of what was asked for, where a value's own list is shorter. Several values of one attribute count as one that has
-- as many products as all of them; way_keys: those of the rarest such attribute, each of which is a way to find, with as many of the pairs.
-- name: listing_plan(currency text, category_id category_id?, vendor_id vendor_id?, brand text?, facets text[]?, page_size int4) :one
-- returns: narrow bool, keys int8[], pairs int8[], way_keys int8[]?, value_list uuid?
WITH list AS MATERIALIZED (
    SELECT coalesce(:category_id::uuid, '00000000-0000-0000-0000-000000000000') AS id, :currency::char(3) AS currency
), whole AS MATERIALIZED (
    SELECT greatest(coalesce((SELECT c.count FROM list, listing_count c
                              WHERE c.list_id = list.id AND c.currency = list.currency AND c.key = 0), 1), 1)::float8 AS count
), asked AS MATERIALIZED (
    SELECT a.key, coalesce((SELECT c.count FROM list, listing_count c
                            WHERE c.list_id = list.id AND c.currency = list.currency AND c.key = a.key), 0)::float8 AS count
    FROM listing_asked(:category_id, :vendor_id, :brand, listing_single(:facets)) a
), either AS MATERIALIZED (
    SELECT e.keys, coalesce((SELECT sum(c.count) FROM list, listing_count c
                             WHERE c.list_id = list.id AND c.currency = list.currency AND c.key = ANY (e.keys)), 0)::float8 AS count
    FROM generate_series(1, 4) n, LATERAL (SELECT listing_either(:facets, n) AS keys) e
    WHERE e.keys IS NOT NULL
), joint AS (
    SELECT coalesce((SELECT array_agg(a.key ORDER BY a.count, a.key) FROM asked a), '{}') AS keys,
           (SELECT e.keys FROM either e ORDER BY e.count, e.keys LIMIT 1) AS way_keys, whole.count AS whole, min(each.count) AS rarest,
           whole.count * exp(sum(ln(greatest(each.count, 0.001) / whole.count))) AS found
    FROM whole, (SELECT count FROM asked UNION ALL SELECT count FROM either) each GROUP BY whole.count
), shorter AS MATERIALIZED ( -- lists of a vendor or a brand are short themselves
    SELECT v.list_id, c.count::float8 AS count
    FROM asked
    JOIN listing_value v ON v.key = asked.key AND v.state = 'ready'
    JOIN listing_count c ON c.list_id = '00000000-0000-0000-0000-000000000000' AND c.currency = :currency::char(3) AND c.key = v.key
    WHERE :vendor_id::uuid IS NULL AND :brand::text IS NULL AND c.count < (SELECT count FROM whole)
    ORDER BY c.count LIMIT 1
), walk AS (
    SELECT joint.*, shorter.list_id, coalesce(shorter.count, joint.whole) AS places FROM joint LEFT JOIN shorter ON true
)
SELECT 0.7 * least(found, rarest) < 0.25 * least(places, places * (:page_size + 1) / greatest(found, 0.001)) AS narrow, keys,
       CASE WHEN way_keys IS NULL THEN listing_to_find(keys)
            ELSE ARRAY(SELECT pair.key FROM unnest(way_keys) WITH ORDINALITY way(key, n), unnest(listing_to_find(way.key || keys)) WITH ORDINALITY pair(key, n)
                       ORDER BY way.n, pair.n) END AS pairs, way_keys, list_id AS value_list
FROM walk;

-- All that have what was asked for, sorted: n newest, u cheapest, d dearest, a by name. What was asked stands in a table of one row, so that
-- PostgreSQL has nothing to gain from planning for the given values, which takes longer than to run it, and plans once for each connection.
-- name: listing_narrow(sort text, currency text, pairs int8[], way_keys int8[]?, facets text[]?, price_least int8?, price_most int8?, in_stock_only bool, after_number int8?, after_text text?, after_id product_id?, page_size int4) :one
-- returns: items text, more bool, last_number int8?, last_text text?, last_id product_id?
WITH asked AS MATERIALIZED (
    SELECT :pairs::bigint[] AS pairs, :way_keys::bigint[] AS way_keys, cardinality(:pairs::bigint[]) / coalesce(cardinality(:way_keys::bigint[]), 1) AS width,
           listing_either(:facets::text[], 1) AS either_1, listing_either(:facets::text[], 2) AS either_2,
           listing_either(:facets::text[], 3) AS either_3, listing_either(:facets::text[], 4) AS either_4, :currency::char(3) AS currency, coalesce(:price_least::bigint, 0) AS least,
           coalesce(:price_most::bigint, 9223372036854775807) AS most, :in_stock_only::boolean AS in_stock_only,
           :page_size::integer + 1 AS most_products, :sort AS sort, :after_number::bigint AS after_number, :after_text::text AS after_text,
           :after_id::uuid AS after_id, listing_leaving() AS leaving
), found AS (
    SELECT l.product_id, l.sort_name, l.ctid AS at,
           CASE asked.sort WHEN 'n' THEN -(date_part('epoch', l.published_at) * 1000000)::bigint WHEN 'u' THEN l.price_minor
                      WHEN 'd' THEN -l.price_minor END AS number
    FROM asked, LATERAL unnest(coalesce(asked.way_keys, '{0}')) WITH ORDINALITY way(key, n), listing l
    WHERE listing_paired(l.keys) @> asked.pairs[(way.n - 1) * asked.width + 1 : way.n * asked.width] -- which proves that it has the keys, as surely as a key stands for its name: the row need not be asked again
      AND l.currency = asked.currency AND l.price_minor BETWEEN asked.least AND asked.most AND (l.in_stock OR NOT asked.in_stock_only)
      AND (asked.leaving IS NULL OR NOT l.keys && asked.leaving)
      AND (way.n = 1 OR NOT l.keys && asked.way_keys[1 : way.n - 1]) -- once, though it has several of them
      AND (asked.either_1 IS NULL OR l.keys && asked.either_1 AND (asked.either_2 IS NULL OR l.keys && asked.either_2 AND
           (asked.either_3 IS NULL OR l.keys && asked.either_3 AND (asked.either_4 IS NULL OR l.keys && asked.either_4))))
), page AS (
    SELECT f.*, row_number() OVER (ORDER BY f.number, CASE asked.sort WHEN 'a' THEN f.sort_name END, CASE WHEN asked.sort IN ('n', 'd') THEN f.product_id END DESC,
                                            f.product_id) AS n
    FROM asked
    CROSS JOIN LATERAL (
        SELECT f.product_id, f.number, f.sort_name, f.at
        FROM found f
        WHERE asked.after_id IS NULL
           OR CASE asked.sort WHEN 'a' THEN (f.sort_name, f.product_id) > (asked.after_text, asked.after_id)
                         WHEN 'u' THEN (f.number, f.product_id) > (asked.after_number, asked.after_id)
                         ELSE f.number > -asked.after_number OR (f.number = -asked.after_number AND f.product_id < asked.after_id) END
        ORDER BY f.number, CASE asked.sort WHEN 'a' THEN f.sort_name END, CASE WHEN asked.sort IN ('n', 'd') THEN f.product_id END DESC, f.product_id
        LIMIT asked.most_products) f
)
SELECT coalesce((SELECT '[' || string_agg(l.card, ',' ORDER BY page.n) || ']'
                 FROM page JOIN listing l ON l.ctid = page.at -- where it was found, in this statement
                 WHERE page.n <= :page_size), '[]') AS items,
       (SELECT count(*) FROM page) > :page_size AS more,
       CASE WHEN :sort = 'u' THEN last.number ELSE -last.number END AS last_number,
       CASE :sort WHEN 'a' THEN last.sort_name END AS last_text, last.product_id AS last_id
FROM (SELECT 1) always
LEFT JOIN page last ON last.n = :page_size;

-- Best match first, among 60 that match: a word that stands in a third of all products need not be ranked in all of them.
-- corrected: by the words that were probably meant.
-- name: listing_relevant(currency text, category_id category_id?, vendor_id vendor_id?, brand text?, facets text[]?, price_least int8?, price_most int8?, in_stock_only bool, typed text, corrected bool, after_key int8?, after_id product_id?, page_size int4) :one
-- returns: items text, more bool, last_number int8?, last_id product_id?
WITH page AS (
    SELECT h.product_id, h.score, row_number() OVER (ORDER BY h.score DESC, h.product_id DESC) AS n
    FROM listing_hits(CASE WHEN :corrected::boolean THEN search_corrected(:typed) ELSE search_query(:typed) END, :currency,
                      listing_keys(ARRAY[:category_id::uuid], :vendor_id, :brand, listing_single(:facets)), :facets, :price_least, :price_most, :in_stock_only) h
    WHERE (:after_key::bigint IS NULL OR (h.score, h.product_id) < (:after_key, :after_id))
      AND coalesce(NOT h.keys && (SELECT listing_leaving()), true)
    ORDER BY h.score DESC, h.product_id DESC
    LIMIT :page_size + 1
)
SELECT coalesce((SELECT '[' || string_agg(l.card, ',' ORDER BY page.n) || ']'
                 FROM page JOIN listing l ON l.product_id = page.product_id AND l.currency = :currency::char(3)
                 WHERE page.n <= :page_size), '[]') AS items,
       (SELECT count(*) FROM page) > :page_size AS more,
       last.score AS last_number, last.product_id AS last_id
FROM (SELECT 1) always
LEFT JOIN page last ON last.n = :page_size;

-- ── keeping the tables up to date ──

-- Computes the rows of these products anew; the products are locked by the caller, so that none is computed from what
-- another transaction is about to change.
-- name: listing_refresh(product_ids product_id[]) :exec
WITH fresh AS MATERIALIZED (
    SELECT f.*, listing_keys(f.category_path, f.vendor_id, f.brand, f.facets) AS keys
    FROM listing_source f WHERE f.product_id = ANY(:product_ids)
), place AS MATERIALIZED (
    SELECT list.id AS list_id, f.currency, f.product_id, f.published_at, f.price_minor, f.sort_name, f.in_stock, f.keys
    FROM fresh f
    CROSS JOIN LATERAL (SELECT unnest(listing_lists(f.category_path, f.vendor_id, f.brand))
                        UNION ALL SELECT v.list_id FROM listing_value v WHERE v.key = ANY (f.keys) AND v.state <> 'leaving') list(id)
), key_names AS (
    INSERT INTO listing_key_name
    SELECT DISTINCT listing_key(name), listing_facet_of(name), listing_value_of(name)
    FROM fresh f, unnest(listing_names(f.category_path, f.vendor_id, f.brand, f.facets)) name
    ORDER BY 1
    ON CONFLICT DO NOTHING
), counted AS (
    SELECT list_id, c.currency, c.product_id, key, sum(c.by) AS by
    FROM (SELECT f.currency, f.product_id, f.category_path, f.keys, f.price_minor, f.in_stock, 1 AS by FROM fresh f
          UNION ALL
          SELECT l.currency, l.product_id, l.category_path, l.keys, l.price_minor, l.in_stock, -1 FROM listing l
          WHERE l.product_id = ANY(:product_ids)) c,
         unnest(listing_counted_lists(c.category_path)) list_id, unnest(listing_counted(c.keys, c.price_minor, c.in_stock)) key
    WHERE key IS NOT NULL
    GROUP BY 1, 2, 3, 4
    HAVING sum(c.by) <> 0
), count_changes AS (
    INSERT INTO listing_count_change (list_id, currency, gained, lost)
    SELECT list_id, currency, array_agg(key) FILTER (WHERE by > 0), array_agg(key) FILTER (WHERE by < 0)
    FROM counted GROUP BY list_id, currency
), gone AS (
    DELETE FROM listing l
    WHERE l.product_id = ANY(:product_ids)
      AND NOT EXISTS (SELECT FROM fresh f WHERE f.product_id = l.product_id AND f.currency = l.currency)
), gone_places AS (
    DELETE FROM listing_place at
    WHERE at.product_id = ANY(:product_ids)
      AND NOT EXISTS (SELECT FROM place p WHERE p.product_id = at.product_id AND p.currency = at.currency AND p.list_id = at.list_id)
), words AS (
    INSERT INTO search_word (word)
    SELECT DISTINCT word FROM fresh f, regexp_split_to_table(f.search_name, '[^[:alnum:]]+') word
    WHERE length(word) BETWEEN 3 AND 40
    ORDER BY word
    ON CONFLICT DO NOTHING
), listed AS (
    INSERT INTO listing AS l (product_id, currency, vendor_id, category_path, brand, sort_name, search, facets, price_minor, in_stock,
                              published_at, card)
    SELECT f.product_id, f.currency, f.vendor_id, f.category_path, f.brand, f.sort_name, f.search, f.facets, f.price_minor, f.in_stock,
           f.published_at, f.card
    FROM fresh f
    ON CONFLICT (product_id, currency) DO UPDATE
    SET vendor_id = excluded.vendor_id, category_path = excluded.category_path, brand = excluded.brand,
        sort_name = excluded.sort_name, search = excluded.search, facets = excluded.facets, price_minor = excluded.price_minor,
        in_stock = excluded.in_stock, published_at = excluded.published_at, card = excluded.card
    WHERE (l.card, l.search, l.facets, l.category_path, l.published_at, l.in_stock, l.sort_name, l.price_minor, l.vendor_id, l.brand)
        IS DISTINCT FROM (excluded.card, excluded.search, excluded.facets, excluded.category_path, excluded.published_at, excluded.in_stock, excluded.sort_name, excluded.price_minor, excluded.vendor_id, excluded.brand)
)
INSERT INTO listing_place AS at (list_id, currency, product_id, published_at, price_minor, sort_name, in_stock, keys)
SELECT p.list_id, p.currency, p.product_id, p.published_at, p.price_minor, p.sort_name, p.in_stock, p.keys
FROM place p
ON CONFLICT (product_id, currency, list_id) DO UPDATE
SET published_at = excluded.published_at, price_minor = excluded.price_minor, sort_name = excluded.sort_name, in_stock = excluded.in_stock,
    keys = excluded.keys
WHERE (at.published_at, at.price_minor, at.sort_name, at.in_stock, at.keys)
    IS DISTINCT FROM (excluded.published_at, excluded.price_minor, excluded.sort_name, excluded.in_stock, excluded.keys);

-- Locks products in the order of their ids.
-- name: product_lock_batch(product_ids product_id[]) :many
-- returns: id product_id
SELECT p.id FROM product p WHERE p.id = ANY(:product_ids) ORDER BY p.id FOR NO KEY UPDATE;

-- A vendor's published products behind `after`, in the order of their ids.
-- name: listing_vendor_batch(vendor_id vendor_id, after product_id, most int4) :many
-- returns: id product_id
SELECT p.id FROM product p
WHERE p.vendor_id = :vendor_id AND p.id > :after AND p.state = 'published'
ORDER BY p.id LIMIT :most;

-- Nothing of it is listed any more: until then its state is looked at in each reading.
-- name: listing_vendor_left(vendor_id vendor_id) :exec
UPDATE vendor v SET leaving = false
WHERE v.id = :vendor_id AND v.leaving AND NOT EXISTS (SELECT FROM listing_place at WHERE at.list_id = v.id);

-- Products behind `after` in the order of their ids, also those that are not on sale: what is listed of them goes.
-- name: listing_relist_batch(after product_id, most int4) :many
-- returns: id product_id
SELECT p.id FROM product p WHERE p.id > :after ORDER BY p.id LIMIT :most;

-- ── lists of attribute values ──

-- A round of listing_relist begins: at its end every product stands in the lists that are filling now, and in none of those that leave.
-- name: listing_value_begin(round uuid) :exec
UPDATE listing_value SET round = :round WHERE state <> 'ready';

-- It has been through all products. The next values are chosen, by the counts kept so far. They wait for the next round, when nothing runs any more that began
-- without knowing of them, perhaps a server of the release before.
-- name: listing_value_end(round uuid, most int4) :exec
WITH left_behind AS (
    DELETE FROM listing_value WHERE round = :round AND state = 'leaving' RETURNING key
), filled AS (
    UPDATE listing_value SET state = 'ready', round = NULL WHERE round = :round AND state = 'filling' RETURNING key
), worth AS MATERIALIZED (
    SELECT w.key, w.earns, w.keeps FROM listing_values_worth() w
), leaving AS (
    UPDATE listing_value v SET state = 'leaving', round = NULL
    WHERE v.state <> 'leaving' AND v.round IS DISTINCT FROM :round AND NOT EXISTS (SELECT FROM worth w WHERE w.key = v.key AND w.keeps)
)
INSERT INTO listing_value AS v (key, state)
SELECT w.key, 'filling' FROM worth w
WHERE w.earns AND NOT EXISTS (SELECT FROM left_behind l WHERE l.key = w.key)
  AND NOT EXISTS (SELECT FROM listing_value v WHERE v.key = w.key AND v.state <> 'leaving')
ORDER BY w.key LIMIT greatest(0, :most - (SELECT count(*) FROM listing_value))
ON CONFLICT (key) DO UPDATE SET state = 'filling', round = NULL WHERE v.state = 'leaving';

-- ── invariants ──

-- For the rest of the transaction: verify plans without nested loops, which suits sums over whole tables; a listing is computed
-- product by product.
-- name: listing_check_plan(nested_loops text) :one
-- returns: setting text
SELECT set_config('enable_nestloop', :nested_loops, true) AS setting;

-- name: listing_check_size() :one
-- returns: products int8
SELECT greatest(c.reltuples, 0)::bigint AS products FROM pg_class c WHERE c.oid = 'product'::regclass;

-- Where listing and listing_source differ, or the places in lists from what listing says, in a sample of all products. Left out
-- are products that news about stock or a price that begins or ends is still on its way for: a task brings these up to date.
-- name: listing_check(percent int4, most int4) :many
-- returns: product_id product_id, currency text, why text
WITH sampled AS MATERIALIZED (
    SELECT p.id FROM product p TABLESAMPLE SYSTEM (:percent)
    WHERE NOT EXISTS (SELECT FROM outbox o WHERE o.expanded_at IS NULL AND o.aggregate_id = p.id)
      AND NOT EXISTS (SELECT FROM task t WHERE t.state IN ('ready', 'running') AND t.aggregate_id = p.id AND t.due_at <= now() + interval '1 second')
), listed AS MATERIALIZED (
    SELECT x.* FROM listing x JOIN sampled s ON s.id = x.product_id
), source AS MATERIALIZED (
    SELECT x.* FROM listing_source x WHERE x.product_id = ANY(ARRAY(SELECT s.id FROM sampled s))
), stands AS MATERIALIZED (
    SELECT x.* FROM listing_place x JOIN sampled s ON s.id = x.product_id
    WHERE NOT EXISTS (SELECT FROM listing_value v WHERE v.list_id = x.list_id AND v.state <> 'ready')
), should_stand AS MATERIALIZED (
    SELECT x.*, list.id AS list_id
    FROM listed x
    CROSS JOIN LATERAL (SELECT unnest(listing_lists(x.category_path, x.vendor_id, x.brand))
                        UNION ALL SELECT v.list_id FROM listing_value v WHERE v.key = ANY (x.keys) AND v.state = 'ready') list(id)
)
SELECT coalesce(l.product_id, f.product_id) AS product_id, coalesce(l.currency, f.currency)::text AS currency,
       CASE WHEN l.product_id IS NULL THEN 'is missing' WHEN f.product_id IS NULL THEN 'should not be there'
            ELSE 'differs from the product' END AS why
FROM listed l
FULL JOIN source f
    ON f.product_id = l.product_id AND f.currency = l.currency
WHERE l.product_id IS NULL OR f.product_id IS NULL
   OR (l.card, l.search, l.facets, l.category_path, l.published_at, l.in_stock, l.sort_name, l.price_minor, l.vendor_id, l.brand)
      IS DISTINCT FROM (f.card, f.search, f.facets, f.category_path, f.published_at, f.in_stock, f.sort_name, f.price_minor, f.vendor_id, f.brand)
UNION ALL
SELECT coalesce(at.product_id, l.product_id), coalesce(at.currency, l.currency)::text, 'stands in other lists than it should, or elsewhere in them'
FROM stands at
FULL JOIN should_stand l
    ON l.product_id = at.product_id AND l.currency = at.currency AND l.list_id = at.list_id
WHERE at.product_id IS NULL OR l.product_id IS NULL
   OR (at.published_at, at.price_minor, at.sort_name, at.in_stock, at.keys)
      IS DISTINCT FROM (l.published_at, l.price_minor, l.sort_name, l.in_stock, l.keys)
LIMIT :most;

-- name: listing_check_orphans(most int4) :many
-- returns: product_id product_id
SELECT l.product_id FROM listing l
LEFT JOIN product p ON p.id = l.product_id AND p.state = 'published'
WHERE p.id IS NULL
LIMIT :most;
