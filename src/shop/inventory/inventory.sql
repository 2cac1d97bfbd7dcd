-- Queries of inventory. Stock rows are locked in the order (variant_id, location_id), everywhere.

-- ── for the checkout engine: each is one statement of a pipeline ──

-- Locks and reads all stock of these variants, at every location. The sort is below the locking, so rows are locked in order.
-- name: stock_lock_batch(variant_ids variant_id[]) :many
-- returns: variant_id variant_id, location_id location_id, priority int4, on_hand int4, reserved int4, goods int4
SELECT s.variant_id, s.location_id, s.priority, s.on_hand, s.reserved, s.goods
FROM stock s
WHERE s.variant_id = ANY(:variant_ids)
ORDER BY s.variant_id, s.location_id
FOR NO KEY UPDATE;

-- Adds to what is reserved; one item for each stock row, in the order of locking. Rows that are locked already have no number of
-- goods. Where one is given it has to be the row's still, and more than `stay` have to stay available: else the CHECK constraint
-- refuses the whole, as it refuses more than is on hand.
-- name: stock_reserve_batch(variant_ids variant_id[], location_ids location_id[], quantities int4[], goods int4?[], stay int4) :exec
UPDATE stock s
SET reserved = CASE WHEN d.goods IS NULL OR (s.goods = d.goods AND s.on_hand - s.reserved - d.quantity > :stay) THEN s.reserved + d.quantity
                    ELSE -1 END
FROM (SELECT unnest(:variant_ids) AS variant_id, unnest(:location_ids) AS location_id, unnest(:quantities) AS quantity,
             unnest(:goods) AS goods) d
WHERE s.variant_id = d.variant_id AND s.location_id = d.location_id;

-- name: reservation_insert_batch(order_ids order_id[], line_nos int2[], location_ids location_id[], variant_ids variant_id[], quantities int4[]) :exec
INSERT INTO reservation (order_id, line_no, location_id, variant_id, quantity)
SELECT unnest(:order_ids), unnest(:line_nos), unnest(:location_ids), unnest(:variant_ids), unnest(:quantities);

-- The products of these variants: what events about their stock are about.
-- name: variant_product_list(variant_ids variant_id[]) :many
-- returns: variant_id variant_id, product_id product_id
SELECT v.id AS variant_id, v.product_id FROM variant v WHERE v.id = ANY(:variant_ids);

-- ── reservations; the rows of their orders are locked by the caller ──

-- The ids are sorted: the first and the last tell which partitions are looked into.
-- name: reservation_confirm_batch(order_ids order_id[]) :many
-- returns: order_id order_id, line_no int2, location_id location_id
UPDATE reservation SET state = 'confirmed'
WHERE order_id = ANY(:order_ids) AND order_id BETWEEN (:order_ids)[1] AND (:order_ids)[cardinality(:order_ids)] AND state = 'held'
RETURNING order_id, line_no, location_id;

-- Locks all stock of the variants that the order reserves, as stock_lock_batch does.
-- name: stock_lock_of_order(order_id order_id) :many
-- returns: variant_id variant_id, location_id location_id, priority int4, on_hand int4, reserved int4
SELECT s.variant_id, s.location_id, s.priority, s.on_hand, s.reserved
FROM stock s
WHERE s.variant_id IN (SELECT r.variant_id FROM reservation r WHERE r.order_id = :order_id)
ORDER BY s.variant_id, s.location_id
FOR NO KEY UPDATE;

-- name: reservation_list_of_order(order_id order_id) :many
-- returns: line_no int2, location_id location_id, variant_id variant_id, quantity int4, state text
SELECT r.line_no, r.location_id, r.variant_id, r.quantity, r.state
FROM reservation r
WHERE r.order_id = :order_id
ORDER BY r.line_no, r.location_id;

-- Moves an order's reservations between states, at one location or at all.
-- name: reservation_move(order_id order_id, location_id location_id?, from_states text[], to_state text) :exec
UPDATE reservation
SET state = :to_state
WHERE order_id = :order_id AND (:location_id IS NULL OR location_id = :location_id) AND state = ANY(:from_states);

-- name: reservation_drop_released(order_id order_id) :exec
DELETE FROM reservation WHERE order_id = :order_id AND state = 'released';

-- Changes stock rows that are locked already; one entry for each row.
-- name: stock_change(variant_ids variant_id[], location_ids location_id[], on_hand_changes int4[], reserved_changes int4[]) :exec
UPDATE stock s
SET on_hand = s.on_hand + d.on_hand, reserved = s.reserved + d.reserved
FROM unnest(:variant_ids, :location_ids, :on_hand_changes, :reserved_changes) d(variant_id, location_id, on_hand, reserved)
WHERE s.variant_id = d.variant_id AND s.location_id = d.location_id;

