'use strict';
// The sandbox partners as people meet them: whom they answer, where their pages lead, and how they put things.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, exchange, rawExchange, poll } = require('../harness');
const { ordered, begun, reaches } = require('../harness/buying');

const env = shop();

const status = async (host) => {
  const answer = await rawExchange(env.ports.sandbox, `GET /mailbox HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer.text)[1]);
};

test('the sandbox answers to names of this machine only, so that no page elsewhere reads the mailbox', async () => {
  for (const host of ['localhost', `localhost:${env.ports.sandbox}`, `127.0.0.1:${env.ports.sandbox}`, '127.0.0.1', `[::1]:${env.ports.sandbox}`, 'LOCALHOST'])
    assert.strictEqual(await status(host), 200, host);
  for (const host of ['evil.example', `evil.example:${env.ports.sandbox}`, '127.0.0.1.evil.example', 'localhost.evil.example', '[::2]', 'a@localhost', '127.0.0.1@evil.example'])
    assert.ok([400, 403].includes(await status(host)), host);
});

const page = async (path) => {
  const { status: code, headers, text } = await exchange(`${env.sandboxUrl}${path}`);
  assert.strictEqual(code, 200, path);
  assert.match(headers['content-type'], /^text\/html/);
  return text;
};

test('the partners\' address leads to open payments, to parcels and to the mailbox', async () => {
  assert.match(await page('/'), /No payment is open/);
  const purchase = await begun(env, await ordered(env));
  const token = new URL(purchase.url).pathname;
  assert.ok((await page('/')).includes(`<a href="${token}">HKD `), 'the open payment');
  const amount = /class="amount">([^<]+)</.exec(await page(token))[1];
  assert.match(amount, /^HKD (\d{1,3})(,\d{3})*\.\d\d$/, 'amounts have separators');
  await exchange(`${env.sandboxUrl}${token}`, { method: 'POST', body: 'action=pay', headers: { 'content-type': 'application/x-www-form-urlencoded' } });
  await reaches(purchase, 'processing');
  const index = await poll(async () => { const text = await page('/'); return /href="\/track\//.test(text) && text; }, { timeoutMs: 60000, what: 'the parcel' });
  assert.ok(!index.includes(token), 'a payment that is paid is not open');
  assert.ok(index.includes('<a href="/mailbox">'));
  assert.ok(index.includes(`<a href="${env.url}/">`), 'the shop');

  const track = /href="(\/track\/[^"]+)"/.exec(index)[1];
  assert.match(await page(track), /<h1>The label is made<\/h1>/);
  for (let step = 0; step < 2; step += 1) await exchange(`${env.sandboxUrl}${track}/advance`, { method: 'POST' });
  const moved = await page(track);
  assert.match(moved, /<h1>On its way<\/h1>/);
  assert.match(moved, /<time datetime="[^"]+">\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d UTC<\/time>/);
  assert.doesNotMatch(moved, /in_transit|in transit/);
});

test('amounts of thousands and millions, and of currencies without cents, are put as people write them', async () => {
  const intent = async (amount, currency) => {
    const form = new URLSearchParams({ amount, currency, 'payment_method_types[]': 'alipay', confirm: 'true', 'payment_method_data[type]': 'alipay',
      return_url: 'http://127.0.0.1/back' });
    const { body } = await exchange(`${env.sandboxUrl}/v1/payment_intents`, { method: 'POST', body: form.toString(),
      headers: { authorization: `Bearer ${env.settings.stripe_key}`, 'content-type': 'application/x-www-form-urlencoded' } });
    return /class="amount">([^<]+)</.exec(await page(new URL(body.next_action.redirect_to_url.url).pathname))[1];
  };
  assert.strictEqual(await intent('123456', 'hkd'), 'HKD 1,234.56');
  assert.strictEqual(await intent('99999999', 'usd'), 'USD 999,999.99');
  assert.strictEqual(await intent('99905', 'usd'), 'USD 999.05');
  assert.strictEqual(await intent('123456', 'jpy'), 'JPY 123,456');
});
