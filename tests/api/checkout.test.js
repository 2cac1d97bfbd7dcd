'use strict';
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, poll, uuidOf, Environment } = require('../harness');
const { goods, customer, orderOf, ADDRESS } = require('../harness/goods');

const env = shop();

test('CHK-1 one call writes order, lines, reservation, hold, payment, key and event', async () => {
  const { variants: [book, lamp] } = await goods(env, { variants: 2, onHand: 10, priceMinor: 12345 });
  const buyer = await customer(env, { points: 5000 });
  const { body } = await buyer.api.call('order_place', { body: orderOf([[book, 2], [lamp, 1]], { points: 1000 }), key: 'first', expect: 201 });
  assert.strictEqual(body.state, 'pending_payment');
  assert.strictEqual(body.total_minor, 3 * 12345);
  assert.strictEqual(body.points_value_minor, 10000);
  assert.strictEqual(body.cash_minor, 3 * 12345 - 10000);
  for (const part of ['total_minor', 'points', 'points_value_minor', 'cash_minor']) {
    assert.strictEqual(body.lines.reduce((sum, line) => sum + line[part], 0), body[part], part);
  }
  const id = uuidOf(body.id);
  const rows = async (table, column = 'order_id') => (await env.query(`SELECT count(*)::int AS n FROM ${table} WHERE ${column} = $1`, [id]))[0].n;
  assert.deepStrictEqual([await rows('orders', 'id'), await rows('order_line'), await rows('reservation'), await rows('transfer'), await rows('payment'),
    await rows('outbox', 'aggregate_id'), await rows('order_event')], [1, 2, 2, 1, 1, 1, 1]);
  const balance = (await buyer.api.call('loyalty_show', { expect: 200 })).body;
  assert.deepStrictEqual(balance, { points: 5000, available: 4000, held: 1000, incoming: 0, debt: 0 });
  await env.verify();
});

test('CHK-4 points alone: confirmed by itself, the points are taken', async () => {
  const { variants: [variant] } = await goods(env, { priceMinor: 9990 });
  const buyer = await customer(env, { points: 5000 });
  const { body } = await buyer.api.call('order_place', { body: orderOf([[variant, 1]], { points: 999, cash_minor: 0 }), expect: 201 });
  assert.strictEqual(body.cash_minor, 0);
  const order = await poll(async () => {
    const { body: now } = await buyer.api.call('order_show', { path: { order_id: body.id }, expect: 200 });
    return now.state !== 'pending_payment' && now;
  }, { what: 'the order to be confirmed' });
  assert.ok(['confirmed', 'processing', 'shipped'].includes(order.state), order.state);
  assert.strictEqual((await buyer.api.call('loyalty_show', { expect: 200 })).body.points, 4001);
});

test('CHK-4 cash alone: no hold, no transfer', async () => {
  const { variants: [variant] } = await goods(env);
  const buyer = await customer(env);
  const { body } = await buyer.api.call('order_place', { body: orderOf([[variant, 3]]), expect: 201 });
  assert.strictEqual(body.cash_minor, 30000);
  assert.strictEqual(body.earn_points, 75);
  assert.deepStrictEqual(await env.query('SELECT * FROM transfer WHERE order_id = $1', [uuidOf(body.id)]), []);
});

