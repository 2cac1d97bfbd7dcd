'use strict';
// PAY-3 in batches of hundreds: two servers and two workers are told the same, while shoppers come back and the sweeper asks.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, poll } = require('../harness');
const { waiting, said, failed, tell, tellUntilHeard, confirmedOnce } = require('../harness/confirmations');
const { stripeClient, pay, resend, fault, faultsClear } = require('../harness/gateway');
const { ordered, begun, reaches, runSchedule, webhooksDone } = require('../harness/buying');
const { customer, goods } = require('../harness/goods');

const env = shop({ roles: ['serve', 'serve:2', 'worker', 'worker:2', 'scheduler', 'sandbox'], settings: { sandbox_webhook_retry_ms: 50, payment_sweep_after_s: 1, queue_wait_ms: 60000 } });
const servers = [() => env.client('serve'), () => env.client('serve:2')];

test('PAY-3 hundreds of successes, each told to two servers at once and by another event: each order is confirmed once', async () => {
  const orders = await waiting(env, 300, { buyers: 5 });
  const texts = orders.map((order) => said(order));
  const statuses = await Promise.all([
    ...texts.map((text) => tell(env.client('serve'), text)), ...[...texts].reverse().map((text) => tell(env.client('serve:2'), text)),
    ...orders.map((order, i) => tell(servers[i % 2](), said(order)))]);
  assert.deepStrictEqual(new Set(statuses), new Set([200]));
  await webhooksDone(env);
  await confirmedOnce(env, orders);
  assert.strictEqual((await env.query(`SELECT count(*)::int FROM webhook WHERE event_id = ANY($1)`, [texts.map((text) => JSON.parse(text).id)]))[0].count, orders.length);
  await env.verify();
});

test('PAY-3 hundreds of failures and successes of the same payments on two servers: all end paid, stock and miles are whole', async () => {
  const orders = await waiting(env, 150, { buyers: 5 });
  await Promise.all(orders.flatMap((order, i) => [tellUntilHeard(servers, failed(order), i), tellUntilHeard(servers, said(order), i + 1), tellUntilHeard(servers, said(order), i)]));
  await webhooksDone(env);
  const ids = orders.map(({ uuid }) => uuid);
  const [counts] = await env.query(`
    SELECT count(*) FILTER (WHERE o.state IN ('confirmed', 'processing', 'shipped', 'delivered'))::int AS confirmed,
           (SELECT count(*)::int FROM payment p WHERE p.order_id = ANY($1) AND p.state = 'succeeded') AS paid,
           (SELECT count(*)::int FROM order_event e WHERE e.order_id = ANY($1) AND e.to_state = 'confirmed') AS steps,
           (SELECT count(*)::int FROM refund r WHERE r.order_id = ANY($1)) AS refunds FROM orders o WHERE o.id = ANY($1)`, [ids]);
  assert.deepStrictEqual(counts, { confirmed: orders.length, paid: orders.length, steps: orders.length, refunds: 0 });
  await env.verify();
});

test('PAY-3 batches race the shopper who comes back and the sweeper', async () => {
  const [variant] = (await goods(env, { onHand: 1000 })).variants;
  const buyer = await customer(env, { points: 100000 });
  const purchases = [];
  for (let i = 0; i < 24; i += 1) purchases.push(await begun(env, await ordered(env, { variant, buyer, points: i % 2 ? 500 : 0 })));
  await fault(env, 'webhook_drop', 1000);
  await Promise.all(purchases.map((purchase) => pay(env, purchase.intentId)));
  await faultsClear(env);
  const events = (await stripeClient(env).events.list({ type: 'payment_intent.succeeded', limit: 100 })).data;
  const event = (purchase) => events.find(({ data }) => data.object.id === purchase.intentId).id;
  await Promise.all([
    ...purchases.map((purchase) => resend(env, event(purchase), 4)),
    ...purchases.flatMap((purchase) => [0, 1].map((server) => servers[server]().as(buyer.token)
      .call('payment_show', { path: { order_id: purchase.order.id }, query: { refresh: true }, expect: 200 }))),
    runSchedule(env, 'payment_sweep')]);
  await Promise.all(purchases.map((purchase) => reaches(purchase, 'confirmed')));
  await webhooksDone(env);
  const [{ count }] = await env.query(`SELECT count(*)::int FROM outbox WHERE aggregate_id = ANY($1) AND type = 'order.confirmed'`,
    [(await env.query('SELECT id FROM orders WHERE number = ANY($1)', [purchases.map(({ order }) => order.number)])).map(({ id }) => id)]);
  assert.strictEqual(count, purchases.length);
  await poll(async () => (await env.query(`SELECT count(*)::int FROM refund`))[0].count === 0, { what: 'no refund' });
  await env.verify();
});
