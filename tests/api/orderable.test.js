'use strict';
// What cannot be ordered looks orderable nowhere: pages, lists, facets, search, carts and sales agree with checkout.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, makePerson, poll, wireId } = require('../harness');
const { threeServers } = require('../harness/caches');
const { goods, customer, orderOf } = require('../harness/goods');
const { saleOf, manager } = require('../harness/sales');
const { SVG } = require('../harness/shelf');

const env = shop({ roles: ['serve'], settings: { cache_entries: 0 } }); // nobody takes products out of the lists here
const cluster = shop({ roles: ['serve', 'serve:2', 'serve:3', 'worker'] });

async function setVendor(of, vendor, state) {
  const staff = await manager(of);
  const path = { vendor_id: wireId('ven', vendor) };
  const { headers } = await staff.api.call('vendor_show', { path, expect: 200 });
  await staff.api.call('vendor_update', { path, headers: { 'if-match': headers.etag }, body: { state }, expect: 200 });
}
const change = async (of, made, operation, path, body) => {
  const { api } = await makePerson(of, 'vendor', { vendorId: made.vendor });
  const { headers } = await api.call('managed_product_show', { path: { product_id: wireId('prd', made.product) }, expect: 200 });
  await api.call(operation, { path, headers: { 'if-match': headers.etag }, body, expect: 200 });
};
const setProduct = (of, made, operation) => change(of, made, operation, { product_id: wireId('prd', made.product) });
const setVariant = (of, made, variant, state) => change(of, made, 'variant_update', { variant_id: variant.wire }, { state });

/** What of a product's goods each way of looking shows: {page, list, …}: all true, or all false. */
async function looks(made, { variant = made.variants[0], sale, buyer }) {
  const product = wireId('prd', made.product), category = wireId('cat', made.category), vendor = wireId('ven', made.vendor);
  const shown = {};
  shown.page = ((await env.api.call('product_show', { path: { product }, expect: [200, 404] })).body.variants ?? []).some(({ id }) => id === variant.wire);
  for (const [name, query] of Object.entries({ newest: { category_id: category }, name: { sort: 'name', category_id: category }, up: { sort: 'price_asc', category_id: category },
    down: { sort: 'price_desc', category_id: category }, vendor: { vendor_id: vendor }, stock: { category_id: category, in_stock: true }, search: { q: made.slug },
    option: { category_id: category, vendor_id: vendor, attribute: ['number:1'] } })) {
    shown[name] = (await env.api.call('product_list', { query, expect: 200 })).body.items.some(({ id }) => id === product);
  }
  for (const [name, query] of Object.entries({ facets: { category_id: category, in_stock: true }, searched: { q: made.slug, category_id: category } })) {
    const { body: { facets } } = await env.api.call('product_list', { query: { ...query, facets: true }, expect: 200 });
    shown[name] = facets.total > 0 || facets.vendors.values.some(({ id }) => id === vendor);
  }
  shown.cart = (await buyer.api.call('cart_mine_show', { expect: 200 })).body.orderable;
  shown.sale = (await env.api.call('sale_show', { path: { sale_id: sale.wire }, expect: [200, 404] })).status === 200;
  shown.sales = (await env.api.call('sale_list', { expect: 200 })).body.items.some(({ id }) => id === sale.wire);
  const managed = (await (await manager(env)).api.call('sale_manage_show', { path: { sale_id: sale.wire }, expect: 200 })).body;
  shown.managed = managed.on_sale;
  assert.strictEqual(managed.state, 'open');
  return shown;
}

/** Carts, orders and sales take it, or refuse it as not for sale. */
async function sells(made, { variant = made.variants[0], sale, buyer }) {
  const sold = {};
  const reason = ({ body }) => JSON.stringify(body);
  const order = await buyer.api.call('order_place', { body: orderOf([[variant, 1]]), expect: [201, 409] });
  sold.order = order.status === 201;
  if (!sold.order) assert.match(reason(order), /not_for_sale/);
  const other = await customer(env);
  const bought = await sale.buy(other, { expect: [201, 409] });
  sold.sale = bought.status === 201;
  if (!sold.sale) assert.match(reason(bought), /not_for_sale/);
  const { body: cart, headers } = await other.api.call('cart_mine_show', { expect: 200 });
  const added = await other.api.call('cart_item_add', { path: { cart_id: cart.id }, headers: { 'if-match': headers.etag }, body: { variant_id: variant.wire, quantity: 1 }, expect: [200, 400] });
  sold.cart = added.status === 200;
  if (!sold.cart) assert.match(reason(added), /is not for sale/);
  return sold;
}

