-- What listings read, as the catalogue's listing_refresh would write it.
CREATE TEMP TABLE source ON COMMIT DROP AS SELECT * FROM listing_source;

INSERT INTO listing (product_id, currency, vendor_id, category_path, brand, sort_name, search, facets, price_minor, in_stock, published_at, card)
SELECT product_id, currency, vendor_id, category_path, brand, sort_name, search, facets, price_minor, in_stock, published_at, card
FROM source;

INSERT INTO listing_place (list_id, currency, product_id, published_at, price_minor, sort_name, in_stock, keys)
SELECT list.id, l.currency, l.product_id, l.published_at, l.price_minor, l.sort_name, l.in_stock, l.keys
FROM listing l, unnest(listing_lists(l.category_path, l.vendor_id, l.brand)) list(id);

INSERT INTO search_word (word)
SELECT DISTINCT word FROM source f, regexp_split_to_table(f.search_name, '[^[:alnum:]]+') word
WHERE length(word) BETWEEN 3 AND 40;

INSERT INTO listing_key_name (key, facet, value)
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

INSERT INTO listing_value (key, state) SELECT key, 'ready' FROM listing_values_worth() WHERE earns;
INSERT INTO listing_place (list_id, currency, product_id, published_at, price_minor, sort_name, in_stock, keys)
SELECT v.list_id, l.currency, l.product_id, l.published_at, l.price_minor, l.sort_name, l.in_stock, l.keys
FROM listing l, listing_value v WHERE v.key = ANY (l.keys);
