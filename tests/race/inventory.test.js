'use strict';
// Receipts, losses, orders and cancellations of the same goods at once, over two servers: no constraint breaks, nothing is lost.
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { Environment, makePerson, uuidOf } = require('../harness');
const { customer, orderOf } = require('../harness/goods');
const { makeCategory, makeLocation, makeProduct } = require('../harness/shelf');

let env, vendor, category, locations;

before(async () => {
  env = await Environment.start({ roles: ['serve', 'serve:2', 'worker'], settings: { lanes: 2 } });
  const manager = await makePerson(env, 'manager');
  vendor = await makePerson(env, 'vendor');
  category = await makeCategory(manager);
  locations = [await makeLocation(vendor, { priority: 1 }), await makeLocation(vendor, { priority: 2 })];
});
after(async () => { await env?.stop(); });

const servers = () => [env.client('serve'), env.client('serve:2')];
const send = (who, i, operation, options) => servers()[i % 2].as(who.token).call(operation, options);

test('INV-2 INV-4 stock that is received, lost, ordered and released at once adds up', async () => {
  const { variants } = await makeProduct(vendor, category, { colours: ['red', 'blue'], stock: 30, location: locations[0] });
  const buyers = await Promise.all(Array.from({ length: 20 }, () => customer(env)));
  let received = 60;
  const moves = Array.from({ length: 80 }, async (_, i) => {
    const quantity = i % 3 === 0 ? -4 : 3;
    const { status } = await send(vendor, i, 'movement_create', { path: { variant_id: variants[i % 2] }, expect: [201, 409],
      body: { location_id: locations[(i >> 1) % 2], quantity, reason: quantity > 0 ? 'receipt' : 'damage' } });
    if (status === 201) received += quantity;
  });
  const trades = Array.from({ length: 80 }, async (_, i) => {
    const buyer = buyers[i % buyers.length];
    // Both variants, in either order: whoever locked them as they come would deadlock.
    const lines = [variants[i % 2], variants[1 - (i % 2)]].map((wire) => [{ wire, priceMinor: 10000 }, 1]);
    const { status, body } = await send(buyer, i, 'order_place', { body: orderOf(lines), expect: [201, 409] });
    if (status === 201 && i % 2) await send(buyer, i + 1, 'order_cancel', { path: { order_id: body.id }, expect: 200 });
    return status === 201 && !(i % 2) ? 2 : 0;
  });
  const held = (await Promise.all(trades)).reduce((sum, pieces) => sum + pieces, 0);
  await Promise.all(moves);
  const [sums] = await env.query(`SELECT sum(on_hand)::int AS on_hand, sum(reserved)::int AS reserved, bool_and(reserved BETWEEN 0 AND on_hand) AS bounded
    FROM stock WHERE variant_id = ANY($1::uuid[])`, [variants.map(uuidOf)]);
  assert.deepStrictEqual(sums, { on_hand: received, reserved: held, bounded: true });
  await env.verify();
});

test('INV-1 fifty losses of the last ten pieces: ten are written off', async () => {
  const { variants: [variant] } = await makeProduct(vendor, category, { stock: 10, location: locations[0] });
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => send(vendor, i, 'movement_create', {
    path: { variant_id: variant }, body: { location_id: locations[0], quantity: -1, reason: 'damage' }, expect: [201, 409] })));
  assert.strictEqual(answers.filter(({ status }) => status === 201).length, 10);
  await env.verify();
});

test('INV-1 the first receipts at a new place, all at once, are all kept', async () => {
  const { variants: [variant] } = await makeProduct(vendor, category);
  await Promise.all(Array.from({ length: 30 }, (_, i) => send(vendor, i, 'movement_create', {
    path: { variant_id: variant }, body: { location_id: locations[i % 2], quantity: 2, reason: 'receipt' }, expect: 201 })));
  const rows = await env.query('SELECT on_hand FROM stock WHERE variant_id = $1', [uuidOf(variant)]);
  assert.deepStrictEqual(rows.map(({ on_hand: pieces }) => pieces), [30, 30]);
  await env.verify();
});

test('CAT-2 prices and names that change at once leave one listing that fits', async () => {
  const { id, variants: [variant] } = await makeProduct(vendor, category);
  const edits = Array.from({ length: 40 }, async (_, i) => {
    if (i % 2) return send(vendor, i, 'price_create', { path: { variant_id: variant }, body: { currency: 'HKD', amount_minor: 1000 + i }, expect: 201 });
    const { headers } = await send(vendor, i, 'managed_product_show', { path: { product_id: id }, expect: 200 });
    return send(vendor, i, 'product_update', { path: { product_id: id }, headers: { 'if-match': headers.etag }, body: { name: `Name ${i}` }, expect: [200, 412] });
  });
  await Promise.all(edits);
  await env.verify();
});

test('CAT-2 a listing that is computed in an older transaction has the price that a younger one has committed', async () => {
  const { id, variants: [variant] } = await makeProduct(vendor, category, { prices: { HKD: 1000 } });
  await env.transaction(async (older) => {
    await older('SELECT now()');
    await vendor.api.call('price_create', { path: { variant_id: variant }, body: { currency: 'HKD', amount_minor: 777 }, expect: 201 });
    const [{ price_minor: price }] = await older(`SELECT price_minor::int FROM listing_source WHERE product_id = $1 AND currency = 'HKD'`, [uuidOf(id)]);
    assert.strictEqual(price, 777);
  });
});
