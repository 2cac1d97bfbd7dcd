'use strict';
// Every bound of one operation: each place of its body and each parameter at its least and most, alone and with all others, then each
// just beyond; and bodies and addresses that are no JSON, doubled, deep or broken.
const { prepared } = require('./recipes');
const { places, atBounds, beyondBounds, changed } = require('./values');

const BROKEN_BODIES = [
  ['nothing', ''], ['half', '{"a":'], ['two values', '{} {}'], ['a list', '[]'], ['a number', '7'], ['null', 'null'], ['deep', `${'['.repeat(20000)}${']'.repeat(20000)}`],
  ['deep members', `${'{"a":'.repeat(20000)}1${'}'.repeat(20000)}`], ['a number of 400 digits', `{"a":${'9'.repeat(400)}}`], ['an exponent', '{"a":1e999999999}'],
  ['a lone surrogate', '{"name":"\\ud800"}'], ['a zero', '{"name":"a\\u0000b"}'], ['a byte order mark', '\ufeff{}'], ['a long name', `{"${'n'.repeat(60000)}":1}`],
];
const BROKEN_BYTES = [Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), Buffer.from([0x00]), Buffer.from([0xc0, 0xaf]), Buffer.alloc(70000, 0x20)];
const ODD_CURSORS = ['A', '====', 'AAAA', 'AAAAAAAAAAAAAAAAAAAAAA', '_'.repeat(400), '-'.repeat(22), 'f'.repeat(32), '\u0000', '😀', '//////////////////////8'];
const ODD_ETAGS = ['"0"', '"-1"', '"9223372036854775808"', '"99999999999999999999"', '*', 'W/"1"', '"1", "2"', '""', '"'.repeat(100), '1'];

const NEW_NAMES = {
  email: (fuzzer) => `sweep.${fuzzer.next()}.${fuzzer.chance.hex(6)}@people.example`, code: (fuzzer) => `L${fuzzer.chance.hex(10).toUpperCase()}`,
  sku: (fuzzer) => `SKU-${fuzzer.next()}-${fuzzer.chance.hex(4)}`, slug: (fuzzer) => `s-${fuzzer.next()}-${fuzzer.chance.hex(4)}`,
};

/** The request under a key of its own, and with new names where it has those of `base`, so that it is not refused for being the same. */
function anew(fuzzer, base, request) {
  let made = request;
  if (made.headers['Idempotency-Key']) made = { ...made, headers: { ...made.headers, 'Idempotency-Key': `fuzz-${fuzzer.seed}-${fuzzer.chance.hex(24)}` } };
  for (const [name, make] of Object.entries(NEW_NAMES)) {
    if (plain(made.body) && plain(base.body) && typeof made.body[name] === 'string' && made.body[name] === base.body[name]) made = { ...made, body: { ...made.body, [name]: make(fuzzer) } };
  }
  return made;
}

const plain = (value) => value !== null && typeof value === 'object' && !Buffer.isBuffer(value) && !Array.isArray(value);

