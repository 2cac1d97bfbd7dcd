'use strict';
// Texts as people and attackers write them, over every operation that takes some: which ones, and of what kind, the contract says (x-text).
const assert = require('node:assert');
const { test } = require('node:test');
const { shop, makePerson, contract, Sampler } = require('../harness');
const { makeCategory, makeProduct } = require('../harness/shelf');

const env = shop({ roles: ['serve'] });

// Refused in whatever stands in one line.
const HOSTILE = ['a\u0007b', 'a\u009bb', 'a\u202eb', 'a\u2066b', 'a\u200bb', 'a\u200db', 'a\ue000b', 'a\u{e0041}b', `a${'\u0301'.repeat(20)}`, '\u0301a'];
// Nothing to see: refused where something is asked for.
const BLANK = ['   ', '\u3000\u3000\u3000', '\u200b\u200b\u200b', '\u3164\u3164\u3164', '\u2800\u2800\u2800', '\u00a0\t\u2003', '\n\n\n\n'];
const NASTY = {
  token: { refused: ['a\u0007b', 'é', 'a\u200bb'], taken: [], blank: [] },
  identifier: { refused: [...HOSTILE, 'A B', 'A\nB'], taken: ['  ＡＢＣ-1 '], blank: BLANK },
  name: { refused: [...HOSTILE, '---', '…'], taken: ['  Cafe\u0301\u3000王 ', '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645'], blank: BLANK },
  line: { refused: HOSTILE, taken: ['  see\r\nbelow\u3000', '👩\u200d💻'], blank: BLANK },
  free: { refused: ['a\u0007b', 'a\u001b[2Jb', 'a\u202eb', 'a\uffffb'], taken: ['one\r\n\n  two\u200e'], blank: BLANK },
  query: { refused: [], taken: ['cafe\u0301\u200b', 'a\u202eb'], blank: BLANK },
  email: { refused: ['ü@people.example', 'a@b', 'a\u200bb@people.example', 'a@people.example\u202eb', 'a@people.example\r\nBcc: b@people.example'], taken: [' Mail@BÜCHER.example '], blank: BLANK },
  phone: { refused: ['-----', '( ) - - -', '123456\u200b78', '1234567890123456', 'call 555 0100'], taken: ['＋８５２ 5555–0100'], blank: BLANK },
  password: { refused: [], taken: [], blank: [] },
};

/** Every text of a schema: [[path to it], its schema]. */
function textsOf(schema, path = []) {
  const node = contract().schemaOf(schema) ?? {};
  if (node['x-text']) return [[path, node]];
  return [...Object.entries(node.properties ?? {}).flatMap(([name, child]) => textsOf(child, [...path, name])),
    ...(node.items ? textsOf(node.items, [...path, 0]) : [])];
}

/** A copy of the body with the text in its place, and what has to be around it. */
function placed(sampler, schema, body, path, text) {
  if (path.length === 0) return text;
  const node = contract().schemaOf(schema);
  const child = typeof path[0] === 'number' ? node.items : node.properties[path[0]];
  const made = typeof path[0] === 'number' ? [...(body ?? [])] : { ...(body ?? sampler.value(schema)) };
  made[path[0]] = placed(sampler, child, made[path[0]], path.slice(1), text);
  return made;
}

const fieldOf = (path) => path.map((part) => (typeof part === 'number' ? `[${part}]` : part)).join('.').replaceAll('.[', '[');

/** Each place of an operation that takes a text: {field, schema, request(text)}. */
function places(operation) {
  const sampler = new Sampler(contract());
  const base = sampler.request(operation.id);
  const query = operation.parameters.filter((parameter) => parameter.in === 'query').flatMap((parameter) =>
    textsOf(parameter.schema).map(([path, schema]) => ({ field: `${parameter.name}${fieldOf(path)}`, schema,
      request: (text) => ({ ...base, query: { ...base.query, [parameter.name]: path.length ? [text] : text } }) })));
  const { schema: body } = contract().bodyOf(operation.id);
  return [...query, ...(body ? textsOf(body) : []).map(([path, schema]) => ({ field: fieldOf(path), schema,
    request: (text) => ({ ...base, body: placed(sampler, body, base.body, path, text) }) }))];
}

