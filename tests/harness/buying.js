'use strict';
// Orders on their way to being paid.
const { poll } = require('./environment');
const { goods, customer, orderOf } = require('./goods');

/** A customer with an order that waits for its payment: {buyer, variant, order, balance(), stock(), state()}. */
async function ordered(env, { points = 0, miles = points, onHand = 10, priceMinor = 100000, quantity = 1, variant, buyer } = {}) {
  const unit = variant ?? (await goods(env, { onHand, priceMinor })).variants[0];
  const person = buyer ?? await customer(env, { points: miles });
  const { body: order } = await person.api.call('order_place', { body: orderOf([[unit, quantity]], { points }), expect: 201 });
  return {
    buyer: person,
    variant: unit,
    order,
    paid: async () => PAID.includes((await env.query('SELECT state FROM orders WHERE id = $1', [uuid(order.id)]))[0].state),
    state: async () => (await env.query('SELECT state FROM orders WHERE id = $1', [uuid(order.id)]))[0].state,
    payments: () => env.query('SELECT * FROM payment WHERE order_id = $1 ORDER BY attempt', [uuid(order.id)]),
    refunds: () => env.query('SELECT * FROM refund WHERE order_id = $1 ORDER BY id', [uuid(order.id)]),
    stock: async () => (await env.query('SELECT on_hand, reserved FROM stock WHERE variant_id = $1', [unit.id]))[0],
    balance: async () => (await person.api.call('loyalty_show', { headers: { 'Cache-Control': 'no-cache' }, expect: 200 })).body,
  };
}

/** The payment is begun: adds {intentId, url}. */
async function begun(env, purchase, options = {}) {
  const { body } = await purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id }, expect: 200, ...options });
  const payments = await purchase.payments();
  return Object.assign(purchase, { answer: body, url: body.redirect_url, intentId: payments.at(-1).intent_id });
}

// A paid order goes on by itself: labels are made, parcels leave.
const PAID = ['confirmed', 'processing', 'shipped', 'delivered'];

/** Waits until the order is in that state; confirmed: or beyond. */
async function reaches(purchase, state, options = {}) {
  const wanted = state === 'confirmed' ? PAID : [state];
  await poll(async () => wanted.includes(await purchase.state()), { what: `the order to be ${state}`, ...options })
    .catch(async (error) => { throw new Error(`${error.message}; it is ${await purchase.state()}`); });
}

/** Makes a schedule due now, and waits until it has run. */
async function runSchedule(env, name) {
  const [{ now }] = await env.query('SELECT now()');
  await env.query('UPDATE schedule SET due_at = now() WHERE name = $1', [name]);
  await poll(async () => {
    const [{ count }] = await env.query(`SELECT count(*)::int FROM task WHERE name = $1 AND created_at > $2 AND state = 'done'`, [name, now]);
    return count > 0;
  }, { what: `${name} to run` });
}

/** Waits until every stored webhook is worked out. */
async function webhooksDone(env) {
  await poll(async () => (await env.query(`SELECT count(*)::int FROM webhook WHERE state = 'received'`))[0].count === 0, { what: 'the webhooks to be processed' });
}

function uuid(wire) {
  const hex = wire.slice(wire.indexOf('_') + 1);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

module.exports = { ordered, begun, reaches, runSchedule, webhooksDone };
