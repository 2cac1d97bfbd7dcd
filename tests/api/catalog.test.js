'use strict';
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { Environment, makePerson, poll } = require('../harness');
const { makeCategory, makeLocation, makeProduct, unique, SVG } = require('../harness/shelf');
const { relist } = require('../harness/goods');

let env, manager, vendor, other, category;

before(async () => {
  env = await Environment.start({ settings: { cache_entries: 0 } });
  manager = await makePerson(env, 'manager');
  vendor = await makePerson(env, 'vendor');
  other = await makePerson(env, 'vendor');
  category = await makeCategory(manager);
});
after(async () => { await env?.stop(); });

const managed = async (who, id) => who.api.call('managed_product_show', { path: { product_id: id }, expect: 200 });
const edit = async (who, id, body, expect = 200) => {
  const { headers } = await managed(who, id);
  return who.api.call('product_update', { path: { product_id: id }, headers: { 'if-match': headers.etag }, body, expect });
};
const list = async (query, more = {}) => (await env.api.call('product_list', { query, expect: 200, ...more })).body;
const names = (page) => page.items.map(({ name }) => name);

/** All pages of a listing, by its cursors. */
async function all(query, limit) {
  const found = [];
  for (let cursor; ;) {
    const page = await list({ ...query, limit, cursor });
    assert.ok(page.items.length <= limit);
    found.push(...page.items);
    if (!page.next_cursor) return found;
    cursor = page.next_cursor;
  }
}

test('CAT-1 a draft becomes a product on sale with variants, options, attributes and pictures', async () => {
  await manager.api.call('attribute_put', { path: { code: 'fabric' }, body: { label: 'Fabric', type: 'choice', choices: ['wool', 'silk'] }, expect: 200 });
  await manager.api.call('attribute_put', { path: { code: 'litres' }, body: { label: 'Litres', type: 'number' }, expect: 200 });
  await manager.api.call('attribute_put', { path: { code: 'tint' }, body: { label: 'Tint', type: 'colour' }, expect: 200 });
  await manager.api.call('attribute_put', { path: { code: 'washable' }, body: { label: 'Washable', type: 'boolean' }, expect: 200 });
  await manager.api.call('attribute_put', { path: { code: 'origin' }, body: { label: 'Origin', type: 'text' }, expect: 200 });
  const { body: known } = await env.api.call('attribute_list', { expect: 200 });
  assert.deepStrictEqual(known.items.find(({ code }) => code === 'fabric'), { code: 'fabric', label: 'Fabric', type: 'choice', choices: ['wool', 'silk'] });

  const attributes = { fabric: 'silk', litres: 20.5, tint: '#1f2a44', washable: true, origin: '香港' };
  const { body: draft, headers } = await vendor.api.call('product_create', { expect: 201,
    body: { category_id: category, name: 'Café Scarf', brand: 'Aubade', description: 'Soft.', attributes: { ...attributes, tint: '#1f2A44' }, options: ['size', 'colour'] } });
  assert.strictEqual(draft.state, 'draft');
  assert.match(draft.slug, /^cafe-scarf-[0-9a-f]{6}$/);
  assert.strictEqual(headers.etag, '"1"');
  await env.api.call('product_show', { path: { product: draft.id }, expect: 404 });

  const refused = await vendor.api.call('product_publish', { path: { product_id: draft.id }, expect: 409 });
  assert.deepStrictEqual(refused.body.errors.map(({ field }) => field), ['variants', 'media']);
  const made = [];
  for (const [position, [size, colour]] of [['M', 'navy'], ['L', 'navy'], ['L', 'rust']].entries()) {
    const { body } = await vendor.api.call('variant_create', { path: { product_id: draft.id }, body: { sku: `SC-${unique()}`, options: { size, colour }, position, weight_grams: 90 }, expect: 201 });
    made.push(body.variant_id);
  }
  const unpriced = await vendor.api.call('product_publish', { path: { product_id: draft.id }, expect: 409 });
  assert.deepStrictEqual(unpriced.body.errors.map(({ field }) => field), ['prices', 'media']);
  for (const variant of made) await vendor.api.call('price_create', { path: { variant_id: variant }, body: { currency: 'HKD', amount_minor: 39900 }, expect: 201 });
  const { body: picture } = await vendor.api.call('media_create', { path: { product_id: draft.id }, query: { alt: 'A scarf' }, body: SVG, contentType: 'image/svg+xml', expect: 201 });
  await vendor.api.call('product_publish', { path: { product_id: draft.id }, expect: 200 });
  const again = await vendor.api.call('product_publish', { path: { product_id: draft.id }, expect: 200 });
  assert.strictEqual(again.body.state, 'published');

  for (const product of [draft.id, draft.slug]) {
    const { body: shown } = await env.api.call('product_show', { path: { product }, expect: 200 });
    assert.deepStrictEqual(Object.fromEntries(shown.attributes.map(({ code, value }) => [code, value])), attributes);
    assert.deepStrictEqual(shown.options, [{ code: 'size', values: ['M', 'L'] }, { code: 'colour', values: ['navy', 'rust'] }]);
    assert.deepStrictEqual(shown.variants.map(({ title }) => title), ['Café Scarf (M, navy)', 'Café Scarf (L, navy)', 'Café Scarf (L, rust)']);
    assert.deepStrictEqual(shown.variants.map(({ stock }) => stock), ['out_of_stock', 'out_of_stock', 'out_of_stock']);
    assert.deepStrictEqual(shown.variants[0].prices, [{ currency: 'HKD', amount_minor: 39900, compare_at_minor: null, valid_until: null, points: 3990 }]);
    assert.deepStrictEqual(shown.media, [{ ...picture }]);
    assert.deepStrictEqual(shown.categories.map(({ id }) => id), [category]);
  }
  await vendor.api.call('product_archive', { path: { product_id: draft.id }, expect: 200 });
  await env.api.call('product_show', { path: { product: draft.id }, expect: 404 });
  await vendor.api.call('product_publish', { path: { product_id: draft.id }, expect: 200 });
  await env.verify();
});

