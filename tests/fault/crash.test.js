'use strict';
// A bug of ours that ends the process: it comes back by itself, what was acknowledged is there, it is counted, and its last line
// says what was in hand. The bug is a signal that only a bug raises, sent to the thread that works on a request.
const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const { execFileSync, spawn } = require('node:child_process');
const { Environment, poll, sleep } = require('../harness');
const { program } = require('../harness/environment');
const { goods, customer, orderOf } = require('../harness/goods');
const { held, metric } = require('../harness/pressure');

const childOf = (pid) => Number(fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]) || null;
const threadOf = (pid, name) => fs.readdirSync(`/proc/${pid}/task`).map(Number)
  .find((thread) => fs.readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim() === name);
const hurt = (pid, thread, signal) => execFileSync('python3', ['-c', `import ctypes; ctypes.CDLL(None).tgkill(${pid}, ${thread}, ${signal})`]);
const linesOf = (file, message) => fs.readFileSync(file, 'utf8').split('\n').filter((line) => line.startsWith('{') && line.includes(`"message":"${message}"`)).map((line) => JSON.parse(line));

/** Shoppers who order until told to stop; a call that was broken off is repeated with its key. */
function shoppers(env, buyers, variants) {
  const seen = { acknowledged: new Map(), stop: false, broken: 0 };
  seen.done = Promise.all(buyers.map(async (buyer, i) => {
    for (let n = 0; !seen.stop; n += 1) {
      const key = `intention-${i}-${n}`;
      for (let answered = false; !answered && !seen.stop;) {
        const answer = await buyer.api.call('order_place', { body: orderOf([[variants[(i + n) % variants.length], 1]]), key }).catch(() => null);
        answered = answer?.status === 201;
        if (answered) seen.acknowledged.set(`${buyer.id} ${key}`, answer.body.id);
        else { seen.broken += 1; await sleep(50); }
      }
    }
  }));
  return seen;
}

