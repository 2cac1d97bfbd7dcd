'use strict';
// PAY-4, CHK-4: away and refused are different things. What the gateway will never take is refused before it is ordered; where it is there all the
// same, it ends, and no payment of a list keeps the others waiting.
const { test, afterEach } = require('node:test');
const assert = require('node:assert');
const { shop, poll, uuidOf } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');
const { pay, fault, faultsClear, stripeClient } = require('../harness/gateway');
const { ordered, begun, reaches, runSchedule } = require('../harness/buying');

const env = shop({ settings: { reservation_s: 3, payment_sweep_after_s: 1, partner_timeout_ms: 1000 } });

afterEach(() => faultsClear(env));

/** As an order of a time when any amount was taken: its payment was begun, the gateway has refused it. */
async function impossible(cashMinor) {
  const purchase = await ordered(env);
  const id = uuidOf(purchase.order.id);
  await env.query('UPDATE order_line SET unit_price_minor = $2, total_minor = $2, cash_minor = $2 WHERE order_id = $1', [id, cashMinor]);
  await env.query('UPDATE orders SET subtotal_minor = $2, total_minor = $2, cash_minor = $2 WHERE id = $1', [id, cashMinor]);
  await env.query('UPDATE payment SET amount_minor = $2, requested_at = now() WHERE order_id = $1', [id, cashMinor]);
  return purchase;
}
const schedule = (name, what, done, everyMs = 200) => poll(async () => { await runSchedule(env, name); return done(); }, { what, timeoutMs: 90000, everyMs });
const noStockHeld = async (purchase) => assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 0 });

test('PAY-4 payments that the gateway refuses for good stop neither expiry nor the orders behind them', async () => {
  const large = await impossible(100000000);
  const small = await impossible(250);
  const behind = [await begun(env, await ordered(env, { points: 1000 })), await begun(env, await ordered(env))];
  await schedule('payment_expire', 'all of them to end', async () => (await Promise.all([large, small, ...behind].map((one) => one.state()))).every((state) => state !== 'pending_payment'));
  assert.deepStrictEqual(await Promise.all(behind.map((one) => one.state())), ['expired', 'expired']);
  for (const [purchase, failure] of [[large, 'amount_too_large'], [small, 'amount_too_small']]) {
    assert.strictEqual(await purchase.state(), 'payment_failed');
    const [payment] = await purchase.payments();
    assert.deepStrictEqual([payment.state, payment.failure, payment.intent_id], ['failed', failure, null]);
    await noStockHeld(purchase);
    const { body } = await purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id }, expect: 409 });
    assert.strictEqual(body.code, 'partner_refused');
    assert.match(body.errors[0].reason, /^(below_least_charge: 400|above_most_charge: 99999999)$/);
  }
  assert.strictEqual((await behind[0].balance()).available, 1000);
  await env.verify();
});

test('PAY-4 payments that the gateway refuses do not keep the sweep from one whose webhook was lost', async () => {
  const large = await impossible(100000001);
  await fault(env, 'webhook_drop', 1000);
  const paid = await begun(env, await ordered(env));
  await pay(env, paid.intentId);
  await schedule('payment_sweep', 'the paid order to be confirmed', () => paid.paid());
  await schedule('payment_sweep', 'the impossible one to end', async () => (await large.state()) === 'payment_failed');
  await env.verify();
});

test('PAY-4 an intent that the gateway does not know ends after some askings, those behind it at once', async () => {
  const lost = await begun(env, await ordered(env));
  await env.query(`UPDATE payment SET intent_id = 'pi_of_another_account' WHERE order_id = $1`, [uuidOf(lost.order.id)]);
  const behind = await begun(env, await ordered(env));
  await schedule('payment_expire', 'the order behind to expire', async () => (await behind.state()) === 'expired');
  await schedule('payment_expire', 'the unknown payment to end', async () => (await lost.state()) === 'payment_failed');
  assert.strictEqual((await lost.payments())[0].failure, 'intent_unknown');
  await noStockHeld(lost);
  await env.verify();
});

