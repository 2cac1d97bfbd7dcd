'use strict';
// API-3: how many statements each endpoint of catalog, pricing and inventory runs, however much there is to show.
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { Environment, makePerson } = require('../harness');
const { makeCategory, makeLocation, makeProduct, unique, SVG } = require('../harness/shelf');

let env, manager, vendor, category, location, small, large;

before(async () => {
  env = await Environment.start({ roles: ['serve'], settings: { cache_entries: 0 } });
  manager = await makePerson(env, 'manager');
  vendor = await makePerson(env, 'vendor');
  category = await makeCategory(manager);
  location = await makeLocation(vendor);
  small = await makeProduct(vendor, category, { stock: 2, location });
  large = await makeProduct(vendor, category, { colours: ['a', 'b', 'c', 'd', 'e', 'f'], prices: { HKD: 1000, USD: 130 }, stock: 9, location });
  for (let i = 0; i < 8; i += 1) await makeProduct(vendor, category);
});
after(async () => { await env?.stop(); });

/** The least of three counts: other threads of the server look after their own affairs now and then. */
async function counted(who, operation, options) {
  const call = () => who.call(operation, typeof options === 'function' ? options() : options);
  for (let i = 0; i < 8; i += 1) await call(); // every worker's connection has begun
  const counts = [];
  for (let i = 0; i < 3; i += 1) counts.push(await env.statements(call));
  return Math.min(...counts);
}

const reads = {
  category_list: [1, () => ({})],
  vendor_list: [1, () => ({})],
  attribute_list: [1, () => ({})],
  product_list: [2, // the planner works out which list to read, which PostgreSQL counts too
    (n) => ({ query: { category_id: category, limit: n } })],
  product_show: [1, (n) => ({ path: { product: n === 1 ? small.id : large.slug } })],
  stock_show: [1, (n) => ({ path: { variant_id: n === 1 ? small.variants[0] : large.variants[3] } })],
};
for (const [operation, [most, options]] of Object.entries(reads)) {
  test(`API-3 ${operation} runs at most ${most} statements, for little and for much`, async () => {
    for (const n of [1, 10]) {
      const count = await counted(env.api, operation, { ...options(n), expect: 200 });
      assert.ok(count >= 1 && count <= most, `${count} statements`);
    }
  });
}

test('API-3 a search runs one statement, and one more when nothing has the words', async () => {
  // The planner calls the function search_query twice, which PostgreSQL counts too.
  const [found, similar] = [await counted(env.api, 'product_list', { query: { q: 'thing' }, expect: 200 }),
    await counted(env.api, 'product_list', { query: { q: 'nothing has this' }, expect: 200 })];
  assert.ok(found >= 1 && found <= 3, `${found} statements`);
  assert.ok(similar >= 2 && similar <= 4, `${similar} statements`);
});

const managed = {
  managed_product_list: [1, (n) => ({ query: { limit: n } })],
  managed_product_show: [1, (n) => ({ path: { product_id: n === 1 ? small.id : large.id } })],
  price_list: [2, (n) => ({ path: { variant_id: large.variants[0] }, query: { limit: n } })],
  stock_list: [1, (n) => ({ path: { variant_id: n === 1 ? small.variants[0] : large.variants[0] } })],
  movement_list: [2, (n) => ({ path: { variant_id: large.variants[0] }, query: { limit: n } })],
  location_list: [1, (n) => ({ query: { limit: n } })],
};
for (const [operation, [most, options]] of Object.entries(managed)) {
  test(`API-3 ${operation} runs at most ${most} statements, for little and for much`, async () => {
    for (const n of [1, 10]) {
      const count = await counted(vendor.api, operation, { ...options(n), expect: 200 });
      assert.ok(count >= 1 && count <= most, `${count} statements`);
    }
  });
}

// Beside BEGIN and COMMIT; three of each are the Idempotency-Key's.
const writes = {
  product_create: [7, () => ({ body: { category_id: category, name: 'New', attributes: {} }, expect: 201 })],
  variant_create: [9, () => ({ path: { product_id: small.id }, body: { sku: `S-${unique()}`, options: {} }, expect: [201, 409] })],
  price_create: [7, () => ({ path: { variant_id: large.variants[0] }, body: { currency: 'HKD', amount_minor: 1234 }, expect: 201 })],
  movement_create: [11, () => ({ path: { variant_id: large.variants[0] }, body: { location_id: location, quantity: 1, reason: 'receipt' }, expect: 201 })],
  media_create: [8, () => ({ path: { product_id: large.id }, body: SVG, contentType: 'image/svg+xml', expect: 201 })],
};
for (const [operation, [most, options]] of Object.entries(writes)) {
  test(`API-3 ${operation} runs at most ${most} statements`, async () => {
    const count = await counted(vendor.api, operation, options);
    assert.ok(count >= 1 && count <= most, `${count} statements`);
  });
}
