'use strict';
// PAY-1: the sandbox gateway behaves as Stripe's API does: the official client drives it, and verifies its signatures.
const { test, afterEach } = require('node:test');
const assert = require('node:assert');
const { shop, poll, exchange, SECRETS } = require('../harness');
const { stripeClient, pay, decline, fault, faultsClear, resend, deliveries, sandboxCall, listener } = require('../harness/gateway');

const env = shop({ roles: ['sandbox'] });
const stripe = () => stripeClient(env);

afterEach(() => faultsClear(env));

const redirect = (more = {}) => ({
  amount: 12345, currency: 'hkd', confirm: true, payment_method_types: ['alipay'], payment_method_data: { type: 'alipay' },
  return_url: 'http://127.0.0.1:9/back?order=1', description: 'Order 100001', metadata: { order_id: 'ord_x', note: 'a & b = ü' }, ...more,
});

const refused = async (promise, fields) => {
  const error = await promise.then(() => { throw new Error('it was not refused'); }, (reason) => reason);
  for (const [name, value] of Object.entries(fields)) assert.strictEqual(error[name], value, `${name} of ${error}`);
  return error;
};

test('PAY-1 an intent with a redirect method waits for the shopper at the hosted page', async () => {
  const intent = await stripe().paymentIntents.create(redirect());
  assert.strictEqual(intent.object, 'payment_intent');
  assert.strictEqual(intent.status, 'requires_action');
  assert.strictEqual(intent.amount, 12345);
  assert.strictEqual(intent.amount_received, 0);
  assert.strictEqual(intent.currency, 'hkd');
  assert.deepStrictEqual(intent.metadata, { order_id: 'ord_x', note: 'a & b = ü' });
  assert.deepStrictEqual(intent.payment_method_types, ['alipay']);
  assert.strictEqual(intent.next_action.type, 'redirect_to_url');
  assert.strictEqual(intent.next_action.redirect_to_url.return_url, 'http://127.0.0.1:9/back?order=1');
  assert.match(intent.next_action.redirect_to_url.url, new RegExp(`^${env.sandboxUrl}/pay/`));
  assert.deepStrictEqual({ ...await stripe().paymentIntents.retrieve(intent.id) }, { ...intent });
});

test('PAY-1 paying makes it succeed, once', async () => {
  const intent = await stripe().paymentIntents.create(redirect());
  await pay(env, intent.id);
  await pay(env, intent.id);
  const after = await stripe().paymentIntents.retrieve(intent.id);
  assert.strictEqual(after.status, 'succeeded');
  assert.strictEqual(after.amount_received, 12345);
  assert.match(after.latest_charge, /^ch_/);
  assert.strictEqual(after.next_action, null);
  const events = await stripe().events.list({ type: 'payment_intent.succeeded', limit: 100 });
  assert.strictEqual(events.data.filter((event) => event.data.object.id === intent.id).length, 1);
  await assert.rejects(decline(env, intent.id), /409/);
});

test('PAY-1 declining says why, and a new confirmation has a new page', async () => {
  const intent = await stripe().paymentIntents.create(redirect());
  await decline(env, intent.id);
  const declined = await stripe().paymentIntents.retrieve(intent.id);
  assert.strictEqual(declined.status, 'requires_payment_method');
  assert.strictEqual(declined.last_payment_error.code, 'payment_method_provider_decline');
  const again = await stripe().paymentIntents.confirm(intent.id, { payment_method_data: { type: 'alipay' }, return_url: 'https://shop.example/' });
  assert.strictEqual(again.status, 'requires_action');
  assert.strictEqual(again.last_payment_error, null);
  assert.notStrictEqual(again.next_action.redirect_to_url.url, intent.next_action.redirect_to_url.url);
});

test('PAY-1 cancelling, and what may not be cancelled', async () => {
  const intent = await stripe().paymentIntents.create(redirect());
  const cancelled = await stripe().paymentIntents.cancel(intent.id, { cancellation_reason: 'abandoned' });
  assert.strictEqual(cancelled.status, 'canceled');
  assert.strictEqual(cancelled.cancellation_reason, 'abandoned');
  const error = await refused(stripe().paymentIntents.cancel(intent.id), { statusCode: 400, code: 'payment_intent_unexpected_state' });
  assert.strictEqual(error.payment_intent.id, intent.id);
  await assert.rejects(pay(env, intent.id), /409/);
  await refused(stripe().paymentIntents.confirm(intent.id, { payment_method_data: { type: 'alipay' }, return_url: 'https://shop.example/' }), { code: 'payment_intent_unexpected_state' });
});

