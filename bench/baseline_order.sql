\set customer random(1, :customers)
\set first random(1, :skus)
\set second 1 + (:first + :skus / 3) % :skus
\set third 1 + (:first + :skus / 2) % :skus
\set lines random(1, least(3, :skus))
SELECT bench_order_draw(:customer, :first, :second, :third, :lines, :points);
