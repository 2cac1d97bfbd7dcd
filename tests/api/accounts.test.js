'use strict';
const { test } = require('node:test');
const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const jose = require('jose');
const { shop, Environment, makePerson, poll, wireId, TOKEN_KEY, PASSWORD } = require('../harness');

const env = shop();
const newEmail = () => `person-${crypto.randomBytes(6).toString('hex')}@cathay.example`;

async function register(more = {}) {
  const email = more.email ?? newEmail();
  const { body } = await env.api.call('user_register', { body: { email, password: PASSWORD, name: 'Ada Lovelace', ...more }, expect: 201 });
  return { ...body, email, api: env.api.as(body.access_token) };
}
const refresh = (token, expect) => env.api.call('session_refresh', { body: { refresh_token: token }, expect });
/** A new session: {id, role, vendorId, token, refresh, api}. */
async function signIn({ email, password }) {
  const { body } = await env.api.call('session_sign_in', { body: { email, password }, expect: 200 });
  return { id: body.user.id, role: body.user.role, token: body.access_token, refresh: body.refresh_token, api: env.api.as(body.access_token) };
}
/** One of each of these roles. */
async function people(...roles) {
  return Object.fromEntries(await Promise.all(roles.map(async (role) => [role, await makePerson(env, role)])));
}
const fields = ({ body }) => Object.fromEntries((body.errors ?? []).map(({ field, reason }) => [field, reason]));

// ---- register ----

test('ACC-1 who registers is a customer, is signed in, and gets an account of miles', async () => {
  const made = await register({ email: '  New.Person@Cathay.EXAMPLE ' });
  assert.strictEqual(made.user.email, 'new.person@cathay.example');
  assert.strictEqual(made.user.role, 'customer');
  assert.strictEqual(made.token_type, 'Bearer');
  const { body } = await made.api.call('me_show', { expect: 200 });
  assert.deepStrictEqual(body, made.user);
  await poll(async () => (await env.query(`SELECT 1 FROM ledger_account a JOIN users u ON u.id = a.user_id WHERE u.email = $1`, [body.email])).length === 1,
    { what: 'the account of miles' });
});

test('ACC-1 what is wrong with a registration is told field by field', async () => {
  const wrong = (body) => env.api.call('user_register', { body: { email: newEmail(), password: PASSWORD, name: 'Ada', ...body }, expect: 400 });
  assert.deepStrictEqual(Object.keys(fields(await wrong({ email: 'nobody', name: '   ' }))).sort(), ['email', 'name']);
  assert.match(fields(await wrong({ password: 'Password2024!' })).password, /common/);
  assert.match(fields(await wrong({ password: '1234567890' })).password, /sequence/);
  assert.match(fields(await wrong({ email: 'ada.lovelace@cathay.example', password: 'ada.lovelace1' })).password, /e-mail/);
  for (const body of [{ password: 'short' }, { password: 'x'.repeat(129) }, { role: 'admin' }, { vendor_id: `ven_${'0'.repeat(32)}` }, { name: '' }]) {
    await env.api.call('user_register', { body: { email: newEmail(), password: PASSWORD, name: 'Ada', ...body }, invalid: true, expect: 400 });
  }
});

test('ACC-1 an address has one account, however many register at once', async () => {
  const email = newEmail();
  const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => env.api.call('user_register', {
    body: { email: i % 2 ? email : email.toUpperCase(), password: PASSWORD, name: 'Ada' }, expect: [201, 409] })));
  assert.strictEqual(answers.filter(({ status }) => status === 201).length, 1);
  for (const { status, body } of answers) if (status === 409) assert.strictEqual(body.code, 'email_taken');
});

