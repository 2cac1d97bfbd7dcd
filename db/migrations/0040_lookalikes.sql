-- SKUs and options that differ in case, width, blanks or the form of their letters only look the same to people, and are
-- refused as the same: a key beside each, which is unique.

CREATE FUNCTION lookalike_key(shown text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT lower(upper(regexp_replace(regexp_replace(normalize(shown, NFKC), '\s+', ' ', 'g'), ' ?" ?', '"', 'g') COLLATE "und-x-icu"))
$$;

-- NULL: a row of before whose key another one has already, or one that the release before wrote; it looks like none.
ALTER TABLE variant ADD COLUMN sku_key text, ADD COLUMN options_key text;

UPDATE variant v SET sku_key = k.sku_key, options_key = k.options_key
FROM (SELECT id,
             CASE WHEN row_number() OVER (PARTITION BY lookalike_key(sku) ORDER BY created_at, id) = 1 THEN lookalike_key(sku) END AS sku_key,
             CASE WHEN row_number() OVER (PARTITION BY product_id, state, lookalike_key(options::text) ORDER BY created_at, id) = 1
                  THEN lookalike_key(options::text) END AS options_key
      FROM variant) k
WHERE k.id = v.id;
