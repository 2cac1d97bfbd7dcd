'use strict';
// ACC-2: every operation of the contract, with every role, and with the identifiers of somebody else.
//
// Whether one may is decided before the request is looked at, so made-up requests are enough for the first part: a role that
// x-role does not name is refused with 401 or 403, one that it names is not. For the second part customer Ann and vendor
// Alpha have one of everything; customer Ben and vendor Beta then try every operation of their role on it.
const assert = require('node:assert');
const { test } = require('node:test');
const { shop, makePerson, contract, poll, uuidOf, wireId, uuid7, ROLES, Sampler } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');

// Without a worker nothing changes but by what the tests ask.
const env = shop({ roles: ['serve'] });

// They end the session, so that somebody else tries them.
const ENDS_SESSION = ['me_password_set', 'session_sign_out', 'session_sign_out_all'];
// Who asks is said by the body: a refresh token that is none is answered as no token is.
const BY_BODY = ['session_refresh'];
// Partners have no account: their signature is judged by the handler.
const BY_SIGNATURE = 'partner';
const PIXEL = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==', 'base64');
// Where rules of the shop want more than the contract says.
const BETTER = {
  movement_create: (request) => ({ ...request, body: { ...request.body, quantity: 1 } }),
  media_create: (request) => ({ ...request, body: PIXEL, contentType: 'image/png' }),
};
// Pages that say nothing about the thing that is named.
const SAYS_NOTHING = ['payment_return'];

const operations = () => [...contract().operations.values()];

function refusal(answer) {
  if (answer.status === 401 && answer.body?.code === 'unauthenticated') return 'unauthenticated';
  return answer.status === 403 ? answer.body?.code : undefined;
}

test('ACC-2 a token of another key, a changed one and one without a signature are refused', async () => {
  const person = await makePerson(env);
  const [head, body, signature] = person.token.split('.');
  const claims = JSON.parse(Buffer.from(body, 'base64url'));
  const other = Buffer.from(JSON.stringify({ ...claims, role: 'admin' })).toString('base64url');
  const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
  for (const token of [`${head}.${other}.${signature}`, `${none}.${other}.`, `${none}.${body}.${signature}`, `${head}.${body}.${signature.slice(0, -4)}AAAA`, 'x', `${head}.${body}`]) {
    const answer = await env.api.call('me_show', { token, expect: 401 });
    assert.strictEqual(answer.body.code, 'unauthenticated');
  }
});

test('ACC-2 a token that is not good opens nothing, also where nobody needs to sign in', async (t) => {
  for (const operation of operations()) {
    if (operation.declared['x-cache']) continue; // what is cached is the same for everybody
    await t.test(operation.id, async () => {
      const answer = await env.api.call(operation.id, { ...new Sampler(contract()).request(operation.id), token: 'e30.e30.e30', probe: true });
      assert.strictEqual(refusal(answer), 'unauthenticated', `${answer.status}: ${answer.text.slice(0, 300)}`);
    });
  }
});

/** All rows of all tables but those that a mere request may change, as one text a table. */
async function fingerprint() {
  const tables = await env.query(`
    SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND c.relname NOT IN ('session', 'refresh_token', 'schedule') ORDER BY 1`);
  const prints = {};
  for (const { name } of tables) {
    const [row] = await env.query(`SELECT count(*)::int AS rows, md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) AS print FROM ${name} t`);
    prints[name] = `${row.rows} ${row.print}`;
  }
  return prints;
}

/** Every operation of a role on somebody else's things: refused, and nothing changed. Returns the operations that were tried. */
async function tryAll(t, role, api, ids, open, better = BETTER) {
  const before = await fingerprint();
  const tried = [];
  for (const operation of operations()) {
    if (!operation.roles.includes(role) || SAYS_NOTHING.includes(operation.id)) continue;
    if (operation.roles.includes('anonymous') && !open.includes(operation.id)) continue; // what anybody may see
    const sampler = new Sampler(contract(), ids);
    const made = sampler.request(operation.id);
    const request = better[operation.id]?.(made) ?? made;
    if (sampler.used.size === 0) continue;
    tried.push(operation.id);
    await t.test(`${operation.id} (${[...sampler.used].join(', ')})`, async () => {
      const answer = await api.call(operation.id, { ...request, probe: true });
      const said = `${answer.status}: ${answer.text.slice(0, 500)}`;
      if (answer.status === 200) assert.deepStrictEqual(answer.body.items, [], said); // a list filtered by what is not theirs
      else if (answer.status === 400) assert.match(answer.text, /is not yours/, said);
      else if (answer.status === 409) assert.match(answer.text, /"field":"\w+_id","reason":"not_found"/, said);
      else assert.ok([403, 404].includes(answer.status), said);
    });
  }
  assert.deepStrictEqual(await fingerprint(), before, 'something was changed');
  return tried;
}

