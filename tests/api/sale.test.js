'use strict';
// INV-6: flash sales as shoppers and staff meet them.
const { test } = require('node:test');
const assert = require('node:assert');
const net = require('node:net');
const { shop, poll, sleep, uuidOf, makePerson } = require('../harness');
const { goods, customer, ADDRESS } = require('../harness/goods');
const { saleOf, manager, counted } = require('../harness/sales');
const { decline } = require('../harness/gateway');

const env = shop({ own: true });
const stateOf = async (order) => (await env.query('SELECT state FROM orders WHERE id = $1', [uuidOf(order.id)]))[0].state;
const leftInRedis = async (sale) => {
  const answer = await env.redis.command(`HGET cathay:sale:{${sale.uuid.replace(/-/g, '')}} left`);
  return Number(answer.split('\r\n')[1]);
};

test('INV-6 staff announce a sale and see its numbers; shoppers see state and price', async () => {
  const { variants: [variant] } = await goods(env);
  const sale = await saleOf(env, { variant, quantity: 10, perCustomer: 2, inMs: 60000 });
  assert.strictEqual(sale.state, 'upcoming');
  assert.deepStrictEqual([sale.quantity, sale.sold, sale.per_customer, sale.price_minor, sale.variant_id], [10, 0, 2, 5000, variant.wire]);
  const { body: shown } = await env.api.call('sale_show', { path: { sale_id: sale.wire }, expect: 200 });
  assert.deepStrictEqual([shown.state, shown.remaining, shown.price_minor, shown.quantity, shown.sold], ['upcoming', 'plenty', 5000, undefined, undefined]);
  const { body: list } = await env.api.call('sale_list', { expect: 200 });
  assert.ok(list.items.some(({ id }) => id === sale.wire));
  const staff = await manager(env);
  const { body: page } = await staff.api.call('sale_manage_list', { query: { limit: 1 }, expect: 200 });
  assert.strictEqual(page.items[0].id, sale.wire);
  const support = await makePerson(env, 'support');
  const { body: managed } = await support.api.call('sale_manage_show', { path: { sale_id: sale.wire }, expect: 200 });
  assert.strictEqual(managed.created_by, staff.id);
  await env.api.call('sale_show', { path: { sale_id: 'sal_0192f3c4000070008000000000000000' }, expect: 404 });
});

test('INV-6 a sale that cannot be is refused', async () => {
  const { variants: [variant] } = await goods(env);
  await saleOf(env, { variant, inMs: -5000, forMs: 4000, expect: 400 });
  await saleOf(env, { variant, forMs: -1, expect: 400 });
  await saleOf(env, { variant, quantity: 1, perCustomer: 2, expect: 400 });
  await saleOf(env, { variant: { wire: 'var_0192f3c4000070008000000000000000' }, expect: 400 });
});

test('INV-6 a buyer pays the price of the sale, within the limit, and a repeated request is answered the same', async () => {
  const sale = await saleOf(env, { quantity: 10, perCustomer: 3 });
  const buyer = await customer(env, { points: 1000 });
  const first = await sale.buy(buyer, { quantity: 2, points: 500, key: 'one', expect: 201 });
  assert.deepStrictEqual([first.body.total_minor, first.body.points, first.body.cash_minor, first.body.lines[0].unit_price_minor], [10000, 500, 5000, 5000]);
  const again = await sale.buy(buyer, { quantity: 2, points: 500, key: 'one', expect: 201 });
  assert.deepStrictEqual(again.body, first.body);
  assert.strictEqual(again.headers['idempotent-replayed'], 'true');
  await sale.buy(buyer, { quantity: 1, key: 'one', points: 500, expect: 422 });
  const { body: refused } = await sale.buy(buyer, { quantity: 2, expect: 409 });
  assert.strictEqual(refused.code, 'sale_limit');
  await sale.buy(buyer, { quantity: 1, expect: 201 });
  assert.strictEqual((await sale.row()).sold, 3);
  const { body: mine } = await buyer.api.call('sale_order_list', { path: { sale_id: sale.wire }, expect: 200 });
  assert.strictEqual(mine.taken, 3);
  assert.deepStrictEqual(mine.items.map(({ quantity }) => quantity), [1, 2]);
  assert.strictEqual(mine.items[1].order_id, first.body.id);
  await env.verify();
});

test('INV-6 the same key and body in another sale is another purchase, and is refused', async () => {
  const [one, other] = [await saleOf(env), await saleOf(env)];
  const buyer = await customer(env);
  await one.buy(buyer, { key: 'same', expect: 201 });
  const { body } = await other.buy(buyer, { key: 'same', expect: 422 });
  assert.strictEqual(body.code, 'idempotency_key_reused');
});