test('CHK-3 a process that crashes while orders are placed is started again, has every acknowledged order, counts the crash and names what it had in hand', async () => {
  const env = await Environment.start({ roles: ['serve', 'worker'], settings: { workers: 1, lanes: 1 }, start: false });
  const serve = env.role('serve');
  serve.supervised = true;
  try {
    await env.startRole('serve');
    const ready = Date.now();
    await env.startRole('worker');
    const counter = 'cathay_process_crashes_total{role="serve"}';
    assert.strictEqual(await metric(env.api, counter), 0);
    const { variants } = await goods(env, { variants: 8, onHand: 100000 });
    const buyers = await Promise.all(Array.from({ length: 8 }, () => customer(env)));
    const seen = shoppers(env, buyers, variants);
    await poll(() => seen.acknowledged.size > 20, { what: 'orders' });

    // A worker is inside a statement of a request.
    const release = await held(env, 'attribute');
    const first = childOf(serve.pid);
    const asked = env.api.call('attribute_list', { headers: { 'x-request-id': 'in-hand-1' } }).catch(() => null);
    await poll(async () => (await env.query("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%attribute%' AND application_name LIKE '%worker%'")).length > 0,
      { what: 'a worker that waits' });
    const lived = Date.now() - ready;
    hurt(first, threadOf(first, 'worker-0'), 11);
    await asked;
    await release();
    await poll(() => childOf(serve.pid) && childOf(serve.pid) !== first, { what: 'a new process' });
    await env.ready('serve');
    const [crash] = linesOf(serve.log, 'crash');
    assert.strictEqual(crash.signal, 'SIGSEGV');
    assert.deepStrictEqual([crash.level, crash.role, crash.thread, crash.method, crash.operation, crash.request_id, crash.statement],
      ['fatal', 'serve', 'worker-0', 'GET', 'attribute_list', 'in-hand-1', 'attribute_list']);
    assert.strictEqual(await metric(env.api, counter), 1);
    // Crashes that lie far apart are not crashes in a row: how long a process has run decides that.
    const [told] = linesOf(serve.log, 'a process has crashed');
    assert.ok(told.ran_ms >= lived, `ran_ms is ${told.ran_ms}, but it was ready ${lived} ms before`);

    // A lane is inside a batch of orders.
    const before = seen.acknowledged.size;
    await poll(() => seen.acknowledged.size > before + 20, { what: 'orders of the new process' });
    const free = await held(env, 'stock');
    const second = childOf(serve.pid);
    await poll(async () => (await env.query("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'cathay lane'")).length > 0, { what: 'a lane that waits' });
    hurt(second, threadOf(second, 'lane-0'), 6);
    await free();
    await poll(() => childOf(serve.pid) && childOf(serve.pid) !== second, { what: 'a new process' });
    await env.ready('serve');
    const aborted = linesOf(serve.log, 'crash').find(({ signal }) => signal === 'SIGABRT');
    assert.deepStrictEqual([aborted.thread, aborted.operation], ['lane-0', 'cathay lane']);
    assert.ok(aborted.requests > 0 && aborted.statement, JSON.stringify(aborted));
    assert.match(aborted.request_id, /^[0-9a-f]{32}$/);
    assert.strictEqual(await metric(env.api, counter), 2);

    // And one that leaves no line: kill -9, as when memory runs out.
    const third = childOf(serve.pid);
    process.kill(third, 'SIGKILL');
    await poll(() => childOf(serve.pid) && childOf(serve.pid) !== third, { what: 'a new process' });
    await env.ready('serve');
    assert.strictEqual(await metric(env.api, counter), 3);
    const last = seen.acknowledged.size;
    await poll(() => seen.acknowledged.size > last + 5, { what: 'orders again' });
    seen.stop = true;
    await seen.done;
    assert.ok(seen.broken > 0);
    const there = new Set((await env.query("SELECT wire_id('ord', id) AS id FROM orders")).map(({ id }) => id));
    for (const id of seen.acknowledged.values()) assert.ok(there.has(id), `acknowledged order ${id} is missing`);
    assert.strictEqual(new Set(seen.acknowledged.values()).size, seen.acknowledged.size);
    assert.deepStrictEqual(linesOf(serve.log, 'a process has crashed').map(({ crashes }) => crashes), [1, 2, 3]);
    await env.verify();
  } finally {
    await env.stop(); // fails unless the supervisor passes SIGTERM on and ends with 0
  }
});

const ended = (child) => new Promise((resolve) => { child.once('exit', (code, signal) => resolve(code ?? signal)); });

test('a role that cannot start is not tried again, and one that crashes again and again is given up', async () => {
  const env = await Environment.start({ roles: ['serve'], start: false });
  try {
    const run = (variables) => {
      const child = spawn(program, ['supervise', 'serve'], { env: { ...process.env, ...env.variables, ...variables }, stdio: ['ignore', 'pipe', 'pipe'] });
      child.text = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => { child.text += bytes; });
      return child;
    };
    const wrong = run({ CATHAY_LOG_LEVEL: 'loud' });
    assert.strictEqual(await ended(wrong), 2);
    assert.ok(!wrong.text.includes('crashed'), wrong.text);

    const hopeless = run({});
    const end = ended(hopeless);
    let over = false;
    end.then(() => { over = true; });
    const killed = new Set();
    await poll(() => {
      try {
        const child = over ? null : childOf(hopeless.pid);
        if (child && !killed.has(child) && fs.readlinkSync(`/proc/${child}/exe`)) {
          killed.add(child);
          process.kill(child, 'SIGKILL');
        }
      } catch { /* between two children */ }
      return over;
    }, { timeoutMs: 120000, what: 'the supervisor to give up' });
    assert.strictEqual(await end, 137);
    assert.strictEqual(killed.size, 6);
    assert.match(hopeless.text, /^cathay supervise: serve crashed 6 times, each soon after its start; given up$/m);
  } finally {
    await env.stop();
  }
});