test('ACC-2 a customer cannot see or change what is another customer\'s', async (t) => {
  const made = await goods(env, { priceMinor: 10000 });
  const ann = await customer(env, { points: 2000 });
  const ben = await customer(env, { points: 2000 });
  const order = (await ann.api.call('order_place', { body: orderOf([[made.variants[0], 1]], { points: 500 }), expect: 201 })).body;
  const cart = (await ann.api.call('cart_mine_show', { expect: 200 })).body;
  const [transfer] = await env.query('SELECT root_id FROM transfer WHERE order_id = $1', [uuidOf(order.id)]);
  const ids = {
    user: ann.id, order: order.id, cart: cart.id, transfer: wireId('trf', transfer.root_id),
    variant: made.variants[0].wire, product: wireId('prd', made.product), vendor: wireId('ven', made.vendor),
  };
  const hers = { user: ids.user, order: ids.order, cart: ids.cart, transfer: ids.transfer };
  const carts = operations().filter((operation) => /^cart_/.test(operation.id)).map((operation) => operation.id);
  const spend = { order_place: () => ({ body: orderOf([[made.variants[0], 1]], { cart_id: cart.id, cart_version: cart.version }) }) };
  const tried = await tryAll(t, 'customer', ben.api, hers, carts, spend);
  for (const id of ['order_show', 'order_place', 'order_cancel', 'order_events', 'order_pay', 'payment_show', 'cart_show', 'cart_item_add', 'cart_clear']) {
    assert.ok(tried.includes(id), `${id} was not tried`);
  }
  const nobody = await tryAll(t, 'anonymous', env.api, { cart: ids.cart }, carts);
  assert.ok(nobody.includes('cart_show'));
  for (const list of ['order_list', 'loyalty_statement_list']) {
    const { text } = await ben.api.call(list, { expect: 200 });
    for (const id of Object.values(hers)) assert.ok(!text.includes(id), `${list} of Ben shows ${id}`);
  }
  // The things are there, and she may: else the refusals above would mean nothing.
  await ann.api.call('order_show', { path: { order_id: order.id }, expect: 200 });
  await ann.api.call('cart_show', { path: { cart_id: cart.id }, expect: 200 });
});

test('CAT-4 a vendor cannot see or change what is another vendor\'s', async (t) => {
  const made = await goods(env);
  const alpha = await makePerson(env, 'vendor', { vendorId: made.vendor });
  const beta = await makePerson(env, 'vendor');
  const ann = await customer(env, { points: 1000 });
  // Paid with miles alone, it is confirmed by a worker, and then the vendor's to send.
  const order = (await ann.api.call('order_place', { body: orderOf([[made.variants[0], 1]], { points: 1000, cash_minor: 0 }), expect: 201 })).body;
  await env.addRole('worker');
  await env.startRole('worker');
  await poll(async () => (await alpha.api.call('vendor_order_show', { path: { order_id: order.id } })).status === 200, { what: 'the order to be the vendor\'s' });
  await env.role('worker').stop();
  const media = uuid7();
  await env.query('INSERT INTO media (id, product_id, content_type, content) VALUES ($1, $2, $3, $4)', [media, made.product, 'image/png', PIXEL]);
  const ids = {
    product: wireId('prd', made.product), variant: made.variants[0].wire, location: wireId('loc', made.locations[0]),
    order: order.id, vendor: wireId('ven', made.vendor), media: wireId('med', media),
  };
  const tried = await tryAll(t, 'vendor', beta.api, ids, []);
  for (const id of ['managed_product_show', 'product_update', 'product_archive', 'variant_update', 'price_create', 'movement_create', 'media_delete', 'vendor_order_show']) {
    assert.ok(tried.includes(id), `${id} was not tried`);
  }
  await alpha.api.call('managed_product_show', { path: { product_id: ids.product }, expect: 200 });
});

// Last, because made-up requests change what they may: the rules of miles, accounts, categories.
for (const role of ['anonymous', ...ROLES]) {
  test(`ACC-2 ${role}: what x-role allows, and nothing else`, async (t) => {
    const person = role === 'anonymous' ? null : await makePerson(env, role);
    for (const operation of operations()) {
      // What anybody may without a token, somebody who is signed in may too.
      const allowed = operation.roles.some((one) => [role, 'anonymous'].includes(one))
        || (role === 'anonymous' && operation.roles.includes(BY_SIGNATURE));
      await t.test(`${operation.id}: ${allowed ? 'may' : 'may not'}`, async () => {
        const request = new Sampler(contract()).request(operation.id);
        const asking = person && ENDS_SESSION.includes(operation.id) ? await makePerson(env, role) : person;
        const answer = await env.api.call(operation.id, { ...request, token: asking?.token ?? null, probe: true });
        if (allowed && BY_BODY.includes(operation.id)) assert.strictEqual(answer.status, 401);
        else if (allowed) assert.strictEqual(refusal(answer), undefined, `${role} is refused: ${answer.text}`);
        else assert.strictEqual(refusal(answer), role === 'anonymous' ? 'unauthenticated' : 'forbidden', `${role} got ${answer.status}: ${answer.text.slice(0, 300)}`);
        assert.ok(answer.status < 500 || answer.status === 501, `${answer.status}: ${answer.text}`);
      });
    }
  });
}