test('INV-6 nothing is sold before the start, after the end, or of a sale that was called off', async () => {
  const buyer = await customer(env);
  const early = await saleOf(env, { inMs: 1500 });
  assert.strictEqual((await early.buy(buyer, { expect: 409 })).body.code, 'sale_not_open');
  const short = await saleOf(env, { inMs: -1000, forMs: 2500 });
  const { body: bought } = await short.buy(buyer, { key: 'in time', expect: 201 });
  await sleep(1700);
  assert.strictEqual((await short.buy(await customer(env), { expect: 409 })).body.code, 'sale_ended');
  assert.strictEqual((await short.buy(buyer, { key: 'in time', expect: 201 })).body.id, bought.id, 'a repeated request has its answer after the end too');
  await early.buy(buyer, { expect: 201 });
  const off = await saleOf(env);
  await off.buy(buyer, { expect: 201 });
  const { body: cancelled } = await (await manager(env)).api.call('sale_cancel', { path: { sale_id: off.wire }, expect: 200 });
  assert.strictEqual(cancelled.state, 'cancelled');
  await poll(async () => (await off.buy(await customer(env))).body.code === 'sale_ended', { what: 'the sale to be called off' });
  assert.strictEqual((await off.row()).sold, 1);
  await env.verify();
});

test('INV-6 forged and unknown sales are refused', async () => {
  const buyer = await customer(env);
  const sale = { wire: 'sal_0192f3c4000070008000000000000001' };
  const body = { quantity: 1, address: { name: 'A', line1: 'B', city: 'C', country: 'HK' } };
  await buyer.api.call('sale_order_place', { path: { sale_id: sale.wire }, body, expect: 404 });
  await env.api.call('sale_order_place', { path: { sale_id: sale.wire }, body, expect: 401 });
});

test('INV-6 units of an order that fails or is cancelled are sold again, and that order cannot be begun anew', async () => {
  const sale = await saleOf(env, { quantity: 2 });
  const [first, second, third, fourth] = await Promise.all([customer(env), customer(env), customer(env), customer(env)]);
  const { body: order } = await sale.buy(first, { expect: 201 });
  const { body: cancelled } = await sale.buy(second, { expect: 201 });
  assert.strictEqual((await sale.buy(third, { expect: 409 })).body.code, 'sale_sold_out');
  await first.api.call('order_pay', { path: { order_id: order.id }, expect: 200 });
  const [{ intent_id: intent }] = await env.query('SELECT intent_id FROM payment WHERE order_id = $1', [uuidOf(order.id)]);
  await decline(env, intent);
  await poll(async () => (await stateOf(order)) === 'payment_failed', { what: 'the payment to fail' });
  const answer = await poll(async () => { const got = await sale.buy(third); return got.status === 201 && got; }, { what: 'the unit to come back' });
  assert.ok(answer.body.id);
  const { body: gone } = await first.api.call('order_pay', { path: { order_id: order.id }, expect: 409 });
  assert.strictEqual(gone.code, 'sale_released');
  await second.api.call('order_cancel', { path: { order_id: cancelled.id }, expect: [200, 202] });
  await poll(async () => (await sale.buy(fourth)).status === 201, { what: 'the cancelled unit to come back' });
  assert.deepStrictEqual((await sale.claims()).map(({ state }) => state).sort(), ['released', 'released', 'taken', 'taken']);
  assert.strictEqual((await sale.row()).sold, 2);
  await env.verify();
});

test('INV-6 a place in the counters is given back when no order comes of it', async () => {
  const sale = await saleOf(env, { quantity: 1 });
  const [hopeful, other] = await Promise.all([customer(env), customer(env)]);
  assert.strictEqual((await sale.buy(hopeful, { cash_minor: 1, expect: 409 })).body.code, 'checkout_rejected');
  await poll(async () => (await leftInRedis(sale)) === 1, { what: 'the place to be given back', timeoutMs: 1000, everyMs: 10 });
  await sale.buy(other, { expect: 201 });
  assert.strictEqual(await leftInRedis(sale), 0);
});

test('INV-6 counters that were flushed, or hold places of buyers who are gone, are put right', async () => {
  const sale = await saleOf(env, { quantity: 3 });
  await sale.buy(await customer(env), { expect: 201 });
  await env.redis.command(`HSET cathay:sale:{${sale.uuid.replace(/-/g, '')}} left 0`);
  await poll(async () => (await leftInRedis(sale)) === 2, { what: 'the stranded places to come back', timeoutMs: 15000 });
  await env.redis.flush();
  const winner = await customer(env);
  const { body } = await sale.buy(winner, { key: 'after', expect: 201 });
  await env.redis.flush();
  assert.strictEqual((await sale.buy(winner, { key: 'after', expect: 201 })).body.id, body.id, 'keys are known again');
  assert.strictEqual((await sale.buy(winner, { expect: 409 })).body.code, 'sale_limit', 'and so are limits');
  await sale.buy(await customer(env), { expect: 201 });
  assert.strictEqual((await sale.row()).sold, 3);
  await env.verify();
});

