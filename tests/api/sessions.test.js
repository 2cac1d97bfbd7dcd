'use strict';
// Who is out stays out: an access token whose session has ended opens nothing, on any server, whoever ended it and by what means. There is no
// worker and no relay here, so nothing but the servers and PostgreSQL can have told them.
const { test } = require('node:test');
const assert = require('node:assert');
const net = require('node:net');
const { shop, makePerson, makeVendor, contract, poll, wireId, ROLES, PASSWORD, Sampler } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');
const { accessToken } = require('../harness/sales');

const env = shop({ roles: ['serve', 'serve:2'] });
const SERVERS = ['serve', 'serve:2'];
const on = (server, person) => env.client(server).as(person.token);

const status = async (server, person) => (await on(server, person).call('me_show')).status;
/** Waits until both servers refuse the token. */
const out = (person, what) => Promise.all(SERVERS.map((server) => poll(async () => (await status(server, person)) === 401, { what: `${what}: ${server} to refuse the token` })));
const stillIn = async (person, what) => { for (const server of SERVERS) assert.strictEqual(await status(server, person), 200, `${what}: ${server}`); };
const signIn = async (person) => {
  const { body } = await env.api.call('session_sign_in', { body: { email: person.email, password: person.password }, expect: 200 });
  return { ...person, token: body.access_token, refreshToken: body.refresh_token, api: env.api.as(body.access_token) };
};
const declared = (operation) => operation.declared['x-session'] ?? 'strict';
const isOut = (answer) => answer.status === 401 && answer.body?.code === 'unauthenticated';

test('ACC-2 what a token of an ended session still opens is declared: plain reads of what is public, and what is proven otherwise', () => {
  const open = [...contract().operations.values()].filter((operation) => declared(operation) === 'none');
  for (const operation of open) assert.ok(operation.roles.some((role) => ['anonymous', 'partner'].includes(role)), operation.id);
  assert.deepStrictEqual(open.filter((operation) => operation.method !== 'GET').map((operation) => operation.id).sort(),
    ['easypost_webhook', 'session_refresh', 'session_sign_in', 'stripe_webhook', 'user_register']);
});

for (const role of ROLES) {
  test(`ACC-2 the token of a ${role} whose session has ended is refused by every operation that is not declared public, on both servers`, async (t) => {
    const person = await makePerson(env, role);
    await stillIn(person, 'before');
    await person.api.call('session_sign_out', { expect: 204 });
    await out(person, 'signed out');
    for (const operation of contract().operations.values()) {
      if (operation.declared['x-cache'] && declared(operation) === 'none') continue; // answered before a token is looked at
      await t.test(operation.id, async () => {
        for (const server of SERVERS) {
          const answer = await on(server, person).call(operation.id, { ...new Sampler(contract()).request(operation.id), probe: true });
          const said = `${server}: ${answer.status}: ${answer.text.slice(0, 300)}`;
          if (declared(operation) !== 'none') assert.ok(isOut(answer), said);
          else if (operation.id !== 'session_refresh') assert.ok(!isOut(answer), said);
        }
      });
    }
  });
}

