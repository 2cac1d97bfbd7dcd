-- Lists of the products of one attribute value, in each order, for values that are neither common nor few: 5,000 teapots of felt in a
-- shop of a million things would take long to collect, and long to meet while walking the list of everything (docs/decisions/0013).

-- Which values have one. Chosen and filled by the task listing_relist; places are written for all but those that are leaving,
-- and only what is ready is read.
CREATE FUNCTION listing_of_key(key bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT lpad(to_hex(key), 32, '0')::uuid $$;
CREATE TABLE listing_value (
    key     bigint PRIMARY KEY,
    list_id uuid   NOT NULL UNIQUE GENERATED ALWAYS AS (listing_of_key(key)) STORED,
    state   text   NOT NULL CHECK (state IN ('filling', 'ready', 'leaving')),
    round   uuid   -- the run of listing_relist that began after this state and will end it
);

-- A value earns a list by this many products, and by being one in so many: with fewer all are collected, with more the list of everything has
-- enough of them. It keeps the list until twice beyond either.
CREATE FUNCTION listing_value_bounds() RETURNS TABLE (least_products bigint, one_in bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT 200::bigint, 20::bigint $$;

CREATE FUNCTION listing_values_worth() RETURNS TABLE (key bigint, earns boolean, keeps boolean)
LANGUAGE sql STABLE
AS $$
    SELECT c.key, bool_or(c.count >= b.least_products AND c.count * b.one_in <= everything.count),
           bool_or(c.count * 2 >= b.least_products AND c.count * b.one_in <= everything.count * 2)
    FROM listing_value_bounds() b, listing_count everything
    JOIN listing_count c ON c.list_id = everything.list_id AND c.currency = everything.currency AND c.facet LIKE '=%'
    WHERE everything.list_id = '00000000-0000-0000-0000-000000000000' AND everything.key = 0
    GROUP BY c.key
$$;

-- Since 0017 products are found by pairs of keys on listing; this one was only written.
DROP INDEX listing_place_keys;

-- Where the smallest sample has nothing, it says little about the next: ask that one, not the whole index, which joins all that have the one word with
-- all that have the other.
CREATE OR REPLACE FUNCTION listing_hits(words tsquery, of_currency text, asked bigint[], price_least bigint, price_most bigint, in_stock_only boolean)
RETURNS SETOF listing_hit
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    hits listing_hit[];
    question tsquery;
    level integer := 3;
    enough CONSTANT integer := 60;
BEGIN
    WHILE level > 0 LOOP
        question := search_at_level(words, level);
        SELECT array_agg(found.hit) INTO hits
        FROM (SELECT ROW(l.product_id, (ts_rank(l.search, words) * 1000000)::bigint, l.keys, l.price_minor, l.in_stock)::listing_hit AS hit
              FROM listing l
              WHERE l.search_sampled @@ question AND ts_match_vq(l.search, words) -- the function, which no index answers
                AND l.currency = of_currency::char(3) AND l.keys @> asked
                AND (price_least IS NULL OR l.price_minor >= price_least) AND (price_most IS NULL OR l.price_minor <= price_most) AND (NOT in_stock_only OR l.in_stock)
              LIMIT 60) found;
        IF cardinality(hits) = enough THEN
            RETURN QUERY SELECT * FROM unnest(hits);
            RETURN;
        END IF;
        -- Each level has eight times as many products as the one above it.
        level := level - CASE WHEN hits IS NULL OR cardinality(hits) * 8 > enough THEN 1 WHEN cardinality(hits) * 64 > enough THEN 2 ELSE 3 END;
    END LOOP;
    RETURN QUERY
    SELECT l.product_id, (ts_rank(l.search, words) * 1000000)::bigint, l.keys, l.price_minor, l.in_stock
    FROM listing l
    WHERE l.search @@ words AND l.currency = of_currency::char(3) AND l.keys @> asked
      AND (price_least IS NULL OR l.price_minor >= price_least) AND (price_most IS NULL OR l.price_minor <= price_most) AND (NOT in_stock_only OR l.in_stock)
    LIMIT 60;
END
$$;