test('ACC-1 passwords and refresh tokens are stored as hashes only', async () => {
  const made = await register();
  const [user] = await env.query('SELECT password_hash FROM users WHERE email = $1', [made.email]);
  assert.match(user.password_hash, /^\$argon2id\$v=19\$/);
  const [{ count }] = await env.query(`SELECT count(*)::int FROM refresh_token WHERE hash IN ($1, $2)`,
    [Buffer.from(made.refresh_token.slice(4), 'base64url'), Buffer.from(made.refresh_token)]);
  assert.strictEqual(count, 0);
  const [{ stored }] = await env.query('SELECT count(*)::int AS stored FROM idempotency WHERE body LIKE $1', [`%${made.refresh_token}%`]);
  assert.strictEqual(stored, 0);
});

// ---- sign in ----

test('ACC-1 a wrong password and an unknown address get the same answer', async () => {
  const made = await register();
  const attempt = async (body) => (await env.api.call('session_sign_in', { body, expect: 401 })).body;
  const wrong = await attempt({ email: made.email, password: 'not the password' });
  const unknown = await attempt({ email: newEmail(), password: PASSWORD });
  for (const answer of [wrong, unknown]) delete answer.request_id;
  assert.deepStrictEqual(unknown, wrong);
  assert.strictEqual(wrong.code, 'credentials_wrong');
  const odd = await env.api.call('session_sign_in', { body: { email: 'not an address', password: PASSWORD }, expect: 400 });
  assert.match(fields(odd).email, /not an e-mail address/);
});

test('ACC-1 an unknown address costs a hash too', async () => {
  const slow = await Environment.start({ roles: ['serve'], settings: { argon2_memory_kib: 32768, argon2_passes: 8 } });
  try {
    const email = newEmail();
    await slow.api.call('user_register', { body: { email, password: PASSWORD, name: 'Ada' }, expect: 201 });
    // In CPU time of the server, which other load does not change; the median of some.
    const pid = slow.role('serve').pid;
    const ticks = () => fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13).reduce((a, b) => a + Number(b), 0);
    const cpu = async (address) => {
      const spent = [];
      for (let i = 0; i < 5; i += 1) {
        const before = ticks();
        await slow.api.call('session_sign_in', { body: { email: address, password: 'not the password' }, expect: 401 });
        spent.push(ticks() - before);
      }
      return spent.sort((a, b) => a - b)[2];
    };
    const wrong = await cpu(email);
    const unknown = await cpu(newEmail());
    assert.ok(wrong > 0 && unknown * 3 > wrong, `work for a wrong password ${wrong}, for an unknown address ${unknown} ticks`);
  } finally {
    await slow.stop();
  }
});

test('ACC-1 a hash of other costs is made anew at sign-in', async () => {
  const made = await register();
  const slower = await env.addRole('serve:costly', { argon2_memory_kib: 64 });
  await env.startRole(slower.name);
  await env.client(slower.name).call('session_sign_in', { body: { email: made.email, password: PASSWORD }, expect: 200 });
  const [{ password_hash }] = await env.query('SELECT password_hash FROM users WHERE email = $1', [made.email]);
  assert.match(password_hash, /m=64,/);
  await signIn({ email: made.email, password: PASSWORD });
  await slower.stop();
});

// ---- refresh ----

test('ACC-1 refresh tokens rotate: each gives the next, and tokens of the same session', async () => {
  const made = await register();
  const first = (await refresh(made.refresh_token, 200)).body;
  const second = (await refresh(first.refresh_token, 200)).body;
  assert.strictEqual(new Set([made, first, second].map((each) => each.refresh_token)).size, 3);
  assert.strictEqual(new Set([made, first, second].map((each) => jose.decodeJwt(each.access_token).sid)).size, 1);
  await env.api.as(second.access_token).call('me_show', { expect: 200 });
  await env.verify();
});

