'use strict';
// PAY-5: what is done at the gateway and not by the shop. Refunds made there are taken over, disputes are recorded; the money columns agree with it.
const { test, afterEach } = require('node:test');
const assert = require('node:assert');
const { shop, poll, makePerson } = require('../harness');
const { stripeClient, pay, decline, fault, faultsClear, sandboxCall } = require('../harness/gateway');
const { ordered, begun, reaches, runSchedule, webhooksDone } = require('../harness/buying');

const env = shop({ settings: { payment_sweep_after_s: 1, partner_timeout_ms: 1000 } });
let staff;

afterEach(() => faultsClear(env));

const paid = async (options) => {
  const purchase = await begun(env, await ordered(env, options));
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  staff ??= await makePerson(env, 'manager');
  return purchase;
};
const refund = (purchase, options = {}) => staff.api.call('order_refund', { path: { order_id: purchase.order.id }, body: { reason: 'It did not fit' }, ...options });
const dashboardRefund = (purchase, amount) => stripeClient(env).refunds.create({ payment_intent: purchase.intentId, ...(amount && { amount }) });
/** What the shop counts as refunded is what the gateway has refunded. */
async function agrees(purchase) {
  const { data } = await stripeClient(env).refunds.list({ payment_intent: purchase.intentId, limit: 100 });
  const sent = data.filter(({ status }) => status === 'succeeded').reduce((sum, { amount }) => sum + amount, 0);
  const counted = (await purchase.payments()).find(({ intent_id: id }) => id === purchase.intentId).refunded_minor;
  assert.strictEqual(Number(counted), sent);
}
const refundsAre = (purchase, states, what) => poll(async () => JSON.stringify((await purchase.refunds()).map(({ state }) => state)) === JSON.stringify(states), { what, timeoutMs: 60000 });

test('PAY-5 a whole refund made at the gateway refunds the order, with miles and stock', async () => {
  const purchase = await paid({ points: 1000 });
  await dashboardRefund(purchase);
  await reaches(purchase, 'refunded');
  await webhooksDone(env);
  await refundsAre(purchase, ['succeeded'], 'one refund');
  assert.strictEqual((await purchase.balance()).available, 1000);
  await poll(async () => (await purchase.stock()).reserved === 0, { what: 'the label to be void and the stock free' });
  const { body } = await purchase.buyer.api.call('refund_list', { path: { order_id: purchase.order.id }, expect: 200 });
  assert.strictEqual(body.items[0].reason, 'Refunded at the payment gateway');
  await refund(purchase, { expect: 409 });
  await agrees(purchase);
  await env.verify();
});

test('PAY-5 a refund made at the gateway whose webhooks were lost is found', async () => {
  const purchase = await paid();
  await fault(env, 'webhook_drop', 1000);
  await dashboardRefund(purchase);
  await runSchedule(env, 'payment_reconcile');
  await reaches(purchase, 'refunded');
  await runSchedule(env, 'payment_reconcile');
  await refundsAre(purchase, ['succeeded'], 'one refund');
  await agrees(purchase);
  await env.verify();
});

test('PAY-5 a part refunded at the gateway is counted; staff refund the rest', async () => {
  const purchase = await paid({ points: 1000 });
  await dashboardRefund(purchase, 30000);
  await refundsAre(purchase, ['succeeded'], 'the part to be taken over');
  assert.ok(await purchase.paid(), 'nobody has said what the part is for: the order goes on');
  assert.strictEqual((await purchase.payments())[0].refunded_minor, '30000');
  const { body } = await refund(purchase, { expect: 201 });
  assert.deepStrictEqual([body.amount_minor, body.points], [purchase.order.cash_minor - 30000, 1000]);
  await refundsAre(purchase, ['succeeded', 'succeeded'], 'the rest to be refunded');
  assert.strictEqual(await purchase.state(), 'refunded');
  await agrees(purchase);
  await env.verify();
});

