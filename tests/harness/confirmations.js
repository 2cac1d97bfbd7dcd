'use strict';
// Hundreds of orders that wait for payment, and the gateway's word on them, signed by the test itself.
const assert = require('node:assert');
const crypto = require('node:crypto');
const http = require('node:http');
const { exchange } = require('./client');
const { poll, sleep } = require('./environment');
const { signature } = require('./gateway');
const { goods, customer, orderOf } = require('./goods');
const { uuidOf, wireId } = require('./people');

const agent = new http.Agent({ keepAlive: true, maxSockets: 400 });

/**
 * `count` orders of one variant by several customers, a third of them with miles: [{id, uuid, cash, payment, intent, buyer}]. Half of the intents
 * are noted, as after order_pay; of the others only the metadata tell. `miles: false`: customers who never had any.
 */
async function waiting(env, count, { buyers = 8, variant, onHand = 100000, miles = true } = {}) {
  const unit = variant ?? (await goods(env, { variants: 1, onHand })).variants[0];
  const people = await Promise.all(Array.from({ length: buyers }, () => customer(env, { points: miles ? 1000 * count : 0 })));
  const orders = await Promise.all(Array.from({ length: count }, async (_, i) => {
    const buyer = people[i % buyers];
    const { body } = await buyer.api.call('order_place', { body: orderOf([[unit, 1 + i % 2]], { points: miles && i % 3 === 0 ? 500 : 0 }), expect: 201 });
    return { id: body.id, uuid: uuidOf(body.id), cash: body.cash_minor, buyer, variant: unit };
  }));
  const payments = new Map((await env.query('SELECT id, order_id FROM payment WHERE order_id = ANY($1)', [orders.map(({ uuid }) => uuid)]))
    .map((row) => [row.order_id, row.id]));
  for (const order of orders) Object.assign(order, { paymentUuid: payments.get(order.uuid), payment: wireId('pay', payments.get(order.uuid)) });
  for (const order of orders) order.intent = `pi_${order.payment.slice(4)}`;
  const noted = orders.filter((_, i) => i % 2);
  await env.query(`UPDATE payment p SET state = 'pending', requested_at = now(), intent_id = n.intent FROM unnest($1::uuid[], $2::text[]) n (id, intent) WHERE p.id = n.id`,
    [noted.map(({ paymentUuid }) => paymentUuid), noted.map(({ intent }) => intent)]);
  return orders;
}

/** An event of the gateway about an order's payment, as text; each is another event unless `id` is given. */
function said(order, { type = 'payment_intent.succeeded', id = `evt_${crypto.randomUUID().replace(/-/g, '')}`, ...object } = {}) {
  const status = { 'payment_intent.succeeded': 'succeeded', 'payment_intent.payment_failed': 'requires_payment_method', 'payment_intent.canceled': 'canceled' }[type];
  return JSON.stringify({
    id, object: 'event', type, created: Math.floor(Date.now() / 1000), livemode: false,
    data: {
      object: {
        id: order.intent, object: 'payment_intent', amount: order.cash, amount_received: status === 'succeeded' ? order.cash : 0, currency: 'hkd', status,
        client_secret: 'pi_secret', metadata: { order_id: order.id, payment_id: order.payment },
        last_payment_error: status === 'requires_payment_method' ? { code: 'card_declined' } : null, ...object,
      },
    },
  });
}
const failed = (order, more = {}) => said(order, { type: 'payment_intent.payment_failed', ...more });

/** One delivery: the answer's status; 0 where there was none. */
async function tell(client, text) {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), 'stripe-signature': signature(text) };
  const answer = await exchange(`${client.base}/v1/webhooks/stripe`, { method: 'POST', body: text, headers, agent }).catch(() => null);
  return answer?.status ?? 0;
}

/** As the gateway does: again, to whichever server, until it is answered 2xx. */
async function tellUntilHeard(servers, text, i = 0) {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    if (await tell(servers[(i + attempt) % servers.length](), text) === 200) return attempt;
    await sleep(50);
  }
  throw new Error('a webhook was never answered');
}

/** Runs `work` while the order's row is locked by somebody else. */
async function whileLocked(env, order, work) {
  const holder = await env.db.connect();
  try {
    await holder.query('BEGIN');
    await holder.query('SELECT FROM orders WHERE id = $1 FOR UPDATE', [order.uuid]);
    return await work();
  } finally {
    await holder.query('ROLLBACK');
    holder.release();
  }
}

/**
 * Sends all texts so that they are one batch of the only lane: it waits for the lock of `first`, which is told of before. Returns their statuses.
 * ordered: one after the other, which takes longer; the lane waits for half a second only.
 */
async function inOneBatch(env, first, texts, { ordered = true } = {}) {
  const answers = [];
  await whileLocked(env, first, async () => {
    answers.push(tell(env.api, said(first)));
    await poll(async () => (await env.query(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'cathay webhooks' AND wait_event_type = 'Lock'`))[0].n > 0,
      { what: 'the lane to wait' });
    for (const text of texts) {
      answers.push(tell(env.api, text));
      if (ordered) await sleep(1);
    }
    await sleep(100);
  });
  return (await Promise.all(answers)).slice(1);
}

/** Every one of the orders was confirmed, once, and everything that follows from it is there once. */
async function confirmedOnce(env, orders) {
  const ids = orders.map(({ uuid }) => uuid);
  const [row] = await env.query(`
    SELECT (SELECT count(*)::int FROM orders WHERE id = ANY($1) AND state IN ('confirmed', 'processing', 'shipped', 'delivered')) AS orders,
           (SELECT count(*)::int FROM payment WHERE order_id = ANY($1) AND state = 'succeeded') AS payments,
           (SELECT count(*)::int FROM order_event WHERE order_id = ANY($1) AND to_state = 'confirmed') AS steps,
           (SELECT count(*)::int FROM fulfilment WHERE order_id = ANY($1)) AS fulfilments,
           (SELECT count(*)::int FROM reservation WHERE order_id = ANY($1) AND state IN ('confirmed', 'consumed')) AS reservations,
           (SELECT count(*)::int FROM earning WHERE order_id = ANY($1)) AS earnings,
           (SELECT count(*)::int FROM outbox WHERE aggregate_id = ANY($1) AND type = 'order.confirmed') AS confirmed_events,
           (SELECT count(*)::int FROM refund WHERE order_id = ANY($1)) AS refunds`, [ids]);
  const n = orders.length;
  assert.deepStrictEqual(row, { orders: n, payments: n, steps: n, fulfilments: n, reservations: n, earnings: n, confirmed_events: n, refunds: 0 });
}

const stateOf = async (env, order) => (await env.query('SELECT state FROM orders WHERE id = $1', [order.uuid]))[0].state;
const webhookOf = async (env, text) => (await env.query('SELECT state, detail FROM webhook WHERE event_id = $1', [JSON.parse(text).id]))[0];

module.exports = { waiting, said, failed, tell, tellUntilHeard, whileLocked, inOneBatch, confirmedOnce, stateOf, webhookOf };
