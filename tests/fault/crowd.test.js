'use strict';
// Hundreds of orders in the lanes when a server is killed or PostgreSQL crashes: each intention becomes one order, told once or found by its key.
const { test } = require('node:test');
const assert = require('node:assert');
const { Environment, poll, sleep } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');
const { held, queued, largeBatches } = require('../harness/pressure');

/** Intentions of different buyers: place(i, attempt) sends one; all(count) each of them once, null where the line broke. */
async function intentions(env, servers) {
  const { variants } = await goods(env, { variants: 20, onHand: 100000, priceMinor: 10000 });
  const buyers = await Promise.all(Array.from({ length: 50 }, () => customer(env, { points: 100000 })));
  const place = (i, attempt = 0) => servers[(i + attempt) % servers.length]().as(buyers[i % 50].token).call('order_place', {
    key: `intention-${i}`, body: orderOf([[variants[i % 20], 1], [variants[(i + 7) % 20], 2]], { points: i % 2 ? 500 : 0 }) });
  return { place, all: (count) => Promise.all(Array.from({ length: count }, (_, i) => place(i).catch(() => null))) };
}

/** Sends all that was not acknowledged again with its key, until it is: identifiers of orders by intention. */
async function settle(place, first) {
  return Promise.all(first.map(async (answer, i) => {
    for (let attempt = 1; answer?.status !== 201; attempt++) {
      await sleep(50);
      answer = await place(i, attempt).catch(() => null);
    }
    return answer.body.id;
  }));
}

async function check(env, first, orders) {
  assert.strictEqual(new Set(orders).size, orders.length, 'two intentions got one order');
  const [{ count }] = await env.query('SELECT count(*)::int AS count FROM orders');
  assert.strictEqual(count, orders.length, 'an intention became two orders');
  first.forEach((answer, i) => { if (answer?.status === 201) assert.strictEqual(orders[i], answer.body.id); });
  await env.verify();
}

test('CHK-1 CHK-3 kill -9 of a server with hundreds of orders in its lanes', async () => {
  const env = await Environment.start({ roles: ['serve', 'serve:2', 'worker'] });
  try {
    const { place, all } = await intentions(env, [() => env.client('serve'), () => env.client('serve:2')]);
    const release = await held(env, 'stock');
    const first = all(600);
    await queued(env.client('serve'), 200);
    await queued(env.client('serve:2'), 200);
    await release();
    await env.kill('serve');
    const answers = await first;
    assert.ok(answers.some((answer) => answer === null), 'no call was broken off: the kill tested nothing');
    await env.startRole('serve');
    await check(env, answers, await settle(place, answers));
    assert.ok(await largeBatches(env.client('serve:2')) >= 1, 'no batch was large');
  } finally {
    await env.stop();
  }
});

test('CHK-1 CHK-3 a crash of PostgreSQL under a batch of hundreds: the commit in doubt is settled by its keys', async () => {
  const env = await Environment.start({ roles: ['serve', 'worker'], own: true });
  try {
    const { place, all } = await intentions(env, [() => env.api]);
    const release = await held(env, 'stock');
    const first = all(500);
    await queued(env.api, 400);
    await release();
    await env.postgres.stop('immediate');
    await sleep(100);
    await env.postgres.start();
    const answers = await first;
    await poll(async () => (await env.query('SELECT 1 AS one'))[0].one === 1, { what: 'the database to be back' });
    await check(env, answers, await settle(place, answers));
    assert.ok(await largeBatches(env.api) >= 1, 'no batch was large');
  } finally {
    await env.stop();
  }
});
