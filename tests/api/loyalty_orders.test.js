'use strict';
// Miles in the life of orders, after they were paid: what an order moved goes back with the order alone, once, and what it had earned is
// owed where it was spent before the refund.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, makePerson, uuidOf, wireId } = require('../harness');
const { givePoints, customer } = require('../harness/goods');
const { pay } = require('../harness/gateway');
const { ordered, begun, reaches, runSchedule } = require('../harness/buying');

const env = shop();
let staff;

/** An order that is paid; what it redeems is captured, what it earns is posted at once where `posted`. */
const bought = async ({ posted = false, ...options } = {}) => {
  staff ??= await makePerson(env, 'manager');
  const purchase = await ordered(env, options);
  if (purchase.order.cash_minor > 0) {
    await begun(env, purchase);
    await pay(env, purchase.intentId);
  }
  await reaches(purchase, 'confirmed');
  if (posted) await post(purchase);
  return purchase;
};
const post = async (purchase) => {
  await env.query('UPDATE earning SET due_at = now() WHERE order_id = $1', [uuidOf(purchase.order.id)]);
  await runSchedule(env, 'loyalty_earnings_post');
};
const refund = (purchase, options = { expect: 201 }) => staff.api.call('order_refund', { path: { order_id: purchase.order.id }, body: { reason: 'It did not fit' }, ...options });
const reverse = (root, options = {}) => staff.api.call('loyalty_transfer_reverse', { path: { transfer_id: wireId('trf', root) }, body: { reason: 'by mistake' }, ...options });
const transfers = (purchase, kind) => env.query('SELECT root_id, step, points::int FROM transfer WHERE order_id = $1 AND kind = $2 ORDER BY root_id, step', [uuidOf(purchase.order.id), kind]);
const sums = (balance) => [balance.points, balance.available, balance.debt];
const earns = (points) => ({ priceMinor: points * 400 });
const costs = (points) => ({ priceMinor: points * 10, points, miles: 0 });

test('LOY-6 staff cannot reverse what an order redeemed, earned or gave back; they are told to refund the order', async () => {
  const purchase = await bought({ points: 1000, posted: true });
  for (const kind of ['redeem', 'earn']) {
    const [{ root_id: root }] = await transfers(purchase, kind);
    const { body } = await reverse(root, { expect: 409 });
    assert.strictEqual(body.code, 'transfer_of_order');
    assert.ok(body.detail.includes(`refund order ${purchase.order.id}`), body.detail);
  }
  await refund(purchase);
  const [{ root_id: given }] = await transfers(purchase, 'refund');
  assert.strictEqual((await reverse(given)).body.code, 'transfer_of_order');
  assert.deepStrictEqual(sums(await purchase.balance()), [1000, 1000, 0]);
  await env.verify();
});

test('PAY-5 a redemption that an earlier release reversed is not given back once more by the refund', async () => {
  const purchase = await bought({ points: 1000 });
  await env.query(`WITH reversed AS (
      INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id)
      SELECT root_id, 2, credit_account_id, debit_account_id, points, 'posted', kind, order_id FROM transfer WHERE order_id = $1 AND kind = 'redeem' AND step = 1
      RETURNING credit_account_id, points)
    UPDATE ledger_account a SET posted = posted + r.points FROM reversed r WHERE a.id = r.credit_account_id`, [uuidOf(purchase.order.id)]);
  const { body } = await refund(purchase);
  assert.deepStrictEqual([body.amount_minor, body.points], [purchase.order.cash_minor, 0]);
  assert.strictEqual((await purchase.balance()).available, 1000);
  await env.verify();
});

test('LOY-5 earned miles that were spent before the refund are owed; what comes in next pays first', async () => {
  const first = await bought({ ...earns(1000), posted: true });
  const { buyer } = first;
  await bought({ ...costs(1000), buyer });
  await refund(first);
  assert.deepStrictEqual(sums(await first.balance()), [0, 0, 1000]);
  const { body: { items } } = await buyer.api.call('loyalty_statement_list', { expect: 200 });
  assert.deepStrictEqual(items.filter(({ order_id: id, phase }) => id === first.order.id && phase === 'posted').map(({ kind, points }) => [kind, points]).sort(),
    [['debt', 1000], ['earn', -1000], ['earn', 1000]]);
  const seen = await staff.api.call('customer_loyalty_show', { path: { user_id: buyer.id }, expect: 200 });
  assert.strictEqual(seen.body.debt, 1000);
  await env.verify();

  await bought({ ...earns(400), buyer, posted: true });
  assert.deepStrictEqual(sums(await first.balance()), [0, 0, 600]);
  await staff.api.call('loyalty_adjustment_create', { path: { user_id: buyer.id }, body: { points: 700, reason: 'goodwill' }, expect: 201 });
  assert.deepStrictEqual(sums(await first.balance()), [100, 100, 0]);
  assert.strictEqual((await refund(first, {})).status, 409, 'a second refund takes nothing');
  assert.deepStrictEqual(sums(await first.balance()), [100, 100, 0]);
  await env.verify();
});

test('LOY-5 miles that a refund gives back, and a hold that is released, pay what is owed', async () => {
  const first = await bought({ ...earns(2000), posted: true });
  const { buyer } = first;
  const spent = await bought({ ...costs(1200), buyer });
  const waits = await ordered(env, { priceMinor: 100000, points: 800, miles: 0, buyer });
  await refund(first);
  const owed = await first.balance();
  assert.deepStrictEqual([owed.available, owed.held, owed.debt], [0, 800, 2000]);
  await refund(spent);
  assert.strictEqual((await first.balance()).debt, 800);
  await buyer.api.call('order_cancel', { path: { order_id: waits.order.id }, expect: 200 });
  assert.deepStrictEqual(sums(await first.balance()), [0, 0, 0]);
  await env.verify();
});

test('LOY-5 what an earlier release posted to somebody who owes pays with the next run of the schedule', async () => {
  const buyer = await customer(env);
  const first = await bought({ ...earns(1000), buyer, posted: true });
  await bought({ ...costs(1000), buyer });
  await refund(first);
  await givePoints(env, buyer.uuid, 1500);
  await runSchedule(env, 'loyalty_earnings_post');
  assert.deepStrictEqual(sums(await first.balance()), [500, 500, 0]);
  await env.verify();
});
