'use strict';
// Rate limits over three servers that share a Redis. Each test is somebody else: addresses come from X-Forwarded-For, which the
// servers believe of their trusted proxy, this test.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, poll, makePerson } = require('../harness');
const { newAddress, decisions, shared, exactly } = require('../harness/limits');
const { saleOf } = require('../harness/sales');

const env = shop({ roles: ['serve', 'serve:2', 'serve:3'], settings: { limit_scale_percent: 100, trusted_proxies: '127.0.0.1' } });
const servers = () => ['serve', 'serve:2', 'serve:3'].map((name) => env.client(name));
const SIGN_IN_QUOTA = 10; // in 10 s: one comes back each second

let last = 0;
const newName = () => `nobody.${last += 1}@cathay.example`;

const signIn = (api, address) => api.call('session_sign_in', {
  body: { email: newName(), password: 'not the password' }, headers: { 'X-Forwarded-For': address }, expect: [401, 429] });
const makeCart = (api, address) => api.call('cart_create', {
  body: { currency: 'HKD' }, headers: { 'X-Forwarded-For': address }, expect: [201, 429] });

/** The client as if from that address. */
const from = (api, address) => ({
  call: (operation, options) => api.call(operation, { ...options, headers: { 'X-Forwarded-For': address, ...options.headers } }),
  as: (token) => api.as(token),
});

/** Scripts that Redis has run so far. */
async function scriptCalls() {
  const stats = String(await env.redis.command('INFO commandstats'));
  return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0);
}

/** Asks in turn, one after the other: {allowed, refused (answers), seconds: at most so many came back meanwhile}. */
async function askInTurn(count, ask) {
  const began = Date.now();
  const answers = [];
  for (let i = 0; i < count; i += 1) answers.push(await ask(servers()[i % 3]));
  const refused = answers.filter(({ status }) => status === 429);
  return { answers, refused, allowed: count - refused.length, seconds: Math.ceil((Date.now() - began) / 1000) };
}

exactly(servers, 'FRD-1 three servers together allow an address what one would', async () => {
  const address = newAddress();
  const { answers, refused, allowed, seconds } = await askInTurn(36, (api) => signIn(api, address));
  assert.ok(allowed >= SIGN_IN_QUOTA && allowed <= SIGN_IN_QUOTA + seconds, `${allowed} of 36 were let through in ${seconds} s`);
  assert.strictEqual(answers[0].headers['ratelimit-policy'], '"sign-in";q=10;w=10');
  const remaining = answers.slice(0, 5).map(({ headers }) => Number(/r=(\d+)/.exec(headers.ratelimit)[1]));
  assert.deepStrictEqual([...remaining].sort((a, b) => b - a), remaining, 'each server counts what the others let through');
  assert.ok(remaining[1] <= SIGN_IN_QUOTA - 2 + seconds && remaining[1] < remaining[0]);
  const [{ headers, body }] = refused;
  assert.strictEqual(body.code, 'rate_limited');
  assert.match(headers['retry-after'], /^[1-9]\d*$/);
  assert.match(headers.ratelimit, /^"sign-in";r=0;t=\d+$/);
  const other = await signIn(servers()[0], newAddress());
  assert.strictEqual(other.status, 401, 'another address is not limited by it');
});

exactly(servers, 'FRD-1 who is signed in has a limit of her own, on every server and from every address', async () => {
  const [first, second] = servers();
  const ann = await makePerson(env);
  const ben = await makePerson(env);
  const spend = (api, token) => api.call('cart_create', { body: { currency: 'HKD' }, token, headers: { 'X-Forwarded-For': newAddress() }, expect: 201 });
  const left = ({ headers }) => Number(/r=(\d+)/.exec(headers.ratelimit)[1]);
  const [her, hers] = [await spend(first, ann.token), await spend(second, ann.token)];
  assert.ok(left(hers) <= left(her), `${left(hers)} after ${left(her)}`);
  // The key is there until the quota is whole again, which takes less than a tenth of a second.
  await poll(async () => {
    await spend(first, ann.token);
    return String(await env.redis.command('KEYS limit:write:*')).includes(ann.uuid.replace(/-/g, ''));
  }, { what: 'her key in Redis' });
  await spend(first, ben.token);
});

