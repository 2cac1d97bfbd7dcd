'use strict';
// What is cached for one customer (balances) and for all (the rules of miles) on three servers: right within a second of every
// change, and never shown to anybody else.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, makePerson, poll, wireId } = require('../harness');
const { threeServers } = require('../harness/caches');
const { goods, customer, givePoints, orderOf } = require('../harness/goods');

const env = shop({ roles: ['serve', 'serve:2', 'serve:3', 'worker'] });
const { servers, metric, quiet } = threeServers(env);

const show = (api, person, more = {}) => api.as(person.token).call('loyalty_show', { expect: 200, ...more });

/** What the ledger says. */
async function truth(person) {
  const [row] = await env.query('SELECT posted::int AS points, (posted - held)::int AS available, held::int, incoming::int, debt::int FROM ledger_account WHERE user_id = $1', [person.uuid]);
  return row;
}
/** Every server shows what the ledger says. */
async function allShow(person) {
  const wanted = await truth(person);
  await poll(async () => (await Promise.all(servers().map((api) => show(api, person)))).every(({ body }) => {
    try { assert.deepStrictEqual(body, wanted); } catch { return false; }
    return true;
  }), { what: `every server to show ${JSON.stringify(wanted)}`, everyMs: 10 });
}

test('CCH-1 a balance that one server has read the others take from Redis, under a predictable key', async () => {
  const person = await customer(env, { points: 4000 });
  await quiet();
  const [first, second, third] = servers();
  const before = [await metric(second, 'shared_hits'), await metric(third, 'shared_hits')];
  const answers = [await show(first, person), await show(second, person), await show(third, person), await show(second, person)];
  for (const { text, headers } of answers) {
    assert.strictEqual(text, answers[0].text);
    assert.strictEqual(headers.etag, answers[0].headers.etag);
    assert.strictEqual(headers['cache-control'], 'private, no-cache');
    assert.match(headers.vary, /Authorization/);
  }
  assert.deepStrictEqual([await metric(second, 'shared_hits'), await metric(third, 'shared_hits')], before.map((n) => n + 1));
  assert.match(String(await env.redis.command('KEYS cache:balance:*')), new RegExp(`cache:balance:${person.id}:en:v1`));
  const unchanged = await third.get('/v1/loyalty', { headers: { Authorization: `Bearer ${person.token}`, 'If-None-Match': answers[0].headers.etag } });
  assert.strictEqual(unchanged.status, 304);
  assert.strictEqual(unchanged.headers['cache-control'], 'private, no-cache');
});

test('CCH-2 whatever moves miles, every server shows it', async (t) => {
  const manager = await makePerson(env, 'manager');
  const { variants: [variant] } = await goods(env, { priceMinor: 10000 });
  const person = await customer(env, { points: 5000 });
  await allShow(person);
  const step = async (name, change) => {
    await Promise.all(servers().map((api) => show(api, person))); // what it was is cached everywhere
    const result = await change();
    const began = Date.now();
    await allShow(person);
    t.diagnostic(`${name}: on every server ${Date.now() - began} ms after the answer`);
    return result;
  };
  const adjust = (points) => manager.api.call('loyalty_adjustment_create', { path: { user_id: person.id }, body: { points, reason: 'goodwill' }, expect: 201 });
  const place = (points, more) => person.api.call('order_place', { body: orderOf([[variant, 1]], { points, ...more }), expect: 201 });
  const given = await step('staff give', () => adjust(1000));
  await step('staff take', () => adjust(-500));
  await step('staff reverse', () => manager.api.call('loyalty_transfer_reverse', { path: { transfer_id: given.body.transfer_id }, body: { reason: 'by mistake' }, expect: 201 }));
  const placed = await step('an order holds', () => place(500));
  await step('a cancelled order gives back', () => person.api.call('order_cancel', { path: { order_id: placed.body.id }, expect: 200 }));
  await step('an order for miles alone is paid', async () => {
    await place(1000, { cash_minor: 0 });
    await poll(async () => (await truth(person)).held === 0, { what: 'the miles to be taken' });
  });
  await step('a grant', () => givePoints(env, person.uuid, 700));
  await step('many accounts in one statement', () => env.query('UPDATE ledger_account SET incoming = incoming + 1 WHERE user_id IS NOT NULL'));
  await env.query('UPDATE ledger_account SET incoming = incoming - 1 WHERE user_id IS NOT NULL');
});

test('CCH-2 readers on all servers while orders hold miles: none keeps an old balance', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 1000 });
  const people = await Promise.all(Array.from({ length: 6 }, () => customer(env, { points: 10000 })));
  let ordering = true;
  const readers = people.flatMap((person) => servers().map(async (api) => {
    while (ordering) await show(api, person);
  }));
  await Promise.all(people.map(async (person, i) => {
    for (let n = 0; n < 8; n += 1) await servers()[(i + n) % 3].as(person.token).call('order_place', { body: orderOf([[variant, 1]], { points: 500 }), expect: 201 });
  }));
  for (const person of people) await allShow(person);
  for (let n = 0; n < 5; n += 1) {
    for (const person of people) {
      for (const api of servers()) assert.deepStrictEqual((await show(api, person)).body, await truth(person));
    }
  }
  ordering = false;
  await Promise.all(readers);
});

test('CCH-2 a customer sees at once what she has done on the server that did it', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 1000 });
  const person = await customer(env, { points: 9000 });
  await allShow(person);
  for (let i = 0; i < 9; i += 1) {
    const api = servers()[i % 3];
    await Promise.all(servers().map((one) => show(one, person)));
    const { body: order } = await api.as(person.token).call('order_place', { body: orderOf([[variant, 1]], { points: 500 }), expect: 201 });
    assert.deepStrictEqual((await show(api, person)).body, await truth(person), 'an order');
    await Promise.all(servers().map((one) => show(one, person)));
    await api.as(person.token).call('order_cancel', { path: { order_id: order.id }, expect: 200 });
    assert.deepStrictEqual((await show(api, person)).body, await truth(person), 'a cancelled one');
  }
  await allShow(person);
});

