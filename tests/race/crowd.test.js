'use strict';
// Hundreds of orders in one batch: what holds for dozens holds for them. The database is held until they all wait, so that batches are large.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');
const { held, queued, largeBatches } = require('../harness/pressure');

const env = shop({ roles: ['serve', 'serve:2', 'worker'] });
const servers = () => [env.client('serve'), env.client('serve:2')];

test('INV-2 LOY-2 CHK-1 600 orders at once over two servers: stock and miles are spent to the last one and no further', async () => {
  const { variants: [scarce, plenty] } = await goods(env, { variants: 2, onHand: 100, priceMinor: 10000 });
  await env.query('UPDATE stock SET on_hand = 100000 WHERE variant_id = $1', [plenty.id]);
  await env.query('UPDATE movement SET quantity = 100000 WHERE variant_id = $1', [plenty.id]);
  const collectors = await Promise.all(Array.from({ length: 100 }, () => customer(env, { points: 3000 }))); // three orders of 1,000
  const others = await Promise.all(Array.from({ length: 50 }, () => customer(env)));
  const spending = Array.from({ length: 400 }, (_, i) => [collectors[i % 100], orderOf([[plenty, 1]], { points: 1000, cash_minor: 0 })]);
  const hunting = Array.from({ length: 200 }, (_, i) => [others[i % 50], orderOf([[scarce, 1], [plenty, 1]])]);
  const release = await held(env, 'stock');
  const place = ([buyer, body], i) => servers()[i % 2].as(buyer.token).call('order_place', { body });
  const all = Promise.all([...spending, ...hunting].map(place));
  await Promise.all(servers().map((server) => queued(server, 200)));
  await release();
  const answers = await all;
  const reasons = answers.map(({ status, body }) => (status === 201 ? 'placed' : body.code === 'points_short' ? 'points_short' : body.errors?.[0].reason ?? body.code));
  const counted = (some) => some.reduce((sum, word) => ({ ...sum, [word]: (sum[word] ?? 0) + 1 }), {});
  assert.deepStrictEqual(counted(reasons.slice(0, 400)), { placed: 300, points_short: 100 });
  assert.deepStrictEqual(counted(reasons.slice(400)), { placed: 100, 'out_of_stock: 0': 100 });
  for (const server of servers()) assert.ok(await largeBatches(server) >= 1, 'no batch was large');
  const reserved = await env.query('SELECT reserved FROM stock WHERE variant_id = ANY($1) ORDER BY reserved', [[scarce.id, plenty.id]]);
  assert.deepStrictEqual(reserved, [{ reserved: 100 }, { reserved: 400 }]);
  await env.verify();
});
