-- Whether the database answers: asked by the server's health thread, never by a request.
-- name: health_ping() :one
-- returns: one int4
SELECT 1 AS one;
