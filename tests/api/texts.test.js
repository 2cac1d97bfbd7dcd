'use strict';
// Texts as people and attackers write them, over every operation that takes some: which ones, and of what kind, the contract says (x-text).
const assert = require('node:assert');
const { test } = require('node:test');
const { shop, makePerson, contract, Sampler } = require('../harness');

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
        for (const text of taken) {
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
