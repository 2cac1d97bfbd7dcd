'use strict';
// JOB-2: tasks that walk over many rows: one that cannot be done is told in the log and stops none of the others. Payments: payments_refused.test.js.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, poll, uuidOf } = require('../harness');
const { pay } = require('../harness/gateway');
const { ordered, begun, reaches, runSchedule } = require('../harness/buying');

const env = shop();

const paid = async () => {
  const purchase = await begun(env, await ordered(env));
  await pay(env, purchase.intentId);
  await reaches(purchase, 'confirmed');
  return uuidOf(purchase.order.id);
};

/** Meanwhile that one row of a table cannot be changed. */
async function withBadRow(table, column, id, work) {
  await env.query(`CREATE FUNCTION refuse_${table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$`);
  await env.query(`CREATE TRIGGER refuse_${table} BEFORE UPDATE ON ${table} FOR EACH ROW WHEN (OLD.${column} = '${id}') EXECUTE FUNCTION refuse_${table}()`);
  await work();
  await env.query(`DROP TRIGGER refuse_${table} ON ${table}`);
}

test('LOY-4 earned miles that cannot be posted keep nobody else from theirs', async () => {
  const [bad, good] = [await paid(), await paid()];
  await env.query(`UPDATE earning SET due_at = now() - CASE WHEN order_id = $1 THEN interval '2 hours' ELSE interval '1 hour' END WHERE order_id = ANY($2)`, [bad, [bad, good]]);
  const posted = async (id) => (await env.query('SELECT closed_at FROM earning WHERE order_id = $1', [id]))[0].closed_at !== null;
  await withBadRow('earning', 'order_id', bad, async () => {
    await runSchedule(env, 'loyalty_earnings_post');
    await poll(() => posted(good), { what: 'the others to be posted' });
    assert.strictEqual(await posted(bad), false);
  });
  await runSchedule(env, 'loyalty_earnings_post');
  await poll(() => posted(bad), { what: 'the last one to be posted' });
  await env.verify();
});

test('SHP-3 a parcel that cannot be worked out keeps no other from being asked about', async () => {
  const [bad, good] = [await paid(), await paid()];
  const shipment = async (order) => (await env.query(`SELECT id, polled_at FROM shipment WHERE order_id = $1 AND tracker_id IS NOT NULL`, [order]))[0];
  for (const order of [bad, good]) await poll(() => shipment(order), { what: 'the label' });
  await env.query(`UPDATE shipment SET created_at = now() - interval '2 days', polled_at = now() - interval '1 day' WHERE order_id = ANY($1)`, [[bad, good]]);
  await env.query(`UPDATE shipment SET polled_at = now() - interval '2 days' WHERE order_id = $1`, [bad]);
  await withBadRow('shipment', 'id', (await shipment(bad)).id, async () => {
    await runSchedule(env, 'shipping_poll');
    await poll(async () => Date.now() - (await shipment(good)).polled_at < 3600e3, { what: 'the other parcel to be asked about' });
    assert.ok(Date.now() - (await shipment(bad)).polled_at > 86400e3);
  });
  await runSchedule(env, 'shipping_poll');
  await poll(async () => Date.now() - (await shipment(bad)).polled_at < 3600e3, { what: 'the parcel to be asked about' });
  await env.verify();
});
