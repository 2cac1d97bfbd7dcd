'use strict';
// The command line of background work: cathay tasks, migrate, verify, worker, scheduler.
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { Environment, poll } = require('../harness');

let env;
before(async () => {
  env = await Environment.start({ roles: ['worker', 'scheduler'] });
  // The shop's own schedules are left out of the picture, all but those of this file.
  await poll(async () => (await env.query('SELECT count(*)::int AS n FROM schedule'))[0].n >= 2, { what: 'the schedules' });
  await env.query('UPDATE schedule SET paused = true');
});
after(() => env.stop());

const hex = (id) => `tsk_${id.replaceAll('-', '')}`;

async function insertTask({ name = 'work_cleanup', state = 'dead', key = null, due = '1 hour' } = {}) {
  const [{ id }] = await env.query(`
    INSERT INTO task (id, name, aggregate_id, payload, state, attempt, unique_key, due_at, finished_at, last_error)
    VALUES (gen_random_uuid(), $1, gen_random_uuid(), '{"why": "test"}', $2, 20, $3, now() + $4::interval,
            CASE WHEN $2 = 'dead' THEN now() END, 'partner_failed: it said no') RETURNING id`, [name, state, key, due]);
  return id;
}

const stateOf = async (id) => (await env.query('SELECT state FROM task WHERE id = $1', [id]))[0].state;

async function run(expected, ...subcommand) {
  const { code, stdout, stderr } = await env.run(...subcommand);
  assert.strictEqual(code, expected, `cathay ${subcommand.join(' ')} ended with ${code}\n${stdout}${stderr}`);
  return expected === 2 ? stderr : stdout + stderr;
}

test('JOB-2 a dead letter is seen, shown and run again', async () => {
  const id = await insertTask();
  assert.match(await run(0, 'tasks', 'list', '--state', 'dead'), new RegExp(`${hex(id)}.*work_cleanup.*dead.*20.*partner_failed`));
  assert.match(await run(0, 'tasks', 'show', hex(id)), /attempt +20 of at most 20[^]*last error +partner_failed: it said no[^]*"why": "test"/);
  assert.match(await run(0, 'tasks'), /work_cleanup +0 +0 +\d+ +1 +0/);
  await run(0, 'tasks', 'retry', hex(id));
  await poll(async () => await stateOf(id) === 'done', { what: 'the task to run' });
});

test('JOB-2 all dead letters of a name are run again, others stay', async () => {
  const ids = await Promise.all([1, 2, 3].map(() => insertTask()));
  const other = await insertTask({ name: 'work_partitions' });
  assert.match(await run(0, 'tasks', 'retry', '--all-dead', '--name', 'work_cleanup'), /^3 dead tasks/);
  await poll(async () => (await Promise.all(ids.map(stateOf))).every((state) => state === 'done'), { what: 'the tasks to run' });
  assert.strictEqual(await stateOf(other), 'dead');
  assert.match(await run(0, 'tasks', 'retry', '--all-dead'), /^1 dead task /);
});

