'use strict';
// CAT-3: searches among many products, where samples of them and pairs of words are asked first. What is found has the words, whichever way it was found.
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { Environment, makePerson } = require('../harness');
const { relist } = require('../harness/goods');
const { makeCategory, makeProduct } = require('../harness/shelf');

let env;
const shelf = []; // {name, description} of each product
const MOST = 60; // that a search shows

before(async () => {
  env = await Environment.start({ settings: { cache_entries: 0 } });
  const manager = await makePerson(env, 'manager');
  const vendor = await makePerson(env, 'vendor');
  await makeProduct(vendor, await makeCategory(manager, { name: 'Lights' }), { name: 'Model', prices: { HKD: 5000 } });
  for (let n = 0; n < 2400; n += 1) {
    shelf.push({ name: [n % 3 ? 'amber' : 'cobalt', n % 40 ? 'lantern' : 'gully', n % 400 ? '' : 'heron', `no${n}`].filter(Boolean).join(' '),
      description: [n % 4 ? 'Bright' : 'Gully bright', n % 600 === 1 ? 'heron' : '', n % 2 ? 'lantern amber' : 'thing'].join(' ') });
  }
  // Set-based: ids end as if drawn, and so does the choice of the samples.
  await env.query(`
    WITH made AS (
      INSERT INTO product (id, vendor_id, category_id, category_path, slug, name, description, state, published_at)
      SELECT (left(uuid_floor(now() + n * interval '1 ms')::text, 24) || left(md5(n::text), 12))::uuid, p.vendor_id, p.category_id, p.category_path, 'light-' || n, m.name,
             m.description, 'published', now() - n * interval '1 min'
      FROM product p, unnest($1::text[], $2::text[]) WITH ORDINALITY m(name, description, n) WHERE p.name = 'Model'
      RETURNING id, vendor_id, slug),
    sold AS (INSERT INTO variant (id, product_id, vendor_id, sku, title) SELECT id, id, vendor_id, upper(slug), slug FROM made)
    INSERT INTO price (id, variant_id, currency, amount_minor, valid_from)
    SELECT md5(id || currency)::uuid, id, currency, 700, now() - interval '1 hour' FROM made, unnest('{HKD,USD}'::text[]) currency`, [shelf.map(({ name }) => name), shelf.map(({ description }) => description)]);
  await relist(env, (await env.query("SELECT id FROM product WHERE slug LIKE 'light-%'")).map(({ id }) => id));
});
after(async () => { await env?.stop(); });

/** All pages of a search. */
async function search(q, more, limit = 25) {
  const items = [];
  for (let cursor; cursor !== null;) {
    const { body } = await env.api.call('product_list', { query: { q, limit, ...(cursor && { cursor }), ...more }, expect: 200 });
    items.push(...body.items);
    cursor = body.next_cursor;
  }
  assert.strictEqual(new Set(items.map(({ id }) => id)).size, items.length, `${q}: nothing twice`);
  return items.map(({ name }) => name);
}

const texts = () => new Map(shelf.map(({ name, description }) => [name, `${name} ${description}`.toLowerCase()]));
const having = (...words) => [...texts()].filter(([, text]) => words.every((word) => text.split(' ').includes(word))).map(([name]) => name);

test('CAT-3 a search for one word, or for several, shows sixty that have them all, or all where there are fewer', async () => {
  for (const words of [['lantern'], ['amber'], ['gully'], ['heron'], ['amber', 'lantern'], ['lantern', 'amber'], ['cobalt', 'gully'], ['amber', 'gully'], ['heron', 'amber'],
    ['heron', 'gully', 'cobalt'], ['amber', 'bright', 'lantern'], ['gully', 'bright'], ['no77', 'lantern'], ['no77', 'no78'], ['thing', 'no44']]) {
    for (const currency of ['HKD', 'USD']) {
      const found = await search(words.join(' '), { currency });
      const right = having(...words);
      assert.strictEqual(found.length, Math.min(MOST, right.length), `${words} in ${currency}`);
      assert.deepStrictEqual(found.filter((name) => !right.includes(name)), [], `${words} in ${currency}`);
    }
  }
});

test('CAT-3 products with both words in their names come before those that describe themselves so', async () => {
  const inNames = having('amber', 'gully').filter((name) => /amber gully/.test(name));
  assert.ok(inNames.length > 20 && inNames.length < MOST, `${inNames.length}`);
  const [first] = await search('amber gully', {}, 1);
  assert.match(first, /amber/);
  const many = await search('amber lantern');
  assert.deepStrictEqual(many.filter((name) => !/amber lantern/.test(name)), [], 'enough have both in their names');
});

test('CAT-3 words side by side, words that must not be there, and either of two', async () => {
  const names = texts();
  const check = async (q, fits) => {
    const right = [...names].filter(([, text]) => fits(text)).map(([name]) => name);
    const found = await search(q);
    assert.strictEqual(found.length, Math.min(MOST, right.length), q);
    assert.deepStrictEqual(found.filter((name) => !right.includes(name)), [], q);
  };
  await check('"lantern amber"', (text) => text.includes('lantern amber'));
  await check('"cobalt lantern"', (text) => text.includes('cobalt lantern'));
  await check('"heron lantern"', (text) => text.includes('heron lantern'));
  await check('amber -lantern', (text) => text.includes('amber') && !text.includes('lantern'));
  await check('heron -cobalt', (text) => text.includes('heron') && !text.includes('cobalt'));
  await check('heron or gully', (text) => text.includes('heron') || text.includes('gully'));
});

test('CAT-3 filters apply to what a search finds by samples and by pairs', async () => {
  assert.deepStrictEqual(await search('amber lantern', { price_max: 600 }), []);
  assert.strictEqual((await search('amber lantern', { price_min: 700 })).length, MOST);
  assert.deepStrictEqual(await search('amber lantern', { in_stock: true }), []);
  assert.deepStrictEqual(await search('amber lantern', { brand: 'Nobody' }), []);
});