test('CCH-2 who asks with no-cache sees what she has just done', async () => {
  const person = await customer(env, { points: 1000 });
  for (let i = 0; i < 5; i += 1) {
    await show(env.api, person);
    await givePoints(env, person.uuid, 10);
    assert.deepStrictEqual((await show(env.api, person, { headers: { 'Cache-Control': 'no-cache' } })).body, await truth(person));
  }
});

test('SEC CCH-1 a balance is shown to nobody but its customer', async () => {
  const people = await Promise.all([1111, 2222, 3333].map((points) => customer(env, { points })));
  const support = await makePerson(env, 'support');
  const rounds = Array.from({ length: 20 }, () => people.flatMap((person) => servers().map(async (api) => {
    assert.strictEqual((await show(api, person)).body.points, (await truth(person)).points);
  })));
  for (const round of rounds) await Promise.all(round); // computed, waited for, from Redis and from the process
  for (const api of servers()) {
    assert.strictEqual((await api.call('loyalty_show')).status, 401);
    assert.strictEqual((await api.as('not.a.token').call('loyalty_show')).status, 401);
    assert.strictEqual((await api.as(support.token).call('loyalty_show')).status, 403);
    for (const query of [`?x=%23${people[0].uuid.replace(/-/g, '')}`, `?#${people[0].uuid.replace(/-/g, '')}`]) {
      const crafted = await api.get(`/v1/loyalty${query}`, { headers: { Authorization: `Bearer ${people[1].token}` } });
      assert.ok(!crafted.text.includes('1111'), `${crafted.status} ${crafted.text}`);
    }
    const theirs = await api.get('/v1/loyalty', { headers: { Authorization: `Bearer ${people[1].token}`, 'If-None-Match': (await show(api, people[0])).headers.etag } });
    assert.strictEqual(theirs.status, 200, 'another one\'s ETag does not fit');
  }
});

test('CCH-1 CCH-2 the rules of miles are cached, and new ones are shown by every server, in prices too', async () => {
  const manager = await makePerson(env, 'manager');
  const made = await goods(env, { priceMinor: 10000 });
  const pointsOf = async (api) => (await api.call('product_show', { path: { product: wireId('prd', made.product) }, expect: 200 })).body.variants[0].prices[0].points;
  const [points] = await Promise.all(servers().map(pointsOf));
  const newest = async (api) => (await api.call('miles_policy_list', { expect: 200 })).body.policies[0].version;
  const [version] = await Promise.all(servers().map(newest));
  const before = await metric(servers()[0], 'hits');
  await newest(servers()[0]);
  assert.ok(await metric(servers()[0], 'hits') > before);
  const { body: { version: next } } = await manager.api.call('miles_policy_create', { body: { minimum_points: 500, step_points: 100, maximum_share: 10000, return_window_days: 7,
    rates: [{ currency: 'HKD', points_unit: 3, minor_unit: 1, earn_minor: 400, earn_points: 1 }] }, expect: 201 });
  assert.strictEqual(next, version + 1);
  await poll(async () => (await Promise.all(servers().map(newest))).every((seen) => seen === next), { what: 'every server to show the new rules' });
  assert.notStrictEqual(points, 30000);
  await poll(async () => (await Promise.all(servers().map(pointsOf))).every((seen) => seen === 30000), { what: 'every server to show the price in points' });
});

test('CCH-2 JOB-1 a relay that dies before it has marked its events leaves nothing untold', async () => {
  const person = await customer(env, { points: 100 });
  const before = await truth(person);
  const [blocker, writer] = [await env.db.connect(), await env.db.connect()];
  try {
    // The relay also looks after late tasks: where that is what waits for the lock, it gets no further, and another try is made.
    for (let tries = 1; ; tries += 1) {
      await poll(async () => { // the relay will get as far as making tasks, and is not there yet with an event of before
        await quiet();
        await Promise.all(servers().map((api) => show(api, person)));
        await blocker.query('BEGIN');
        await blocker.query('LOCK TABLE task IN SHARE MODE');
        const [{ untold }] = await env.query('SELECT count(*)::int AS untold FROM outbox WHERE expanded_at IS NULL');
        if (untold > 0) await blocker.query('ROLLBACK');
        return untold === 0;
      }, { what: 'the relay to have nothing to do' });
      await writer.query('BEGIN');
      await writer.query(`INSERT INTO outbox (id, type, aggregate_id, sequence, payload) VALUES (uuid_v7(), 'user.registered', $1, 0, '{}')`, [person.uuid]);
      await givePoints(writer, person.uuid, 50);
      await writer.query('COMMIT');
      const told = await allShow(person).then(() => true, () => false);
      if (told || tries === 4) {
        assert.ok(told, 'every server shows what was committed');
        break;
      }
      await blocker.query('ROLLBACK');
    }
    assert.notDeepStrictEqual(await truth(person), before);
    assert.ok((await env.query("SELECT id FROM outbox WHERE type = 'miles.moved' AND expanded_at IS NULL")).length > 0, 'told, and not marked yet');
    await env.kill('worker');
  } finally {
    await blocker.query('ROLLBACK');
    blocker.release();
    writer.release();
  }
  await givePoints(env, person.uuid, 25);
  await env.startRole('worker');
  await quiet();
  await allShow(person);
});
