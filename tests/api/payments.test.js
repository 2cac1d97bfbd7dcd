'use strict';
// PAY-1 to PAY-4 and PAY-6: an order is paid at the gateway's page, and whatever goes wrong on the way, nobody loses.
const { test, afterEach } = require('node:test');
const assert = require('node:assert');
const crypto = require('node:crypto');
const { shop, poll, exchange, makePerson, uuidOf } = require('../harness');
const { customer } = require('../harness/goods');
const { stripeClient, pay, decline, fault, faultsClear, signature, deliveries } = require('../harness/gateway');
const { ordered, begun, reaches, runSchedule, webhooksDone } = require('../harness/buying');

const env = shop({ settings: { payment_sweep_after_s: 1, partner_timeout_ms: 1000 } });
const gatewayIntent = (purchase) => stripeClient(env).paymentIntents.retrieve(purchase.intentId);

afterEach(() => faultsClear(env));

test('PAY-1 an order is paid at the hosted page and confirmed by the webhook', async () => {
  const purchase = await ordered(env, { points: 2000, quantity: 2 });
  assert.strictEqual(purchase.order.cash_minor, purchase.order.total_minor - purchase.order.points_value_minor);
  await begun(env, purchase);
  const { answer } = purchase;
  assert.strictEqual(answer.order_state, 'pending_payment');
  assert.strictEqual(answer.payment.state, 'pending');
  assert.strictEqual(answer.payment.amount_minor, purchase.order.cash_minor);
  assert.strictEqual(answer.expires_at.slice(0, 19), purchase.order.expires_at.slice(0, 19));
  const intent = await gatewayIntent(purchase);
  assert.strictEqual(intent.amount, purchase.order.cash_minor);
  assert.strictEqual(intent.currency, 'hkd');
  assert.deepStrictEqual(intent.metadata, { order_id: purchase.order.id, payment_id: answer.payment.id });
  assert.strictEqual(intent.next_action.redirect_to_url.url, purchase.url);
  assert.strictEqual((await exchange(purchase.url)).status, 200);
  const press = await exchange(purchase.url, { method: 'POST', body: 'action=pay', headers: { 'content-length': 10, 'content-type': 'application/x-www-form-urlencoded' } });
  assert.strictEqual(press.status, 303);
  await reaches(purchase, 'confirmed');
  const { body: status } = await purchase.buyer.api.call('payment_show', { path: { order_id: purchase.order.id }, expect: 200 });
  assert.strictEqual(status.payment.state, 'succeeded');
  assert.strictEqual(status.redirect_url, null);
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 2 });
  assert.strictEqual((await purchase.balance()).held, 0);
  assert.strictEqual((await purchase.balance()).available, 0);
  // The page that the shopper comes back to.
  const location = new URL(press.headers.location);
  assert.strictEqual(location.origin, env.url);
  const { order_id, redirect_status } = Object.fromEntries(location.searchParams);
  const back = await env.api.call('payment_return', { query: { order_id, redirect_status }, expect: 200 });
  // Gateways add parameters that differ by method and by year; the page is there whatever they are.
  const added = `redirect_pm_type=alipay&payment_method=pm_1&broken=%ZZ&${'x=1&'.repeat(80)}`;
  assert.strictEqual((await env.api.get(`${location.pathname}${location.search}&${added}`)).status, 200);
  assert.match(back.text, /Thank you/);
  await env.verify();
});

test('PAY-1 paying again answers the same intent; a key is replayed; others see nothing', async () => {
  const purchase = await ordered(env);
  const path = { order_id: purchase.order.id };
  const answers = await Promise.all(Array.from({ length: 8 }, () => purchase.buyer.api.call('order_pay', { path, expect: 200 })));
  assert.strictEqual(new Set(answers.map(({ body }) => body.redirect_url)).size, 1);
  assert.strictEqual((await purchase.payments()).length, 1);
  const first = await purchase.buyer.api.call('order_pay', { path, key: 'pay-key', expect: 200 });
  const second = await purchase.buyer.api.call('order_pay', { path, key: 'pay-key', expect: 200 });
  assert.deepStrictEqual(second.body, first.body);
  assert.strictEqual(second.headers['idempotent-replayed'], 'true');
  const stranger = await customer(env);
  await stranger.api.call('order_pay', { path, expect: 404 });
  await stranger.api.call('payment_show', { path, expect: 404 });
  await stranger.api.call('refund_list', { path, expect: 404 });
  await stranger.api.call('order_refund', { path, body: { reason: 'mine' }, expect: 403 });
  await env.api.call('order_pay', { path, token: null, expect: 401 });
  const staff = await makePerson(env, 'support');
  assert.strictEqual((await staff.api.call('payment_show', { path, expect: 200 })).body.order_id, purchase.order.id);
});