test('PAY-1 wrong requests are refused as Stripe does', async () => {
  const create = (more) => stripe().paymentIntents.create(redirect(more));
  await refused(create({ amount: 0 }), { statusCode: 400, param: 'amount', type: 'StripeInvalidRequestError' });
  await refused(create({ amount: 'x' }), { param: 'amount', code: 'parameter_invalid_integer' });
  await refused(create({ currency: 'hk' }), { param: 'currency' });
  await refused(create({ payment_method_types: ['card'] }), { param: 'payment_method_types' });
  await refused(create({ payment_method_data: undefined }), { code: 'payment_intent_unexpected_state' });
  await refused(create({ return_url: undefined }), { param: 'return_url', code: 'parameter_missing' });
  await refused(create({ return_url: 'javascript:alert(1)' }), { param: 'return_url' });
  await refused(create({ amonut: 5 }), { code: 'parameter_unknown', param: 'amonut' });
  await refused(stripe().paymentIntents.retrieve('pi_none'), { statusCode: 404, code: 'resource_missing' });
  const wrongKey = stripeClient(env).constructor;
  await refused(new wrongKey('sk_test_wrong', { host: '127.0.0.1', port: env.ports.sandbox, protocol: 'http' }).paymentIntents.list(), { statusCode: 401, type: 'StripeAuthenticationError' });
  const basic = await exchange(`${env.sandboxUrl}/v1/payment_intents?limit=1`, { headers: { authorization: `Basic ${Buffer.from(`${SECRETS.stripe_key}:`).toString('base64')}` } });
  assert.strictEqual(basic.status, 200);
  assert.match(basic.headers['request-id'], /^req_/);
});

test('PAY-1 an idempotency key repeats the answer, and takes no other parameters', async () => {
  const key = `key-${Date.now()}`;
  const first = await stripe().paymentIntents.create(redirect(), { idempotencyKey: key });
  const second = await stripe().paymentIntents.create(redirect(), { idempotencyKey: key });
  assert.strictEqual(second.id, first.id);
  assert.strictEqual(second.lastResponse.headers['idempotent-replayed'], 'true');
  assert.strictEqual(first.lastResponse.headers['idempotent-replayed'], undefined);
  await refused(stripe().paymentIntents.create(redirect({ amount: 1 }), { idempotencyKey: key }), { statusCode: 400, type: 'StripeIdempotencyError' });
  const many = await Promise.all(Array.from({ length: 12 }, () => stripe().paymentIntents.create(redirect(), { idempotencyKey: `${key}-many` })));
  assert.strictEqual(new Set(many.map(({ id }) => id)).size, 1);
  // A refused request keeps nothing: the key may be used again.
  await refused(stripe().paymentIntents.create(redirect({ amount: 0 }), { idempotencyKey: `${key}-refused` }), { statusCode: 400 });
  await stripe().paymentIntents.create(redirect(), { idempotencyKey: `${key}-refused` });
});

test('PAY-1 lists go by cursor, newest first', async () => {
  const made = [];
  for (let i = 0; i < 5; i += 1) made.push((await stripe().paymentIntents.create(redirect())).id);
  const page = await stripe().paymentIntents.list({ limit: 2 });
  assert.deepStrictEqual(page.data.map(({ id }) => id), made.slice(3).reverse());
  assert.strictEqual(page.has_more, true);
  const next = await stripe().paymentIntents.list({ limit: 2, starting_after: page.data[1].id });
  assert.deepStrictEqual(next.data.map(({ id }) => id), [made[2], made[1]]);
  const seen = [];
  for await (const intent of stripe().paymentIntents.list({ limit: 3 })) seen.push(intent.id);
  assert.deepStrictEqual(seen.slice(0, 5), [...made].reverse());
  assert.strictEqual(new Set(seen).size, seen.length);
});