test('INV-6 INV-2 stock has its say too: a sale sets nothing aside', async () => {
  const sale = await saleOf(env, { quantity: 5, onHand: 2 });
  const answers = [];
  for (let i = 0; i < 4; i += 1) answers.push(await sale.buy(await customer(env)));
  assert.deepStrictEqual(counted(answers), { bought: 2, checkout_rejected: 2 });
  assert.deepStrictEqual(answers[3].body.errors, [{ field: 'lines[0].quantity', reason: 'out_of_stock: 0' }]);
  await env.verify();
});

test('INV-6 FRD-1 after the last unit everybody is told so at once, whoever it may be, but for those whose purchase has an answer', async () => {
  const sale = await saleOf(env, { quantity: 1 });
  const [winner, loser] = await Promise.all([customer(env), customer(env)]);
  const forged = (person) => ({ ...person, token: `${person.token.slice(0, -6)}AAAAAA` });
  assert.strictEqual((await sale.buy(forged(loser), { expect: 401 })).body.code, 'unauthenticated');
  const { body: bought } = await sale.buy(winner, { key: 'won', expect: 201 });
  await poll(async () => (await sale.buy(forged(loser))).status === 409, { what: 'the board to know', timeoutMs: 5000 });
  const refused = await sale.buy(loser, { expect: 409 });
  assert.strictEqual(refused.body.code, 'sale_sold_out');
  assert.ok(Number(refused.headers['retry-after']) > 0);
  const words = ({ status, headers, body }) => [status, headers['retry-after'], { ...body, request_id: '' }];
  assert.deepStrictEqual(words(await sale.buy(forged(winner), { expect: 409 })), words(refused), 'a forger learns nothing about the winner');
  assert.strictEqual((await sale.buy(forged(winner), { key: 'won', expect: 401 })).body.code, 'unauthenticated', 'and gets nobody\'s answer');
  assert.strictEqual((await sale.buy(winner, { key: 'other', expect: 409 })).body.code, 'sale_sold_out');
  assert.strictEqual((await sale.buy(winner, { key: 'won', expect: 201 })).body.id, bought.id);
  const { body: early } = await (await saleOf(env, { inMs: 60000 })).buy(forged(loser), { expect: [401, 409] });
  assert.ok(['unauthenticated', 'sale_not_open'].includes(early.code));
});

test('INV-6 CHK-3 who lost the connection learns by asking what came of it, and repeats the request without buying twice', async () => {
  const sale = await saleOf(env, { quantity: 5, perCustomer: 2 });
  const buyer = await customer(env);
  const body = JSON.stringify({ quantity: 1, address: ADDRESS });
  const socket = net.connect(env.ports.shop, '127.0.0.1');
  await new Promise((resolve) => {
    socket.write(`POST /v1/sales/${sale.wire}/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${buyer.token}\r\nIdempotency-Key: lost\r\n`
      + `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, resolve);
  });
  socket.destroy();
  const mine = await poll(async () => {
    const { body: list } = await buyer.api.call('sale_order_list', { path: { sale_id: sale.wire }, expect: 200 });
    return list.items.length > 0 && list;
  }, { what: 'the purchase to be listed' });
  assert.deepStrictEqual([mine.taken, mine.items[0].state], [1, 'pending_payment']);
  assert.ok(mine.items[0].expires_at);
  const again = await sale.buy(buyer, { key: 'lost', expect: 201 });
  assert.deepStrictEqual([again.body.id, again.headers['idempotent-replayed']], [mine.items[0].order_id, 'true']);
  assert.strictEqual((await sale.row()).sold, 1);
});

// Last: it takes database and Redis away.
test('INV-6 sold out is answered without the database, and without Redis', async () => {
  const sale = await saleOf(env, { quantity: 2 });
  const [winner, second, loser] = await Promise.all([customer(env), customer(env), customer(env)]);
  const { body: bought } = await sale.buy(winner, { key: 'won', expect: 201 });
  await sale.buy(second, { expect: 201 });
  assert.strictEqual((await sale.buy(loser, { expect: 409 })).body.code, 'sale_sold_out');
  await poll(async () => (await env.api.call('sale_show', { path: { sale_id: sale.wire } })).body.state === 'sold_out', { what: 'the sale to show that it is sold out' });
  assert.strictEqual((await sale.buy(winner, { key: 'won', expect: 201 })).body.id, bought.id, 'who has bought gets the stored answer');
  await sleep(500);
  await env.postgres.stop('immediate');
  try {
    assert.strictEqual((await sale.buy(loser, { expect: 409 })).body.code, 'sale_sold_out');
    await sleep(1500);
    assert.strictEqual((await sale.buy(loser, { expect: 409 })).body.code, 'sale_sold_out', 'the counters say so when the picture is old');
  } finally {
    await env.postgres.start();
  }
  await poll(async () => (await env.query('SELECT 1 AS one').catch(() => []))[0]?.one === 1, { what: 'the database to be back' });
  await sleep(1000);
  await env.redis.stop();
  try {
    assert.strictEqual((await sale.buy(loser, { expect: 409 })).body.code, 'sale_sold_out');
  } finally {
    await env.redis.start();
  }
});
