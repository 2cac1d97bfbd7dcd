-- no-transaction
-- The index of 0017's pairs. It stands on listing, whose rows change in place when a price or the stock does, so that such changes do not touch it.
CREATE INDEX CONCURRENTLY listing_paired ON listing USING gin (listing_paired(keys));