test('PAY-1 refunds: partial, up to the amount, never over it', async () => {
  const intent = await stripe().paymentIntents.create(redirect({ amount: 1000 }));
  await refused(stripe().refunds.create({ payment_intent: intent.id }), { statusCode: 400 });
  await pay(env, intent.id);
  const part = await stripe().refunds.create({ payment_intent: intent.id, amount: 400, metadata: { refund_id: 'ref_1' } });
  assert.strictEqual(part.status, 'succeeded');
  assert.strictEqual(part.amount, 400);
  assert.strictEqual(part.payment_intent, intent.id);
  assert.deepStrictEqual(part.metadata, { refund_id: 'ref_1' });
  await refused(stripe().refunds.create({ payment_intent: intent.id, amount: 601 }), { statusCode: 400, param: 'amount' });
  const { latest_charge: charge } = await stripe().paymentIntents.retrieve(intent.id);
  const rest = await stripe().refunds.create({ charge, reason: 'requested_by_customer' });
  assert.strictEqual(rest.amount, 600);
  await refused(stripe().refunds.create({ payment_intent: intent.id }), { statusCode: 400, code: 'charge_already_refunded' });
  const list = await stripe().refunds.list({ payment_intent: intent.id });
  assert.deepStrictEqual(list.data.map(({ id }) => id), [rest.id, part.id]);
  assert.strictEqual((await stripe().refunds.retrieve(part.id)).amount, 400);
});

test('PAY-1 concurrent refunds never give back more than was paid', async () => {
  const intent = await stripe().paymentIntents.create(redirect({ amount: 1000 }));
  await pay(env, intent.id);
  const answers = await Promise.allSettled(Array.from({ length: 12 }, () => stripe().refunds.create({ payment_intent: intent.id, amount: 300 })));
  assert.strictEqual(answers.filter(({ status }) => status === 'fulfilled').length, 3);
});

test('PAY-2 webhooks are signed so that the official client accepts them, and sent until they are answered', async () => {
  const hook = await listener();
  hook.answer((count) => (count <= 2 ? 500 : 200));
  const endpoint = await stripe().webhookEndpoints.create({ url: hook.url, enabled_events: ['payment_intent.succeeded'] });
  assert.match(endpoint.secret, /^whsec_/);
  assert.strictEqual((await stripe().webhookEndpoints.retrieve(endpoint.id)).secret, undefined);
  const intent = await stripe().paymentIntents.create(redirect());
  await pay(env, intent.id);
  await poll(() => hook.received.length >= 3, { what: 'two refused deliveries and an accepted one' });
  const { headers, text } = hook.received[2];
  const event = stripe().webhooks.constructEvent(text, headers['stripe-signature'], endpoint.secret);
  assert.strictEqual(event.type, 'payment_intent.succeeded');
  assert.strictEqual(event.data.object.id, intent.id);
  assert.strictEqual(event.data.object.status, 'succeeded');
  assert.throws(() => stripe().webhooks.constructEvent(`${text} `, headers['stripe-signature'], endpoint.secret));
  assert.throws(() => stripe().webhooks.constructEvent(text, headers['stripe-signature'], 'whsec_other'));
  assert.deepStrictEqual(new Set(hook.received.map((one) => one.text)).size, 1, 'the same bytes each time');
  await poll(async () => (await deliveries(env, intent.id)).some((one) => one.url === hook.url && one.state === 'done'), { what: 'the delivery to be recorded' });
  assert.strictEqual((await stripe().events.retrieve(event.id)).type, 'payment_intent.succeeded');
  await stripe().webhookEndpoints.del(endpoint.id);
  await refused(stripe().webhookEndpoints.retrieve(endpoint.id), { statusCode: 404 });
  await hook.close();
});

test('PAY-3 the sandbox can repeat, drop, delay and double events', async () => {
  const hook = await listener();
  const endpoint = await stripe().webhookEndpoints.create({ url: hook.url, enabled_events: ['*'] });
  const bought = async () => { const intent = await stripe().paymentIntents.create(redirect()); await poll(() => hook.received.length >= 2); hook.received.length = 0; return intent; };
  const types = () => hook.received.map(({ text }) => JSON.parse(text).type);

  const repeated = await bought();
  await pay(env, repeated.id);
  await poll(() => types().length === 2, { what: 'intent and charge succeeded' });
  const event = JSON.parse(hook.received.find(({ text }) => /payment_intent.succeeded/.test(text)).text);
  hook.received.length = 0;
  assert.strictEqual((await resend(env, event.id, 7)).deliveries >= 7, true);
  await poll(() => types().length === 7, { what: 'seven repetitions' });
  hook.received.length = 0;
  await resend(env, event.id, 3, false);
  await poll(() => types().length === 3, { what: 'three, one after the other' });

  const dropped = await bought();
  await fault(env, 'webhook_drop', 2);
  await pay(env, dropped.id);
  assert.strictEqual((await deliveries(env, dropped.id)).filter((one) => one.url === hook.url && one.state === 'dropped').length, 1);
  const doubled = await bought();
  await fault(env, 'webhook_duplicate', 1, 3);
  await pay(env, doubled.id);
  await poll(() => types().filter((type) => type === 'payment_intent.succeeded').length === 3, { what: 'three copies' });
  await stripe().webhookEndpoints.del(endpoint.id);
  await hook.close();
});

