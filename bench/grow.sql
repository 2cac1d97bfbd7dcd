-- A shop of any size, set-based, on a database that is migrated and empty: the functions that bench/growth_load.py calls step by step.
-- Sizes and the moment that counts as "now" stand in grow.size. All that the shop's rules ask for is there, so that
-- `cathay verify` has nothing to say of it; shipments and movements of stock go back three months only, as where older ones
-- were put away. Rows are drawn by hashes of their numbers, so that the same size gives the same shop.
\set ON_ERROR_STOP on
BEGIN;
CREATE SCHEMA grow;

-- What grows in proportion: customers, variants, orders. Vendors, brands and words grow by the square root, categories by less.
CREATE TABLE grow.size (
    customers int NOT NULL, products int NOT NULL, orders bigint NOT NULL, months int NOT NULL, vendors int NOT NULL, brands int NOT NULL,
    fan int NOT NULL, -- categories under each category, on three levels
    at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION grow.prepare(scale float8, orders bigint) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO grow.size (customers, products, orders, months, vendors, brands, fan)
    VALUES (1000000 * scale, 250000 * scale, orders, 24, greatest(4, 500 * sqrt(scale)), greatest(8, 1000 * sqrt(scale)),
            greatest(2, 10 * scale ^ 0.166))
$$;

-- ── drawing by number ──

-- Evenly between 0 and 1.
CREATE FUNCTION grow.draw(n bigint, salt bigint) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (hashint8extended(n, salt) & 1073741823) / 1073741824.0::float8 $$;

-- One of `count`, the low ones more often: the first tenth gets a half.
CREATE FUNCTION grow.pick(n bigint, salt bigint, count bigint) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT floor(count * (grow.draw(n, salt) ^ 3))::int $$;

-- UUIDv7 of a moment whose other bits are made of a number.
CREATE FUNCTION grow.id(moment timestamptz, n bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7' || left(md5(n::text), 3) || '8' || right(md5(n::text), 15))::uuid $$;

-- Its sibling for what belongs to it: the same moment, another nibble.
CREATE FUNCTION grow.sibling(id uuid, nibble text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT overlay(id::text PLACING nibble FROM 20 FOR length(nibble))::uuid $$;

-- Things that are known by number: customers, products and so on, made one a second before the first order.
CREATE FUNCTION grow.thing(kind text, n bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (lpad(to_hex(1600000000000 + n * 1000), 12, '0') || '7' || left(md5(kind), 3) || '8' || lpad(to_hex(n), 15, '0'))::uuid $$;

CREATE TABLE grow.word AS
SELECT string_to_array('Silk,Linen,Wool,Bamboo,Jade,Copper,Ivory,Lacquer,Porcelain,Cotton,Velvet,Leather,Oak,Walnut,Steel,Brass,Ceramic,Glass,Denim,Cashmere,Rattan,Canvas,Marble,Pewter,Mohair,Hemp,Suede,Teak,Cork,Felt', ',') AS materials,
       string_to_array('Classic,Soft,Light,Folding,Travel,Winter,Summer,Everyday,Woven,Printed,Quilted,Striped,Hooded,Slim,Wide,Waterproof,Heavy,Compact,Handmade,Vintage,Modern,Floral,Padded,Ribbed,Oversized,Tailored,Reversible,Brushed,Washed,Insulated', ',') AS styles,
       string_to_array('shirt,scarf,teapot,lamp,jacket,bag,backpack,bowl,watch,trousers,dress,shoes,blanket,cushion,chair,desk,notebook,umbrella,hat,gloves,kettle,cup,vase,mirror,towel,wallet,belt,sandals,coat,sweater,fan,basket,candle,tray,pillow,rug,clock,headphones,speaker,camera,charger,keyboard,suitcase,bottle,knife,wok,chopsticks,steamer,apron,curtain', ',') AS things,
       string_to_array('恤衫,絲巾,茶壺,檯燈,外套,手袋,背囊,碗,手錶,長褲,連衣裙,鞋,毛毯,咕𠱸,椅子,書桌,筆記簿,雨傘,帽,手套,水煲,茶杯,花瓶,鏡,毛巾,銀包,皮帶,涼鞋,大衣,毛衣,風扇,籃,蠟燭,托盤,枕頭,地毯,時鐘,耳機,喇叭,相機,充電器,鍵盤,行李箱,水樽,菜刀,鑊,筷子,蒸籠,圍裙,窗簾', ',') AS chinese,
       string_to_array('navy,black,white,red,green,grey,beige,brown,yellow,pink,purple,orange', ',') AS colours,
       string_to_array('spring,summer,autumn,winter', ',') AS seasons,
       string_to_array('China,Japan,Italy,Portugal,Vietnam,India,Turkey,France,Thailand,Korea,Spain,Peru', ',') AS origins,
       string_to_array('ka,lo,mi,tan,wei,sha,ren,do,qi,bel,nor,var,zu,pel,xin,hua,ming,fo,tai,gan', ',') AS syllables;

-- A made-up name: 8,000 of three syllables.
CREATE FUNCTION grow.coined(n bigint) RETURNS text
LANGUAGE sql STABLE
AS $$ SELECT initcap(syllables[1 + n % 20] || syllables[1 + n / 20 % 20] || syllables[1 + n / 400 % 20]) FROM grow.word $$;

-- ── people and goods ──

CREATE FUNCTION grow.people() RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO users (id, email, password_hash, name, role)
    SELECT grow.thing('user', n), 'shopper' || n || '@bench.example', '!', 'Shopper ' || n, 'customer'
    FROM grow.size, generate_series(1, customers) n;
    INSERT INTO users (id, email, password_hash, name, role)
    VALUES (grow.thing('staff', 1), 'staff@bench.example', '!', 'Staff', 'admin');
END
$$;

CREATE TABLE grow.goods (
    n int, variant_id uuid, product_id uuid, vendor_id uuid, location_id uuid, sku text, title text, price bigint
);
CREATE TABLE grow.used (variant_id uuid, reserved bigint, shipped bigint);

CREATE FUNCTION grow.catalog() RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO vendor (id, slug, name)
    SELECT grow.thing('vendor', n), 'vendor-' || n, grow.coined(n * 37) || ' Trading' FROM grow.size, generate_series(0, vendors - 1) n;
    INSERT INTO location (id, vendor_id, code, name, country)
    SELECT grow.thing('location', n), grow.thing('vendor', n), 'L' || n, 'Warehouse ' || n, 'HK' FROM grow.size, generate_series(0, vendors - 1) n;

    -- Three levels, numbered 1.., 1,000.., 1,000,000..
    INSERT INTO category (id, parent_id, path, slug, name, position)
    SELECT grow.thing('category', a), NULL::uuid, ARRAY[grow.thing('category', a)], 'c-' || a, initcap(things[a]) || ' and more', a
    FROM grow.size, grow.word, generate_series(1, fan) a;
    INSERT INTO category (id, parent_id, path, slug, name, position)
    SELECT grow.thing('category', 1000 + a * 20 + b), grow.thing('category', a),
           ARRAY[grow.thing('category', a), grow.thing('category', 1000 + a * 20 + b)], 'c-' || a || '-' || b, styles[b] || ' ' || things[a], b
    FROM grow.size, grow.word, generate_series(1, fan) a, generate_series(1, fan) b;
    INSERT INTO category (id, parent_id, path, slug, name, position)
    SELECT grow.thing('category', 1000000 + (a * 20 + b) * 20 + c), grow.thing('category', 1000 + a * 20 + b),
           ARRAY[grow.thing('category', a), grow.thing('category', 1000 + a * 20 + b), grow.thing('category', 1000000 + (a * 20 + b) * 20 + c)],
           'c-' || a || '-' || b || '-' || c, materials[c] || ' ' || styles[b] || ' ' || things[a], c
    FROM grow.size, grow.word, generate_series(1, fan) a, generate_series(1, fan) b, generate_series(1, fan) c;

    INSERT INTO attribute (code, label, type, choices)
    SELECT code, label, 'choice', choices
    FROM grow.word, LATERAL (VALUES ('size', 'Size', '{S,M,L,XL}'::text[]), ('colour', 'Colour', colours), ('material', 'Material', materials),
                             ('season', 'Season', seasons), ('origin', 'Made in', origins), ('style', 'Style', styles)) a(code, label, choices)
    ON CONFLICT DO NOTHING;

    INSERT INTO product (id, vendor_id, category_id, category_path, slug, name, description, brand, state, attributes, options, created_at,
                         published_at)
    SELECT grow.thing('product', n), grow.thing('vendor', grow.pick(n, 1, vendors)), leaf.id, leaf.path, 'product-' || n,
           grow.coined(grow.pick(n, 2, brands * 4)) || ' ' || lower(style || ' ' || material) || ' ' || thing
           || CASE WHEN n % 3 = 0 THEN ' ' || thing_chinese ELSE '' END,
           'A ' || lower(style) || ' ' || thing || ' of ' || lower(material) || ', made in ' || origin || '. Cut for easy movement; keeps its shape and colour for years.',
           initcap(grow.coined(grow.pick(n, 3, brands))), 'published',
           jsonb_build_object('material', material, 'style', style, 'season', season, 'origin', origin)
           || CASE WHEN n % 3 = 1 THEN '{}' ELSE jsonb_build_object('colour', colour) END,
           CASE WHEN n % 3 = 1 THEN '{colour}'::text[] ELSE '{size}' END, born, born
    FROM grow.size, grow.word, generate_series(0, products - 1) n,
         LATERAL (SELECT materials[1 + grow.pick(n, 4, 30)] AS material, styles[1 + grow.pick(n, 5, 30)] AS style, 1 + grow.pick(n, 6, 50) AS at,
                         colours[1 + grow.pick(n, 7, 12)] AS colour, seasons[1 + grow.pick(n, 8, 4)] AS season,
                         origins[1 + grow.pick(n, 9, 12)] AS origin, at - months * interval '30 days' * (1 - n / products::float8) AS born,
                         1 + grow.pick(n, 10, fan) AS a, 1 + floor(fan * grow.draw(n, 11))::int AS b, 1 + floor(fan * grow.draw(n, 12))::int AS c) drawn,
         LATERAL (SELECT things[drawn.at] AS thing, chinese[drawn.at] AS thing_chinese) named,
         LATERAL (SELECT grow.thing('category', 1000000 + (a * 20 + b) * 20 + c) AS id,
                         ARRAY[grow.thing('category', a), grow.thing('category', 1000 + a * 20 + b),
                               grow.thing('category', 1000000 + (a * 20 + b) * 20 + c)] AS path) leaf;

    -- Four variants to a product.
    INSERT INTO variant (id, product_id, vendor_id, sku, options, title, weight_grams, position)
    SELECT grow.thing('variant', p.n * 4 + k), p.id, p.vendor_id, CASE WHEN p.n % 10 = 9 THEN 'SOLD-' ELSE 'BENCH-' END || p.n * 4 + k, o.options, variant_title(p.name, p.options, o.options),
           200 + k * 50, k
    FROM (SELECT p.*, row_number() OVER (ORDER BY id) - 1 AS n FROM product p) p, grow.word, generate_series(0, 3) k,
         LATERAL (SELECT CASE WHEN p.options = '{size}' THEN jsonb_build_object('size', ('{S,M,L,XL}'::text[])[1 + k])
                         ELSE jsonb_build_object('colour', colours[1 + (p.n * 7 + k) % 12]) END AS options) o;

    INSERT INTO grow.goods
    SELECT row_number() OVER (ORDER BY v.id) - 1, v.id, v.product_id, v.vendor_id, l.id, v.sku, v.title, 0
    FROM variant v JOIN location l ON l.vendor_id = v.vendor_id;
    UPDATE grow.goods SET price = 6000 + 100 * grow.pick(n / 4, 20, 3000) + 500 * (n % 4);
    CREATE INDEX ON grow.goods (n);
    ANALYZE grow.goods, product, variant;

    INSERT INTO price (id, variant_id, currency, amount_minor, valid_from)
    SELECT grow.thing('price', n), variant_id, 'HKD', price, at - months * interval '31 days' FROM grow.size, grow.goods;
    INSERT INTO price (id, variant_id, currency, amount_minor, valid_from)
    SELECT grow.thing('price in dollars', n), variant_id, 'USD', price / 8, at - months * interval '31 days' FROM grow.size, grow.goods WHERE n / 4 % 4 = 0;
END
$$;

-- ── partitions: filled bare, then indexed, then attached ──

CREATE FUNCTION grow.first_of(month int) RETURNS timestamptz
LANGUAGE sql STABLE
AS $$ SELECT date_trunc('month', at AT TIME ZONE 'UTC' - make_interval(months => months - 1 - month)) AT TIME ZONE 'UTC' FROM grow.size $$;

CREATE FUNCTION grow.child(parent text, month int) RETURNS text
LANGUAGE sql STABLE
AS $$ SELECT parent || '_' || to_char(grow.first_of(month) AT TIME ZONE 'UTC', 'YYYYMM') $$;

CREATE FUNCTION grow.bare(month int) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    parent text;
BEGIN
    FOR parent IN SELECT name FROM partitioned_table LOOP
        EXECUTE format('CREATE TABLE grow.%I (LIKE %I INCLUDING ALL EXCLUDING INDEXES)', grow.child(parent, month), parent);
    END LOOP;
END
$$;

-- The partitions that are there already make room.
CREATE FUNCTION grow.make_room() RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    child text;
BEGIN
    FOR child IN SELECT grow.child(t.name, m) FROM partitioned_table t, grow.size, generate_series(0, months - 1) m LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', child);
    END LOOP;
END
$$;

CREATE FUNCTION grow.attach(month int) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    parent text;
    child text;
    made record;
BEGIN
    FOR parent IN SELECT name FROM partitioned_table ORDER BY name LOOP
        child := grow.child(parent, month);
        EXECUTE format('ALTER TABLE grow.%I SET SCHEMA public', child);
        FOR made IN SELECT pg_get_indexdef(i.indexrelid) AS as_index, pg_get_constraintdef(c.oid) AS as_constraint
                    FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
                    WHERE i.indrelid = parent::regclass LOOP
            IF made.as_constraint IS NULL THEN
                EXECUTE regexp_replace(made.as_index, 'INDEX \S+ ON (ONLY )?\S+', format('INDEX ON %I', child));
            ELSE
                EXECUTE format('ALTER TABLE %I ADD %s', child, made.as_constraint);
            END IF;
        END LOOP;
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, uuid_floor(grow.first_of(month)),
                       uuid_floor(grow.first_of(month + 1)));
    END LOOP;
END
$$;

-- ── orders of a month, with all that hangs on them ──

-- The steps that lead to a state, and after how long.
CREATE TABLE grow.step (state text, sequence int, from_state text, to_state text, actor text, after interval);
INSERT INTO grow.step VALUES
    ('pending_payment', 1, NULL, 'pending_payment', 'customer', '0'),
    ('confirmed', 1, NULL, 'pending_payment', 'customer', '0'), ('confirmed', 2, 'pending_payment', 'confirmed', 'gateway', '2 min'),
    ('processing', 1, NULL, 'pending_payment', 'customer', '0'), ('processing', 2, 'pending_payment', 'confirmed', 'gateway', '2 min'),
    ('processing', 3, 'confirmed', 'processing', 'vendor', '8 h'),
    ('shipped', 1, NULL, 'pending_payment', 'customer', '0'), ('shipped', 2, 'pending_payment', 'confirmed', 'gateway', '2 min'),
    ('shipped', 3, 'confirmed', 'processing', 'vendor', '8 h'), ('shipped', 4, 'processing', 'shipped', 'carrier', '2 days'),
    ('delivered', 1, NULL, 'pending_payment', 'customer', '0'), ('delivered', 2, 'pending_payment', 'confirmed', 'gateway', '2 min'),
    ('delivered', 3, 'confirmed', 'processing', 'vendor', '8 h'), ('delivered', 4, 'processing', 'shipped', 'carrier', '2 days'),
    ('delivered', 5, 'shipped', 'delivered', 'carrier', '5 days'),
    ('cancelled', 1, NULL, 'pending_payment', 'customer', '0'), ('cancelled', 2, 'pending_payment', 'cancelled', 'customer', '10 min'),
    ('expired', 1, NULL, 'pending_payment', 'customer', '0'), ('expired', 2, 'pending_payment', 'expired', 'system', '30 min'),
    ('payment_failed', 1, NULL, 'pending_payment', 'customer', '0'), ('payment_failed', 2, 'pending_payment', 'payment_failed', 'gateway', '3 min'),
    ('refunded', 1, NULL, 'pending_payment', 'customer', '0'), ('refunded', 2, 'pending_payment', 'confirmed', 'gateway', '2 min'),
    ('refunded', 3, 'confirmed', 'refunded', 'staff', '6 h');

CREATE FUNCTION grow.month(month int) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    size grow.size%ROWTYPE;
    first timestamptz := grow.first_of(month);
    after timestamptz := grow.first_of(month + 1);
    goods int;
BEGIN
    SELECT * INTO size FROM grow.size;
    goods := size.products * 4;
    PERFORM grow.bare(month);

    -- Orders come evenly from the first month to the last second. One customer of three has joined the miles programme.
    CREATE TEMP TABLE stage ON COMMIT DROP AS
    SELECT d.n, d.id, d.placed_at, d.customer, d.lines, s.state, d.customer % 3 = 0 AS collects,
           d.customer % 3 = 0 AND d.n % 4 = 0 AND s.state <> 'refunded' AS redeems, s.state IN ('confirmed', 'processing', 'shipped', 'delivered', 'refunded') AS paid
    FROM (SELECT n, placed_at, grow.id(placed_at, n) AS id, 1 + floor(size.customers * grow.draw(n, 30) ^ 1.5)::int AS customer,
                 CASE WHEN grow.draw(n, 31) < 0.6 THEN 1 WHEN grow.draw(n, 31) < 0.85 THEN 2 ELSE 3 END AS lines
          FROM (SELECT n, grow.first_of(0) + n * ((size.at - grow.first_of(0)) / size.orders) AS placed_at
                FROM generate_series(floor(size.orders * extract(epoch FROM first - grow.first_of(0)) / extract(epoch FROM size.at - grow.first_of(0)))::bigint - 1,
                                     ceil(size.orders * extract(epoch FROM after - grow.first_of(0)) / extract(epoch FROM size.at - grow.first_of(0)))::bigint + 1) n
                WHERE n BETWEEN 0 AND size.orders - 1) t
          WHERE placed_at >= first AND placed_at < after) d,
         LATERAL (SELECT size.at - d.placed_at AS age, floor(1000 * grow.draw(d.n, 32)) AS lot) x,
         LATERAL (SELECT CASE WHEN age < interval '2 hours' AND lot < 500 THEN 'pending_payment' WHEN age < interval '1 day' THEN 'confirmed'
                              WHEN age < interval '3 days' THEN 'processing' WHEN age < interval '7 days' THEN 'shipped'
                              WHEN lot < 30 THEN 'cancelled' WHEN lot < 60 THEN 'expired' WHEN lot < 75 THEN 'payment_failed'
                              WHEN lot < 80 THEN 'refunded' ELSE 'delivered' END AS state) s;

    CREATE TEMP TABLE stage_line ON COMMIT DROP AS
    SELECT s.id, s.placed_at, s.state, k AS line_no, g.variant_id, g.product_id, g.vendor_id, g.location_id, g.sku, g.title, g.price,
           CASE WHEN grow.draw(s.n * 3 + k, 41) < 0.1 THEN 2 ELSE 1 END AS quantity, CASE WHEN s.redeems AND k = 1 THEN 500 ELSE 0 END AS points
    FROM stage s
    CROSS JOIN generate_series(1, 3) k
    JOIN grow.goods g ON g.n = (floor(goods * grow.draw(s.n * 3, 40) ^ 2)::int + (k - 1) * 7919) % goods
    WHERE k <= s.lines;
    ANALYZE stage, stage_line;

    EXECUTE format($f$
        INSERT INTO grow.%I (order_id, line_no, product_id, variant_id, vendor_id, sku, title, quantity, unit_price_minor, total_minor, points,
                             points_value_minor, cash_minor)
        SELECT id, line_no, product_id, variant_id, vendor_id, sku, title, quantity, price, price * quantity, points, points * 10,
               price * quantity - points * 10
        FROM stage_line ORDER BY id, line_no $f$, grow.child('order_line', month));
    EXECUTE format($f$
        INSERT INTO grow.%I (order_id, line_no, location_id, variant_id, quantity, state)
        SELECT id, line_no, location_id, variant_id, quantity,
               CASE WHEN state = 'pending_payment' THEN 'held' WHEN state IN ('confirmed', 'processing') THEN 'confirmed'
                    WHEN state IN ('shipped', 'delivered') THEN 'consumed' ELSE 'released' END
        FROM stage_line ORDER BY id, line_no $f$, grow.child('reservation', month));
    EXECUTE format($f$
        INSERT INTO grow.%I (order_id, number, id, vendor_id, location_id, state, created_at, updated_at)
        SELECT id, number, overlay(id::text PLACING lpad(to_hex(number), 4, '0') FROM 33)::uuid, vendor_id, location_id,
               CASE state WHEN 'confirmed' THEN 'pending' WHEN 'refunded' THEN 'cancelled' ELSE state END, placed_at, placed_at
        FROM (SELECT id, row_number() OVER (PARTITION BY id ORDER BY vendor_id, location_id) AS number, vendor_id, location_id,
                     min(state) AS state, min(placed_at) AS placed_at
              FROM stage_line WHERE state IN ('confirmed', 'processing', 'shipped', 'delivered', 'refunded')
              GROUP BY id, vendor_id, location_id) part
        ORDER BY id, number $f$, grow.child('fulfilment', month));
    EXECUTE format($f$
        INSERT INTO grow.%I (id, number, customer_id, state, sequence, currency, subtotal_minor, total_minor, points, points_value_minor, cash_minor,
                             earn_points, hold_id, policy_version, address, expires_at, placed_at, updated_at)
        SELECT s.id, 100001 + s.n, grow.thing('user', s.customer), s.state, h.sequence, 'HKD', l.total, l.total, l.points, l.points * 10,
               l.total - l.points * 10, (l.total - l.points * 10) / 400, CASE WHEN s.redeems THEN grow.sibling(s.id, '9') END, 1,
               '{"name":"Chan Tai Man","line1":"Flat 12A, 8 Queen''s Road Central","city":"Hong Kong","country":"HK","phone":"+852 2123 4567"}',
               s.placed_at + CASE WHEN s.state = 'pending_payment' THEN interval '7 days' ELSE interval '30 min' END, s.placed_at, s.placed_at + h.after
        FROM stage s
        JOIN (SELECT id, sum(price * quantity)::bigint AS total, sum(points) AS points FROM stage_line GROUP BY id) l ON l.id = s.id
        JOIN (SELECT state, max(sequence) AS sequence, max(after) AS after FROM grow.step GROUP BY state) h ON h.state = s.state
        ORDER BY s.id $f$, grow.child('orders', month));
    EXECUTE format($f$
        INSERT INTO grow.%I (order_id, sequence, from_state, to_state, actor, actor_id, at)
        SELECT s.id, h.sequence, h.from_state, h.to_state, h.actor, CASE WHEN h.actor = 'customer' THEN grow.thing('user', s.customer) END,
               s.placed_at + h.after
        FROM stage s JOIN grow.step h ON h.state = s.state
        ORDER BY s.id, h.sequence $f$, grow.child('order_event', month));

    -- Miles: holds are closed once the order is; what was earned is posted after fourteen days. Everybody began with 20,000.
    EXECUTE format($f$
        INSERT INTO grow.%I (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id, created_at)
        SELECT grow.sibling(s.id, '9'), step, grow.thing('account', s.customer), '00000000-0000-8000-8000-000000000002', 500,
               CASE WHEN step = 0 THEN 'pending' WHEN s.paid THEN 'posted' ELSE 'voided' END,
               'redeem', s.id, s.placed_at
        FROM stage s, generate_series(0, 1) step
        WHERE s.redeems AND (step = 0 OR s.state <> 'pending_payment')
        UNION ALL
        SELECT grow.sibling(o.id, 'a'), step, '00000000-0000-8000-8000-000000000001', grow.thing('account', s.customer), o.earn_points,
               CASE WHEN step = 0 THEN 'pending' ELSE 'posted' END, 'earn', o.id, o.placed_at + step * interval '14 days'
        FROM stage s JOIN grow.%I o ON o.id = s.id, generate_series(0, 1) step
        WHERE s.collects AND s.paid AND s.state <> 'refunded' AND (step = 0 OR s.placed_at < $1 - interval '14 days')
        ORDER BY 1, 2 $f$, grow.child('transfer', month), grow.child('orders', month)) USING size.at;
    IF month = 0 THEN
        EXECUTE format($f$
            INSERT INTO grow.%I (root_id, step, debit_account_id, credit_account_id, points, phase, kind, reason, created_at)
            SELECT grow.sibling(grow.id($1, c), 'b'), 0, '00000000-0000-8000-8000-000000000001', grow.thing('account', c), 20000, 'posted', 'grant',
                   'for benchmarks', $1
            FROM generate_series(1, $2) c $f$, grow.child('transfer', month)) USING first + interval '1 second', size.customers;
    END IF;

    INSERT INTO grow.used
    SELECT variant_id, coalesce(sum(quantity) FILTER (WHERE state IN ('pending_payment', 'confirmed', 'processing')), 0),
           coalesce(sum(quantity) FILTER (WHERE state IN ('shipped', 'delivered') AND month >= size.months - 3), 0)
    FROM stage_line GROUP BY 1;
    PERFORM grow.attach(month);
END
$$;

-- ── what is not partitioned; each in one transaction that empties its table first, so that nothing goes through the log ──

CREATE FUNCTION grow.payments() RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    TRUNCATE payment, refund;
    INSERT INTO payment (id, order_id, state, amount_minor, currency, intent_id, requested_at, refunded_minor, created_at, updated_at)
    SELECT grow.sibling(id, 'b'), id,
           CASE WHEN state = 'pending_payment' THEN 'pending' WHEN state = 'payment_failed' THEN 'failed' WHEN state IN ('cancelled', 'expired') THEN 'cancelled' ELSE 'succeeded' END,
           cash_minor, currency, 'pi_bench_' || lpad(number::text, 9, '0'), placed_at, CASE WHEN state = 'refunded' THEN cash_minor ELSE 0 END, placed_at, updated_at
    FROM orders WHERE cash_minor > 0 ORDER BY id;
    INSERT INTO refund (id, order_id, payment_id, amount_minor, points, currency, state, reason, gateway_id, created_at, updated_at)
    SELECT grow.sibling(id, '9'), id, grow.sibling(id, 'b'), cash_minor, points, currency, 'succeeded', 'Changed his mind', 're_bench_' || number, updated_at, updated_at
    FROM orders WHERE state = 'refunded' ORDER BY id;
END
$$;

CREATE FUNCTION grow.miles() RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO earning (order_id, root_id, account_id, points, due_at, closed_at)
    SELECT o.order_id, o.root_id, o.credit_account_id, o.points, o.created_at + interval '14 days', c.created_at
    FROM transfer o LEFT JOIN transfer c ON c.root_id = o.root_id AND c.step = 1
    WHERE o.kind = 'earn' AND o.step = 0 AND o.created_at > (SELECT at FROM grow.size) - interval '30 days';
    INSERT INTO ledger_account (id, kind, user_id, posted, held, incoming)
    SELECT grow.thing('account', n), 'customer', grow.thing('user', n), coalesce(s.posted, 0), coalesce(s.held, 0), coalesce(s.incoming, 0)
    FROM grow.size, generate_series(1, customers) n
    LEFT JOIN (SELECT account_id, sum(posted)::bigint AS posted, sum(held)::bigint AS held, sum(incoming)::bigint AS incoming
               FROM (SELECT debit_account_id AS account_id, CASE WHEN phase = 'posted' THEN -points ELSE 0 END AS posted,
                            CASE WHEN step = 0 THEN points ELSE -points END AS held, 0 AS incoming
                     FROM transfer WHERE kind = 'redeem'
                     UNION ALL
                     SELECT credit_account_id, CASE WHEN phase = 'posted' THEN points ELSE 0 END, 0,
                            CASE WHEN kind = 'grant' THEN 0 WHEN step = 0 THEN points ELSE -points END
                     FROM transfer WHERE kind <> 'redeem') m
               GROUP BY account_id) s ON s.account_id = grow.thing('account', n);
END
$$;

-- Every tenth product is sold out: what is there is spoken for.
CREATE FUNCTION grow.stock() RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    TRUNCATE stock, movement, shipment_event, shipment;
    CREATE TEMP TABLE kept ON COMMIT DROP AS
    SELECT g.variant_id, g.location_id, g.n, coalesce(u.reserved, 0) AS reserved, coalesce(u.shipped, 0) AS shipped,
           CASE WHEN g.n / 4 % 10 = 9 THEN 0 ELSE 100000 END AS available
    FROM grow.goods g
    LEFT JOIN (SELECT variant_id, sum(reserved) AS reserved, sum(shipped) AS shipped FROM grow.used GROUP BY 1) u ON u.variant_id = g.variant_id;
    INSERT INTO stock (variant_id, location_id, on_hand, reserved) SELECT variant_id, location_id, reserved + available, reserved FROM kept ORDER BY 1;
    INSERT INTO movement (id, variant_id, location_id, quantity, reason, note)
    SELECT grow.thing('movement', n), variant_id, location_id, reserved + shipped + available, 'receipt', 'for benchmarks'
    FROM kept WHERE reserved + shipped + available > 0 ORDER BY 1;
    INSERT INTO movement (id, variant_id, location_id, quantity, reason, order_id, created_at)
    SELECT overlay(r.order_id::text PLACING 'c' || r.line_no FROM 20)::uuid, r.variant_id, r.location_id, -r.quantity, 'shipment', r.order_id,
           uuid_time(r.order_id) + interval '2 days'
    FROM grow.size, reservation r
    WHERE r.order_id >= uuid_floor(grow.first_of(months - 3)) AND r.state = 'consumed' ORDER BY r.order_id;
    INSERT INTO shipment (id, order_id, fulfilment_no, vendor_id, state, carrier, carrier_id, tracker_id, tracking_code, tracking_url, label_url,
                          created_at, updated_at)
    SELECT overlay(f.order_id::text PLACING 'd' || f.number FROM 20)::uuid, f.order_id, f.number, f.vendor_id,
           CASE WHEN f.state = 'delivered' THEN 'delivered' ELSE 'in_transit' END, 'USPS', 'shp_bench_' || f.order_id || f.number,
           'trk_bench_' || f.order_id || f.number, 'EZ' || left(md5(f.order_id::text), 12), 'https://carrier.example/t', 'https://carrier.example/l',
           f.created_at, f.updated_at
    FROM grow.size, fulfilment f
    WHERE f.order_id >= uuid_floor(grow.first_of(months - 3)) AND f.state IN ('shipped', 'delivered') ORDER BY f.order_id, f.number;
    INSERT INTO shipment_event (shipment_id, status, occurred_at, message)
    SELECT s.id, s.state, s.created_at + interval '5 days', 'Scanned' FROM shipment s;
END
$$;

-- Answers and events of the last day.
CREATE FUNCTION grow.recent() RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO idempotency (owner_id, key, operation, body_hash, status, content_type, body, created_at)
    SELECT o.customer_id, o.number::text, 'order_place', uuid_send(o.id), 201, 'order',
           uuid_send(o.id) || int8send((extract(epoch FROM o.placed_at) * 1000000)::bigint), o.placed_at
    FROM grow.size, orders o WHERE o.id >= uuid_floor(at - interval '1 day');
    INSERT INTO outbox (id, type, aggregate_id, sequence, payload, created_at, expanded_at, task_count)
    SELECT grow.sibling(o.id, '9'), 'order.placed', o.id, 1, '{}', o.placed_at, o.placed_at, 0
    FROM grow.size, orders o WHERE o.id >= uuid_floor(at - interval '1 day');
    PERFORM setval('order_number', 100001 + orders) FROM grow.size;
END
$$;
COMMIT;