test('CHK-4 an order without cash has nothing to pay, and a paid one neither', async () => {
  const purchase = await ordered(env, { points: 1000, priceMinor: 10000 });
  assert.strictEqual(purchase.order.cash_minor, 0);
  await purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id }, expect: 409 });
  await reaches(purchase, 'confirmed');
  assert.deepStrictEqual(await purchase.payments(), []);
  const paid = await begun(env, await ordered(env));
  await pay(env, paid.intentId);
  await reaches(paid, 'confirmed');
  const { body } = await paid.buyer.api.call('order_pay', { path: { order_id: paid.order.id }, expect: 409 });
  assert.strictEqual(body.code, 'conflict');
});

test('PAY-4 a declined payment gives stock and miles back, and the shopper may try again', async () => {
  const purchase = await begun(env, await ordered(env, { points: 2000, miles: 3000 }));
  assert.strictEqual((await purchase.balance()).held, 2000);
  await decline(env, purchase.intentId);
  await reaches(purchase, 'payment_failed');
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 0 });
  assert.deepStrictEqual([(await purchase.balance()).available, (await purchase.balance()).held], [3000, 0]);
  const [failed] = await purchase.payments();
  assert.strictEqual(failed.state, 'failed');
  assert.strictEqual(failed.failure, 'payment_method_provider_decline');

  const first = purchase.intentId;
  await begun(env, purchase);
  assert.notStrictEqual(purchase.intentId, first);
  assert.strictEqual(purchase.answer.payment.attempt, 2);
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 1 });
  assert.strictEqual((await purchase.balance()).held, 2000);
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  assert.deepStrictEqual((await purchase.payments()).map(({ state }) => state), ['failed', 'succeeded']);
  await env.verify();
});

test('PAY-4 a second attempt is refused where the goods are gone', async () => {
  const purchase = await begun(env, await ordered(env, { onHand: 1 }));
  await decline(env, purchase.intentId);
  await reaches(purchase, 'payment_failed');
  await ordered(env, { variant: purchase.variant });
  const { body } = await purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id }, expect: 409 });
  assert.strictEqual(body.code, 'out_of_stock');
  assert.strictEqual(await purchase.state(), 'payment_failed');
  assert.strictEqual((await purchase.payments()).length, 1);
  await env.verify();
});

test('PAY-3 a late success of a failed attempt is honoured where stock and miles are there', async () => {
  const purchase = await begun(env, await ordered(env, { points: 2000 }));
  await fault(env, 'cancel_refuse', 1000); // what was declined is closed at the gateway, where that can be
  await decline(env, purchase.intentId);
  await reaches(purchase, 'payment_failed');
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 1 });
  assert.strictEqual((await purchase.balance()).available, 0);
  assert.deepStrictEqual(await purchase.refunds(), []);
  await env.verify();
});

test('PAY-3 a late success is refunded by itself where the goods are gone', async () => {
  const purchase = await begun(env, await ordered(env, { onHand: 1, points: 2000 }));
  await fault(env, 'cancel_refuse', 1000);
  await decline(env, purchase.intentId);
  await reaches(purchase, 'payment_failed');
  await ordered(env, { variant: purchase.variant });
  await pay(env, purchase.intentId);
  await poll(async () => (await purchase.refunds())[0]?.state === 'succeeded', { what: 'the refund' });
  assert.strictEqual(await purchase.state(), 'payment_failed');
  assert.strictEqual((await purchase.balance()).available, 2000);
  const refunds = await stripeClient(env).refunds.list({ payment_intent: purchase.intentId });
  assert.deepStrictEqual(refunds.data.map(({ amount }) => amount), [purchase.order.cash_minor]);
  await poll(async () => (await env.query(`SELECT FROM mail WHERE order_id = $1 AND template = 'payment_returned' AND state = 'sent'`, [uuidOf(purchase.order.id)])).length === 1, { what: 'the mail that tells of it' });
  await env.verify();
});

/** Declined, and the gateway does not close it: somebody may still pay it. */
async function declinedAndOpen(options) {
  await fault(env, 'cancel_refuse', 1000);
  const purchase = await begun(env, await ordered(env, options));
  const first = purchase.intentId;
  await decline(env, first);
  await reaches(purchase, 'payment_failed');
  await poll(async () => (await purchase.payments())[0].ask_failures > 0, { what: 'the gateway to refuse the cancellation' });
  return { purchase, first };
}
const sweptUntil = (what, done) => poll(async () => { await runSchedule(env, 'payment_sweep'); return done(); }, { what, timeoutMs: 60000, everyMs: 300 });

