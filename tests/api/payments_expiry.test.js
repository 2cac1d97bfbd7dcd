'use strict';
// PAY-4, INV-3: orders whose time to pay is over give stock and miles back; the gateway is asked first.
const { test, afterEach } = require('node:test');
const assert = require('node:assert');
const { shop, Environment, poll, sleep } = require('../harness');
const { stripeClient, pay, fault, faultsClear } = require('../harness/gateway');
const { ordered, begun, reaches, runSchedule } = require('../harness/buying');

const env = shop({ settings: { reservation_s: 2, payment_sweep_after_s: 1, partner_timeout_ms: 1000 } });
const statusOf = async (intentId) => (await stripeClient(env).paymentIntents.retrieve(intentId)).status;
const expires = (purchase) => poll(async () => { await runSchedule(env, 'payment_expire'); return (await purchase.state()) === 'expired'; }, { what: 'the order to expire', everyMs: 200 });

afterEach(() => faultsClear(env));

test('INV-3 an order whose payment was never begun expires by itself', async () => {
  const purchase = await ordered(env, { points: 1000, miles: 1500 });
  await expires(purchase);
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 0 });
  assert.strictEqual((await purchase.balance()).available, 1500);
  assert.strictEqual((await purchase.payments())[0].state, 'cancelled');
  await env.verify();
});

test('PAY-4 an abandoned payment is cancelled at the gateway, and the shopper may begin anew', async () => {
  const purchase = await begun(env, await ordered(env, { points: 1000 }));
  await expires(purchase);
  assert.strictEqual(await statusOf(purchase.intentId), 'canceled');
  assert.strictEqual((await purchase.payments())[0].state, 'cancelled');
  assert.strictEqual((await purchase.balance()).held, 0);
  await begun(env, purchase);
  assert.strictEqual(purchase.answer.payment.attempt, 2);
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  await env.verify();
});

test('PAY-3 who pays in the last moment has paid, also when the webhook is lost', async () => {
  await fault(env, 'webhook_drop', 1000);
  const purchase = await begun(env, await ordered(env));
  await pay(env, purchase.intentId);
  await sleep(2100);
  await runSchedule(env, 'payment_expire');
  await reaches(purchase, 'confirmed');
  await env.verify();
});

test('PAY-4 the gateway is away when the time is over: the order waits, then expires', async () => {
  const purchase = await begun(env, await ordered(env));
  await sleep(2100);
  await fault(env, 'api_error', 100000);
  await runSchedule(env, 'payment_expire');
  assert.strictEqual(await purchase.state(), 'pending_payment', 'it may have been paid: nobody knows');
  await purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id }, expect: 409 });
  await faultsClear(env);
  await poll(async () => { await runSchedule(env, 'payment_expire'); return (await purchase.state()) === 'expired'; }, { what: 'the order to expire', timeoutMs: 60000, everyMs: 300 });
  assert.strictEqual(await statusOf(purchase.intentId), 'canceled');
  await env.verify();
});

test('PAY-4 the answer of the gateway was lost and nobody asked again: its intent is found and cancelled', async () => {
  const purchase = await ordered(env);
  await fault(env, 'api_lost', 100);
  await purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id }, expect: [502, 504] });
  await faultsClear(env);
  await poll(async () => { await runSchedule(env, 'payment_expire'); return (await purchase.state()) === 'expired'; }, { what: 'the order to expire', timeoutMs: 60000, everyMs: 300 });
  const [payment] = await purchase.payments();
  assert.match(payment.intent_id, /^pi_/);
  assert.strictEqual(await statusOf(payment.intent_id), 'canceled');
  await env.verify();
});

/** As where a shopper pays while the cancellation is under way. */
async function paysAfterExpiry(shopEnv, purchase) {
  await poll(async () => { await runSchedule(shopEnv, 'payment_expire'); return (await purchase.state()) === 'expired'; }, { what: 'the order to expire', everyMs: 200 });
  await shopEnv.query(`UPDATE sandbox.payment_intent SET status = 'requires_action' WHERE id = $1`, [purchase.intentId]);
  await pay(shopEnv, purchase.intentId);
}

test('PAY-3 a success after expiry is honoured within its time', async () => {
  const purchase = await begun(env, await ordered(env, { points: 1000 }));
  await paysAfterExpiry(env, purchase);
  await reaches(purchase, 'confirmed');
  assert.strictEqual((await purchase.balance()).available, 0);
  await env.verify();
});

test('PAY-3 a success after expiry is refunded past its time', async () => {
  const strict = await Environment.start({ settings: { reservation_s: 2, late_payment_s: 0 } });
  try {
    const purchase = await begun(strict, await ordered(strict, { points: 1000 }));
    await paysAfterExpiry(strict, purchase);
    await poll(async () => (await purchase.refunds())[0]?.state === 'succeeded', { what: 'the refund' });
    assert.strictEqual(await purchase.state(), 'expired');
    assert.strictEqual((await purchase.balance()).available, 1000);
    await strict.verify();
  } finally {
    await strict.stop();
  }
});
