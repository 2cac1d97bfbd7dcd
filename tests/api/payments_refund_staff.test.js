'use strict';
// PAY-5: staff find the refunds that failed, and ask for them again.
const { test, afterEach } = require('node:test');
const assert = require('node:assert');
const { shop, poll, makePerson } = require('../harness');
const { stripeClient, pay, fault, faultsClear, sandboxCall } = require('../harness/gateway');
const { ordered, begun, reaches } = require('../harness/buying');

const env = shop({ settings: { partner_timeout_ms: 1000 } });
let staff;

afterEach(() => faultsClear(env));

const last = async (purchase) => (await purchase.refunds()).at(-1);
const ends = (purchase, state) => poll(async () => (await last(purchase))?.state === state, { what: `the refund to be ${state}` });

/** A paid order whose refund the gateway could not do. */
const failed = async (options) => {
  const purchase = await begun(env, await ordered(env, options));
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  staff ??= await makePerson(env, 'support');
  await fault(env, 'refund_pending', 1);
  purchase.refund = (await staff.api.call('order_refund', { path: { order_id: purchase.order.id }, body: { reason: 'It did not fit' }, expect: 201 })).body;
  await poll(async () => (await last(purchase)).gateway_id, { what: 'the gateway to accept it' });
  await sandboxCall(env, 'POST', `/sandbox/refunds/${(await last(purchase)).gateway_id}/fail`);
  await ends(purchase, 'failed');
  return purchase;
};
const list = async (query = {}) => (await staff.api.call('staff_refund_list', { query, expect: 200 })).body;
const retry = (refund, options = {}) => staff.api.call('refund_retry', { path: { refund_id: refund.id }, ...options });

test('PAY-5 refunds that failed are listed, page by page, and asked for again by name, once', async () => {
  const purchases = [];
  for (let i = 0; i < 3; i += 1) purchases.push(await failed({ points: 1000 }));
  const ids = purchases.map(({ refund }) => refund.id).reverse();
  assert.deepStrictEqual((await list()).items.map(({ id }) => id), ids, 'failed ones, newest first');
  const paged = [];
  for (let cursor; ;) {
    const page = await list({ state: 'failed', limit: 2, cursor });
    paged.push(...page.items);
    cursor = page.next_cursor ?? undefined;
    if (!cursor) break;
  }
  assert.deepStrictEqual(paged.map(({ id }) => id), ids);
  const [{ order_id: orderId, order_number: number, customer_id: customerId, amount_minor: amount, asked_again: again, actor_id: actor }] = paged.slice(-1);
  const [first] = purchases;
  assert.deepStrictEqual([orderId, number, customerId, amount, again, actor], [first.order.id, first.order.number, first.buyer.id, first.order.cash_minor, false, staff.id]);

  const answers = await Promise.all(Array.from({ length: 10 }, () => retry(first.refund)));
  assert.deepStrictEqual(answers.map(({ status }) => status).sort(), [201, ...Array(9).fill(409)]);
  const made = answers.find(({ status }) => status === 201).body;
  assert.deepStrictEqual([made.amount_minor, made.points], [first.order.cash_minor, 0], 'miles went back with the first one');
  await ends(first, 'succeeded');
  const sent = (await stripeClient(env).refunds.list({ payment_intent: first.intentId })).data.filter(({ status }) => status === 'succeeded');
  assert.deepStrictEqual(sent.map(({ amount: value }) => value), [first.order.cash_minor]);
  assert.strictEqual((await list()).items.find(({ id }) => id === first.refund.id).asked_again, true);
  assert.ok((await list({ state: 'succeeded' })).items.some(({ id }) => id === made.id));
  assert.strictEqual((await first.balance()).available, 1000);
  await env.verify();
});

test('PAY-5 only a refund that failed is asked for again, by staff; a stored answer is replayed', async () => {
  const purchase = await failed();
  const one = await retry(purchase.refund, { key: 'again-1', expect: 201 });
  assert.deepStrictEqual((await retry(purchase.refund, { key: 'again-1', expect: 201 })).body, one.body);
  await ends(purchase, 'succeeded');
  assert.match((await retry(one.body, { expect: 409 })).body.detail, /is succeeded/);
  assert.match((await retry(purchase.refund, { expect: 409 })).body.detail, /asked for again already/);
  await retry({ id: `ref_${'0'.repeat(32)}` }, { expect: 404 });
  await purchase.buyer.api.call('refund_retry', { path: { refund_id: purchase.refund.id }, expect: 403 });
  await purchase.buyer.api.call('staff_refund_list', { expect: 403 });
  await staff.api.call('staff_refund_list', { query: { cursor: 'nonsense' }, expect: 400 });
  await staff.api.call('staff_refund_list', { query: { state: 'lost' }, invalid: true });
});
