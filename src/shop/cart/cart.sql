-- Queries of carts.

-- What checkout needs of the carts of a batch, locked in the order of their ids.
-- name: cart_lock_batch(ids cart_id[]) :many
-- returns: id cart_id, user_id user_id?, state text, version int4
SELECT id, user_id, state, version FROM cart WHERE id = ANY(:ids) ORDER BY id FOR UPDATE;

-- name: cart_spend_batch(ids cart_id[]) :exec
UPDATE cart SET state = 'spent', version = version + 1, updated_at = now() WHERE id = ANY(:ids);
