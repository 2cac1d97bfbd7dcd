-- Invariants of orders, for `cathay verify`. Each looks at the newest orders only (:newest), and tells at most :most faults.

-- name: check_order_history(newest int8, most int8) :many
-- returns: order_id order_id, what text
WITH recent AS MATERIALIZED (
    SELECT id, state, sequence FROM orders ORDER BY id DESC LIMIT :newest
), history AS (
    SELECT e.order_id, count(*) AS steps, max(e.sequence) AS newest, (array_agg(e.to_state ORDER BY e.sequence DESC))[1] AS state
    FROM order_event e
    WHERE e.order_id >= (SELECT id FROM recent ORDER BY id LIMIT 1)
    GROUP BY e.order_id
)
SELECT r.id AS order_id, CASE
        WHEN h.order_id IS NULL THEN 'has no history'
        WHEN h.newest <> r.sequence THEN format('is at sequence %s, its history at %s', r.sequence, h.newest)
        WHEN h.steps <> h.newest THEN format('has %s steps in its history, the newest is number %s', h.steps, h.newest)
        ELSE format('is %s, its history ends with %s', r.state, h.state) END AS what
FROM recent r
LEFT JOIN history h ON h.order_id = r.id
WHERE h.order_id IS NULL OR h.newest <> r.sequence OR h.steps <> h.newest OR h.state <> r.state
LIMIT :most;

-- Pairs of states that follow each other in histories, with one order of each; the table in C judges them. A step whose
-- from_state is not the state before it comes as a pair of its own.
-- name: check_order_steps(newest int8) :many
-- returns: from_state text, to_state text, chained bool, order_id order_id
WITH recent AS MATERIALIZED (
    SELECT id FROM orders ORDER BY id DESC LIMIT :newest
), step AS (
    SELECT e.order_id, coalesce(e.from_state, '') AS from_state, e.to_state,
           coalesce(e.from_state, '') = coalesce(lag(e.to_state) OVER (PARTITION BY e.order_id ORDER BY e.sequence), '') AS chained
    FROM order_event e
    WHERE e.order_id >= (SELECT id FROM recent ORDER BY id LIMIT 1)
)
SELECT from_state, to_state, chained, (array_agg(order_id))[1] AS order_id FROM step GROUP BY 1, 2, 3;

-- name: check_order_sums(newest int8, most int8) :many
-- returns: order_id order_id, what text
WITH recent AS MATERIALIZED (
    SELECT * FROM orders ORDER BY id DESC LIMIT :newest
), line AS (
    SELECT order_id, sum(total_minor) AS total, sum(points) AS points, sum(points_value_minor) AS points_value, sum(cash_minor) AS cash
    FROM order_line
    WHERE order_id >= (SELECT id FROM recent ORDER BY id LIMIT 1)
    GROUP BY order_id
)
SELECT r.id AS order_id, format('lines add up to %s, %s points worth %s, %s in cash; the order says %s, %s worth %s, %s', l.total, l.points,
                    l.points_value, l.cash, r.subtotal_minor, r.points, r.points_value_minor, r.subtotal_minor - r.points_value_minor) AS what
FROM recent r
LEFT JOIN line l ON l.order_id = r.id
WHERE l.order_id IS NULL OR l.total <> r.subtotal_minor OR l.points <> r.points OR l.points_value <> r.points_value_minor
   OR l.cash <> r.subtotal_minor - r.points_value_minor
LIMIT :most;

