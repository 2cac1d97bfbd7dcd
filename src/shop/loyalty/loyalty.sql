-- System accounts have fixed ids (migration 0006): …0001 issued, …0002 redeemed, …0003 adjusted; migration 0028: …0004 owed.

-- name: miles_policy_get(currency text) :one
-- returns: version int4, minimum_points int8, step_points int8, maximum_share int4, return_window_days int4, points_unit int8, minor_unit int8, earn_minor int8, earn_points int8, excluded_categories uuid[]
SELECT p.version, p.minimum_points, p.step_points, p.maximum_share, p.return_window_days,
       r.points_unit, r.minor_unit, r.earn_minor, r.earn_points, p.excluded_categories
FROM miles_policy p JOIN miles_rate r ON r.version = p.version
WHERE r.currency = :currency AND p.version = (SELECT max(version) FROM miles_policy);

-- All currencies at once, for a batch of orders.
-- name: miles_policy_all() :many
-- returns: version int4, currency text, minimum_points int8, step_points int8, maximum_share int4, return_window_days int4, points_unit int8, minor_unit int8, earn_minor int8, earn_points int8, excluded_categories uuid[]
SELECT p.version, r.currency::text AS currency, p.minimum_points, p.step_points, p.maximum_share, p.return_window_days,
       r.points_unit, r.minor_unit, r.earn_minor, r.earn_points, p.excluded_categories
FROM miles_policy p JOIN miles_rate r ON r.version = p.version
WHERE p.version = (SELECT max(version) FROM miles_policy);

-- name: miles_policy_list() :one
-- returns: body json
SELECT json_build_object('policies', coalesce(json_agg(json_build_object(
    'version', p.version, 'minimum_points', p.minimum_points, 'step_points', p.step_points,
    'maximum_share', p.maximum_share, 'return_window_days', p.return_window_days,
    'excluded_categories', (SELECT coalesce(json_agg(wire_id('cat', c)), '[]') FROM unnest(p.excluded_categories) c),
    'in_force', p.version = (SELECT max(version) FROM miles_policy),
    'created_at', p.created_at,
    'rates', (SELECT json_agg(json_build_object('currency', r.currency, 'points_unit', r.points_unit, 'minor_unit', r.minor_unit,
                  'earn_minor', r.earn_minor, 'earn_points', r.earn_points) ORDER BY r.currency)
              FROM miles_rate r WHERE r.version = p.version)) ORDER BY p.version DESC), '[]')) AS body
FROM miles_policy p;

-- name: miles_policy_insert(minimum_points int8, step_points int8, maximum_share int4, excluded_categories uuid[], return_window_days int4, created_by uuid) :one
-- returns: version int4
INSERT INTO miles_policy (version, minimum_points, step_points, maximum_share, excluded_categories, return_window_days, created_by)
SELECT max(version) + 1, :minimum_points, :step_points, :maximum_share, :excluded_categories, :return_window_days, :created_by
FROM miles_policy
RETURNING version;

-- name: miles_rate_insert(version int4, currency text, points_unit int8, minor_unit int8, earn_minor int8, earn_points int8) :exec
INSERT INTO miles_rate (version, currency, points_unit, minor_unit, earn_minor, earn_points)
VALUES (:version, :currency, :points_unit, :minor_unit, :earn_minor, :earn_points);

-- name: loyalty_account_get(user_id user_id) :one
-- returns: id account_id, posted int8, held int8, incoming int8
SELECT id, posted, held, incoming FROM ledger_account WHERE user_id = :user_id;

-- Locks the accounts of a batch in the order of their ids.
-- name: loyalty_account_lock_batch(user_ids user_id[]) :many
-- returns: id account_id, user_id user_id, posted int8, held int8
SELECT id, user_id, posted, held FROM ledger_account
WHERE user_id = ANY(:user_ids)
ORDER BY id
FOR NO KEY UPDATE;

