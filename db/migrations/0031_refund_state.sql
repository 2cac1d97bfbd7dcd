-- no-transaction
-- Staff's list of refunds in one state, newest first.
CREATE INDEX CONCURRENTLY refund_state ON refund (state, id);
