-- Every type, there and back.
-- name: fixture_echo(b bool, i2 int2, i4 int4, i8 int8, t text, j json, jb jsonb, raw bytea, u uuid, order_id order_id,
--   at timestamptz) :one
-- returns: b bool, i2 int2, i4 int4, i8 int8, t text, j json, jb jsonb, raw bytea, u uuid, order_id order_id,
--   at timestamptz
SELECT :b AS b, :i2 AS i2, :i4 AS i4, :i8 AS i8, :t AS t, :j AS j, :jb AS jb, :raw AS raw, :u AS u,
       :order_id AS order_id, :at AS at;

-- name: fixture_echo_null(b bool?, i2 int2?, i4 int4?, i8 int8?, t text?, j json?, jb jsonb?, raw bytea?, u uuid?,
--   order_id order_id?, at timestamptz?, list text[]?) :one
-- returns: b bool?, i2 int2?, i4 int4?, i8 int8?, t text?, j json?, jb jsonb?, raw bytea?, u uuid?,
--   order_id order_id?, at timestamptz?, list text[]?
SELECT :b AS b, :i2 AS i2, :i4 AS i4, :i8 AS i8, :t AS t, :j AS j, :jb AS jb, :raw AS raw, :u AS u,
       :order_id AS order_id, :at AS at, :list AS list;

-- name: fixture_echo_array(b bool[], i2 int2[], i4 int4[], i8 int8[], t text[], j json[], jb jsonb[], raw bytea[],
--   u uuid[], order_ids order_id[], at timestamptz[]) :one
-- returns: b bool[], i2 int2[], i4 int4[], i8 int8[], t text[], j json[], jb jsonb[], raw bytea[], u uuid[],
--   order_ids order_id[], at timestamptz[]
SELECT :b AS b, :i2 AS i2, :i4 AS i4, :i8 AS i8, :t AS t, :j AS j, :jb AS jb, :raw AS raw, :u AS u,
       :order_ids AS order_ids, :at AS at;

-- name: fixture_echo_holes(numbers int8?[], texts text?[], ids order_id?[]) :one
-- returns: numbers int8?[], texts text?[], ids order_id?[]
SELECT :numbers AS numbers, :texts AS texts, :ids AS ids;

-- PostgreSQL's own view of what was sent.
-- name: fixture_as_text(at timestamptz, jb jsonb, u uuid, texts text?[], numbers int4[]) :one
-- returns: at text, jb text, u text, texts text, numbers text, slice text
SELECT :at::text AS at, :jb::text AS jb, :u::text AS u, :texts::text AS texts, :numbers::text AS numbers,
       (:numbers::int4[])[1:2]::text AS slice;

-- name: fixture_series(first int8, last int8) :many
-- returns: n int8, word text?, default bool
SELECT n, CASE WHEN n % 2 = 0 THEN ':even' END AS word, n > 1 AS default
FROM generate_series(:first, :last) AS n -- it's :not_a_parameter
ORDER BY n;

-- name: fixture_char() :one
-- returns: currency text, mood text, name text
SELECT 'HKD'::char(3) AS currency, 'high'::varchar(10) AS mood, 'x'::name AS name;

-- name: fixture_make() :exec
CREATE TEMPORARY TABLE fixture (id bigint PRIMARY KEY, note text);

-- name: fixture_put(ids int8[], notes text?[]) :exec
INSERT INTO fixture (id, note) SELECT id, note FROM unnest(:ids::bigint[], :notes::text[]) AS new (id, note);

-- name: fixture_count() :one
-- returns: rows int8, notes int8
SELECT count(*) AS rows, count(note) AS notes FROM fixture;

-- name: fixture_fail(divisor int4) :one
-- returns: quotient int4
SELECT 1 / :divisor AS quotient;

-- A row that is not as declared, as data may have it where nobody thought of it: NULL, and a second row.
-- name: fixture_unlike(null_from int4, rows int4) :one
-- returns: n int4, list int4[]
SELECT CASE WHEN n < :null_from THEN n END AS n, ARRAY[n, CASE WHEN n < :null_from THEN n END] AS list FROM generate_series(1, :rows) AS n;
