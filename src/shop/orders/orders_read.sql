-- What people see of orders. PostgreSQL builds the JSON of an answer in one statement; C passes it through.

-- name: order_list_page(customer_id user_id, before order_id?, most int8) :one
-- returns: body json
WITH page AS (
    SELECT o.* FROM orders o
    WHERE o.customer_id = :customer_id AND (:before::uuid IS NULL OR o.id < :before)
    ORDER BY o.id DESC
    LIMIT :most + 1
), shown AS (
    SELECT * FROM page ORDER BY id DESC LIMIT :most
)
SELECT json_build_object(
    'items', coalesce(json_agg(json_build_object(
        'id', wire_id('ord', s.id), 'number', s.number, 'state', s.state, 'currency', s.currency, 'total_minor', s.total_minor,
        'points', s.points, 'points_value_minor', s.points_value_minor, 'cash_minor', s.cash_minor, 'items', l.items,
        'title', l.title, 'placed_at', s.placed_at) ORDER BY s.id DESC), '[]'),
    'next_cursor', CASE WHEN (SELECT count(*) FROM page) > :most THEN wire_id('ord', (SELECT id FROM shown ORDER BY id LIMIT 1)) END) AS body
FROM shown s
CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity), 0) AS items, coalesce((array_agg(title ORDER BY line_no))[1], '') AS title
    FROM order_line WHERE order_id = s.id
) l;

-- One order whole. customer_id: only when it is that customer's. staff: with actors, labels and the gateway's identifiers.
-- name: order_show_body(order_id order_id, customer_id user_id?, staff bool) :one
-- returns: body json
SELECT json_build_object(
    'id', wire_id('ord', o.id), 'number', o.number, 'customer_id', wire_id('usr', o.customer_id), 'state', o.state,
    'currency', o.currency, 'subtotal_minor', o.subtotal_minor, 'discount_minor', o.discount_minor,
    'shipping_minor', o.shipping_minor, 'tax_minor', o.tax_minor, 'total_minor', o.total_minor, 'points', o.points,
    'points_value_minor', o.points_value_minor, 'cash_minor', o.cash_minor, 'earn_points', o.earn_points,
    'policy_version', o.policy_version, 'address', o.address::json, 'placed_at', o.placed_at, 'updated_at', o.updated_at,
    'expires_at', CASE WHEN o.state = 'pending_payment' THEN o.expires_at END,
    'lines', (
        SELECT coalesce(json_agg(json_build_object(
            'line_no', l.line_no, 'product_id', wire_id('prd', l.product_id), 'variant_id', wire_id('var', l.variant_id),
            'vendor_id', wire_id('ven', l.vendor_id), 'sku', l.sku, 'title', l.title, 'quantity', l.quantity,
            'unit_price_minor', l.unit_price_minor, 'total_minor', l.total_minor, 'points', l.points,
            'points_value_minor', l.points_value_minor, 'cash_minor', l.cash_minor) ORDER BY l.line_no), '[]')
        FROM order_line l WHERE l.order_id = o.id),
    'fulfilments', order_fulfilments_json(o.id, NULL, :staff),
    'history', (
        SELECT coalesce(json_agg(json_build_object(
            'sequence', e.sequence, 'from', e.from_state, 'state', e.to_state, 'actor', e.actor,
            'actor_id', CASE WHEN :staff THEN e.actor_id END, 'reason', e.reason, 'at', e.at) ORDER BY e.sequence), '[]')
        FROM order_event e WHERE e.order_id = o.id),
    'payments', (
        SELECT coalesce(json_agg(json_build_object(
            'id', wire_id('pay', p.id), 'attempt', p.attempt, 'state', p.state, 'amount_minor', p.amount_minor,
            'refunded_minor', p.refunded_minor, 'currency', p.currency, 'failure', p.failure,
            'redirect_url', CASE WHEN o.state = 'pending_payment' AND p.state IN ('created', 'pending') THEN p.redirect_url END,
            'intent_id', CASE WHEN :staff THEN p.intent_id END, 'created_at', p.created_at) ORDER BY p.attempt), '[]')
        FROM payment p WHERE p.order_id = o.id),
    'refunds', (
        SELECT coalesce(json_agg(json_build_object(
            'id', wire_id('ref', r.id), 'state', r.state, 'amount_minor', r.amount_minor, 'points', r.points,
            'currency', r.currency, 'reason', r.reason, 'created_at', r.created_at) ORDER BY r.id), '[]')
        FROM refund r WHERE r.order_id = o.id)) AS body