test('ACC-1 whatever ends a session ends its access tokens on every server', async (t) => {
  const admin = await makePerson(env, 'admin');
  const ways = {
    'blocked by an admin': (one) => admin.api.call('user_block', { path: { user_id: one.id }, expect: 200 }),
    'blocked from a terminal': async (one) => assert.strictEqual((await env.run('user', 'block', '--email', one.email)).code, 0),
    'blocked in the database': (one) => env.query(`UPDATE users SET state = 'blocked' WHERE id = $1`, [one.uuid]),
    'signed out': (one) => one.api.call('session_sign_out', { expect: 204 }),
    'signed out everywhere, elsewhere': async (one) => (await signIn(one)).api.call('session_sign_out_all', { expect: 204 }),
    'another password, elsewhere': async (one) => (await signIn(one)).api.call('me_password_set', { body: { current_password: PASSWORD, new_password: 'another fine phrase' }, expect: 204 }),
    'another password, from a terminal': async (one) => assert.strictEqual((await env.run('user', 'set-password', '--email', one.email, '--generate')).code, 0),
    'a refresh token used twice': async (one) => {
      let token = one.refreshToken;
      for (let i = 0; i < 2; i += 1) token = (await env.api.call('session_refresh', { body: { refresh_token: token }, expect: 200 })).body.refresh_token;
      await env.api.call('session_refresh', { body: { refresh_token: one.refreshToken }, expect: 401 });
    },
  };
  for (const [what, end] of Object.entries(ways)) {
    await t.test(what, async () => {
      const one = await makePerson(env);
      await stillIn(one, what);
      await end(one);
      await out(one, what);
      await env.api.call('session_refresh', { body: { refresh_token: one.refreshToken }, expect: 401 });
    });
  }
  await t.test('on the server that did it, with the answer', async () => {
    const one = await makePerson(env);
    await one.api.call('session_sign_out', { expect: 204 });
    await one.api.call('me_show', { expect: 401 });
  });
  await env.verify();
});

test('ACC-2 a manager who becomes support, and a vendor who moves, are what they were no longer, and sign in as what they are', async () => {
  const manager = await makePerson(env, 'manager');
  await env.query(`UPDATE users SET role = 'support' WHERE id = $1`, [manager.uuid]);
  await out(manager, 'demoted');
  const support = await signIn(manager);
  await support.api.call('user_block', { path: { user_id: manager.id }, expect: 403 });

  const vendor = await makePerson(env, 'vendor');
  const elsewhere = await makeVendor(env);
  await env.query('UPDATE users SET vendor_id = $2 WHERE id = $1', [vendor.uuid, elsewhere]);
  await out(vendor, 'moved');
  assert.strictEqual((await (await signIn(vendor)).api.call('me_show', { expect: 200 })).body.vendor_id, wireId('ven', elsewhere));
});

test('ACC-2 CAT-4 the people of a vendor that closes are out and stay out until it opens again', async () => {
  const manager = await makePerson(env, 'manager');
  const one = await makePerson(env, 'vendor');
  const other = await makePerson(env, 'vendor');
  const path = { vendor_id: wireId('ven', one.vendorId) };
  const set = async (state) => {
    const { headers: { etag } } = await manager.api.call('vendor_show', { path, expect: 200 });
    await manager.api.call('vendor_update', { path, headers: { 'if-match': etag }, body: { state }, expect: 200 });
  };
  await set('closed');
  await out(one, 'closed');
  await stillIn(other, 'another vendor');
  await env.api.call('session_refresh', { body: { refresh_token: one.refreshToken }, expect: 401 });
  const refused = await env.api.call('session_sign_in', { body: { email: one.email, password: PASSWORD }, expect: 403 });
  assert.match(refused.body.detail, /vendor is closed/);
  await env.verify();
  await set('active');
  await stillIn(await signIn(one), 'open again');
  assert.strictEqual(await status('serve', one), 401, 'the old token stays out');
});

test('CCH-1 a blocked customer is not shown the balance that is cached for her, and orders nothing', async () => {
  const { variants: [variant] } = await goods(env, { priceMinor: 10000 });
  const buyer = await customer(env, { points: 1000 });
  for (const server of SERVERS) await on(server, buyer).call('loyalty_show', { expect: 200 });
  await env.query(`UPDATE users SET state = 'blocked' WHERE id = $1`, [buyer.uuid]);
  await out(buyer, 'blocked');
  for (const server of SERVERS) {
    await on(server, buyer).call('loyalty_show', { expect: 401 });
    await on(server, buyer).call('order_place', { body: orderOf([[variant, 1]], { points: 500 }), expect: 401 });
  }
  assert.deepStrictEqual(await env.query('SELECT 1 FROM orders WHERE customer_id = $1', [buyer.uuid]), []);
});