test('PAY-5 staff refund what was refunded at the gateway unheard: theirs fails, the money agrees', async () => {
  const purchase = await paid({ points: 1000 });
  await fault(env, 'webhook_drop', 1000);
  await dashboardRefund(purchase);
  await refund(purchase, { expect: 201 });
  await refundsAre(purchase, ['failed', 'succeeded'], 'the one to fail and the other to be taken over');
  assert.strictEqual((await purchase.refunds())[0].failure, 'charge_already_refunded');
  assert.strictEqual((await purchase.balance()).available, 1000);
  await agrees(purchase);
  await env.verify();
});

test('PAY-5 a refund that the gateway refuses for a reason that nobody knows has failed, and may be asked for again', async () => {
  const purchase = await paid();
  await fault(env, 'api_refuse', 1);
  await refund(purchase, { expect: 201 });
  await refundsAre(purchase, ['failed'], 'the refund to fail');
  const [failed] = await purchase.refunds();
  assert.deepStrictEqual([failed.failure, (await purchase.payments())[0].refunded_minor], ['sandbox_refused', '0']);
  await refund(purchase, { expect: 201 });
  await refundsAre(purchase, ['failed', 'succeeded'], 'the second one');
  await agrees(purchase);
  await env.verify();
});

test('PAY-5 paid twice and the way back failed: the refund names the payment, and the order stays paid', async () => {
  await fault(env, 'cancel_refuse', 1000);
  const purchase = await begun(env, await ordered(env, { points: 1000 }));
  const first = purchase.intentId;
  await decline(env, first);
  await reaches(purchase, 'payment_failed');
  await begun(env, purchase);
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  staff ??= await makePerson(env, 'manager');
  await fault(env, 'refund_pending', 1);
  await pay(env, first);
  await poll(async () => (await purchase.refunds())[0]?.gateway_id, { what: 'the way back to be begun' });
  await sandboxCall(env, 'POST', `/sandbox/refunds/${(await purchase.refunds())[0].gateway_id}/fail`);
  await refundsAre(purchase, ['failed'], 'the way back to fail');
  const [second, one] = (await purchase.payments()).map(({ id }) => `pay_${id.replaceAll('-', '')}`);
  const { body: unclear } = await refund(purchase, { expect: 409 });
  assert.deepStrictEqual(unclear.errors, [{ field: 'payment_id', reason: `came_for_nothing: ${second}` }, { field: 'payment_id', reason: `paid_the_order: ${one}` }]);
  await refund(purchase, { body: { reason: 'paid twice', payment_id: `pay_${'0'.repeat(32)}` }, expect: 404 });
  const { body } = await refund(purchase, { body: { reason: 'paid twice', payment_id: second }, expect: 201 });
  assert.deepStrictEqual([body.payment_id, body.points], [second, 0]);
  await refundsAre(purchase, ['failed', 'succeeded'], 'the money to go back');
  assert.ok(await purchase.paid());
  assert.deepStrictEqual((await purchase.payments()).map(({ refunded_minor: refunded, amount_minor: amount }) => refunded === amount), [true, false]);
  assert.strictEqual((await purchase.balance()).available, 0, 'the order has the miles');
  await env.verify();
});

test('PAY-5 a dispute is recorded, seen by staff alone, and closed once', async () => {
  const purchase = await paid();
  await sandboxCall(env, 'POST', `/sandbox/payment_intents/${purchase.intentId}/dispute`);
  const seen = async (api) => (await api.call('payment_show', { path: { order_id: purchase.order.id }, expect: 200 })).body.disputes;
  await poll(async () => (await seen(staff.api)).length === 1, { what: 'the dispute' });
  const [{ state, closed, amount_minor: amount }] = await seen(staff.api);
  assert.deepStrictEqual([state, closed, amount], ['needs_response', false, purchase.order.cash_minor]);
  assert.strictEqual(await seen(purchase.buyer.api), null);
  await sandboxCall(env, 'POST', `/sandbox/payment_intents/${purchase.intentId}/dispute_lose`);
  await poll(async () => (await seen(staff.api))[0].closed, { what: 'its end' });
  await sandboxCall(env, 'POST', `/sandbox/payment_intents/${purchase.intentId}/dispute`);
  await webhooksDone(env);
  assert.deepStrictEqual((await seen(staff.api)).map((one) => one.state), ['lost'], 'news that comes late opens nothing');
  await env.verify();
});
