-- What `cathay verify` proves of sales.

-- name: check_sale_sold(most int8) :many
-- returns: sale_id sale_id, what text
SELECT s.id AS sale_id, format('has sold %s of %s, its claims say %s', s.sold, s.quantity, coalesce(c.taken, 0)) AS what
FROM sale s
LEFT JOIN (SELECT sale_id, sum(quantity) AS taken FROM sale_claim WHERE state = 'taken' GROUP BY sale_id) c ON c.sale_id = s.id
WHERE s.sold <> coalesce(c.taken, 0) OR s.sold NOT BETWEEN 0 AND s.quantity
LIMIT :most;

-- name: check_sale_customers(most int8) :many
-- returns: sale_id sale_id, what text
SELECT coalesce(k.sale_id, c.sale_id) AS sale_id,
       format('customer %s is counted with %s, has claims for %s, may have %s', wire_id('usr', coalesce(k.customer_id, c.customer_id)),
              coalesce(k.quantity, 0), coalesce(c.taken, 0), s.per_customer) AS what
FROM sale_customer k
FULL JOIN (SELECT sale_id, customer_id, sum(quantity) AS taken FROM sale_claim WHERE state = 'taken' GROUP BY sale_id, customer_id) c
     ON c.sale_id = k.sale_id AND c.customer_id = k.customer_id
LEFT JOIN sale s ON s.id = coalesce(k.sale_id, c.sale_id)
WHERE coalesce(k.quantity, 0) <> coalesce(c.taken, 0) OR coalesce(k.quantity, 0) > coalesce(s.per_customer, -1)
LIMIT :most;

-- Orders of a sale and claims belong to each other one to one. An order that came to nothing gives back within late_s.
-- name: check_sale_claims(late_s int8, most int8) :many
-- returns: order_id order_id, what text
WITH fault AS (
    SELECT coalesce(o.id, c.order_id) AS order_id, CASE
        WHEN c.order_id IS NULL THEN 'is an order of a sale without a claim'
        WHEN o.id IS NULL THEN 'has a claim and is not an order of a sale'
        WHEN o.sale_id <> c.sale_id OR o.customer_id <> c.customer_id THEN 'has a claim of another sale or customer'
        WHEN c.state = 'released' AND o.state NOT IN ('payment_failed', 'expired', 'cancelled', 'refunded')
            THEN format('is %s, and its units were given back', o.state)
        WHEN c.state = 'taken' AND o.state IN ('payment_failed', 'expired', 'cancelled') AND o.updated_at < now() - make_interval(secs => :late_s::int8)
            THEN format('is %s, and its units are not given back', o.state)
        WHEN NOT EXISTS (SELECT FROM order_line l JOIN sale s ON s.id = c.sale_id
                         WHERE l.order_id = o.id AND l.variant_id = s.variant_id AND l.quantity = c.quantity AND l.unit_price_minor = s.price_minor)
            THEN 'does not hold what its claim says at the price of the sale'
        END AS what
    FROM (SELECT * FROM orders WHERE sale_id IS NOT NULL) o
    FULL JOIN sale_claim c ON c.order_id = o.id
)
SELECT order_id, what FROM fault WHERE what IS NOT NULL LIMIT :most;
