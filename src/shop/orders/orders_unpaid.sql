-- What a customer has waiting for payment: orders that hold stock for nothing but a promise. Those of flash sales have a limit of their own.

-- Whoever adds to it holds this lock of the customer, in the order of customers, until his transaction ends; what ends the wait
-- needs none. No row stands for it, so that nothing is written.
-- name: order_customer_lock_batch(customer_ids user_id[]) :one
-- returns: locked int8
SELECT count(*) AS locked
FROM (SELECT pg_advisory_xact_lock(uuid_hash_extended(c.id, 0)) FROM unnest(:customer_ids) AS c (id) OFFSET 0) l;

-- Customers without any have no row. `recent`: the first id of the time to pay; orders behind it are found by customer, few as they
-- are. Before it an order waits only because a further attempt to pay began it anew, or the sweep is late: those are found by state,
-- few of all customers together, and not before `oldest`. Two expressions keep each half from the other's index.
-- name: order_unpaid_batch(customer_ids user_id[], recent uuid, oldest uuid) :many
-- returns: customer_id user_id, orders int8, units int8
SELECT o.customer_id, count(*) AS orders, sum(l.units)::int8 AS units
FROM (
    SELECT id, customer_id FROM orders
    WHERE customer_id = ANY(:customer_ids) AND id >= :recent AND state || '' = 'pending_payment' AND sale_id IS NULL
    UNION ALL
    SELECT id, customer_id FROM orders
    WHERE state = 'pending_payment' AND id >= :oldest AND id < :recent AND sale_id IS NULL
      AND coalesce(customer_id) = ANY(:customer_ids)
) o, LATERAL (
    SELECT coalesce(sum(quantity), 0) AS units FROM order_line WHERE order_id = o.id AND order_id >= :oldest OFFSET 0
) l
GROUP BY o.customer_id;

-- name: order_units(order_id order_id) :one
-- returns: units int8
SELECT coalesce(sum(quantity), 0)::int8 AS units FROM order_line WHERE order_id = :order_id;
