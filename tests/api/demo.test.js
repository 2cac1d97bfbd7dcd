'use strict';
// The demo shop: what `cathay demo` loads, that it may be repeated, and that it is a shop in which people can buy.
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { Environment, poll } = require('../harness');

let env;
before(async () => { env = await Environment.start({ demo: true }); });
after(async () => { await env?.stop(); });

const PASSWORD = 'fly-and-buy-2026';
const signIn = async (email) => (await env.api.call('session_sign_in', { body: { email, password: PASSWORD }, expect: 200 })).body;

test('CAT-1 the demo shop is as large as it is said to be, and every invariant holds', async () => {
  const [counts] = await env.query(`SELECT (SELECT count(*) FROM product WHERE state = 'published')::int AS products, (SELECT count(*) FROM variant)::int AS variants,
    (SELECT count(*) FROM vendor)::int AS vendors, (SELECT count(DISTINCT currency) FROM price)::int AS currencies,
    (SELECT count(*) FROM (SELECT variant_id FROM stock WHERE on_hand > 0 GROUP BY 1 HAVING count(*) > 1) several)::int AS spread,
    (SELECT count(DISTINCT tender) FROM product)::int AS tenders,
    (SELECT count(*) FROM variant v WHERE (SELECT coalesce(sum(on_hand), 0) FROM stock s WHERE s.variant_id = v.id) = 0)::int AS sold_out`);
  assert.ok(counts.products >= 1000 && counts.variants >= 2500, JSON.stringify(counts));
  assert.deepStrictEqual([counts.vendors, counts.currencies, counts.tenders], [20, 2, 3]);
  assert.ok(counts.spread > 500 && counts.sold_out > 50 && counts.sold_out < counts.variants / 5, JSON.stringify(counts));
  await env.verify();
});

test('CAT-1 loading it again changes nothing and prints the same sign-ins', async () => {
  const state = async () => (await env.query(`SELECT (SELECT count(*) FROM users)::int AS users, (SELECT sum(posted)::text FROM ledger_account) AS miles,
    (SELECT count(*) FROM movement)::int AS movements, (SELECT md5(string_agg(card, '' ORDER BY product_id, currency)) FROM listing) AS cards`))[0];
  const before = await state();
  const { code, stdout, stderr } = await env.run('demo');
  assert.strictEqual(code, 0, stderr);
  for (const who of ['amy', 'ben', 'support', 'manager', 'admin', 'altitude-luggage']) assert.match(stdout, new RegExp(`${who}@cathay\\.example`));
  assert.match(stdout, new RegExp(PASSWORD));
  assert.deepStrictEqual(await state(), before);
  assert.strictEqual((await env.run('demo', '--nonsense')).code, 2);
});

test('ACC-1 LOY-1 people of every role sign in, and customers have their miles', async () => {
  for (const [name, role] of [['amy', 'customer'], ['support', 'support'], ['manager', 'manager'], ['admin', 'admin'], ['cellar-nine', 'vendor']]) {
    const { access_token: token } = await signIn(`${name}@cathay.example`);
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    assert.strictEqual(claims.role, role);
  }
  const { body } = await env.api.as((await signIn('amy@cathay.example')).access_token).call('loyalty_show', { expect: 200 });
  assert.strictEqual(body.available, 60000);
});

test('CAT-3 it can be browsed and searched, in English and Chinese and with typos', async () => {
  const found = async (query) => (await env.api.call('product_list', { query, expect: 200 })).body.items;
  const { body: { items: tree } } = await env.api.call('category_list', { expect: 200 });
  const travel = tree.find(({ slug }) => slug === 'travel');
  assert.ok(tree.some(({ parent_id: parent }) => parent === travel.id));
  assert.strictEqual((await found({ category_id: travel.id, limit: 100 })).length, 100);
  assert.ok((await found({ q: 'cabin trolley' })).every(({ name }) => /Cabin|Trolley/.test(name)));
  assert.match((await found({ q: '鐵觀音' }))[0].name, /Tieguanyin/);
  assert.ok((await found({ q: '登機箱' })).length > 0);
  assert.ok((await found({ q: 'headfones' })).some(({ name }) => /Headphones/.test(name)));
  assert.ok((await found({ attribute: ['material:leather'], currency: 'USD', sort: 'price_desc' })).length > 0);
});

test('CAT-1 its pictures are whole drawings', async () => {
  const [{ wrong }] = await env.query("SELECT count(*) FILTER (WHERE NOT xml_is_well_formed_document(convert_from(content, 'UTF8')) OR content_type <> 'image/svg+xml')::int AS wrong FROM media");
  assert.strictEqual(wrong, 0);
  const [{ item }] = await env.query('SELECT card::json AS item FROM listing LIMIT 1');
  const picture = await env.api.get(item.image.url);
  assert.strictEqual(picture.status, 200);
  assert.match(picture.text, /^<svg xmlns='http:\/\/www\.w3\.org\/2000\/svg'/);
});

test('CAT-3 the demo shop has facets: attributes, brands, vendors, categories and prices to choose by', async () => {
  const facets = await poll(async () => {
    const { body } = await env.api.call('product_list', { query: { facets: true, limit: 1 }, expect: 200 });
    return body.facets.total >= 1000 && body.facets;
  }, { what: 'counts taken in', timeoutMs: 30000 });
  assert.strictEqual(facets.count_is_minimum, false);
  assert.ok(facets.attributes.length >= 3 && facets.brands.values.length > 5 && facets.vendors.values.length === 20 && facets.categories.values.length > 2
    && facets.prices.values.length > 3, JSON.stringify(facets).slice(0, 2000));
  const [{ code, values: [{ value, count }] }] = facets.attributes;
  const chosen = (await env.api.call('product_list', { query: { facets: true, limit: 1, attribute: [`${code}:${value}`] }, expect: 200 })).body.facets;
  assert.ok(chosen.count_is_minimum ? chosen.total <= count : chosen.total === count, `${chosen.total} of ${count}`);
});