test('ACC-2 a request whose head came before the block and its body after it is refused', async () => {
  const one = await makePerson(env);
  const { port } = new URL(env.client('serve').base);
  const socket = net.connect(Number(port), '127.0.0.1');
  let answer = '';
  socket.on('data', (bytes) => { answer += bytes; });
  const body = JSON.stringify({ name: 'Somebody else' });
  socket.write(`PATCH /v1/me HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer ${one.token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`);
  await stillIn(one, 'the head alone'); // a later request on the same loop was answered, so the head has been read
  await env.query(`UPDATE users SET state = 'blocked' WHERE id = $1`, [one.uuid]);
  await out(one, 'blocked');
  socket.write(body.slice(5));
  await poll(() => answer.includes('\r\n\r\n'), { what: 'the answer' });
  socket.destroy();
  assert.match(answer, /^HTTP\/1\.1 401 /);
  assert.deepStrictEqual(await env.query('SELECT name FROM users WHERE id = $1', [one.uuid]), [{ name: one.name }]);
});

test('ACC-2 a block that commits late is not missed, though others ended and were told of meanwhile', async () => {
  const [slow, quick] = [await makePerson(env), await makePerson(env)];
  const holder = await env.db.connect();
  try {
    await holder.query('BEGIN');
    await holder.query(`UPDATE users SET state = 'blocked' WHERE id = $1`, [slow.uuid]);
    for (let i = 0; i < 3; i += 1) { // the servers have asked several times
      const one = i === 0 ? quick : await makePerson(env);
      await env.query(`UPDATE users SET state = 'blocked' WHERE id = $1`, [one.uuid]);
      await out(one, `number ${i}`);
    }
    await stillIn(slow, 'not committed');
    await holder.query('COMMIT');
  } finally {
    holder.release();
  }
  await out(slow, 'committed');
});

test('ACC-2 without Redis, and after a restart, an ended session is as much over', async () => {
  const [before, meanwhile, after] = [await makePerson(env), await makePerson(env), await makePerson(env)];
  await env.query(`UPDATE users SET state = 'blocked' WHERE id = $1`, [before.uuid]);
  await out(before, 'before');
  await env.redis.stop();
  try {
    await env.query(`UPDATE users SET state = 'blocked' WHERE id = $1`, [meanwhile.uuid]);
    await out(meanwhile, 'without Redis');
    await env.restart('serve:2');
    for (const gone of [before, meanwhile]) assert.strictEqual(await status('serve:2', gone), 401);
    await stillIn(after, 'somebody else');
  } finally {
    await env.redis.start();
  }
});

test('ORD-4 a stream ends with a word when its session ends, on another server than the one that ended it', async () => {
  const { variants: [variant] } = await goods(env);
  const buyer = await customer(env);
  const order = (await buyer.api.call('order_place', { body: orderOf([[variant, 1]]), expect: 201 })).body;
  const path = { order_id: order.id };
  const stream = await on('serve:2', buyer).stream('order_events', { path });
  await stream.next((event) => event.event === 'order');
  await on('serve', buyer).call('session_sign_out_all', { expect: 204 });
  const last = await stream.next((event) => event.event === 'end');
  assert.deepStrictEqual(JSON.parse(last.data), { reason: 'session_ended' });
  await poll(() => stream.ended, { what: 'the stream to end' });
  await on('serve:2', buyer).call('order_events', { path, expect: 401 });
  const again = await signIn({ ...buyer, password: PASSWORD });
  const fresh = await on('serve:2', again).stream('order_events', { path });
  await fresh.next((event) => event.event === 'order');
  fresh.close();
});

test('ORD-4 a stream ends with a word when the token that opened it expires', async () => {
  const { variants: [variant] } = await goods(env);
  const buyer = await customer(env);
  const order = (await buyer.api.call('order_place', { body: orderOf([[variant, 1]]), expect: 201 })).body;
  const stream = await env.api.as(accessToken(env, buyer.uuid, { lives: 1 })).stream('order_events', { path: { order_id: order.id } });
  const last = await stream.next((event) => event.event === 'end');
  assert.deepStrictEqual(JSON.parse(last.data), { reason: 'token_expired' });
  await poll(() => stream.ended, { what: 'the stream to end' });
});
