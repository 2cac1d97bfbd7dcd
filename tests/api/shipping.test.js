'use strict';
const crypto = require('node:crypto');
const { test, afterEach } = require('node:test');
const assert = require('node:assert');
const { shop, poll, makePerson, exchange, SECRETS, Environment } = require('../harness');
const { placed, paid, sandboxPost, runSchedule } = require('../harness/orders');

// partner_timeout_ms is short for the tests in which the carrier hangs; parcels are asked about at once when the schedule runs.
const env = shop({ settings: { shipment_quiet_s: 0, partner_timeout_ms: 1000 } });

const fault = (name, calls = 1, value = 0) => sandboxPost(env, '/sandbox/faults', { partner: 'carrier', name, calls, value });
afterEach(() => exchange(`${env.sandboxUrl}/sandbox/faults`, { method: 'DELETE' }));

function sign(body, secret = SECRETS.easypost_webhook_secret) {
  return `hmac-sha256-hex=${crypto.createHmac('sha256', secret).update(body).digest('hex')}`;
}

/** A webhook as the carrier would send it, by hand. */
function webhook(event, { signature, api = env.api } = {}) {
  const body = JSON.stringify(event);
  return api.call('easypost_webhook', { body, headers: { 'X-Hmac-Signature': signature ?? sign(body) } });
}

const trackerEvent = (shipment, status, { id = `evt_${crypto.randomUUID()}`, at = new Date().toISOString(), code = shipment.tracking_code } = {}) => ({
  id, object: 'Event', description: 'tracker.updated', mode: 'test',
  result: { id: shipment.tracker_id, object: 'Tracker', tracking_code: code, status, tracking_details: [{ object: 'TrackingDetail', status, message: status, datetime: at, tracking_location: { city: 'Kowloon', country: 'HK' } }] },
});

const webhookRow = async (id) => (await env.query("SELECT * FROM webhook WHERE provider = 'easypost' AND event_id = $1", [id]))[0];
const processed = (id) => poll(async () => {
  // What may be a stranger's is looked at some times more, later; here at once.
  await env.query("UPDATE task SET due_at = now() WHERE name = 'shipping_webhook' AND state = 'ready' AND attempt > 0");
  const row = await webhookRow(id);
  return row && row.state !== 'received' && row;
}, { what: `webhook ${id} to be processed` });

test('SHP-1 a confirmed order gets a label and a tracking code', async () => {
  const purchase = await paid(env);
  const [shipment] = await purchase.labelled();
  const order = await purchase.reaches('processing');
  const seen = order.fulfilments[0].shipment;
  assert.strictEqual(seen.tracking_code, shipment.tracking_code);
  assert.strictEqual(seen.carrier, 'CathayPost');
  assert.strictEqual(seen.label_url, null); // not the customer's
  const label = await exchange(shipment.label_url);
  assert.strictEqual(label.status, 200);
  assert.match(label.headers['content-type'], /svg/);
  assert.match(label.text, /1 Harbour Road/);
  const page = await exchange(seen.tracking_url);
  assert.strictEqual(page.status, 200);
  assert.match(page.text, new RegExp(shipment.tracking_code));
  // At the carrier it is known by our reference, once.
  const [{ n }] = await env.query('SELECT count(*)::int AS n FROM sandbox.shipment WHERE reference = $1', [`shp_${shipment.id.replace(/-/g, '')}`]);
  assert.strictEqual(n, 1);
});

test('SHP-2 signed webhooks move parcel, fulfilment and order; the page\'s button moves the parcel', async () => {
  const purchase = await paid(env, { quantity: 2 });
  const [shipment] = await purchase.labelled();
  const press = () => exchange(`${env.sandboxUrl}/track/${shipment.tracking_code}/advance`, { method: 'POST', headers: { 'content-length': 0 } });
  assert.strictEqual((await press()).status, 303); // pre_transit
  await press();
  let order = await purchase.reaches('shipped');
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 8, reserved: 0 });
  await press();
  await press();
  order = await purchase.reaches('delivered');
  assert.deepStrictEqual(order.fulfilments[0].shipment.events.map((event) => event.status), ['pre_transit', 'in_transit', 'out_for_delivery', 'delivered']);
  assert.strictEqual(order.fulfilments[0].shipment.state, 'delivered');
  await env.verify();
});