const operations = [...contract().operations.values()].filter((operation) => places(operation).length > 0);

test('WEB-2 every text of every operation is prepared by its kind: what cannot be seen is refused by the name of its field', async (t) => {
  const people = { anonymous: env, partner: env };
  let tried = 0;
  for (const operation of operations) {
    const role = operation.roles[0];
    people[role] ??= await makePerson(env, role);
    await t.test(operation.id, async () => {
      for (const { field, schema, request } of places(operation)) {
        const { refused, taken, blank } = NASTY[schema['x-text']];
        for (const text of [...refused, ...((schema.minLength ?? 0) > 0 ? blank : [])]) {
          const answer = await people[role].api.call(operation.id, { ...request(text), probe: true });
          const said = `${field} ${JSON.stringify(text)}: ${answer.status} ${answer.text.slice(0, 300)}`;
          assert.strictEqual(answer.status, 400, said);
          assert.ok(answer.body.errors?.some((error) => error.field === field && error.reason), said);
          tried += 1;
        }
        for (const text of schema.pattern ? [] : taken) {
          const answer = await people[role].api.call(operation.id, { ...request(text), probe: true });
          assert.ok(answer.status < 500 && !answer.body?.errors?.some((error) => error.field === field), `${field} ${JSON.stringify(text)}: ${answer.text.slice(0, 300)}`);
        }
      }
    });
  }
  assert.ok(tried > 500, `${tried} texts`);
});

test('WEB-2 the decoder counts what is left of a text after its preparation', async () => {
  const person = await makePerson(env);
  const name = (text) => person.api.call('me_update', { body: { name: text }, probe: true });
  assert.strictEqual((await name(`  ${'e\u0301'.repeat(50)}  `)).body.name, 'é'.repeat(50));
  assert.strictEqual((await name(`${'a'.repeat(60)}   ${'b'.repeat(39)}`)).body.name, `${'a'.repeat(60)} ${'b'.repeat(39)}`);
  assert.strictEqual((await name('é'.repeat(101))).status, 400);
  const { body } = await name('a\u202eb');
  assert.deepStrictEqual(body.errors, [{ field: 'name', reason: 'has a control of the direction of writing, U+202E' }]);
});

test('ACC-1 however an address and a password are typed, they are of the same account', async () => {

  const local = `Jo.Bucher.${Date.now().toString(36)}`;
  const { body: made } = await env.api.call('user_register', { body: { email: ` ${local}@Bu\u0308cher.Example`, password: 'cafe\u0301 cre\u0300me\u00a0noir', name: 'Jo' }, expect: 201 });
  assert.strictEqual(made.user.email, `${local.toLowerCase()}@xn--bcher-kva.example`);
  for (const email of [`${local.toUpperCase()}@BÜCHER.EXAMPLE`, made.user.email, `\u3000${local}@b\u00fccher.example`]) {
    const { body } = await env.api.call('session_sign_in', { body: { email, password: 'caf\u00e9 cr\u00e8me noir' }, expect: 200 });
    assert.strictEqual(body.user.id, made.user.id);
  }
  await env.api.call('user_register', { body: { email: `${local}@bücher.example`, password: 'another fine phrase', name: 'Jo' }, expect: 409 });
  const refused = await env.api.call('user_register', { body: { email: 'bücher@people.example', password: 'another fine phrase', name: 'Jo' }, expect: 400 });
  assert.match(refused.body.errors[0].reason, /before the @/);
});

test('ACC-1 passwords that are easily guessed are refused, with the reason', async () => {
  const reasonOf = async (password) => {
    const answer = await env.api.call('user_register', { body: { email: `maria.chan.${Date.now()}@people.example`, password, name: 'Maria Chan' }, expect: 400 });
    return answer.body.errors.find((error) => error.field === 'password').reason;
  };
  assert.match(await reasonOf('passwordpassword'), /common/);
  assert.match(await reasonOf('P@ssw0rd2024'), /common/);
  assert.match(await reasonOf('xyvxyvxyvxyv'), /over and over/);
  assert.match(await reasonOf('mariachan2024!'), /name or the e-mail/);
  assert.match(await reasonOf('e\u0301'.repeat(6)), /fewer than 10/);
});

