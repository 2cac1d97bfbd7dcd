'use strict';
// ACC-2: permissions are checked in one place, for every operation of the contract. A new operation is walked without a
// line being added here.
const { test } = require('node:test');
const assert = require('node:assert');
const crypto = require('node:crypto');
const { shop, makePerson, wireId, uuid7, exchange, contract, ROLES } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');

const env = shop();
const document = contract().document;
const operations = [...contract().operations.values()];
const resolve = (node) => (node.$ref ? resolve(node.$ref.slice(2).split('/').reduce((at, key) => at[key.replace(/~1/g, '/')], document)) : node);

/** One pixel, for operations that take a file. */
const PICTURE = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

/** The smallest value that a schema takes; ids come from `ids` by kind, or are of nothing. */
function example(declared, ids) {
  const schema = resolve(declared);
  if ('const' in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema['x-id']) return ids[schema['x-id']] ?? `${({ user: 'usr', variant: 'var', cart: 'crt', location: 'loc', category: 'cat', vendor: 'ven', product: 'prd', media: 'med', transfer: 'trf' })[schema['x-id']] ?? schema['x-id'].slice(0, 3)}_${'0'.repeat(32)}`;
  const type = [schema.type].flat().find((each) => each !== 'null') ?? 'object';
  if (type === 'integer') return Math.max(schema.minimum ?? 1, 1);
  if (type === 'boolean') return true;
  if (type === 'array') return Array.from({ length: schema.minItems ?? 0 }, () => example(schema.items, ids));
  if (type === 'string') {
    if (schema.format === 'date-time') return new Date().toISOString();
    return crypto.randomBytes(64).toString('hex').padEnd(schema.minLength ?? 0, 'x').slice(0, Math.min(schema.maxLength ?? 12, Math.max(schema.minLength ?? 0, 12)));
  }
  const wanted = Object.keys(schema.properties ?? {}).filter((name) => schema.required?.includes(name)
    || ids[resolve(schema.properties[name])['x-id']]);
  if (wanted.length === 0 && schema.minProperties) wanted.push(Object.keys(schema.properties)[0]);
  return Object.fromEntries(wanted.map((name) => [name, example(schema.properties[name], ids)]));
}

/** One request as the contract has it, as good as can be made up, straight to the server. */
function send(operation, { token, ids = {}, body = true }) {
  const headers = { 'if-match': '*', 'idempotency-key': crypto.randomUUID() };
  if (token) headers.authorization = `Bearer ${token}`;
  const route = operation.route.replace(/\{(\w+)\}/g, (_, name) => {
    const { schema } = operation.parameters.find((parameter) => parameter.in === 'path' && parameter.name === name);
    return encodeURIComponent(example(schema, ids));
  });
  const content = operation.declared.requestBody && resolve(operation.declared.requestBody).content;
  let sent;
  if (content && body) {
    const [type, media] = Object.entries(content)[0];
    headers['content-type'] = type;
    sent = type === 'application/json' ? JSON.stringify(example(media.schema, ids)) : PICTURE;
    if (type !== 'application/json') headers['content-type'] = 'image/png';
  }
  if (operation.method !== 'GET') headers['content-length'] = Buffer.byteLength(sent ?? '');
  return exchange(env.url + route, { method: operation.method, headers, body: sent });
}

test('ACC-2 every operation lets in the roles that the contract names, and nobody else', async () => {
  const tokens = { anonymous: undefined };
  for (const role of ROLES) tokens[role] = (await makePerson(env, role)).token;
  // What ends a session comes last: others ask whether it is open.
  const last = ['session_sign_out_all', 'session_sign_out'];
  const ordered = [...operations].sort((a, b) => last.indexOf(a.id) - last.indexOf(b.id));
  for (const operation of ordered) {
    for (const [role, token] of Object.entries(tokens)) {
      const what = `${operation.id} as ${role}`;
      const { status, body } = await send(operation, { token, body: false });
      const allowed = operation.roles.includes('anonymous') || operation.roles.includes(role);
      const bySignature = operation.roles.includes('partner');
      if (bySignature && role === 'anonymous') assert.ok(status >= 400 && status < 500, `${what}: ${status}`); // by the handler
      else if (!allowed) assert.deepStrictEqual([status, body.code], role === 'anonymous' ? [401, 'unauthenticated'] : [403, 'forbidden'], what);
      else if (!bySignature) assert.ok(![401, 403].includes(status), `${what}: ${status} ${JSON.stringify(body)}`);
      assert.ok(status < 500 || operation.id === 'ready_show', `${what}: ${status} ${JSON.stringify(body)}`);
    }
  }
});

test('ACC-2 a token that is not good opens nothing, also where nobody needs to sign in', async () => {
  for (const operation of operations) {
    const { status, body } = await send(operation, { token: 'e30.e30.e30', body: false });
    if (operation.declared['x-cache']) continue; // what is cached is the same for everybody
    assert.strictEqual(status, 401, `${operation.id}: ${status} ${JSON.stringify(body)}`);
  }
});