test('SHP-2 the same webhook many times at once, and twenty different ones in any order, do no harm', async () => {
  const purchase = await paid(env);
  const [shipment] = await purchase.labelled();
  const event = trackerEvent(shipment, 'in_transit');
  const answers = await Promise.all(Array.from({ length: 20 }, () => webhook(event)));
  assert.ok(answers.every((answer) => answer.status === 204));
  assert.strictEqual((await env.query("SELECT id FROM webhook WHERE event_id = $1", [event.id])).length, 1);
  assert.strictEqual((await processed(event.id)).state, 'processed');
  const statuses = ['delivered', 'pre_transit', 'out_for_delivery', 'in_transit', 'unknown'];
  const mixed = Array.from({ length: 20 }, (_, i) => trackerEvent(shipment, statuses[i % statuses.length], { at: new Date(1.7e12 + i % statuses.length * 60000).toISOString() }));
  await Promise.all(mixed.map((one) => webhook(one)));
  for (const one of mixed) await processed(one.id);
  const order = await purchase.reaches('delivered');
  assert.deepStrictEqual(order.history.map((step) => step.state), ['pending_payment', 'confirmed', 'processing', 'shipped', 'delivered']);
  assert.strictEqual(order.fulfilments[0].shipment.events.length, 6); // each once
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 9, reserved: 0 });
  await env.verify();
});

test('SHP-2 what a carrier writes is one line without anything that cannot be seen', async () => {
  const purchase = await paid(env);
  const [shipment] = await purchase.labelled();
  const event = trackerEvent(shipment, 'in_transit');
  Object.assign(event.result.tracking_details[0], { message: 'Left\r\n\u202ethe \u001b[31mdepot\u200b ', tracking_location: { city: '\u3000Kow\u0007loon', country: 'HK' } });
  await webhook(event);
  assert.strictEqual((await processed(event.id)).state, 'processed');
  const order = await purchase.reaches('shipped');
  const [seen] = order.fulfilments[0].shipment.events.slice(-1);
  assert.deepStrictEqual([seen.message, seen.place], ['Left the [31mdepot', 'Kow loon, HK']);
});

test('SHP-2 two webhooks at once for two parcels of one order', async () => {
  const purchase = await paid(env, { vendors: 2 });
  const shipments = await purchase.labelled();
  const events = shipments.map((shipment) => trackerEvent(shipment, 'delivered'));
  await Promise.all(events.map((event) => webhook(event)));
  for (const event of events) assert.strictEqual((await processed(event.id)).state, 'processed');
  const order = await purchase.reaches('delivered');
  assert.strictEqual(order.history.filter((step) => step.state === 'shipped').length, 1);
  assert.strictEqual(order.history.filter((step) => step.state === 'delivered').length, 1);
  await env.verify();
});

test('SHP-2 a forged, unsigned, altered or foreign webhook changes nothing and is told apart', async () => {
  const purchase = await paid(env);
  const [shipment] = await purchase.labelled();
  await purchase.reaches('processing');
  const event = trackerEvent(shipment, 'delivered');
  const body = JSON.stringify(event);
  const refusals = async () => (await env.query("SELECT count(*)::int AS n FROM webhook_refusal WHERE provider = 'easypost'"))[0].n;
  const before = await refusals();
  for (const signature of [sign(body, 'other secret'), sign(`${body} `), sign(body).replace('hmac-sha256-hex=', ''), `${sign(body)}0`, '']) {
    assert.strictEqual((await webhook(event, { signature: signature || 'none' })).status, 401);
  }
  assert.strictEqual((await env.api.call('easypost_webhook', { body })).status, 401);
  assert.strictEqual(await refusals(), before + 6);
  assert.strictEqual(await webhookRow(event.id), undefined);
  const garbage = '{"id":';
  assert.strictEqual((await env.api.call('easypost_webhook', { body: garbage, invalid: true, headers: { 'X-Hmac-Signature': sign(garbage) } })).status, 400);
  // Well signed, but not about a parcel of ours.
  const mismatched = trackerEvent(shipment, 'delivered', { code: 'CPSOMETHINGELSE' });
  const stranger = trackerEvent({ tracker_id: 'trk_unknown', tracking_code: 'X' }, 'delivered');
  const other = { id: `evt_${crypto.randomUUID()}`, object: 'Event', description: 'batch.updated', result: {} };
  for (const one of [mismatched, stranger, other]) assert.strictEqual((await webhook(one)).status, 204);
  assert.strictEqual((await processed(mismatched.id)).state, 'mismatched');
  assert.strictEqual((await processed(stranger.id)).state, 'ignored');
  assert.strictEqual((await processed(other.id)).state, 'ignored');
  const order = await purchase.show();
  assert.strictEqual(order.state, 'processing');
  assert.strictEqual(order.fulfilments[0].shipment.state, 'labelled');
});

