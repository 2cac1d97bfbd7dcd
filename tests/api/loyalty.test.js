'use strict';
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, poll, sleep, makePerson } = require('../harness');
const { goods, customer, orderOf, givePoints } = require('../harness/goods');

const env = shop();

test('LOY-1 a new customer has an account with nothing in it', async () => {
  const buyer = await customer(env);
  const { body } = await buyer.api.call('loyalty_show', { expect: 200 });
  assert.deepStrictEqual(body, { points: 0, available: 0, held: 0, incoming: 0, debt: 0 });
  await poll(async () => (await env.query('SELECT id FROM ledger_account WHERE user_id = $1', [buyer.uuid])).length === 1, { what: 'the account to be opened' });
});

test('LOY-6 staff give and take miles with a reason; a transfer is reversed once', async () => {
  const buyer = await customer(env);
  const manager = await makePerson(env, 'manager');
  const give = (points, key) => manager.api.call('loyalty_adjustment_create', { path: { user_id: buyer.id }, body: { points, reason: 'goodwill' }, key });
  const given = await give(3000, 'adjust-1');
  assert.strictEqual(given.status, 201);
  assert.deepStrictEqual(given.body.balance, { points: 3000, available: 3000, held: 0, incoming: 0, debt: 0 });
  const again = await give(3000, 'adjust-1');
  assert.deepStrictEqual(again.body, given.body, 'the same key answers the same');
  assert.strictEqual(again.headers['idempotent-replayed'], 'true');
  assert.strictEqual((await give(2000, 'adjust-1')).body.code, 'idempotency_key_reused');
  assert.strictEqual((await give(-1000)).body.balance.points, 2000);
  const short = await give(-2001);
  assert.strictEqual(short.status, 409);
  assert.strictEqual(short.body.code, 'points_short');

  const reverse = () => manager.api.call('loyalty_transfer_reverse', { path: { transfer_id: given.body.transfer_id }, body: { reason: 'by mistake' } });
  assert.strictEqual((await reverse()).body.code, 'points_short', 'what was spent cannot be taken back');
  await give(1000);
  const reversed = await reverse();
  assert.strictEqual(reversed.status, 201);
  assert.strictEqual(reversed.body.balance.points, 0);
  assert.strictEqual((await reverse()).status, 409);
  const statement = await buyer.api.call('loyalty_statement_list', { expect: 200 });
  assert.strictEqual(statement.body.items.reduce((sum, entry) => sum + entry.points, 0), 0);
  assert.strictEqual(statement.body.items.at(-1).reason, 'goodwill');
  assert.ok(statement.body.items.some(({ step }) => step === 2));
  await env.verify();
});

test('LOY-6 an adjustment of nothing, of nobody, or by support is refused', async () => {
  const buyer = await customer(env);
  const manager = await makePerson(env, 'manager');
  const support = await makePerson(env, 'support');
  const body = { points: 10, reason: 'goodwill' };
  const nothing = await manager.api.call('loyalty_adjustment_create', { path: { user_id: buyer.id }, body: { ...body, points: 0 } });
  assert.deepStrictEqual(nothing.body.errors, [{ field: 'points', reason: 'must not be 0' }]);
  await manager.api.call('loyalty_adjustment_create', { path: { user_id: manager.id }, body, expect: 404 });
  await support.api.call('loyalty_adjustment_create', { path: { user_id: buyer.id }, body, expect: 403 });
  const wild = await manager.api.call('loyalty_adjustment_create', { path: { user_id: buyer.id }, body: { points: 100001, reason: 'x' }, invalid: true });
  assert.deepStrictEqual(wild.body.errors.map(({ field }) => field).sort(), ['points', 'reason']);
});

