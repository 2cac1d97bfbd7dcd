'use strict';
// Payments while things break: the sandbox is killed, the worker is killed, the gateway hangs. What was paid is confirmed.
const { test, afterEach } = require('node:test');
const assert = require('node:assert');
const { shop, poll } = require('../harness');
const { stripeClient, pay, fault, faultsClear } = require('../harness/gateway');
const { ordered, begun, reaches, runSchedule } = require('../harness/buying');

const env = shop({ roles: ['serve', 'worker', 'scheduler', 'sandbox'], settings: { partner_timeout_ms: 500, payment_sweep_after_s: 1, task_lease_s: 2 } });

afterEach(() => faultsClear(env));

test('PAY-4 the sandbox is killed between asking and answering: the same call goes on', async () => {
  const purchase = await ordered(env);
  await fault(env, 'api_hang', 1, 5000);
  const asked = purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id } });
  await env.kill('sandbox');
  assert.ok([502, 504].includes((await asked).status));
  await env.startRole('sandbox');
  await poll(async () => (await purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id } })).status === 200, { what: 'the gateway to be reachable again', timeoutMs: 60000 });
  await begun(env, purchase);
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  await env.verify();
});

test('PAY-3 the shop is killed while webhooks come: they come again', async () => {
  const purchases = [];
  for (let i = 0; i < 10; i += 1) purchases.push(await begun(env, await ordered(env)));
  const paid = Promise.all(purchases.map((purchase) => pay(env, purchase.intentId)));
  await env.kill('serve');
  await paid;
  await env.startRole('serve');
  await Promise.all(purchases.map((purchase) => reaches(purchase, 'confirmed', { timeoutMs: 60000 })));
  await env.verify();
});

test('JOB-2 PAY-3 the worker is killed while it works webhooks out', async () => {
  const purchases = [];
  for (let i = 0; i < 10; i += 1) purchases.push(await begun(env, await ordered(env)));
  await Promise.all(purchases.map((purchase) => pay(env, purchase.intentId)));
  await env.kill('worker');
  await env.startRole('worker');
  await Promise.all(purchases.map((purchase) => reaches(purchase, 'confirmed', { timeoutMs: 60000 })));
  await env.verify();
});

test('PAY-3 sandbox killed right after the shopper paid: the sweeper or the webhook confirms after its return', async () => {
  const purchase = await begun(env, await ordered(env));
  await fault(env, 'webhook_delay', 1, 60000);
  await pay(env, purchase.intentId);
  await env.kill('sandbox');
  await runSchedule(env, 'payment_sweep');
  assert.strictEqual(await purchase.state(), 'pending_payment');
  await env.startRole('sandbox');
  await poll(async () => { await runSchedule(env, 'payment_sweep'); return purchase.paid(); }, { what: 'the sweeper', timeoutMs: 90000, everyMs: 500 });
  await env.verify();
});

test('PAY-5 the worker is killed while refunds made at the gateway come: each is taken over once', async () => {
  const purchases = [];
  for (let i = 0; i < 5; i += 1) {
    const purchase = await begun(env, await ordered(env));
    await pay(env, purchase.intentId);
    await reaches(purchase, 'confirmed', { timeoutMs: 60000 });
    purchases.push(purchase);
  }
  await Promise.all(purchases.map((purchase) => stripeClient(env).refunds.create({ payment_intent: purchase.intentId })));
  await env.kill('worker');
  await env.startRole('worker');
  await Promise.all(purchases.map((purchase) => reaches(purchase, 'refunded', { timeoutMs: 60000 })));
  for (const purchase of purchases) assert.deepStrictEqual((await purchase.refunds()).map(({ state }) => state), ['succeeded']);
  await env.verify();
});