test('ACC-1 a used refresh token ends the whole session', async () => {
  const made = await register();
  const first = (await refresh(made.refresh_token, 200)).body;
  const second = (await refresh(first.refresh_token, 200)).body; // the successor is used: no grace for the first
  const reuse = await refresh(made.refresh_token, 401);
  assert.strictEqual(reuse.body.code, 'refresh_token_reused');
  assert.strictEqual((await refresh(second.refresh_token, 401)).body.code, 'unauthenticated');
  const [session] = await env.query('SELECT ended_why FROM session WHERE id = $1', [jose.decodeJwt(made.access_token).sid.slice(4)]);
  assert.strictEqual(session.ended_why, 'reuse');
  await signIn({ email: made.email, password: PASSWORD }); // other sessions are none of its business
  await env.verify();
});

test('ACC-1 a used refresh token is no good once its grace has passed', async () => {
  const made = await register();
  const next = (await refresh(made.refresh_token, 200)).body;
  await env.query(`UPDATE refresh_token SET used_at = used_at - interval '11 seconds' WHERE session_id = $1 AND used_at IS NOT NULL`,
    [jose.decodeJwt(made.access_token).sid.slice(4)]);
  assert.strictEqual((await refresh(made.refresh_token, 401)).body.code, 'refresh_token_reused');
  await refresh(next.refresh_token, 401);
});

test('ACC-1 the same refresh token 20 times at once has one successor', async () => {
  const made = await register();
  const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(made.refresh_token, 200)));
  const successors = new Set(answers.map(({ body }) => body.refresh_token));
  assert.strictEqual(successors.size, 1);
  const [{ count }] = await env.query('SELECT count(*)::int FROM refresh_token WHERE session_id = $1', [jose.decodeJwt(made.access_token).sid.slice(4)]);
  assert.strictEqual(count, 2);
  await refresh([...successors][0], 200);
  await refresh(made.refresh_token, 401);
  await env.verify();
});

test('ACC-1 what is no refresh token is refused, and an expired session is over', async () => {
  const made = await register();
  for (const text of ['rft_', 'x', `rft_${Buffer.alloc(32).toString('base64url')}`, made.access_token.slice(0, 100), made.refresh_token.slice(0, -1)]) {
    assert.strictEqual((await refresh(text, 401)).body.code, 'unauthenticated');
  }
  await env.query(`UPDATE session SET expires_at = now() - interval '1 second' WHERE id = $1`, [jose.decodeJwt(made.access_token).sid.slice(4)]);
  await refresh(made.refresh_token, 401);
});

// ---- sign out ----

test('ACC-1 signing out ends this session, signing out everywhere all of them', async () => {
  const made = await register();
  const sessions = await Promise.all([1, 2, 3].map(() => signIn({ email: made.email, password: PASSWORD })));
  await sessions[0].api.call('session_sign_out', { expect: 204 });
  await refresh(sessions[0].refresh, 401);
  const kept = (await refresh(sessions[1].refresh, 200)).body;
  await sessions[0].api.call('session_sign_out_all', { expect: 401 });
  await sessions[2].api.call('session_sign_out_all', { expect: 204 });
  for (const token of [kept.refresh_token, sessions[2].refresh, made.refresh_token]) await refresh(token, 401);
  await env.verify();
});

test('ACC-1 a new password needs the old one and ends the other sessions', async () => {
  const made = await register();
  const other = await signIn({ email: made.email, password: PASSWORD });
  const set = (current, next, expect) => made.api.call('me_password_set', { body: { current_password: current, new_password: next }, expect });
  assert.strictEqual((await set('not the password', 'another fine phrase', 401)).body.code, 'credentials_wrong');
  assert.deepStrictEqual(Object.keys(fields(await set(PASSWORD, 'qwertyuiop', 400))), ['new_password']);
  await set(PASSWORD, 'another fine phrase', 204);
  await refresh(other.refresh, 401);
  await refresh(made.refresh_token, 200);
  await env.api.call('session_sign_in', { body: { email: made.email, password: PASSWORD }, expect: 401 });
  await signIn({ email: made.email, password: 'another fine phrase' });
});

