'use strict';
// CAT-3: facets with counts, beside the listings that they are of. The counts are compared with those of a model.
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { Environment, makePerson, poll, wireId } = require('../harness');
const { relist } = require('../harness/goods');
const { makeCategory, makeLocation, makeProduct } = require('../harness/shelf');

let env, manager, vendors, tops, leaves;
const shelf = []; // what the model knows of each product
const BANDS = [0, 1000, 2000, 5000, 10000, 20000, 50000, 100000];

before(async () => {
  env = await Environment.start({ settings: { cache_entries: 0 } });
  manager = await makePerson(env, 'manager');
  vendors = [await makePerson(env, 'vendor'), await makePerson(env, 'vendor')];
  for (const [code, label] of [['grain', 'Grain'], ['shape', 'Shape']]) await manager.api.call('attribute_put', { path: { code }, body: { label, type: 'text' }, expect: 200 });
  tops = [await makeCategory(manager, { name: 'Top A' }), await makeCategory(manager, { name: 'Top B' })];
  leaves = [];
  for (const top of tops) for (const name of ['Leaf 1', 'Leaf 2']) leaves.push({ id: await makeCategory(manager, { name, parent_id: top }), top });
  const places = await Promise.all(vendors.map((vendor) => makeLocation(vendor)));
  for (let n = 0; n < 36; n += 1) {
    const who = n % 5 < 3 ? 0 : 1;
    const leaf = leaves[(n * 7) % 4];
    const made = { leaf: leaf.id, top: leaf.top, who, brand: ['Aubade', 'Botan', undefined][n % 3], price: [900, 1500, 4999, 5000, 12000, 70000][n % 6],
      attributes: { grain: ['oak', 'ash', 'elm: red'][(n >> 1) % 3], ...(n % 4 ? { shape: ['round', 'square'][n % 2] } : {}) },
      colours: n % 2 ? ['red', 'blue'].slice(0, 1 + (n % 3 > 0)) : undefined, stock: n % 7 ? 5 : 0 };
    const { id } = await makeProduct(vendors[who], leaf.id, { name: `Plank ${n}`, brand: made.brand, prices: { HKD: made.price }, attributes: made.attributes,
      colours: made.colours, stock: made.stock, location: places[who] });
    shelf.push({ ...made, id });
  }
  await poll(async () => (await env.query('SELECT count(*)::int AS n FROM listing WHERE in_stock'))[0].n === shelf.filter(({ stock }) => stock).length, { what: 'stock in listings' });
  await fold();
});
after(async () => { await env?.stop(); });

async function fold() {
  assert.strictEqual((await env.run('tasks', 'run', 'listing_count')).code, 0);
  await poll(async () => (await env.query('SELECT FROM listing_count_change LIMIT 1')).length === 0, { what: 'counts taken in' });
}
const wireOf = (who) => wireId('ven', vendors[who].vendorId);
const ask = async (query) => (await env.api.call('product_list', { query: { facets: true, ...query }, expect: 200 })).body;

const has = (one, code, value) => (code === 'colour' ? (one.colours ?? []).includes(value) : one.attributes[code] === value);

/** Whether a product passes all filters but those of one facet. */
function fits(one, query, but) {
  const chosen = (query.attribute ?? []).map((text) => [text.slice(0, text.indexOf(':')), text.slice(text.indexOf(':') + 1)]);
  return (!query.category_id || [one.leaf, one.top].includes(query.category_id))
    && (but === 'vendor' || !query.vendor_id || query.vendor_id === wireOf(one.who))
    && (but === 'brand' || !query.brand || one.brand === query.brand)
    && (but === 'price' || ((query.price_min ?? 0) <= one.price && one.price <= (query.price_max ?? Infinity)))
    && (but === 'stock' || !query.in_stock || one.stock > 0)
    && chosen.every(([code]) => but === `=${code}` || chosen.some(([other, value]) => other === code && has(one, code, value)));
}

