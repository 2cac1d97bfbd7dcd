-- Flash sales. Whoever writes sale_customer or sale_claim has locked the sale's row first.

-- ── for the checkout engine: each is one statement of a pipeline ──

-- name: sale_lock_batch(sale_ids sale_id[]) :many
-- returns: id sale_id, variant_id variant_id, currency text, price_minor int8, quantity int4, sold int4, per_customer int4,
-- starts_at timestamptz, ends_at timestamptz, cancelled bool, version int8, reopens_at timestamptz
SELECT s.id, s.variant_id, s.currency, s.price_minor, s.quantity, s.sold, s.per_customer, s.starts_at, s.ends_at,
       s.cancelled_at IS NOT NULL AS cancelled, s.version, s.reopens_at
FROM sale s
WHERE s.id = ANY(:sale_ids)
ORDER BY s.id
FOR NO KEY UPDATE;

-- What these customers have of these sales. Read after the sales are locked, so it does not change until the commit.
-- name: sale_customer_batch(sale_ids sale_id[], customer_ids user_id[]) :many
-- returns: sale_id sale_id, customer_id user_id, quantity int4
SELECT c.sale_id, c.customer_id, c.quantity
FROM unnest(:sale_ids, :customer_ids) AS w (sale_id, customer_id),
     LATERAL (SELECT * FROM sale_customer f WHERE f.sale_id = w.sale_id AND f.customer_id = w.customer_id LIMIT 1) c;

-- One item for each sale. The constraint refuses more than there is.
-- name: sale_take_batch(sale_ids sale_id[], quantities int4[]) :exec
UPDATE sale s
SET sold = s.sold + d.quantity, version = s.version + 1
FROM (SELECT unnest(:sale_ids) AS sale_id, unnest(:quantities) AS quantity) d
WHERE s.id = d.sale_id;

-- One item for each customer of each sale. The constraint refuses more than the limit.
-- name: sale_customer_take_batch(sale_ids sale_id[], customer_ids user_id[], quantities int4[], mosts int4[]) :exec
INSERT INTO sale_customer (sale_id, customer_id, quantity, most)
SELECT unnest(:sale_ids), unnest(:customer_ids), unnest(:quantities), unnest(:mosts)
ON CONFLICT (sale_id, customer_id) DO UPDATE SET quantity = sale_customer.quantity + excluded.quantity;

-- One item for each order.
-- name: sale_claim_insert_batch(order_ids order_id[], sale_ids sale_id[], customer_ids user_id[], quantities int4[], keys bytea[]) :exec
INSERT INTO sale_claim (order_id, sale_id, customer_id, quantity, key)
SELECT unnest(:order_ids), unnest(:sale_ids), unnest(:customer_ids), unnest(:quantities), unnest(:keys);

-- ── for the board and the counters ──

-- All sales that somebody may ask for: those to come, those that are on, those of the last day.
-- name: sale_board_list(most int8) :many
-- returns: id sale_id, variant_id variant_id, currency text, price_minor int8, quantity int4, sold int4, per_customer int4,
-- starts_at timestamptz, ends_at timestamptz, cancelled bool, version int8, reopens_at timestamptz
SELECT b.* FROM (
    SELECT s.id, s.variant_id, s.currency, s.price_minor, s.quantity, s.sold, s.per_customer, s.starts_at, s.ends_at,
           s.cancelled_at IS NOT NULL AS cancelled, s.version, s.reopens_at
    FROM sale s
    WHERE s.ends_at > now() - interval '1 day'
    ORDER BY s.ends_at
    LIMIT :most
) b ORDER BY b.id;

-- name: sale_find_batch(sale_ids sale_id[]) :many
-- returns: id sale_id, variant_id variant_id, currency text, price_minor int8, quantity int4, sold int4, per_customer int4,
-- starts_at timestamptz, ends_at timestamptz, cancelled bool, version int8, reopens_at timestamptz
SELECT s.id, s.variant_id, s.currency, s.price_minor, s.quantity, s.sold, s.per_customer, s.starts_at, s.ends_at,
       s.cancelled_at IS NOT NULL AS cancelled, s.version, s.reopens_at
FROM sale s
WHERE s.id = ANY(:sale_ids);

-- Everybody who ever bought, in the order of identifiers.
-- name: sale_customer_list(sale_id sale_id) :many
-- returns: customer_id user_id, quantity int4
SELECT c.customer_id, c.quantity FROM sale_customer c WHERE c.sale_id = :sale_id ORDER BY c.customer_id;

-- Of every purchase there ever was, released ones too, in order.
-- name: sale_claim_keys(sale_id sale_id) :many
-- returns: key bytea
SELECT c.key FROM sale_claim c WHERE c.sale_id = :sale_id ORDER BY c.key;

-- The purchases that some customers have made.
-- name: sale_claim_keys_of(sale_id sale_id, customer_ids user_id[]) :many
-- returns: key bytea
SELECT c.key FROM sale_claim c WHERE c.sale_id = :sale_id AND c.customer_id = ANY(:customer_ids);

-- ── giving back ──

-- name: sale_claim_find(order_id order_id) :one
-- returns: sale_id sale_id, taken bool
SELECT c.sale_id, c.state = 'taken' AS taken FROM sale_claim c WHERE c.order_id = :order_id;

