'use strict';
// SHP-3 under concurrency: a refund against the carrier's word that the parcel is on its way. The stock is free or booked out, never both.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, poll, makePerson } = require('../harness');
const { paid } = require('../harness/orders');

const env = shop({ roles: ['serve', 'worker', 'worker:2', 'scheduler', 'sandbox'], settings: { shipment_quiet_s: 0 } });

test('SHP-3 a refund and the parcel\'s leaving at the same moment: the label is void and the stock free, or it has left and is booked out', async () => {
  const staff = await makePerson(env, 'manager');
  for (let round = 0; round < 6; round += 1) {
    const purchase = await paid(env);
    const [shipment] = await purchase.labelled();
    await Promise.all([
      staff.api.call('order_refund', { path: { order_id: purchase.id }, body: { reason: 'It did not fit' }, expect: 201 }),
      purchase.move(shipment, 'in_transit'),
    ]);
    const part = await poll(async () => {
      const [{ state }] = await env.query('SELECT state FROM fulfilment WHERE order_id = $1', [purchase.uuid]);
      return ['shipped', 'cancelled'].includes(state) && state;
    }, { what: 'the part to come to rest', timeoutMs: 60000 });
    assert.deepStrictEqual(await purchase.stock(), part === 'shipped' ? { on_hand: 9, reserved: 0 } : { on_hand: 10, reserved: 0 });
    const sums = await env.query('SELECT quantity, reason FROM movement WHERE order_id = $1', [purchase.uuid]);
    assert.deepStrictEqual(sums, part === 'shipped' ? [{ quantity: -1, reason: 'shipment' }] : []);
  }
  await env.verify();
});
