'use strict';
// Whole purchases go on while everything that may fail does: every process is killed, PostgreSQL crashes, Redis loses its data. Afterwards no
// acknowledged order is missing, every order reaches the state that its shopper's doing asks for, and `cathay verify` finds nothing.
const { test } = require('node:test');
const assert = require('node:assert');
const { Environment, poll, sleep, uuidOf } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');
const { pay, decline } = require('../harness/gateway');

const SHOPPERS = 12;
const FINAL = { pay: ['delivered'], decline: ['payment_failed', 'expired'], abandon: ['expired'], miles: ['delivered'] };

/** Repeats what a failing shop broke off, as a shopper's browser does. */
async function persist(what, work) {
  for (let attempt = 0; ; attempt++) {
    try {
      const result = await work();
      if (result) return result;
    } catch (error) {
      if (attempt > 200 || error.code === 'ERR_ASSERTION') throw error;
    }
    if (attempt > 200) throw new Error(`gave up: ${what}`);
    await sleep(100);
  }
}

/** One shopper's orders, one after the other: {id, intention} of each that the shop acknowledged. */
async function shopping(env, buyer, variants, self, stop, orders) {
  for (let n = 0; !stop.now; n++) {
    const intention = ['pay', 'miles', 'decline', 'pay', 'abandon'][(self + n) % 5];
    const body = orderOf([[variants[(self + n) % variants.length], 1], [variants[(self + n + 1) % variants.length], 2]], intention === 'miles' ? { points: 3000, cash_minor: 0 } : { points: (n % 2) * 500 });
    const key = `order-${self}-${n}`;
    const placed = await persist('to place an order', async () => {
      const { status, body: order } = await buyer.api.call('order_place', { body, key });
      return status === 201 ? order : status === 409 && order.code !== 'idempotency_in_flight' ? { refused: order } : null;
    });
    if (placed.refused) continue; // out of miles
    orders.push({ id: placed.id, intention });
    if (intention !== 'pay' && intention !== 'decline') continue;
    const begun = await persist('to begin to pay', async () => {
      const { status, body: answer } = await buyer.api.call('order_pay', { path: { order_id: placed.id }, key: `pay-${self}-${n}` });
      return status === 200 ? answer : status === 409 ? { late: true } : null;
    });
    if (begun.late) {
      orders.at(-1).intention = 'abandon'; // it expired while the shop was away
      continue;
    }
    const [{ intent_id: intent }] = await persist('to read the intent', () => env.query('SELECT intent_id FROM payment WHERE order_id = $1 ORDER BY attempt DESC LIMIT 1', [uuidOf(placed.id)]));
    await persist('to press a button of the gateway', async () => {
      await (intention === 'pay' ? pay : decline)(env, intent);
      return true;
    }).catch(() => { orders.at(-1).intention = 'either'; });
    await sleep(50);
  }
}

test('PAY-3 PAY-4 JOB-1 SHP-2 purchases survive kills of every process, a crash of PostgreSQL and a Redis that forgets', { timeout: 240000 }, async () => {
  const env = await Environment.start({
    roles: ['serve', 'worker', 'scheduler', 'sandbox'], own: true,
    settings: { reservation_s: 15, payment_sweep_after_s: 2, task_lease_s: 3, sandbox_parcel_step_ms: 200, sandbox_webhook_retry_ms: 200, lanes: 2 },
  });
  let hurry;
  try {
    const { variants } = await goods(env, { variants: 6, onHand: 100000, locations: 2 });
    const buyers = [];
    for (let i = 0; i < SHOPPERS; i++) buyers.push(await customer(env, { points: 20000 }));
    const stop = { now: false };
    const orders = [];
    const done = Promise.all(buyers.map((buyer, i) => shopping(env, buyer, variants, i, stop, orders)));
    const faults = [
      () => env.kill('worker').then(() => env.startRole('worker')),
      () => env.kill('serve').then(() => env.startRole('serve')),
      () => env.redis.flush(),
      () => env.kill('sandbox').then(() => env.startRole('sandbox')),
      () => env.postgres.stop('immediate').then(() => env.postgres.start()),
      () => env.kill('scheduler').then(() => env.startRole('scheduler')),
      async () => { await env.redis.flush(); await env.redis.stop(); await sleep(500); await env.redis.start(); },
      () => env.kill('worker').then(() => env.startRole('worker')),
    ];
    for (const fault of faults) {
      await sleep(900);
      await fault();
    }
    await sleep(1000);
    stop.now = true;
    await done;
    assert.ok(orders.length > 50, `only ${orders.length} orders`);

    const ids = orders.map(({ id }) => uuidOf(id));
    const states = async () => new Map((await env.query('SELECT id, state FROM orders WHERE id = ANY($1)', [ids])).map(({ id, state }) => [id, state]));
    const astray = (known) => orders.filter(({ id, intention }) => !(FINAL[intention] ?? ['delivered', 'expired', 'payment_failed']).includes(known.get(uuidOf(id))));
    // Time passes: what failed while a partner was away waits for a later attempt, longer each time. The test does not.
    hurry = setInterval(() => env.query("UPDATE task SET due_at = now() WHERE state = 'ready' AND attempt > 0 AND due_at > now()").catch(() => {}), 5000);
    let known = await states();
    assert.strictEqual(known.size, ids.length, 'an acknowledged order is missing');
    await poll(async () => { known = await states(); return astray(known).length === 0; }, { timeoutMs: 90000, everyMs: 500, what: 'every order to reach its proper state' })
      .catch((error) => { throw new Error(`${error.message}: ${astray(known).slice(0, 10).map(({ id, intention }) => `${id} ${intention} is ${known.get(uuidOf(id))}`).join('; ')}`); });
    await poll(async () => (await env.query("SELECT 1 FROM task WHERE state IN ('ready', 'running') AND due_at <= now() AND event_id IS NOT NULL")).length === 0, { timeoutMs: 60000, what: 'all tasks to be done' });
    assert.deepStrictEqual(await env.query("SELECT name, last_error FROM task WHERE state = 'dead'"), [], 'a task was given up');
    await env.verify();
  } finally {
    clearInterval(hurry);
    await env.stop();
  }
});
