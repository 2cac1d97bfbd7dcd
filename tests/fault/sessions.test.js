'use strict';
// What a server does about sessions when it cannot know: it asks for each request, and where nobody answers it refuses.
const { test } = require('node:test');
const assert = require('node:assert');
const { Environment, shop, poll } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');

const unsure = shop({ roles: ['serve', 'serve:2'], settings: { session_trust_ms: 0 } });

test('ACC-2 a server that trusts nothing asks for each request: orders, streams and balances work, and a block holds at once', async () => {
  const { variants: [variant] } = await goods(unsure, { priceMinor: 10000 });
  const buyer = await customer(unsure, { points: 2000 });
  const other = unsure.client('serve:2').as(buyer.token);
  const order = (await other.call('order_place', { body: orderOf([[variant, 1]], { points: 500 }), expect: 201 })).body;
  assert.strictEqual((await other.call('loyalty_show', { expect: 200 })).body.available, 1500);
  const stream = await other.stream('order_events', { path: { order_id: order.id } });
  await stream.next((event) => event.event === 'order');
  await unsure.query(`UPDATE users SET state = 'blocked' WHERE id = $1`, [buyer.uuid]);
  await other.call('order_place', { body: orderOf([[variant, 1]]), expect: 401 });
  await other.call('loyalty_show', { expect: 401 });
  await other.call('me_show', { expect: 401 });
  assert.deepStrictEqual(JSON.parse((await stream.next((event) => event.event === 'end')).data), { reason: 'session_ended' });
  await unsure.verify();
});

test('ACC-2 ERR-2 while PostgreSQL is away a server trusts no session for long: 503, also where an answer is cached', async () => {
  const env = await Environment.start({ roles: ['serve'], own: true, settings: { session_trust_ms: 1000 } });
  try {
    const { variants: [variant] } = await goods(env);
    const buyer = await customer(env, { points: 1000 });
    await buyer.api.call('loyalty_show', { expect: 200 });
    await env.postgres.stop();
    const refused = (what, request) => poll(async () => (await buyer.api.call(what, request)).status === 503, { what: `${what} to answer 503` });
    await refused('loyalty_show', {});
    await refused('order_place', { body: orderOf([[variant, 1]]) });
    await refused('me_show', {});
    await env.postgres.start();
    await poll(async () => (await buyer.api.call('loyalty_show')).status === 200, { what: 'the balance to be shown again' });
  } finally {
    await env.stop();
  }
});
