-- Leaves the payments of all orders as order_pay does: the gateway has an intent for each, and said what it is.
UPDATE payment p
SET state = 'pending', intent_id = 'pi_' || replace(p.id::text, '-', ''), requested_at = now(), updated_at = now(),
    redirect_url = 'http://127.0.0.1:8090/pay/' || replace(p.id::text, '-', ''),
    answer = jsonb_build_object('id', 'pi_' || replace(p.id::text, '-', ''), 'object', 'payment_intent', 'amount', p.amount_minor,
                                  'amount_received', 0, 'currency', lower(p.currency), 'status', 'requires_action', 'livemode', false,
                                  'capture_method', 'automatic', 'confirmation_method', 'automatic', 'payment_method_types', '["alipay"]'::jsonb,
                                  'description', 'Order', 'metadata', jsonb_build_object('order_id', wire_id('ord', p.order_id),
                                                                                         'payment_id', wire_id('pay', p.id)))::text
WHERE p.state = 'created';
VACUUM ANALYZE payment;
VACUUM ANALYZE orders;
VACUUM ANALYZE reservation;
CHECKPOINT;
