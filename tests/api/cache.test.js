'use strict';
// Three servers, one Redis: process → Redis → database, and nothing old anywhere once a change has been told.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, makePerson, poll, wireId } = require('../harness');
const { threeServers } = require('../harness/caches');
const { goods } = require('../harness/goods');

const env = shop({ roles: ['serve', 'serve:2', 'serve:3', 'worker'] });
const { servers, metric, quiet } = threeServers(env);

const show = (api, product) => api.call('product_show', { path: { product }, expect: 200 });
const priceOf = ({ body }) => body.variants[0].prices[0].amount_minor;

/** A product of a vendor, who may change it: {wire, api, variant}. */
async function product(priceMinor) {
  const made = await goods(env, { priceMinor });
  const vendor = await makePerson(env, 'vendor', { vendorId: made.vendor });
  return { wire: wireId('prd', made.product), variant: made.variants[0].wire, api: vendor.api };
}
const setPrice = ({ api, variant }, amount) => api.call('price_create', { path: { variant_id: variant }, body: { currency: 'HKD', amount_minor: amount }, expect: 201 });
const allShow = (wire, amount) => poll(async () => {
  const prices = await Promise.all(servers().map(async (api) => priceOf(await show(api, wire))));
  return prices.every((price) => price === amount);
}, { what: `every server to show ${amount}`, everyMs: 10 });
const entries = async (pattern) => (await env.redis.command(`KEYS ${pattern}`));

test('CCH-1 what one server has computed the others take from Redis, byte for byte', async () => {
  const { wire } = await product(10000);
  await quiet('events of the goods');
  const [first, second, third] = servers();
  const before = [await metric(second, 'shared_hits'), await metric(third, 'shared_hits')];
  const answers = [await show(first, wire), await show(second, wire), await show(third, wire), await show(second, wire)];
  for (const { text, headers } of answers) {
    assert.strictEqual(text, answers[0].text);
    assert.strictEqual(headers.etag, answers[0].headers.etag);
    assert.strictEqual(headers['cache-control'], answers[0].headers['cache-control']);
  }
  assert.deepStrictEqual([await metric(second, 'shared_hits'), await metric(third, 'shared_hits')], before.map((n) => n + 1));
  assert.match(String(await entries('cache:product:*')), new RegExp(`cache:product:${wire}:en:v1`), 'a predictable key');
  const unchanged = await third.get(`/v1/products/${wire}`, { headers: { 'If-None-Match': answers[0].headers.etag } });
  assert.strictEqual(unchanged.status, 304);
});

test('CCH-2 a price changed by its vendor is shown by every server, again and again', async (t) => {
  const goodsOf = await product(10000);
  await allShow(goodsOf.wire, 10000);
  for (const amount of [11000, 12000, 13000, 14000, 15000]) {
    await setPrice(goodsOf, amount);
    const began = Date.now();
    await allShow(goodsOf.wire, amount);
    t.diagnostic(`on every server ${Date.now() - began} ms after the change was answered`);
    for (const api of servers()) assert.strictEqual(priceOf(await show(api, goodsOf.wire)), amount, 'and never the old one again');
  }
});

test('CCH-2 readers on all servers while the price changes: none keeps an old one', async () => {
  const goodsOf = await product(100);
  let reading = true;
  const readers = servers().flatMap((api) => [0, 1, 2].map(async () => {
    while (reading) await show(api, goodsOf.wire);
  }));
  let amount = 100;
  for (; amount < 115; amount += 1) await setPrice(goodsOf, amount + 1);
  await quiet();
  await allShow(goodsOf.wire, amount);
  for (let i = 0; i < 20; i += 1) for (const api of servers()) assert.strictEqual(priceOf(await show(api, goodsOf.wire)), amount);
  reading = false;
  await Promise.all(readers);
});

test('CCH-2 Redis flushed in the middle: still right', async () => {
  const goodsOf = await product(10000);
  await allShow(goodsOf.wire, 10000);
  await env.redis.flush();
  await setPrice(goodsOf, 20000);
  await allShow(goodsOf.wire, 20000);
  await env.redis.flush();
  for (const api of servers()) assert.strictEqual(priceOf(await show(api, goodsOf.wire)), 20000);
});

test('CCH-1 CCH-2 Redis stopped: the database answers, changes are shown; and nothing old when it is back', async () => {
  const goodsOf = await product(10000);
  await allShow(goodsOf.wire, 10000);
  await env.redis.stop();
  for (const api of servers()) assert.strictEqual(priceOf(await show(api, goodsOf.wire)), 10000);
  await setPrice(goodsOf, 30000);
  await allShow(goodsOf.wire, 30000);
  await env.redis.start();
  const another = await product(500);
  await poll(async () => {
    await Promise.all(servers().map((api) => show(api, another.wire)));
    await setPrice(another, 501 + Math.floor(Math.random() * 1000));
    return String(await entries('cache:product:*')).includes(another.wire);
  }, { what: 'answers in Redis again', everyMs: 200 });
  await quiet();
  for (const api of servers()) assert.strictEqual(priceOf(await show(api, goodsOf.wire)), 30000);
  await setPrice(goodsOf, 31000);
  await allShow(goodsOf.wire, 31000);
});
