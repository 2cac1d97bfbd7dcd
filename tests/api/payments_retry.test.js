'use strict';
// PAY-4: an order that failed or expired is paid by another attempt within a time, and examined as a new one is.
const { test, afterEach } = require('node:test');
const assert = require('node:assert');
const { shop, poll, Environment, makePerson } = require('../harness');
const { decline, pay, fault, faultsClear } = require('../harness/gateway');
const { goods, customer, orderOf, relist } = require('../harness/goods');
const { ordered, begun, reaches } = require('../harness/buying');

const env = shop();

afterEach(() => faultsClear(env));

/** An order whose payment was declined. */
const declined = async (options) => {
  const purchase = await begun(env, await ordered(env, options));
  await decline(env, purchase.intentId);
  await reaches(purchase, 'payment_failed');
  return purchase;
};
const again = (purchase, options = { expect: 409 }) => purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id }, ...options });
const change = async (purchase, sql) => {
  await env.query(sql, [purchase.variant.id]);
  const [{ product_id: product }] = await env.query('SELECT product_id FROM variant WHERE id = $1', [purchase.variant.id]);
  await relist(env.db, product);
};
const priced = (purchase, minor) => change(purchase, `INSERT INTO price (id, variant_id, currency, amount_minor, valid_from) VALUES (gen_random_uuid(), $1, 'HKD', ${minor}, now())`);
const untouched = async (purchase) => {
  assert.strictEqual(await purchase.state(), 'payment_failed');
  assert.strictEqual((await purchase.payments()).length, 1, 'no further attempt');
  assert.strictEqual((await purchase.stock()).reserved, 0);
  assert.strictEqual((await purchase.balance()).held, 0);
};

test('PAY-4 another attempt is refused where the price has changed, and taken when it is the old one again', async () => {
  const purchase = await declined({ points: 2000 });
  await priced(purchase, 120000);
  const { body } = await again(purchase);
  assert.strictEqual(body.code, 'checkout_rejected');
  assert.deepStrictEqual(body.errors, [{ field: 'lines[0].unit_price_minor', reason: 'price_changed: 120000' }]);
  await untouched(purchase);
  await priced(purchase, 100000);
  await begun(env, purchase);
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  await env.verify();
});

for (const [what, sql, back] of [
  ['archived goods', "UPDATE product SET state = 'archived' WHERE id = (SELECT product_id FROM variant WHERE id = $1)", "UPDATE product SET state = 'published' WHERE id = (SELECT product_id FROM variant WHERE id = $1)"],
  ['a variant that is not sold any more', "UPDATE variant SET state = 'archived' WHERE id = $1", "UPDATE variant SET state = 'active' WHERE id = $1"],
  ['goods of a vendor that has closed', "UPDATE vendor SET state = 'closed' WHERE id = (SELECT vendor_id FROM variant WHERE id = $1)", "UPDATE vendor SET state = 'active' WHERE id = (SELECT vendor_id FROM variant WHERE id = $1)"],
]) {
  test(`PAY-4 another attempt is refused for ${what}; money that comes late for them goes back`, async () => {
    await fault(env, 'cancel_refuse', 1000); // money comes late only where the gateway would not close what was declined
    const purchase = await declined({ points: 1000 });
    await change(purchase, sql);
    const { body } = await again(purchase);
    assert.deepStrictEqual([body.code, body.errors], ['checkout_rejected', [{ field: 'lines[0].variant_id', reason: 'not_for_sale' }]]);
    await untouched(purchase);
    await pay(env, purchase.intentId);
    await reaches({ state: async () => (await purchase.refunds())[0]?.state }, 'succeeded');
    await untouched(purchase);
    await change(purchase, back);
    await env.verify();
  });
}

test('PAY-4 all lines are told at once, with what is missing beside', async () => {
  const one = (await goods(env, { priceMinor: 10000 })).variants[0];
  const other = (await goods(env, { priceMinor: 20000, onHand: 1 })).variants[0];
  const buyer = await customer(env);
  const { body: order } = await buyer.api.call('order_place', { body: orderOf([[one, 1], [other, 1]]), expect: 201 });
  const purchase = await ordered(env, { variant: one, buyer });
  purchase.order = order;
  await begun(env, Object.assign(purchase, { payments: () => env.query('SELECT * FROM payment WHERE order_id = (SELECT id FROM orders WHERE number = $1) ORDER BY attempt', [order.number]),
    state: async () => (await env.query('SELECT state FROM orders WHERE number = $1', [order.number]))[0].state }));
  await decline(env, purchase.intentId);
  await reaches(purchase, 'payment_failed');
  await ordered(env, { variant: other });
  await priced({ variant: one }, 9000);
  await priced({ variant: other }, 21000);
  const { body } = await again(purchase);
  assert.deepStrictEqual(body.errors, [{ field: 'lines[0].unit_price_minor', reason: 'price_changed: 9000' }, { field: 'lines[1].unit_price_minor', reason: 'price_changed: 21000' }]);
  await poll(async () => (await env.violations()).length === 0, { what: 'the listing of what is sold out' });
});

test('PAY-4 another attempt is refused where miles are worth something else by now', async () => {
  const purchase = await declined({ points: 1000 });
  const manager = await makePerson(env, 'manager');
  const { body: { policies: [before] } } = await env.api.call('miles_policy_list', { expect: 200 });
  const rules = (minor) => manager.api.call('miles_policy_create', { expect: 201, body: {
    minimum_points: before.minimum_points, step_points: before.step_points, maximum_share: before.maximum_share, return_window_days: before.return_window_days,
    rates: before.rates.map((rate) => ({ ...rate, minor_unit: rate.currency === 'HKD' ? minor : rate.minor_unit })) } });
  await rules(900);
  const { body } = await again(purchase);
  assert.deepStrictEqual([body.code, body.errors], ['checkout_rejected', [{ field: 'points', reason: 'worth_changed: 9000' }]]);
  await untouched(purchase);
  await rules(1000);
  await again(purchase, { expect: 200 });
  await env.verify();
});

test('PAY-4 another attempt is refused once the time for it has passed', async () => {
  const strict = await Environment.start({ settings: { payment_retry_s: 0 } });
  try {
    const purchase = await begun(strict, await ordered(strict, { points: 1000 }));
    await decline(strict, purchase.intentId);
    await reaches(purchase, 'payment_failed');
    const { body } = await again(purchase);
    assert.strictEqual(body.code, 'retry_over');
    await untouched(purchase);
    await strict.verify();
  } finally {
    await strict.stop();
  }
});
