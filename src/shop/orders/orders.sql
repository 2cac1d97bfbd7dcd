-- What the checkout engine writes for a batch of orders, set-based; all in state pending_payment, with one time limit.
-- Arrays run in parallel, one item an order.
-- name: order_insert_batch(ids order_id[], numbers int8[], customer_ids user_id[], currencies text[], subtotal_minors int8[], total_minors int8[],
-- points int8[], points_value_minors int8[], cash_minors int8[], earn_points int8[], hold_ids uuid?[], policy_versions int4[],
-- addresses text[], cart_ids uuid?[], sale_ids uuid?[], placed_at timestamptz, expires_at timestamptz) :exec
INSERT INTO orders (id, number, customer_id, state, sequence, currency, subtotal_minor, total_minor, points, points_value_minor,
                    cash_minor, earn_points, hold_id, policy_version, address, cart_id, sale_id, placed_at, expires_at)
SELECT unnest(:ids::uuid[]), unnest(:numbers::int8[]), unnest(:customer_ids::uuid[]), 'pending_payment', 1, unnest(:currencies::text[]),
       unnest(:subtotal_minors::int8[]), unnest(:total_minors::int8[]), unnest(:points::int8[]), unnest(:points_value_minors::int8[]),
       unnest(:cash_minors::int8[]), unnest(:earn_points::int8[]), unnest(:hold_ids::uuid[]), unnest(:policy_versions::int4[]),
       unnest(:addresses::text[]), unnest(:cart_ids::uuid[]), unnest(:sale_ids::uuid[]), :placed_at::timestamptz, :expires_at::timestamptz;

-- The lines of a batch of orders, one item a line.
-- name: order_line_insert_batch(order_ids order_id[], line_nos int2[], product_ids product_id[], variant_ids variant_id[],
-- vendor_ids vendor_id[], skus text[], titles text[], quantities int4[], unit_price_minors int8[], total_minors int8[],
-- points int8[], points_value_minors int8[], cash_minors int8[]) :exec
INSERT INTO order_line (order_id, line_no, product_id, variant_id, vendor_id, sku, title, quantity, unit_price_minor,
                        total_minor, points, points_value_minor, cash_minor)
SELECT unnest(:order_ids::uuid[]), unnest(:line_nos::int2[]), unnest(:product_ids::uuid[]), unnest(:variant_ids::uuid[]),
       unnest(:vendor_ids::uuid[]), unnest(:skus::text[]), unnest(:titles::text[]), unnest(:quantities::int4[]),
       unnest(:unit_price_minors::int8[]), unnest(:total_minors::int8[]), unnest(:points::int8[]), unnest(:points_value_minors::int8[]),
       unnest(:cash_minors::int8[]);

-- The first line of the history of a batch of orders: placed by their customers.
-- name: order_event_insert_batch(order_ids order_id[], customer_ids user_id[]) :exec
INSERT INTO order_event (order_id, sequence, from_state, to_state, actor, actor_id)
SELECT unnest(:order_ids::uuid[]), 1, NULL, 'pending_payment', 'customer', unnest(:customer_ids::uuid[]);

-- Statements about many orders take their ids sorted: the first and the last tell which partitions are looked into, which the
-- list by itself does not.

-- Locks and reads orders, in key order. The sort is below the locking.
-- name: order_lock_batch(ids order_id[]) :many
-- returns: id order_id, number int8, customer_id user_id, state text, sequence int4, currency text, total_minor int8, points int8,
-- points_value_minor int8, cash_minor int8, earn_points int8, hold_id uuid?, policy_version int4, expires_at timestamptz?,
-- of_sale bool
SELECT id, number, customer_id, state, sequence, currency, total_minor, points, points_value_minor, cash_minor, earn_points,
       hold_id, policy_version, expires_at, sale_id IS NOT NULL AS of_sale
FROM orders WHERE id = ANY(:ids) AND id BETWEEN (:ids)[1] AND (:ids)[cardinality(:ids)]
ORDER BY id
FOR NO KEY UPDATE;