test('PAY-3 a declined attempt is cancelled at the gateway: nobody can pay it any more', async () => {
  const purchase = await begun(env, await ordered(env));
  await decline(env, purchase.intentId);
  await reaches(purchase, 'payment_failed');
  await poll(async () => (await gatewayIntent(purchase)).status === 'canceled', { what: 'the intent to be cancelled' });
  await poll(async () => (await purchase.payments())[0].closed_at, { what: 'the payment to be closed' });
  assert.deepStrictEqual((await purchase.payments()).map(({ state }) => state), ['failed']);
  await assert.rejects(pay(env, purchase.intentId), /409/);
  await env.verify();
});

test('PAY-3 declined, paid by a new attempt, and the old one paid too with its webhook lost: that money goes back', async () => {
  const { purchase, first } = await declinedAndOpen();
  await begun(env, purchase);
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  await fault(env, 'webhook_drop', 1000);
  await pay(env, first);
  await sweptUntil('the second payment to be refunded', async () => (await purchase.refunds())[0]?.state === 'succeeded');
  const [old, paid] = await purchase.payments();
  assert.deepStrictEqual([old.state, old.surplus, old.refunded_minor], ['succeeded', true, old.amount_minor]);
  assert.deepStrictEqual([paid.state, paid.surplus, paid.refunded_minor], ['succeeded', false, '0']);
  assert.ok(await purchase.paid());
  await env.verify();
});

test('PAY-3 declined, and the old attempt paid later with its webhook lost: the order is honoured', async () => {
  const { purchase, first } = await declinedAndOpen({ points: 1000 });
  await fault(env, 'webhook_drop', 1000);
  await pay(env, first);
  await sweptUntil('the order to be confirmed', () => purchase.paid());
  assert.deepStrictEqual(await purchase.refunds(), []);
  await env.verify();
});

test('PAY-4 a payment that was never begun ends with its order, also where the order ended long ago', async () => {
  const purchase = await ordered(env);
  await purchase.buyer.api.call('order_cancel', { path: { order_id: purchase.order.id }, expect: 200 });
  await poll(async () => (await purchase.payments())[0].state === 'cancelled', { what: 'the payment to end' });
  const old = await ordered(env);
  await old.buyer.api.call('order_cancel', { path: { order_id: old.order.id }, expect: 200 });
  await poll(async () => (await old.payments())[0].state === 'cancelled', { what: 'the payment to end' });
  await env.query(`UPDATE payment SET state = 'created' WHERE order_id = $1`, [uuidOf(old.order.id)]);
  await runSchedule(env, 'payment_end_unbegun');
  assert.strictEqual((await old.payments())[0].state, 'cancelled');
  const waiting = await ordered(env);
  await runSchedule(env, 'payment_end_unbegun');
  assert.strictEqual((await waiting.payments())[0].state, 'created', 'its order waits');
  await env.verify();
});

test('PAY-3 a success that meets a cancelled order is refunded; an open intent of a cancelled order is closed', async () => {
  const purchase = await begun(env, await ordered(env, { points: 1000 }));
  await fault(env, 'webhook_drop', 10);
  await pay(env, purchase.intentId);
  await purchase.buyer.api.call('order_cancel', { path: { order_id: purchase.order.id }, expect: 200 });
  await poll(async () => (await purchase.refunds())[0]?.state === 'succeeded', { what: 'the refund' });
  assert.strictEqual(await purchase.state(), 'cancelled');
  assert.strictEqual((await purchase.balance()).available, 1000);

  const other = await begun(env, await ordered(env));
  await other.buyer.api.call('order_cancel', { path: { order_id: other.order.id }, expect: 200 });
  await poll(async () => (await gatewayIntent(other)).status === 'canceled', { what: 'the intent to be cancelled' });
  await poll(async () => (await other.payments())[0].state === 'cancelled', { what: 'the payment to be cancelled' });
  await env.verify();
});