test('SHP-2 lost webhooks are made up for by asking', async () => {
  const purchase = await paid(env);
  const [shipment] = await purchase.labelled();
  await fault('webhook_drop', 100);
  await purchase.move(shipment, 'in_transit');
  await purchase.move(shipment, 'delivered');
  assert.notStrictEqual((await purchase.show()).state, 'delivered');
  await runSchedule(env, 'shipping_poll');
  const order = await purchase.reaches('delivered');
  assert.deepStrictEqual(order.fulfilments[0].shipment.events.map((event) => event.status), ['in_transit', 'delivered']);
  await env.verify();
});

test('SHP-3 a carrier that fails, hangs or loses its answers gets one shipment for each parcel in the end', async () => {
  for (const [name, calls, value] of [['api_error', 3, 0], ['api_lost', 1, 0], ['api_lost', 2, 0], ['api_hang', 1, 1500]]) {
    await fault(name, calls, value);
    const purchase = await paid(env);
    const shipments = await poll(async () => {
      await env.query("UPDATE task SET due_at = now() WHERE name = 'shipping_labels' AND state = 'ready'");
      const rows = await purchase.shipments();
      return rows.length > 0 && rows.every((row) => row.tracking_code) && rows;
    }, { what: `a label in spite of ${name}`, timeoutMs: 60000 });
    const [{ n, bought }] = await env.query('SELECT count(*)::int AS n, count(label_url)::int AS bought FROM sandbox.shipment WHERE reference = $1', [`shp_${shipments[0].id.replace(/-/g, '')}`]);
    assert.strictEqual(bought, 1, `${name}: labels bought`);
    assert.strictEqual(n, 1, `${name}: shipments made`);
  }
  await env.verify();
});

test('SHP-3 asking about parcels while a label is being made buys no second label', async () => {
  await fault('api_hang', 2, 700);
  const purchase = await paid(env);
  await poll(async () => (await purchase.shipments()).length > 0, { what: 'the shipment\'s row' });
  await runSchedule(env, 'shipping_poll');
  const [shipment] = await poll(async () => {
    await env.query("UPDATE task SET due_at = now() WHERE name IN ('shipping_labels', 'shipping_poll') AND state = 'ready'");
    const rows = await purchase.shipments();
    return rows.every((row) => row.tracking_code) && rows;
  }, { what: 'the label', timeoutMs: 60000 });
  await poll(async () => (await env.query("SELECT 1 FROM task WHERE name IN ('shipping_labels', 'shipping_poll') AND state = 'running'")).length === 0, { what: 'the tasks to end' });
  const [{ bought }] = await env.query('SELECT count(label_url)::int AS bought FROM sandbox.shipment WHERE reference = $1', [`shp_${shipment.id.replace(/-/g, '')}`]);
  assert.strictEqual(bought, 1);
  await env.verify();
});

test('SHP-1 an order that was refunded before its label was made is not sent', async () => {
  await fault('api_error', 1000);
  const purchase = await paid(env);
  await poll(async () => (await purchase.shipments()).length > 0, { what: 'the shipment\'s row' });
  const staff = await makePerson(env, 'manager');
  await staff.api.call('order_refund', { path: { order_id: purchase.id }, body: { reason: 'Changed my mind' }, expect: [200, 201, 202] });
  await exchange(`${env.sandboxUrl}/sandbox/faults`, { method: 'DELETE' });
  await poll(async () => {
    await env.query("UPDATE task SET due_at = now() WHERE name = 'shipping_labels' AND state = 'ready'");
    return (await purchase.shipments())[0].state === 'cancelled';
  }, { what: 'the shipment to be cancelled', timeoutMs: 60000 });
  const order = await purchase.reaches('refunded');
  assert.strictEqual(order.fulfilments[0].state, 'cancelled');
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 0 });
  await env.verify();
});

