-- no-transaction
-- The index of 0024's samples and pairs. Changes of a price or the stock do not touch it.
CREATE INDEX CONCURRENTLY listing_samples ON listing USING gin (search_samples(search, product_id, currency));
