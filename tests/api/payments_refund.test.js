'use strict';
// PAY-5 in its core: a full refund by staff, in cash and miles, once.
const { test, afterEach } = require('node:test');
const assert = require('node:assert');
const { shop, poll, makePerson, uuidOf } = require('../harness');
const { stripeClient, pay, fault, faultsClear, sandboxCall, deliveries } = require('../harness/gateway');
const { ordered, begun, reaches, webhooksDone } = require('../harness/buying');

const env = shop({ settings: { partner_timeout_ms: 1000 } });
let staff;

afterEach(() => faultsClear(env));

const paid = async (options) => {
  const purchase = await begun(env, await ordered(env, options));
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  staff ??= await makePerson(env, 'manager');
  return purchase;
};
const refund = (purchase, options = {}) => staff.api.call('order_refund', { path: { order_id: purchase.order.id }, body: { reason: 'It did not fit' }, ...options });
const atGateway = async (purchase) => (await stripeClient(env).refunds.list({ payment_intent: purchase.intentId, limit: 100 })).data;
const ends = (purchase, state) => poll(async () => (await purchase.refunds()).at(-1)?.state === state, { what: `the refund to be ${state}` });

test('PAY-5 cash goes back through the gateway, miles at once, stock is free, earned miles are taken back', async () => {
  const purchase = await paid({ points: 2000, miles: 2500 });
  assert.ok((await purchase.balance()).incoming > 0, 'the order earns miles');
  const { body } = await refund(purchase, { expect: 201 });
  assert.strictEqual(body.amount_minor, purchase.order.cash_minor);
  assert.strictEqual(body.points, 2000);
  assert.strictEqual(body.reason, 'It did not fit');
  assert.strictEqual(await purchase.state(), 'refunded');
  const balance = await purchase.balance();
  assert.deepStrictEqual([balance.available, balance.held, balance.incoming], [2500, 0, 0]);
  await poll(async () => (await purchase.stock()).reserved === 0, { what: 'the label to be void and the stock free' });
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 0 });
  await ends(purchase, 'succeeded');
  const [sent] = await atGateway(purchase);
  assert.strictEqual(sent.amount, purchase.order.cash_minor);
  assert.deepStrictEqual(sent.metadata, { order_id: purchase.order.id, refund_id: body.id });
  const { body: list } = await purchase.buyer.api.call('refund_list', { path: { order_id: purchase.order.id }, expect: 200 });
  assert.deepStrictEqual(list.items.map(({ id, state }) => [id, state]), [[body.id, 'succeeded']]);
  const events = await env.query('SELECT type FROM outbox WHERE aggregate_id = $1', [uuidOf(purchase.order.id)]);
  for (const type of ['order.refunded', 'refund.requested', 'refund.succeeded']) assert.strictEqual(events.filter((event) => event.type === type).length, 1, type);
  await env.verify();
});

test('PAY-5 a second refund finds nothing left; a key is replayed; twenty at once make one', async () => {
  const purchase = await paid();
  const first = await refund(purchase, { key: 'refund-key', expect: 201 });
  const again = await refund(purchase, { key: 'refund-key', expect: 201 });
  assert.deepStrictEqual(again.body, first.body);
  assert.strictEqual((await refund(purchase, { expect: 409 })).body.code, 'conflict');
  await refund(purchase, { key: 'refund-key', body: { reason: 'another' }, expect: 422 });

  const many = await paid({ points: 1000 });
  const answers = await Promise.all(Array.from({ length: 20 }, () => refund(many)));
  assert.deepStrictEqual(answers.map(({ status }) => status).sort(), [201, ...Array(19).fill(409)]);
  await ends(many, 'succeeded');
  assert.strictEqual((await atGateway(many)).length, 1);
  assert.strictEqual((await many.balance()).available, 1000);
  await env.verify();
});