test('CHK-5 what changed since the quote is told line by line, and nothing is charged', async () => {
  const { variants: [dear, scarce, gone, fine] } = await goods(env, { variants: 4, onHand: 5 });
  const buyer = await customer(env, { points: 2000 });
  await env.query('UPDATE price SET amount_minor = 11111 WHERE variant_id = $1', [dear.id]);
  await env.query("UPDATE variant SET state = 'archived' WHERE id = $1", [gone.id]);
  const answer = await buyer.api.call('order_place', { body: orderOf([[dear, 1], [scarce, 6], [gone, 1], [fine, 1]], { points: 500 }), key: 'will-try-again' });
  assert.strictEqual(answer.status, 409);
  assert.strictEqual(answer.body.code, 'checkout_rejected');
  assert.deepStrictEqual(answer.body.errors, [
    { field: 'lines[0].unit_price_minor', reason: 'price_changed: 11111' },
    { field: 'lines[1].quantity', reason: 'out_of_stock: 5' },
    { field: 'lines[2].variant_id', reason: 'not_for_sale' },
  ]);
  assert.deepStrictEqual(await env.query('SELECT id FROM orders WHERE customer_id = $1', [buyer.uuid]), []);
  assert.deepStrictEqual(await env.query('SELECT variant_id FROM reservation WHERE variant_id = ANY($1)', [[dear.id, scarce.id, fine.id]]), []);
  assert.strictEqual((await buyer.api.call('loyalty_show', { expect: 200 })).body.held, 0);
  await buyer.api.call('order_place', { body: orderOf([[{ ...dear, priceMinor: 11111 }, 1], [scarce, 5], [fine, 1]], { points: 500 }), key: 'will-try-again', expect: 201 });
});

test('ORD-1 orders are numbered one after the other', async () => {
  const { variants: [variant] } = await goods(env);
  const buyer = await customer(env);
  const numbers = [];
  for (let i = 0; i < 4; i++) numbers.push((await buyer.api.call('order_place', { body: orderOf([[variant, 1]]), expect: 201 })).body.number);
  assert.deepStrictEqual(numbers, [0, 1, 2, 3].map((i) => numbers[0] + i));
});

test('CHK-5 a refusal tells no exact stock: ten means ten or more', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 57 });
  const buyer = await customer(env);
  const refused = await buyer.api.call('order_place', { body: orderOf([[variant, 58]]), expect: 409 });
  assert.deepStrictEqual(refused.body.errors, [{ field: 'lines[0].quantity', reason: 'out_of_stock: 10' }]);
});

test('CHK-5 the cash part that the shopper saw is the one that is charged', async () => {
  const { variants: [variant] } = await goods(env);
  const buyer = await customer(env, { points: 1000 });
  const wrong = await buyer.api.call('order_place', { body: orderOf([[variant, 1]], { points: 500, cash_minor: 4999 }), expect: 409 });
  assert.deepStrictEqual(wrong.body.errors, [{ field: 'cash_minor', reason: 'cash_changed: 5000' }]);
  await buyer.api.call('order_place', { body: orderOf([[variant, 1]], { points: 500, cash_minor: 5000 }), expect: 201 });
});

test('CHK-2 points off the rules are refused with the rule', async () => {
  const { variants: [variant] } = await goods(env, { priceMinor: 100000 });
  const buyer = await customer(env, { points: 3000 });
  const refusal = async (points) => (await buyer.api.call('order_place', { body: orderOf([[variant, 1]], { points }), expect: 409 })).body;
  assert.match((await refusal(499)).errors[0].reason, /^below_minimum/);
  assert.match((await refusal(550)).errors[0].reason, /^off_step/);
  assert.match((await refusal(3100)).errors[0].reason, /^above_maximum: 500 to 3000 in steps of 100$/);
  assert.strictEqual((await refusal(3100)).code, 'points_short');
});

test('CAT-2 goods for points alone, and goods for cash alone', async () => {
  const { variants: [treat] } = await goods(env, { tender: 'points_only', priceMinor: 10000 });
  const { variants: [card] } = await goods(env, { tender: 'cash_only', priceMinor: 10000 });
  const buyer = await customer(env, { points: 3000 });
  const cash = await buyer.api.call('order_place', { body: orderOf([[treat, 1]]), expect: 409 });
  assert.match(cash.body.errors[0].reason, /^below_required/);
  const both = await buyer.api.call('order_place', { body: orderOf([[treat, 1], [card, 1]], { points: 1000 }), expect: 201 });
  assert.deepStrictEqual(both.body.lines.map(({ points, cash_minor: minor }) => [points, minor]), [[1000, 0], [0, 10000]]);
  await buyer.api.call('order_place', { body: orderOf([[card, 1]], { points: 1000 }), expect: 409 });
});

