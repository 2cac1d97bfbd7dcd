-- Filters that leave little are found by pairs of keys: who asks for two things at once finds the products that have both in one list of
-- the index, instead of joining two lists that grow with the shop. (The index is made by the next file.)

-- All keys of a product, and each two of them: their exclusive or is as good a hash as they are, and does not depend on their order.
CREATE FUNCTION listing_paired(keys bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT array_agg(a.key # CASE WHEN a.n < b.n THEN b.key ELSE 0 END)
    FROM unnest(keys) WITH ORDINALITY a(key, n), unnest(keys) WITH ORDINALITY b(key, n) WHERE a.n <= b.n
$$;

-- What to look for in that index where all these keys are asked for, the rarest first: its pairs with each other one.
CREATE FUNCTION listing_to_find(keys bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT CASE WHEN cardinality(keys) < 2 THEN keys ELSE ARRAY(SELECT keys[1] # other FROM unnest(keys[2:]) other) END $$;

-- The keys that filters ask for, each with the facet that it is of.
CREATE FUNCTION listing_asked(category_id uuid, vendor_id uuid, brand text, facets text[]) RETURNS TABLE (facet text, key bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT 'category', listing_key('category ' || category_id) WHERE category_id IS NOT NULL
    UNION SELECT 'vendor', listing_key('vendor ' || vendor_id) WHERE vendor_id IS NOT NULL
    UNION SELECT 'brand', listing_key('brand ' || brand) WHERE brand IS NOT NULL
    UNION SELECT '=' || split_part(f, '=', 1), listing_key('attribute ' || f) FROM unnest(facets) f
$$;