/** Everything that belongs to these, as the database has it. */
async function everything(ids) {
  const found = {};
  for (const [table, condition] of Object.entries({
    users: 'id = ANY($1)', session: 'user_id = ANY($1) AND ended_at IS NOT NULL', cart: 'id = ANY($1)', cart_item: 'cart_id = ANY($1)', orders: 'id = ANY($1)', order_event: 'order_id = ANY($1)',
    payment: 'order_id = ANY($1)', refund: 'order_id = ANY($1)', reservation: 'order_id = ANY($1)', fulfilment: 'order_id = ANY($1)', product: 'id = ANY($1)', variant: 'id = ANY($1)',
    price: 'variant_id = ANY($1)', stock: 'variant_id = ANY($1)', movement: 'variant_id = ANY($1)', media: 'product_id = ANY($1)', vendor: 'id = ANY($1)', ledger_account: 'user_id = ANY($1)',
  })) found[table] = await env.query(`SELECT t::text AS row FROM ${table} t WHERE ${condition} ORDER BY 1`, [ids]);
  return found;
}

const uuids = (ids) => Object.values(ids).map((id) => id.slice(id.indexOf('_') + 1));

/** Kinds of identifiers in an operation's path. */
const pathKinds = (operation) => operation.parameters.filter((parameter) => parameter.in === 'path').map(({ schema }) => resolve(schema)['x-id']);

async function isRefused(operation, who, token, ids) {
  const { status, body } = await send(operation, { token, ids });
  assert.ok([403, 404].includes(status) || (!token && status === 401), `${operation.id} as ${who}: ${status} ${JSON.stringify(body).slice(0, 500)}`);
}

test('ACC-2 a customer reads and changes nothing of another customer', async () => {
  const things = await goods(env);
  const [owner, stranger] = [await customer(env, { points: 5000 }), await customer(env, { points: 5000 })];
  const cart = await owner.api.call('cart_mine_show', { expect: 200 });
  await owner.api.call('cart_item_add', { path: { cart_id: cart.body.id }, headers: { 'if-match': cart.headers.etag }, body: { variant_id: things.variants[0].wire }, expect: 200 });
  const order = await owner.api.call('order_place', { body: orderOf([[things.variants[0], 1]]), expect: 201 });
  const ids = { user: owner.id, cart: cart.body.id, order: order.body.id, variant: things.variants[0].wire };
  const before = await everything(uuids(ids));
  const walked = [];
  for (const operation of operations) {
    const open = operation.roles.includes('customer') || operation.roles.includes('anonymous');
    if (!open || !pathKinds(operation).some((kind) => ['user', 'cart', 'order'].includes(kind))) continue;
    await isRefused(operation, 'another customer', stranger.token, ids);
    await isRefused(operation, 'nobody', undefined, ids);
    walked.push(operation.id);
  }
  for (const id of ['cart_show', 'cart_item_add', 'cart_clear', 'order_show', 'order_cancel', 'order_events']) assert.ok(walked.includes(id), `${id} was walked`);
  // Identifiers that stand in a body.
  await stranger.api.call('cart_merge', { body: { cart_id: ids.cart }, expect: 404 });
  const placed = await stranger.api.call('order_place', { body: orderOf([[things.variants[0], 1]], { cart_id: ids.cart, cart_version: 2 }) });
  assert.ok([404, 409].includes(placed.status), `an order from another's cart: ${placed.status} ${placed.text}`);
  assert.deepStrictEqual(await everything(uuids(ids)), before);
  // The same requests are the owner's to make, so that it was the owner who was missing.
  for (const id of ['cart_show', 'order_show']) assert.strictEqual((await send(contract().operation(id), { token: owner.token, ids })).status, 200, id);
  assert.strictEqual((await send(contract().operation('cart_clear'), { token: owner.token, ids })).status, 200);
});

test('ACC-2 CAT-4 a vendor reads and changes nothing of another vendor', async () => {
  const things = await goods(env);
  const media = uuid7();
  await env.query(`INSERT INTO media (id, product_id, content_type, content) VALUES ($1, $2, 'image/png', '\\x00')`, [media, things.product]);
  const buyer = await customer(env, { points: 1000 }); // paid with miles alone, so that it is the vendor's to send
  const order = await buyer.api.call('order_place', { body: orderOf([[things.variants[0], 1]], { points: 1000, cash_minor: 0 }), expect: 201 });
  const [owner, stranger] = [await makePerson(env, 'vendor', { vendorId: things.vendor }), await makePerson(env, 'vendor')];
  const ids = { vendor: wireId('ven', things.vendor), product: wireId('prd', things.product), variant: things.variants[0].wire,
    location: wireId('loc', things.locations[0]), media: wireId('med', media), order: order.body.id };
  const before = await everything(uuids(ids));
  const walked = [];
  for (const operation of operations) {
    if (!operation.roles.includes('vendor') || operation.roles.includes('anonymous')) continue;
    if (!pathKinds(operation).some((kind) => ['product', 'variant', 'media', 'order', 'vendor', 'location'].includes(kind))) continue;
    await isRefused(operation, 'another vendor', stranger.token, ids);
    walked.push(operation.id);
  }
  for (const id of ['managed_product_show', 'product_update', 'price_create', 'movement_create', 'media_delete', 'vendor_order_show']) assert.ok(walked.includes(id), `${id} was walked`);
  assert.deepStrictEqual(await everything(uuids(ids)), before);
  for (const id of ['managed_product_show', 'stock_list', 'vendor_order_show']) assert.strictEqual((await send(contract().operation(id), { token: owner.token, ids })).status, 200, id);
});
