-- Facets: how many products of a list have each attribute, brand, vendor and so on; and filters that are decided in the index of
-- a list's order (docs/decisions/ says why so). The tables are derived and are rewritten here: browsing waits for it, some
-- seconds for each 100,000 products.

-- What a filter can ask for has a number, so that a place in a list carries all that is true of its product in a few bytes.
-- Named 'attribute material=leather', 'brand Aubade', 'vendor <uuid>', 'category <uuid>'.
CREATE FUNCTION listing_key(name text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT ('x' || left(md5(name), 16))::bit(64)::bigint $$;

-- The names of what a listed product has, or a filter asks for.
CREATE FUNCTION listing_names(category_path uuid[], vendor_id uuid, brand text, facets text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(array_agg(name) FILTER (WHERE name IS NOT NULL), '{}')
    FROM (SELECT 'category ' || c AS name FROM unnest(category_path) c
          UNION ALL SELECT 'vendor ' || vendor_id
          UNION ALL SELECT 'brand ' || brand
          UNION ALL SELECT 'attribute ' || f FROM unnest(facets) f) named
$$;

CREATE FUNCTION listing_keys(category_path uuid[], vendor_id uuid, brand text, facets text[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT coalesce(array_agg(listing_key(name)), '{}') FROM unnest(listing_names(category_path, vendor_id, brand, facets)) name $$;

-- Where price bands begin, in minor units: 1, 2 and 5 times the powers of ten.
CREATE FUNCTION listing_bands() RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT '{0,1000,2000,5000,10000,20000,50000,100000,200000,500000,1000000,2000000,5000000}'::bigint[] $$;

-- All that a product is counted under: its keys, itself (0), "in stock" (-1), its price band (1 to 13). No hash is that small.
CREATE FUNCTION listing_counted(keys bigint[], price_minor bigint, in_stock boolean) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT keys || ARRAY[0, width_bucket(price_minor, listing_bands()), CASE WHEN in_stock THEN -1 END]::bigint[] $$;

-- What keys mean: facet is '=' and the attribute's code, or brand, vendor, category, price, stock, total. Those that no product
-- has any more do no harm.
CREATE TABLE listing_key_name (
    key   bigint PRIMARY KEY,
    facet text   NOT NULL,
    value text   NOT NULL
);
INSERT INTO listing_key_name VALUES (0, 'total', ''), (-1, 'stock', '');
INSERT INTO listing_key_name SELECT n, 'price', n::text FROM generate_series(1, cardinality(listing_bands())) n;

CREATE FUNCTION listing_facet_of(name text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT CASE WHEN name LIKE 'attribute %' THEN '=' || split_part(substr(name, 11), '=', 1) ELSE split_part(name, ' ', 1) END $$;

CREATE FUNCTION listing_value_of(name text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT substr(name, strpos(name, CASE WHEN name LIKE 'attribute %' THEN '=' ELSE ' ' END) + 1) $$;

DROP INDEX listing_facets, listing_place_newest, listing_place_price, listing_place_name;
ALTER TABLE listing ADD COLUMN keys bigint[] NOT NULL GENERATED ALWAYS AS (listing_keys(category_path, vendor_id, brand, facets)) STORED;
ALTER TABLE listing_place ADD COLUMN keys bigint[] NOT NULL DEFAULT '{}';
UPDATE listing_place at SET keys = l.keys FROM listing l WHERE l.product_id = at.product_id AND l.currency = at.currency;

-- Filters are decided in the index; only the products of the page are fetched.
CREATE INDEX listing_place_newest ON listing_place (list_id, currency, published_at, product_id) INCLUDE (keys, price_minor, in_stock);
CREATE INDEX listing_place_price ON listing_place (list_id, currency, price_minor, product_id) INCLUDE (keys, in_stock);
CREATE INDEX listing_place_name ON listing_place (list_id, currency, sort_name, product_id) INCLUDE (keys, price_minor, in_stock);
-- For filters that leave little: all that has the keys.
CREATE INDEX listing_place_keys ON listing_place USING gin (keys) WHERE list_id = '00000000-0000-0000-0000-000000000000';

-- How many products of the lists that people browse (everything, each category) are counted under each key.
CREATE TABLE listing_count (
    list_id  uuid    NOT NULL,
    currency char(3) NOT NULL,
    key      bigint  NOT NULL,
    facet    text    NOT NULL,
    count    bigint  NOT NULL,
    PRIMARY KEY (list_id, currency, key)
) WITH (fillfactor = 70);
CREATE INDEX listing_count_most ON listing_count (list_id, currency, facet, count, key);

-- What has changed since: written in the transaction that changes a listing, taken in by a task. So no two edits of products wait for
-- each other in listing_count.
CREATE TABLE listing_count_change (
    id       bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    list_id  uuid    NOT NULL,
    currency char(3) NOT NULL,
    gained   bigint[],
    lost     bigint[]
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE FUNCTION listing_counted_lists(category_path uuid[]) RETURNS uuid[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT category_path || '00000000-0000-0000-0000-000000000000'::uuid $$;

INSERT INTO listing_key_name
SELECT DISTINCT listing_key(name), listing_facet_of(name), listing_value_of(name)
FROM listing l, unnest(listing_names(l.category_path, l.vendor_id, l.brand, l.facets)) name
ON CONFLICT DO NOTHING;
INSERT INTO listing_count (list_id, currency, key, facet, count)
SELECT c.list_id, c.currency, c.key, n.facet, c.count
FROM (SELECT list_id, l.currency, key, count(*) AS count
      FROM listing l, unnest(listing_counted_lists(l.category_path)) list_id, unnest(listing_counted(l.keys, l.price_minor, l.in_stock)) key
      WHERE key IS NOT NULL
      GROUP BY 1, 2, 3) c
JOIN listing_key_name n ON n.key = c.key;

-- Search. A common word is in a third of all products: to collect them all before the first are ranked would take longer the larger
-- the shop is. So one product in 8, one in 64 and one in 512 carry their words a second time, marked with the level ('2~shirt'), drawn
-- by the last bits of the id. A search begins with the smallest sample and takes the first level that has enough of what it looks for.
CREATE FUNCTION search_sampled(search tsvector, product_id uuid) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    drawn integer := get_byte(uuid_send(product_id), 14) * 256 + get_byte(uuid_send(product_id), 15);
BEGIN
    IF drawn % 8 <> 0 THEN
        RETURN ''::tsvector;
    END IF;
    RETURN (
        SELECT coalesce(string_agg(format('''%s~%s''%s', level, replace(replace(word.lexeme, E'\\', E'\\\\'), '''', ''''''),
                                          (SELECT ':' || string_agg(at || word.weights[n], ',')
                                           FROM unnest(word.positions) WITH ORDINALITY p(at, n))), ' '), '')::tsvector
        FROM generate_series(1, 3) level, unnest(search) word
        WHERE drawn % (8 ^ level)::integer = 0);
END
$$;

-- The same question of a sample; level 0 is all.
CREATE FUNCTION search_at_level(words tsquery, level integer) RETURNS tsquery
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT regexp_replace(words::text, '''((?:[^'']|'''')+)''', '''' || level || '~\1''', 'g')::tsquery $$;

ALTER TABLE listing ADD COLUMN search_sampled tsvector NOT NULL GENERATED ALWAYS AS (search_sampled(search, product_id)) STORED;
CREATE INDEX listing_search_sampled ON listing USING gin (search_sampled);

CREATE TYPE listing_hit AS (product_id uuid, score bigint, keys bigint[], price_minor bigint, in_stock boolean);

-- Up to 250 products that have the words and pass the filters, the best of which are a search's answer.
CREATE FUNCTION listing_hits(words tsquery, of_currency text, asked bigint[], price_least bigint, price_most bigint, in_stock_only boolean)
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
              LIMIT 250) found;
        EXIT WHEN cardinality(hits) = 250;
    END LOOP;
    IF cardinality(hits) = 250 THEN
        RETURN QUERY SELECT * FROM unnest(hits);
        RETURN;
    END IF;
    RETURN QUERY
    SELECT l.product_id, (ts_rank(l.search, words) * 1000000)::bigint, l.keys, l.price_minor, l.in_stock
    FROM listing l
    WHERE l.search @@ words AND l.currency = of_currency::char(3) AND l.keys @> asked
      AND (price_least IS NULL OR l.price_minor >= price_least) AND (price_most IS NULL OR l.price_minor <= price_most) AND (NOT in_stock_only OR l.in_stock)
    LIMIT 250;
END
$$;
