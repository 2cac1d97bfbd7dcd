-- name: cart_insert(id cart_id, user_id user_id?, currency text) :exec
INSERT INTO cart (id, user_id, currency) VALUES (:id, :user_id, :currency)
ON CONFLICT (user_id) WHERE state = 'open' DO NOTHING;

-- A cart with its lines, each with what the shop says of it now: by id, or a user's open one. One row for each line; an
-- empty cart is one row without a variant.
-- name: cart_read(cart_id cart_id?, user_id user_id?) :many
-- returns: id cart_id, user_id user_id?, currency text, state text, version int4, updated_at timestamptz,
--   variant_id variant_id?, quantity int4?, saved bool?, seen_price_minor int8?, added_at timestamptz?,
--   product_id product_id?, vendor_id vendor_id?, sku text?, title text?, options json?, product_name text?, tender text?,
--   category_path uuid[]?, for_sale bool?, media_id media_id?, price_minor int8?, available int8?
SELECT c.id, c.user_id, c.currency::text, c.state, c.version, c.updated_at,
       i.variant_id, i.quantity, i.saved, i.seen_price_minor, i.added_at,
       v.product_id, v.vendor_id, v.sku, v.title, v.options::json, p.name AS product_name, p.tender,
       p.category_path, v.state = 'active' AND p.state = 'published' AND ven.state = 'active' AS for_sale, m.id AS media_id, r.amount_minor AS price_minor,
       s.available
FROM cart c
LEFT JOIN cart_item i ON i.cart_id = c.id
LEFT JOIN variant v ON v.id = i.variant_id
LEFT JOIN product p ON p.id = v.product_id
LEFT JOIN vendor ven ON ven.id = p.vendor_id
LEFT JOIN LATERAL (
    SELECT id FROM media WHERE media.product_id = p.id ORDER BY position, id LIMIT 1
) m ON true
LEFT JOIN LATERAL (
    SELECT amount_minor FROM price
    WHERE price.variant_id = v.id AND price.currency = c.currency
      AND valid_from <= now() AND (valid_until IS NULL OR valid_until > now())
    ORDER BY valid_from DESC, id DESC LIMIT 1
) r ON true
LEFT JOIN LATERAL (
    SELECT coalesce(sum(on_hand - reserved), 0)::bigint AS available FROM stock WHERE stock.variant_id = v.id
) s ON i.variant_id IS NOT NULL
WHERE c.id = coalesce(:cart_id, (SELECT o.id FROM cart o WHERE o.user_id = :user_id AND o.state = 'open'))
ORDER BY i.added_at, i.variant_id;

-- name: cart_lock(id cart_id) :one
-- returns: user_id user_id?, currency text, state text, version int4, merged_into cart_id?
SELECT user_id, currency::text, state, version, merged_into FROM cart WHERE id = :id FOR UPDATE;

-- name: cart_owner(id cart_id) :one
-- returns: user_id user_id?
SELECT user_id FROM cart WHERE id = :id;

-- name: cart_open_lock(user_id user_id) :one
-- returns: id cart_id, currency text
SELECT id, currency::text FROM cart WHERE user_id = :user_id AND state = 'open' FOR UPDATE;

-- name: cart_touch(id cart_id) :exec
UPDATE cart SET version = version + 1, updated_at = now() WHERE id = :id;

-- Another currency: the prices that were seen were of the old one.
-- name: cart_currency_set(id cart_id, currency text) :exec
WITH forgotten AS (
    UPDATE cart_item SET seen_price_minor = NULL WHERE cart_id = :id
)
UPDATE cart SET currency = :currency WHERE id = :id;

-- What must be known before a line is written: the variant with price and stock, and the cart's line and number of lines.
-- name: cart_item_facts(cart_id cart_id, variant_id variant_id, currency text) :one
-- returns: for_sale bool, price_minor int8?, available int8, quantity int4?, saved bool?, line_count int8
SELECT v.state = 'active' AND p.state = 'published' AND ven.state = 'active' AS for_sale,
       (SELECT amount_minor FROM price
        WHERE price.variant_id = v.id AND price.currency = :currency::bpchar
          AND valid_from <= now() AND (valid_until IS NULL OR valid_until > now())
        ORDER BY valid_from DESC, id DESC LIMIT 1) AS price_minor,
       (SELECT coalesce(sum(on_hand - reserved), 0)::bigint FROM stock WHERE stock.variant_id = v.id) AS available,
       i.quantity, i.saved,
       (SELECT count(*) FROM cart_item WHERE cart_item.cart_id = :cart_id) AS line_count
