'use strict';
// Redis runs out of memory: answers that can be computed again go, what is in use or cannot be missed stays.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, makePerson, poll } = require('../harness');
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
