-- no-transaction
CREATE UNIQUE INDEX CONCURRENTLY variant_sku_key_unique ON variant (sku_key) WHERE sku_key IS NOT NULL;