const labelTask = () => env.query("UPDATE task SET due_at = now() WHERE name = 'shipping_labels' AND state = 'ready'");
const NOWHERE = { name: 'Wing Chan', line1: '1 Nowhere Street', city: 'Hong Kong', country: 'HK' };
const SOMEWHERE = { name: 'Wing Chan', line1: '7 Somewhere Road', city: 'Hong Kong', country: 'HK' };
const troubled = async (staff) => (await staff.api.call('staff_shipment_list', { expect: 200 })).body.items;

test('SHP-2 a failed attempt to deliver is no end: the parcel is asked about, and arrives', async () => {
  const staff = await makePerson(env, 'support');
  const purchase = await paid(env);
  const [shipment] = await purchase.labelled();
  await purchase.move(shipment, 'out_for_delivery');
  await purchase.move(shipment, 'failure');
  await poll(async () => (await purchase.shipments())[0].state === 'failure', { what: 'the failed attempt' });
  const [seen] = (await troubled(staff)).filter((one) => one.order_id === purchase.id);
  assert.strictEqual(seen.trouble, 'delivery_failed');
  assert.strictEqual(seen.number, purchase.order.number);
  // Late news of before the attempt changes nothing; what happened after it does.
  const late = trackerEvent(shipment, 'out_for_delivery', { at: '2020-01-01T00:00:00Z' });
  await webhook(late);
  await processed(late.id);
  assert.strictEqual((await purchase.shipments())[0].state, 'failure');
  await fault('webhook_drop', 100);
  await purchase.move(shipment, 'out_for_delivery');
  await runSchedule(env, 'shipping_poll');
  await poll(async () => (await purchase.shipments())[0].state === 'out_for_delivery', { what: 'the second attempt' });
  await purchase.move(shipment, 'delivered');
  await runSchedule(env, 'shipping_poll');
  await purchase.reaches('delivered');
  assert.deepStrictEqual((await troubled(staff)).filter((one) => one.order_id === purchase.id), []);
  await env.verify();
});

test('SHP-2 a label that the carrier refuses waits for staff, who put the address right', async () => {
  const staff = await makePerson(env, 'support');
  const purchase = await paid(env, { more: { address: NOWHERE } });
  await poll(async () => (await purchase.shipments())[0]?.problem, { what: 'the refusal' });
  const [seen] = (await troubled(staff)).filter((one) => one.order_id === purchase.id);
  assert.strictEqual(seen.trouble, 'label_refused');
  assert.match(seen.problem, /422/);
  assert.match((await staff.api.call('staff_order_show', { path: { order_id: purchase.id }, expect: 200 })).body.fulfilments[0].shipment.problem, /422/);
  assert.strictEqual((await purchase.show()).fulfilments[0].shipment.problem, null); // the carrier's words are for staff
  const calls = async () => (await env.query("SELECT count(*)::int AS n FROM task WHERE aggregate_id = $1 AND name = 'shipping_labels' AND state <> 'done'", [purchase.uuid]))[0].n;
  assert.strictEqual(await calls(), 0); // nobody asks again and again
  await runSchedule(env, 'shipping_poll');
  assert.ok((await purchase.shipments())[0].problem);
  // Asked once more without another address it is refused once more.
  await staff.api.call('shipment_label_retry', { path: { shipment_id: seen.id }, expect: 204 });
  await poll(async () => (await calls()) === 0 && (await purchase.shipments())[0].problem, { what: 'the second refusal' });
  await staff.api.call('order_address_set', { path: { order_id: purchase.id }, body: SOMEWHERE, expect: 204 });
  const [shipment] = await purchase.labelled();
  assert.strictEqual(shipment.problem, null);
  assert.match((await exchange(shipment.label_url)).text, /7 Somewhere Road/);
  await purchase.reaches('processing');
  assert.deepStrictEqual((await troubled(staff)).filter((one) => one.order_id === purchase.id), []);
  // Too late: the label bears an address.
  assert.strictEqual((await purchase.buyer.api.call('order_address_set', { path: { order_id: purchase.id }, body: NOWHERE, expect: 409 })).body.code, 'conflict');
  assert.strictEqual((await staff.api.call('shipment_label_retry', { path: { shipment_id: seen.id }, expect: 409 })).body.code, 'conflict');
  await env.verify();
});

