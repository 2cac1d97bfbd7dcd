'use strict';
// Rate limits over several servers that share a Redis.
const { test } = require('node:test');
const { poll } = require('./environment');

let last = 0;
/** An address that no test has used; servers believe X-Forwarded-For of their trusted proxy, the test. */
const newAddress = () => `198.18.${(last += 1) >> 8}.${last & 255}`;

async function decisions(api, source) {
  const { text } = await api.call('metrics_show', { expect: 200 });
  return Number(new RegExp(`^cathay_http_limit_decisions_total\\{source="${source}"\\} (\\d+)$`, 'm').exec(text)[1]);
}

/** All servers are connected to Redis. */
async function shared(servers) {
  for (const api of servers) {
    const before = await decisions(api, 'redis');
    await poll(async () => {
      await api.call('cart_create', { body: { currency: 'HKD' }, headers: { 'X-Forwarded-For': newAddress() }, expect: [201, 429] });
      return await decisions(api, 'redis') > before;
    }, { what: 'a limit decided by Redis' });
  }
}

/**
 * A test that counts what Redis lets through. On a busy machine its answer may come too late, and a server then decides by itself:
 * a test that fails after that has happened says nothing, and is run again.
 */
function exactly(servers, name, body) {
  const byThemselves = async () => (await Promise.all(servers().map((api) => decisions(api, 'fallback')))).join();
  test(name, async () => {
    for (let tries = 1; ; tries += 1) {
      await shared(servers());
      const before = await byThemselves();
      try {
        return await body();
      } catch (error) {
        if (tries === 5 || await byThemselves() === before) throw error;
      }
    }
  });
}

module.exports = { newAddress, decisions, shared, exactly };
