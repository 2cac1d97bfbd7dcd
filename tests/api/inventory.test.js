'use strict';
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { Environment, makePerson, poll, uuidOf } = require('../harness');
const { customer, orderOf } = require('../harness/goods');
const { makeCategory, makeLocation, makeProduct, unique } = require('../harness/shelf');

let env, manager, vendor, other, category, location;

before(async () => {
  env = await Environment.start();
  manager = await makePerson(env, 'manager');
  vendor = await makePerson(env, 'vendor');
  other = await makePerson(env, 'vendor');
  category = await makeCategory(manager);
  location = await makeLocation(vendor);
});
after(async () => { await env?.stop(); });

const move = (variant, quantity, { reason = quantity > 0 ? 'receipt' : 'damage', at = location, expect = 201, who = vendor, ...more } = {}) =>
  who.api.call('movement_create', { path: { variant_id: variant }, body: { location_id: at, quantity, reason, ...more }, expect });
const stockOf = async (variant, who = vendor) => (await who.api.call('stock_list', { path: { variant_id: variant }, expect: 200 })).body;
const stateOf = async (variant) => (await env.api.call('stock_show', { path: { variant_id: variant }, expect: 200 })).body;

test('INV-1 stock stands per variant and location; everybody sees its state, the vendor its numbers', async () => {
  const { variants: [variant] } = await makeProduct(vendor, category);
  const second = await makeLocation(vendor, { priority: 2 });
  assert.deepStrictEqual(await stateOf(variant), { variant_id: variant, state: 'out_of_stock' });
  await move(variant, 4);
  assert.strictEqual((await stateOf(variant)).state, 'low');
  const { body } = await move(variant, 6, { at: second });
  assert.deepStrictEqual(body.stock.locations.map((place) => [place.location_id, place.on_hand, place.reserved, place.available]), [[location, 4, 0, 4], [second, 6, 0, 6]]);
  assert.strictEqual((await stateOf(variant)).state, 'in_stock');
  assert.deepStrictEqual(await stockOf(variant, manager), body.stock);
  const draft = await makeProduct(vendor, category, { publish: false });
  await env.api.call('stock_show', { path: { variant_id: draft.variants[0] }, expect: 404 });
});

test('INV-4 every change is a movement: who, why, how much; on hand is their sum', async () => {
  const { variants: [variant] } = await makeProduct(vendor, category);
  await move(variant, 10, { note: 'first delivery' });
  await move(variant, -3, { note: 'dropped' });
  await move(variant, 2, { reason: 'correction', who: manager });
  const { body: { items } } = await vendor.api.call('movement_list', { path: { variant_id: variant }, expect: 200 });
  assert.deepStrictEqual(items.map(({ quantity, reason, note, actor_id: actor }) => [quantity, reason, note, actor]),
    [[2, 'correction', null, manager.id], [-3, 'damage', 'dropped', vendor.id], [10, 'receipt', 'first delivery', vendor.id]]);
  assert.strictEqual((await stockOf(variant)).locations[0].on_hand, 9);
  const pages = [];
  for (let cursor; ;) {
    const { body } = await vendor.api.call('movement_list', { path: { variant_id: variant }, query: { limit: 2, cursor }, expect: 200 });
    pages.push(body.items.length);
    if (!body.next_cursor) break;
    cursor = body.next_cursor;
  }
  assert.deepStrictEqual(pages, [2, 1]);
  await vendor.api.call('movement_list', { path: { variant_id: variant }, query: { cursor: 'AAAA' }, expect: 400 });
  await env.verify();
});

test('INV-4 CHK-3 a movement that is sent twice moves once', async () => {
  const { variants: [variant] } = await makeProduct(vendor, category);
  const key = `receipt-${unique()}`;
  const first = await move(variant, 5, { expect: 201 });
  assert.ok(first);
  const send = (quantity, expect) => vendor.api.call('movement_create', { key, path: { variant_id: variant }, body: { location_id: location, quantity, reason: 'receipt' }, expect });
  const once = await send(7, 201);
  assert.deepStrictEqual((await send(7, 201)).body, once.body);
  await send(8, 422);
  assert.strictEqual((await stockOf(variant)).locations[0].on_hand, 12);
});

test('INV-1 stock never falls below nothing or below what is reserved', async () => {
  const { variants: [variant] } = await makeProduct(vendor, category, { stock: 5, location });
  await move(variant, -6, { expect: 409 });
  const buyer = await customer(env);
  await buyer.api.call('order_place', { body: orderOf([[{ wire: variant, priceMinor: 10000 }, 3]]), expect: 201 });
  const refused = await move(variant, -3, { expect: 409 });
  assert.strictEqual(refused.body.code, 'out_of_stock');
  await move(variant, -2);
  assert.deepStrictEqual((await stockOf(variant)).locations.map((place) => [place.on_hand, place.reserved, place.available]), [[3, 3, 0]]);
  assert.strictEqual((await stateOf(variant)).state, 'out_of_stock');
  await env.verify();
});

test('INV-1 a location keeps at most a milliard of one thing: what is more is refused by its field', async () => {
  const { variants: [variant] } = await makeProduct(vendor, category, { stock: 5, location });
  await env.query(`WITH moved AS (INSERT INTO movement (id, variant_id, location_id, quantity, reason)
      SELECT gen_random_uuid(), variant_id, location_id, 999999000, 'receipt' FROM stock WHERE variant_id = $1)
    UPDATE stock SET on_hand = on_hand + 999999000 WHERE variant_id = $1`, [uuidOf(variant)]);
  const refused = await move(variant, 1000000, { expect: 409 });
  assert.deepStrictEqual([refused.body.code, refused.body.errors], ['out_of_range', [{ field: 'quantity', reason: 'makes more than 1000000000 pieces at this location' }]]);
  await move(variant, 995);
  assert.strictEqual((await stockOf(variant)).locations[0].on_hand, 1000000000);
  await move(variant, -1000);
  await env.verify();
});

