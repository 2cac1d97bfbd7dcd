-- Queries of payments.

-- The payments of a batch of orders, not yet known to the gateway.
-- name: payment_insert_batch(ids payment_id[], order_ids order_id[], amounts int8[], currencies text[]) :exec
INSERT INTO payment (id, order_id, amount_minor, currency)
SELECT b.id, b.order_id, b.amount_minor, b.currency
FROM unnest(:ids, :order_ids, :amounts, :currencies) AS b (id, order_id, amount_minor, currency);