test('CAT-1 attributes and options that do not fit their definitions are told one by one', async () => {
  const body = (attributes) => ({ category_id: category, name: 'Wrong', attributes });
  const wrong = { fabric: 'felt', litres: 'many', tint: 'red', washable: 'yes', origin: '', unheard_of: 1 };
  const { body: problem } = await vendor.api.call('product_create', { body: body(wrong), expect: 400 });
  assert.deepStrictEqual(problem.errors.map(({ field }) => field).sort(), Object.keys(wrong).map((code) => `attributes.${code}`).sort());
  await vendor.api.call('product_create', { body: { category_id: category.replace(/.$/, (c) => (c === '0' ? '1' : '0')), name: 'Nowhere' }, expect: 400 });
  await vendor.api.call('product_create', { body: { category_id: category, name: 'Extra', colour: 'red' }, invalid: true, expect: 400 });

  const product = await makeProduct(vendor, category, { colours: ['red', 'blue'] });
  const variant = (options, expect) => vendor.api.call('variant_create', { path: { product_id: product.id }, body: { sku: `X-${unique()}`, options }, expect });
  assert.deepStrictEqual((await variant({}, 400)).body.errors.map(({ field }) => field), ['options.colour']);
  assert.deepStrictEqual((await variant({ colour: 'green', size: 'M' }, 400)).body.errors.map(({ field }) => field), ['options.size']);
  assert.deepStrictEqual((await variant({ colour: 'red' }, 409)).body.errors.map(({ field }) => field), ['options']);
  await variant({ colour: 'green' }, 201); // which waits for its first price
  const cannot = await edit(vendor, product.id, { options: ['size'] }, 409);
  assert.strictEqual(cannot.body.errors[0].field, 'options');
});

