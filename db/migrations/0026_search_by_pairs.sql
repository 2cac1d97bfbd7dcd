-- A search asks a small sample first, for several words a larger one, as few products have them. How much that has tells how much there is, so the next
-- one asked is the one that should be enough: first by pairs of words, all products that way where the sample was not enough, then
-- by words, and in the end all products.
CREATE OR REPLACE FUNCTION listing_hits(words tsquery, of_currency text, asked bigint[], price_least bigint, price_most bigint, in_stock_only boolean)
RETURNS SETOF listing_hit
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    enough CONSTANT integer := 60;
    by_words CONSTANT text := words::text;
    by_pairs CONSTANT text := search_pairs(by_words);
    level integer := CASE WHEN by_pairs IS NULL THEN 9 ELSE 6 END;
    in_pairs boolean := false;
    words_level integer; -- of the sample that is asked by words where pairs do not have enough
    question tsquery;
    hits listing_hit[];
BEGIN
    WHILE level > 0 OR in_pairs LOOP
        question := search_in_sample(CASE WHEN in_pairs THEN by_pairs ELSE by_words END, of_currency, level);
        SELECT array_agg(found.hit) INTO hits
        FROM (SELECT ROW(l.product_id, (ts_rank(l.search, words) * 1000000)::bigint, l.keys, l.price_minor, l.in_stock)::listing_hit AS hit
              FROM listing l
              WHERE search_samples(l.search, l.product_id, l.currency) @@ question AND ts_match_vq(l.search, words) -- the function, which no index answers
                AND l.currency = of_currency::char(3) AND l.keys @> asked
                AND (price_least IS NULL OR l.price_minor >= price_least) AND (price_most IS NULL OR l.price_minor <= price_most) AND (NOT in_stock_only OR l.in_stock)
              LIMIT 60) found;
        IF cardinality(hits) = enough THEN
            RETURN QUERY SELECT * FROM unnest(hits);
            RETURN;
        END IF;
        IF in_pairs THEN
            in_pairs := level > 0;
            level := CASE WHEN in_pairs THEN 0 ELSE words_level END;
        ELSE
            -- With a third more than enough, as one sample has more than the next. Where it has nothing, that says little: one in 64, then all.
            level := CASE WHEN hits IS NOT NULL THEN least(level - 1, greatest(0, floor(ln((cardinality(hits) << level) / 80::float8) / ln(2::float8))::integer))
                          WHEN level > 6 THEN 6 ELSE 0 END;
            in_pairs := by_pairs IS NOT NULL AND words_level IS NULL;
            words_level := level;
        END IF;
    END LOOP;
    RETURN QUERY
    SELECT l.product_id, (ts_rank(l.search, words) * 1000000)::bigint, l.keys, l.price_minor, l.in_stock
    FROM listing l
    WHERE l.search @@ words AND l.currency = of_currency::char(3) AND l.keys @> asked
      AND (price_least IS NULL OR l.price_minor >= price_least) AND (price_most IS NULL OR l.price_minor <= price_most) AND (NOT in_stock_only OR l.in_stock)
    LIMIT 60;
END
$$;

-- Nobody but the function above has read these.
ALTER TABLE listing DROP COLUMN search_sampled;
DROP FUNCTION search_sampled(tsvector, uuid), search_at_level(tsquery, integer);

-- As before, but planned once for each connection: of SQL they were planned anew for each search, which took a tenth of a millisecond.
CREATE OR REPLACE FUNCTION listing_names(category_path uuid[], vendor_id uuid, brand text, facets text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN ARRAY(SELECT 'category ' || c::text FROM unnest(category_path) c WHERE c IS NOT NULL)
        || array_remove(ARRAY['vendor ' || vendor_id::text, 'brand ' || brand], NULL)
        || ARRAY(SELECT 'attribute ' || f FROM unnest(facets) f WHERE f IS NOT NULL);
END
$$;

CREATE OR REPLACE FUNCTION listing_keys(category_path uuid[], vendor_id uuid, brand text, facets text[]) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN ARRAY(SELECT listing_key(name) FROM unnest(listing_names(category_path, vendor_id, brand, facets)) name);
END
$$;
