'use strict';
// The log of a server is JSON objects, one a line, whatever strangers, the database and libraries say.
const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const { Environment, makePerson, poll, rawExchange } = require('../harness');
const { makeCategory, makeProduct } = require('../harness/shelf');

test('OPS-2 every line of the log is a JSON object after searches, texts, heads and ends of connections that make others talk', async () => {
  const env = await Environment.start({ settings: { cache_entries: 0, log_level: 'debug' } });
  try {
    const manager = await makePerson(env, 'manager');
    const vendor = await makePerson(env, 'vendor');
    const category = await makeCategory(manager, { name: 'Words' });
    await makeProduct(vendor, category, { name: 'Long word', description: 'w'.repeat(3000), prices: { HKD: 5000 } });
    for (const q of ['the', '!!!', '""', '-', '- -', '" "', 'or', 'a or', '-the', '\\', "'", ':*', '{"level":"fatal"}']) {
      await env.api.call('product_list', { query: { q }, expect: 200 });
    }
    await rawExchange(env.ports.shop, 'GET /v1/products?q=a%0a%7b HTTP/1.1\r\nHost: a\r\nX-Request-Id: a"b\\\r\nUser-Agent: \x1b[31m\x01\r\nConnection: close\r\n\r\n');
    await rawExchange(env.ports.shop, '\x00\x01\n\n{"a":1}\n\r\n\r\n');
    // The database warns those whose connections an administrator ends.
    await env.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'cathay%' AND pid <> pg_backend_pid()");
    await poll(async () => (await env.api.call('product_list', { query: { q: 'long' } })).status === 200, { what: 'the shop on new connections' });
    const { log } = env.role('all');
    await poll(() => fs.readFileSync(log, 'utf8').includes('database connection lost'), { what: 'the log to be written' });
    const lines = fs.readFileSync(log, 'utf8').split('\n').filter((line) => line && !line.startsWith('listening on '));
    const stray = lines.filter((line) => { try { return JSON.parse(line).constructor !== Object; } catch { return true; } });
    assert.deepStrictEqual(stray, []);
    assert.ok(lines.length > 20);
  } finally {
    await env.stop();
  }
});