test('SHP-2 an address is changed before the label, by whose order it is, and never under a label in the making', async () => {
  const purchase = await placed(env);
  const other = await makePerson(env, 'customer');
  await other.api.call('order_address_set', { path: { order_id: purchase.id }, body: SOMEWHERE, expect: 404 });
  await purchase.buyer.api.call('order_address_set', { path: { order_id: purchase.id }, body: SOMEWHERE, expect: 204 });
  await fault('api_hang', 1, 900);
  await purchase.pay();
  await poll(async () => (await purchase.shipments())[0]?.asked_at, { what: 'the carrier to be asked' });
  const refused = await purchase.buyer.api.call('order_address_set', { path: { order_id: purchase.id }, body: NOWHERE, expect: 409 });
  assert.strictEqual(refused.body.code, 'conflict');
  await poll(async () => { await labelTask(); return (await purchase.shipments())[0].tracking_code; }, { what: 'the label', timeoutMs: 60000 });
  assert.match((await exchange((await purchase.shipments())[0].label_url)).text, /7 Somewhere Road/);
  const cancelled = await placed(env);
  await cancelled.buyer.api.call('order_cancel', { path: { order_id: cancelled.id }, expect: 200 });
  assert.strictEqual((await cancelled.buyer.api.call('order_address_set', { path: { order_id: cancelled.id }, body: SOMEWHERE, expect: 409 })).body.code, 'transition_refused');
  await env.verify();
});

test('SHP-2 a label that is not made within an hour is told to staff, page by page', async () => {
  const staff = await makePerson(env, 'manager');
  await fault('api_error', 1000);
  const waiting = [await paid(env), await paid(env)];
  for (const purchase of waiting) await poll(async () => (await purchase.shipments()).length > 0, { what: 'the shipment\'s row' });
  const mine = (items) => items.filter((one) => waiting.some(({ id }) => id === one.order_id));
  assert.deepStrictEqual(mine(await troubled(staff)), []);
  await env.query("UPDATE shipment SET created_at = created_at - interval '2 hours' WHERE order_id = ANY($1)", [waiting.map(({ uuid }) => uuid)]);
  const seen = [];
  for (let cursor; ;) {
    const { body } = await staff.api.call('staff_shipment_list', { query: { limit: 1, ...(cursor ? { cursor } : {}) }, expect: 200 });
    seen.push(...body.items);
    cursor = body.next_cursor;
    if (!cursor) break;
  }
  assert.deepStrictEqual(mine(seen).map((one) => [one.order_id, one.trouble]), waiting.map(({ id }) => [id, 'label_late']).reverse());
  await exchange(`${env.sandboxUrl}/sandbox/faults`, { method: 'DELETE' });
  for (const purchase of waiting) await poll(async () => { await labelTask(); return (await purchase.shipments())[0].tracking_code; }, { what: 'the label', timeoutMs: 60000 });
  assert.deepStrictEqual(mine(await troubled(staff)), []);
});

test('SHP-2 parcels move by themselves where the sandbox is told so', async () => {
  const moving = await Environment.start({ settings: { sandbox_parcel_step_ms: 50 } });
  try {
    const purchase = await paid(moving);
    const order = await purchase.reaches('delivered');
    assert.deepStrictEqual(order.fulfilments[0].shipment.events.map((event) => event.status), ['pre_transit', 'in_transit', 'out_for_delivery', 'delivered']);
    await moving.verify();
  } finally {
    await moving.stop();
  }
});

test('JOB-2 the tasks of shipping run twice without harm', async () => {
  const purchase = await placed(env);
  await purchase.pay();
  const [shipment] = await purchase.labelled();
  await purchase.move(shipment, 'in_transit');
  await purchase.reaches('shipped');
  await env.query("UPDATE task SET state = 'ready', due_at = now(), pushed_at = NULL, finished_at = NULL, lease_until = NULL WHERE (aggregate_id = $1 AND name = 'shipping_labels') OR name = 'shipping_webhook'", [purchase.uuid]);
  await poll(async () => (await env.query("SELECT 1 FROM task WHERE state IN ('ready', 'running') AND name LIKE 'shipping_%'")).length === 0, { what: 'the tasks to run again' });
  assert.strictEqual((await purchase.show()).state, 'shipped');
  assert.strictEqual((await purchase.shipments()).length, 1);
  await env.verify();
});