FROM orders o
WHERE o.id = :order_id AND (:customer_id::uuid IS NULL OR o.customer_id = :customer_id);

-- Orders of which a vendor sends a part: those that were confirmed.
-- name: vendor_order_page(vendor_id vendor_id, before order_id?, most int8) :one
-- returns: body json
WITH page AS (
    SELECT DISTINCT f.order_id FROM fulfilment f
    WHERE f.vendor_id = :vendor_id AND (:before::uuid IS NULL OR f.order_id < :before)
    ORDER BY f.order_id DESC
    LIMIT :most + 1
), shown AS (
    SELECT order_id FROM page ORDER BY order_id DESC LIMIT :most
)
SELECT json_build_object(
    'items', coalesce(json_agg(json_build_object(
        'id', wire_id('ord', o.id), 'number', o.number, 'state', o.state, 'currency', o.currency, 'placed_at', o.placed_at,
        'total_minor', l.total_minor, 'lines', l.lines, 'fulfilments', order_fulfilments_json(o.id, :vendor_id, true))
        ORDER BY o.id DESC), '[]'),
    'next_cursor', CASE WHEN (SELECT count(*) FROM page) > :most
                        THEN wire_id('ord', (SELECT order_id FROM shown ORDER BY order_id LIMIT 1)) END) AS body
FROM shown s
JOIN orders o ON o.id = s.order_id
CROSS JOIN LATERAL (
    SELECT sum(total_minor) AS total_minor, json_agg(json_build_object(
        'line_no', line_no, 'product_id', wire_id('prd', product_id), 'variant_id', wire_id('var', variant_id), 'sku', sku,
        'title', title, 'quantity', quantity, 'unit_price_minor', unit_price_minor, 'total_minor', total_minor) ORDER BY line_no) AS lines
    FROM order_line WHERE order_id = s.order_id AND vendor_id = :vendor_id
) l;

-- A vendor's part of one order. Of the address only what a parcel needs.
-- name: vendor_order_body(order_id order_id, vendor_id vendor_id) :one
-- returns: body json
SELECT json_build_object(
    'id', wire_id('ord', o.id), 'number', o.number, 'state', o.state, 'currency', o.currency, 'placed_at', o.placed_at,
    'total_minor', l.total_minor, 'lines', l.lines, 'fulfilments', order_fulfilments_json(o.id, :vendor_id, true),
    'address', (
        SELECT coalesce(json_object_agg(a.key, a.value), '{}') FROM json_each(o.address::json) a
        WHERE a.key IN ('name', 'company', 'line1', 'line2', 'city', 'region', 'postal_code', 'country', 'phone'))) AS body
FROM orders o
CROSS JOIN LATERAL (
    SELECT sum(total_minor) AS total_minor, json_agg(json_build_object(
        'line_no', line_no, 'product_id', wire_id('prd', product_id), 'variant_id', wire_id('var', variant_id), 'sku', sku,
        'title', title, 'quantity', quantity, 'unit_price_minor', unit_price_minor, 'total_minor', total_minor) ORDER BY line_no) AS lines
    FROM order_line WHERE order_id = o.id AND vendor_id = :vendor_id
) l
WHERE o.id = :order_id
  AND EXISTS (SELECT 1 FROM fulfilment f WHERE f.order_id = :order_id AND f.vendor_id = :vendor_id);

-- Staff's list by what stands on the order. Run with plan_cache_mode = force_custom_plan: each set of filters gets its own
-- plan, by the index on number, customer or state, or along the key.
-- name: staff_order_page(order_id order_id?, number int8?, customer_id user_id?, state text?, floor order_id?, before order_id?,
-- most int8) :one
-- returns: body json
WITH page AS (
    SELECT o.* FROM orders o
    WHERE (:order_id::uuid IS NULL OR o.id = :order_id)
      AND (:number::int8 IS NULL OR o.number = :number)
      AND (:customer_id::uuid IS NULL OR o.customer_id = :customer_id)
      AND (:state::text IS NULL OR o.state = :state)
      AND (:floor::uuid IS NULL OR o.id >= :floor)
      AND (:before::uuid IS NULL OR o.id < :before)
    ORDER BY o.id DESC
    LIMIT :most + 1
), shown AS (
    SELECT * FROM page ORDER BY id DESC LIMIT :most
)
SELECT json_build_object(
    'items', coalesce(json_agg(json_build_object(
        'id', wire_id('ord', s.id), 'number', s.number, 'state', s.state, 'customer_id', wire_id('usr', s.customer_id),
        'currency', s.currency, 'total_minor', s.total_minor, 'points', s.points, 'points_value_minor', s.points_value_minor,
        'cash_minor', s.cash_minor, 'items', l.items, 'title', l.title, 'placed_at', s.placed_at) ORDER BY s.id DESC), '[]'),
    'next_cursor', CASE WHEN (SELECT count(*) FROM page) > :most THEN wire_id('ord', (SELECT id FROM shown ORDER BY id LIMIT 1)) END) AS body
