'use strict';
// Miles of orders under concurrency: what is earned, spent, refunded and reversed at once ends as if it had happened in some order.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, makePerson, uuidOf, wireId } = require('../harness');
const { customer, goods, orderOf } = require('../harness/goods');
const { pay } = require('../harness/gateway');
const { ordered, begun, reaches, runSchedule } = require('../harness/buying');

const env = shop({ roles: ['serve', 'serve:2', 'worker', 'scheduler', 'sandbox'] });
let staff;

const bought = async (options) => {
  staff ??= await makePerson(env, 'manager');
  const purchase = await ordered(env, options);
  if (purchase.order.cash_minor > 0) {
    await begun(env, purchase);
    await pay(env, purchase.intentId);
  }
  await reaches(purchase, 'confirmed');
  return purchase;
};
const due = (purchase) => env.query('UPDATE earning SET due_at = now() WHERE order_id = $1', [uuidOf(purchase.order.id)]);
const as = (i) => env.client(i % 2 ? 'serve' : 'serve:2').as(staff.token);
const refund = (purchase, i = 0) => as(i).call('order_refund', { path: { order_id: purchase.order.id }, body: { reason: 'It did not fit' } });

test('LOY-6 a redemption that staff reverse while others refund its order goes back once', async () => {
  for (let round = 0; round < 6; round += 1) {
    const purchase = await bought({ priceMinor: 10000, points: 1000 });
    const [{ root_id: root }] = await env.query("SELECT root_id FROM transfer WHERE order_id = $1 AND kind = 'redeem' LIMIT 1", [uuidOf(purchase.order.id)]);
    const reverse = (i) => as(i).call('loyalty_transfer_reverse', { path: { transfer_id: wireId('trf', root) }, body: { reason: 'by mistake' } });
    const acts = Array.from({ length: 10 }, (_, i) => (i % 2 === round % 2 ? refund(purchase, i) : reverse(i)));
    const answers = await Promise.all(acts);
    assert.deepStrictEqual(answers.map(({ status }) => status).sort(), [201, ...Array(9).fill(409)]);
    assert.strictEqual((await purchase.balance()).available, 1000);
  }
  await env.verify();
});

test('LOY-5 earning, spending and refunding at the same moment: nothing is spent twice, what is missing is owed', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 1000, priceMinor: 10000 });
  for (let round = 0; round < 6; round += 1) {
    const buyer = await customer(env);
    const first = await bought({ priceMinor: 400000, buyer });
    await due(first);
    await runSchedule(env, 'loyalty_earnings_post');
    const second = await bought({ priceMinor: 200000, buyer });
    await due(second);
    const spend = (i) => env.client(i % 2 ? 'serve' : 'serve:2').as(buyer.token).call('order_place', { body: orderOf([[variant, 1]], { points: 1000 }) });
    const [, , ...placed] = await Promise.all([refund(first), runSchedule(env, 'loyalty_earnings_post'), spend(0), spend(1), spend(2)]);
    const spent = placed.filter(({ status }) => status === 201).length;
    assert.ok(spent <= 1, 'a thousand miles buy once');
    const [account] = await env.query('SELECT posted::int, held::int, debt::int FROM ledger_account WHERE user_id = $1', [buyer.uuid]);
    const { posted, held, debt } = account;
    assert.ok(posted - held >= 0 && debt >= 0 && (debt === 0 || posted === held), JSON.stringify(account));
    const [{ captured }] = await env.query(`SELECT coalesce(sum(t.points), 0)::int AS captured FROM transfer t JOIN ledger_account a ON a.id = t.debit_account_id
      WHERE a.user_id = $1 AND t.kind = 'redeem' AND t.step = 1 AND t.phase = 'posted'`, [buyer.uuid]);
    assert.strictEqual(posted - debt, 500 - captured, 'what was earned and not refunded, less what was spent');
  }
  await env.verify();
});

test('LOY-5 a random walk of orders, earnings, refunds, gifts and spending agrees with a model of the account', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 10000, priceMinor: 10000 });
  const { variants: [dear] } = await goods(env, { onHand: 10000, priceMinor: 200000 });
  const buyer = await customer(env);
  staff ??= await makePerson(env, 'manager');
  let seed = 9;
  const random = (n) => { seed = (seed * 48271) % 2147483647; return seed % n; };
  const model = { available: 0, debt: 0, earned: [], posted: [], redeemed: [] };
  const comes = (points) => {
    const paid = Math.min(model.debt, model.available + points);
    model.available += points - paid;
    model.debt -= paid;
  };
  const steps = [
    async () => { model.earned.push(await bought({ variant: dear, buyer })); },
    async () => {
      const purchase = model.earned.pop();
      if (!purchase) return;
      await due(purchase);
      await runSchedule(env, 'loyalty_earnings_post');
      comes(500);
      model.posted.push(purchase);
    },
    async () => {
      if (model.available < 1000) return;
      model.redeemed.push(await bought({ variant, buyer, points: 1000, miles: 0 }));
      model.available -= 1000;
    },
    async () => {
      const purchase = model.posted.pop();
      if (!purchase) return;
      await refund(purchase);
      const lent = Math.max(0, 500 - model.available);
      model.available += lent - 500;
      model.debt += lent;
    },
    async () => {
      const purchase = model.redeemed.pop();
      if (!purchase) return;
      await refund(purchase);
      comes(1000);
    },
    async () => {
      const points = 100 * (1 + random(4));
      await staff.api.call('loyalty_adjustment_create', { path: { user_id: buyer.id }, body: { points, reason: 'goodwill' }, expect: 201 });
      comes(points);
    },
  ];
  const weights = [0, 0, 1, 1, 2, 2, 3, 4, 5];
  for (let i = 0; i < 60; i += 1) {
    await steps[weights[random(weights.length)]]();
    const [account] = await env.query('SELECT (posted - held)::int AS available, debt::int FROM ledger_account WHERE user_id = $1', [buyer.uuid]);
    assert.deepStrictEqual(account, { available: model.available, debt: model.debt }, `after ${i + 1} steps`);
  }
  await env.verify();
});
