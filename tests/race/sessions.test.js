'use strict';
// Signing in, refreshing and changing the password against what takes them away: what was read before the lock is examined again under it.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, makePerson, poll, wireId, PASSWORD } = require('../harness');

const env = shop({ roles: ['serve', 'serve:2'] });
const servers = () => [env.client('serve'), env.client('serve:2')];
const OTHER = 'another fine phrase';

const signIn = (server, person, password = PASSWORD) => server.call('session_sign_in', { token: null, body: { email: person.email, password } });
const setPassword = (server, person, next = OTHER) => server.as(person.token).call('me_password_set', { body: { current_password: PASSWORD, new_password: next } });
const openSessions = async (person) => (await env.query('SELECT id FROM session WHERE user_id = $1 AND ended_at IS NULL', [person.uuid])).length;
const hashOf = async (person) => (await env.query('SELECT password_hash AS hash FROM users WHERE id = $1', [person.uuid]))[0].hash;
const refusedEverywhere = (token) => Promise.all(servers().map((server) => poll(async () => (await server.as(token).call('me_show')).status === 401, { what: 'the token to be refused' })));

/** Runs `act`, which has to wait for what `statement` holds, and commits that when it does; what `act` answered. */
async function overtaken(statement, values, act) {
  const holder = await env.db.connect();
  try {
    await holder.query('BEGIN');
    await holder.query(statement, values);
    const [{ pid }] = (await holder.query('SELECT pg_backend_pid() AS pid')).rows;
    const answer = act();
    await poll(async () => (await env.query('SELECT 1 FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))', [pid])).length > 0, { what: 'the request to wait for the lock' });
    await holder.query('COMMIT');
    return await answer;
  } finally {
    holder.release();
  }
}

test('ACC-2 an account that is blocked while its password is compared does not sign in', async () => {
  const one = await makePerson(env);
  const answer = await overtaken(`UPDATE users SET state = 'blocked' WHERE id = $1`, [one.uuid], () => signIn(servers()[1], one));
  assert.strictEqual(answer.status, 403);
  assert.strictEqual(await openSessions(one), 0);
});

test('ACC-1 a password that is changed while it is compared does not sign in; the same one hashed anew does', async () => {
  const [one, stranger] = [await makePerson(env), await makePerson(env)];
  const sameHashedAnew = await hashOf(stranger);
  assert.strictEqual((await overtaken('UPDATE users SET password_hash = $2 WHERE id = $1', [one.uuid, sameHashedAnew], () => signIn(servers()[0], one))).status, 200);
  assert.strictEqual((await setPassword(servers()[0], stranger)).status, 204);
  const before = await openSessions(one);
  const answer = await overtaken('UPDATE users SET password_hash = $2 WHERE id = $1', [one.uuid, await hashOf(stranger)], () => signIn(servers()[1], one));
  assert.strictEqual(answer.body.code, 'credentials_wrong');
  assert.strictEqual(await openSessions(one), before);
});

test('ACC-1 of two changes of the password from the same old one, one is made', async () => {
  const [one, stranger] = [await makePerson(env), await makePerson(env)];
  assert.strictEqual((await setPassword(servers()[0], stranger)).status, 204);
  const answer = await overtaken('UPDATE users SET password_hash = $2 WHERE id = $1', [one.uuid, await hashOf(stranger)], () => setPassword(servers()[1], one, 'a third fine phrase'));
  assert.strictEqual(answer.body.code, 'credentials_wrong');
  assert.strictEqual((await signIn(servers()[0], one, OTHER)).status, 200);
});

test('ACC-2 who is blocked or signed out while the new password is hashed has not changed it', async () => {
  for (const statement of [`UPDATE users SET state = 'blocked' WHERE id = $1`,
    `WITH held AS (SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE) UPDATE session SET ended_at = now(), ended_why = 'sign_out' FROM held WHERE user_id = $1`]) {
    const one = await makePerson(env);
    const hash = await hashOf(one);
    const answer = await overtaken(statement, [one.uuid], () => setPassword(servers()[1], one));
    assert.strictEqual(answer.status, 401, statement);
    assert.strictEqual(await hashOf(one), hash, statement);
  }
});