test('PAY-1 the hosted page: pay, decline, go back, without a script or anything from elsewhere', async () => {
  const post = (url, action) => exchange(url, { method: 'POST', body: `action=${action}`, headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': 7 + action.length } });
  const intent = await stripe().paymentIntents.create(redirect({ description: '<b>Order & more</b>' }));
  const { url } = intent.next_action.redirect_to_url;
  const page = await exchange(url);
  assert.strictEqual(page.status, 200);
  assert.match(page.headers['content-type'], /^text\/html/);
  assert.match(page.headers['content-security-policy'], /default-src 'none'/);
  assert.match(page.text, /HKD 123\.45/);
  assert.match(page.text, /&lt;b&gt;Order &amp; more/);
  assert.doesNotMatch(page.text, /<script/);
  assert.match(page.text, /name="viewport"/);
  const back = await post(url, 'return');
  assert.strictEqual(back.status, 303);
  assert.strictEqual((await stripe().paymentIntents.retrieve(intent.id)).status, 'requires_action');
  const paid = await post(url, 'pay');
  assert.strictEqual(paid.status, 303);
  const location = new URL(paid.headers.location);
  assert.strictEqual(`${location.origin}${location.pathname}`, 'http://127.0.0.1:9/back');
  assert.deepStrictEqual(Object.fromEntries(location.searchParams), { order: '1', payment_intent: intent.id, payment_intent_client_secret: intent.client_secret, redirect_status: 'succeeded' });
  assert.match((await exchange(url)).text, /This payment is done/);
  assert.match((await post(url, 'decline')).headers.location, /redirect_status=succeeded/);

  const other = await stripe().paymentIntents.create(redirect());
  const declined = await post(other.next_action.redirect_to_url.url, 'decline');
  assert.match(declined.headers.location, /redirect_status=failed/);
  assert.strictEqual((await stripe().paymentIntents.retrieve(other.id)).status, 'requires_payment_method');
  assert.strictEqual((await exchange(`${env.sandboxUrl}/pay/page_unknown`)).status, 404);
  assert.strictEqual((await exchange(`${env.sandboxUrl}/style.css`)).status, 200);
});

test('faults: errors before and after the work, and calls that hang', async () => {
  await fault(env, 'api_error', 1);
  await refused(stripe().paymentIntents.create(redirect(), { idempotencyKey: 'fault-1' }), { statusCode: 500, type: 'StripeAPIError' });
  await fault(env, 'api_lost', 1);
  await refused(stripe().paymentIntents.create(redirect({ metadata: { lost: 'yes' } }), { idempotencyKey: 'fault-2' }), { statusCode: 500 });
  const again = await stripe().paymentIntents.create(redirect({ metadata: { lost: 'yes' } }), { idempotencyKey: 'fault-2' });
  assert.strictEqual(again.lastResponse.headers['idempotent-replayed'], 'true', 'the lost call had done its work');
  await fault(env, 'api_hang', 1, 60000);
  await refused(stripeClient(env, { timeout: 200 }).paymentIntents.retrieve(again.id), { type: 'StripeConnectionError' });
  assert.strictEqual((await stripe().paymentIntents.retrieve(again.id)).id, again.id);
});

test('a killed sandbox goes on where it was', async () => {
  const hook = await listener();
  hook.answer(503);
  const endpoint = await stripe().webhookEndpoints.create({ url: hook.url, enabled_events: ['payment_intent.succeeded'] });
  const intent = await stripe().paymentIntents.create(redirect());
  await pay(env, intent.id);
  await poll(() => hook.received.length > 0, { what: 'a first, refused delivery' });
  await env.kill('sandbox');
  hook.answer(200);
  const before = hook.received.length;
  await env.startRole('sandbox');
  await poll(() => hook.received.length > before, { what: 'the delivery after the restart' });
  assert.strictEqual((await stripe().paymentIntents.retrieve(intent.id)).status, 'succeeded');
  await stripe().webhookEndpoints.del(endpoint.id);
  await hook.close();
  await sandboxCall(env, 'GET', '/sandbox/faults');
});
