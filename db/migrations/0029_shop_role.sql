-- The shop's role: who serves customers need not own the schema. The owner migrates; the shop's role reads and writes rows,
-- but changes no table, no trigger, and nothing that is written once: a fault in the shop, or somebody who has taken it
-- over, cannot rewrite the ledger. `cathay migrate` calls shop_role_allow() each time, so that new tables are covered.

-- The tables whose rows are written once. Modules add theirs.
CREATE TABLE append_only_table (
    name text PRIMARY KEY
);
INSERT INTO append_only_table VALUES ('transfer'), ('movement'), ('order_event'), ('miles_policy'), ('miles_rate');

CREATE FUNCTION shop_role_allow(shop_role name) RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    written_once regclass;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', shop_role);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO %I', shop_role);
    EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO %I', shop_role);
    -- Of partitioned tables the partitions too: each is a table that can be named.
    FOR written_once IN
        SELECT coalesce(tree.relid, a.name::regclass) FROM append_only_table a LEFT JOIN LATERAL pg_partition_tree(a.name::regclass) tree ON true
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %s FROM %I', written_once, shop_role);
    END LOOP;
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON schema_migration, append_only_table, partitioned_table FROM %I', shop_role);
END
$$;
REVOKE ALL ON FUNCTION shop_role_allow(name) FROM PUBLIC;

-- Making the months ahead is a task of the shop; the partitions are the owner's.
ALTER FUNCTION partitions_ensure(integer, integer) SECURITY DEFINER SET search_path = public, pg_temp;
