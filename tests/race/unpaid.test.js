'use strict';
// What one customer may have waiting for payment is bounded, over all servers: a fresh account cannot hold the shop's stock.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, poll } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');
const { ordered, begun, runSchedule } = require('../harness/buying');
const { saleOf, buyFirmly } = require('../harness/sales');

const env = shop({ roles: ['all', 'serve:2'], settings: { lanes: 2, unpaid_orders_max: 5, unpaid_units_max: 20 } });
const servers = () => [env.client('all'), env.client('serve:2')];
const counted = (answers) => answers.reduce((sum, { status }) => ({ ...sum, [status]: (sum[status] ?? 0) + 1 }), {});

/** So many orders of the buyer at once, over both servers. */
const race = (buyer, count, variant, quantity) => Promise.all(Array.from({ length: count }, (_, i) => servers()[i % 2].as(buyer.token)
  .call('order_place', { body: orderOf([[variant, quantity]]) })));

test('CHK-1 40 orders of one customer at once over two servers: as many wait for payment as may', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 1000 });
  const buyer = await customer(env);
  const answers = await race(buyer, 40, variant, 1);
  assert.deepStrictEqual(counted(answers), { 201: 5, 409: 35 });
  for (const { status, body } of answers) {
    if (status !== 409) continue;
    assert.strictEqual(body.code, 'unpaid_limit');
    assert.deepStrictEqual(body.errors, [{ field: 'lines', reason: 'unpaid_orders: 5' }]);
  }
  const { body: placed } = answers.find(({ status }) => status === 201);
  await buyer.api.call('order_cancel', { path: { order_id: placed.id }, expect: 200 });
  assert.deepStrictEqual(counted(await race(buyer, 10, variant, 1)), { 201: 1, 409: 9 }, 'one that is cancelled makes room for one');
  const other = await customer(env);
  assert.deepStrictEqual(counted(await race(other, 2, variant, 1)), { 201: 2 }, 'others have their own');
  await env.verify();
});

test('CHK-1 units in unpaid orders are bounded, in one order and over several', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 1000 });
  const buyer = await customer(env);
  assert.deepStrictEqual(counted(await race(buyer, 10, variant, 7)), { 201: 2, 409: 8 });
  const { body } = await buyer.api.call('order_place', { body: orderOf([[variant, 7]]), expect: 409 });
  assert.strictEqual(body.code, 'unpaid_limit');
  assert.deepStrictEqual(body.errors, [{ field: 'lines', reason: 'unpaid_units: 6' }]);
  await buyer.api.call('order_place', { body: orderOf([[variant, 6]]), expect: 201 });
  const greedy = await customer(env);
  assert.strictEqual((await greedy.api.call('order_place', { body: orderOf([[variant, 21]]), expect: 409 })).body.code, 'unpaid_limit');
  const [stock] = await env.query('SELECT reserved FROM stock WHERE variant_id = $1', [variant.id]);
  assert.strictEqual(stock.reserved, 20);
});

test('ORD-1 what is begun anew counts as well, and is counted', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 1000 });
  const purchase = await ordered(env, { variant, quantity: 10 });
  await env.query(`UPDATE orders SET expires_at = now() - interval '1 second' WHERE number = $1`, [purchase.order.number]);
  await poll(async () => { await runSchedule(env, 'payment_expire'); return await purchase.state() === 'expired'; }, { what: 'the order to expire' });
  const { body: second } = await purchase.buyer.api.call('order_place', { body: orderOf([[variant, 12]]), expect: 201 });
  const { body } = await purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id }, expect: 409 });
  assert.strictEqual(body.code, 'unpaid_limit');
  await purchase.buyer.api.call('order_cancel', { path: { order_id: second.id }, expect: 200 });
  await begun(env, purchase);
  assert.strictEqual((await purchase.buyer.api.call('order_place', { body: orderOf([[variant, 12]]), expect: 409 })).body.code, 'unpaid_limit');
});

test('CHK-1 an order that waits since before the time to pay is counted', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 1000 });
  const buyer = await customer(env);
  const old = await ordered(env, { variant, buyer, quantity: 15 });
  // as if it had been placed two days ago and begun anew: its id says when it was placed
  const earlier = (id) => `(lpad(to_hex(('x' || substr(replace(${id}::text, '-', ''), 1, 12))::bit(48)::bigint - 172800000), 12, '0') || substr(replace(${id}::text, '-', ''), 13))::uuid`;
  const [{ id }] = await env.query('SELECT id FROM orders WHERE number = $1', [old.order.number]);
  const [{ unpaid }] = await env.query(`SELECT ${earlier('$1::uuid')} AS unpaid`, [id]);
  for (const [table, column] of [['orders', 'id'], ['order_line', 'order_id'], ['order_event', 'order_id'], ['reservation', 'order_id'], ['payment', 'order_id']])
    await env.query(`UPDATE ${table} SET ${column} = $2 WHERE ${column} = $1`, [id, unpaid]);
  assert.strictEqual((await buyer.api.call('order_place', { body: orderOf([[variant, 6]]), expect: 409 })).body.code, 'unpaid_limit');
  await buyer.api.call('order_place', { body: orderOf([[variant, 5]]), expect: 201 });
});

test('FS-2 flash sales have a limit of their own: what waits for payment elsewhere does not count there, nor the other way round', async () => {
  const { variants: [variant] } = await goods(env, { onHand: 1000 });
  const buyer = await customer(env);
  assert.deepStrictEqual(counted(await race(buyer, 5, variant, 1)), { 201: 5 });
  const sale = await saleOf(env, { quantity: 10 });
  const bought = await buyFirmly(sale, buyer, [servers, servers].map((list, i) => () => list()[i]));
  assert.strictEqual(bought.status, 201);
  const bargain = await customer(env);
  assert.strictEqual((await buyFirmly(sale, bargain, [() => servers()[0]])).status, 201);
  assert.deepStrictEqual(counted(await race(bargain, 6, variant, 1)), { 201: 5, 409: 1 });
});