test('ORD-1 only countries of ISO 3166 are taken', async () => {
  const person = await makePerson(env);
  const body = new Sampler(contract()).request('order_place').body;
  for (const country of ['ZZ', 'XX', 'hk', 'UK', 'H']) {
    const answer = await person.api.call('order_place', { body: { ...body, address: { ...body.address, country } }, invalid: true, expect: 400 });
    assert.ok(answer.body.errors.some((error) => error.field === 'address.country'), `${country}: ${answer.text}`);
  }
});

/** A catalog to write in: {manager, vendor, category, product(more), variant(product, more)}. */
async function desk() {
  const manager = await makePerson(env, 'manager');
  const tag = Date.now().toString(36);
  const { body: category } = await manager.api.call('category_create', { body: { slug: `texts-${tag}`, name: 'Texts' }, expect: 201 });
  const { body: vendor } = await manager.api.call('vendor_create', { body: { slug: `texts-${tag}`, name: 'Texts' }, expect: 201 });
  let number = 0;
  return {
    manager, tag,
    product: async (more) => (await manager.api.call('product_create', { body: { vendor_id: vendor.id, category_id: category.id, name: `Text ${number++}`, ...more }, expect: 201 })).body,
    variant: (product, body, expect) => manager.api.call('variant_create', { path: { product_id: product.id }, body: { sku: `T-${tag}-${number++}`, ...body }, expect }),
  };
}

test('CAT-1 SKUs and options that look alike are refused as the same', async () => {
  const { product, variant, tag, manager } = await desk();
  const made = await product({ options: ['size'] });
  await variant(made, { sku: `Look-${tag}`, options: { size: 'M' } }, 201);
  const sku = await variant(made, { sku: `LOOK-${tag}`, options: { size: 'L' } }, 409);
  assert.strictEqual(sku.body.errors[0].field, 'sku');
  for (const size of ['M ', 'm', '\u3000M', 'Ｍ']) {
    const answer = await variant(made, { options: { size } }, 409);
    assert.strictEqual(answer.body.errors[0].field, 'options', JSON.stringify(size));
  }
  await variant(made, { options: { size: 'caf\u00e9' } }, 201);
  for (const size of ['cafe\u0301', 'CAF\u00c9']) await variant(made, { options: { size } }, 409);
  assert.match((await variant(made, { options: { size: 'a\u202eb' } }, 400)).text, /direction/);
  const other = (await variant(made, { sku: `Other-${tag}`, options: { size: 'XL' } }, 201)).body;
  const renamed = await manager.api.call('variant_update', { path: { variant_id: other.variant_id }, headers: { 'if-match': `"${other.product.version}"` }, body: { sku: `lOOK-${tag}` }, expect: 409 });
  assert.strictEqual(renamed.body.errors[0].field, 'sku');
});

test('CAT-1 rows of before that look alike stay, and are edited as ever', async () => {
  const { product, variant, tag, manager } = await desk();
  const made = await product({ options: ['size'] });
  const old = [];
  for (const [n, size] of ['M', 'm'].entries()) {
    await env.query(`INSERT INTO variant (id, product_id, vendor_id, sku, options, title)
      SELECT gen_random_uuid(), p.id, p.vendor_id, $2, jsonb_build_object('size', $3::text), p.name FROM product p WHERE p.slug = $1`, [made.slug, `${n ? 'old' : 'OLD'}-${tag}`, size]);
    old.push(`${n ? 'old' : 'OLD'}-${tag}`);
  }
  const { body: shown } = await manager.api.call('managed_product_show', { path: { product_id: made.id }, expect: 200 });
  assert.deepStrictEqual(shown.variants.map(({ sku }) => sku).sort(), old.sort());
  await manager.api.call('variant_update', { path: { variant_id: shown.variants[0].id }, headers: { 'if-match': `"${shown.version}"` }, body: { weight_grams: 7 }, expect: 200 });
  await variant(made, { options: { size: 'L' } }, 201);
});