test('CAT-1 an attribute keeps its type, and its choices only grow', async () => {
  const put = (body, expect) => manager.api.call('attribute_put', { path: { code: 'finish' }, body: { label: 'Finish', ...body }, expect });
  await put({ type: 'choice', choices: ['matt'] }, 200);
  await put({ type: 'choice', choices: ['matt', 'gloss'] }, 200);
  await put({ type: 'choice', choices: ['gloss'] }, 409);
  await put({ type: 'text' }, 409);
  await put({ type: 'choice' }, 400);
  await put({ type: 'number', choices: ['1'] }, 400);
});

test('CAT-1 edits name the version they were made from', async () => {
  const product = await makeProduct(vendor, category, { colours: ['red'] });
  const { headers, body: before } = await managed(vendor, product.id);
  const change = (options) => vendor.api.call('product_update', { path: { product_id: product.id }, ...options });
  await change({ body: { name: 'No version' }, expect: 428 });
  const { body, headers: after } = await change({ headers: { 'if-match': headers.etag }, body: { name: 'Renamed', brand: 'Own', description: 'x' }, expect: 200 });
  assert.strictEqual(body.version, before.version + 1);
  assert.strictEqual(after.etag, `"${body.version}"`);
  assert.deepStrictEqual(body.variants.map(({ title }) => title), ['Renamed (red)']);
  await change({ headers: { 'if-match': headers.etag }, body: { name: 'Too late' }, expect: 412 });
  const { body: cleared } = await change({ headers: { 'if-match': after.etag }, body: { brand: null }, expect: 200 });
  assert.strictEqual(cleared.brand, null);
  await vendor.api.call('managed_product_show', { path: { product_id: product.id }, headers: { 'if-none-match': '"3"' }, expect: [200, 304] });
  await change({ headers: { 'if-match': after.etag }, body: {}, invalid: true, expect: 400 });

  const [variant] = product.variants;
  await vendor.api.call('variant_update', { path: { variant_id: variant }, body: { position: 3 }, expect: 428 });
  const current = (await managed(vendor, product.id)).headers.etag;
  const last = await vendor.api.call('variant_update', { path: { variant_id: variant }, headers: { 'if-match': current }, body: { state: 'archived' }, expect: 409 });
  assert.match(last.body.detail, /last variant/);
  await vendor.api.call('variant_update', { path: { variant_id: variant }, headers: { 'if-match': current }, body: { weight_grams: 5, position: 2 }, expect: 200 });
  await env.verify();
});

test('CAT-1 pictures: type and size are checked, they are kept for ever, and drawings run in a sandbox', async () => {
  const product = await makeProduct(vendor, category);
  const send = (body, contentType, expect, more) => vendor.api.call('media_create', { path: { product_id: product.id }, body, contentType, expect, ...more });
  const png = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(40)]);
  const { body: made } = await send(png, 'image/png', 201);
  const shown = await env.api.get(made.url);
  assert.strictEqual(shown.status, 200);
  assert.deepStrictEqual(shown.bytes, png);
  assert.match(shown.headers['cache-control'], /immutable/);
  assert.strictEqual((await env.api.get(made.url, { headers: { 'if-none-match': shown.headers.etag } })).status, 304);
  await env.api.call('media_show', { path: { media_id: made.id }, expect: 200 });
  assert.strictEqual((await env.api.get(made.url, { headers: { 'if-none-match': '"another"' } })).status, 200);
  await env.api.call('media_show', { path: { media_id: `med_${'0'.repeat(32)}` }, expect: 404 });

  const { body: { media } } = await managed(vendor, product.id);
  const drawing = await env.api.get(media.find(({ content_type: type }) => type === 'image/svg+xml').url);
  assert.match(drawing.headers['content-security-policy'], /sandbox/);
  assert.strictEqual(drawing.headers['content-type'], 'image/svg+xml');
  await send(Buffer.from('GIF89a'), 'image/png', 415);
  await send(Buffer.from('<html><script>1</script></html>'), 'image/svg+xml', 415);
  await send(Buffer.alloc(1048577, 1), 'image/png', 413);

  // Words beside the picture are part of the request: the same key with others makes nothing and says so.
  const described = { query: { alt: 'A scarf' }, key: 'one-picture' };
  const { body: first } = await send(png, 'image/png', 201, described);
  assert.strictEqual((await send(png, 'image/png', 201, described)).body.id, first.id);
  assert.strictEqual((await send(png, 'image/png', 422, { ...described, query: { alt: 'A hat' } })).body.code, 'idempotency_key_reused');
  await vendor.api.call('media_delete', { path: { media_id: first.id }, expect: 204 });

  await vendor.api.call('media_delete', { path: { media_id: made.id }, expect: 204 });
  await env.api.call('media_show', { path: { media_id: made.id }, expect: 404 });
  // Whoever kept it is told as well that it is gone, and who never had it.
  for (const id of [made.id, `med_${'0'.repeat(32)}`]) {
    const gone = await env.api.get(`/media/${id}`, { headers: { 'if-none-match': `"${id}"` } });
    assert.strictEqual(gone.status, 404);
    assert.strictEqual(gone.headers.etag, undefined);
  }
  const remaining = media.find(({ id }) => id !== made.id);
  await vendor.api.call('media_delete', { path: { media_id: remaining.id }, expect: 409 });
});

