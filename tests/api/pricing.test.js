'use strict';
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { Environment, makePerson, poll } = require('../harness');
const { customer, orderOf } = require('../harness/goods');
const { makeCategory, makeLocation, makeProduct } = require('../harness/shelf');

let env, manager, vendor, category;

before(async () => {
  env = await Environment.start();
  manager = await makePerson(env, 'manager');
  vendor = await makePerson(env, 'vendor');
  category = await makeCategory(manager);
});
after(async () => { await env?.stop(); });

const set = (variant, body, expect = 201) => vendor.api.call('price_create', { path: { variant_id: variant }, body, expect });
const shown = async (product) => (await env.api.call('product_show', { path: { product: product.id }, expect: 200 })).body.variants[0].prices;
const listed = async (currency = 'HKD') => (await env.api.call('product_list', { query: { category_id: category, currency, limit: 100 }, expect: 200 })).body.items;
const soon = (ms) => new Date(Date.now() + ms).toISOString();

test('CAT-2 prices per currency, compare-at, and what they are in miles', async () => {
  const product = await makeProduct(vendor, category, { prices: { HKD: 10050 } });
  const [variant] = product.variants;
  await set(variant, { currency: 'USD', amount_minor: 1290, compare_at_minor: 1590 });
  const prices = await shown(product);
  assert.deepStrictEqual(prices, [
    { currency: 'HKD', amount_minor: 10050, compare_at_minor: null, valid_until: null, points: 1005 },
    { currency: 'USD', amount_minor: 1290, compare_at_minor: 1590, valid_until: null, points: 1008 }, // 1290 / 1.28, rounded up
  ]);
  const cards = (await listed('USD')).filter(({ id }) => id === product.id);
  assert.deepStrictEqual(cards.map((card) => [card.price_minor, card.compare_at_minor]), [[1290, 1590]]);
  const cash = await makeProduct(vendor, category, { tender: 'cash_only' });
  assert.strictEqual((await shown(cash))[0].points, null);
});

test('CAT-2 CCH-2 a new price is in force at once, and cached pages follow within moments', async () => {
  const product = await makeProduct(vendor, category, { prices: { HKD: 5000 } });
  const [variant] = product.variants;
  assert.strictEqual((await shown(product))[0].amount_minor, 5000);
  const { body } = await set(variant, { currency: 'HKD', amount_minor: 4500, compare_at_minor: 5000 });
  assert.deepStrictEqual([body.amount_minor, body.compare_at_minor, body.valid_until], [4500, 5000, null]);
  await poll(async () => (await shown(product))[0].amount_minor === 4500, { what: 'the page to show the new price', timeoutMs: 5000 });
  await poll(async () => (await listed()).find(({ id }) => id === product.id)?.price_minor === 4500, { what: 'the listing to show the new price', timeoutMs: 5000 });
  const history = (await vendor.api.call('price_list', { path: { variant_id: variant }, expect: 200 })).body.items;
  assert.deepStrictEqual(history.map((price) => [price.amount_minor, price.in_force]), [[4500, true], [5000, false]]);
  const page = (await vendor.api.call('price_list', { path: { variant_id: variant }, query: { limit: 1 }, expect: 200 })).body;
  const rest = (await vendor.api.call('price_list', { path: { variant_id: variant }, query: { limit: 1, cursor: page.next_cursor }, expect: 200 })).body;
  assert.deepStrictEqual([...page.items, ...rest.items].map(({ id }) => id), history.map(({ id }) => id));
  assert.strictEqual(rest.next_cursor, null);
});

test('CAT-2 a scheduled price begins and ends by itself, in listings and on pages', async () => {
  const product = await makeProduct(vendor, category, { prices: { HKD: 9000 } });
  const [variant] = product.variants;
  await set(variant, { currency: 'HKD', amount_minor: 7000, valid_from: soon(2500), valid_until: soon(6000) });
  assert.strictEqual((await shown(product))[0].amount_minor, 9000, 'not yet');
  const seen = async (minor) => (await listed()).find(({ id }) => id === product.id)?.price_minor === minor && (await shown(product))[0].amount_minor === minor;
  await poll(() => seen(7000), { what: 'the price to begin', timeoutMs: 15000 });
  await poll(() => seen(9000), { what: 'the price to end', timeoutMs: 15000 });
  await env.verify();
});

test('CAT-2 prices that make no sense are refused', async () => {
  const { variants: [variant] } = await makeProduct(vendor, category);
  const refused = async (body, field) => {
    const { body: problem } = await set(variant, { currency: 'HKD', amount_minor: 1000, ...body }, 400);
    assert.deepStrictEqual(problem.errors.map((error) => error.field), [field]);
  };
  await refused({ compare_at_minor: 1000 }, 'compare_at_minor');
  await refused({ valid_from: '2020-01-01T00:00:00Z' }, 'valid_from');
  await refused({ valid_until: '2020-01-01T00:00:00Z' }, 'valid_until');
  await refused({ valid_from: soon(60000), valid_until: soon(50000) }, 'valid_until');
  for (const body of [{ currency: 'EUR', amount_minor: 1 }, { currency: 'HKD', amount_minor: 0 }, { currency: 'HKD', amount_minor: 1.5 }, { currency: 'HKD' }]) {
    await vendor.api.call('price_create', { path: { variant_id: variant }, body, invalid: true, expect: 400 });
  }
  await manager.api.call('price_create', { path: { variant_id: `var_${'0'.repeat(32)}` }, body: { currency: 'HKD', amount_minor: 1 }, expect: 404 });
});

test('CAT-2 a price change never alters an order that was placed', async () => {
  const location = await makeLocation(vendor);
  const { variants: [variant] } = await makeProduct(vendor, category, { prices: { HKD: 8000 }, stock: 5, location });
  const buyer = await customer(env);
  const { body: order } = await buyer.api.call('order_place', { body: orderOf([[{ wire: variant, priceMinor: 8000 }, 2]]), expect: 201 });
  await set(variant, { currency: 'HKD', amount_minor: 9900 });
  const { body: later } = await buyer.api.call('order_show', { path: { order_id: order.id }, expect: 200 });
  assert.strictEqual(later.lines[0].unit_price_minor, 8000);
  const stale = await buyer.api.call('order_place', { body: orderOf([[{ wire: variant, priceMinor: 8000 }, 1]]), expect: 409 });
  assert.ok(stale.body.errors.length > 0, 'an order at the old price is told of the new one');
});