test('ACC-4 a person changes their name', async () => {
  const made = await register();
  const { body } = await made.api.call('me_update', { body: { name: '  陳大文 ' }, expect: 200 });
  assert.strictEqual(body.name, '陳大文');
  await made.api.call('me_update', { body: { name: '   ' }, expect: 400 });
  await made.api.call('me_update', { body: { email: 'x@y.example' }, invalid: true, expect: 400 });
  assert.strictEqual((await made.api.call('me_show', { expect: 200 })).body.name, '陳大文');
});

// ---- tokens ----

test('ACC-1 another implementation verifies our tokens with our key set', async () => {
  const made = await register();
  const { body: set, headers } = await env.api.call('jwks_show', { expect: 200 });
  assert.match(headers['cache-control'], /max-age/);
  const keys = jose.createLocalJWKSet(set);
  const { payload, protectedHeader } = await jose.jwtVerify(made.access_token, keys,
    { issuer: env.url, audience: 'cathay-shop', typ: 'JWT', algorithms: ['EdDSA'], requiredClaims: ['sub', 'role', 'sid', 'iat', 'exp'] });
  assert.strictEqual(payload.sub, made.user.id);
  assert.strictEqual(payload.role, 'customer');
  assert.strictEqual(payload.exp - payload.iat, made.expires_in);
  assert.strictEqual(protectedHeader.kid, TOKEN_KEY.kid);
  const vendor = await makePerson(env, 'vendor');
  assert.strictEqual((await jose.jwtVerify(vendor.token, keys)).payload.vendor, wireId('ven', vendor.vendorId));
});

test('ACC-1 tokens of another implementation with our key are taken; anything else about them is refused', async () => {
  const made = await register();
  const d = TOKEN_KEY.seed.toString('base64url');
  const { x } = (await env.api.call('jwks_show', { expect: 200 })).body.keys[0];
  const key = await jose.importJWK({ kty: 'OKP', crv: 'Ed25519', d, x }, 'EdDSA');
  const now = Math.floor(Date.now() / 1000);
  const good = { iss: env.url, aud: 'cathay-shop', sub: made.user.id, role: 'customer', sid: jose.decodeJwt(made.access_token).sid, iat: now, exp: now + 60 };
  const header = { alg: 'EdDSA', typ: 'JWT', kid: TOKEN_KEY.kid };
  const sign = (claims, head = {}, by = key) => new jose.SignJWT({ ...good, ...claims }).setProtectedHeader({ ...header, ...head }).sign(by);
  const me = (token, expect) => env.api.as(token).call('me_show', { expect });
  const accepted = await sign({});
  await me(accepted, 200);
  await me(accepted, 200); // the second time out of the cache

  const stranger = (await jose.generateKeyPair('EdDSA', { crv: 'Ed25519' })).privateKey;
  const secret = new TextEncoder().encode(x);
  const unsigned = `${Buffer.from(JSON.stringify({ ...header, alg: 'none' })).toString('base64url')}.${accepted.split('.')[1]}.`;
  const flipped = accepted.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
  const promoted = [accepted.split('.')[0], Buffer.from(JSON.stringify({ ...good, role: 'admin' })).toString('base64url'), accepted.split('.')[2]].join('.');
  const refused = {
    'alg none': unsigned,
    'HS256 with the public key': await sign({}, { alg: 'HS256' }, secret),
    'expired': await sign({ iat: now - 1000, exp: now - 31 }),
    'from the future': await sign({ iat: now + 1000, exp: now + 2000 }),
    'another issuer': await sign({ iss: 'https://elsewhere.example' }),
    'another audience': await sign({ aud: 'other' }),
    'a stranger\'s key': await sign({}, {}, stranger),
    'an unknown kid': await sign({}, { kid: 'other' }),
    'another type': await sign({}, { typ: 'at+jwt' }),
    'a role that nobody has': await sign({ role: 'root' }),
    'a vendor without one': await sign({ role: 'vendor' }),
    'a changed last character': flipped,
    'a changed claim': promoted,
    'a part too many': `${accepted}.e30`,
    'the refresh token': made.refresh_token,
    'nothing of the kind': 'x',
  };
  for (const [what, token] of Object.entries(refused)) {
    const { status, body } = await env.api.as(token).call('me_show');
    assert.strictEqual(status, 401, what);
    assert.strictEqual(body.code, 'unauthenticated', what);
  }
  await me(await sign({ exp: now - 20, iat: now - 60 }), 200); // within the difference of clocks
});

