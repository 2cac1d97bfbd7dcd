'use strict';
// PAY-3 under concurrency: events many times, in either order, from several processes at once, are processed once.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, poll, makePerson, uuidOf } = require('../harness');
const { stripeClient, pay, decline, resend, fault, faultsClear, deliveries } = require('../harness/gateway');
const { ordered, begun, reaches, webhooksDone } = require('../harness/buying');

const env = shop({ roles: ['serve', 'serve:2', 'worker', 'worker:2', 'scheduler', 'sandbox'], settings: { sandbox_webhook_retry_ms: 50 } });

const eventOf = async (purchase, type) => (await stripeClient(env).events.list({ type, limit: 100 })).data.find(({ data }) => data.object.id === purchase.intentId);
const delivered = (purchase) => poll(async () => (await deliveries(env, purchase.intentId)).every(({ state }) => state !== 'waiting'), { what: 'the deliveries', timeoutMs: 30000 });
const steps = async (purchase) => (await env.query('SELECT to_state FROM order_event WHERE order_id = $1 ORDER BY sequence', [uuidOf(purchase.order.id)])).map(({ to_state: state }) => state);
const published = async (purchase, type) => (await env.query('SELECT count(*)::int FROM outbox WHERE aggregate_id = $1 AND type = $2', [uuidOf(purchase.order.id), type]))[0].count;

test('PAY-3 a success webhook delivered 20 times concurrently is processed once', async () => {
  const purchase = await begun(env, await ordered(env, { points: 1000 }));
  await fault(env, 'webhook_duplicate', 1, 20);
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  await resend(env, (await eventOf(purchase, 'payment_intent.succeeded')).id, 20);
  await delivered(purchase);
  await webhooksDone(env);
  assert.deepStrictEqual((await steps(purchase)).filter((state) => /pending_payment|confirmed/.test(state)), ['pending_payment', 'confirmed']);
  assert.strictEqual(await published(purchase, 'order.confirmed'), 1);
  assert.strictEqual((await env.query('SELECT count(*)::int FROM fulfilment WHERE order_id = $1', [uuidOf(purchase.order.id)]))[0].count, 1);
  // Stored once; what it said stands with the payment and not a second time.
  const { id } = await eventOf(purchase, 'payment_intent.succeeded');
  assert.deepStrictEqual(await env.query('SELECT state, body FROM webhook WHERE event_id = $1', [id]), [{ state: 'processed', body: '' }]);
  assert.strictEqual(JSON.parse((await purchase.payments())[0].answer).id, purchase.intentId);
  await env.verify();
});

test('PAY-3 different events with the same news, 20 at once, confirm once', async () => {
  // The gateway may tell the same success by several events; the shopper's return asks at the same time.
  const purchase = await begun(env, await ordered(env));
  await pay(env, purchase.intentId);
  const original = await eventOf(purchase, 'payment_intent.succeeded');
  await env.query(`INSERT INTO sandbox.event (id, partner, type, object_id, body)
    SELECT 'evt_copy_' || n, partner, type, object_id, replace(body, id, 'evt_copy_' || n) FROM sandbox.event, generate_series(1, 20) n WHERE id = $1`, [original.id]);
  const asks = Array.from({ length: 20 }, (_, i) => env.client(i % 2 ? 'serve' : 'serve:2').as(purchase.buyer.token)
    .call('payment_show', { path: { order_id: purchase.order.id }, query: { refresh: true }, expect: 200 }));
  await Promise.all([...asks, ...Array.from({ length: 20 }, (_, i) => resend(env, `evt_copy_${i + 1}`))]);
  await delivered(purchase);
  await webhooksDone(env);
  assert.deepStrictEqual((await steps(purchase)).filter((state) => /pending_payment|confirmed/.test(state)), ['pending_payment', 'confirmed']);
  assert.strictEqual((await purchase.payments()).length, 1);
  await env.verify();
});

for (const order of ['failure first', 'success first', 'both at once']) {
  test(`PAY-3 success and failure of one payment, ${order}: it ends paid, once`, async () => {
    for (let round = 0; round < 5; round += 1) {
      const purchase = await begun(env, await ordered(env, { points: 1000 }));
      await fault(env, 'webhook_drop', 100);
      await decline(env, purchase.intentId);
      await pay(env, purchase.intentId);
      await faultsClear(env);
      const events = { failure: (await eventOf(purchase, 'payment_intent.payment_failed')).id, success: (await eventOf(purchase, 'payment_intent.succeeded')).id };
      if (order === 'both at once') {
        await Promise.all([resend(env, events.failure, 5), resend(env, events.success, 5)]);
      } else {
        const [first, second] = order === 'failure first' ? [events.failure, events.success] : [events.success, events.failure];
        await resend(env, first);
        // The failure may be followed at once by the confirmation: closing it, the gateway says that it is paid.
        if (order === 'failure first') await poll(async () => (await steps(purchase)).includes('payment_failed'), { what: 'the failure' });
        else await reaches(purchase, 'confirmed');
        await resend(env, second);
      }
      await delivered(purchase);
      await webhooksDone(env);
      await reaches(purchase, 'confirmed');
      assert.strictEqual(await published(purchase, 'order.confirmed'), 1);
      assert.strictEqual((await purchase.payments())[0].state, 'succeeded');
      assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 1 });
      assert.deepStrictEqual(await purchase.refunds(), []);
    }
    await env.verify();
  });
}