-- An account's id never changes, so that it can be read without a lock.
-- name: loyalty_account_ids(user_ids user_id[]) :many
-- returns: id account_id, user_id user_id
SELECT id, user_id FROM ledger_account WHERE user_id = ANY(:user_ids);

-- For those who have none yet.
-- name: loyalty_account_insert_batch(ids account_id[], user_ids user_id[]) :exec
INSERT INTO ledger_account (id, kind, user_id)
SELECT w.id, 'customer', w.user_id
FROM (SELECT unnest(:ids) AS id, unnest(:user_ids) AS user_id) w
WHERE NOT EXISTS (SELECT FROM ledger_account a WHERE a.user_id = w.user_id)
ORDER BY w.user_id
ON CONFLICT (user_id) DO NOTHING;

-- One posted transfer into or out of a customer's account; no row when it would overdraw. `points` is signed. debt: what the customer
-- owes, which is paid next.
-- name: transfer_post(root_id uuid, user_id user_id, system_account_id uuid, points int8, kind text, order_id uuid?, actor_id uuid?, reason text?) :one
-- returns: id account_id, debt int8
WITH opened AS (
    INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id, actor_id, reason)
    SELECT :root_id, 0,
           CASE WHEN :points > 0 THEN :system_account_id ELSE a.id END,
           CASE WHEN :points > 0 THEN a.id ELSE :system_account_id END,
           abs(:points), 'posted', :kind, :order_id, :actor_id, :reason
    FROM ledger_account a WHERE a.user_id = :user_id
    ON CONFLICT (root_id, step) DO NOTHING
    RETURNING root_id
)
UPDATE ledger_account SET posted = posted + :points
FROM opened
WHERE user_id = :user_id
RETURNING id, debt;

-- name: transfer_hold_open(root_id uuid, user_id user_id, points int8, order_id order_id) :one
-- returns: id account_id
WITH account AS (
    UPDATE ledger_account SET held = held + :points
    WHERE user_id = :user_id AND posted - held >= :points
    RETURNING id
), opened AS (
    INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id)
    SELECT :root_id, 0, id, '00000000-0000-8000-8000-000000000002', :points, 'pending', 'redeem', :order_id FROM account
)
SELECT id FROM account;

-- The holds of a batch whose accounts are locked: what each account holds more, and the transfers.
-- name: loyalty_account_hold_batch(account_ids account_id[], points int8[]) :exec
UPDATE ledger_account a SET held = a.held + b.points
FROM unnest(:account_ids, :points) AS b (account_id, points)
WHERE a.id = b.account_id;

-- name: transfer_hold_batch(root_ids uuid[], account_ids account_id[], points int8[], order_ids order_id[]) :exec
INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id)
SELECT b.root_id, 0, b.account_id, '00000000-0000-8000-8000-000000000002', b.points, 'pending', 'redeem', b.order_id
FROM unnest(:root_ids, :account_ids, :points, :order_ids) AS b (root_id, account_id, points, order_id);

-- What became of these holds: a row of step 0 for each that is one, and one of step 1 where it was closed. The ids are sorted:
-- the first and the last tell which partitions are looked into.
-- name: transfer_hold_list(root_ids uuid[]) :many
-- returns: root_id uuid, step int2, account_id account_id, points int8, phase text
SELECT root_id, step, debit_account_id AS account_id, points, phase FROM transfer
WHERE root_id = ANY(:root_ids) AND root_id BETWEEN (:root_ids)[1] AND (:root_ids)[cardinality(:root_ids)] AND step < 2;

-- Closes a pending redemption as voided, once. Whether it is closed so, now or before; and whose account owes what is free now.
-- name: transfer_hold_void(root_id uuid) :one
-- returns: voided bool, owing account_id?
WITH closed AS (
    INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id)
    SELECT root_id, 1, debit_account_id, credit_account_id, points, 'voided', kind, order_id
    FROM transfer WHERE root_id = :root_id AND step = 0 AND phase = 'pending'
    ON CONFLICT (root_id, step) DO NOTHING
    RETURNING debit_account_id, points
), moved AS (
    UPDATE ledger_account a SET held = a.held - c.points FROM closed c WHERE a.id = c.debit_account_id
    RETURNING a.id, a.debt
)
SELECT EXISTS (SELECT FROM closed)
       OR EXISTS (SELECT FROM transfer WHERE root_id = :root_id AND step = 1 AND phase = 'voided') AS voided,
       (SELECT id FROM moved WHERE debt > 0) AS owing;

