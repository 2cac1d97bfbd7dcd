-- A number on each row of stock that moves with whatever an order is decided by beside the stock itself: prices, what is on
-- sale, titles, vendors. The checkout engine keeps a copy of these in its process, and writes only where the number is still the one that
-- it had read with the copy. So whoever changes them waits for orders in flight, and orders behind the change do not go by the old copy.
ALTER TABLE stock ADD COLUMN goods integer NOT NULL DEFAULT 0;

-- Rows are locked in the order that the whole shop keeps.
CREATE FUNCTION stock_goods_moved(variant_ids uuid[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM FROM stock WHERE variant_id = ANY(variant_ids) ORDER BY variant_id, location_id FOR NO KEY UPDATE;
    UPDATE stock SET goods = goods + 1 WHERE variant_id = ANY(variant_ids);
END
$$;

CREATE FUNCTION price_moves_goods() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM stock_goods_moved(ARRAY(SELECT DISTINCT variant_id FROM changed));
    RETURN NULL;
END
$$;
CREATE TRIGGER price_insert_moves_goods AFTER INSERT ON price
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION price_moves_goods();
CREATE TRIGGER price_update_moves_goods AFTER UPDATE ON price
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION price_moves_goods();
CREATE TRIGGER price_delete_moves_goods AFTER DELETE ON price
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION price_moves_goods();

CREATE FUNCTION variant_moves_goods() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM stock_goods_moved(ARRAY(
        SELECT o.id FROM was o JOIN is_now n ON n.id = o.id
        WHERE (o.product_id, o.vendor_id, o.sku, o.title, o.state) IS DISTINCT FROM (n.product_id, n.vendor_id, n.sku, n.title, n.state)));
    RETURN NULL;
END
$$;
CREATE TRIGGER variant_moves_goods AFTER UPDATE ON variant
REFERENCING OLD TABLE AS was NEW TABLE AS is_now FOR EACH STATEMENT EXECUTE FUNCTION variant_moves_goods();

CREATE FUNCTION product_moves_goods() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM stock_goods_moved(ARRAY(
        SELECT v.id FROM was o JOIN is_now n ON n.id = o.id JOIN variant v ON v.product_id = o.id
        WHERE (o.state, o.tender, o.category_path) IS DISTINCT FROM (n.state, n.tender, n.category_path)));
    RETURN NULL;
END
$$;
CREATE TRIGGER product_moves_goods AFTER UPDATE ON product
REFERENCING OLD TABLE AS was NEW TABLE AS is_now FOR EACH STATEMENT EXECUTE FUNCTION product_moves_goods();

-- Closing a vendor takes all that is his off sale.
CREATE FUNCTION vendor_moves_goods() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM stock_goods_moved(ARRAY(
        SELECT v.id FROM was o JOIN is_now n ON n.id = o.id JOIN product p ON p.vendor_id = o.id JOIN variant v ON v.product_id = p.id
        WHERE o.state <> n.state));
    RETURN NULL;
END
$$;
CREATE TRIGGER vendor_moves_goods AFTER UPDATE ON vendor
REFERENCING OLD TABLE AS was NEW TABLE AS is_now FOR EACH STATEMENT EXECUTE FUNCTION vendor_moves_goods();

-- A further place that a variant is sent from, which may come before the others.
CREATE FUNCTION stock_moves_goods() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM stock_goods_moved(ARRAY(
        SELECT DISTINCT c.variant_id FROM changed c JOIN stock s ON s.variant_id = c.variant_id AND s.location_id <> c.location_id));
    RETURN NULL;
END
$$;
CREATE TRIGGER stock_moves_goods AFTER INSERT ON stock
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION stock_moves_goods();
