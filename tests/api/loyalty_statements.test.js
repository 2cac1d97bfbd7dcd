'use strict';
// LOY-5: debts cost a statement where there is one to pay, and nothing else.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop } = require('../harness');
const { customer } = require('../harness/goods');
const { uuid7 } = require('../harness/people');
const { ordered } = require('../harness/buying');

const env = shop({ roles: ['serve'] });

/** The customer of an order that holds all of her miles comes to owe some: they were lent to her, and taken away. */
const owing = async (purchase, points) => {
  const move = (from, to, kind) => env.query(`INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind)
    SELECT $1, 0, coalesce(d.id, a.id), coalesce(c.id, a.id), $3, 'posted', $6 FROM ledger_account a
    LEFT JOIN ledger_account d ON d.code = $4 LEFT JOIN ledger_account c ON c.code = $5 WHERE a.user_id = $2`, [uuid7(), purchase.buyer.uuid, points, from, to, kind]);
  await move('owed', null, 'debt');
  await move(null, 'adjusted', 'adjust');
  await env.query('UPDATE ledger_account SET debt = debt + $2 WHERE user_id = $1', [purchase.buyer.uuid, points]);
};
const held = () => ordered(env, { points: 1000 });
const cancel = (purchase) => env.statements(() => purchase.buyer.api.call('order_cancel', { path: { order_id: purchase.order.id }, expect: 200 }));

test('LOY-5 a cancellation pays a debt by one statement more, and looks for none where there is none', async () => {
  for (let i = 0; i < 2; i += 1) await cancel(await held()); // statements are prepared, caches are warm
  const plain = await cancel(await held());
  const purchase = await held();
  await owing(purchase, 400);
  await env.verify();
  assert.strictEqual(await cancel(purchase), plain + 1);
  const balance = await purchase.balance();
  assert.deepStrictEqual([balance.available, balance.held, balance.debt], [600, 0, 0]);
  await env.verify();
});
