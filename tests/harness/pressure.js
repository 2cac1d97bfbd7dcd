'use strict';
// More work than the database does at a time: tables that are held, and what the shop says of its queues.
const assert = require('node:assert');
const { poll } = require('./environment');

/** Locks tables until the function that it resolves with is called: whoever needs them waits. */
async function held(env, tables) {
  const holder = await env.db.connect();
  await holder.query('BEGIN');
  await holder.query(`LOCK TABLE ${tables} IN ACCESS EXCLUSIVE MODE`);
  return async () => {
    await holder.query('COMMIT');
    holder.release();
  };
}

/** The value of a metric with its labels, as a server tells it. */
async function metric(client, name) {
  const { text } = await client.call('metrics_show', { expect: 200 });
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  assert.ok(line, `no metric ${name}`);
  return Number(line.slice(line.lastIndexOf(' ')));
}

/** Waits until so many orders stand in the engine's queue. */
function queued(client, least) {
  return poll(async () => await metric(client, 'cathay_lanes_queued{lanes="cathay lane"}') >= least, { what: `${least} orders in the queue` });
}

/** How many batches of the engine had more than 64 orders. */
async function largeBatches(client) {
  const name = (suffix) => `cathay_lanes_batch_items_${suffix}`;
  return await metric(client, `${name('count')}{lanes="cathay lane"}`) - await metric(client, `${name('bucket')}{lanes="cathay lane",le="64"}`);
}

module.exports = { held, metric, queued, largeBatches };
