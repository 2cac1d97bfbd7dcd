'use strict';
// SHP-3: an order is refunded after its label was made. The label is void and the stock free, or the parcel has left and is booked out.
const { test, afterEach } = require('node:test');
const assert = require('node:assert');
const { shop, poll, makePerson, exchange } = require('../harness');
const { paid, sandboxPost, runSchedule } = require('../harness/orders');

const env = shop({ settings: { shipment_quiet_s: 0, partner_timeout_ms: 1000 } });
let staff;

const fault = (name, calls = 1, value = 0) => sandboxPost(env, '/sandbox/faults', { partner: 'carrier', name, calls, value });
afterEach(() => exchange(`${env.sandboxUrl}/sandbox/faults`, { method: 'DELETE' }));

const refund = async (purchase) => {
  staff ??= await makePerson(env, 'manager');
  return staff.api.call('order_refund', { path: { order_id: purchase.id }, body: { reason: 'It did not fit' }, expect: 201 });
};
const labelled = async (options) => {
  const purchase = await paid(env, options);
  await purchase.labelled();
  await purchase.reaches('processing');
  return purchase;
};
const becomes = (purchase, ...states) => poll(async () => {
  const rows = await purchase.shipments();
  return rows.length > 0 && rows.every(({ label_refund: state }) => states.includes(state)) && rows;
}, { what: `the label to be ${states.join(' or ')}`, timeoutMs: 60000 });
const seen = async (purchase) => (await staff.api.call('staff_order_show', { path: { order_id: purchase.id }, expect: 200 })).body;
const movements = (purchase) => env.query("SELECT quantity, reason FROM movement WHERE order_id = $1 ORDER BY id", [purchase.uuid]);

test('SHP-3 a refund after the label was made voids the label; the stock is free when the carrier says so', async () => {
  const purchase = await labelled({ quantity: 2 });
  await fault('api_error', 2);
  await refund(purchase);
  assert.strictEqual((await purchase.show()).state, 'refunded');
  await becomes(purchase, 'submitted', 'refunded');
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 0 });
  const order = await seen(purchase);
  assert.deepStrictEqual([order.fulfilments[0].state, order.fulfilments[0].shipment.state], ['cancelled', 'cancelled']);
  assert.strictEqual((await purchase.show()).fulfilments[0].shipment.label_refund, null, 'not the customer\'s');
  await runSchedule(env, 'shipping_void_poll');
  await becomes(purchase, 'refunded');
  assert.strictEqual((await seen(purchase)).fulfilments[0].shipment.label_refund, 'refunded');
  const [{ refund_status: atCarrier }] = await env.query('SELECT refund_status FROM sandbox.shipment s JOIN shipment o ON o.carrier_id = s.id WHERE o.order_id = $1', [purchase.uuid]);
  assert.strictEqual(atCarrier, 'refunded');
  assert.deepStrictEqual(await movements(purchase), []);
  await env.verify();
});

test('SHP-3 stock of a labelled parcel stays reserved for as long as the carrier does not answer', async () => {
  const purchase = await labelled();
  await fault('api_error', 1000);
  await refund(purchase);
  await becomes(purchase, 'asked');
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 1 });
  await env.verify();
  await exchange(`${env.sandboxUrl}/sandbox/faults`, { method: 'DELETE' });
  await runSchedule(env, 'shipping_void_poll');
  await becomes(purchase, 'submitted', 'refunded');
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 0 });
  await env.verify();
});

test('SHP-3 a parcel that has left is booked out, and booked in when it comes back', async () => {
  const purchase = await labelled();
  const [shipment] = await purchase.shipments();
  await fault('webhook_drop', 100);
  await purchase.move(shipment, 'in_transit'); // the shop does not hear of it
  await refund(purchase);
  await becomes(purchase, 'rejected');
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 9, reserved: 0 });
  assert.deepStrictEqual(await movements(purchase), [{ quantity: -1, reason: 'shipment' }]);
  const order = await seen(purchase);
  assert.deepStrictEqual([order.state, order.fulfilments[0].state, order.fulfilments[0].shipment.label_refund], ['refunded', 'shipped', 'rejected']);
  await env.verify();
  await exchange(`${env.sandboxUrl}/sandbox/faults`, { method: 'DELETE' });
  await purchase.move(shipment, 'return_to_sender');
  await poll(async () => (await purchase.stock()).on_hand === 10, { what: 'the parcel to be booked in' });
  assert.deepStrictEqual((await movements(purchase)).at(-1), { quantity: 1, reason: 'return' });
  assert.strictEqual((await purchase.show()).state, 'refunded');
  await env.verify();
});

test('SHP-3 parts are told apart: what has left is booked out, what has not is void', async () => {
  const purchase = await labelled({ vendors: 2 });
  const [first] = await purchase.shipments();
  await purchase.move(first, 'in_transit');
  await purchase.reaches('shipped');
  await refund(purchase);
  await poll(async () => (await purchase.shipments()).some(({ label_refund: state }) => ['submitted', 'refunded'].includes(state)), { what: 'the other label to be void' });
  const order = await seen(purchase);
  assert.deepStrictEqual(order.fulfilments.map(({ state }) => state).sort(), ['cancelled', 'shipped']);
  assert.strictEqual((await purchase.shipments()).find(({ id }) => id === first.id).label_refund, null, 'nobody asks for the label of what has left');
  await env.verify();
});

test('SHP-3 the carrier hangs or loses its answer: the label is given back once', async () => {
  for (const [name, calls, value] of [['api_lost', 2, 0], ['api_hang', 1, 1500]]) {
    const purchase = await labelled();
    await fault(name, calls, value);
    await refund(purchase);
    await becomes(purchase, 'submitted', 'refunded');
    assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 0 }, name);
    await exchange(`${env.sandboxUrl}/sandbox/faults`, { method: 'DELETE' });
  }
  await env.verify();
});

test('SHP-3 a label that is bought while its order is refunded is given back', async () => {
  await fault('api_hang', 1, 900);
  const purchase = await paid(env);
  await poll(async () => (await purchase.shipments()).length > 0, { what: 'the label to be asked for', everyMs: 5 });
  await refund(purchase);
  await poll(async () => {
    const rows = await purchase.shipments();
    return rows.every(({ state, label_refund: label }) => state === 'cancelled' || ['submitted', 'refunded'].includes(label));
  }, { what: 'the label to be void, or never bought', timeoutMs: 60000 });
  await poll(async () => (await purchase.stock()).reserved === 0, { what: 'the stock to be free' });
  assert.strictEqual((await purchase.stock()).on_hand, 10);
  await env.verify();
});
