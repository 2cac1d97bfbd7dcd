-- A shop for benchmarks, set-based, on a database that is migrated and empty:
--   psql -v customers=20000 -v variants=10000 -v on_hand=1000000 -v miles=100000000 -f bench/seed.sql
-- All that the shop's rules ask for is there (movements for stock, transfers for miles, listings for products), so that
-- `cathay verify` has nothing to say of it. Nobody can sign in: benchmarks make access tokens of their own.
\set ON_ERROR_STOP on
\if :{?customers} \else \set customers 20000 \endif
\if :{?variants} \else \set variants 10000 \endif
\if :{?on_hand} \else \set on_hand 1000000 \endif
\if :{?miles} \else \set miles 100000000 \endif

BEGIN;

-- UUIDv7 of now, the random bits made of a kind and a number, so that rows find each other without joins on names.
CREATE FUNCTION pg_temp.bench_id(kind text, n bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE
AS $$
    SELECT (substr(replace(uuid_floor('2026-01-01Z'::timestamptz + n * interval '1 millisecond')::text, '-', ''), 1, 12)
            || '7' || substr(md5(kind || n), 1, 3) || '8' || substr(md5(kind || n), 4, 15))::uuid
$$;

INSERT INTO users (id, email, password_hash, name, role)
SELECT pg_temp.bench_id('user', n), 'shopper' || n || '@bench.example', '!', 'Shopper ' || n, 'customer'
FROM generate_series(1, :customers) n;

INSERT INTO ledger_account (id, kind, user_id, posted)
SELECT pg_temp.bench_id('account', n), 'customer', pg_temp.bench_id('user', n), :miles
FROM generate_series(1, :customers) n;

INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, reason)
SELECT pg_temp.bench_id('grant', n), 0, '00000000-0000-8000-8000-000000000001', pg_temp.bench_id('account', n), :miles, 'posted',
       'grant', 'for benchmarks'
FROM generate_series(1, :customers) n;

INSERT INTO vendor (id, slug, name)
SELECT pg_temp.bench_id('vendor', n), 'bench-vendor-' || n, 'Vendor ' || n FROM generate_series(0, 19) n;

INSERT INTO location (id, vendor_id, code, name, country)
SELECT pg_temp.bench_id('location', n), pg_temp.bench_id('vendor', n), 'BENCH' || n, 'Warehouse ' || n, 'HK' FROM generate_series(0, 19) n;

INSERT INTO category (id, parent_id, path, slug, name)
SELECT pg_temp.bench_id('category', 0), NULL::uuid, ARRAY[pg_temp.bench_id('category', 0)], 'bench', 'Benchmarks'
UNION ALL
SELECT pg_temp.bench_id('category', n), pg_temp.bench_id('category', 0),
       ARRAY[pg_temp.bench_id('category', 0), pg_temp.bench_id('category', n)], 'bench-' || n, 'Shelf ' || n
FROM generate_series(1, 20) n;

-- Four variants to a product.
INSERT INTO attribute (code, label, type, choices) VALUES ('size', 'Size', 'choice', '{S,M,L,XL}') ON CONFLICT DO NOTHING;

INSERT INTO product (id, vendor_id, category_id, category_path, slug, name, description, brand, state, options, published_at)
SELECT pg_temp.bench_id('product', n), pg_temp.bench_id('vendor', n % 20), pg_temp.bench_id('category', 1 + n % 20),
       ARRAY[pg_temp.bench_id('category', 0), pg_temp.bench_id('category', 1 + n % 20)], 'bench-product-' || n, 'Canvas shirt no. ' || n,
       repeat('Woven from long-staple cotton, washed once, cut for easy movement; holds its colour. ', 6), 'Cathay', 'published', '{size}',
       now()
FROM generate_series(0, (:variants - 1) / 4) n;

INSERT INTO variant (id, product_id, vendor_id, sku, options, title, weight_grams, position)
SELECT pg_temp.bench_id('variant', n), pg_temp.bench_id('product', n / 4), pg_temp.bench_id('vendor', n / 4 % 20), 'BENCH-' || n,
       jsonb_build_object('size', s.size), variant_title('Canvas shirt no. ' || n / 4, '{size}', jsonb_build_object('size', s.size)), 350,
       n % 4
FROM generate_series(0, :variants - 1) n, LATERAL (SELECT ('{S,M,L,XL}'::text[])[1 + n % 4] AS size) s;

INSERT INTO price (id, variant_id, currency, amount_minor)
SELECT pg_temp.bench_id('price', n), pg_temp.bench_id('variant', n), 'HKD', 10000 + 100 * (n % 50) FROM generate_series(0, :variants - 1) n;

INSERT INTO stock (variant_id, location_id, on_hand)
SELECT pg_temp.bench_id('variant', n), pg_temp.bench_id('location', n / 4 % 20), :on_hand FROM generate_series(0, :variants - 1) n;

INSERT INTO movement (id, variant_id, location_id, quantity, reason, note)
SELECT pg_temp.bench_id('movement', n), pg_temp.bench_id('variant', n), pg_temp.bench_id('location', n / 4 % 20), :on_hand, 'receipt',
       'for benchmarks'
FROM generate_series(0, :variants - 1) n;

\ir listing.sql

COMMIT;
VACUUM (ANALYZE);