-- Every line's reservations hold its quantity, of its variant, in the state that the order's state asks for.
-- name: check_order_reservations(newest int8, most int8) :many
-- returns: order_id order_id, what text
WITH recent AS MATERIALIZED (
    SELECT id, state FROM orders ORDER BY id DESC LIMIT :newest
), bound AS (
    SELECT id FROM recent ORDER BY id LIMIT 1
), held AS (
    SELECT order_id, line_no, min(variant_id::text) AS variant, max(variant_id::text) AS other_variant, sum(quantity) AS quantity,
           array_agg(DISTINCT state) AS states
    FROM reservation
    WHERE order_id >= (SELECT id FROM bound)
    GROUP BY order_id, line_no
), line AS (
    SELECT order_id, line_no, variant_id, quantity FROM order_line WHERE order_id >= (SELECT id FROM bound)
), fault AS (
    SELECT coalesce(l.order_id, h.order_id) AS order_id, CASE
            WHEN l.order_id IS NULL THEN format('stock is reserved for line %s, which does not exist', h.line_no)
            WHEN h.order_id IS NULL THEN format('line %s has no reservation', l.line_no)
            WHEN h.variant <> l.variant_id::text OR h.other_variant <> l.variant_id::text
                THEN format('the reservation of line %s is of another variant', l.line_no)
            WHEN h.quantity <> l.quantity THEN format('line %s is of %s, reserved are %s', l.line_no, l.quantity, h.quantity)
            WHEN NOT h.states <@ CASE
                WHEN r.state = 'pending_payment' THEN '{held}'::text[]
                WHEN r.state IN ('cancelled', 'refunded')
                     AND EXISTS (SELECT FROM fulfilment f WHERE f.order_id = r.id AND f.state NOT IN ('pending', 'cancelled'))
                    THEN CASE WHEN EXISTS (SELECT FROM fulfilment f WHERE f.order_id = r.id AND f.state = 'processing')
                              THEN '{released,consumed,confirmed}'::text[] ELSE '{released,consumed}' END
                WHEN r.state IN ('payment_failed', 'expired', 'cancelled', 'refunded') THEN '{released}'
                WHEN r.state IN ('confirmed', 'processing') THEN '{confirmed}'
                ELSE '{confirmed,consumed,returned,released}' END
                THEN format('the order is %s, the reservations of line %s are %s', r.state, l.line_no, array_to_string(h.states, ', '))
            END AS what
    FROM line l
    FULL JOIN held h ON h.order_id = l.order_id AND h.line_no = l.line_no
    LEFT JOIN recent r ON r.id = l.order_id
)
SELECT order_id, what FROM fault WHERE what IS NOT NULL LIMIT :most;

-- Once an order was confirmed, its fulfilments are exactly the vendors and locations that send its lines.
-- name: check_order_fulfilments(newest int8, most int8) :many
-- returns: order_id order_id, what text
WITH recent AS MATERIALIZED (
    SELECT id, state FROM orders ORDER BY id DESC LIMIT :newest
), bound AS (
    SELECT id FROM recent ORDER BY id LIMIT 1
), part AS (
    SELECT DISTINCT l.order_id, l.vendor_id, r.location_id
    FROM reservation r
    JOIN order_line l ON l.order_id = r.order_id AND l.line_no = r.line_no
    JOIN recent o ON o.id = r.order_id
    WHERE r.order_id >= (SELECT id FROM bound) AND l.order_id >= (SELECT id FROM bound)
      AND o.state IN ('confirmed', 'processing', 'shipped', 'delivered', 'returned', 'partially_refunded', 'refunded')
), made AS (
    SELECT f.order_id, f.vendor_id, f.location_id, o.state, f.state AS part_state,
           row_number() OVER (PARTITION BY f.order_id, f.vendor_id, f.location_id) AS time
    FROM fulfilment f JOIN recent o ON o.id = f.order_id
    WHERE f.order_id >= (SELECT id FROM bound)
), fault AS (
    SELECT coalesce(p.order_id, m.order_id) AS order_id, CASE
            WHEN m.order_id IS NULL THEN 'has lines that no fulfilment sends'
            WHEN m.time > 1 THEN 'has two fulfilments of one vendor and location'
            WHEN p.order_id IS NULL AND m.state NOT IN ('cancelled') THEN 'has a fulfilment without lines'
            WHEN m.state = 'delivered' AND m.part_state NOT IN ('delivered', 'returned', 'cancelled')
                THEN format('is delivered, but a part of it is %s', m.part_state)
            WHEN m.state = 'confirmed' AND m.part_state NOT IN ('pending', 'cancelled')
                THEN format('is confirmed only, but a part of it is %s', m.part_state)
            END AS what
    FROM part p
    FULL JOIN made m ON m.order_id = p.order_id AND m.vendor_id = p.vendor_id AND m.location_id = p.location_id
)
SELECT order_id, what FROM fault WHERE what IS NOT NULL LIMIT :most;