test('ACC-2 CAT-4 whose vendor closes while the password is compared does not sign in', async () => {
  const one = await makePerson(env, 'vendor');
  const answer = await overtaken(`UPDATE vendor SET state = 'closed' WHERE id = $1`, [one.vendorId], () => signIn(servers()[0], one));
  assert.strictEqual(answer.status, 403);
  assert.strictEqual(await openSessions(one), 0);
});

test('ACC-1 a refresh that meets signing out everywhere leaves no token that is good', async () => {
  const one = await makePerson(env);
  const answer = await overtaken(`UPDATE session SET ended_at = now(), ended_why = 'sign_out' WHERE user_id = $1`, [one.uuid],
    () => servers()[1].call('session_refresh', { token: null, body: { refresh_token: one.refreshToken } }));
  assert.strictEqual(answer.status, 401);
});

test('ACC-1 ACC-2 hundreds of sign-ins, refreshes, blocks and changes of the password on two servers: no token outlives them', async () => {
  const admin = await makePerson(env, 'admin');
  const ends = [
    (server, one) => server.as(admin.token).call('user_block', { path: { user_id: one.id } }),
    (server, one) => setPassword(server, one),
    (server, one) => server.as(one.token).call('session_sign_out_all', {}),
    (_, one) => env.query(`UPDATE users SET role = 'support' WHERE id = $1`, [one.uuid]),
  ];
  await Promise.all(Array.from({ length: 32 }, async (_, i) => {
    const one = await makePerson(env);
    const [here, there] = i % 2 ? servers() : servers().reverse();
    const refresh = (token) => there.call('session_refresh', { token: null, body: { refresh_token: token } });
    const made = await Promise.all([signIn(there, one), refresh(one.refreshToken), ends[i % 4](here, one), signIn(here, one), refresh(one.refreshToken), signIn(there, one)]);
    // Who has signed in after the end may stay, but only in an open session; what is not in one is refused on both servers.
    const open = (await env.query('SELECT id FROM session WHERE user_id = $1 AND ended_at IS NULL', [one.uuid])).map(({ id }) => wireId('ses', id));
    if (i % 4 === 0) assert.deepStrictEqual(open, []);
    for (const { status, body } of made.filter((answer) => answer?.body?.access_token)) {
      assert.strictEqual(status, 200);
      const { sid } = JSON.parse(Buffer.from(body.access_token.split('.')[1], 'base64url'));
      if (!open.includes(sid)) await refusedEverywhere(body.access_token);
    }
    if (!open.includes(JSON.parse(Buffer.from(one.token.split('.')[1], 'base64url')).sid)) await refusedEverywhere(one.token);
  }));
  await env.verify();
});

test('ACC-2 a manager who is demoted amid requests does nothing more as a manager once that is known', async () => {
  const manager = await makePerson(env, 'manager');
  const target = await makePerson(env);
  let demoted = false, refused = 0;
  const flood = servers().map(async (server) => {
    for (let i = 0; refused < 2; i += 1) {
      const { status } = await server.as(manager.token).call(i % 2 ? 'user_block' : 'user_unblock', { path: { user_id: target.id } });
      if (status === 401) {
        assert.ok(demoted, 'refused before it was demoted');
        refused += 1;
        return;
      }
      assert.strictEqual(status, 200);
    }
  });
  demoted = true;
  await env.query(`UPDATE users SET role = 'support' WHERE id = $1`, [manager.uuid]);
  // These ask with each request, so that the demotion is known with its commit.
  await servers()[1].as(manager.token).call('user_block', { path: { user_id: target.id }, expect: 401 });
  await Promise.all(flood);
  await env.verify();
});
