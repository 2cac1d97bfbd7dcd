-- Each connection took a hundred numbers ahead, so that numbers jumped to and fro between connections. A number at a time costs 0.1 µs more.
ALTER SEQUENCE order_number CACHE 1;