-- One step of each of these orders, in one statement: the orders and their history. A row less than orders: somebody else has
-- moved one, which the locks exclude.
-- name: order_step_batch(ids order_id[], from_state text, to_state text, actor text, actor_id uuid?, reason text?) :exec
WITH moved AS (
    UPDATE orders SET state = :to_state, sequence = sequence + 1, updated_at = now()
    WHERE id = ANY(:ids) AND id BETWEEN (:ids)[1] AND (:ids)[cardinality(:ids)] AND state = :from_state
    RETURNING id, sequence
)
INSERT INTO order_event (order_id, sequence, from_state, to_state, actor, actor_id, reason)
SELECT id, sequence, :from_state, :to_state, :actor, :actor_id, :reason FROM moved;

-- name: order_hold_set(order_id order_id, hold_id uuid?, expires_at timestamptz) :exec
UPDATE orders SET hold_id = :hold_id, expires_at = :expires_at WHERE id = :order_id;

-- What an order's lines are today, beside what they were when it was placed; in their order. Whether they are for sale and what they
-- cost is what the checkout engine asks, too (checkout_variant_batch).
-- name: order_goods_list(order_id order_id) :many
-- returns: unit_price_minor int8, total_minor int8, is_there bool, for_sale bool, price_minor int8?, tender text, category_path uuid[]
SELECT l.unit_price_minor, l.total_minor, v.id IS NOT NULL AS is_there,
       coalesce(v.state = 'active' AND p.state = 'published' AND n.state = 'active', false) AS for_sale,
       (SELECT r.amount_minor FROM price r
        WHERE r.variant_id = l.variant_id AND r.currency = o.currency
          AND r.valid_from <= now() AND (r.valid_until IS NULL OR r.valid_until > now())
        ORDER BY r.valid_from DESC, r.id DESC LIMIT 1) AS price_minor,
       coalesce(p.tender, 'any') AS tender, coalesce(p.category_path, '{}') AS category_path
FROM orders o
JOIN order_line l ON l.order_id = :order_id
LEFT JOIN variant v ON v.id = l.variant_id
LEFT JOIN product p ON p.id = v.product_id
LEFT JOIN vendor n ON n.id = v.vendor_id
WHERE o.id = :order_id
ORDER BY l.line_no;

-- Who sends which line.
-- name: order_line_vendors(order_ids order_id[]) :many
-- returns: order_id order_id, line_no int2, vendor_id vendor_id
SELECT order_id, line_no, vendor_id FROM order_line
WHERE order_id = ANY(:order_ids) AND order_id BETWEEN (:order_ids)[1] AND (:order_ids)[cardinality(:order_ids)];

-- name: fulfilment_insert_batch(order_ids order_id[], numbers int2[], ids fulfilment_id[], vendor_ids vendor_id[],
-- location_ids location_id[]) :exec
INSERT INTO fulfilment (order_id, number, id, vendor_id, location_id)
SELECT unnest(:order_ids), unnest(:numbers), unnest(:ids), unnest(:vendor_ids), unnest(:location_ids);

-- name: fulfilment_states(order_id order_id) :many
-- returns: number int2, id fulfilment_id, vendor_id vendor_id, location_id location_id, state text
SELECT number, id, vendor_id, location_id, state FROM fulfilment WHERE order_id = :order_id ORDER BY number;

-- name: fulfilment_state_set(order_id order_id, number int2, state text) :exec
UPDATE fulfilment SET state = :state, updated_at = now() WHERE order_id = :order_id AND number = :number;

-- What has no label yet will not leave.
-- name: fulfilment_cancel_unlabelled(order_id order_id) :exec
UPDATE fulfilment SET state = 'cancelled', updated_at = now()
WHERE order_id = :order_id AND state = 'pending';

-- name: order_address_set(order_id order_id, address text) :exec
UPDATE orders SET address = :address, updated_at = now() WHERE id = :order_id;
