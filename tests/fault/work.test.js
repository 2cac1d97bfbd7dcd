'use strict';
// Background work with real processes that die: workers, the leading scheduler, PostgreSQL, Redis.
const { test } = require('node:test');
const assert = require('node:assert');
const { Environment, poll, sleep } = require('../harness');

const LEADERS = `SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
  WHERE l.locktype = 'advisory' AND l.objid = 546758818 AND d.datname = current_database()`;

// Real tasks that are quick and harmless, each its own row.
async function enqueue(env, count) {
  await env.query(`INSERT INTO task (id, name, aggregate_id, payload)
    SELECT gen_random_uuid(), 'work_partitions', gen_random_uuid(), '{}' FROM generate_series(1, $1)`, [count]);
}

async function allDone(env) {
  await poll(async () => (await env.query('SELECT count(*)::int AS n FROM task WHERE state IN (\'ready\', \'running\') AND due_at <= now()'))[0].n === 0,
    { what: 'every task to be done', timeoutMs: 60000 });
  await env.verify();
}

test('JOB-1 JOB-2 workers killed again and again, Redis flushed and restarted: every task is done', async () => {
  const env = await Environment.start({ roles: ['worker', 'worker:2'], settings: { task_lease_s: 1 } });
  try {
    for (let round = 0; round < 4; round++) {
      await enqueue(env, 150);
      await sleep(50 * round);
      await env.kill('worker');
      if (round === 1) await env.redis.flush();
      if (round === 2) {
        await env.redis.stop();
        await enqueue(env, 20);
        await env.redis.start();
      }
      await env.startRole('worker');
    }
    await allDone(env);
    const [{ done }] = await env.query('SELECT count(*)::int AS done FROM task WHERE name = \'work_partitions\' AND state = \'done\'');
    assert.strictEqual(done, 620);
  } finally {
    await env.stop();
  }
});

test('JOB-3 the leading scheduler is killed: another one leads, and nothing is started twice', async () => {
  const env = await Environment.start({ roles: ['scheduler', 'scheduler:2', 'worker'] });
  try {
    const leader = () => poll(async () => (await env.query(LEADERS))[0]?.pid, { what: 'a leader' });
    await leader();
    await poll(async () => (await env.query('SELECT 1 FROM schedule LIMIT 1')).length, { what: 'the schedules' });
    const everySecond = () => env.query(`UPDATE schedule SET interval_s = 1, due_at = least(due_at, now() + interval '1 second')
      WHERE name = 'work_partitions' AND interval_s > 1`);
    const started = async () => (await env.query('SELECT count(*)::int AS n FROM task WHERE name = \'work_partitions\''))[0].n;
    for (const name of ['scheduler', 'scheduler:2']) {
      const before = await started();
      await env.kill(name); // one of the two kills hits the leader
      await leader();
      await poll(async () => {
        await everySecond(); // the new leader writes down the interval of its release first
        return await started() >= before + 2;
      }, { what: 'two more runs' });
      assert.strictEqual((await env.query(LEADERS)).length, 1);
      await env.startRole(name);
    }
    const [{ close }] = await env.query(`SELECT count(*)::int AS close FROM (SELECT created_at - lag(created_at) OVER (ORDER BY created_at) AS gap
      FROM task WHERE name = 'work_partitions') g WHERE gap < interval '0.5 seconds'`);
    assert.strictEqual(close, 0);
    await env.verify();
  } finally {
    await env.stop();
  }
});

test('Always: an immediate stop of PostgreSQL in the middle of tasks', async () => {
  const env = await Environment.start({ roles: ['worker', 'scheduler'], own: true, settings: { task_lease_s: 1 } });
  try {
    for (let round = 0; round < 3; round++) {
      await enqueue(env, 200);
      await sleep(100 + 50 * round);
      await env.postgres.stop('immediate');
      await env.postgres.start();
    }
    await poll(() => env.query('SELECT 1 FROM task LIMIT 1').catch(() => false), { what: 'the database to be back' });
    await allDone(env);
    const [{ done, dead }] = await env.query(`SELECT count(*) FILTER (WHERE state = 'done')::int AS done, count(*) FILTER (WHERE state = 'dead')::int AS dead
      FROM task WHERE name = 'work_partitions' AND unique_key IS NULL`);
    assert.deepStrictEqual({ done, dead }, { done: 600, dead: 0 });
  } finally {
    await env.stop();
  }
});