test('CAT-1 choices of an attribute that look alike are refused', async () => {
  const { manager, tag } = await desk();
  const put = (choices, expect) => manager.api.call('attribute_put', { path: { code: `choice_${tag}` }, body: { label: 'Choice', type: 'choice', choices }, expect });
  await put(['Red', 'Blue'], 200);
  assert.strictEqual((await put(['Red', 'Blue', 'RED'], 400)).body.errors[0].field, 'choices[2]');
  await env.query(`UPDATE attribute SET choices = '{Red,red}' WHERE code = $1`, [`choice_${tag}`]);
  await put(['Red', 'red', 'Blue'], 200);
});

test('CAT-3 what is searched for is found composed and decomposed', async () => {
  const manager = await makePerson(env, 'manager');
  const vendor = await makePerson(env, 'vendor');
  const word = `Zoe\u0308${Date.now().toString(36)}`;
  const made = await makeProduct(vendor, await makeCategory(manager), { name: `Cre\u0300me ${word}`, brand: `Mai\u0308son ${word}` });
  for (const query of [{ q: word }, { q: word.normalize('NFC') }, { q: `\u200b${word}\u3000` }, { brand: `Mai\u0308son ${word}` }, { brand: `  ma\u00efson ${word}`.replace('m', 'M') }]) {
    const { body } = await env.api.call('product_list', { query, expect: 200 });
    assert.deepStrictEqual(body.items.map(({ id }) => id), [made.id], JSON.stringify(query));
  }
});

test('CAT-3 a value that facets show is chosen as a filter, however it was written', async () => {
  const manager = await makePerson(env, 'manager');
  const vendor = await makePerson(env, 'vendor');
  const tag = Date.now().toString(36);
  const category = await makeCategory(manager);
  const code = (type) => `v_${type}_${tag}`;
  for (const type of ['text', 'number', 'colour']) await manager.api.call('attribute_put', { path: { code: code(type) }, body: { label: type, type }, expect: 200 });
  for (const [type, value] of [['text', `${'長'.repeat(198)} x`], ['text', ' two\r\nlines '], ['text', 'two lines'], ['text', 'a:b'], ['number', 1], ['number', 12.5],
    ['colour', '#AbCdEf'], ['colour', '#abcdef']]) await makeProduct(vendor, category, { attributes: { [code(type)]: value } });
  const one = await env.query('SELECT id FROM product WHERE attributes ? $1 ORDER BY id LIMIT 1', [code('number')]);
  const text = '{"name":"As typed","category_id":"' + category + '","attributes":{"' + code('number') + '":1.0}}';
  const sent = await fetch(`${env.url}/v1/manage/products`, { method: 'POST', headers: { authorization: `Bearer ${vendor.token}`, 'content-type': 'application/json', 'idempotency-key': `as-typed-${tag}` }, body: text });
  assert.strictEqual(sent.status, 201, await sent.clone().text());
  assert.match(await sent.text(), new RegExp(`"${code('number')}" ?: ?1[,}]`));
  assert.strictEqual(one.length, 1);
  const { body } = await env.api.call('product_list', { query: { q: 'Thing', category_id: category, facets: true }, expect: 200 });
  const values = body.facets.attributes.flatMap(({ code: name, values: list }) => list.map(({ value, count }) => [`${name}:${value}`, count]));
  assert.ok(values.length >= 6, JSON.stringify(values));
  for (const [attribute, count] of values) {
    const { body: chosen } = await env.api.call('product_list', { query: { category_id: category, attribute: [attribute] }, expect: 200 });
    assert.strictEqual(chosen.items.length, count, attribute);
  }
  assert.deepStrictEqual(values.filter(([, count]) => count > 1).map(([attribute]) => attribute).sort(), [`${code('colour')}:#abcdef`, `${code('text')}:two lines`]);
});
