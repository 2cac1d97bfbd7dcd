-- no-transaction
CREATE UNIQUE INDEX CONCURRENTLY variant_options_key_unique ON variant (product_id, options_key) WHERE state = 'active' AND options_key IS NOT NULL;