test('CHK-1 bad input is told by field', async () => {
  const { variants: [variant] } = await goods(env);
  const buyer = await customer(env);
  const body = orderOf([[variant, 1]]);
  const refused = async (change) => (await buyer.api.call('order_place', { body: { ...body, ...change }, invalid: true })).body.errors.map(({ field }) => field);
  assert.deepStrictEqual(await refused({ currency: 'EUR' }), ['currency']);
  assert.deepStrictEqual(await refused({ lines: [] }), ['lines']);
  assert.deepStrictEqual(await refused({ lines: [{ ...body.lines[0], quantity: 0 }] }), ['lines[0].quantity']);
  assert.deepStrictEqual(await refused({ points: -1 }), ['points']);
  assert.deepStrictEqual(await refused({ coupon: 'X' }), ['coupon']);
  assert.deepStrictEqual(await refused({ address: { ...ADDRESS, country: 'Hongkong' } }), ['address.country']);
  const twice = await buyer.api.call('order_place', { body: orderOf([[variant, 1], [variant, 2]]), expect: 409 });
  assert.deepStrictEqual(twice.body.errors, [{ field: 'lines[1].variant_id', reason: 'stands_twice' }]);
  const nothing = await buyer.api.call('order_place', { body: orderOf([[{ wire: `var_${'0'.repeat(32)}`, priceMinor: 1 }, 1]]), expect: 409 });
  assert.deepStrictEqual(nothing.body.errors, [{ field: 'lines[0].variant_id', reason: 'not_found' }]);
  const lonely = await buyer.api.call('order_place', { body: { ...body, cart_version: 1 } });
  assert.deepStrictEqual(lonely.body.errors.map(({ field }) => field), ['cart_id']);
  await buyer.api.call('order_place', { body, key: null, expect: 400 });
});

test('CHK-5 lines that together are more than an order may total are refused by line, and the shop goes on', async () => {
  const { variants } = await goods(env, { variants: 2, onHand: 2000, priceMinor: 100000000000 });
  const buyer = await customer(env);
  const place = (lines, expect) => buyer.api.call('order_place', { body: orderOf(lines), expect });
  for (const quantity of [11, 999]) {
    const { body } = await place([[variants[0], quantity]], 409);
    assert.deepStrictEqual([body.code, body.errors], ['checkout_rejected', [{ field: 'lines[0].quantity', reason: 'above_order_limit: 1000000000000' }]]);
  }
  const { body } = await place([[variants[0], 9], [variants[1], 2]], 409);
  assert.deepStrictEqual(body.errors, [{ field: 'lines[1].quantity', reason: 'above_order_limit: 1000000000000' }]);
  assert.deepStrictEqual(await env.query('SELECT DISTINCT reserved FROM stock WHERE variant_id = ANY($1)', [variants.map((one) => one.id)]), [{ reserved: 0 }]);
  await buyer.api.call('cart_mine_show', { expect: 200 });
});

test('CHK-3 a key is the customer\'s own', async () => {
  const { variants: [variant] } = await goods(env);
  const [one, other] = [await customer(env), await customer(env)];
  const first = await one.api.call('order_place', { body: orderOf([[variant, 1]]), key: 'shared', expect: 201 });
  const second = await other.api.call('order_place', { body: orderOf([[variant, 1]]), key: 'shared', expect: 201 });
  assert.notStrictEqual(first.body.id, second.body.id);
});

