-- no-transaction
-- What a mailbox got of late.
CREATE INDEX CONCURRENTLY mail_mailbox ON mail (mailbox, created_at) WHERE mailbox IS NOT NULL;