test('LOY-7 the statement is paged, newest first, and staff see the same', async () => {
  const buyer = await customer(env);
  const support = await makePerson(env, 'support');
  for (let i = 1; i <= 7; i++) {
    await givePoints(env, buyer.uuid, i * 100);
    await sleep(2); // their ids are ordered by the millisecond
  }
  const all = (await buyer.api.call('loyalty_statement_list', { query: { limit: 100 }, expect: 200 })).body.items;
  assert.deepStrictEqual(all.map(({ points }) => points), [700, 600, 500, 400, 300, 200, 100]);
  const paged = [];
  for (let cursor; ;) {
    const { body } = await support.api.call('customer_loyalty_statement_list', { path: { user_id: buyer.id }, query: { limit: 3, cursor }, expect: 200 });
    paged.push(...body.items);
    cursor = body.next_cursor ?? undefined;
    if (!cursor) break;
  }
  assert.deepStrictEqual(paged, all);
  const { body } = await support.api.call('customer_loyalty_show', { path: { user_id: buyer.id }, expect: 200 });
  assert.strictEqual(body.available, 2800);
  const wrong = await buyer.api.call('loyalty_statement_list', { query: { cursor: 'nonsense' }, expect: 400 });
  assert.strictEqual(wrong.status, 400);
});

test('LOY-1 the database refuses to change or delete a transfer', async () => {
  const buyer = await customer(env, { points: 100 });
  const mine = 'WHERE credit_account_id = (SELECT id FROM ledger_account WHERE user_id = $1)';
  await assert.rejects(env.query(`UPDATE transfer SET points = 1000000 ${mine}`, [buyer.uuid]), /never changed or deleted/);
  await assert.rejects(env.query(`DELETE FROM transfer ${mine}`, [buyer.uuid]), /never changed or deleted/);
  await assert.rejects(env.query('TRUNCATE transfer'), /never changed or deleted/);
});

test('CHK-2 rules under which a unit of money is more than a thousand points are refused by their field', async () => {
  const manager = await makePerson(env, 'manager');
  const rate = { currency: 'HKD', points_unit: 100, minor_unit: 1000, earn_minor: 500, earn_points: 1 };
  const create = (more, expect) => manager.api.call('miles_policy_create', { expect,
    body: { minimum_points: 500, step_points: 100, maximum_share: 10000, return_window_days: 30, rates: [{ ...rate, currency: 'USD' }, { ...rate, ...more }] } });
  const reason = 'is more than 1000 points for the smallest unit of money';
  assert.deepStrictEqual((await create({ points_unit: 1000000, minor_unit: 999 }, 400)).body.errors, [{ field: 'rates[1].points_unit', reason }]);
  assert.deepStrictEqual((await create({ earn_points: 1000000, earn_minor: 1 }, 400)).body.errors, [{ field: 'rates[1].earn_points', reason }]);
  await create({ points_unit: 1000000, minor_unit: 1000, earn_points: 1000000, earn_minor: 1000 }, 201);
  await create({}, 201);
});

test('CHK-2 a new version of the rules is in force at once, and orders name theirs', async () => {
  const manager = await makePerson(env, 'manager');
  const { body: { policies: [before] } } = await env.api.call('miles_policy_list', { expect: 200 });
  const input = { minimum_points: 100, step_points: 50, maximum_share: 5000, return_window_days: 7,
    rates: [{ currency: 'HKD', points_unit: 100, minor_unit: 1000, earn_minor: 400, earn_points: 1 }] };
  const made = await manager.api.call('miles_policy_create', { body: input, expect: 201 });
  assert.strictEqual(made.body.version, before.version + 1);
  const { variants: [variant] } = await goods(env, { priceMinor: 10000 });
  const buyer = await customer(env, { points: 5000 });
  const over = await buyer.api.call('order_place', { body: orderOf([[variant, 1]], { points: 1000 }) });
  assert.strictEqual(over.status, 409);
  assert.deepStrictEqual(over.body.errors, [{ field: 'points', reason: 'above_maximum: 100 to 500 in steps of 50' }]);
  const placed = await buyer.api.call('order_place', { body: orderOf([[variant, 1]], { points: 450, cash_minor: 5500 }), expect: 201 });
  const [order] = await env.query('SELECT policy_version FROM orders WHERE number = $1', [placed.body.number]);
  assert.strictEqual(order.policy_version, made.body.version);
  const twice = await manager.api.call('miles_policy_create', { body: { ...input, rates: [input.rates[0], input.rates[0]] } });
  assert.deepStrictEqual(twice.body.errors, [{ field: 'rates[1].currency', reason: 'stands twice' }]);
  await manager.api.call('miles_policy_create', { body: { ...input, minimum_points: 500, step_points: 100, maximum_share: 10000 }, expect: 201 });
});