test('INV-1 movements that make no sense are refused', async () => {
  const { variants: [variant] } = await makeProduct(vendor, category);
  const foreign = await makeLocation(other);
  await move(variant, -1, { reason: 'receipt', expect: 400 });
  await move(variant, 1, { reason: 'damage', expect: 400 });
  await move(variant, 0, { reason: 'correction', expect: 400 });
  assert.strictEqual((await move(variant, 1, { at: foreign, expect: 400 })).body.errors[0].field, 'location_id');
  await vendor.api.call('movement_create', { path: { variant_id: variant }, body: { location_id: location, quantity: 1, reason: 'shipment' }, invalid: true, expect: 400 });
  await vendor.api.call('movement_create', { path: { variant_id: variant }, body: { location_id: location, quantity: 2000000, reason: 'receipt' }, invalid: true, expect: 400 });
});

test('CAT-4 INV-1 a vendor reaches no stock and no location of another vendor', async () => {
  const { variants: [variant] } = await makeProduct(vendor, category, { stock: 5, location });
  await other.api.call('stock_list', { path: { variant_id: variant }, expect: 404 });
  await other.api.call('movement_list', { path: { variant_id: variant }, expect: 404 });
  await move(variant, 1, { who: other, expect: 404 });
  const mine = async (who, query) => (await who.api.call('location_list', { query, expect: 200 })).body.items.map(({ id }) => id);
  assert.ok((await mine(vendor)).includes(location));
  assert.ok(!(await mine(other)).includes(location));
  const wire = `ven_${vendor.vendorId.replace(/-/g, '')}`;
  assert.deepStrictEqual(await mine(other, { vendor_id: wire }), []);
  assert.ok((await mine(manager, { vendor_id: wire })).includes(location));
  await other.api.call('location_create', { body: { vendor_id: wire, code: `T-${unique()}`.toUpperCase(), name: 'Theft', country: 'HK' }, expect: 400 });
  await manager.api.call('location_create', { body: { code: `W-${unique()}`.toUpperCase(), name: 'Whose', country: 'HK' }, expect: 400 });
  const { body: made } = await manager.api.call('location_create', { body: { vendor_id: wire, code: `M-${unique()}`.toUpperCase(), name: 'Made', country: 'SG', priority: 3 }, expect: 201 });
  await manager.api.call('location_create', { body: { vendor_id: wire, code: made.code, name: 'Twice', country: 'SG' }, expect: 409 });
  const first = (await vendor.api.call('location_list', { query: { limit: 1 }, expect: 200 })).body;
  const second = (await vendor.api.call('location_list', { query: { limit: 1, cursor: first.next_cursor }, expect: 200 })).body;
  assert.notStrictEqual(first.items[0].id, second.items[0].id);
});

test('INV-3 a reservation is released when the order is cancelled', async () => {
  const { variants: [variant] } = await makeProduct(vendor, category, { stock: 5, location });
  const buyer = await customer(env);
  const { body: order } = await buyer.api.call('order_place', { body: orderOf([[{ wire: variant, priceMinor: 10000 }, 2]]), expect: 201 });
  assert.strictEqual((await stockOf(variant)).locations[0].reserved, 2);
  await buyer.api.call('order_cancel', { path: { order_id: order.id }, expect: 200 });
  assert.strictEqual((await stockOf(variant)).locations[0].reserved, 0);
  assert.deepStrictEqual(await env.query('SELECT state, quantity FROM reservation WHERE order_id = $1', [uuidOf(order.id)]), [{ state: 'released', quantity: 2 }]);
  await env.verify();
});

test('CCH-2 INV-1 pages and listings follow the state of stock', async () => {
  const product = await makeProduct(vendor, category, { stock: 6, location });
  const [variant] = product.variants;
  const page = async () => (await env.api.call('product_show', { path: { product: product.id }, expect: 200 })).body.variants[0].stock;
  const card = async () => (await env.api.call('product_list', { query: { category_id: category, limit: 100 }, expect: 200 })).body.items.find(({ id }) => id === product.id)?.stock;
  const both = (state) => poll(async () => await page() === state && await card() === state, { what: `page and listing to say ${state}`, timeoutMs: 15000 });
  await both('in_stock');
  const events = async () => (await env.query("SELECT count(*)::int AS n FROM outbox WHERE type = 'stock.changed' AND aggregate_id = $1", [uuidOf(product.id)]))[0].n;
  const before = await events();
  await move(variant, -1);
  await both('low');
  await move(variant, -1);
  assert.strictEqual(await events(), before + 1, 'news of a border, not of every movement');
  await move(variant, -4);
  await both('out_of_stock');
  await move(variant, 50);
  await both('in_stock');
  await env.verify();
});

test('INV-1 the database and the program draw the same borders between states', async () => {
  const rows = await env.query('SELECT n, stock_state(n) AS state FROM unnest(ARRAY[-1, 0, 1, 5, 6, NULL]::bigint[]) n');
  assert.deepStrictEqual(rows.map(({ state }) => state), ['out_of_stock', 'out_of_stock', 'low', 'low', 'in_stock', 'out_of_stock']);
});