test('ACC-1 keys rotate: the first signs, all verify, all are listed', async () => {
  const old = await register();
  const { stdout } = await env.run('config', '--new-token-key');
  const rotated = await env.addRole('serve:rotated', { token_keys: `${stdout.trim()},${env.settings.token_keys}` });
  await env.startRole(rotated.name);
  const server = env.client(rotated.name);
  await server.as(old.access_token).call('me_show', { expect: 200 });
  const next = (await server.call('session_refresh', { body: { refresh_token: old.refresh_token }, expect: 200 })).body;
  assert.strictEqual(jose.decodeProtectedHeader(next.access_token).kid, stdout.split(':')[0]);
  await server.as(next.access_token).call('me_show', { expect: 200 });
  await env.api.as(next.access_token).call('me_show', { expect: 401 }); // that server does not know the key yet
  assert.deepStrictEqual((await server.call('jwks_show', { expect: 200 })).body.keys.map(({ kid }) => kid), [stdout.split(':')[0], TOKEN_KEY.kid]);
  await rotated.stop();
});

test('OPS-1 without a signing key nothing starts, and one line says how to make one', async () => {
  for (const [keys, says] of [['', /new-token-key/], ['k1:short', /"k1".*32 bytes/]]) {
    const bare = await Environment.start({ roles: ['serve'], settings: { token_keys: keys }, start: false });
    const { code, stderr } = await bare.run('serve');
    assert.notStrictEqual(code, 0);
    const told = stderr.split('\n').filter((line) => /TOKEN_KEYS/.test(line));
    assert.strictEqual(told.length, 1, stderr);
    assert.match(told[0], says);
    await bare.stop();
  }
});

// ---- staff ----

test('ACC-2 staff list and show accounts, page by page', async () => {
  const support = await makePerson(env, 'support');
  const prefix = `paged-${crypto.randomBytes(4).toString('hex')}`;
  const made = [];
  for (let i = 0; i < 5; i += 1) made.push((await register({ email: `${prefix}-${i}@cathay.example` })).user);
  const seen = [];
  let cursor;
  do {
    const { body } = await support.api.call('user_list', { query: { email: prefix.toUpperCase(), limit: 2, cursor }, expect: 200 });
    assert.ok(body.items.length <= 2);
    seen.push(...body.items);
    cursor = body.next_cursor ?? undefined;
  } while (cursor);
  assert.deepStrictEqual(seen, [...made].reverse());
  assert.deepStrictEqual((await support.api.call('user_show', { path: { user_id: made[0].id }, expect: 200 })).body, made[0]);
  const { body } = await support.api.call('user_list', { query: { role: 'support', state: 'active' }, expect: 200 });
  assert.ok(body.items.some(({ id }) => id === support.id) && body.items.every(({ role }) => role === 'support'));
  await support.api.call('user_show', { path: { user_id: `usr_${'0'.repeat(32)}` }, expect: 404 });
  await support.api.call('user_list', { query: { cursor: 'x' }, expect: 400 });
  assert.deepStrictEqual((await support.api.call('user_list', { query: { email: "%' OR 1=1" }, expect: 200 })).body.items, []);
});