-- name: sale_lock(sale_id sale_id) :one
-- returns: sold int4, quantity int4, over bool
SELECT s.sold, s.quantity, s.cancelled_at IS NOT NULL OR s.ends_at <= now() AS over FROM sale s WHERE s.id = :sale_id FOR NO KEY UPDATE;

-- The claim, the customer's count and the sale's in one statement. No row affected: it was given back before. A sale that was sold out is
-- so for pause_s more.
-- name: sale_claim_release(order_id order_id, pause_s int8) :exec
WITH claim AS (
    UPDATE sale_claim SET state = 'released' WHERE order_id = :order_id AND state = 'taken'
    RETURNING sale_id, customer_id, quantity
), customer AS (
    UPDATE sale_customer c SET quantity = c.quantity - claim.quantity
    FROM claim WHERE c.sale_id = claim.sale_id AND c.customer_id = claim.customer_id
)
UPDATE sale s SET sold = s.sold - claim.quantity, version = s.version + 1,
    reopens_at = CASE WHEN s.sold = s.quantity THEN clock_timestamp() + make_interval(secs => :pause_s::int8) ELSE s.reopens_at END
FROM claim WHERE s.id = claim.sale_id;

-- ── endpoints ──

-- No row when there is no such variant, or it is archived, its product is, or its vendor is closed. A draft may be announced: shoppers see
-- the sale once it is published.
-- name: sale_create(id sale_id, variant_id variant_id, currency text, price_minor int8, quantity int4, per_customer int4,
-- starts_at timestamptz, ends_at timestamptz, created_by user_id) :one
-- returns: body json
INSERT INTO sale (id, variant_id, currency, price_minor, quantity, per_customer, starts_at, ends_at, created_by)
SELECT :id::uuid, v.id, :currency::text, :price_minor::int8, :quantity::int4, :per_customer::int4, :starts_at::timestamptz, :ends_at::timestamptz,
       :created_by::uuid
FROM variant v
JOIN product p ON p.id = v.product_id AND p.state <> 'archived'
JOIN vendor ven ON ven.id = p.vendor_id AND ven.state = 'active'
WHERE v.id = :variant_id AND v.state = 'active'
RETURNING sale_staff_json(sale) AS body;

-- name: sale_cancel_row(sale_id sale_id) :one
-- returns: body json
UPDATE sale SET cancelled_at = coalesce(cancelled_at, now()), version = version + 1 WHERE id = :sale_id
RETURNING sale_staff_json(sale) AS body;

-- No row while its goods are not on sale, as with a product's page.
-- name: sale_body(sale_id sale_id) :one
-- returns: body json
SELECT sale_json(s) AS body FROM sale s WHERE s.id = :sale_id AND variant_is_on_sale(s.variant_id);

-- name: sale_staff_body(sale_id sale_id) :one
-- returns: body json
SELECT sale_staff_json(s) AS body FROM sale s WHERE s.id = :sale_id;

-- Those to come and those that are on, of goods that are on sale, the next to end first.
-- name: sale_list_body(most int8) :one
-- returns: body json
SELECT json_build_object('items', coalesce(json_agg(sale_json(s) ORDER BY s.ends_at, s.id), '[]')) AS body
FROM (SELECT * FROM sale WHERE ends_at > now() AND cancelled_at IS NULL AND variant_is_on_sale(variant_id)
      ORDER BY ends_at, id LIMIT :most) s;

-- name: sale_staff_page(before sale_id?, page_size int4) :one
-- returns: items json, more bool, last_id sale_id?
WITH page AS (
    SELECT s.id, row_number() OVER (ORDER BY s.id DESC) AS n
    FROM sale s
    WHERE :before IS NULL OR s.id < :before
    ORDER BY s.id DESC
    LIMIT :page_size + 1
)
SELECT coalesce(json_agg(sale_staff_json(s) ORDER BY page.n) FILTER (WHERE page.n <= :page_size), '[]') AS items,
       count(*) > :page_size AS more,
       (SELECT last.id FROM page last WHERE last.n = :page_size) AS last_id
FROM page JOIN sale s ON s.id = page.id;

-- What came of a customer's tries: the orders of this sale, newest first. No row when there is no such sale.
-- name: sale_order_list_body(sale_id sale_id, customer_id user_id) :one
-- returns: body json
SELECT json_build_object(
    'sale_id', wire_id('sal', s.id), 'state', sale_state(s), 'per_customer', s.per_customer,
    'taken', coalesce((SELECT c.quantity FROM sale_customer c WHERE c.sale_id = s.id AND c.customer_id = :customer_id), 0),
    'items', (SELECT coalesce(json_agg(json_build_object(
            'order_id', wire_id('ord', c.order_id), 'quantity', c.quantity, 'state', o.state,
            'expires_at', CASE WHEN o.state = 'pending_payment' THEN o.expires_at END) ORDER BY c.order_id DESC), '[]')
        FROM sale_claim c JOIN orders o ON o.id = c.order_id WHERE c.sale_id = s.id AND c.customer_id = :customer_id)) AS body
FROM sale s WHERE s.id = :sale_id;
