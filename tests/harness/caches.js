'use strict';
// What tests of the cache on three servers share.
const { poll } = require('./environment');

/** Of an environment with the roles serve, serve:2 and serve:3: their clients, their counters, and a wait for the relay. */
function threeServers(env) {
  return {
    servers: () => ['serve', 'serve:2', 'serve:3'].map((name) => env.client(name)),
    /** cathay_cache_<name>_total of one of them. */
    async metric(api, name) {
      const { text } = await api.call('metrics_show', { expect: 200 });
      return Number(new RegExp(`^cathay_cache_${name}_total (\\d+)$`, 'm').exec(text)[1]);
    },
    /** Waits until every change so far has been told. */
    quiet: (what = 'the changes to be told') =>
      poll(async () => (await env.query('SELECT count(*)::int AS n FROM outbox WHERE expanded_at IS NULL'))[0].n === 0, { what }),
  };
}

module.exports = { threeServers };
