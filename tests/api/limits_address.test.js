'use strict';
// Quotas that several share: the customers of an address, and all who try to sign in to one account. Three servers, one Redis.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop, makePerson } = require('../harness');
const { newAddress, shared, exactly } = require('../harness/limits');

const WRITES = 20; // in 10 s of a customer
const TIMES = 2;
const ATTEMPTS = 5; // in 15 minutes
const env = shop({ roles: ['serve', 'serve:2', 'serve:3'], settings: { limit_scale_percent: 100, trusted_proxies: '127.0.0.1, ::1',
  limit_write: WRITES, limit_address_times: TIMES, limit_account_attempts: ATTEMPTS, limit_sign_in: 50 } });
const servers = () => ['serve', 'serve:2', 'serve:3'].map((name) => env.client(name));

let last = 0;
const newName = () => `nobody.${last += 1}@cathay.example`;
const makeCart = (api, token, address) => api.call('cart_create', { body: { currency: 'HKD' }, token, headers: { 'X-Forwarded-For': address }, expect: [201, 429] });
const signIn = (api, email, address, password = 'not the password') => api.call('session_sign_in', {
  body: { email, password }, headers: { 'X-Forwarded-For': address }, expect: [200, 401, 429] });

/** In turn on all servers: {allowed, refused: answers, seconds}. */
async function inTurn(count, ask) {
  const began = Date.now();
  const answers = [];
  for (let i = 0; i < count; i += 1) answers.push(await ask(servers()[i % 3], i));
  const refused = answers.filter(({ status }) => status === 429);
  return { answers, refused, allowed: count - refused.length, seconds: Math.ceil((Date.now() - began) / 1000) };
}

async function bots(count) {
  const people = [];
  for (let i = 0; i < count; i += 1) people.push(await makePerson(env));
  return people;
}

exactly(servers, 'FRD-1 many tokens from one address share its quota; each has hers elsewhere', async () => {
  const people = await bots(5);
  const address = newAddress();
  const { refused, allowed, seconds } = await inTurn(5 * WRITES, (api, i) => makeCart(api, people[i % 5].token, address));
  assert.ok(allowed >= TIMES * WRITES && allowed <= TIMES * WRITES + seconds * TIMES * WRITES / 10, `${allowed} were let through in ${seconds} s`);
  const [{ headers, body }] = refused;
  assert.strictEqual(body.code, 'rate_limited');
  assert.strictEqual(headers['ratelimit-policy'], `"write-address";q=${TIMES * WRITES};w=10`);
  assert.match(headers.ratelimit, /^"write-address";r=0;t=\d+$/);
  assert.match(headers['retry-after'], /^[1-9]\d*$/);
  const elsewhere = await makeCart(servers()[0], people[0].token, newAddress());
  assert.strictEqual(elsewhere.status, 201, 'what the address refused was not taken from hers');
  assert.match(elsewhere.headers['ratelimit-policy'], /^"write";/);
  assert.strictEqual((await makeCart(servers()[0], undefined, address)).status, 201, 'strangers of the address have their own');
});

exactly(servers, 'FRD-1 the strictest limit is told', async () => {
  const people = await bots(2);
  const address = newAddress();
  for (let i = 0; i < WRITES - 2; i += 1) await makeCart(servers()[i % 3], people[0].token, address);
  const near = await makeCart(servers()[0], people[0].token, address);
  assert.match(near.headers.ratelimit, /^"write";r=[0-9];/, 'hers is nearly used');
  for (let i = 0; i < WRITES; i += 1) await makeCart(servers()[i % 3], people[1].token, address);
  const third = await makeCart(servers()[0], (await bots(1))[0].token, address);
  assert.match(third.headers['ratelimit-policy'], /^"write-address";/, 'hers is whole, the address\'s is not');
});

test('FRD-1 a private answer from the cache is limited and says so', async () => {
  const [person] = await bots(1);
  const left = [];
  for (let i = 0; i < 3; i += 1) {
    const { headers } = await servers()[0].call('loyalty_show', { token: person.token, headers: { 'X-Forwarded-For': newAddress() }, expect: 200 });
    const [, quota] = /^"read";q=(\d+);w=10$/.exec(headers['ratelimit-policy']);
    left.push(Number(quota) - Number(/r=(\d+)/.exec(headers.ratelimit)[1]));
  }
  assert.ok(left.every((taken) => taken > 0), `${left} were taken from the quota`); // how many depends on how fast they follow each other
});

exactly(servers, 'FRD-1 an IPv6 network of one customer is one address', async () => {
  const own = `2001:db8:${(last += 1).toString(16)}:1`;
  const { allowed, seconds } = await inTurn(2 * WRITES, (api, i) => makeCart(api, undefined, `${own}::${(i + 1).toString(16)}`));
  assert.ok(allowed >= WRITES && allowed <= WRITES + seconds * WRITES / 10, `${allowed} were let through in ${seconds} s`);
  assert.strictEqual((await makeCart(servers()[0], undefined, `2001:db8:${last.toString(16)}:2::1`)).status, 201, 'the next network is somebody else');
});

