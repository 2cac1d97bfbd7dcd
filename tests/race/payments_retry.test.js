'use strict';
// PAY-4: a shopper pays a declined order while its goods change: he pays the old price of goods on sale, or is told.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, poll } = require('../harness');
const { decline } = require('../harness/gateway');
const { ordered, begun, reaches } = require('../harness/buying');

const env = shop();

const declined = async () => {
  const purchase = await begun(env, await ordered(env));
  await decline(env, purchase.intentId);
  await reaches(purchase, 'payment_failed');
  return purchase;
};
const again = (purchase) => purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id } });

/** A change that is under way: it holds the goods until it commits. */
const begin = async (sql, purchase) => {
  const client = await env.db.connect();
  await client.query('BEGIN');
  await client.query(sql, [purchase.variant.id]);
  return async () => {
    await client.query('COMMIT');
    client.release();
  };
};
const waits = () => poll(async () => (await env.query("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")).length > 0, { what: 'somebody to wait for a lock' });

for (const [what, sql, told, back] of [
  ['a price change', "INSERT INTO price (id, variant_id, currency, amount_minor, valid_from) VALUES (gen_random_uuid(), $1, 'HKD', 1, now())", 'price_changed: 1',
    "INSERT INTO price (id, variant_id, currency, amount_minor, valid_from) VALUES (gen_random_uuid(), $1, 'HKD', 100000, now())"],
  ['archiving', "UPDATE product SET state = 'archived' WHERE id = (SELECT product_id FROM variant WHERE id = $1)", 'not_for_sale', "UPDATE product SET state = 'published' WHERE id = (SELECT product_id FROM variant WHERE id = $1)"],
  ['closing the vendor', "UPDATE vendor SET state = 'closed' WHERE id = (SELECT vendor_id FROM variant WHERE id = $1)", 'not_for_sale', "UPDATE vendor SET state = 'active' WHERE id = (SELECT vendor_id FROM variant WHERE id = $1)"],
]) {
  test(`PAY-4 another attempt waits for ${what} that is under way, and is told of it`, async () => {
    const purchase = await declined();
    const commit = await begin(sql, purchase);
    const asked = again(purchase);
    await waits();
    await commit();
    const { status, body } = await asked;
    assert.deepStrictEqual([status, body.code, body.errors?.map(({ reason }) => reason)], [409, 'checkout_rejected', [told]]);
    assert.strictEqual(await purchase.state(), 'payment_failed');
    assert.strictEqual((await purchase.stock()).reserved, 0);
    await env.query(back, [purchase.variant.id]);
  });
}

test('PAY-4 twenty further attempts at once begin one', async () => {
  const purchase = await declined();
  const answers = await Promise.all(Array.from({ length: 20 }, () => again(purchase)));
  assert.ok(answers.every(({ status }) => [200, 409, 502, 503].includes(status)), answers.map(({ status }) => status).join());
  assert.ok(answers.some(({ status }) => status === 200));
  assert.strictEqual((await purchase.payments()).length, 2);
  assert.strictEqual((await purchase.stock()).reserved, 1);
  await env.verify();
});
