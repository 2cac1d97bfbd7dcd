-- Several values of one attribute in a filter mean any of them: "either" keys. Of four attributes at most, as a filter has at most eight values.

-- The values that are asked for alone in their attribute.
CREATE FUNCTION listing_single(facets text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    RETURN ARRAY(SELECT min(f) FROM unnest(facets) f GROUP BY split_part(f, '=', 1) HAVING count(DISTINCT f) = 1);
END
$$;

-- The keys of the n-th attribute, in the order of codes, of which several values are asked for. NULL: there is none.
CREATE FUNCTION listing_either(facets text[], n integer) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    RETURN (SELECT array_agg(DISTINCT listing_key('attribute ' || f)) FROM unnest(facets) f
            GROUP BY split_part(f, '=', 1) COLLATE "C" HAVING count(DISTINCT f) > 1
            ORDER BY split_part(f, '=', 1) COLLATE "C" OFFSET n - 1 LIMIT 1);
END
$$;

-- Whether the keys have one of each.
CREATE FUNCTION listing_has_either(keys bigint[], facets text[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    FOR n IN 1..4 LOOP
        IF NOT keys && listing_either(facets, n) THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END
$$;

-- As listing_hits before, for all that is asked of attributes: only searches with several values of one ask for more than keys.
DO $do$
DECLARE
    text_now text := pg_get_functiondef('listing_hits(tsquery, text, bigint[], bigint, bigint, boolean)'::regprocedure);
BEGIN
    text_now := replace(text_now, 'asked bigint[], price_least', 'asked bigint[], asked_facets text[], price_least');
    text_now := replace(text_now, 'AND l.keys @> asked', 'AND l.keys @> asked AND (either IS NULL OR l.keys && either AND listing_has_either(l.keys, asked_facets))');
    text_now := replace(text_now, 'hits listing_hit[];', 'hits listing_hit[];' || E'\n    either CONSTANT bigint[] := listing_either(asked_facets, 1);');
    EXECUTE text_now;
END
$do$;