function tally(query, facet, valuesOf) {
  const counts = {};
  for (const one of shelf) if (fits(one, query, facet)) for (const value of valuesOf(one)) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

function model(query) {
  const attributes = {};
  for (const code of ['colour', 'grain', 'shape']) {
    const counts = tally(query, `=${code}`, (one) => (code === 'colour' ? one.colours ?? [] : [one.attributes[code]].filter(Boolean)));
    if (Object.keys(counts).length) attributes[code] = counts;
  }
  const below = (one) => (!query.category_id ? [one.top] : tops.includes(query.category_id) ? [one.leaf] : []);
  return { total: shelf.filter((one) => fits(one, query)).length, attributes, brands: tally(query, 'brand', ({ brand }) => (brand ? [brand] : [])),
    vendors: tally(query, 'vendor', ({ who }) => [wireOf(who)]), categories: tally(query, 'category', below),
    prices: tally(query, 'price', ({ price }) => [BANDS.findLast((from) => from <= price)]), stock: tally(query, 'stock', ({ stock }) => (stock ? [1] : []))[1] ?? 0 };
}

function told({ facets }) {
  const flat = (values, name) => Object.fromEntries(values.map((value) => [value[name], value.count]));
  return { total: facets.total, attributes: Object.fromEntries(facets.attributes.map(({ code, values }) => [code, flat(values, 'value')])),
    brands: flat(facets.brands.values, 'brand'), vendors: flat(facets.vendors.values, 'id'), categories: flat(facets.categories.values, 'id'),
    prices: flat(facets.prices.values, 'from_minor'), stock: facets.in_stock.count };
}

test('CAT-3 facets count what each further choice leaves, for all filters and their combinations', async () => {
  const choices = { category_id: [undefined, tops[0], leaves[3].id], vendor_id: [undefined, undefined, wireOf(1)], brand: [undefined, undefined, 'Botan'],
    attribute: [undefined, ['grain:oak'], ['grain:elm: red', 'shape:round'], ['colour:red'], ['colour:red', 'colour:blue'],
      ['grain:oak', 'grain:ash'], ['grain:oak', 'shape:square', 'grain:elm: red', 'shape:round'], ['grain:ash', 'grain:none of them', 'colour:blue']],
    price: [{}, {}, { price_min: 1000, price_max: 5000 }, { price_max: 4999 }], in_stock: [undefined, undefined, true] };
  let state = 7;
  const draw = (list) => list[(state = (state * 48271) % 2147483647) % list.length];
  const seen = new Set();
  for (let i = 0; i < 90; i += 1) {
    const { price, ...rest } = Object.fromEntries(Object.entries(choices).map(([name, list]) => [name, i === 0 ? list[0] : draw(list)]));
    const query = Object.fromEntries(Object.entries({ ...rest, ...price }).filter(([, value]) => value !== undefined));
    const key = JSON.stringify(query);
    if (seen.has(key)) continue;
    seen.add(key);
    const page = await ask({ ...query, limit: 100 });
    assert.deepStrictEqual(told(page), model(query), key);
    assert.strictEqual(page.facets.total, page.items.length, key);
    assert.strictEqual(page.facets.count_is_minimum, false);
  }
  assert.ok(seen.size > 40);
});

test('CAT-3 facets of a search, and of words that were typed wrongly', async () => {
  const all = await ask({ q: 'plank' });
  assert.deepStrictEqual(told(all), model({}));
  for (const attribute of [['grain:ash'], ['grain:ash', 'grain:oak'], ['grain:ash', 'shape:round', 'shape:square', 'grain:oak']]) {
    const chosen = { attribute, brand: 'Aubade' };
    const found = await ask({ q: 'plank', limit: 100, ...chosen });
    assert.deepStrictEqual(told(found), model(chosen));
    assert.strictEqual(found.items.length, found.facets.total);
  }
  assert.deepStrictEqual(told(await ask({ q: 'plankk' })), model({}));
  const none = await ask({ q: 'zeppelin' });
  assert.strictEqual(none.facets.total, 0);
  assert.deepStrictEqual(none.facets.attributes, []);
});

test('CAT-3 labels, names and bands go with the counts; without asking there are none', async () => {
  const { facets } = await ask({ category_id: tops[0] });
  assert.deepStrictEqual(facets.attributes.map(({ code, label }) => [code, label]).filter(([code]) => code !== 'colour'), [['grain', 'Grain'], ['shape', 'Shape']]);
  assert.deepStrictEqual(facets.categories.values.map(({ name }) => name).sort(), ['Leaf 1', 'Leaf 2']);
  assert.deepStrictEqual(facets.prices.values.map(({ from_minor, to_minor }) => [from_minor, to_minor])[0], [0, 999]);
  assert.ok(facets.brands.values.every(({ count }, i, list) => i === 0 || list[i - 1].count >= count));
  const { body } = await env.api.call('product_list', { expect: 200 });
  assert.strictEqual(body.facets, undefined);
});

test('CAT-3 every value that facets show can be chosen, alone and beside another, and finds as many as were told', async () => {
  const category = { category_id: tops[1] };
  const shown = (await ask({ ...category, limit: 100 })).facets.attributes.flatMap(({ code, values }) => values.map(({ value, count }) => ({ code, value, count })));
  assert.ok(shown.length > 5);
  for (const { code, value, count } of shown) {
    const one = await ask({ ...category, attribute: [`${code}:${value}`], limit: 100 });
    assert.strictEqual(one.items.length, count, value);
    for (const other of one.facets.attributes.find((attribute) => attribute.code === code).values) {
      const both = await ask({ ...category, attribute: [`${code}:${value}`, `${code}:${other.value}`], limit: 100 });
      assert.strictEqual(both.items.length, both.facets.total, `${value}, ${other.value}`);
      assert.ok(both.items.length >= Math.max(count, other.count), `${value}, ${other.value}`);
    }
  }
});

test('CAT-3 kept counts follow every change of a product', async () => {
  const [one] = shelf;
  const manage = async (body) => {
    const { headers } = await manager.api.call('managed_product_show', { path: { product_id: one.id }, expect: 200 });
    await manager.api.call('product_update', { path: { product_id: one.id }, headers: { 'if-match': headers.etag }, body, expect: 200 });
  };
  const check = async () => {
    await env.verify(); // true with what waits to be taken in …
    await fold();
    await env.verify(); // … and once it is
    for (const query of [{}, { category_id: tops[0] }, { category_id: leaves[2].id }]) assert.deepStrictEqual(told(await ask(query)), model(query));
  };
  await manage({ brand: 'Cedar', attributes: { grain: 'fir' } });
  Object.assign(one, { brand: 'Cedar', attributes: { grain: 'fir' } });
  await check();
  const other = leaves.find(({ top }) => top !== one.top);
  await manage({ category_id: other.id });
  Object.assign(one, { leaf: other.id, top: other.top });
  await check();
  await manager.api.call('product_archive', { path: { product_id: one.id }, expect: 200 });
  shelf.shift();
  await check();
});

test('CAT-3 counts beyond five hundred places are minimums, and pages go on through either way of finding them', async () => {
  // A crowd, set-based: its products stand in lists as the task of listings would write them.
  await env.query(`
    WITH made AS (
      INSERT INTO product (id, vendor_id, category_id, category_path, slug, name, state, attributes, published_at)
      SELECT uuid_floor(now() + n * interval '1 ms'), vendor_id, category_id, category_path, 'crowd-' || n, 'Crowd ' || n, 'published',
             jsonb_build_object('grain', CASE WHEN n % 400 = 0 THEN 'rare' ELSE 'pine' END), now() - n * interval '1 min'
      FROM product p, generate_series(1, 1200) n WHERE p.name = 'Plank 1' RETURNING id, vendor_id, name)
    INSERT INTO variant (id, product_id, vendor_id, sku, title) SELECT id, id, vendor_id, 'CROWD-' || name, name FROM made`);
  await env.query(`INSERT INTO price (id, variant_id, currency, amount_minor, valid_from)
                   SELECT id, id, 'HKD', 100 * right(title, 2)::int + 700, now() - interval '1 hour' FROM variant WHERE title LIKE 'Crowd %'`);
  const ids = (await env.query("SELECT id FROM product WHERE slug LIKE 'crowd-%'")).map(({ id }) => id);
  await relist(env, ids);
  await fold();
  await env.verify();

  const wide = (await ask({ attribute: ['grain:pine'] })).facets;
  assert.strictEqual(wide.count_is_minimum, true);
  assert.ok(wide.total > 400 && wide.total <= 500, `${wide.total}`);
  assert.strictEqual(wide.attributes.find(({ code }) => code === 'grain').count_is_minimum, false, 'nothing but the grain was chosen');
  assert.strictEqual((await ask({})).facets.total, shelf.length + 1200);
  assert.strictEqual((await ask({ attribute: ['grain:rare'] })).facets.total, 3);

  for (const grain of ['pine', 'rare', 'oak', ['rare', 'oak'], ['pine', 'ash'], ['rare', 'none']]) await pagesAreRight({ grain });
  await pagesAreRight({ grain: ['oak', 'ash'], shape: ['round', 'square'] });
  await pagesAreRight({ grain: ['oak', 'ash'], shape: 'round' });
});

/** Every page of what has these values, in each order, against what the listings' rows say. */
async function pagesAreRight(values) {
  const pairs = Object.entries(values).flatMap(([code, list]) => [list].flat().map((value) => [code, value]));
  for (const sort of ['newest', 'price_asc', 'price_desc', 'name']) {
    const whole = [];
    for (let cursor; cursor !== null;) {
      const query = { attribute: pairs.map(([code, value]) => `${code}:${value}`), sort, cursor, limit: whole.length ? 100 : 2 };
      const page = (await env.api.call('product_list', { query, expect: 200 })).body;
      whole.push(...page.items);
      cursor = page.next_cursor;
    }
    assert.strictEqual(new Set(whole.map(({ id }) => id)).size, whole.length);
    const expected = (await env.query(`SELECT l.product_id FROM listing l WHERE l.currency = 'HKD' AND (SELECT count(DISTINCT split_part(f, '=', 1)) FROM unnest(l.facets) f WHERE f = ANY ($1::text[])) = $2
      ORDER BY ${{ newest: 'published_at DESC, product_id DESC', price_asc: 'price_minor, product_id', price_desc: 'price_minor DESC, product_id DESC', name: 'sort_name, product_id' }[sort]}`,
    [pairs.map(([code, value]) => `${code}=${value}`), Object.keys(values).length])).map(({ product_id: id }) => `prd_${id.replaceAll('-', '')}`);
    assert.deepStrictEqual(whole.map(({ id }) => id), expected, `${sort} ${JSON.stringify(values)}`);
  }
}

test('CAT-3 facets of goods with very many and very long option values are told as far as there is room, and the rest of the answer as ever', async () => {
  const long = (n) => `${'\u{1f375}'.repeat(196)}${n}`; // 200 characters, 800 bytes
  const before = (await ask({})).facets;
  await env.query(`WITH made AS (
      SELECT -1000000 - code * 100 - value AS key, '=' || 'long_' || lpad(code::text, 3, '0') AS facet, code, value
      FROM generate_series(1, 150) code, generate_series(1, 60) value
    ), names AS (
      INSERT INTO listing_key_name (key, facet, value) SELECT key, facet, $1::text || lpad(value::text, 4, '0') FROM made)
    INSERT INTO listing_count (list_id, currency, key, facet, count)
    SELECT '00000000-0000-0000-0000-000000000000', 'HKD', key, facet, 1 + code + value FROM made`, [long('')]);
  const { facets, items } = await ask({});
  assert.ok(items.length > 0);
  const { attributes, ...rest } = facets;
  const { attributes: few, ...others } = before;
  assert.deepStrictEqual(rest, others, 'brands, prices, vendors and the total are as they were');
  assert.strictEqual(attributes.length, 40);
  const codes = Array.from({ length: 150 }, (_, i) => `long_${String(i + 1).padStart(3, '0')}`);
  assert.deepStrictEqual(attributes.map(({ code }) => code).sort(), ['grain', ...codes.slice(-39)], 'those that most products have, a usual one among them');
  for (const { values } of attributes.filter(({ code }) => code !== 'grain')) {
    assert.ok(values.length >= 10 && values.length < 50, `${values.length}`);
    assert.deepStrictEqual(values.map(({ value }) => Number(value.slice(-4))), values.map((_, i) => 60 - i), 'the most frequent ones first');
  }
  assert.ok(few.length >= 2 && Buffer.byteLength(JSON.stringify(facets)) < 640 * 1024);
  await env.query("DELETE FROM listing_count WHERE facet LIKE '=long%'");
  assert.deepStrictEqual((await ask({})).facets, before);
});

test('CAT-3 listings and kept counts that a release before this one left wrong are mended while the shop goes on', async () => {
  const broken = [
    // As servers of a release that did not know the keys wrote them, and what else can go wrong with derived tables.
    "UPDATE listing_place SET keys = '{}' WHERE product_id IN (SELECT id FROM product WHERE name LIKE 'Plank 1%')",
    "DELETE FROM listing_place WHERE product_id = (SELECT id FROM product WHERE name = 'Plank 22')",
    "UPDATE listing SET card = '{}', price_minor = 1 WHERE product_id = (SELECT id FROM product WHERE name = 'Plank 23')",
    `WITH ended AS (UPDATE product SET state = 'archived' WHERE name = 'Plank 24' RETURNING id) SELECT FROM ended`,
    "UPDATE listing_count SET count = count + 3 WHERE key IN (0, -1)",
    "DELETE FROM listing_count WHERE facet = '=grain'",
    "INSERT INTO listing_count (list_id, currency, key, facet, count) SELECT list_id, currency, 13, 'price', 5 FROM listing_count WHERE key = 0 ON CONFLICT DO NOTHING",
  ];
  for (const statement of broken) await env.query(statement);
  assert.deepStrictEqual([...new Set((await env.violations()).map(({ invariant }) => invariant))].sort(), ['catalog_counts_are_true', 'catalog_listing_is_what_products_say']);

  const runs = async () => (await env.query("SELECT count(*)::int AS n FROM task WHERE name = 'listing_recount' AND state = 'done'"))[0].n;
  const before = await runs();
  assert.strictEqual((await env.run('tasks', 'run', 'listing_relist')).code, 0);
  const editing = { goesOn: true };
  const edited = (async () => { // somebody changes a product meanwhile, which moves counts
    const path = { product_id: shelf.at(-1).id };
    for (let n = 0; editing.goesOn; n += 1) {
      const { headers } = await manager.api.call('managed_product_show', { path, expect: 200 });
      await manager.api.call('product_update', { path, headers: { 'if-match': headers.etag }, body: { brand: `Brand ${n % 7}` }, expect: 200 });
    }
  })();
  await poll(async () => await runs() > before, { what: 'the last lists counted', timeoutMs: 60000 });
  editing.goesOn = false;
  await edited;
  await env.verify();
  await fold();
  await env.verify();
});

test('CAT-3 values that are neither common nor rare get lists, which follow every change and go when they are not worth it any more', async () => {
  const bounds = (least, oneIn) => env.query(`CREATE OR REPLACE FUNCTION listing_value_bounds() RETURNS TABLE (least_products bigint, one_in bigint)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT ${least}::bigint, ${oneIn}::bigint $$`);
  const rounds = async () => (await env.query("SELECT count(*)::int AS n FROM task WHERE name = 'listing_recount' AND state = 'done'"))[0].n;
  const round = async () => {
    const earlier = await rounds();
    assert.strictEqual((await env.run('tasks', 'run', 'listing_relist')).code, 0);
    await poll(async () => await rounds() > earlier, { what: 'a round', timeoutMs: 60000 });
    await env.verify();
  };
  const listed = async (state) => (await env.query('SELECT facet || value AS name FROM listing_value JOIN listing_key_name USING (key) WHERE state = $1', [state])).map(({ name }) => name);
  const places = async (value) => (await env.query("SELECT count(*)::int AS n FROM listing_place WHERE list_id = listing_of_key(listing_key('attribute ' || $1))", [value]))[0].n;
  const change = async ({ id }, body) => {
    const path = { product_id: id };
    const { headers } = await manager.api.call('managed_product_show', { path, expect: 200 });
    await manager.api.call('product_update', { path, headers: { 'if-match': headers.etag }, body, expect: 200 });
  };

  await bounds(5, 20); // of some 1,230 products all but the 1,200 of pine
  await round();
  assert.ok((await listed('filling')).includes('=grainash'), 'chosen');
  assert.deepStrictEqual(await listed('ready'), [], 'and not read before a whole round knew of it');
  await round();
  const ready = await listed('ready');
  assert.ok(['=grainash', '=shaperound', '=colourred'].every((name) => ready.includes(name)), `${ready}`);
  assert.ok(!ready.includes('=grainpine') && !ready.includes('=grainrare'), `${ready}`);
  const before = await places('grain=ash');
  assert.ok(before >= 5);
  const all = [{ grain: 'ash' }, { grain: 'elm: red', shape: 'round' }, { shape: 'square', colour: 'red' }, { grain: 'pine' }];
  for (const values of all) await pagesAreRight(values);

  const moved = shelf.find(({ attributes }) => attributes.grain === 'ash');
  await change(moved, { attributes: { ...moved.attributes, grain: 'elm: red' } });
  assert.strictEqual(await places('grain=ash'), before - 1);
  const gone = shelf.find(({ attributes, id }) => attributes.grain === 'ash' && id !== moved.id);
  await manager.api.call('product_archive', { path: { product_id: gone.id }, expect: 200 });
  assert.strictEqual(await places('grain=ash'), before - 2);
  await env.verify();
  for (const values of all) await pagesAreRight(values);

  // The list is what is read; what it lost is found and mended.
  await env.query("DELETE FROM listing_place WHERE list_id = listing_of_key(listing_key('attribute grain=ash'))");
  assert.deepStrictEqual((await env.api.call('product_list', { query: { attribute: ['grain:ash'] }, expect: 200 })).body.items, []);
  assert.deepStrictEqual((await env.violations()).map(({ invariant }) => invariant).slice(0, 1), ['catalog_listing_is_what_products_say']);
  await round();
  for (const values of all) await pagesAreRight(values);

  await bounds(100000, 20);
  await round();
  assert.deepStrictEqual([await listed('ready'), await listed('filling')], [[], []]);
  for (const values of all) await pagesAreRight(values);
  await round();
  assert.deepStrictEqual(await listed('leaving'), []);
  assert.strictEqual(await places('grain=ash'), 0);
});
