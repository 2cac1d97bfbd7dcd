-- The order that the engine places, as one PL/pgSQL call in a transaction of its own: the same checks, the same rows in the
-- same tables, the same answer kept for its Idempotency-Key. What a careful shop without an engine would do; pgbench runs it.

-- Variants by number, as pgbench draws numbers.
CREATE TABLE IF NOT EXISTS bench_variant (n bigint PRIMARY KEY, variant_id uuid NOT NULL, amount_minor bigint NOT NULL);
CREATE TABLE IF NOT EXISTS bench_customer (n bigint PRIMARY KEY, user_id uuid NOT NULL);
INSERT INTO bench_variant
SELECT row_number() OVER (ORDER BY v.id), v.id, p.amount_minor
FROM variant v JOIN price p ON p.variant_id = v.id AND p.currency = 'HKD' WHERE v.sku LIKE 'BENCH-%'
ON CONFLICT DO NOTHING;
INSERT INTO bench_customer
SELECT row_number() OVER (ORDER BY id), id FROM users WHERE email LIKE 'shopper%@bench.example'
ON CONFLICT DO NOTHING;
ANALYZE bench_variant, bench_customer;

-- UUIDv7 of now.
CREATE OR REPLACE FUNCTION bench_uuid() RETURNS uuid
LANGUAGE sql VOLATILE
AS $$
    SELECT encode(set_byte(overlay(uuid_send(gen_random_uuid())
                                   placing substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
                           6, 112), 'hex')::uuid
$$;

-- A replayed answer: of the order as it stands, and the time limit that it had.
CREATE OR REPLACE FUNCTION bench_order_answer(asked_order uuid, until timestamptz) RETURNS json
LANGUAGE sql STABLE
AS $$
    SELECT json_build_object('id', wire_id('ord', o.id), 'number', o.number, 'state', 'pending_payment', 'currency', o.currency,
        'subtotal_minor', o.subtotal_minor, 'total_minor', o.total_minor, 'points', o.points, 'points_value_minor', o.points_value_minor,
        'cash_minor', o.cash_minor, 'earn_points', o.earn_points, 'placed_at', o.placed_at, 'expires_at', until,
        'lines', (SELECT json_agg(json_build_object('line_no', l.line_no, 'variant_id', wire_id('var', l.variant_id), 'sku', l.sku,
            'title', l.title, 'quantity', l.quantity, 'unit_price_minor', l.unit_price_minor, 'total_minor', l.total_minor,
            'points', l.points, 'points_value_minor', l.points_value_minor, 'cash_minor', l.cash_minor) ORDER BY l.line_no)
                  FROM order_line l WHERE l.order_id = o.id))
    FROM orders o WHERE o.id = asked_order
$$;

CREATE OR REPLACE FUNCTION bench_order_place(asked_customer uuid, asked_key text, asked_hash bytea, asked_variants uuid[],
                                             asked_quantities integer[], asked_prices bigint[], asked_points bigint) RETURNS json
LANGUAGE plpgsql
AS $$
DECLARE
    account ledger_account%ROWTYPE;
    stored idempotency%ROWTYPE;
    policy record;
    line record;
    place record;
    made_id uuid := bench_uuid();
    hold uuid;
    made_number bigint;
    made_at timestamptz := clock_timestamp();
    until timestamptz := made_at + interval '30 minutes';
    subtotal bigint := 0;
    points_value bigint := 0;
    line_points bigint;
    line_value bigint;
    points_left bigint := asked_points;
    value_left bigint;
    earned bigint;
    lines json[] := '{}';
    answer json;
    at_line smallint := 0;
BEGIN
    SELECT * INTO account FROM ledger_account WHERE user_id = asked_customer FOR NO KEY UPDATE;
    SELECT * INTO stored FROM idempotency WHERE owner_id = asked_customer AND key = asked_key;
    IF FOUND THEN
        IF stored.body_hash <> substring(asked_hash FOR 16) THEN
            RAISE EXCEPTION 'idempotency_mismatch';
        END IF;
        RETURN bench_order_answer(encode(substring(stored.body FOR 16), 'hex')::uuid,
                                  to_timestamp(('x' || encode(substring(stored.body FROM 17), 'hex'))::bit(64)::bigint / 1000000.0));
    END IF;
    SELECT p.version, p.minimum_points, p.step_points, p.maximum_share, r.points_unit, r.minor_unit, r.earn_minor, r.earn_points
    INTO policy
    FROM miles_policy p JOIN miles_rate r ON r.version = p.version
    WHERE r.currency = 'HKD' AND p.version = (SELECT max(version) FROM miles_policy);
    IF asked_points > 0 AND (asked_points < policy.minimum_points OR asked_points % policy.step_points <> 0
                             OR asked_points > account.posted - account.held) THEN
        RAISE EXCEPTION 'points_short';
    END IF;
    points_value := asked_points * policy.minor_unit / policy.points_unit;
    value_left := points_value;
    SELECT sum(u.price * u.quantity) INTO subtotal FROM unnest(asked_prices, asked_quantities) u(price, quantity);
    IF points_value > subtotal THEN
        RAISE EXCEPTION 'above_maximum';
    END IF;
    made_number := nextval('order_number');
    -- Stock is locked in the order of variants, so that two orders never wait for each other.
    FOR line IN
        SELECT u.variant_id, u.quantity, u.price, v.product_id, v.vendor_id, v.sku, v.title, p.state AS product_state,
               v.state AS variant_state, ven.state AS vendor_state, now_price.amount_minor
        FROM unnest(asked_variants, asked_quantities, asked_prices) u(variant_id, quantity, price)
        JOIN variant v ON v.id = u.variant_id
        JOIN product p ON p.id = v.product_id
        JOIN vendor ven ON ven.id = v.vendor_id
        LEFT JOIN LATERAL (
            SELECT pr.amount_minor FROM price pr
            WHERE pr.variant_id = u.variant_id AND pr.currency = 'HKD' AND pr.valid_from <= now()
              AND (pr.valid_until IS NULL OR pr.valid_until > now())
            ORDER BY pr.valid_from DESC, pr.id DESC LIMIT 1) now_price ON true
        ORDER BY u.variant_id
    LOOP
        IF line.product_state <> 'published' OR line.variant_state <> 'active' OR line.vendor_state <> 'active'
           OR line.amount_minor IS DISTINCT FROM line.price THEN
            RAISE EXCEPTION 'price_changed';
        END IF;
        UPDATE stock s SET reserved = s.reserved + line.quantity
        WHERE s.variant_id = line.variant_id
          AND s.location_id = (SELECT c.location_id FROM stock c WHERE c.variant_id = line.variant_id
                               ORDER BY c.on_hand - c.reserved < line.quantity, c.priority, c.location_id LIMIT 1)
          AND s.on_hand - s.reserved >= line.quantity
        RETURNING s.location_id INTO place;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'out_of_stock';
        END IF;
        at_line := at_line + 1;
        line_value := CASE WHEN at_line = cardinality(asked_variants) THEN value_left
                           ELSE points_value * line.price * line.quantity / subtotal END;
        line_points := CASE WHEN at_line = cardinality(asked_variants) THEN points_left
                            ELSE asked_points * line.price * line.quantity / subtotal END;
        value_left := value_left - line_value;
        points_left := points_left - line_points;
        INSERT INTO reservation (order_id, line_no, location_id, variant_id, quantity)
        VALUES (made_id, at_line, place.location_id, line.variant_id, line.quantity);
        INSERT INTO order_line (order_id, line_no, product_id, variant_id, vendor_id, sku, title, quantity, unit_price_minor, total_minor,
                                points, points_value_minor, cash_minor)
        VALUES (made_id, at_line, line.product_id, line.variant_id, line.vendor_id, line.sku, line.title, line.quantity,
                line.price, line.price * line.quantity, line_points, line_value, line.price * line.quantity - line_value);
        lines := lines || json_build_object('line_no', at_line, 'variant_id', wire_id('var', line.variant_id), 'sku', line.sku,
            'title', line.title, 'quantity', line.quantity, 'unit_price_minor', line.price, 'total_minor', line.price * line.quantity,
            'points', line_points, 'points_value_minor', line_value, 'cash_minor', line.price * line.quantity - line_value);
    END LOOP;
    IF at_line < cardinality(asked_variants) THEN
        RAISE EXCEPTION 'not_found';
    END IF;
    earned := (subtotal - points_value) / policy.earn_minor * policy.earn_points;
    IF asked_points > 0 THEN
        hold := bench_uuid();
        UPDATE ledger_account SET held = held + asked_points WHERE id = account.id;
        INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id)
        VALUES (hold, 0, account.id, '00000000-0000-8000-8000-000000000002', asked_points, 'pending', 'redeem', made_id);
    END IF;
    INSERT INTO orders (id, number, customer_id, state, sequence, currency, subtotal_minor, total_minor, points, points_value_minor,
                        cash_minor, earn_points, hold_id, policy_version, address, placed_at, expires_at)
    VALUES (made_id, made_number, asked_customer, 'pending_payment', 1, 'HKD', subtotal, subtotal, asked_points, points_value,
            subtotal - points_value, earned, hold, policy.version,
            '{"name":"Chan Tai Man","line1":"Flat 12A, 8 Queen''s Road Central","city":"Hong Kong","country":"HK","phone":"+852 2123 4567"}',
            made_at, until);
    INSERT INTO order_event (order_id, sequence, to_state, actor, actor_id) VALUES (made_id, 1, 'pending_payment', 'customer', asked_customer);
    IF subtotal > points_value THEN
        INSERT INTO payment (id, order_id, amount_minor, currency) VALUES (bench_uuid(), made_id, subtotal - points_value, 'HKD');
    END IF;
    answer := json_build_object('id', wire_id('ord', made_id), 'number', made_number, 'state', 'pending_payment', 'currency', 'HKD',
        'subtotal_minor', subtotal, 'total_minor', subtotal, 'points', asked_points, 'points_value_minor', points_value,
        'cash_minor', subtotal - points_value, 'earn_points', earned, 'placed_at', made_at, 'expires_at', until,
        'lines', array_to_json(lines));
    INSERT INTO idempotency (owner_id, key, operation, body_hash, status, content_type, body)
    VALUES (asked_customer, asked_key, 'order_place', substring(asked_hash FOR 16), 201, 'order',
            uuid_send(made_id) || int8send((extract(epoch FROM until) * 1000000)::bigint));
    INSERT INTO outbox (id, type, aggregate_id, sequence, payload, traceparent)
    VALUES (bench_uuid(), 'order.placed', made_id, 1,
            json_build_object('order_id', wire_id('ord', made_id), 'number', made_number, 'customer_id', wire_id('usr', asked_customer),
                              'state', 'pending_payment', 'sequence', 1, 'currency', 'HKD', 'cash_minor', subtotal - points_value,
                              'points', asked_points)::text,
            '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01');
    RETURN answer;
END
$$;

-- What a client sends: numbers drawn by pgbench stand for what the shopper saw. PL/pgSQL again, which keeps its plans.
CREATE OR REPLACE FUNCTION bench_order_draw(customer bigint, first bigint, second bigint, third bigint, line_count integer, points bigint)
RETURNS json
LANGUAGE plpgsql
AS $$
DECLARE
    drawn_customer uuid;
    variants uuid[];
    quantities integer[];
    prices bigint[];
BEGIN
    SELECT user_id INTO drawn_customer FROM bench_customer WHERE n = customer;
    SELECT array_agg(v.variant_id), array_agg(1), array_agg(v.amount_minor) INTO variants, quantities, prices
    FROM bench_variant v
    WHERE v.n = ANY((ARRAY[first, second, third])[1:line_count]);
    RETURN bench_order_place(drawn_customer, gen_random_uuid()::text, uuid_send(gen_random_uuid()), variants, quantities, prices, points);
END
$$;
