'use strict';
// API-2: a statement that fails spoils its own answer. The connection that it failed on serves the next request.
const { test, before, after } = require('node:test');
const { Environment, makePerson } = require('../harness');

let env, manager;

before(async () => {
  env = await Environment.start({ settings: { cache_entries: 0, workers: 1 } });
  manager = await makePerson(env, 'manager');
});
after(async () => { await env?.stop(); });

/** Fails while a table that it reads is not there, and works again at once when it is. */
async function failsAndRecovers(table, ask) {
  await ask(200);
  await env.query(`ALTER TABLE ${table} RENAME TO away`);
  try {
    await ask(500);
  } finally {
    await env.query(`ALTER TABLE away RENAME TO ${table}`);
  }
  await ask(200);
}

test('API-2 facets, after one that failed', async () => {
  await failsAndRecovers('listing_count', (expect) => env.api.call('product_list', { query: { facets: true }, expect }));
});

test('API-2 staff\'s list of orders, after one that failed', async () => {
  await failsAndRecovers('orders', (expect) => manager.api.call('staff_order_list', { expect }));
});
