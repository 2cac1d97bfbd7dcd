'use strict';
// Many shoppers at once: what is promised of stock, miles and keys holds under concurrency, over several servers.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');

const env = shop({ roles: ['serve', 'serve:2', 'worker'], settings: { lanes: 2 } });
const servers = () => [env.client('serve'), env.client('serve:2')];

const counted = (answers) => answers.reduce((sum, { status }) => ({ ...sum, [status]: (sum[status] ?? 0) + 1 }), {});

test('INV-2 CHK-1 200 buyers race for 10 units: exactly 10 orders', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 10 });
  const buyers = await Promise.all(Array.from({ length: 200 }, () => customer(env)));
  const answers = await Promise.all(buyers.map((buyer, i) => servers()[i % 2].as(buyer.token).call('order_place', { body: orderOf([[variant, 1]]) })));
  assert.deepStrictEqual(counted(answers), { 201: 10, 409: 190 });
  for (const { status, body } of answers) {
    if (status === 409) assert.deepStrictEqual(body.errors, [{ field: 'lines[0].quantity', reason: 'out_of_stock: 0' }]);
  }
  const [stock] = await env.query('SELECT on_hand, reserved FROM stock WHERE variant_id = $1', [variant.id]);
  assert.deepStrictEqual(stock, { on_hand: 10, reserved: 10 });
  await env.verify();
});

test('INV-2 stock spread over two places is sold to the last unit and no further', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 5, locations: 2 });
  const buyers = await Promise.all(Array.from({ length: 30 }, () => customer(env)));
  const answers = await Promise.all(buyers.map((buyer, i) => servers()[i % 2].as(buyer.token).call('order_place', { body: orderOf([[variant, 1]]) })));
  assert.deepStrictEqual(counted(answers), { 201: 10, 409: 20 });
  await env.verify();
});

test('LOY-2 CHK-1 50 concurrent checkouts of one customer cannot spend a mile twice', async () => {
  const { variants } = await goods(env, { variants: 5, onHand: 1000, priceMinor: 10000 });
  const buyer = await customer(env, { points: 5000 }); // an order takes 1,000
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => servers()[i % 2].as(buyer.token)
    .call('order_place', { body: orderOf([[variants[i % 5], 1]], { points: 1000, cash_minor: 0 }) })));
  assert.deepStrictEqual(counted(answers), { 201: 5, 409: 45 });
  for (const { status, body } of answers) if (status === 409) assert.strictEqual(body.code, 'points_short');
  const { body } = await buyer.api.call('loyalty_show', { expect: 200 });
  assert.strictEqual(body.available, 0);
  await env.verify();
});

test('CHK-3 the same Idempotency-Key 50 times at once makes one order', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 1000 });
  const buyer = await customer(env);
  const key = 'the-one-key';
  const place = (i) => servers()[i % 2].as(buyer.token).call('order_place', { body: orderOf([[variant, 1]]), key });
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => place(i)));
  const made = answers.filter(({ status }) => status === 201);
  assert.ok(made.length >= 1);
  assert.deepStrictEqual(new Set(made.map(({ body }) => body.id)).size, 1);
  assert.strictEqual(made.filter(({ headers }) => headers['idempotent-replayed'] !== 'true').length, 1, 'all but one say that they are replayed');
  for (const { status, body } of answers) if (status !== 201) assert.strictEqual(body.code, 'idempotency_in_flight');
  const again = await place(1);
  assert.strictEqual(again.status, 201);
  assert.deepStrictEqual(again.body, made[0].body);
  const other = await env.api.as(buyer.token).call('order_place', { body: orderOf([[variant, 2]]), key });
  assert.strictEqual(other.status, 422);
  assert.strictEqual(other.body.code, 'idempotency_key_reused');
  const [{ count }] = await env.query('SELECT count(*)::int FROM orders WHERE customer_id = $1', [buyer.uuid]);
  assert.strictEqual(count, 1);
  await env.verify();
});

test('CRT-1 CHK-1 a cart is spent once, however many orders try', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 1000 });
  const buyer = await customer(env);
  const cart = (await buyer.api.call('cart_mine_show', { expect: 200 })).body;
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => servers()[i % 2].as(buyer.token)
    .call('order_place', { body: orderOf([[variant, 1]], { cart_id: cart.id, cart_version: cart.version }) })));
  assert.deepStrictEqual(counted(answers), { 201: 1, 409: 19 });
  for (const { status, body } of answers) if (status === 409) assert.strictEqual(body.errors[0].reason, 'cart_spent');
  await env.verify();
});

test('INV-2 orders of many lines in every order of rows do not block each other for good', async () => {
  const { variants } = await goods(env, { variants: 12, onHand: 100000 });
  const buyers = await Promise.all(Array.from({ length: 24 }, () => customer(env, { points: 100000 })));
  const place = (buyer, i, n) => {
    const lines = Array.from({ length: 6 }, (_, l) => [variants[(i * 5 + n + l * 7) % 12], 1 + (l % 3)]);
    const unique = lines.filter(([variant], at) => lines.findIndex(([other]) => other === variant) === at);
    return servers()[(i + n) % 2].as(buyer.token).call('order_place', { body: orderOf(unique, { points: (n % 3) * 500 }), expect: 201 });
  };
  await Promise.all(buyers.map(async (buyer, i) => { for (let n = 0; n < 10; n++) await place(buyer, i, n); }));
  const [{ reserved }] = await env.query('SELECT sum(reserved)::int AS reserved FROM stock WHERE variant_id = ANY($1)', [variants.map(({ id }) => id)]);
  const [{ sold }] = await env.query('SELECT sum(quantity)::int AS sold FROM order_line WHERE variant_id = ANY($1)', [variants.map(({ id }) => id)]);
  assert.strictEqual(reserved, sold);
  await env.verify();
});