-- name: movement_insert_batch(ids movement_id[], variant_ids variant_id[], location_ids location_id[], quantities int4[], reason text, order_id order_id?, actor_id uuid?, note text?) :exec
INSERT INTO movement (id, variant_id, location_id, quantity, reason, order_id, actor_id, note)
SELECT m.id, m.variant_id, m.location_id, m.quantity, :reason, :order_id, :actor_id, :note
FROM unnest(:ids, :variant_ids, :location_ids, :quantities) m(id, variant_id, location_id, quantity);

-- ── receipts and corrections ──

-- The variant may be stocked at locations of its own vendor only; no row where it may not.
-- name: stock_place(variant_id variant_id, location_id location_id) :one
-- returns: vendor_id vendor_id, priority int4
SELECT v.vendor_id, l.priority
FROM variant v
JOIN location l ON l.id = :location_id AND l.vendor_id = v.vendor_id
WHERE v.id = :variant_id;

-- name: stock_ensure(variant_id variant_id, location_id location_id, priority int4) :exec
INSERT INTO stock (variant_id, location_id, priority) VALUES (:variant_id, :location_id, :priority)
ON CONFLICT DO NOTHING;

-- ── endpoints ──

-- What everybody may know: the state, no numbers. No row when it is not on sale.
-- name: stock_show(variant_id variant_id) :one
-- returns: body json
SELECT json_build_object('variant_id', wire_id('var', v.id), 'state', stock_state(
    (SELECT sum(s.on_hand - s.reserved) FROM stock s WHERE s.variant_id = v.id))) AS body
FROM variant v
JOIN product p ON p.id = v.product_id AND p.state = 'published'
WHERE v.id = :variant_id AND v.state = 'active';

-- Numbers per location, for the vendor of the variant (vendor_id) or staff (NULL). No row when it is another vendor's.
-- name: stock_list(variant_id variant_id, vendor_id vendor_id?) :one
-- returns: body json
SELECT json_build_object(
    'variant_id', wire_id('var', v.id), 'sku', v.sku, 'title', v.title,
    'state', stock_state((SELECT sum(s.on_hand - s.reserved) FROM stock s WHERE s.variant_id = v.id)),
    'locations', (SELECT coalesce(json_agg(json_build_object(
            'location_id', wire_id('loc', l.id), 'code', l.code, 'name', l.name, 'country', l.country, 'priority', l.priority,
            'on_hand', s.on_hand, 'reserved', s.reserved, 'available', s.on_hand - s.reserved) ORDER BY l.priority, l.id), '[]')
        FROM stock s JOIN location l ON l.id = s.location_id WHERE s.variant_id = v.id)) AS body
FROM variant v
WHERE v.id = :variant_id AND (:vendor_id::uuid IS NULL OR v.vendor_id = :vendor_id);

-- name: stock_variant_vendor(variant_id variant_id) :one
-- returns: vendor_id vendor_id
SELECT v.vendor_id FROM variant v WHERE v.id = :variant_id;

-- A page of a variant's movements, newest first; one more than `page_size` is looked at, to know whether there are more.
-- name: movement_list(variant_id variant_id, before movement_id?, page_size int4) :one
-- returns: items json, more bool, last_id movement_id?
WITH page AS (
    SELECT m.*, row_number() OVER (ORDER BY m.id DESC) AS n
    FROM movement m
    WHERE m.variant_id = :variant_id AND (:before IS NULL OR m.id < :before)
    ORDER BY m.id DESC
    LIMIT :page_size + 1
)
SELECT coalesce(json_agg(json_build_object(
           'id', wire_id('mov', page.id), 'variant_id', wire_id('var', page.variant_id), 'location_id', wire_id('loc', page.location_id),
           'quantity', page.quantity, 'reason', page.reason, 'order_id', wire_id('ord', page.order_id),
           'actor_id', wire_id('usr', page.actor_id), 'note', page.note, 'created_at', page.created_at) ORDER BY page.n)
           FILTER (WHERE page.n <= :page_size), '[]') AS items,
       count(*) > :page_size AS more,
       (SELECT last.id FROM page last WHERE last.n = :page_size) AS last_id
FROM page;

-- name: location_list(vendor_id vendor_id?, after location_id?, page_size int4) :one
-- returns: items json, more bool, last_id location_id?
WITH page AS (
    SELECT l.*, row_number() OVER (ORDER BY l.id) AS n
    FROM location l
    WHERE (:vendor_id::uuid IS NULL OR l.vendor_id = :vendor_id) AND (:after IS NULL OR l.id > :after)
    ORDER BY l.id
    LIMIT :page_size + 1
)
SELECT coalesce(json_agg(json_build_object(
           'id', wire_id('loc', page.id), 'vendor_id', wire_id('ven', page.vendor_id), 'code', page.code, 'name', page.name,
           'country', page.country, 'priority', page.priority) ORDER BY page.n) FILTER (WHERE page.n <= :page_size), '[]') AS items,
       count(*) > :page_size AS more,
       (SELECT last.id FROM page last WHERE last.n = :page_size) AS last_id
