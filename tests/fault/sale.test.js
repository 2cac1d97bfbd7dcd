'use strict';
// INV-6: a flash sale while Redis is killed and flushed, a server is killed, and a third of the buyers never pays. SALE_BUYERS and SALE_UNITS make it
// larger.
const { test } = require('node:test');
const assert = require('node:assert');
const { Environment, poll, sleep } = require('../harness');
const { givePoints } = require('../harness/goods');
const { runSchedule } = require('../harness/buying');
const { saleOf, crowd, buyFirmly } = require('../harness/sales');

const BUYERS = Number(process.env.SALE_BUYERS ?? 2000);
const UNITS = Number(process.env.SALE_UNITS ?? 100);

/** Buyers who come back until they have a unit or are told to stop. A buyer who pays does so with miles, at once; the others order once. */
function shoppers(sale, buyers, clients, pays) {
  const seen = { stop: false, acknowledged: new Map(), refusals: 0 };
  const one = async (buyer, i) => {
    for (let round = 0; !seen.stop; round += 1) {
      const turned = [...clients.slice(i % clients.length), ...clients.slice(0, i % clients.length)];
      const answer = await buyFirmly(sale, buyer, turned, { key: `${buyer.id}-${round}`, points: pays(i) ? 500 : 0, stop: () => seen.stop });
      if (answer?.status === 201) {
        seen.acknowledged.set(answer.body.id, buyer.uuid);
        return;
      }
      if (answer?.body.code === 'sale_limit') return; // a request that was broken off had gone through
      seen.refusals += 1;
      await sleep(2000); // as Retry-After asks, but sooner
    }
  };
  seen.done = Promise.all(buyers.map(one));
  return seen;
}

async function check(env, sale, seen) {
  const claims = await sale.claims();
  const taken = claims.filter(({ state }) => state === 'taken');
  assert.strictEqual(taken.reduce((sum, { quantity }) => sum + quantity, 0), UNITS);
  assert.strictEqual(new Set(taken.map(({ customer_id: customer }) => customer)).size, UNITS, 'one to a customer');
  const there = new Set((await env.query('SELECT wire_id(\'ord\', order_id) AS id FROM sale_claim WHERE sale_id = $1', [sale.uuid])).map(({ id }) => id));
  for (const id of seen.acknowledged.keys()) assert.ok(there.has(id), `acknowledged order ${id} has no claim`);
  await poll(async () => (await env.query(`SELECT 1 FROM task WHERE state IN ('ready', 'running') AND due_at <= now()`)).length === 0, { what: 'all tasks to be done', timeoutMs: 60000 });
  await env.verify();
}

test('INV-6 every unit is sold and paid though Redis and a server die and a third never pays', { timeout: 300000 }, async () => {
  const env = await Environment.start({ roles: ['serve', 'serve:2', 'worker', 'scheduler', 'sandbox'], settings: { reservation_s: 3 } });
  try {
    const sale = await saleOf(env, { quantity: UNITS });
    const buyers = await crowd(env, BUYERS);
    const pays = (i) => i % 10 >= 3;
    await Promise.all(buyers.map((buyer, i) => pays(i) && givePoints(env, buyer.uuid, 500)));
    const seen = shoppers(sale, buyers, [() => env.client('serve'), () => env.client('serve:2')], pays);
    await sleep(150);
    await env.redis.flush();
    await sleep(150);
    await env.kill('serve');
    await env.redis.stop();
    await sleep(500);
    await env.redis.start();
    await env.redis.flush();
    await env.startRole('serve');
    await poll(async () => {
      await runSchedule(env, 'payment_expire');
      const [{ paid }] = await env.query(`SELECT coalesce(sum(c.quantity), 0)::int AS paid FROM sale_claim c JOIN orders o ON o.id = c.order_id
        WHERE c.sale_id = $1 AND o.state NOT IN ('pending_payment', 'payment_failed', 'expired', 'cancelled')`, [sale.uuid]);
      assert.ok(paid <= UNITS, `${paid} of ${UNITS} units are paid`);
      return paid === UNITS;
    }, { what: 'all units to be sold and paid', timeoutMs: 120000, everyMs: 200 });
    seen.stop = true;
    await seen.done;
    const [{ expired }] = await env.query(`SELECT count(*)::int AS expired FROM orders WHERE sale_id = $1 AND state = 'expired'`, [sale.uuid]);
    assert.ok(expired > 0, 'nobody let a unit go: nothing was sold again');
    assert.ok(seen.refusals > 0, 'nobody was refused: it was no rush');
    await check(env, sale, seen);
  } finally {
    await env.stop();
  }
});

test('INV-6 without Redis the engine alone decides, and decides right', { timeout: 120000 }, async () => {
  const env = await Environment.start({ roles: ['serve', 'worker'] });
  try {
    const sale = await saleOf(env, { quantity: UNITS });
    const buyers = await crowd(env, BUYERS);
    await env.redis.stop();
    const answers = await Promise.all(buyers.map((buyer) => buyFirmly(sale, buyer, [() => env.client('serve')])));
    assert.strictEqual(answers.filter(({ status }) => status === 201).length, UNITS);
    for (const { status, body } of answers) if (status !== 201) assert.strictEqual(body.code, 'sale_sold_out');
    await env.redis.start();
    await env.verify();
  } finally {
    await env.stop();
  }
});

test('INV-6 kill -9 of the server that admitted: what was admitted and never ordered is sold by another', { timeout: 120000 }, async () => {
  const env = await Environment.start({ roles: ['serve', 'serve:2', 'worker'] });
  try {
    const sale = await saleOf(env, { quantity: UNITS });
    const buyers = await crowd(env, BUYERS);
    const rush = buyers.map((buyer) => sale.buy(buyer, { client: env.client('serve') }).catch(() => null));
    await sleep(20);
    await env.kill('serve');
    await Promise.all(rush);
    const seen = shoppers(sale, buyers, [() => env.client('serve:2')], () => false);
    await poll(async () => (await sale.row()).sold === UNITS, { what: 'the rest to be sold', timeoutMs: 60000 });
    seen.stop = true;
    await seen.done;
    await check(env, sale, seen);
  } finally {
    await env.stop();
  }
});
