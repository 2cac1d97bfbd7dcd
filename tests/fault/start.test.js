'use strict';
// Servers that start before PostgreSQL and Redis do: they wait, say so, and can be stopped meanwhile.
const { test, after, before } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const { Environment, poll } = require('../harness');

const ROLES = ['serve', 'sandbox', 'worker', 'scheduler'];
let env;

before(async () => {
  env = await Environment.start({ roles: ROLES, own: true, start: false });
});
after(() => env?.stop());

const says = (name) => fs.readFileSync(env.role(name).log, 'utf8');

for (const name of ROLES) {
  test(`cathay ${name} waits for a PostgreSQL that is away at its start, and says so`, { timeout: 180000 }, async () => {
    await env.postgres.stop();
    env.role(name).start();
    await poll(() => says(name).includes('waiting for PostgreSQL'), { timeoutMs: 60000, what: 'its word' });
    assert.ok(env.role(name).running, 'it waits');
    await env.postgres.start();
    await env.ready(name);
    if (name === 'worker' || name === 'scheduler') await poll(() => says(name).includes('"role":"' + name), { timeoutMs: 60000, what: `${name} to start` });
    await env.role(name).stop();
  });
}

test('a server that waits for PostgreSQL ends when it is told to', { timeout: 120000 }, async () => {
  await env.postgres.stop();
  const role = env.role('serve');
  role.start();
  await poll(() => (says('serve').match(/waiting for PostgreSQL/g) ?? []).length >= 2, { timeoutMs: 60000, what: 'its word' });
  role.stopping = true;
  role.child.kill('SIGTERM');
  await role.exited;
  assert.match(says('serve'), /stopped while it waited for PostgreSQL/);
  await env.postgres.start();
});

test('a Redis that is away at the start is told in the log, and the shop opens', { timeout: 120000 }, async () => {
  await env.redis.stop();
  await env.startRole('serve');
  await poll(() => says('serve').includes('redis is away'), { timeoutMs: 60000, what: 'its word' });
  await env.redis.start();
  await env.role('serve').stop();
});