/** Yields [request, who sends it, what it is about]. */
async function* bounds(fuzzer, id) {
  const operation = fuzzer.contract.operation(id);
  const actor = fuzzer.allowed(id);
  const made = await prepared(fuzzer, id, actor, 'plain');
  const who = made.actor;
  const base = made.request;
  const pick = (kind) => fuzzer.pick(who, kind);
  const again = (request) => anew(fuzzer, base, request);
  for (const style of ['least', 'most', 'mixed', 'mixed']) {
    const whole = await prepared(fuzzer, id, actor, style);
    yield [whole.request, whole.actor, `all ${style}`];
  }
  const { schema } = fuzzer.contract.bodyOf(id);
  if (schema && !operation.declared['x-raw-body']) {
    const all = places(fuzzer.contract, schema);
    for (const place of all) {
      if (place.path.length === 0) continue;
      const name = place.path.join('.');
      for (const [what, value] of atBounds(fuzzer.values, place.schema, pick)) yield [again({ ...base, body: changed(base.body, place.path, value) }), who, `${name} ${what}`];
      for (const [what, value] of beyondBounds(fuzzer.values, place.schema, pick)) {
        yield [again({ ...base, body: changed(base.body, place.path, value), names: String(place.path[0]) }), who, `${name} ${what}`];
      }
      if (place.required) yield [again({ ...base, body: changed(base.body, place.path, undefined), names: String(place.path[0]) }), who, `${name} is missing`];
    }
    // Two numbers at their bounds at the same time, and all of them.
    const numbers = all.filter((place) => place.path.length > 0 && [place.schema.type].flat().includes('integer'));
    for (let i = 0; i < numbers.length; i += 1) {
      for (let k = i + 1; k < numbers.length; k += 1) {
        for (const [a, b] of [['maximum', 'maximum'], ['minimum', 'maximum'], ['maximum', 'minimum']]) {
          let body = changed(base.body, numbers[i].path, numbers[i].schema[a] ?? 0);
          body = changed(body, numbers[k].path, numbers[k].schema[b] ?? 0);
          yield [again({ ...base, body }), who, `${numbers[i].path.join('.')} and ${numbers[k].path.join('.')} at their bounds`];
        }
      }
    }
    for (const bound of ['minimum', 'maximum']) {
      const body = numbers.reduce((so, place) => changed(so, place.path, place.schema[bound] ?? 0), base.body);
      yield [again({ ...base, body }), who, `all numbers at their ${bound}`];
    }
    yield [again({ ...base, body: { ...base.body, no_such_member: 1 }, names: 'no_such_member' }), who, 'has an unknown member'];
    const [first] = Object.keys(base.body ?? {});
    if (first) yield [again({ ...base, text: true, body: JSON.stringify(base.body).replace('{', `{${JSON.stringify(first)}:${JSON.stringify(base.body[first])},`) }), who, 'has a member twice'];
    for (const [what, text] of BROKEN_BODIES) yield [again({ ...base, text: true, body: text }), who, `the body is ${what}`];
    for (const bytes of BROKEN_BYTES) yield [again({ ...base, body: bytes }), who, 'the body is bytes'];
    yield [again({ ...base, contentType: 'text/plain' }), who, 'another content type'];
    yield [again({ ...base, contentType: 'application/json; charset=utf-16' }), who, 'another charset'];
    yield [again({ ...base, body: undefined }), who, 'no body'];
  }
  for (const parameter of operation.parameters) {
    const place = { path: 'path', query: 'query', header: 'headers' }[parameter.in];
    const full = fuzzer.contract.schemaOf(parameter.schema);
    const put = (value) => again({ ...base, [place]: { ...base[place], [parameter.name]: value } });
    const texts = (list) => list.filter(([, value]) => value !== null && (typeof value !== 'object' || (parameter.in === 'query' && full.type === 'array')) && !(parameter.in === 'header' && /[^\x20-\x7e]/.test(String(value))))
      .filter(([, value]) => !(parameter.in === 'path' && /^\.{0,2}$/.test(String(value))) && !(full.type === 'string' && typeof value === 'number'));
    for (const [what, value] of texts(atBounds(fuzzer.values, full, pick))) yield [put(value), who, `${parameter.name} ${what}`];
    for (const [what, value] of texts(beyondBounds(fuzzer.values, full, pick))) yield [{ ...put(value), ...(parameter.in === 'query' ? { names: parameter.name } : {}) }, who, `${parameter.name} ${what}`];
    if (parameter.name === 'cursor') for (const cursor of ODD_CURSORS) yield [put(cursor), who, 'an odd cursor'];
    if (parameter.name === 'If-Match') for (const tag of ODD_ETAGS) yield [put(tag), who, 'an odd ETag'];
  }
  if (operation.declared['x-raw-body']) {
    for (const [what, text] of BROKEN_BODIES) yield [again({ ...base, body: Buffer.from(text) }), who, `the body is ${what}`];
    for (const bytes of BROKEN_BYTES) yield [again({ ...base, body: bytes }), who, 'the body is bytes'];
    const most = operation.declared['x-body-max'];
    for (const size of [most, most + 1]) yield [again({ ...base, body: Buffer.alloc(size, 0x61) }), who, `a body of ${size} bytes`];
  }
  yield [again({ ...base, query: { ...base.query, no_such_parameter: 'x' } }), who, 'has an unknown parameter'];
  if (operation.idempotency !== 'none') {
    for (const key of ['', 'x', 'k'.repeat(255), 'k'.repeat(256), 'k'.repeat(5000), 'a b', '"quoted"']) yield [{ ...base, headers: { ...base.headers, 'Idempotency-Key': key } }, who, `a key of ${key.length} characters`];
  }
  for (const other of fuzzer.actors.filter((one, index, list) => list.findIndex((same) => same.role === one.role) === index)) yield [again(base), other, `as ${other.role}`];
  for (const token of ['x', 'a.b.c', `${'e'.repeat(4000)}`, 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.']) yield [{ ...again(base), token }, who, 'with a token that is none'];
}

/** Sends every one of them. */
async function sweep(fuzzer, id) {
  for await (const [request, actor, because] of bounds(fuzzer, id)) await fuzzer.send(id, actor, request, because);
}

module.exports = { sweep };
