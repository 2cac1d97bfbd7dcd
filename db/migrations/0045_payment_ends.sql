-- Payments and refunds whose end at the gateway is not known yet are asked about one by one, each at its own pace; an attempt that failed here and can
-- still be paid at the gateway is closed there; and which money came for nothing is known by the payment, so that a refund can name it.
ALTER TABLE payment
    ADD COLUMN closed_at    timestamptz,                   -- of one that failed: from then on the gateway cannot turn it into money
    ADD COLUMN surplus      boolean  NOT NULL DEFAULT false, -- came when nothing was to be paid with it: its money goes back, its order stays as it is
    ADD COLUMN ask_failures smallint NOT NULL DEFAULT 0,   -- times in a row that asking the gateway about it came to nothing
    ADD COLUMN ask_after    timestamptz;                   -- not before then it is asked again
ALTER TABLE refund
    ADD COLUMN failure      text,                          -- why the gateway did not do it
    ADD COLUMN ask_failures smallint NOT NULL DEFAULT 0,
    ADD COLUMN ask_after    timestamptz;
UPDATE payment p SET surplus = true
FROM refund r
WHERE r.payment_id = p.id AND r.actor_id IS NULL AND r.points = 0
  AND r.reason IN ('The payment came too late', 'The payment came after the order was cancelled', 'The order was paid by another attempt',
                   'The payment came when the goods were gone', 'The payment came when the sale had given the goods to others',
                   'The payment came when the miles were spent');