test('ACC-2 managers make accounts of vendors and support, admins of every role', async () => {
  const { manager, admin, vendor, support } = await people('manager', 'admin', 'vendor', 'support');
  const vendorId = wireId('ven', vendor.vendorId);
  const draft = (role, more = {}) => ({ email: newEmail(), password: PASSWORD, name: 'New Colleague', role, ...more });
  const make = (by, body, expect) => by.api.call('user_create', { body, expect });
  await make(support, draft('support'), 403);
  await make(manager, draft('support'), 201);
  const { body } = await make(manager, draft('vendor', { vendor_id: vendorId }), 201);
  assert.strictEqual(body.vendor_id, vendorId);
  for (const role of ['manager', 'admin']) {
    await make(manager, draft(role), 403);
    const mail = draft(role);
    await make(admin, mail, 201);
    assert.strictEqual((await signIn(mail)).role, role);
    assert.strictEqual((await make(admin, mail, 409)).body.code, 'email_taken');
  }
  assert.ok('vendor_id' in fields(await make(admin, draft('vendor'), 400)));
  assert.ok('vendor_id' in fields(await make(admin, draft('support', { vendor_id: vendorId }), 400)));
  assert.ok('vendor_id' in fields(await make(admin, draft('vendor', { vendor_id: `ven_${'0'.repeat(32)}` }), 400)));
});

test('ACC-2 a blocked account is out at once and cannot come back, until it is unblocked', async () => {
  const { manager, admin, support } = await people('manager', 'admin', 'support');
  const made = await register();
  const on = (by, what, id, expect) => by.api.call(what, { path: { user_id: id }, expect });
  await on(support, 'user_block', made.user.id, 403);
  assert.strictEqual((await on(manager, 'user_block', made.user.id, 200)).body.state, 'blocked');
  await on(manager, 'user_block', made.user.id, 200); // again: nothing more
  await refresh(made.refresh_token, 401);
  await made.api.call('session_sign_out_all', { expect: 401 });
  assert.strictEqual((await env.api.call('session_sign_in', { body: { email: made.email, password: PASSWORD }, expect: 403 })).body.code, 'forbidden');
  await env.api.call('session_sign_in', { body: { email: made.email, password: 'not the password' }, expect: 401 });
  assert.strictEqual((await on(manager, 'user_unblock', made.user.id, 200)).body.state, 'active');
  await signIn({ email: made.email, password: PASSWORD });
  await refresh(made.refresh_token, 401);

  await on(manager, 'user_block', admin.id, 403);
  await on(manager, 'user_block', manager.id, 409);
  await on(admin, 'user_block', admin.id, 409);
  await on(admin, 'user_block', manager.id, 200);
  await on(manager, 'user_block', made.user.id, 401);
  await on(admin, 'user_block', `usr_${'0'.repeat(32)}`, 404);
  const events = await env.query(`SELECT type FROM outbox WHERE aggregate_id = $1 ORDER BY id`, [made.user.id.slice(4)]);
  assert.deepStrictEqual(events.map(({ type }) => type), ['user.registered', 'user.blocked', 'user.unblocked']);
  await env.verify();
});

test('WEB-3 cathay user makes, lists and blocks accounts and sets passwords', async () => {
  const email = newEmail();
  const made = await env.run('user', 'create', '--email', email, '--role', 'admin', '--generate');
  assert.strictEqual(made.code, 0, made.stderr);
  const first = await signIn({ email, password: made.stdout.match(/password: (\S+)/)[1] });
  assert.match((await env.run('user', 'list', '--role', 'admin')).stdout, new RegExp(`${first.id}  admin     active   ${email}`));
  const again = await env.run('user', 'create', '--email', email, '--role', 'admin', '--generate');
  assert.strictEqual(again.code, 2);
  const set = await env.run('user', 'set-password', '--email', email, '--generate');
  await refresh(first.refresh, 401);
  await signIn({ email, password: set.stdout.match(/password: (\S+)/)[1] });
  assert.strictEqual((await env.run('user', 'block', '--email', email)).code, 0);
  await env.api.call('session_sign_in', { body: { email, password: set.stdout.match(/password: (\S+)/)[1] }, expect: 403 });
  for (const wrong of [['create', '--email', newEmail()], ['create', '--email', newEmail(), '--role', 'king', '--generate'], ['create', '--email', 'x', '--role', 'admin', '--generate'],
    ['create', '--email', newEmail(), '--role', 'vendor', '--generate'], ['create', '--email', newEmail(), '--role', 'vendor', '--vendor', 'nobody', '--generate'],
    ['set-password', '--email', newEmail(), '--generate'], ['dance'], ['list', '--limit', '0']]) {
    const { code, stderr } = await env.run('user', ...wrong);
    assert.strictEqual(code, 2, wrong.join(' '));
    assert.strictEqual(stderr.trim().split('\n').length, 1, stderr);
  }
});

