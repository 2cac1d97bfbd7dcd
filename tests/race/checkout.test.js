'use strict';
// Many shoppers at once: what is promised of stock, miles and keys holds under concurrency, over several servers.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, poll } = require('../harness');
const { goods, relist, customer, orderOf } = require('../harness/goods');
const { uuid7 } = require('../harness/people');

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

test('CHK-3 the same orders of many customers, sent to two servers in opposite order, are made once each', async () => {
  const { variants } = await goods(env, { variants: 12, onHand: 100000 });
  const buyers = await Promise.all(Array.from({ length: 24 }, (_, i) => customer(env, i % 2 ? { points: 100000 } : {})));
  for (let round = 0; round < 8; round += 1) {
    const orders = buyers.map((buyer, i) => ({ buyer, key: `round-${round}`, body: orderOf([[variants[(i + round) % 12], 1]], { points: i % 4 === 3 ? 500 : 0 }) }));
    const send = (server, list) => list.map(({ buyer, key, body }) => server.as(buyer.token).call('order_place', { body, key }).then((answer) => ({ key, buyer, answer })));
    const answers = await Promise.all([...send(servers()[0], orders), ...send(servers()[1], [...orders].reverse())]);
    assert.deepStrictEqual(new Set(answers.map(({ answer }) => answer.status)), new Set([201]));
    for (const buyer of buyers) assert.strictEqual(new Set(answers.filter((each) => each.buyer === buyer).map(({ answer }) => answer.body.id)).size, 1);
  }
  const [{ count }] = await env.query('SELECT count(*)::int FROM orders WHERE customer_id = ANY($1)', [buyers.map(({ uuid }) => uuid)]);
  assert.strictEqual(count, 24 * 8);
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

// Servers remember goods (checkout/known.h): what they remember may be old, what they sell by it may not.

/** Two buyers, one for each server, who have ordered each of the variants often enough that their server knows it. */
async function knownTo(variants) {
  const buyers = await Promise.all(servers().map((server) => customer(env).then((buyer) => server.as(buyer.token))));
  for (const buyer of buyers) for (let n = 0; n < 2; n++) for (const variant of variants) await buyer.call('order_place', { body: orderOf([[variant, 1]]), expect: 201 });
  return buyers;
}

async function refusedByAll(buyers, variant, reason) {
  for (const buyer of buyers) {
    const { status, body } = await buyer.call('order_place', { body: orderOf([[variant, 1]]) });
    assert.strictEqual(status, 409);
    assert.strictEqual(body.errors[0].reason, reason);
  }
}

test('CHK-1 goods that are known: an order without miles does not wait for its customer\'s account, one with miles does', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 100000 });
  const buyer = await customer(env, { points: 10000 });
  await knownTo([variant]);
  const place = (points) => env.client('serve').as(buyer.token).call('order_place', { body: orderOf([[variant, 1]], { points }), expect: 201 });
  const confirming = await env.db.connect();
  let ended = false, spent = null;
  try {
    await confirming.query('BEGIN');
    await confirming.query('SELECT FROM ledger_account WHERE user_id = $1 FOR NO KEY UPDATE', [buyer.uuid]);
    await place(0);
    spent = place(500).then(() => { assert.ok(ended, 'the account was locked'); });
    await poll(async () => (await env.query("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")).length > 0, { what: 'the order to wait' });
  } finally {
    ended = true;
    await confirming.query('ROLLBACK');
    confirming.release();
  }
  await spent;
  await env.verify();
});

test('CHK-5 CCH-1 once a price has changed, no server sells at the old one', async () => {
  const { variants, product } = await goods(env, { variants: 3, onHand: 100000 });
  const buyers = await knownTo(variants);
  const seen = { stop: false, statuses: {} };
  const crowd = Promise.all(buyers.flatMap((buyer) => variants.map(async (variant) => {
    while (!seen.stop) {
      const { status } = await buyer.call('order_place', { body: orderOf([[variant, 1]]) });
      seen.statuses[status] = (seen.statuses[status] ?? 0) + 1;
    }
  })));
  for (let n = 1; n <= 25; n++) {
    const variant = variants[n % 3];
    const old = { ...variant };
    await env.query('INSERT INTO price (id, variant_id, currency, amount_minor) VALUES ($1, $2, $3, $4)', [uuid7(), variant.id, 'HKD', variant.priceMinor + n]);
    variant.priceMinor += n;
    await refusedByAll(buyers, old, `price_changed: ${variant.priceMinor}`);
    for (const buyer of buyers) await buyer.call('order_place', { body: orderOf([[variant, 1]]), expect: 201 });
  }
  seen.stop = true;
  await crowd;
  await relist(env.db, product);
  assert.deepStrictEqual(Object.keys(seen.statuses).filter((status) => !['201', '409'].includes(status)), []);
  await env.verify();
});