FROM variant v
JOIN product p ON p.id = v.product_id
JOIN vendor ven ON ven.id = p.vendor_id
LEFT JOIN cart_item i ON i.cart_id = :cart_id AND i.variant_id = v.id
WHERE v.id = :variant_id;

-- name: cart_item_put(cart_id cart_id, variant_id variant_id, quantity int4, saved bool, seen_price_minor int8?) :exec
INSERT INTO cart_item (cart_id, variant_id, quantity, saved, seen_price_minor)
VALUES (:cart_id, :variant_id, :quantity, :saved, :seen_price_minor)
ON CONFLICT (cart_id, variant_id) DO UPDATE
SET quantity = excluded.quantity, saved = excluded.saved, seen_price_minor = excluded.seen_price_minor;

-- name: cart_item_delete(cart_id cart_id, variant_id variant_id) :exec
DELETE FROM cart_item WHERE cart_id = :cart_id AND variant_id = :variant_id;

-- name: cart_items_delete(cart_id cart_id) :exec
DELETE FROM cart_item WHERE cart_id = :cart_id AND NOT saved;

-- ---- merging ----

-- name: cart_items_of_two(own cart_id, guest cart_id) :many
-- returns: cart_id cart_id, variant_id variant_id, quantity int4, saved bool, seen_price_minor int8?
SELECT cart_id, variant_id, quantity, saved, seen_price_minor
FROM cart_item
WHERE cart_id IN (:own, :guest)
ORDER BY added_at, variant_id;

-- Writes the lines that the merge came to. added_at counts up with their order.
-- name: cart_items_write(cart_id cart_id, variant_ids variant_id[], quantities int4[], saved bool[], prices int8?[]) :exec
INSERT INTO cart_item (cart_id, variant_id, quantity, saved, seen_price_minor, added_at)
SELECT :cart_id, l.variant_id, l.quantity, l.saved, l.price, now() + l.n * interval '1 microsecond'
FROM unnest(:variant_ids, :quantities, :saved, :prices) WITH ORDINALITY AS l (variant_id, quantity, saved, price, n)
ON CONFLICT (cart_id, variant_id) DO UPDATE
SET quantity = excluded.quantity, saved = excluded.saved, seen_price_minor = excluded.seen_price_minor;

-- name: cart_merged_set(id cart_id, into_id cart_id) :exec
UPDATE cart SET state = 'merged', merged_into = :into_id, version = version + 1, updated_at = now() WHERE id = :id;

-- ---- for the checkout engine, in pipelines ----

-- Locks in the order of ids. A cart that is not there has no row.
-- name: cart_lock_batch(ids cart_id[]) :many
-- returns: id cart_id, user_id user_id?, state text, version int4
SELECT id, user_id, state, version FROM cart WHERE id = ANY(:ids) ORDER BY id FOR UPDATE;

-- The carts are locked, open and customers'.
-- name: cart_spend_batch(ids cart_id[]) :exec
UPDATE cart SET state = 'spent', version = version + 1, updated_at = now() WHERE id = ANY(:ids);

-- ---- periodic ----

-- Guests' carts that nobody has touched for that long.
-- name: cart_sweep(days int4, most int4) :exec
DELETE FROM cart
WHERE id IN (SELECT id FROM cart
             WHERE user_id IS NULL AND updated_at < now() - make_interval(days => :days)
             ORDER BY updated_at LIMIT :most
             FOR UPDATE SKIP LOCKED);

-- ---- invariants ----

-- name: verify_one_open_cart() :many
-- returns: user_id user_id?, carts int8
SELECT user_id, count(*) AS carts FROM cart
WHERE state = 'open' AND user_id IS NOT NULL
GROUP BY user_id
HAVING count(*) > 1
LIMIT 100;

-- name: verify_cart_items() :many
-- returns: cart_id cart_id, variant_id variant_id
SELECT i.cart_id, i.variant_id
FROM cart_item i
LEFT JOIN variant v ON v.id = i.variant_id
WHERE v.id IS NULL
LIMIT 100;

-- name: verify_cart_owners() :many
-- returns: id cart_id, user_id user_id?
SELECT c.id, c.user_id
FROM cart c
LEFT JOIN users u ON u.id = c.user_id
WHERE c.user_id IS NOT NULL AND (u.id IS NULL OR u.role <> 'customer')
LIMIT 100;