-- Once per order, which its primary key says again.
-- name: earning_insert_batch(order_ids order_id[], root_ids uuid[], account_ids account_id[], points int8[], policy_versions int4[]) :exec
INSERT INTO earning (order_id, root_id, account_id, points, due_at)
SELECT w.order_id, w.root_id, w.account_id, w.points, now() + make_interval(days => p.return_window_days)
FROM (SELECT unnest(:order_ids) AS order_id, unnest(:root_ids) AS root_id, unnest(:account_ids) AS account_id,
             unnest(:points) AS points, unnest(:policy_versions) AS policy_version) w
JOIN miles_policy p ON p.version = w.policy_version;

-- The transfers of paid orders: holds that are posted, earnings that are opened. A hold that was closed meanwhile breaks the primary key.
-- name: transfer_settle_batch(root_ids uuid[], steps int2[], debit_account_ids account_id[], credit_account_ids account_id[], points int8[],
-- phases text[], kinds text[], order_ids order_id[]) :exec
INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id)
SELECT unnest(:root_ids), unnest(:steps), unnest(:debit_account_ids), unnest(:credit_account_ids), unnest(:points), unnest(:phases),
       unnest(:kinds), unnest(:order_ids);

-- What these transfers change of accounts. They are sorted and each stands there once: their rows are locked in key order by this update.
-- name: loyalty_account_settle_batch(account_ids account_id[], captured int8[], incoming int8[]) :exec
UPDATE ledger_account a SET posted = a.posted - b.captured, held = a.held - b.captured, incoming = a.incoming + b.incoming
FROM unnest(:account_ids, :captured, :incoming) AS b (account_id, captured, incoming)
WHERE a.id = b.account_id;

-- name: earning_lock(order_id order_id) :one
-- returns: root_id uuid, account_id account_id, points int8, closed bool
SELECT root_id, account_id, points, closed_at IS NOT NULL AS closed FROM earning WHERE order_id = :order_id FOR UPDATE;

-- name: earning_void(order_id order_id) :exec
WITH closed AS (
    UPDATE earning SET closed_at = now() WHERE order_id = :order_id AND closed_at IS NULL
    RETURNING root_id, account_id, points, order_id
), voided AS (
    INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id)
    SELECT root_id, 1, '00000000-0000-8000-8000-000000000001', account_id, points, 'voided', 'earn', order_id FROM closed
)
UPDATE ledger_account a SET incoming = a.incoming - c.points
FROM closed c
WHERE a.id = c.account_id;

-- What has been waiting long enough: pending becomes posted. Accounts are locked in order first. Who owes pays with it.
-- name: earning_due_list(most int4) :many
-- returns: order_id order_id
SELECT order_id FROM earning WHERE closed_at IS NULL AND due_at <= now() ORDER BY due_at LIMIT :most;

