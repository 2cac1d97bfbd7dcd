'use strict';
// Orders on their way, for tests: placed, paid at the sandbox gateway, their parcels moved at the sandbox carrier.
const assert = require('node:assert');
const { poll } = require('./environment');
const { exchange } = require('./client');
const { goods, customer, orderOf } = require('./goods');
const { uuidOf } = require('./people');

/** POST of JSON to the sandbox; the answer's body. */
async function sandboxPost(env, path, body = {}) {
  const text = JSON.stringify(body);
  const answer = await exchange(env.sandboxUrl + path, { method: 'POST', body: text, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) } });
  assert.ok(answer.status < 300, `${path}: ${answer.status} ${answer.text}`);
  return answer.body;
}

/** An order over `vendors` vendors, `quantity` of one variant of each; points: miles that the customer redeems. */
async function placed(env, { vendors = 1, quantity = 1, points = 0, onHand = 10, priceMinor = 10000, buyer, more = {} } = {}) {
  const shelves = [];
  for (let i = 0; i < vendors; i += 1) shelves.push(await goods(env, { onHand, priceMinor }));
  const who = buyer ?? await customer(env, { points });
  const lines = shelves.map((shelf) => [shelf.variants[0], quantity]);
  const { body: order } = await who.api.call('order_place', { body: orderOf(lines, { ...(points > 0 ? { points } : {}), ...more }), expect: 201 });
  return new Purchase(env, who, order, shelves);
}

class Purchase {
  constructor(env, buyer, order, shelves) {
    Object.assign(this, { env, buyer, order, shelves, id: order.id, uuid: uuidOf(order.id) });
  }

  async show() {
    return (await this.buyer.api.call('order_show', { path: { order_id: this.id }, expect: 200 })).body;
  }

  /** Waits until the order is in that state, and shows it. */
  async reaches(state) {
    return poll(async () => {
      const now = await this.show();
      return now.state === state && now;
    }, { what: `order ${this.id} to be ${state}` });
  }

  async pay() {
    if (this.order.cash_minor > 0) {
      await this.buyer.api.call('order_pay', { path: { order_id: this.id }, expect: 200 });
      const [payment] = await this.env.query('SELECT intent_id FROM payment WHERE order_id = $1 ORDER BY attempt DESC LIMIT 1', [this.uuid]);
      this.intentId = payment.intent_id;
      await sandboxPost(this.env, `/sandbox/payment_intents/${this.intentId}/pay`);
    }
    await poll(async () => (await this.show()).state !== 'pending_payment', { what: 'the order to be paid' });
    return this;
  }

  shipments() {
    return this.env.query('SELECT * FROM shipment WHERE order_id = $1 ORDER BY fulfilment_no', [this.uuid]);
  }

  /** Waits until every part of the order has its label; the shipments' rows. */
  async labelled() {
    return poll(async () => {
      const rows = await this.shipments();
      return rows.length > 0 && rows.every((row) => row.tracking_code) && rows;
    }, { what: 'labels' });
  }

  /** The parcel goes one step on, or to a status. */
  move(shipment, status) {
    return sandboxPost(this.env, `/sandbox/trackers/${shipment.tracking_code}/advance`, status ? { status } : {});
  }

  async stock(shelf = this.shelves[0]) {
    const [row] = await this.env.query('SELECT sum(on_hand)::int AS on_hand, sum(reserved)::int AS reserved FROM stock WHERE variant_id = $1', [shelf.variants[0].id]);
    return row;
  }
}

/** A paid order. */
async function paid(env, options) {
  return (await placed(env, options)).pay();
}

/** Runs a periodic task now, and waits until it has run. */
async function runSchedule(env, name) {
  const [{ last }] = await env.query('SELECT last_started_at AS last FROM schedule WHERE name = $1', [name]);
  await env.query("UPDATE schedule SET due_at = now() - interval '1 second' WHERE name = $1", [name]);
  await poll(async () => {
    const [row] = await env.query("SELECT last_started_at, (SELECT count(*)::int FROM task WHERE name = $1 AND state IN ('ready', 'running')) AS open FROM schedule WHERE name = $1", [name]);
    return row.last_started_at && Number(row.last_started_at) !== Number(last) && row.open === 0;
  }, { what: `schedule ${name} to run` });
}

module.exports = { placed, paid, Purchase, sandboxPost, runSchedule };
