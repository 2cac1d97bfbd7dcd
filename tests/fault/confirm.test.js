'use strict';
// Batches of confirmations while servers, workers and PostgreSQL are killed: what the gateway tells until it is heard is true in the end, once.
const { test } = require('node:test');
const assert = require('node:assert');
const { Environment, poll, sleep } = require('../harness');
const { waiting, said, failed, tellUntilHeard, confirmedOnce } = require('../harness/confirmations');
const { webhooksDone } = require('../harness/buying');

const ORDERS = 400;

/** The gateway, telling of orders one after the other from many connections; `disturb` runs when some part was heard. */
async function toldWhile(servers, orders, disturb, text = said) {
  const seen = { heard: 0, repeated: 0 };
  const queue = orders.map((order, i) => ({ body: text(order), i }));
  const connections = Array.from({ length: 120 }, async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      seen.repeated += await tellUntilHeard(servers, next.body, next.i);
      seen.heard += 1;
    }
  });
  await Promise.all([...connections, disturb(seen)]);
  return seen;
}
const part = (seen, share) => poll(async () => seen.heard >= ORDERS * share, { what: 'a part to be heard', timeoutMs: 60000, everyMs: 2 });

test('PAY-3 kill -9 of a server in the middle of batches: what was not answered comes again', async () => {
  const env = await Environment.start({ roles: ['serve', 'serve:2', 'worker'] });
  try {
    const orders = await waiting(env, ORDERS);
    const seen = await toldWhile([() => env.client('serve'), () => env.client('serve:2')], orders, async (progress) => {
      for (const share of [0, 0.2, 0.4]) {
        await part(progress, share);
        await sleep(30);
        await env.kill('serve');
        await env.startRole('serve');
      }
    });
    assert.ok(seen.repeated > 0, 'no delivery was broken off: the kill tested nothing');
    await webhooksDone(env);
    await confirmedOnce(env, orders);
    await env.verify();
  } finally {
    await env.stop();
  }
});

test('PAY-3 INV-2 a crash of PostgreSQL in the middle of batches: commits in doubt are told again and change nothing', async () => {
  const env = await Environment.start({ roles: ['serve', 'worker'], own: true });
  try {
    const orders = await waiting(env, ORDERS);
    const seen = await toldWhile([() => env.api], orders, async (progress) => {
      for (const share of [0, 0.3]) {
        await part(progress, share);
        await sleep(20);
        await env.postgres.stop('immediate');
        await sleep(100);
        await env.postgres.start();
      }
    });
    assert.ok(seen.repeated > 0, 'no delivery was broken off: the crash tested nothing');
    await poll(async () => (await env.query(`SELECT count(*)::int FROM webhook WHERE state = 'received'`))[0].count === 0, { what: 'the webhooks', timeoutMs: 60000 });
    await confirmedOnce(env, orders);
    await env.verify();
  } finally {
    await env.stop();
  }
});

test('JOB-2 PAY-3 the worker is killed while it works out hundreds that batches left', async () => {
  const env = await Environment.start({ roles: ['serve', 'worker'], settings: { task_lease_s: 1 } });
  try {
    const orders = await waiting(env, ORDERS);
    const [before] = await env.query('SELECT reserved FROM stock WHERE variant_id = $1', [orders[0].variant.id]);
    assert.ok(before.reserved >= ORDERS);
    await toldWhile([() => env.api], orders, async (progress) => {
      for (const share of [0.3, 0.6, 1]) {
        await part(progress, share);
        await env.kill('worker');
        await env.startRole('worker');
      }
    }, failed);
    await poll(async () => (await env.query(`SELECT count(*)::int FROM webhook WHERE state = 'received'`))[0].count === 0, { what: 'the webhooks', timeoutMs: 90000 });
    const [{ count }] = await env.query(`SELECT count(*)::int FROM orders WHERE state = 'payment_failed' AND sequence = 2`);
    assert.strictEqual(count, ORDERS);
    assert.deepStrictEqual(await env.query('SELECT reserved FROM stock WHERE variant_id = $1', [orders[0].variant.id]), [{ reserved: 0 }]);
    await env.verify();
  } finally {
    await env.stop();
  }
});