FROM shown s
CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity), 0) AS items, coalesce((array_agg(title ORDER BY line_no))[1], '') AS title
    FROM order_line WHERE order_id = s.id
) l;

-- The same by what stands on lines: walks the lines of a vendor or SKU, newest first, and looks each order up. OFFSET 0 keeps
-- it a walk.
-- name: staff_order_page_by_line(vendor_id vendor_id?, sku text?, order_id order_id?, number int8?, customer_id user_id?, state text?,
-- floor order_id?, before order_id?, most int8) :one
-- returns: body json
WITH page AS (
    SELECT o.*
    FROM (
        SELECT DISTINCT l.order_id FROM order_line l
        WHERE (:vendor_id::uuid IS NULL OR l.vendor_id = :vendor_id)
          AND (:sku::text IS NULL OR l.sku = :sku)
          AND (:order_id::uuid IS NULL OR l.order_id = :order_id)
          AND (:floor::uuid IS NULL OR l.order_id >= :floor)
          AND (:before::uuid IS NULL OR l.order_id < :before)
        ORDER BY l.order_id DESC
    ) c
    CROSS JOIN LATERAL (
        SELECT * FROM orders
        WHERE id = c.order_id
          AND (:number::int8 IS NULL OR number = :number)
          AND (:customer_id::uuid IS NULL OR customer_id = :customer_id)
          AND (:state::text IS NULL OR state = :state)
        OFFSET 0
    ) o
    ORDER BY c.order_id DESC
    LIMIT :most + 1
), shown AS (
    SELECT * FROM page ORDER BY id DESC LIMIT :most
)
SELECT json_build_object(
    'items', coalesce(json_agg(json_build_object(
        'id', wire_id('ord', s.id), 'number', s.number, 'state', s.state, 'customer_id', wire_id('usr', s.customer_id),
        'currency', s.currency, 'total_minor', s.total_minor, 'points', s.points, 'points_value_minor', s.points_value_minor,
        'cash_minor', s.cash_minor, 'items', l.items, 'title', l.title, 'placed_at', s.placed_at) ORDER BY s.id DESC), '[]'),
    'next_cursor', CASE WHEN (SELECT count(*) FROM page) > :most THEN wire_id('ord', (SELECT id FROM shown ORDER BY id LIMIT 1)) END) AS body
FROM shown s
CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity), 0) AS items, coalesce((array_agg(title ORDER BY line_no))[1], '') AS title
    FROM order_line WHERE order_id = s.id
) l;

-- name: order_of_payment(intent_id text) :one
-- returns: order_id order_id
SELECT order_id FROM payment WHERE intent_id = :intent_id;

-- name: order_customer(order_id order_id) :one
-- returns: customer_id user_id
SELECT customer_id FROM orders WHERE id = :order_id;

-- For a live stream: the steps behind a sequence, oldest first, and the parcels as they are.
-- name: order_events_since(order_id order_id, sequence int4) :many
-- returns: sequence int4, body json
SELECT e.sequence, json_build_object(
    'order_id', wire_id('ord', e.order_id), 'sequence', e.sequence, 'from', e.from_state, 'state', e.to_state, 'actor', e.actor,
    'reason', e.reason, 'at', e.at) AS body
FROM order_event e
WHERE e.order_id = :order_id AND e.sequence > :sequence
ORDER BY e.sequence;

-- name: order_fulfilments_body(order_id order_id) :one
-- returns: body json
SELECT json_build_object('order_id', wire_id('ord', :order_id), 'fulfilments', order_fulfilments_json(:order_id, NULL, false)) AS body;
