'use strict';
// SHP-1: the official client of EasyPost drives the sandbox carrier, and takes its signatures.
const http = require('node:http');
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const EasyPost = require('@easypost/api').default ?? require('@easypost/api');
const { shop, poll, exchange, SECRETS } = require('../harness');
const { sandboxPost } = require('../harness/orders');

const env = shop({ roles: ['sandbox'] });
const client = () => new EasyPost(SECRETS.easypost_key, { baseUrl: `${env.sandboxUrl}/v2/` });

const ADDRESSES = {
  to_address: { name: 'Mei <Wong>', street1: '1 Harbour Road', city: 'Hong Kong', country: 'HK' },
  from_address: { company: 'Shop & Co', street1: '2 Dock Street', city: 'Kowloon', country: 'HK' },
};
const create = (more = {}) => client().Shipment.create({ ...ADDRESSES, parcel: { weight: 17 }, ...more });

let received;
let receiver;
before(async () => {
  received = [];
  receiver = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks) });
      response.writeHead(received.length === 1 ? 503 : 200).end(); // the first one fails: it comes again
    });
  });
  await new Promise((resolve) => { receiver.listen(0, '127.0.0.1', resolve); });
});
after(() => receiver.close());

test('SHP-1 the client makes a shipment, sees rates, buys the cheapest, and finds it again', async () => {
  const made = await create({ reference: 'our-reference-1' });
  assert.match(made.id, /^shp_/);
  assert.strictEqual(made.parcel.weight, 17);
  assert.strictEqual(made.postage_label, null);
  const rate = client().Utils.getLowestRate(made.rates);
  assert.strictEqual(rate.service, 'Ground');
  const bought = await client().Shipment.buy(made.id, rate);
  assert.strictEqual(bought.selected_rate.id, rate.id);
  assert.match(bought.tracking_code, /^CP[0-9A-F]{12}$/);
  assert.strictEqual(bought.tracker.tracking_code, bought.tracking_code);
  const label = await exchange(bought.postage_label.label_url);
  assert.match(label.headers['content-type'], /image\/svg/);
  assert.match(label.text, /Mei &lt;Wong&gt;/);
  assert.strictEqual((await client().Shipment.retrieve(made.id)).tracking_code, bought.tracking_code);
  assert.strictEqual((await client().Shipment.retrieve('our-reference-1')).id, made.id);
  await assert.rejects(client().Shipment.buy(made.id, rate), (error) => error.code === 'SHIPMENT.POSTAGE.EXISTS' && error.statusCode === 422);
});

test('SHP-3 the client gives a label back, once, while nobody has scanned it', async () => {
  const buy = async () => {
    const made = await create();
    return client().Shipment.buy(made.id, client().Utils.getLowestRate(made.rates));
  };
  const bought = await buy();
  assert.strictEqual(bought.refund_status, null);
  assert.strictEqual((await client().Shipment.refund(bought.id)).refund_status, 'submitted');
  assert.strictEqual((await client().Shipment.retrieve(bought.id)).refund_status, 'refunded');
  await assert.rejects(client().Shipment.refund(bought.id), (error) => error.code === 'SHIPMENT.REFUND.UNAVAILABLE' && error.statusCode === 422);
  const left = await buy();
  await sandboxPost(env, `/sandbox/trackers/${left.tracking_code}/advance`, { status: 'in_transit' });
  assert.strictEqual((await client().Shipment.refund(left.id)).refund_status, 'rejected');
  await assert.rejects(client().Shipment.refund((await create()).id), (error) => error.statusCode === 422);
});

test('SHP-1 the client is told what is wrong', async () => {
  await assert.rejects(client().Shipment.create({ ...ADDRESSES }), (error) => error.statusCode === 422 && error.errors[0].field === 'parcel');
  await assert.rejects(client().Shipment.retrieve('shp_unknown'), (error) => error.statusCode === 404);
  await assert.rejects(client().Tracker.retrieve('trk_unknown'), (error) => error.statusCode === 404);
  const made = await create();
  await assert.rejects(client().Shipment.buy(made.id, 'rate_of_another'), (error) => error.statusCode === 422);
  const stranger = new EasyPost('EZTK_wrong', { baseUrl: `${env.sandboxUrl}/v2/` });
  await assert.rejects(stranger.Shipment.all(), (error) => error.statusCode === 401);
});