// ---- upkeep ----

test('JOB-3 sessions that are long over are removed, others stay, twice as well as once', async () => {
  const gone = await register();
  const kept = await register();
  const session = ({ access_token }) => jose.decodeJwt(access_token).sid.slice(4);
  await env.query(`UPDATE session SET expires_at = now() - interval '31 days' WHERE id = $1`, [session(gone)]);
  const left = async (made) => (await env.query('SELECT 1 FROM session WHERE id = $1', [session(made)])).length;
  for (let i = 0; i < 2; i += 1) assert.strictEqual((await env.run('tasks', 'run', 'session_sweep')).code, 0);
  await poll(async () => (await left(gone)) === 0, { what: 'the old session to go' });
  assert.strictEqual(await left(kept), 1);
  await refresh(kept.refresh_token, 200);
});

test('JOB-3 OPS-8 what servers are told of ended sessions goes after two days, and verify finds a session that they are not told of', async () => {
  const found = async () => (await env.violations()).filter((each) => each.invariant === 'ended_session_is_revoked').length;
  const ended = async () => {
    const made = await register();
    await made.api.call('session_sign_out', { expect: 204 });
    return jose.decodeJwt(made.access_token).sid.slice(4);
  };
  const [old, young] = [await ended(), await ended()];
  await env.query(`UPDATE session SET ended_at = now() - interval '3 days' WHERE id = $1`, [old]);
  await env.query(`UPDATE revoked_session SET ended_at = now() - interval '3 days' WHERE session_id = $1`, [old]);
  assert.strictEqual((await env.run('tasks', 'run', 'session_sweep')).code, 0);
  await poll(async () => (await env.query('SELECT 1 FROM revoked_session WHERE session_id = $1', [old])).length === 0, { what: 'the old one to go' });
  assert.strictEqual(await found(), 0);
  await env.query('DELETE FROM revoked_session WHERE session_id = $1', [young]);
  assert.strictEqual(await found(), 1);
  await env.query('INSERT INTO revoked_session (session_id) VALUES ($1)', [young]);
  await env.verify();
});

test('OPS-8 verify finds sessions without their good token, broken chains, and sessions of the blocked', async () => {
  const found = async (name) => (await env.violations()).filter((each) => each.invariant === name).length;
  const made = await register();
  const session = jose.decodeJwt(made.access_token).sid.slice(4);
  await env.verify();
  await env.query(`INSERT INTO refresh_token (hash, session_id) VALUES ('\\x00', $1)`, [session]);
  assert.strictEqual(await found('session_has_one_good_token'), 1);
  await env.query(`UPDATE refresh_token SET used_at = now(), successor_hash = '\\x01', successor_salt = '\\x01' WHERE hash = '\\x00'`);
  assert.strictEqual(await found('session_has_one_good_token'), 1);
  await env.query(`DELETE FROM refresh_token WHERE hash = '\\x00'`);
  await env.query(`UPDATE users SET state = 'blocked' WHERE email = $1`, [made.email]);
  await env.query('UPDATE session SET ended_at = NULL, ended_why = NULL WHERE id = $1', [session]); // blocking has ended it
  assert.strictEqual(await found('blocked_account_has_no_session'), 1);
  await env.query(`UPDATE users SET state = 'active' WHERE email = $1`, [made.email]);
  await env.verify();
});