-- Points of an order lie in one transfer of that many from its customer, open while payment is awaited, posted once it is paid,
-- voided where nothing came of it.
-- name: check_order_points(newest int8, most int8) :many
-- returns: order_id order_id, what text
WITH recent AS MATERIALIZED (
    SELECT id, state, points, hold_id FROM orders ORDER BY id DESC LIMIT :newest
), fault AS (
    SELECT r.id, CASE
            WHEN (r.points > 0) <> (r.hold_id IS NOT NULL) THEN format('takes %s points, its hold is %s', r.points, coalesce(r.hold_id::text, 'missing'))
            WHEN r.points = 0 THEN NULL
            WHEN opened.points IS DISTINCT FROM r.points OR opened.order_id IS DISTINCT FROM r.id
                THEN format('takes %s points, its hold is of %s', r.points, coalesce(opened.points::text, 'nothing'))
            WHEN r.state = 'pending_payment' AND closed.phase IS NOT NULL THEN format('waits for payment, its points are %s', closed.phase)
            WHEN r.state IN ('payment_failed', 'expired') AND closed.phase IS DISTINCT FROM 'voided'
                THEN format('is %s, its points are %s', r.state, coalesce(closed.phase, 'held still'))
            WHEN r.state IN ('confirmed', 'processing', 'shipped', 'delivered', 'returned', 'partially_refunded', 'refunded')
                 AND closed.phase IS DISTINCT FROM 'posted'
                THEN format('is %s, its points are %s', r.state, coalesce(closed.phase, 'held still'))
            WHEN r.state = 'cancelled' AND closed.phase IS NULL THEN 'is cancelled, its points are held still'
            END AS what
    FROM recent r
    LEFT JOIN transfer opened ON opened.root_id = r.hold_id AND opened.step = 0
    LEFT JOIN transfer closed ON closed.root_id = r.hold_id AND closed.step = 1
)
SELECT id AS order_id, what FROM fault WHERE what IS NOT NULL LIMIT :most;

-- What keys would have proved: the customer, the vendor and the variant exist.
-- name: check_order_references(newest int8, most int8) :many
-- returns: order_id order_id, what text
WITH recent AS MATERIALIZED (
    SELECT id, customer_id FROM orders ORDER BY id DESC LIMIT :newest
), fault AS (
    SELECT r.id, 'belongs to a customer who does not exist' AS what
    FROM recent r WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = r.customer_id)
    UNION ALL
    SELECT l.order_id, format('line %s is of a variant, product or vendor that does not exist', l.line_no)
    FROM order_line l
    LEFT JOIN variant v ON v.id = l.variant_id
    LEFT JOIN vendor n ON n.id = l.vendor_id
    WHERE l.order_id >= (SELECT id FROM recent ORDER BY id LIMIT 1)
      AND (v.id IS NULL OR n.id IS NULL OR v.product_id <> l.product_id)
)
SELECT id AS order_id, what FROM fault LIMIT :most;

-- name: check_order_expiry(late_s int8, most int8) :many
-- returns: order_id order_id, what text
SELECT id AS order_id, format('should have expired at %s', expires_at) AS what
FROM orders
WHERE state = 'pending_payment' AND expires_at < now() - make_interval(secs => :late_s::int8)
ORDER BY expires_at
LIMIT :most;