exactly(servers, 'FRD-1 keys of limits go away by themselves', async () => {
  const address = newAddress();
  await makeCart(servers()[0], address);
  const left = Number(String(await env.redis.command(`PTTL limit:write:${address}`)).trim().replace(/^:/, ''));
  assert.ok(left === -2 || (left > 0 && left <= 10000), `time to live: ${left}`);
});

exactly(servers, 'FRD-1 scripts lost, data flushed: still limited', async () => {
  await env.redis.command('SCRIPT FLUSH');
  const address = newAddress();
  const { allowed, seconds } = await askInTurn(30, (api) => signIn(api, address));
  assert.ok(allowed >= SIGN_IN_QUOTA && allowed <= SIGN_IN_QUOTA + seconds, `${allowed} were let through in ${seconds} s`);
});

test('FRD-1 a Redis that hangs holds nobody up; each server then limits by itself', async () => {
  await shared(servers());
  const before = await decisions(servers()[0], 'fallback');
  const address = newAddress();
  await env.redis.command('CLIENT PAUSE 1500 ALL');
  const { allowed, refused } = await askInTurn(40, (api) => signIn(api, address));
  assert.ok(allowed >= SIGN_IN_QUOTA && refused.length > 0, `${allowed} let through, ${refused.length} refused`);
  assert.ok(await decisions(servers()[0], 'fallback') > before);
});

test('FRD-1 Redis stopped in the middle: requests go on, limited locally; then shared again', async () => {
  await shared(servers());
  const address = newAddress();
  await signIn(servers()[0], address);
  const pending = Promise.all(Array.from({ length: 40 }, (_, i) => makeCart(servers()[i % 3], newAddress())));
  await env.redis.stop();
  for (const { status } of await pending) assert.strictEqual(status, 201);
  const { allowed, refused } = await askInTurn(40, (api) => signIn(api, address));
  assert.ok(allowed >= SIGN_IN_QUOTA && refused.length > 0, `${allowed} let through, ${refused.length} refused`);
  await env.redis.start();
  await shared(servers());
});


exactly(servers, 'FRD-1 one script call for each limited request, none for reads and for what is refused locally', async () => {
  const ann = await makePerson(env);
  const [api] = servers();
  const counted = async (count, ask) => {
    const before = await scriptCalls();
    for (let i = 0; i < count; i += 1) await ask();
    return await scriptCalls() - before;
  };
  const address = newAddress();
  const headers = { 'X-Forwarded-For': address };
  assert.strictEqual(await counted(10, () => makeCart(api, newAddress())), 10, 'strangers');
  assert.strictEqual(await counted(10, () => api.call('cart_create', { body: { currency: 'HKD' }, token: ann.token, headers, expect: 201 })), 10, 'customer and address');
  assert.strictEqual(await counted(10, () => signIn(api, address)), 10, 'address and account');
  assert.strictEqual(await counted(10, () => api.call('me_show', { token: ann.token, headers, expect: 200 })), 0, 'reads');
  const refused = newAddress();
  for (let i = 0; i < 15; i += 1) await signIn(api, refused);
  assert.ok(await counted(10, () => signIn(api, refused)) <= 1, 'what this server refuses by itself');
});

exactly(servers, 'FRD-1 FLS an office behind one address takes part in a flash sale; one buyer who hammers is stopped', async () => {
  const sale = await saleOf(env, { quantity: 500, perCustomer: 1 });
  const headers = { 'X-Forwarded-For': newAddress() };
  const people = await Promise.all(Array.from({ length: 12 }, () => makePerson(env, 'customer', { api: from(servers()[0], newAddress()) })));
  const tries = await Promise.all(people.flatMap((person) => Array.from({ length: 10 }, (_, i) => sale.buy(person, { client: servers()[i % 3], headers, key: `try-${i}` }))));
  assert.ok(tries.every(({ status }) => status !== 429), 'together they ask twice what one of them may');
  const hammered = await Promise.all(Array.from({ length: 120 }, (_, i) => sale.buy(people[0], { client: servers()[i % 3], headers, key: `more-${i}` })));
  const refused = hammered.filter(({ status }) => status === 429);
  assert.ok(refused.length >= 55, `${refused.length} of 120 were refused`);
  assert.match(refused[0].headers['ratelimit-policy'], /^"checkout";q=60;w=10$/);
});