test('CAT-1 categories are a tree that staff keep', async () => {
  const root = await makeCategory(manager, { name: 'Zoo', position: 9 });
  const leaf = await makeCategory(manager, { name: 'Apes', parent_id: root });
  const { body } = await env.api.call('category_list', { expect: 200 });
  const at = (id) => body.items.findIndex((item) => item.id === id);
  assert.strictEqual(at(leaf), at(root) + 1);
  assert.deepStrictEqual([body.items[at(leaf)].depth, body.items[at(leaf)].parent_id], [1, root]);
  const { headers } = await vendor.api.call('category_show', { path: { category_id: leaf }, expect: 200 });
  const rename = (etag, expect) => manager.api.call('category_update', { path: { category_id: leaf }, headers: etag ? { 'if-match': etag } : {}, body: { name: 'Monkeys' }, expect });
  await rename(null, 428);
  assert.strictEqual((await rename(headers.etag, 200)).body.name, 'Monkeys');
  await rename(headers.etag, 412);
  await manager.api.call('category_create', { body: { slug: body.items[0].slug, name: 'Twice' }, expect: 409 });
  await manager.api.call('category_create', { body: { slug: `orphan-${unique()}`, name: 'Orphan', parent_id: `cat_${'0'.repeat(32)}` }, expect: 400 });
  await manager.api.call('category_show', { path: { category_id: `cat_${'0'.repeat(32)}` }, expect: 404 });
  let deep = leaf;
  for (let depth = 2; depth < 6; depth += 1) deep = await makeCategory(manager, { parent_id: deep });
  await manager.api.call('category_create', { body: { slug: `deep-${unique()}`, name: 'Too deep', parent_id: deep }, expect: 409 });
});

