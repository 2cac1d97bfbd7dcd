'use strict';
// What was acknowledged is there, and what was not is whole or absent: kill -9 of a server under load, a crash of PostgreSQL.
const { test } = require('node:test');
const assert = require('node:assert');
const { Environment, poll, sleep } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');

/** Shoppers who order one after the other, with a key for each intention, until told to stop; a failed call is repeated with its key. */
function shoppers(env, servers, buyers, variants) {
  const seen = { acknowledged: new Map(), intentions: 0, stop: false, broken: 0 };
  const shop1 = async (buyer, i) => {
    for (let n = 0; !seen.stop; n++) {
      const key = `intention-${i}-${n}`;
      const body = orderOf([[variants[(i + n) % variants.length], 1]], { points: n % 2 ? 500 : 0 });
      seen.intentions++;
      for (let attempt = 0; !seen.stop; attempt++) {
        const client = servers[(i + n + attempt) % servers.length]();
        const answer = await client.as(buyer.token).call('order_place', { body, key }).catch(() => null);
        if (answer?.status === 201) {
          seen.acknowledged.set(key + buyer.id, answer.body.id);
          break;
        }
        if (answer?.status === 409 && answer.body.code !== 'idempotency_in_flight') break; // out of points
        seen.broken++;
        await sleep(20);
      }
    }
  };
  seen.done = Promise.all(buyers.map(shop1));
  return seen;
}

async function check(env, seen) {
  const orders = await env.query('SELECT wire_id(\'ord\', id) AS id FROM orders');
  const there = new Set(orders.map(({ id }) => id));
  for (const id of seen.acknowledged.values()) assert.ok(there.has(id), `acknowledged order ${id} is missing`);
  assert.strictEqual(new Set(seen.acknowledged.values()).size, seen.acknowledged.size, 'two intentions got one order');
  const [{ keys }] = await env.query('SELECT count(*)::int AS keys FROM idempotency WHERE operation = \'order_place\'');
  assert.strictEqual(orders.length, keys, 'an order without its key, or a key without its order');
  await env.verify();
}

test('CHK-1 CHK-3 kill -9 of a server during checkout load loses no acknowledged order', async () => {
  const env = await Environment.start({ roles: ['serve', 'serve:2', 'worker'] });
  try {
    const { variants } = await goods(env, { variants: 20, onHand: 100000 });
    const buyers = await Promise.all(Array.from({ length: 30 }, () => customer(env, { points: 20000 })));
    const seen = shoppers(env, [() => env.client('serve'), () => env.client('serve:2')], buyers, variants);
    for (let round = 0; round < 3; round++) {
      await sleep(700);
      await env.kill('serve');
      await sleep(200);
      await env.startRole('serve');
    }
    seen.stop = true;
    await seen.done;
    assert.ok(seen.acknowledged.size > 50, `only ${seen.acknowledged.size} orders`);
    assert.ok(seen.broken > 0, 'no call was broken off: the kill tested nothing');
    await check(env, seen);
  } finally {
    await env.stop();
  }
});

test('CHK-3 INV-2 a crash of PostgreSQL in the middle of checkouts: commits in doubt are settled by their keys', async () => {
  const env = await Environment.start({ roles: ['serve', 'worker'], own: true });
  try {
    const { variants } = await goods(env, { variants: 20, onHand: 100000 });
    const buyers = await Promise.all(Array.from({ length: 30 }, () => customer(env, { points: 20000 })));
    const seen = shoppers(env, [() => env.api], buyers, variants);
    for (let round = 0; round < 2; round++) {
      await sleep(700);
      await env.postgres.stop('immediate');
      await sleep(100);
      await env.postgres.start();
    }
    await sleep(1500);
    seen.stop = true;
    await seen.done;
    assert.ok(seen.acknowledged.size > 50, `only ${seen.acknowledged.size} orders`);
    await poll(async () => (await env.query('SELECT 1 AS one'))[0].one === 1, { what: 'the database to be back' });
    await check(env, seen);
  } finally {
    await env.stop();
  }
});