test('PAY-4 an order whose row cannot be written stops no other one', async () => {
  const bad = await ordered(env);
  const behind = await ordered(env);
  await env.query(`CREATE FUNCTION refuse_expiry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$`);
  await env.query(`CREATE TRIGGER refuse_expiry BEFORE UPDATE ON orders FOR EACH ROW WHEN (OLD.id = '${uuidOf(bad.order.id)}') EXECUTE FUNCTION refuse_expiry()`);
  await schedule('payment_expire', 'the order behind to expire', async () => (await behind.state()) === 'expired');
  assert.strictEqual(await bad.state(), 'pending_payment');
  assert.ok((await bad.payments())[0].ask_failures > 0, 'the failure is counted');
  await env.query('DROP TRIGGER refuse_expiry ON orders');
  await schedule('payment_expire', 'the order to expire', async () => (await bad.state()) === 'expired');
  await env.verify();
});

test('PAY-4 refused while it is begun: the attempt fails, goods and miles are free, another attempt may succeed', async () => {
  const purchase = await ordered(env, { points: 1000 });
  await fault(env, 'api_refuse', 1);
  const { body } = await purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id }, expect: 409 });
  assert.deepStrictEqual([body.code, body.detail], ['partner_refused', 'The payment gateway does not take this payment: sandbox_refused']);
  assert.strictEqual(await purchase.state(), 'payment_failed');
  await noStockHeld(purchase);
  assert.strictEqual((await purchase.balance()).available, 1000);
  await begun(env, purchase);
  assert.strictEqual(purchase.answer.payment.attempt, 2);
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  await env.verify();
});

for (const status of [401, 403, 409, 429]) {
  test(`PAY-4 a gateway that answers ${status} is away: nothing is decided`, async () => {
    const purchase = await ordered(env);
    await fault(env, 'api_refuse', 20, status);
    const { body } = await purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id }, expect: 502 });
    assert.strictEqual(body.code, 'partner_failed');
    assert.strictEqual(await purchase.state(), 'pending_payment');
    assert.strictEqual((await purchase.payments())[0].state, 'created');
    await faultsClear(env);
    await begun(env, purchase);
    await pay(env, purchase.intentId);
    await reaches(purchase, 'confirmed');
  });
}

test('PAY-4 an intent that the gateway will not cancel holds no stock, and is closed later', async () => {
  const purchase = await begun(env, await ordered(env));
  await fault(env, 'cancel_refuse', 1);
  await schedule('payment_expire', 'the order to end', async () => (await purchase.state()) !== 'pending_payment');
  assert.strictEqual((await purchase.payments())[0].failure, 'sandbox_refused');
  await noStockHeld(purchase);
  await faultsClear(env);
  await schedule('payment_sweep', 'the intent to be cancelled', async () => (await stripeClient(env).paymentIntents.retrieve(purchase.intentId)).status === 'canceled');
  await poll(async () => (await purchase.payments())[0].closed_at, { what: 'the payment to be closed' });
  await env.verify();
});

test('CHK-4 cash that the gateway does not take is refused at checkout; none at all is fine', async () => {
  const buyer = await customer(env, { points: 200000 });
  const place = (variant, quantity, points, expect) => buyer.api.call('order_place', { body: orderOf([[variant, quantity]], { points }), expect });
  const { variants: [tiny] } = await goods(env, { priceMinor: 399 });
  const small = (await place(tiny, 1, 0, 409)).body;
  assert.deepStrictEqual([small.code, small.errors], ['checkout_rejected', [{ field: 'cash_minor', reason: 'below_least_charge: 400' }]]);
  assert.strictEqual((await place((await goods(env, { priceMinor: 10000 })).variants[0], 1, 1000, 201)).body.cash_minor, 0);
  await place((await goods(env, { priceMinor: 400 })).variants[0], 1, 0, 201);
  const { variants: [dear] } = await goods(env, { priceMinor: 10000000, onHand: 100 });
  assert.deepStrictEqual((await place(dear, 10, 0, 409)).body.errors, [{ field: 'cash_minor', reason: 'above_most_charge: 99999999' }]);
  await place(dear, 10, 500, 201);
});
