'use strict';
// Redis runs out of memory: answers that can be computed again go, what is in use or cannot be missed stays.
const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const { Environment, shop, makePerson, poll } = require('../harness');
const { saleOf } = require('../harness/sales');

const env = shop({ roles: ['serve'], settings: { limit_scale_percent: 100, limit_read: 1000000 } });
const info = async (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(String(await env.redis.command('INFO')))[1]);
const keys = async (pattern) => String(await env.redis.command(`KEYS ${pattern}`)).split('\r\n').filter((line) => !/^[*$]/.test(line) && line);

test('CCH-3 a cache that fills Redis takes nothing away from streams, stamps, limits and sales', async () => {
  const buyer = await makePerson(env);
  const sale = await saleOf(env, { quantity: 500 });
  await poll(async () => (await sale.buy(buyer)).status === 201, { what: 'a unit of the sale' });
  await env.redis.command('XADD cathay:tasks:low * t 00000000000000000000000000000000');
  const memory = await info('used_memory') + 3 * 1024 * 1024;
  await env.redis.command('CONFIG SET maxmemory-policy volatile-lru');
  await env.redis.command(`CONFIG SET maxmemory ${memory}`);
  await env.api.call('vendor_list', { expect: 200 }); // stamps there are
  for (let round = 0; await info('evicted_keys') === 0; round += 1) {
    assert.ok(round < 400, 'the memory is full at some time');
    await Promise.all(Array.from({ length: 50 }, (_, i) => env.api.get(`/v1/products?q=word${round}x${i}`)));
    await sale.buy(buyer);
  }
  assert.ok(await info('used_memory') < memory * 1.05);
  assert.ok((await keys('cathay:sale:*')).length >= 2, 'the sale is still counted');
  assert.deepStrictEqual(await keys('cathay:tasks:low'), ['cathay:tasks:low']);
  assert.deepStrictEqual(await keys('cache:stamps'), ['cache:stamps']);
  const refused = await poll(async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => sale.buy(buyer)));
    return answers.find(({ status }) => status === 429);
  }, { what: 'the buyer who hammers to be stopped' });
  assert.match(refused.headers['ratelimit-policy'], /^"checkout";/);
});

test('CCH-3 a Redis that may forget anything, or has little room, is told of when a process starts', async (t) => {
  const other = await Environment.start({ roles: ['worker'], start: false });
  t.after(() => other.stop());
  const warnings = async (policy, memory) => {
    await other.redis.command(`CONFIG SET maxmemory-policy ${policy}`);
    await other.redis.command(`CONFIG SET maxmemory ${memory}`);
    const { log } = other.role('worker');
    if (fs.existsSync(log)) fs.truncateSync(log);
    await other.startRole('worker');
    const lines = () => fs.readFileSync(log, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
    await poll(() => lines().some(({ message }) => message === 'started'), { what: 'the worker to start' });
    await other.role('worker').stop();
    return lines().filter(({ level, message }) => level === 'warn' && /^redis (may|has)/.test(message)) // on a busy machine it may seem away, too
      .map(({ message, policy: of, maxmemory_bytes: bytes }) => ({ message, of, bytes }));
  };
  assert.deepStrictEqual(await warnings('volatile-lru', '256mb'), []);
  assert.deepStrictEqual(await warnings('noeviction', '0'), []);
  assert.deepStrictEqual(await warnings('allkeys-lru', '256mb'),
    [{ message: 'redis may evict streams of tasks and stamps of the cache', of: 'allkeys-lru', bytes: 268435456 }]);
  assert.deepStrictEqual(await warnings('volatile-lru', '8mb'), [{ message: 'redis has little memory', of: 'volatile-lru', bytes: 8388608 }]);
});
