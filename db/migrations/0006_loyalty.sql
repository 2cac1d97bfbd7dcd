-- Miles: a double-entry ledger of accounts and transfers, and the versioned policy of Miles plus Cash.

-- Customers' balances stand on the row; those of the system's accounts are sums, so that no order waits for them.
CREATE TABLE ledger_account (
    id       uuid   PRIMARY KEY,
    kind     text   NOT NULL CHECK (kind IN ('customer', 'system')),
    user_id  uuid   UNIQUE, -- of kind customer
    code     text   UNIQUE, -- of kind system: issued, redeemed, adjusted
    posted   bigint NOT NULL DEFAULT 0, -- what has been posted in, less what has been posted out
    held     bigint NOT NULL DEFAULT 0, -- pending out
    incoming bigint NOT NULL DEFAULT 0, -- pending in
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'customer') = (user_id IS NOT NULL)),
    CHECK ((kind = 'system') = (code IS NOT NULL)),
    CHECK (held >= 0 AND incoming >= 0),
    CONSTRAINT ledger_account_not_overdrawn CHECK (kind = 'system' OR posted >= held)
) WITH (fillfactor = 50);

INSERT INTO ledger_account (id, kind, code) VALUES
    ('00000000-0000-8000-8000-000000000001', 'system', 'issued'),
    ('00000000-0000-8000-8000-000000000002', 'system', 'redeemed'),
    ('00000000-0000-8000-8000-000000000003', 'system', 'adjusted');

-- A transfer is known by its root and step: step 0 opens it (posted at once, or pending); step 1 closes a pending one
-- (posted or voided), once; step 2 reverses what was posted, once. The primary key is what makes it once.
CREATE TABLE transfer (
    root_id           uuid        NOT NULL,
    step              smallint    NOT NULL CHECK (step BETWEEN 0 AND 2),
    debit_account_id  uuid        NOT NULL, -- points leave
    credit_account_id uuid        NOT NULL, -- points arrive
    points            bigint      NOT NULL CHECK (points > 0),
    phase             text        NOT NULL CHECK (phase IN ('pending', 'posted', 'voided')),
    kind              text        NOT NULL CHECK (kind IN ('redeem', 'earn', 'grant', 'adjust', 'refund')),
    order_id          uuid,
    actor_id          uuid,
    reason            text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (root_id, step),
    CHECK (debit_account_id <> credit_account_id),
    CHECK (step = 1 OR phase <> 'voided'),
    CHECK (step = 0 OR phase <> 'pending')
) PARTITION BY RANGE (root_id);
CREATE INDEX transfer_debit ON transfer (debit_account_id, root_id);
CREATE INDEX transfer_credit ON transfer (credit_account_id, root_id);
SELECT partitioned_by_time('transfer');

CREATE FUNCTION transfer_is_append_only() RETURNS trigger
LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'transfers are never changed or deleted: post a new one' USING ERRCODE = 'restrict_violation'; END $$;
CREATE TRIGGER transfer_append_only BEFORE UPDATE OR DELETE ON transfer
    FOR EACH ROW EXECUTE FUNCTION transfer_is_append_only();
CREATE TRIGGER transfer_no_truncate BEFORE TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION transfer_is_append_only();

-- Points that an order will have earned when its return window has passed.
CREATE TABLE earning (
    order_id   uuid        PRIMARY KEY,
    root_id    uuid        NOT NULL, -- the pending transfer
    account_id uuid        NOT NULL,
    points     bigint      NOT NULL CHECK (points > 0),
    due_at     timestamptz NOT NULL,
    closed_at  timestamptz
);
CREATE INDEX earning_due ON earning (due_at) WHERE closed_at IS NULL;

-- The rules in force are the highest version. Shares are in hundredths of a percent.
CREATE TABLE miles_policy (
    version            integer     PRIMARY KEY,
    minimum_points     bigint      NOT NULL CHECK (minimum_points >= 0),
    step_points        bigint      NOT NULL CHECK (step_points > 0),
    maximum_share      integer     NOT NULL CHECK (maximum_share BETWEEN 0 AND 10000),
    excluded_categories uuid[]     NOT NULL DEFAULT '{}',
    return_window_days integer     NOT NULL CHECK (return_window_days >= 0),
    created_by         uuid,
    created_at         timestamptz NOT NULL DEFAULT now()
);

-- points_unit points are worth minor_unit of the currency's smallest units; earn_minor cash earns earn_points.
CREATE TABLE miles_rate (
    version     integer NOT NULL REFERENCES miles_policy,
    currency    char(3) NOT NULL,
    points_unit bigint  NOT NULL CHECK (points_unit > 0),
    minor_unit  bigint  NOT NULL CHECK (minor_unit > 0),
    earn_minor  bigint  NOT NULL CHECK (earn_minor > 0),
    earn_points bigint  NOT NULL CHECK (earn_points >= 0),
    PRIMARY KEY (version, currency)
);

-- 100 miles = HK$10.00 = US$1.28; one mile for every HK$4 or US$0.50 in cash; up to all of an order, in steps of 100.
INSERT INTO miles_policy (version, minimum_points, step_points, maximum_share, return_window_days)
VALUES (1, 500, 100, 10000, 14);
INSERT INTO miles_rate VALUES (1, 'HKD', 100, 1000, 400, 1), (1, 'USD', 100, 128, 50, 1);