test('INV-2 stock that was plenty and went elsewhere is sold to the last unit and no further', async () => {
  const { variants: [variant], locations: [place] } = await goods(env, { onHand: 1000 });
  await knownTo([variant]); // 4 units
  await env.query(`WITH gone AS (UPDATE stock SET on_hand = 14 WHERE variant_id = $1)
    INSERT INTO movement (id, variant_id, location_id, quantity, reason) VALUES ($2, $1, $3, -986, 'correction')`, [variant.id, uuid7(), place]);
  const buyers = await Promise.all(Array.from({ length: 40 }, () => customer(env)));
  const answers = await Promise.all(buyers.map((buyer, i) => servers()[i % 2].as(buyer.token).call('order_place', { body: orderOf([[variant, 1]]) })));
  assert.deepStrictEqual(counted(answers), { 201: 10, 409: 30 });
  await poll(async () => (await env.api.call('stock_show', { path: { variant_id: variant.wire }, expect: 200 })).body.state === 'out_of_stock', { what: 'news of the stock' });
  await env.verify();
});

test('INV-2 the place that comes first is taken first, also once there is a better one', async () => {
  const { variants: [variant], locations: [first, second] } = await goods(env, { onHand: 1000, locations: 2 });
  await env.query('DELETE FROM movement WHERE location_id = $1', [first]);
  await env.query('DELETE FROM stock WHERE location_id = $1', [first]);
  const buyers = await knownTo([variant]);
  await env.query('INSERT INTO stock (variant_id, location_id, priority, on_hand) VALUES ($1, $2, 1, 500)', [variant.id, first]);
  await env.query("INSERT INTO movement (id, variant_id, location_id, quantity, reason) VALUES ($1, $2, $3, 500, 'receipt')", [uuid7(), variant.id, first]);
  for (const buyer of buyers) await buyer.call('order_place', { body: orderOf([[variant, 1]]), expect: 201 });
  const taken = await env.query('SELECT location_id, reserved FROM stock WHERE variant_id = $1 ORDER BY priority', [variant.id]);
  assert.deepStrictEqual(taken, [{ location_id: first, reserved: 2 }, { location_id: second, reserved: 4 }]);
  await env.verify();
});

// The two that follow change goods without their listings, which `cathay verify` would tell of.

test('CHK-5 a price that begins by itself holds on every server', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 100000 });
  await env.query("INSERT INTO price (id, variant_id, currency, amount_minor, valid_from) VALUES ($1, $2, 'HKD', 777, now() + interval '4 seconds')", [uuid7(), variant.id]);
  const buyers = await knownTo([variant]);
  await new Promise((resolve) => { setTimeout(resolve, 4100); });
  await refusedByAll(buyers, variant, 'price_changed: 777');
  for (const buyer of buyers) await buyer.call('order_place', { body: orderOf([[{ ...variant, priceMinor: 777 }, 1]]), expect: 201 });
});

test('CHK-5 CAT-1 what has left the shop is sold by no server: variant, product, vendor', async () => {
  for (const leave of [({ variants: [{ id }] }) => ["UPDATE variant SET state = 'archived' WHERE id = $1", [id]],
    ({ product }) => ["UPDATE product SET state = 'archived' WHERE id = $1", [product]],
    ({ vendor }) => ["UPDATE vendor SET state = 'closed' WHERE id = $1", [vendor]]]) {
    const made = await goods(env, { onHand: 100000 });
    const buyers = await knownTo(made.variants);
    await env.query(...leave(made));
    await refusedByAll(buyers, made.variants[0], 'not_for_sale');
  }
});