FROM page;

-- No row when there is no such vendor.
-- name: location_create(id location_id, vendor_id vendor_id, code text, name text, country text, priority int4) :one
-- returns: body json
WITH made AS (
    INSERT INTO location (id, vendor_id, code, name, country, priority)
    SELECT :id, v.id, :code, :name, :country, :priority FROM vendor v WHERE v.id = :vendor_id
    RETURNING *
)
SELECT json_build_object('id', wire_id('loc', made.id), 'vendor_id', wire_id('ven', made.vendor_id), 'code', made.code, 'name', made.name,
                         'country', made.country, 'priority', made.priority) AS body
FROM made;

-- ── invariants, for `cathay verify`; each says where, at most `most` times ──

-- name: stock_check_on_hand(most int4) :many
-- returns: variant_id variant_id, location_id location_id, on_hand int8, moved int8
SELECT coalesce(s.variant_id, m.variant_id) AS variant_id, coalesce(s.location_id, m.location_id) AS location_id,
       coalesce(s.on_hand, 0)::bigint AS on_hand, coalesce(m.quantity, 0) AS moved
FROM stock s
FULL JOIN (SELECT variant_id, location_id, sum(quantity)::bigint AS quantity FROM movement GROUP BY 1, 2) m
    ON m.variant_id = s.variant_id AND m.location_id = s.location_id
WHERE coalesce(s.on_hand, 0) <> coalesce(m.quantity, 0)
LIMIT :most;

-- name: stock_check_reserved(most int4) :many
-- returns: variant_id variant_id, location_id location_id, reserved int8, open int8
SELECT coalesce(s.variant_id, r.variant_id) AS variant_id, coalesce(s.location_id, r.location_id) AS location_id,
       coalesce(s.reserved, 0)::bigint AS reserved, coalesce(r.quantity, 0) AS open
FROM stock s
FULL JOIN (SELECT variant_id, location_id, sum(quantity)::bigint AS quantity FROM reservation
           WHERE state IN ('held', 'confirmed') GROUP BY 1, 2) r
    ON r.variant_id = s.variant_id AND r.location_id = s.location_id
WHERE coalesce(s.reserved, 0) <> coalesce(r.quantity, 0)
LIMIT :most;

-- name: stock_check_bounds(most int4) :many
-- returns: variant_id variant_id, location_id location_id, on_hand int4, reserved int4
SELECT s.variant_id, s.location_id, s.on_hand, s.reserved
FROM stock s
WHERE NOT (s.reserved BETWEEN 0 AND s.on_hand)
LIMIT :most;

-- The place of a stock row is one of the variant's vendor, and its priority the location's.
-- name: stock_check_places(most int4) :many
-- returns: variant_id variant_id, location_id location_id, why text
SELECT s.variant_id, s.location_id,
       CASE WHEN v.id IS NULL THEN 'no such variant' WHEN l.id IS NULL THEN 'no such location'
            WHEN l.vendor_id <> v.vendor_id THEN 'the location is another vendor''s' ELSE 'the priority is not the location''s' END AS why
FROM stock s
LEFT JOIN variant v ON v.id = s.variant_id
LEFT JOIN location l ON l.id = s.location_id
WHERE v.id IS NULL OR l.id IS NULL OR l.vendor_id <> v.vendor_id OR l.priority <> s.priority
LIMIT :most;

-- Reservations fit their order's state: held while it waits for payment, none open once it has ended.
-- name: reservation_check_orders(most int4) :many
-- returns: order_id order_id, line_no int2, state text, order_state text
SELECT r.order_id, r.line_no, r.state, coalesce(o.state, 'no such order') AS order_state
FROM reservation r
LEFT JOIN orders o ON o.id = r.order_id
WHERE r.state IN ('held', 'confirmed')
  AND (o.id IS NULL
       OR (r.state = 'held' AND o.state <> 'pending_payment')
       OR (r.state = 'confirmed' AND o.state NOT IN ('confirmed', 'processing', 'shipped', 'partially_refunded')
           -- a label was made: what becomes of its parcel is asked of the carrier
           AND NOT EXISTS (SELECT FROM fulfilment f WHERE f.order_id = r.order_id AND f.location_id = r.location_id
                           AND f.state = 'processing' AND o.state IN ('cancelled', 'refunded'))))
LIMIT :most;
