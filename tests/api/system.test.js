'use strict';
const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { shop, Environment, Client, freePort, makePerson, poll } = require('../harness');
const { runProgram } = require('../harness/environment');

const env = shop();

test('OPS-4 life and readiness', async () => {
  assert.deepStrictEqual((await env.api.call('live_show', { expect: 200 })).body, { status: 'live' });
  assert.deepStrictEqual((await env.api.call('ready_show', { expect: 200 })).body, { status: 'ready' });
});

test('OPS-4 without its database the server lives but is not ready, and is ready again by itself', async () => {
  const own = await Environment.start({ roles: ['serve'], own: true });
  await poll(async () => (await own.api.call('ready_show')).status === 200, { what: 'ready' });
  await own.postgres.stop();
  await poll(async () => (await own.api.call('ready_show')).status === 503, { what: 'not ready' });
  await own.api.call('live_show', { expect: 200 });
  await own.postgres.start();
  await poll(async () => (await own.api.call('ready_show')).status === 200, { what: 'ready again' });
  await own.stop();
});

test('OPS-3 metrics', async () => {
  const { text } = await env.api.call('metrics_show', { expect: 200 });
  assert.match(text, /^cathay_http_request_duration_seconds_count\{operation="live_show",status="2xx"\} [1-9]/m);
  assert.match(text, /^cathay_ready 1$/m);
});

test('OPS-3 OPS-4 worker and scheduler tell how they are where a port is set, and serve nothing else', async (t) => {
  const own = await Environment.start({ roles: ['serve'], own: true });
  t.after(() => own.stop());
  const of = {};
  for (const name of ['worker', 'scheduler']) {
    const port = await freePort();
    await own.addRole(name, { ops_port: port });
    of[name] = new Client(`http://127.0.0.1:${port}`);
    await own.startRole(name);
  }
  for (const name of ['worker', 'scheduler']) {
    await poll(() => of[name].call('live_show', { expect: 200 }).catch(() => null), { what: `${name} to listen` });
    await poll(async () => (await of[name].call('ready_show')).status === 200, { what: `${name} to be ready` });
    assert.strictEqual((await of[name].get('/v1/products')).status, 404);
  }
  await poll(async () => /^cathay_tasks_total\{result="done"\} [1-9]/m.test((await of.worker.call('metrics_show', { expect: 200 })).text),
    { what: 'the tasks that the worker has done' });
  await own.postgres.stop();
  for (const name of ['worker', 'scheduler']) {
    await poll(async () => (await of[name].call('ready_show')).status === 503, { what: `${name} not to be ready` });
    await of[name].call('live_show', { expect: 200 });
  }
  await own.postgres.start();
  for (const name of ['worker', 'scheduler']) await poll(async () => (await of[name].call('ready_show')).status === 200, { what: `${name} to be ready again` });
});

test('OPS-3 OPS-4 a server tells its own metrics on the port for operators too, where anybody may read them, and on its own to those who are named', async (t) => {
  const port = await freePort();
  const own = await Environment.start({ roles: ['serve'], settings: { ops_port: port, metrics_networks: '' } });
  t.after(() => own.stop());
  const operations = new Client(`http://127.0.0.1:${port}`);
  await own.api.call('product_list', { expect: 200 });
  assert.strictEqual((await own.api.get('/metrics')).status, 403);
  const { text } = await operations.call('metrics_show', { expect: 200 });
  assert.match(text, /^cathay_http_request_duration_seconds_count\{operation="product_list",status="2xx"\} 1$/m);
  await operations.call('ready_show', { expect: 200 });
  await operations.call('live_show', { expect: 200 });
  assert.strictEqual((await operations.get('/v1/products')).status, 404);
  await own.api.call('ready_show', { expect: 200 });
});

test('API-1 the contract is served, and is the one that the server follows', async () => {
  const { body } = await env.api.call('openapi_show', { expect: 200 });
  assert.strictEqual(body.openapi, '3.1.0');
  for (const [path, item] of Object.entries(body.paths))
    for (const [method, operation] of Object.entries(item))
      if (operation.operationId) assert.ok(operation['x-role'], `${method} ${path}`);
  assert.strictEqual(body.paths['/openapi.json'].get.operationId, 'openapi_show');
  const [, version] = /^project\('cathay', 'c', version: '([^']+)'/.exec(fs.readFileSync(path.resolve(__dirname, '../../meson.build'), 'utf8'));
  assert.strictEqual(body.info.version, version, 'the contract that is served has the version of meson.build');
  assert.strictEqual((await runProgram(['--version'], {})).stdout, `cathay ${version}\n`);
});

test('CHK-3 the same key many times at once does the thing once', async () => {
  const customer = await makePerson(env, 'customer');
  const manager = await makePerson(env, 'manager');
  const answers = await Promise.all(Array.from({ length: 20 }, () => manager.api.call('loyalty_adjustment_create',
    { path: { user_id: customer.id }, body: { points: 500, reason: 'goodwill' }, key: 'at-once', expect: [201, 409] })));
  for (const answer of answers.filter(({ status }) => status === 409)) assert.strictEqual(answer.body.code, 'idempotency_in_flight');
  const made = answers.filter(({ status }) => status === 201);
  assert.ok(made.length >= 1);
  assert.strictEqual(new Set(made.map(({ text }) => text)).size, 1);
  assert.strictEqual(made.filter(({ headers }) => headers['idempotent-replayed'] === undefined).length, 1, 'all but one are replays');
  const rows = await env.query('SELECT status, operation FROM idempotency WHERE key = $1', ['at-once']);
  assert.deepStrictEqual(rows.rows ?? rows, [{ status: 201, operation: 'loyalty_adjustment_create' }]);
  const other = await makePerson(env, 'manager');
  const own = await other.api.call('loyalty_adjustment_create', { path: { user_id: customer.id }, body: { points: 500, reason: 'goodwill' }, key: 'at-once', expect: 201 });
  assert.strictEqual(own.headers['idempotent-replayed'], undefined, 'keys of two people are two keys');
});

test('API-1 the page of the contract loads nothing from elsewhere', async () => {
  const page = await env.api.call('docs_show', { expect: 200 });
  assert.match(page.headers['content-security-policy'], /script-src 'sha256-/);
  assert.doesNotMatch(page.text, /https?:\/\//, 'no other host');
});

test('the shop\'s own address is a page that leads on, and so is the one that shoppers come back to', async () => {
  const home = await env.api.call('home_show', { expect: 200 });
  assert.match(home.headers['content-security-policy'], /default-src 'none'/);
  for (const [, target] of home.text.matchAll(/<a href="([^"]+)"/g)) assert.strictEqual((await env.api.get(target)).status, 200, target);
  const returned = await env.api.call('payment_return', { query: { redirect_status: 'succeeded' }, expect: 200 });
  assert.match(returned.text, /<h1>Thank you<\/h1>/);
  assert.ok(returned.text.includes(`<a href="${env.url}/">`));
});