/** Goods that may be published again once they were archived: with a picture. */
async function pictured(more) {
  const made = await goods(env, more);
  const { api } = await makePerson(env, 'vendor', { vendorId: made.vendor });
  await api.call('media_create', { path: { product_id: wireId('prd', made.product) }, query: { alt: 'It' }, body: SVG, contentType: 'image/svg+xml', expect: 201 });
  return made;
}

async function set() {
  const made = await pictured({ variants: 2 });
  const [{ slug, category_id: category }] = await env.query('SELECT slug, category_id FROM product WHERE id = $1', [made.product]);
  Object.assign(made, { slug, category });
  const buyer = await customer(env);
  const { body: cart, headers } = await buyer.api.call('cart_mine_show', { expect: 200 });
  await buyer.api.call('cart_item_add', { path: { cart_id: cart.id }, headers: { 'if-match': headers.etag }, body: { variant_id: made.variants[0].wire, quantity: 1 }, expect: 200 });
  return [made, { buyer, sale: await saleOf(env, { variant: made.variants[0], quantity: 100 }) }];
}

async function agree(made, around, expected, but = {}) {
  const shown = await looks(made, around);
  assert.deepStrictEqual(shown, { ...Object.fromEntries(Object.keys(shown).map((name) => [name, expected])), ...but });
  assert.deepStrictEqual(await sells(made, around), { order: expected, sale: expected, cart: expected });
}

test('CAT-4 goods of a closed vendor look orderable nowhere from the moment it closes, and everywhere when it opens', async () => {
  const [made, around] = await set();
  await agree(made, around, true);
  await setVendor(env, made.vendor, 'closed');
  await agree(made, around, false);
  await setVendor(env, made.vendor, 'active');
  await agree(made, around, true);
});

test('CAT-4 an archived product looks orderable nowhere, carts and sales included', async () => {
  const [made, around] = await set();
  await setProduct(env, made, 'product_archive');
  await agree(made, around, false);
  await setProduct(env, made, 'product_publish');
  await agree(made, around, true);
});

test('CAT-4 an archived variant looks orderable nowhere, while its product sells others', async () => {
  const [made, around] = await set();
  await setVariant(env, made, made.variants[0], 'archived');
  const listed = Object.fromEntries(['newest', 'name', 'up', 'down', 'vendor', 'stock', 'search', 'facets', 'searched'].map((name) => [name, true]));
  await agree(made, around, false, listed);
  await setVariant(env, made, made.variants[0], 'active');
  await agree(made, around, true);
});

test('INV-6 a sale of a draft is not shown before its goods are on sale; one of what is off sale is not announced', async () => {
  const made = await pictured();
  await env.query("UPDATE product SET state = 'draft', published_at = NULL WHERE id = $1", [made.product]);
  const sale = await saleOf(env, { variant: made.variants[0] });
  assert.strictEqual(sale.on_sale, false);
  await env.api.call('sale_show', { path: { sale_id: sale.wire }, expect: 404 });
  await setProduct(env, made, 'product_publish');
  await env.api.call('sale_show', { path: { sale_id: sale.wire }, expect: 200 });
  const archived = await goods(env), closed = await goods(env), variant = await pictured({ variants: 2 });
  await setProduct(env, archived, 'product_archive');
  await setVendor(env, closed.vendor, 'closed');
  await setVariant(env, variant, variant.variants[1], 'archived');
  for (const of of [archived.variants[0], closed.variants[0], variant.variants[1]]) await saleOf(env, { variant: of, expect: 400 });
});

test('CAT-4 every server stops listing and showing what a vendor sells once it closes, and begins again', async () => {
  const made = await goods(cluster, { variants: 1 });
  const vendor = wireId('ven', made.vendor), product = wireId('prd', made.product);
  const { servers } = threeServers(cluster);
  const all = (expected) => poll(async () => (await Promise.all(servers().map(async (api) => {
    const { body } = await api.call('product_list', { query: { vendor_id: vendor }, expect: 200 });
    const { status } = await api.call('product_show', { path: { product }, expect: [200, 404] });
    return body.items.length === (expected ? 1 : 0) && (status === 200) === expected;
  }))).every(Boolean), { what: `every server to show ${expected ? 'the' : 'no'} goods`, everyMs: 10 });
  await all(true);
  for (let round = 0; round < 3; round += 1) {
    await setVendor(cluster, made.vendor, 'closed');
    await all(false);
    await setVendor(cluster, made.vendor, 'active');
    await all(true);
  }
  await setVendor(cluster, made.vendor, 'closed');
  await poll(async () => (await cluster.query('SELECT FROM vendor WHERE leaving')).length === 0, { what: 'the products to leave the lists' });
  assert.strictEqual((await cluster.query('SELECT FROM listing WHERE product_id = $1', [made.product])).length, 0);
  await cluster.verify();
});
