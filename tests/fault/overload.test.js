'use strict';
// More is asked than the shop can do: what it does not take it refuses at once, what it took it finishes, and what was refused was not done.
const { test } = require('node:test');
const assert = require('node:assert');
const { Environment, poll } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');
const { held, metric } = require('../harness/pressure');
const { wireId } = require('../harness/people');

const SLOW = { lanes: 1, workers: 2, checkout_wait_ms: 100, queue_wait_ms: 100 };

/** Calls `ask` again and again, without waiting for answers, until one is refused: {refused, answers, waiting}. */
async function until503(ask, what) {
  const waiting = [], answers = [];
  const refused = await poll(async () => {
    const call = ask(waiting.length);
    waiting.push(call);
    call.then((answer) => answers.push(answer));
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    return answers.find(({ status }) => status === 503);
  }, { what });
  return { refused, waiting };
}

function isRefusal({ status, headers, body }) {
  assert.strictEqual(status, 503);
  assert.match(headers['content-type'], /^application\/problem\+json/);
  assert.match(headers['retry-after'], /^[1-9]\d*$/);
  assert.strictEqual(body.code, 'overloaded');
  assert.strictEqual(body.request_id, headers['x-request-id']);
}

test('CHK-1 orders beyond what the database takes are refused with Retry-After, and nothing is lost or done twice', async () => {
  const env = await Environment.start({ roles: ['serve', 'worker'], settings: SLOW });
  try {
    const { variants: [variant] } = await goods(env, { onHand: 100000 });
    const buyers = await Promise.all(Array.from({ length: 40 }, () => customer(env)));
    const place = (i) => buyers[i % buyers.length].api.call('order_place', { body: orderOf([[variant, 1]]), key: `intention-${i}` });
    const release = await held(env, 'stock');
    const { refused, waiting } = await until503(place, 'an order to be refused');
    isRefusal(refused);
    const crowd = await Promise.all(Array.from({ length: 40 }, (_, i) => place(waiting.length + i)));
    crowd.forEach(isRefusal);
    crowd.forEach(({ body }) => assert.strictEqual(body.instance, '/v1/orders'));
    assert.strictEqual(new Set(crowd.map(({ body }) => body.request_id)).size, crowd.length, 'an id was told twice');
    assert.strictEqual((await env.api.call('live_show')).status, 200, 'what needs no database is answered');
    assert.ok(await metric(env.api, 'cathay_lanes_refused_total{lanes="cathay lane"}') >= 41);
    assert.ok(await metric(env.api, 'cathay_lanes_queued{lanes="cathay lane"}') >= 1);
    await release();
    const answers = [...await Promise.all(waiting), ...crowd];
    const taken = answers.filter(({ status }) => status === 201);
    assert.strictEqual(taken.length + answers.filter(({ status }) => status === 503).length, answers.length);
    assert.ok(taken.length >= 1);
    const count = async () => (await env.query('SELECT count(*)::int AS count FROM orders'))[0].count;
    assert.strictEqual(await count(), taken.length, 'an order that was refused was placed');
    for (let i = 0; i < answers.length; i++) {
      const again = await place(i);
      assert.strictEqual(again.status, 201);
      const before = answers[i].status === 201 ? answers[i].body.id : null;
      assert.strictEqual(again.headers['idempotent-replayed'], before ? 'true' : undefined);
      if (before) assert.strictEqual(again.body.id, before);
    }
    assert.strictEqual(await count(), answers.length, 'an intention is not one order');
    await env.verify();
  } finally {
    await env.stop();
  }
});

test('OPS-1 reads that need the database are refused with Retry-After while it is blocked, and answered afterwards', async () => {
  const env = await Environment.start({ roles: ['serve'], settings: SLOW });
  try {
    const { product: id } = await goods(env);
    const buyer = await customer(env);
    const product = { path: { product: wireId('prd', id) } };
    await env.api.call('product_show', { ...product, expect: 200 });
    const release = await held(env, 'orders');
    const { refused, waiting } = await until503(() => buyer.api.call('order_list', {}), 'a read to be refused');
    isRefusal(refused);
    assert.strictEqual((await env.api.call('product_show', product)).status, 200, 'what is cached is answered');
    assert.ok(await metric(env.api, 'cathay_http_queue_refused_total') >= 1);
    await release();
    for (const { status } of await Promise.all(waiting)) assert.ok(status === 200 || status === 503);
    await buyer.api.call('order_list', { expect: 200 });
  } finally {
    await env.stop();
  }
});
