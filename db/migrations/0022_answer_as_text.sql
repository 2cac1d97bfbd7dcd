-- What the gateway said of a payment is kept as it came: nothing in the shop looks into it, and C has read it before. As jsonb it was parsed a second time
-- with each confirmation, and refused where an escape stood for what no text of PostgreSQL may hold. Refunds, one at a time, stay as they are.
-- Expand: a payment's newest word stands here, and then none in `response`, which a release before goes on writing; where both are there, `response` is
-- newer. A later migration drops it.
ALTER TABLE payment ADD COLUMN answer text; -- JSON without secrets and nulls