test('PAY-3 the failure of an older attempt does not hurt a newer one; both succeed: one is refunded', async () => {
  const purchase = await begun(env, await ordered(env));
  const first = purchase.intentId;
  await fault(env, 'cancel_refuse', 1000);
  await decline(env, first);
  await reaches(purchase, 'payment_failed');
  const failure = (await eventOf(purchase, 'payment_intent.payment_failed')).id;
  await begun(env, purchase);
  const second = purchase.intentId;
  await env.query(`DELETE FROM webhook WHERE event_id = $1`, [failure]);
  await resend(env, failure);
  await webhooksDone(env);
  await poll(async () => (await env.query(`SELECT FROM webhook WHERE event_id = $1 AND state = 'processed'`, [failure])).length === 1, { what: 'the old failure' });
  assert.strictEqual(await purchase.state(), 'pending_payment');
  await Promise.all([pay(env, first), pay(env, second)]);
  await reaches(purchase, 'confirmed');
  await poll(async () => (await purchase.refunds())[0]?.state === 'succeeded', { what: 'the second payment to be refunded' });
  assert.strictEqual((await purchase.refunds()).length, 1);
  assert.deepStrictEqual((await purchase.payments()).map(({ state }) => state), ['succeeded', 'succeeded']);
  assert.deepStrictEqual(await purchase.stock(), { on_hand: 10, reserved: 1 });
  await faultsClear(env);
  await env.verify();
});

test('PAY-3 a declined attempt is paid while it is cancelled at the gateway: the money is where the order is', async () => {
  for (let round = 0; round < 8; round += 1) {
    const purchase = await begun(env, await ordered(env, { points: 1000 }));
    const first = purchase.intentId;
    await decline(env, first);
    await Promise.allSettled([pay(env, first), purchase.buyer.api.call('order_pay', { path: { order_id: purchase.order.id } }), pay(env, first)]);
    const status = async () => (await stripeClient(env).paymentIntents.retrieve(first)).status;
    await poll(async () => ['succeeded', 'canceled'].includes(await status()), { what: 'the first attempt to end at the gateway' });
    await delivered(purchase);
    await webhooksDone(env);
    if ((await status()) === 'succeeded') await poll(async () => (await purchase.paid()) || (await purchase.refunds())[0]?.state === 'succeeded', { what: 'the money to be where the order is' });
    else assert.ok(['failed', 'cancelled'].includes((await purchase.payments())[0].state));
  }
  await env.verify();
});

test('PAY-3 cancelling, paying and declining at the same moment: the money is where the order is', async () => {
  for (let round = 0; round < 8; round += 1) {
    const purchase = await begun(env, await ordered(env, { points: 1000 }));
    await Promise.allSettled([
      pay(env, purchase.intentId), decline(env, purchase.intentId),
      purchase.buyer.api.call('order_cancel', { path: { order_id: purchase.order.id } }),
      purchase.buyer.api.call('payment_show', { path: { order_id: purchase.order.id }, query: { refresh: true } }),
    ]);
    await delivered(purchase);
    await webhooksDone(env);
    await poll(async () => {
      const [payment] = await purchase.payments();
      const state = await purchase.state();
      if (payment.state === 'succeeded') return (await purchase.paid()) || (await purchase.refunds())[0]?.state === 'succeeded';
      return ['cancelled', 'failed'].includes(payment.state) && ['cancelled', 'payment_failed'].includes(state);
    }, { what: 'the order and its money to come to rest' });
  }
  await env.verify();
});

test('PAY-5 a refund at the gateway, twice, and one by staff at the same moment: what is counted is what was sent', async () => {
  const staff = await makePerson(env, 'manager');
  for (let round = 0; round < 5; round += 1) {
    const purchase = await begun(env, await ordered(env, { points: 1000 }));
    await pay(env, purchase.intentId);
    await reaches(purchase, 'confirmed');
    const stripe = stripeClient(env);
    await Promise.allSettled([
      stripe.refunds.create({ payment_intent: purchase.intentId, amount: 30000 }), stripe.refunds.create({ payment_intent: purchase.intentId }),
      staff.api.call('order_refund', { path: { order_id: purchase.order.id }, body: { reason: 'at the same moment' } }),
    ]);
    await delivered(purchase);
    await poll(async () => {
      const { data } = await stripe.refunds.list({ payment_intent: purchase.intentId, limit: 100 });
      const [payment] = await purchase.payments();
      return data.reduce((sum, { amount }) => sum + amount, 0) === Number(payment.refunded_minor) && (await purchase.refunds()).every(({ state }) => state !== 'requested');
    }, { what: 'the sums to agree', timeoutMs: 60000 });
  }
  await webhooksDone(env);
  await env.verify();
});