test('CRT-1 CHK-1 an order spends its cart; another customer\'s cart is nobody\'s business', async () => {
  const { variants: [variant] } = await goods(env);
  const [one, other] = [await customer(env), await customer(env)];
  const cart = (await one.api.call('cart_mine_show', { expect: 200 })).body;
  const spend = (buyer, version) => buyer.api.call('order_place', { body: orderOf([[variant, 1]], { cart_id: cart.id, cart_version: version }) });
  assert.deepStrictEqual((await spend(other, cart.version)).body.errors, [{ field: 'cart_id', reason: 'not_found' }]);
  assert.deepStrictEqual((await spend(one, cart.version + 1)).body.errors, [{ field: 'cart_version', reason: 'cart_changed' }]);
  assert.strictEqual((await spend(one, cart.version)).status, 201);
  assert.deepStrictEqual((await spend(one, cart.version)).body.errors, [{ field: 'cart_id', reason: 'cart_spent' }]);
  const fresh = (await one.api.call('cart_mine_show', { expect: 200 })).body;
  assert.notStrictEqual(fresh.id, cart.id);
});

test('CHK-3 a repeated order is answered byte for byte as the first time, whatever has become of it', async () => {
  const { variants } = await goods(env, { variants: 3, priceMinor: 9990 });
  const buyer = await customer(env, { points: 5000 });
  const body = orderOf([[variants[2], 2], [variants[0], 1], [variants[1], 3]], { points: 1500 });
  const place = (key = 'one-intention') => buyer.api.call('order_place', { body, key, expect: 201 });
  const first = await place();
  assert.strictEqual(first.headers['idempotent-replayed'], undefined);
  const [{ bytes }] = await env.query("SELECT octet_length(body) AS bytes FROM idempotency WHERE owner_id = $1 AND key = 'one-intention'", [buyer.uuid]);
  assert.strictEqual(bytes, 24); // a reference
  await env.query("UPDATE orders SET expires_at = expires_at + interval '1 hour' WHERE id = $1", [uuidOf(first.body.id)]); // as a second payment does
  await buyer.api.call('order_cancel', { path: { order_id: first.body.id }, expect: 200 });
  const again = await place();
  assert.strictEqual(again.headers['idempotent-replayed'], 'true');
  assert.strictEqual(again.text, first.text);
  // Several at once are one batch.
  const second = await place('another');
  const repeated = await Promise.all(Array.from({ length: 8 }, (_, n) => buyer.api.call('order_place', { body, key: n % 2 ? 'another' : 'one-intention' })));
  repeated.forEach(({ status, text, body: told }, n) => {
    if (status === 201) assert.strictEqual(text, n % 2 ? second.text : first.text);
    else assert.strictEqual(told.code, 'idempotency_in_flight'); // of one key twice in a batch
  });
  assert.ok(repeated.some(({ status }) => status === 201));
  // The release before stored the answer itself.
  await env.query("UPDATE idempotency SET body = convert_to($2, 'UTF8'), content_type = 'application/json' WHERE owner_id = $1 AND key = 'one-intention'", [buyer.uuid, first.text]);
  assert.strictEqual((await place()).text, first.text);
  const other = await buyer.api.call('order_place', { body: { ...body, points: 500 }, key: 'one-intention', expect: 422 });
  assert.strictEqual(other.body.code, 'idempotency_key_reused');
});

test('API-3 placing an order takes the same number of statements however many lines it has', async () => {
  const alone = await Environment.start({ roles: ['serve'] }); // no tasks run meanwhile
  try {
    const { variants } = await goods(alone, { variants: 51, onHand: 1000 });
    const buyer = await customer(alone, { points: 10000 });
    const count = (first, after) => alone.statements(() => buyer.api.call('order_place',
      { body: orderOf(variants.slice(first, after).map((variant) => [variant, 1]), { points: 500 }), expect: 201 }));
    const unknown = [await count(0, 1), await count(0, 50)];
    assert.strictEqual(unknown[1], 15); // goods and stock are read that the server does not know
    const known = [await count(0, 1), await count(0, 50)];
    assert.deepStrictEqual(known, [13, 13]);
    assert.ok(unknown[0] <= 16, `${unknown[0]} statements`); // the first order reads the rules of miles
  } finally {
    await alone.stop();
  }
});
