'use strict';
// Cursors of paged lists come back as they were given, or are refused: nobody else can make one, whatever stands in it.
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const crypto = require('node:crypto');
const { execFileSync } = require('node:child_process');
const { Environment, makePerson, contract, TOKEN_KEY } = require('../harness');
const { makeCategory, makeProduct } = require('../harness/shelf');

let env, manager, vendor, shelf, first;
before(async () => {
  env = await Environment.start({ roles: ['serve'], settings: { cache_entries: 0 } }); // kept answers carry cursors of the key before
  manager = await makePerson(env, 'manager');
  vendor = await makePerson(env, 'vendor');
  shelf = await makeCategory(manager);
  for (let i = 0; i < 3; i += 1) await makeProduct(vendor, shelf);
  first = await page({ sort: 'newest' });
});
after(async () => { await env?.stop(); });

const page = async (query, expect = 200) => (await env.api.call('product_list', { query: { category_id: shelf, limit: 1, ...query }, expect })).body;

/** As src/http/cursor.c makes it, with the key that the harness gives. */
function seal(list, position, { kid } = {}) {
  const seed = kid ? Buffer.alloc(32, kid) : TOKEN_KEY.seed;
  const key = crypto.createPrivateKey({ format: 'der', type: 'pkcs8', key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]) });
  const secret = Buffer.concat([seed, crypto.createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(list.length));
  const program = 'import hashlib, sys; b = bytes.fromhex; k = hashlib.blake2b(b"cathay cursor v1", digest_size=32, key=b(sys.argv[1])).digest(); '
    + 'print(hashlib.blake2b(b(sys.argv[2]), digest_size=16, key=k).hexdigest())';
  const code = execFileSync('python3', ['-c', program, secret.toString('hex'), Buffer.concat([length, Buffer.from(list), position]).toString('hex')], { encoding: 'utf8' });
  return Buffer.concat([Buffer.from(code.trim(), 'hex').subarray(0, 8), position]).toString('base64url');
}

function position(order, number, text = '') {
  const at = Buffer.alloc(8);
  at.writeBigInt64LE(number);
  return Buffer.concat([Buffer.from(order), at, Buffer.alloc(16, 0xff), Buffer.from(text)]);
}

test('API-3 cursors are short, and their pages go on where the last one ended', async () => {
  assert.ok(first.next_cursor.length <= 44, first.next_cursor);
  const second = await page({ sort: 'newest', cursor: first.next_cursor });
  assert.notStrictEqual(second.items[0].id, first.items[0].id);
  const { next_cursor: byName } = await page({ sort: 'name' });
  assert.ok(byName.length <= 300, byName);
});

test('API-3 a cursor that nobody gave is refused with its field, in every list, whatever its length and contents', async () => {
  const lists = [...contract().operations.values()].filter(({ parameters }) => parameters.some(({ name }) => name === 'cursor'));
  assert.ok(lists.length >= 10, lists.map(({ id }) => id).join());
  const staff = await makePerson(env, 'admin');
  const { body: { variants: [{ id: variant }] } } = await vendor.api.call('managed_product_show', { path: { product_id: first.items[0].id }, expect: 200 });
  const path = { variant_id: variant, user_id: manager.id };
  const roles = { customer: await makePerson(env, 'customer'), vendor, manager, admin: staff };
  let asked = 0;
  for (const { id: operation, route, roles: may } of lists) {
    const role = ['admin', 'manager', 'vendor', 'customer'].find((one) => may.includes(one));
    const needed = Object.fromEntries([...route.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name, path[name]]));
    const made = [...[1, 8, 16, 24, 26, 33, 64, 225].map((bytes) => crypto.randomBytes(bytes).toString('base64url')), Buffer.alloc(24).toString('base64url'), 'x', '%00', '\u{1f6a2}',
      first.next_cursor.slice(0, -1), ...(operation === 'product_list' ? [] : [first.next_cursor])];
    for (const cursor of made) {
      const { body } = await roles[role].api.call(operation, { path: needed, query: { cursor }, expect: 400 });
      assert.deepStrictEqual(body.errors.map(({ field }) => field), ['cursor'], `${operation} ${cursor}`);
      asked += 1;
    }
  }
  assert.ok(asked > 100, `${asked}`);
});

test('API-3 positions at the ends of their ranges are refused even under the right key, and the server goes on', async () => {
  const ends = [-(2n ** 63n), -(2n ** 63n) + 1n, -1n, 253402300800000000n, 2n ** 63n - 2n, 2n ** 63n - 1n];
  for (const [sort, order] of [['newest', 'n'], ['price_asc', 'u'], ['price_desc', 'd']]) {
    for (const number of ends) {
      const { errors } = await page({ sort, cursor: seal('product_list', position(order, number)) }, 400);
      assert.deepStrictEqual(errors.map(({ field }) => field), ['cursor']);
    }
    for (const number of [0n, 1n, 253402300799999999n]) await page({ sort, cursor: seal('product_list', position(order, number)) });
    await page({ sort, cursor: seal('product_list', position(order, 1n, 'text')) }, 400);
  }
  for (const number of ends) await page({ q: 'tea', cursor: seal('product_list', position('r', number)) });
  for (const text of ['', 'a', '\u7d05\u8336', 'x'.repeat(192)]) await page({ sort: 'name', cursor: seal('product_list', position('a', 0n, text)) });
  for (const text of ['a\0b', Buffer.from([0xff]), 'x'.repeat(193)]) {
    await page({ sort: 'name', cursor: seal('product_list', Buffer.concat([position('a', 0n), Buffer.from(text)])) }, 400);
  }
  for (const order of ['z', '\0', 'a']) await page({ sort: 'newest', cursor: seal('product_list', position(order, 1n)) }, 400);
  await page({ sort: 'newest', cursor: seal('vendor_list', position('n', 1n)) }, 400);
  await page({ sort: 'newest' });
});

test('API-3 while keys are changed, cursors of the old key go on, and those of a key that is gone do not', async () => {
  const old = `${TOKEN_KEY.kid}:${TOKEN_KEY.seed.toString('base64')}`;
  const fresh = `next:${Buffer.alloc(32, 'n').toString('base64')}`;
  const role = env.role('serve');
  role.settings.token_keys = `${fresh},${old}`;
  await env.restart('serve');
  await page({ sort: 'newest', cursor: first.next_cursor });
  const made = await page({ sort: 'newest' });
  assert.notStrictEqual(made.next_cursor, first.next_cursor);
  role.settings.token_keys = fresh;
  await env.restart('serve');
  await page({ sort: 'newest', cursor: made.next_cursor });
  await page({ sort: 'newest', cursor: first.next_cursor }, 400);
});