-- only: of this order.
-- name: earning_post_due(most int4, only order_id?) :one
-- returns: posted int8
WITH due AS MATERIALIZED (
    SELECT order_id, root_id, account_id, points FROM earning
    WHERE closed_at IS NULL AND due_at <= now() AND (:only::uuid IS NULL OR order_id = :only)
    ORDER BY due_at LIMIT :most
    FOR UPDATE SKIP LOCKED
), accounts AS MATERIALIZED (
    SELECT id, posted - held AS available, debt FROM ledger_account
    WHERE id IN (SELECT account_id FROM due) ORDER BY id FOR NO KEY UPDATE
), transfers AS (
    INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id)
    SELECT root_id, 1, '00000000-0000-8000-8000-000000000001', account_id, points, 'posted', 'earn', order_id FROM due
), earnings AS (
    UPDATE earning e SET closed_at = now() FROM due d WHERE e.order_id = d.order_id
), sums AS (
    SELECT account_id, sum(points)::bigint AS points FROM due GROUP BY account_id
), settled AS MATERIALIZED (
    SELECT l.id, s.points, least(l.debt, l.available + s.points) AS paid FROM sums s JOIN accounts l ON l.id = s.account_id
), payments AS (
    INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind)
    SELECT uuid_v7(), 0, id, '00000000-0000-8000-8000-000000000004', paid, 'posted', 'debt' FROM settled WHERE paid > 0
), updated AS (
    UPDATE ledger_account a SET incoming = a.incoming - s.points, posted = a.posted + s.points - s.paid, debt = a.debt - s.paid
    FROM settled s
    WHERE a.id = s.id
)
SELECT count(*) AS posted FROM due;

-- What an account owes is paid from what it has available; nothing where it owes nothing, or has nothing.
-- name: loyalty_debt_pay(account_id account_id, root_id uuid) :exec
WITH owing AS (
    SELECT id, least(debt, posted - held) AS points FROM ledger_account
    WHERE id = :account_id AND debt > 0 AND posted > held
    FOR NO KEY UPDATE
), paid AS (
    INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind)
    SELECT :root_id, 0, id, '00000000-0000-8000-8000-000000000004', points, 'posted', 'debt' FROM owing
)
UPDATE ledger_account a SET posted = a.posted - o.points, debt = a.debt - o.points FROM owing o WHERE a.id = o.id;

-- Who owes and has something available: a release that knew of no debts posted it.
-- name: loyalty_debt_left(most int4) :many
-- returns: id account_id
SELECT id FROM ledger_account WHERE debt > 0 AND posted > held ORDER BY id LIMIT :most;

-- An earning is taken back whole; `lent` of it had been spent, and is owed. The account is locked.
-- name: loyalty_earning_take(account_id account_id, points int8, lent int8, root_id uuid, order_id order_id) :exec
WITH lending AS (
    INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id, reason)
    SELECT :root_id, 0, '00000000-0000-8000-8000-000000000004', :account_id, :lent, 'posted', 'debt', :order_id,
           'Miles that the refunded order had earned were spent before'
    WHERE :lent > 0
)
UPDATE ledger_account SET posted = posted + :lent - :points, debt = debt + :lent WHERE id = :account_id;

-- The posted step of a transfer, which a reversal undoes.
-- name: transfer_posted(root_id uuid) :one
-- returns: debit_account_id account_id, credit_account_id account_id, points int8, kind text, order_id uuid?
SELECT debit_account_id, credit_account_id, points, kind, order_id
FROM transfer WHERE root_id = :root_id AND step < 2 AND phase = 'posted';

-- name: transfer_reversed_points(root_id uuid) :one
-- returns: points int8
SELECT coalesce(sum(points), 0)::int8 AS points FROM transfer WHERE root_id = :root_id AND step = 2;

-- Takes `points` from who received them and gives them to who paid; no row when it was reversed before.
-- name: transfer_reverse(root_id uuid, debit_account_id account_id, credit_account_id account_id, points int8, kind text, order_id uuid?, actor_id uuid?, reason text?) :one
-- returns: root_id uuid
INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id, actor_id, reason)
VALUES (:root_id, 2, :debit_account_id, :credit_account_id, :points, 'posted', :kind, :order_id, :actor_id, :reason)
ON CONFLICT (root_id, step) DO NOTHING
RETURNING root_id;

-- The customer's sums follow; system accounts have none. debt: what the customer owes, which is paid next.
-- name: loyalty_account_move(debit_account_id account_id, credit_account_id account_id, points int8) :one
-- returns: id account_id, debt int8
UPDATE ledger_account
SET posted = posted + CASE WHEN id = :credit_account_id THEN :points ELSE -:points END
WHERE id IN (:debit_account_id, :credit_account_id) AND kind = 'customer'
RETURNING id, debt;