exactly(servers, 'FRD-1 ACC guesses at one account from many addresses meet in one quota; its owner still gets in', async () => {
  const owner = await makePerson(env);
  const home = newAddress();
  assert.strictEqual((await signIn(servers()[0], owner.email, home, owner.password)).status, 200);
  const { refused, allowed, answers } = await inTurn(30, (api) => signIn(api, owner.email, newAddress()));
  assert.ok(allowed >= ATTEMPTS - 1 && allowed <= ATTEMPTS, `${allowed} guesses were let through`);
  assert.ok(answers.every(({ status }) => status !== 200));
  const [{ headers }] = refused;
  assert.strictEqual(headers['ratelimit-policy'], `"sign-in-account";q=${ATTEMPTS};w=900`);
  assert.match(headers['retry-after'], /^[1-9]\d*$/);
  for (const spelled of [owner.email.toUpperCase(), ` ${owner.email} `]) assert.strictEqual((await signIn(servers()[1], spelled, newAddress())).status, 429, 'however it is spelled');
  for (const api of servers()) assert.strictEqual((await signIn(api, owner.email, home, owner.password)).status, 200, 'from where she has signed in before');
  const guests = await inTurn(2 * ATTEMPTS, (api) => signIn(api, owner.email, home));
  assert.ok(guests.refused.length > 0, 'guesses from her own address are limited as well');
  assert.strictEqual((await signIn(servers()[2], newName(), newAddress())).status, 401, 'other accounts are not touched');
});

exactly(servers, 'FRD-1 who is signed in and signs in is bound by her quota, her address\'s and the account\'s', async () => {
  const person = await makePerson(env);
  const email = newName();
  const again = (api, password) => api.call('session_sign_in', { body: { email, password }, token: person.token,
    headers: { 'X-Forwarded-For': newAddress() }, expect: [200, 401, 429] });
  const { refused, allowed } = await inTurn(3 * ATTEMPTS, (api) => again(api, 'not the password'));
  assert.strictEqual(allowed, ATTEMPTS);
  assert.match(refused[0].headers['ratelimit-policy'], /^"sign-in-account";/);
});

exactly(servers, 'FRD-1 SEC guesses of the current password count against the account, from every address and in every session', async () => {
  const owner = await makePerson(env);
  const other = await makePerson(env);
  const change = (api, person, current, token = person.token) => api.call('me_password_set', { token, headers: { 'X-Forwarded-For': newAddress() },
    body: { current_password: current, new_password: 'quite another long one' }, expect: [204, 401, 429] });
  const session = (await signIn(servers()[0], owner.email, newAddress(), owner.password)).body.access_token;
  const { refused, allowed } = await inTurn(3 * ATTEMPTS, (api, i) => change(api, owner, `a guess ${i}`, i % 2 ? session : owner.token));
  assert.strictEqual(allowed, ATTEMPTS);
  assert.strictEqual(refused[0].headers['ratelimit-policy'], `"sign-in-account";q=${ATTEMPTS};w=900`);
  assert.strictEqual((await change(servers()[0], owner, owner.password)).status, 429, 'not even the right one, so that it is not told');
  assert.strictEqual((await change(servers()[1], other, other.password)).status, 204, 'other accounts are not touched');
});

exactly(servers, 'FRD-1 SEC an account that is not there is limited alike', async () => {
  const email = newName();
  const { refused, allowed } = await inTurn(3 * ATTEMPTS, (api) => signIn(api, email, newAddress()));
  assert.strictEqual(allowed, ATTEMPTS);
  assert.match(refused[0].headers['ratelimit-policy'], /^"sign-in-account";/);
});

exactly(servers, 'SEC Redis holds no names of accounts', async () => {
  const owner = await makePerson(env);
  await signIn(servers()[0], owner.email, newAddress(), owner.password);
  await signIn(servers()[0], owner.email, newAddress());
  const keys = String(await env.redis.command('KEYS *'));
  assert.match(keys, /limit:sign-in-account:[0-9a-f]{32}/);
  assert.match(keys, /limit:known:[0-9a-f]{32}/);
  assert.ok(!keys.includes('@') && !keys.includes(owner.email.split('@')[0]));
});

test('FRD-1 Redis killed in the middle: accounts and addresses go on being limited by each server', async () => {
  await shared(servers());
  const people = await bots(5);
  const [api] = servers();
  const [address, email] = [newAddress(), 'attacked@cathay.example'];
  for (let i = 0; i < ATTEMPTS; i += 1) await signIn(api, email, newAddress());
  // However slowly they come: until the quota is used up.
  for (let i = 0; (await makeCart(api, people[i % 5].token, address)).status === 201; i += 1) assert.ok(i < 50 * TIMES * WRITES, 'nothing is refused');
  const began = Date.now();
  await env.redis.stop();
  const carts = [];
  for (let i = 0; i < 20; i += 1) carts.push(await makeCart(api, people[i % 5].token, address));
  const passed = carts.filter(({ status }) => status === 201).length;
  assert.ok(passed <= 2 + Math.ceil((Date.now() - began) / 1000 + 1) * TIMES * WRITES / 10, `${passed} of 20 were let through: the local one had counted all along`);
  const guesses = [];
  for (let i = 0; i < 10; i += 1) guesses.push(await signIn(api, email, newAddress()));
  assert.ok(guesses.every(({ status }) => status === 429), 'and had the account\'s');
  await env.redis.start();
  await shared(servers());
});
