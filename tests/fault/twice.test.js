'use strict';
// JOB-2: every task may run twice, and in any order. A shop sells, fails, refunds and delivers; then all tasks that were done are made
// ready again at once, twice, and nothing that matters has changed: no row more, no mail more, no partner asked for more.
const { test } = require('node:test');
const assert = require('node:assert');
const { Environment, MailSink, makePerson, poll } = require('../harness');
const { goods } = require('../harness/goods');
const { ordered, begun, reaches } = require('../harness/buying');
const { pay, decline, fault, faultsClear } = require('../harness/gateway');

// What background work itself writes, sign-ins, and what is only a copy of other rows.
const NOT_COMPARED = ['task', 'outbox', 'schedule', 'session', 'refresh_token', 'listing', 'listing_count', 'listing_count_change', 'schema_migration', 'partitioned_table'];

async function quiet(env) {
  await poll(async () => (await env.query("SELECT 1 FROM task WHERE state IN ('ready', 'running') LIMIT 1")).length === 0
    && (await env.query('SELECT 1 FROM outbox WHERE expanded_at IS NULL LIMIT 1')).length === 0, { what: 'all tasks to be done', timeoutMs: 90000 });
  assert.deepStrictEqual(await env.query("SELECT name, last_error FROM task WHERE state = 'dead'"), []);
}

/** Every row of every table, without the times at which it was touched. */
async function snapshot(env) {
  const tables = await env.query(`SELECT c.relname AS name FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND c.relnamespace = 'public'::regnamespace AND NOT c.relname = ANY ($1) ORDER BY 1`, [NOT_COMPARED]);
  const rows = {};
  for (const { name } of tables) {
    rows[name] = (await env.query(`SELECT to_jsonb(t) - 'updated_at' AS row FROM "${name}" t`)).map(({ row }) => JSON.stringify(row)).sort();
  }
  const at = async (sql) => (await env.query(sql))[0].count;
  rows.partners = [
    `intents ${await at('SELECT count(*) FROM sandbox.payment_intent')}`,
    `refunds ${await at('SELECT count(*) FROM sandbox.refund')}`,
    `shipments ${await at('SELECT count(*) FROM sandbox.shipment')}`,
  ];
  return rows;
}