test('JOB-6 a waiting task is discarded, a done one is not, an unknown one is told', async () => {
  const id = await insertTask({ state: 'ready' });
  await run(0, 'tasks', 'discard', hex(id));
  assert.strictEqual(await stateOf(id), 'discarded');
  assert.match(await run(1, 'tasks', 'discard', hex(id)), /neither waits nor is dead/);
  assert.match(await run(1, 'tasks', 'show', `tsk_${'0'.repeat(32)}`), /there is no task/);
  assert.match(await run(2, 'tasks', 'show', 'ord_1'), /is not a task's id/);
});

test('JOB-6 a dead letter does not come back beside a newer one of its unique key', async () => {
  const dead = await insertTask({ key: 'k' });
  await insertTask({ key: 'k', state: 'ready' });
  assert.match(await run(1, 'tasks', 'retry', hex(dead)), /same unique key/);
  assert.strictEqual(await stateOf(dead), 'dead');
  await env.query('DELETE FROM task WHERE unique_key = $1', ['k']);
});

test('JOB-3 JOB-6 a schedule is paused, resumed and run at once', async () => {
  const last = async () => (await env.query('SELECT last_started_at AS t FROM schedule WHERE name = \'work_partitions\''))[0].t;
  const first = await last();
  assert.match(await run(0, 'tasks', 'schedules'), /work_partitions +21600 s +paused/);
  await run(0, 'tasks', 'run', 'work_partitions'); // paused still
  await run(0, 'tasks', 'resume', 'work_partitions');
  await poll(async () => await last() > first, { what: 'the schedule to start' });
  assert.match(await run(0, 'tasks', 'schedules'), /work_partitions +21600 s +in 5 h/);
  await run(0, 'tasks', 'pause', 'work_partitions');
  assert.match(await run(1, 'tasks', 'pause', 'nonsense'), /there is no schedule "nonsense"/);
});

test('WEB-3 what makes no sense is refused with a line that helps', async () => {
  for (const words of [['tasks', 'list', '--state', 'bad'], ['tasks', 'list', '--limit', '0'], ['tasks', 'dance'], ['tasks', 'retry'],
    ['verify', '--what'], ['verify', '--timeout', '0'], ['verify', 'no_such_invariant'], ['migrate', '--undo'], ['worker', '-x'], ['scheduler', '-x']]) {
    const line = await run(2, ...words);
    assert.match(line, new RegExp(`^cathay ${words[0]}: [^\n]+\n$`), words.join(' '));
  }
  for (const name of ['tasks', 'verify', 'migrate', 'worker', 'scheduler']) assert.match(await run(0, name, '--help'), new RegExp(`^Usage: cathay ${name}`));
});

test('OPS-2 migrate --status lists every file as applied, and a missing one stops a role with one line', async () => {
  const listing = await run(0, 'migrate', '--status');
  assert.match(listing, /^0001_foundation +applied/);
  assert.doesNotMatch(listing, /missing|changed|not known/);
  assert.match(await run(0, 'migrate'), /^nothing to do/);
  await env.query('CREATE TABLE kept AS SELECT * FROM schema_migration WHERE version = 1');
  await env.query('DELETE FROM schema_migration WHERE version = 1');
  try {
    assert.match(await run(1, 'migrate', '--status'), /0001_foundation +missing/);
    assert.match(await run(2, 'worker'), /cathay worker: the database lacks migration 0001_foundation; run `cathay migrate` first/);
  } finally {
    await env.query('INSERT INTO schema_migration TABLE kept');
    await env.query('DROP TABLE kept');
  }
});

test('OPS-8 verify holds on a sound shop, and says what is broken and where', async () => {
  await env.verify();
  assert.match(await run(0, 'verify', '--list'), /work +event_tasks_complete/);
  const id = await insertTask({ state: 'ready' });
  await env.query('UPDATE task SET lease_until = now() WHERE id = $1', [id]);
  const found = await env.violations();
  assert.deepStrictEqual(found.map(({ invariant, where }) => [invariant, where]), [['task_states_whole', hex(id)]]);
  assert.match(await run(1, 'verify', 'task_states_whole'), new RegExp(`VIOLATED +task_states_whole[^]*${hex(id)}: work_cleanup is ready with a wrong lease`));
  await run(0, 'verify', 'task_events_kept');
  await env.query('DELETE FROM task WHERE id = $1', [id]);
});

test('OPS-8 verify that cannot reach the database or check something says so', async () => {
  const { code, stderr } = await Object.assign(Object.create(env), { settings: { ...env.settings, database_url: 'postgresql:///nowhere?host=/nonexistent' } }).run('verify');
  assert.strictEqual(code, 2);
  assert.match(stderr, /cathay verify: /);
  await env.query('ALTER TABLE outbox RENAME TO hidden');
  try {
    const { code: second, stdout } = await env.run('verify', 'event_tasks_complete');
    assert.strictEqual(second, 2);
    assert.match(stdout, /NOT CHECKED event_tasks_complete: .*outbox/);
  } finally {
    await env.query('ALTER TABLE hidden RENAME TO outbox');
  }
});