test('CAT-3 a listing filters by category, vendor, brand, price, attribute, option and stock', async () => {
  const root = await makeCategory(manager);
  const leaf = await makeCategory(manager, { parent_id: root });
  const location = await makeLocation(vendor);
  await makeProduct(vendor, leaf, { name: 'Alpha', brand: 'Left', prices: { HKD: 1000, USD: 130 }, attributes: { fabric: 'wool' }, colours: ['red'], stock: 9, location });
  await makeProduct(vendor, root, { name: 'Beta', brand: 'Right', prices: { HKD: 2000 }, attributes: { fabric: 'silk' }, colours: ['red', 'teal'] });
  await makeProduct(other, leaf, { name: 'Gamma', brand: 'Left', prices: { HKD: 3000, USD: 390 }, attributes: { fabric: 'wool', washable: true } });
  const found = async (query) => names(await list({ category_id: root, sort: 'name', ...query }));
  // Stock reaches the listing by a task.
  await poll(async () => (await found({ in_stock: true })).length === 1, { what: 'stock to reach the listing' });
  assert.deepStrictEqual(await found({}), ['Alpha', 'Beta', 'Gamma']);
  assert.deepStrictEqual(await found({ category_id: leaf }), ['Alpha', 'Gamma']);
  assert.deepStrictEqual(await found({ vendor_id: `ven_${other.vendorId.replace(/-/g, '')}` }), ['Gamma']);
  assert.deepStrictEqual(await found({ brand: 'Left' }), ['Alpha', 'Gamma']);
  assert.deepStrictEqual(await found({ price_min: 1500, price_max: 3000 }), ['Beta', 'Gamma']);
  assert.deepStrictEqual(await found({ currency: 'USD' }), ['Alpha', 'Gamma']);
  assert.deepStrictEqual(await found({ currency: 'USD', price_max: 200 }), ['Alpha']);
  assert.deepStrictEqual(await found({ attribute: ['fabric:wool'] }), ['Alpha', 'Gamma']);
  assert.deepStrictEqual(await found({ attribute: ['fabric:wool', 'washable:true'] }), ['Gamma']);
  assert.deepStrictEqual(await found({ attribute: ['colour:teal'] }), ['Beta']);
  assert.deepStrictEqual(await found({ in_stock: true }), ['Alpha']);
  assert.deepStrictEqual(await found({ sort: 'price_desc' }), ['Gamma', 'Beta', 'Alpha']);
  assert.deepStrictEqual(await found({ sort: 'price_asc' }), ['Alpha', 'Beta', 'Gamma']);
  assert.deepStrictEqual(await found({ sort: 'newest' }), ['Gamma', 'Beta', 'Alpha']);
  assert.deepStrictEqual(await found({ brand: "'; DROP TABLE listing; --" }), []);
  const [card] = (await list({ category_id: root, sort: 'name', limit: 1 })).items;
  assert.deepStrictEqual([card.price_minor, card.stock, card.currency, card.image.alt], [1000, 'in_stock', 'HKD', 'Alpha']);
});

test('CAT-3 API-3 pages by cursor hold every product once in every order, also where keys are equal', async () => {
  const shelf = await makeCategory(manager);
  const made = [];
  for (let i = 0; i < 13; i += 1) made.push((await makeProduct(vendor, shelf, { name: `Same name ${i % 3}`, prices: { HKD: 100 * (1 + (i % 4)) } })).id);
  await env.query("UPDATE product SET published_at = date_trunc('day', now()) WHERE category_id = (SELECT category_id FROM product WHERE id = $1)", [uuid(made[0])]);
  for (const id of made) await relist(env.db, uuid(id));
  const ascending = { price_asc: (a, b) => a.price_minor - b.price_minor, price_desc: (a, b) => b.price_minor - a.price_minor, name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0) };
  for (const sort of ['newest', 'price_asc', 'price_desc', 'name', 'relevance']) {
    const query = { category_id: shelf, sort, ...(sort === 'relevance' ? { q: 'same name' } : {}) };
    for (const limit of [1, 4, 100]) {
      const items = await all(query, limit);
      assert.deepStrictEqual(items.map(({ id }) => id).sort(), [...made].sort(), `${sort} by ${limit}`);
      if (ascending[sort]) for (let i = 1; i < items.length; i += 1) assert.ok(ascending[sort](items[i - 1], items[i]) <= 0);
    }
  }
});

const uuid = (wire) => wire.slice(4).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