test('SHP-1 the client lists shipments, trackers and events page by page', async () => {
  const ids = [];
  for (let i = 0; i < 3; i += 1) ids.unshift((await create()).id);
  const page = await client().Shipment.all({ page_size: 2, purchased: false });
  assert.deepStrictEqual(page.shipments.map((shipment) => shipment.id), ids.slice(0, 2));
  assert.strictEqual(page.has_more, true);
  const next = await client().Shipment.getNextPage(page);
  assert.strictEqual(next.shipments[0].id, ids[2]);
  assert.ok(!next.shipments.some((shipment) => ids.slice(0, 2).includes(shipment.id)));
});

test('SHP-2 trackers: by code, by test code, one step at a time', async () => {
  const tracker = await client().Tracker.create({ tracking_code: 'EZ2000000002' });
  assert.strictEqual(tracker.status, 'in_transit');
  assert.deepStrictEqual(tracker.tracking_details.map((detail) => detail.status), ['pre_transit', 'in_transit']);
  assert.strictEqual((await client().Tracker.create({ tracking_code: 'EZ2000000002' })).id, tracker.id);
  for (const status of ['out_for_delivery', 'delivered']) {
    await sandboxPost(env, `/sandbox/trackers/${tracker.id}/advance`);
    assert.strictEqual((await client().Tracker.retrieve(tracker.id)).status, status);
  }
  const late = await exchange(`${env.sandboxUrl}/sandbox/trackers/${tracker.id}/advance`, { method: 'POST', headers: { 'content-length': 0 } });
  assert.strictEqual(late.status, 409);
  const found = await client().Tracker.all({ tracking_code: 'EZ2000000002' });
  assert.deepStrictEqual(found.trackers.map((one) => one.id), [tracker.id]);
  assert.strictEqual((await client().Tracker.create({ tracking_code: 'EZ4000000004' })).status, 'delivered');
  assert.strictEqual((await client().Tracker.create({ tracking_code: 'EZ5000000005' })).status, 'return_to_sender');
});

test('SHP-2 webhooks are signed as the client expects, tried again, and can be read as events', async () => {
  const secret = 'a secret of the test';
  const webhook = await client().Webhook.create({ url: `http://127.0.0.1:${receiver.address().port}/`, webhook_secret: secret });
  assert.match(webhook.id, /^hook_/);
  assert.ok((await client().Webhook.all()).webhooks.some((one) => one.id === webhook.id));
  const made = await create();
  const bought = await client().Shipment.buy(made.id, made.rates[0]);
  await sandboxPost(env, `/sandbox/trackers/${bought.tracking_code}/advance`);
  const updated = () => received.filter(({ body }) => JSON.parse(body).description === 'tracker.updated');
  await poll(() => updated().length > 0 && received.length >= 3, { what: 'the webhook, and the one that failed again' });
  const [{ headers, body }] = updated();
  const event = client().Utils.validateWebhook(body, headers, secret);
  assert.strictEqual(event.result.status, 'pre_transit');
  assert.strictEqual(event.result.tracking_code, bought.tracking_code);
  assert.throws(() => client().Utils.validateWebhook(body, headers, 'another secret'));
  assert.throws(() => client().Utils.validateWebhook(Buffer.concat([body, Buffer.from(' ')]), headers, secret));
  assert.strictEqual((await client().Event.retrieve(event.id)).description, 'tracker.updated');
  assert.ok((await client().Event.all({ page_size: 100 })).events.some((one) => one.id === event.id));
  await client().Webhook.delete(webhook.id);
  await assert.rejects(client().Webhook.retrieve(webhook.id), (error) => error.statusCode === 404);
});
