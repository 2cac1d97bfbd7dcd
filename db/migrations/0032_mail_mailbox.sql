-- Mails are counted by mailbox: a hash of the address in one form, over all accounts that name it. Rows from before, and of the
-- release before, have none and are not counted. Withheld: not sent, since the mailbox had its share.
ALTER TABLE mail ADD COLUMN mailbox bytea;
ALTER TABLE mail DROP CONSTRAINT mail_state_check;
ALTER TABLE mail ADD CONSTRAINT mail_state_check CHECK (state IN ('created', 'sent', 'withheld')) NOT VALID;