test('API-3 a cursor that was altered or belongs to another list is refused, and does no harm', async () => {
  const shelf = await makeCategory(manager);
  for (let i = 0; i < 3; i += 1) await makeProduct(vendor, shelf);
  const { next_cursor: cursor } = await list({ category_id: shelf, sort: 'name', limit: 1 });
  const refused = async (query) => {
    const { body } = await env.api.call('product_list', { query: { category_id: shelf, limit: 1, ...query }, expect: 400 });
    assert.deepStrictEqual(body.errors.map(({ field }) => field), ['cursor']);
  };
  for (let at = 0; at < cursor.length; at += 7) {
    const letter = cursor[at] === 'A' ? 'B' : 'A';
    await refused({ sort: 'name', cursor: cursor.slice(0, at) + letter + cursor.slice(at + 1) });
  }
  await refused({ sort: 'newest', cursor });
  for (const wrong of ['x', '!!!', cursor.slice(0, -1), `${cursor}AA`, 'A'.repeat(400)]) await refused({ sort: 'name', cursor: wrong });
  await env.api.call('vendor_list', { query: { cursor }, expect: 400 });
  await vendor.api.call('managed_product_list', { query: { cursor }, expect: 400 });
});

test('CAT-3 search finds words, stems, Chinese, and words that were typed wrongly', async () => {
  const shelf = await makeCategory(manager);
  const make = (name, description) => makeProduct(vendor, shelf, { name, description, brand: 'Findable' });
  await make('Zephyrine Suitcase', 'Wheels that roll.');
  await make('Zephyrine Carrier 登機箱', '輕巧的黑色行李箱');
  await make('Plain Notebook', 'Takes notes about a zephyrine sky.');
  const found = async (q, more) => names(await list({ q, category_id: shelf, ...more }));
  assert.deepStrictEqual((await found('zephyrine')).length, 3);
  assert.strictEqual((await found('zephyrine'))[2], 'Plain Notebook', 'names weigh more than descriptions');
  assert.deepStrictEqual(await found('suitcases'), ['Zephyrine Suitcase']);
  assert.deepStrictEqual(await found('zephyrine rolling'), ['Zephyrine Suitcase']);
  assert.deepStrictEqual(await found('登機箱'), ['Zephyrine Carrier 登機箱']);
  assert.deepStrictEqual(await found('行李'), ['Zephyrine Carrier 登機箱']);
  assert.deepStrictEqual(await found('zephyrine 機箱'), ['Zephyrine Carrier 登機箱']);
  assert.deepStrictEqual(await found('suitcsae'), ['Zephyrine Suitcase']);
  assert.deepStrictEqual(await found('zephirine', { sort: 'relevance', limit: 1 }).then((some) => some.length), 1);
  assert.deepStrictEqual(await found('xylophonequartz'), []);
  for (const odd of ["'", '"', '& | ! ( )', '\\', '%', ':*', '箱', 'a'.repeat(100), '<->', '\u{1f9f3}']) await found(odd);
  const similar = await all({ q: 'zephirine', category_id: shelf }, 1);
  assert.strictEqual(similar.length, 3, 'a search for what was probably meant goes on from page to page');
});