test('PAY-3 a lost webhook: asking on the way back, and the sweeper, find the success', async () => {
  await fault(env, 'webhook_drop', 1000);
  const asked = await begun(env, await ordered(env));
  await pay(env, asked.intentId);
  const { body } = await asked.buyer.api.call('payment_show', { path: { order_id: asked.order.id }, query: { refresh: true }, expect: 200 });
  assert.strictEqual(body.payment.state, 'succeeded');
  assert.ok(await asked.paid());
  const swept = await begun(env, await ordered(env));
  await pay(env, swept.intentId);
  const failed = await begun(env, await ordered(env));
  await decline(env, failed.intentId);
  assert.strictEqual(await swept.state(), 'pending_payment');
  await poll(async () => { await runSchedule(env, 'payment_sweep'); return (await swept.paid()) && (await failed.state()) === 'payment_failed'; }, { what: 'the sweeper' });
  await env.verify();
});

test('PAY-4 the gateway is away: nothing is lost, the same call works later', async () => {
  const purchase = await ordered(env);
  const path = { order_id: purchase.order.id };
  await fault(env, 'api_error', 3);
  assert.ok([502, 504].includes((await purchase.buyer.api.call('order_pay', { path, key: 'later' })).status));
  assert.strictEqual(await purchase.state(), 'pending_payment');
  await faultsClear(env);
  await poll(async () => (await purchase.buyer.api.call('order_pay', { path, key: 'later' })).status === 200, { what: 'the gateway to be asked again' });

  // The work was done and the answer lost: asking again finds the same intent.
  const lost = await ordered(env);
  await fault(env, 'api_lost', 3);
  await lost.buyer.api.call('order_pay', { path: { order_id: lost.order.id }, expect: [502, 504] });
  await faultsClear(env);
  await poll(async () => (await lost.buyer.api.call('order_pay', { path: { order_id: lost.order.id } })).status === 200, { what: 'the second call' });
  const list = await stripeClient(env).paymentIntents.list({ limit: 100 });
  assert.strictEqual(list.data.filter(({ metadata }) => metadata.order_id === lost.order.id).length, 1);
  await env.verify();
});

// ---- webhooks ----

const eventOf = (purchase, object = {}) => ({
  id: `evt_${crypto.randomUUID().replace(/-/g, '')}`, object: 'event', type: 'payment_intent.succeeded', created: Math.floor(Date.now() / 1000), livemode: false,
  data: {
    object: {
      id: purchase.intentId, object: 'payment_intent', amount: purchase.order.cash_minor, amount_received: purchase.order.cash_minor, currency: 'hkd',
      status: 'succeeded', client_secret: 'pi_secret', metadata: { order_id: purchase.order.id, payment_id: purchase.answer.payment.id }, ...object,
    },
  },
});

const send = (text, header, expect) => env.api.call('stripe_webhook', { body: text, headers: header === null ? {} : { 'stripe-signature': header }, expect });

test('PAY-2 forged, stale and unreadable webhooks are refused and recorded; nothing changes', async () => {
  const purchase = await begun(env, await ordered(env));
  const text = JSON.stringify(eventOf(purchase));
  const now = Math.floor(Date.now() / 1000);
  const refusals = async () => (await env.query('SELECT count(*)::int FROM webhook_refusal'))[0].count;
  const before = await refusals();
  const stored = (await env.query('SELECT count(*)::int FROM webhook'))[0].count;
  const wrong = [
    [text, null, 401],
    [text, 'nonsense', 401],
    [text, signature(text, { secret: 'whsec_other' }), 401],
    [text, signature(text.replace('hkd', 'usd')), 401],
    [text, signature(text, { seconds: now - 301 }), 401],
    [text, signature(text, { seconds: now + 400 }), 401],
    [text, signature(text).replace(/t=\d+/, `t=${now - 5}`), 401],
    ['{"id": 1}', signature('{"id": 1}'), 400],
    [text.replace('"status":"succeeded"', '"status":"requires_action"'), signature(text.replace('"status":"succeeded"', '"status":"requires_action"')), 400],
  ];
  for (const [body, header, status] of wrong) await send(body, header, status);
  await exchange(`${env.url}/v1/webhooks/stripe`, { method: 'POST', body: 'not json', headers: { 'content-type': 'application/json', 'content-length': 8, 'stripe-signature': signature('not json') } })
    .then(({ status }) => assert.strictEqual(status, 400));
  assert.strictEqual(await refusals(), before + wrong.length + 1);
  assert.strictEqual((await env.query('SELECT count(*)::int FROM webhook'))[0].count, stored);
  assert.strictEqual(await purchase.state(), 'pending_payment');
  assert.strictEqual((await purchase.payments())[0].state, 'pending');
  // One of several signatures is enough: secrets are rotated that way.
  await send(text, `${signature(text, { secret: 'whsec_old' })},${signature(text).replace(/t=\d+,/, '')}`, 200);
  await reaches(purchase, 'confirmed');
});