test('JOB-2 every task of the shop runs again, all at once and in any order: nothing changes', { timeout: 180000 }, async () => {
  const mails = await MailSink.start();
  const env = await Environment.start({ roles: ['serve', 'worker', 'scheduler', 'sandbox'],
    settings: { smtp_url: mails.url, sandbox_parcel_step_ms: 50, reservation_s: 8, task_workers: 8 } });
  try {
    const { variants } = await goods(env, { variants: 3, onHand: 100, locations: 2 });
    const delivered = await begun(env, await ordered(env, { points: 500, miles: 2000, variant: variants[0], quantity: 2 }));
    await delivered.buyer.api.call('order_address_set', { path: { order_id: delivered.order.id }, expect: 204,
      body: { name: 'Wing Chan', line1: '7 Somewhere Road', city: 'Hong Kong', country: 'HK' } });
    await pay(env, delivered.intentId);
    const milesAlone = await ordered(env, { points: 1000, miles: 1000, variant: variants[2] });
    await reaches(milesAlone, 'delivered', { timeoutMs: 60000 });
    const refunded = await begun(env, await ordered(env, { points: 500, miles: 2000, variant: variants[1] }));
    await pay(env, refunded.intentId);
    const declined = await begun(env, await ordered(env, { points: 500, miles: 2000, variant: variants[2] }));
    await decline(env, declined.intentId);
    const cancelled = await begun(env, await ordered(env, { points: 500, miles: 2000, variant: variants[1] }));
    await cancelled.buyer.api.call('order_cancel', { path: { order_id: cancelled.order.id }, expect: 200 });
    for (const ended of [declined, cancelled]) await poll(async () => (await ended.payments())[0].closed_at, { what: 'the payment to be closed at the gateway', timeoutMs: 60000 });
    // A success that comes when the goods are gone: the money goes back. The one who has them is sold out, and expires.
    // A declined payment can come late only where the gateway would not close it.
    const late = await begun(env, await ordered(env, { points: 500, miles: 2000, onHand: 1 }));
    await fault(env, 'cancel_refuse', 1000);
    await decline(env, late.intentId);
    await reaches(late, 'payment_failed', { timeoutMs: 60000 });
    await ordered(env, { variant: late.variant });
    await pay(env, late.intentId);
    await faultsClear(env);
    await poll(async () => (await late.refunds())[0]?.state === 'succeeded', { what: 'the late payment to go back', timeoutMs: 60000 });
    const expired = await ordered(env, { points: 500, miles: 2000, variant: variants[0] });
    await reaches(delivered, 'delivered', { timeoutMs: 60000 });
    await reaches(refunded, 'delivered', { timeoutMs: 60000 });
    await reaches(declined, 'payment_failed', { timeoutMs: 60000 });
    await reaches(expired, 'expired', { timeoutMs: 60000 });
    const staff = await makePerson(env, 'manager');
    const { body: vendor, headers: made } = await staff.api.call('vendor_create', { body: { slug: 'twice', name: 'Twice' }, expect: 201 });
    await staff.api.call('vendor_update', { path: { vendor_id: vendor.id }, body: { name: 'Thrice' }, headers: { 'if-match': made.etag }, expect: 200 });
    await staff.api.call('order_refund', { path: { order_id: refunded.order.id }, body: { reason: 'came too late' } });
    await reaches(refunded, 'refunded', { timeoutMs: 60000 });

    await env.role('scheduler').stop();
    await quiet(env);
    await env.verify();
    const before = await snapshot(env);
    const sent = mails.mails.length;
    assert.ok(sent > 0, 'no mail was sent');

    const { stdout } = await env.run('tasks', 'kinds');
    const kinds = [...stdout.matchAll(/^\S+ +(\S+) +([a-z_]+\.[a-z_]+) /gm)].map(([, name, event]) => ({ name, event }));
    const ran = new Set((await env.query("SELECT t.name || ' ' || o.type AS kind FROM task t JOIN outbox o ON o.id = t.event_id WHERE t.state = 'done'")).map(({ kind }) => kind));
    const missing = kinds.filter(({ name, event }) => ran.has(`${name} ${event}`) === false).map(({ name, event }) => `${name} ${event}`);
    assert.ok(kinds.length > 10, `cathay tasks kinds lists ${kinds.length}`);
    assert.deepStrictEqual(missing.filter((kind) => !ELSEWHERE.has(kind)), [], 'tasks that nothing here has started');

    for (let round = 0; round < 2; round++) {
      const [{ count }] = await env.query(`WITH again AS (UPDATE task SET state = 'ready', attempt = 0, finished_at = NULL, pushed_at = NULL, unique_key = NULL,
        due_at = now() + random() * interval '300 milliseconds' WHERE state = 'done' RETURNING 1) SELECT count(*)::int FROM again`);
      assert.ok(count > 30, `only ${count} tasks`);
      await quiet(env);
    }
    const after = await snapshot(env);
    for (const name of Object.keys(before)) {
      assert.deepStrictEqual({ [name]: after[name].filter((row) => !before[name].includes(row)) }, { [name]: [] });
      assert.strictEqual(after[name].length, before[name].length, `rows of ${name}`);
    }
    assert.deepStrictEqual(mails.mails.slice(sent).map(({ mail }) => mail.subject), [], 'mails sent again');
    await env.verify();
  } finally {
    await env.stop();
    await mails.close();
  }
});

// Started by what this purchase has no part in; their modules' own tests run them twice.
const ELSEWHERE = new Set(['notify_mail refund.failed']);
