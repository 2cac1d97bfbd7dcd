-- no-transaction
-- Failed attempts that can still be paid at the gateway.
CREATE INDEX CONCURRENTLY payment_unclosed ON payment (created_at) WHERE state = 'failed' AND closed_at IS NULL AND intent_id IS NOT NULL;