test('PAY-2 an event that does not fit the payment alters nothing and is marked', async () => {
  const purchase = await begun(env, await ordered(env));
  const other = await begun(env, await ordered(env));
  const snapshot = () => env.query(`SELECT o.state, o.sequence, p.state AS payment, p.answer, p.updated_at FROM orders o JOIN payment p ON p.order_id = o.id
    WHERE o.id = ANY($1) ORDER BY o.id`, [[uuidOf(purchase.order.id), uuidOf(other.order.id)]]);
  const before = await snapshot();
  const wrong = {
    amount: eventOf(purchase, { amount: purchase.order.cash_minor - 1 }),
    received: eventOf(purchase, { amount_received: 1 }),
    currency: eventOf(purchase, { currency: 'usd' }),
    order: eventOf(purchase, { metadata: { order_id: other.order.id, payment_id: purchase.answer.payment.id } }),
    payment: eventOf(purchase, { metadata: { order_id: purchase.order.id, payment_id: other.answer.payment.id } }),
    nobody: eventOf(purchase, { metadata: {} }),
    unknown: eventOf(purchase, { id: 'pi_of_somebody_else', metadata: {} }),
  };
  for (const event of Object.values(wrong)) {
    const text = JSON.stringify(event);
    await send(text, signature(text), 200);
  }
  await webhooksDone(env);
  const rows = await env.query('SELECT event_id, state, detail FROM webhook WHERE event_id = ANY($1)', [Object.values(wrong).map(({ id }) => id)]);
  for (const [name, event] of Object.entries(wrong)) assert.strictEqual(rows.find((row) => row.event_id === event.id).state, 'mismatched', name);
  assert.deepStrictEqual(await snapshot(), before);
  await env.verify();
});

test('PAY-3 what the shop does not act on is ignored; the same event again is answered the same', async () => {
  const purchase = await begun(env, await ordered(env));
  const text = JSON.stringify({ ...eventOf(purchase), id: 'evt_twice' });
  const created = JSON.stringify({ ...eventOf(purchase), id: 'evt_created', type: 'payment_intent.created' });
  await send(created, signature(created), 200);
  for (let i = 0; i < 3; i += 1) assert.deepStrictEqual((await send(text, signature(text), 200)).body, { received: true });
  await reaches(purchase, 'confirmed');
  await webhooksDone(env);
  const rows = await env.query(`SELECT event_id, state FROM webhook WHERE event_id IN ('evt_twice', 'evt_created') ORDER BY 1`);
  assert.deepStrictEqual(rows, [{ event_id: 'evt_created', state: 'ignored' }, { event_id: 'evt_twice', state: 'processed' }]);
  const events = await env.query(`SELECT type FROM outbox WHERE aggregate_id = $1 AND type = 'order.confirmed'`, [uuidOf(purchase.order.id)]);
  assert.strictEqual(events.length, 1);
  await env.verify();
});

test('PAY-6 the gateway\'s word is kept as JSON, without the client\'s secret; no card data anywhere', async () => {
  const purchase = await begun(env, await ordered(env));
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  const [payment] = await purchase.payments();
  const answer = JSON.parse(payment.answer);
  assert.strictEqual(answer.object, 'payment_intent');
  assert.strictEqual(answer.status, 'succeeded');
  assert.strictEqual(answer.client_secret, undefined);
  const [{ columns }] = await env.query(`SELECT string_agg(column_name, ' ') AS columns FROM information_schema.columns WHERE table_schema = 'public'`);
  assert.doesNotMatch(columns, /card_number|cvc|cvv|\bpan\b/);
  assert.ok((await deliveries(env, purchase.intentId)).every(({ state }) => state === 'done'));
});

test('ACC-1 a session that was signed out pays nothing, refunds nothing and moves no miles, though its token has not expired', async () => {
  const purchase = await ordered(env);
  const path = { order_id: purchase.order.id };
  await purchase.buyer.api.call('session_sign_out', { expect: 204 });
  await purchase.buyer.api.call('order_show', { path, expect: 401 });
  await purchase.buyer.api.call('order_pay', { path, expect: 401 });
  assert.strictEqual((await purchase.payments())[0].intent_id, null);
  const manager = await makePerson(env, 'manager');
  await manager.api.call('session_sign_out', { expect: 204 });
  await manager.api.call('order_refund', { path, body: { reason: 'signed out' }, expect: 401 });
  await manager.api.call('loyalty_adjustment_create', { path: { user_id: purchase.buyer.id }, body: { points: 100, reason: 'signed out' }, expect: 401 });
});
