-- A listing is computed with the prices that hold when it is computed, not when its transaction began: of two changes of one
-- product, the one that began first may get the product's lock last, and did not see the price that the other had made meanwhile.
DO $$
BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW listing_source AS ' || replace(pg_get_viewdef('listing_source'::regclass), 'now()', 'statement_timestamp()');
END
$$;