-- name: loyalty_account_lock(account_id account_id) :one
-- returns: posted int8, held int8
SELECT posted, held FROM ledger_account WHERE id = :account_id FOR NO KEY UPDATE;

-- name: loyalty_summary(user_id user_id) :one
-- returns: body json
SELECT json_build_object('points', coalesce(a.posted, 0) , 'available', coalesce(a.posted - a.held, 0), 'held', coalesce(a.held, 0),
                         'incoming', coalesce(a.incoming, 0), 'debt', coalesce(a.debt, 0)) AS body
FROM (SELECT :user_id::uuid AS user_id) u LEFT JOIN ledger_account a USING (user_id);

-- Newest first; the cursor is the last entry's root and step.
-- name: loyalty_statement(user_id user_id, before_root uuid?, before_step int2?, most int4) :one
-- returns: body json, last_root uuid?, last_step int2?, count int8
WITH account AS (
    SELECT id FROM ledger_account WHERE user_id = :user_id
), entries AS (
    (SELECT t.*, -t.points AS signed FROM transfer t, account a
     WHERE t.debit_account_id = a.id
       AND (:before_root::uuid IS NULL OR (t.root_id, t.step) < (:before_root::uuid, :before_step::smallint))
     ORDER BY t.root_id DESC, t.step DESC LIMIT :most)
    UNION ALL
    (SELECT t.*, t.points AS signed FROM transfer t, account a
     WHERE t.credit_account_id = a.id
       AND (:before_root::uuid IS NULL OR (t.root_id, t.step) < (:before_root::uuid, :before_step::smallint))
     ORDER BY t.root_id DESC, t.step DESC LIMIT :most)
), page AS (
    SELECT * FROM entries ORDER BY root_id DESC, step DESC LIMIT :most
)
SELECT coalesce(json_agg(json_build_object(
           'transfer_id', wire_id('trf', root_id), 'step', step, 'points', signed, 'phase', phase, 'kind', kind,
           'order_id', wire_id('ord', order_id), 'reason', reason, 'created_at', created_at)
           ORDER BY root_id DESC, step DESC), '[]') AS body,
       (array_agg(root_id ORDER BY root_id, step))[1] AS last_root,
       (array_agg(step ORDER BY root_id, step))[1] AS last_step,
       count(*) AS count
FROM page;

-- name: verify_balance_is_sum() :many
-- returns: account_id account_id, posted int8, posted_sum int8, held int8, held_sum int8, incoming int8, incoming_sum int8, debt int8, debt_sum int8
WITH moves AS (
    SELECT debit_account_id AS account_id, -points AS posted, 0::bigint AS held, 0::bigint AS incoming,
           CASE WHEN credit_account_id = '00000000-0000-8000-8000-000000000004' THEN -points ELSE 0 END AS debt
    FROM transfer WHERE phase = 'posted'
    UNION ALL
    SELECT credit_account_id, points, 0, 0,
           CASE WHEN debit_account_id = '00000000-0000-8000-8000-000000000004' THEN points ELSE 0 END
    FROM transfer WHERE phase = 'posted'
    UNION ALL
    SELECT debit_account_id, 0, CASE WHEN step = 0 THEN points ELSE -points END, 0, 0 FROM transfer
    WHERE (step = 0 AND phase = 'pending')
       OR (step = 1 AND phase IN ('posted', 'voided'))
    UNION ALL
    SELECT credit_account_id, 0, 0, CASE WHEN step = 0 THEN points ELSE -points END, 0 FROM transfer
    WHERE (step = 0 AND phase = 'pending')
       OR (step = 1 AND phase IN ('posted', 'voided'))
), sums AS (
    SELECT account_id, sum(posted)::bigint AS posted, sum(held)::bigint AS held, sum(incoming)::bigint AS incoming, sum(debt)::bigint AS debt
    FROM moves GROUP BY account_id
)
SELECT a.id AS account_id, a.posted, coalesce(s.posted, 0)::bigint AS posted_sum, a.held, coalesce(s.held, 0)::bigint AS held_sum,
       a.incoming, coalesce(s.incoming, 0)::bigint AS incoming_sum, a.debt, coalesce(s.debt, 0)::bigint AS debt_sum