test('CAT-4 a vendor sees and changes nothing of another vendor', async () => {
  const product = await makeProduct(vendor, category);
  const [variant] = product.variants;
  const { body: { media: [picture] }, headers } = await managed(vendor, product.id);
  const ifMatch = { 'if-match': headers.etag };
  const attempts = {
    managed_product_show: { path: { product_id: product.id } },
    product_update: { path: { product_id: product.id }, headers: ifMatch, body: { name: 'Mine now' } },
    product_publish: { path: { product_id: product.id } },
    product_archive: { path: { product_id: product.id } },
    variant_create: { path: { product_id: product.id }, body: { sku: `THEFT-${unique()}` } },
    variant_update: { path: { variant_id: variant }, headers: ifMatch, body: { position: 1 } },
    media_create: { path: { product_id: product.id }, body: SVG, contentType: 'image/svg+xml' },
    media_delete: { path: { media_id: picture.id } },
    price_list: { path: { variant_id: variant } },
    price_create: { path: { variant_id: variant }, body: { currency: 'HKD', amount_minor: 1 } },
    vendor_show: { path: { vendor_id: `ven_${vendor.vendorId.replace(/-/g, '')}` } },
  };
  for (const [operation, call] of Object.entries(attempts)) {
    const { body } = await other.api.call(operation, { ...call, expect: 404 });
    assert.strictEqual(body.code, 'not_found', operation);
  }
  assert.strictEqual((await managed(vendor, product.id)).headers.etag, headers.etag, 'nothing has changed');
  const mine = async (who, query) => (await who.api.call('managed_product_list', { query: { limit: 100, ...query }, expect: 200 })).body.items;
  assert.ok((await mine(vendor)).some(({ id }) => id === product.id));
  assert.ok(!(await mine(other)).some(({ id }) => id === product.id));
  assert.deepStrictEqual(await mine(other, { vendor_id: `ven_${vendor.vendorId.replace(/-/g, '')}` }), []);
  assert.ok((await mine(manager, { vendor_id: `ven_${vendor.vendorId.replace(/-/g, '')}`, state: 'published' })).some(({ id }) => id === product.id));
  const foreign = await other.api.call('product_create', { body: { category_id: category, name: 'Foreign', vendor_id: `ven_${vendor.vendorId.replace(/-/g, '')}` }, expect: 400 });
  assert.strictEqual(foreign.body.errors[0].field, 'vendor_id');
  await manager.api.call('product_create', { body: { category_id: category, name: 'Whose?' }, expect: 400 });
  await manager.api.call('product_create', { body: { category_id: category, name: 'Theirs', vendor_id: `ven_${vendor.vendorId.replace(/-/g, '')}` }, expect: 201 });
  await vendor.api.call('vendor_show', { path: { vendor_id: `ven_${vendor.vendorId.replace(/-/g, '')}` }, expect: 200 });
});

test('CAT-4 what a closed vendor sells is off sale until it is open again', async () => {
  const { body: made, headers } = await manager.api.call('vendor_create', { body: { slug: `closing-${unique()}`, name: 'Closing' }, expect: 201 });
  const seller = await makePerson(env, 'vendor', { vendorId: uuid(made.id) });
  const product = await makeProduct(seller, category);
  assert.strictEqual((await list({ vendor_id: made.id })).items.length, 1);
  const set = (state, etag, expect = 200) => manager.api.call('vendor_update', { path: { vendor_id: made.id }, headers: etag ? { 'if-match': etag } : {}, body: { state }, expect });
  await set('closed', null, 428);
  const closed = await set('closed', headers.etag);
  await set('active', headers.etag, 412);
  await env.api.call('product_show', { path: { product: product.id }, expect: 404 });
  await poll(async () => (await list({ vendor_id: made.id })).items.length === 0, { what: 'the listing to follow' });
  await seller.api.call('product_create', { body: { category_id: category, name: 'More' }, expect: 400 });
  await set('active', closed.headers.etag);
  await poll(async () => (await list({ vendor_id: made.id })).items.length === 1, { what: 'the listing to follow' });
  const vendors = await all_vendors();
  assert.ok(vendors.includes(made.id));
  await manager.api.call('vendor_create', { body: { slug: made.slug, name: 'Twice' }, expect: 409 });
  await manager.api.call('vendor_show', { path: { vendor_id: `ven_${'0'.repeat(32)}` }, expect: 404 });
  await env.verify();
});

async function all_vendors() {
  const ids = [];
  for (let cursor; ;) {
    const { body } = await env.api.call('vendor_list', { query: { limit: 2, cursor }, expect: 200 });
    ids.push(...body.items.map(({ id }) => id));
    if (!body.next_cursor) return ids;
    cursor = body.next_cursor;
  }
}

test('CHK-3 the same key makes a product once', async () => {
  const key = `make-${unique()}`;
  const body = { category_id: category, name: 'Once' };
  const first = await vendor.api.call('product_create', { key, body, expect: 201 });
  const second = await vendor.api.call('product_create', { key, body, expect: 201 });
  assert.strictEqual(second.body.id, first.body.id);
  await vendor.api.call('product_create', { key, body: { ...body, name: 'Another' }, expect: 422 });
  const names409 = await vendor.api.call('product_create', { body: { ...body, slug: first.body.slug }, expect: 409 });
  assert.strictEqual(names409.body.errors[0].field, 'slug');
});