test('PAY-5 an order paid with miles alone gives miles back', async () => {
  const purchase = await ordered(env, { priceMinor: 10000, points: 1000 });
  assert.strictEqual(purchase.order.cash_minor, 0);
  await reaches(purchase, 'confirmed');
  staff ??= await makePerson(env, 'manager');
  const { body } = await refund(purchase, { expect: 201 });
  assert.deepStrictEqual([body.amount_minor, body.points, body.state], [0, 1000, 'succeeded']);
  assert.strictEqual(await purchase.state(), 'refunded');
  assert.strictEqual((await purchase.balance()).available, 1000);
  await refund(purchase, { expect: 409 });
  await env.verify();
});

test('PAY-5 only a paid order is refunded, by staff, with a reason', async () => {
  const purchase = await ordered(env);
  staff ??= await makePerson(env, 'manager');
  assert.strictEqual((await refund(purchase, { expect: 409 })).body.code, 'transition_refused');
  await refund(purchase, { body: { reason: '' }, invalid: true });
  await refund(purchase, { body: {}, invalid: true });
  await refund({ order: { id: `ord_${'0'.repeat(32)}` } }, { expect: 404 });
  await purchase.buyer.api.call('order_refund', { path: { order_id: purchase.order.id }, body: { reason: 'mine' }, expect: 403 });
});

test('PAY-5 the gateway fails, hangs and loses answers: the refund is sent, once', async () => {
  for (const [name, calls, value] of [['api_error', 5, 0], ['api_lost', 5, 0], ['api_hang', 2, 1500]]) {
    const purchase = await paid();
    await fault(env, name, calls, value);
    await refund(purchase, { expect: 201 });
    await poll(async () => (await purchase.refunds())[0].state === 'succeeded', { what: `the refund in spite of ${name}`, timeoutMs: 60000 });
    await faultsClear(env);
    assert.strictEqual((await atGateway(purchase)).length, 1, name);
  }
  await env.verify();
});

test('PAY-5 a refund that the gateway works on ends by its webhook; one that fails can be asked for again', async () => {
  const waits = await paid();
  await fault(env, 'refund_pending', 1);
  await refund(waits, { expect: 201 });
  await poll(async () => (await waits.refunds())[0].gateway_id, { what: 'the gateway to accept it' });
  const [{ gateway_id: gatewayId, state }] = await waits.refunds();
  assert.strictEqual(state, 'requested');
  await sandboxCall(env, 'POST', `/sandbox/refunds/${gatewayId}/succeed`);
  await ends(waits, 'succeeded');

  const fails = await paid({ points: 1000 });
  await fault(env, 'refund_pending', 1);
  await refund(fails, { expect: 201 });
  await poll(async () => (await fails.refunds())[0].gateway_id, { what: 'the gateway to accept it' });
  await sandboxCall(env, 'POST', `/sandbox/refunds/${(await fails.refunds())[0].gateway_id}/fail`);
  await ends(fails, 'failed');
  assert.strictEqual((await fails.payments())[0].refunded_minor, '0');
  const { body } = await refund(fails, { expect: 201 });
  assert.deepStrictEqual([body.amount_minor, body.points], [fails.order.cash_minor, 0], 'the miles went back with the first one');
  await ends(fails, 'succeeded');
  await poll(async () => (await deliveries(env, fails.intentId)).every((one) => one.state === 'done'));
  await webhooksDone(env);
  assert.strictEqual((await fails.balance()).available, 1000);
  await env.verify();
});

test('PAY-5 the worker is killed while it refunds: the money goes back once', async () => {
  const purchase = await paid();
  await fault(env, 'api_hang', 1, 700);
  await refund(purchase, { expect: 201 });
  await poll(async () => (await env.query(`SELECT FROM task WHERE name = 'payment_refund_send' AND state = 'running'`)).length > 0, { what: 'the task to run', everyMs: 5 });
  await env.kill('all');
  await env.query(`UPDATE task SET lease_until = now() WHERE state = 'running'`);
  await env.startRole('all');
  await poll(async () => (await purchase.refunds())[0].state === 'succeeded', { what: 'the refund after the crash', timeoutMs: 90000 });
  assert.strictEqual((await atGateway(purchase)).length, 1);
  await env.verify();
});