FROM ledger_account a LEFT JOIN sums s ON s.account_id = a.id
WHERE a.kind = 'customer'
  AND (a.posted <> coalesce(s.posted, 0) OR a.held <> coalesce(s.held, 0) OR a.incoming <> coalesce(s.incoming, 0)
       OR a.debt <> coalesce(s.debt, 0))
LIMIT 100;

-- name: verify_debt_first() :many
-- returns: account_id account_id, debt int8, available int8
SELECT id AS account_id, debt, posted - held AS available FROM ledger_account WHERE debt > 0 AND posted > held LIMIT 100;

-- What refunds and reversals have given back of an order's redeemed points, and what it took.
-- name: verify_given_back_within_taken() :many
-- returns: order_id uuid?, taken int8, given int8
SELECT order_id, coalesce(sum(points) FILTER (WHERE kind = 'redeem' AND step = 1), 0)::bigint AS taken,
       coalesce(sum(CASE WHEN kind = 'refund' AND step = 2 THEN -points ELSE points END) FILTER (WHERE step <> 1), 0)::bigint AS given
FROM transfer
WHERE phase = 'posted' AND kind IN ('redeem', 'refund')
GROUP BY order_id
HAVING coalesce(sum(CASE WHEN kind = 'refund' AND step = 2 THEN -points ELSE points END) FILTER (WHERE step <> 1), 0)
       > coalesce(sum(points) FILTER (WHERE kind = 'redeem' AND step = 1), 0)
LIMIT 100;

-- name: verify_closing_matches_opening() :many
-- returns: root_id uuid, step int2
SELECT c.root_id, c.step
FROM transfer c LEFT JOIN transfer o ON o.root_id = c.root_id AND o.step = 0
WHERE (c.step = 1 AND (o.root_id IS NULL OR o.phase <> 'pending' OR o.points <> c.points
                       OR o.debit_account_id <> c.debit_account_id OR o.credit_account_id <> c.credit_account_id))
   OR (c.step = 2 AND (o.root_id IS NULL OR o.points < c.points
                       OR o.debit_account_id <> c.credit_account_id OR o.credit_account_id <> c.debit_account_id))
LIMIT 100;

-- name: verify_transfer_accounts() :many
-- returns: root_id uuid, step int2
(SELECT t.root_id, t.step FROM transfer t WHERE NOT EXISTS (SELECT FROM ledger_account a WHERE a.id = t.debit_account_id) LIMIT 100)
UNION
(SELECT t.root_id, t.step FROM transfer t WHERE NOT EXISTS (SELECT FROM ledger_account a WHERE a.id = t.credit_account_id) LIMIT 100);

-- name: verify_earning_matches_transfer() :many
-- returns: order_id order_id
SELECT e.order_id
FROM earning e LEFT JOIN transfer o ON o.root_id = e.root_id AND o.step = 0
               LEFT JOIN transfer c ON c.root_id = e.root_id AND c.step = 1
WHERE o.root_id IS NULL OR o.points <> e.points OR (c.root_id IS NOT NULL) <> (e.closed_at IS NOT NULL)
LIMIT 100;

-- name: loyalty_customer_exists(user_id user_id) :one
-- returns: id user_id
SELECT id FROM users WHERE id = :user_id AND role = 'customer';

-- Whose account a transfer moved.
-- name: transfer_customer(root_id uuid) :one
-- returns: user_id user_id
SELECT a.user_id FROM transfer t JOIN ledger_account a ON a.id IN (t.debit_account_id, t.credit_account_id)
WHERE t.root_id = :root_id AND t.step = 0 AND a.kind = 'customer';
