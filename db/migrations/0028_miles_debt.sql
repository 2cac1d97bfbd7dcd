-- Miles that an order had earned and that were spent before it was refunded are owed: a transfer from the account of debts lends
-- them, later ones pay them back. What a customer owes stands on the row, as its other sums do. While she owes, she has nothing
-- available: whatever comes in pays first (`cathay verify`: ledger_debt_first).
-- Expand: the release before does not know of debts; what it posts to somebody who owes pays with the next run of
-- loyalty_earnings_post. The constraints hold for all rows that are there (0, and fewer kinds), so that none is read for them.

INSERT INTO ledger_account (id, kind, code) VALUES ('00000000-0000-8000-8000-000000000004', 'system', 'owed');

ALTER TABLE ledger_account ADD COLUMN debt bigint NOT NULL DEFAULT 0;
ALTER TABLE ledger_account ADD CONSTRAINT ledger_account_debt_check CHECK (debt >= 0) NOT VALID;
CREATE INDEX ledger_account_owing ON ledger_account (id) WHERE debt > 0;

ALTER TABLE transfer DROP CONSTRAINT transfer_kind_check;
ALTER TABLE transfer ADD CONSTRAINT transfer_kind_check
    CHECK (kind IN ('redeem', 'earn', 'grant', 'adjust', 'refund', 'debt')) NOT VALID;
