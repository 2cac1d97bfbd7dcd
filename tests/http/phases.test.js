'use strict';
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { EchoServer } = require('./echo');

let server;
before(async () => { server = await EchoServer.start({ limit_scale_percent: 0 }); });
after(() => server.stop());

test('request id: a well-formed one is taken over, another is replaced', async () => {
  assert.strictEqual((await server.get('/hello', { 'X-Request-Id': 'my-request:1.2_3' })).headers['x-request-id'], 'my-request:1.2_3');
  for (const bad of ['a b', 'x'.repeat(129), '"', '{}', '']) {
    const id = (await server.get('/hello', { 'X-Request-Id': bad })).headers['x-request-id'];
    assert.match(id, /^[0-9a-f]{32}$/);
  }
  const made = await Promise.all(Array.from({ length: 50 }, async () => (await server.get('/hello')).headers['x-request-id']));
  assert.strictEqual(new Set(made).size, 50);
  assert.deepStrictEqual([...new Set(made.join(''))].sort().join(''), '0123456789abcdef');
});

test('OPS-3 access log: one JSON line a request, with ids and trace, without query or address', async () => {
  const own = await EchoServer.start();
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
  await own.get('/big/10?secret=1', { 'X-Request-Id': 'log-1', traceparent: `00-${trace}-00f067aa0ba902b7-01`, 'X-Forwarded-For': '203.0.113.9' });
  await own.get('/hello', { 'X-Request-Id': 'log-2', traceparent: 'nonsense' });
  await own.get('/no"where\\', { 'X-Request-Id': 'log-3' });
  await own.stop();
  const lines = own.log.trim().split('\n').map((line) => JSON.parse(line)).filter((line) => line.message === 'request');
  const [big, hello, nowhere] = ['log-1', 'log-2', 'log-3'].map((id) => lines.find((line) => line.request_id === id));
  assert.strictEqual(big.path, '/big/{bytes}');
  assert.strictEqual(big.operation, 'big');
  assert.strictEqual(big.method, 'GET');
  assert.strictEqual(big.status, 200);
  assert.ok(big.bytes > 10 && big.duration_us >= 0);
  assert.match(big.traceparent, new RegExp(`^00-${trace}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`));
  assert.match(hello.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  assert.strictEqual(nowhere.status, 404);
  assert.doesNotMatch(own.log, /secret|203\.0\.113|127\.0\.0\.1/);
});

test('routes: 404, 405 with Allow, OPTIONS, as problem details', async () => {
  const missing = await server.get('/nowhere');
  assert.strictEqual(missing.status, 404);
  assert.deepStrictEqual(Object.keys(missing.json), ['type', 'title', 'status', 'code', 'detail', 'instance', 'request_id']);
  assert.strictEqual(missing.json.request_id, missing.headers['x-request-id']);
  assert.strictEqual(missing.json.instance, '/nowhere');
  const wrong = await server.request('DELETE', '/hello');
  assert.strictEqual(wrong.status, 405);
  assert.strictEqual(wrong.headers.allow, 'GET, HEAD, OPTIONS');
  const options = await server.request('OPTIONS', '/cached/1');
  assert.strictEqual(options.status, 204);
  assert.match(options.headers.allow, /GET, DELETE, HEAD, OPTIONS/);
  assert.strictEqual((await server.request('OPTIONS', '*')).status, 204);
  assert.strictEqual((await server.request('TRACE', '/hello')).status, 405);
});

test('ACC-2 roles: strangers are asked to sign in, others are refused', async () => {
  const stranger = await server.get('/customers');
  assert.strictEqual(stranger.status, 401);
  assert.strictEqual(stranger.headers['www-authenticate'], 'Bearer');
  assert.strictEqual((await server.get('/customers', { Authorization: 'Bearer admin' })).status, 403);
  const customer = await server.get('/customers', { Authorization: 'Bearer customer' });
  assert.strictEqual(customer.json.role, 1);
  assert.strictEqual((await server.get('/customers', { Authorization: 'Bearer forged' })).status, 401);
  assert.strictEqual((await server.get('/about', { Authorization: 'Bearer forged' })).status, 401, 'also where nobody has to sign in');
  assert.strictEqual((await server.get('/about', { Authorization: 'Basic eDp5' })).json.role, 0);
});

test('a fault of ours says nothing of the inside to the client, and all to the log', async () => {
  const own = await EchoServer.start();
  const answer = await own.get('/failing', { 'X-Request-Id': 'fault-1' });
  await own.stop();
  assert.strictEqual(answer.status, 500);
  assert.doesNotMatch(answer.body, /secret/);
  assert.strictEqual(answer.headers['x-leftover'], undefined);
  const line = own.log.split('\n').filter(Boolean).map((text) => JSON.parse(text)).find((entry) => entry.message === 'request failed');
  assert.strictEqual(line.request_id, 'fault-1');
  assert.match(line.detail, /a secret of the inside/);
});

test('decoding: faults are listed by field; the wrong content type is 415', async () => {
  const answer = await server.get('/hello?bad=1');
  assert.strictEqual(answer.status, 400);
  assert.deepStrictEqual(answer.json.errors, [{ field: 'bad', reason: 'must not be 1' }]);
  assert.strictEqual((await server.request('POST', '/json', { 'Content-Type': 'text/plain' }, '{}')).status, 415);
  assert.strictEqual((await server.request('POST', '/json', {}, '{}')).status, 415);
  const typed = (type) => server.request('POST', '/json', { 'Content-Type': type }, '{}');
  for (const charset of ['utf-16', 'UTF-16LE', 'iso-8859-1', '"utf-32"', 'utf-8; charset=utf-16', '']) {
    const answer = await typed(`application/json; charset=${charset}`);
    assert.strictEqual(answer.status, 415, charset);
    assert.match(answer.text ?? JSON.stringify(answer.body), /UTF-8/);
  }
  for (const charset of ['utf-8', 'UTF-8', '"utf-8"', 'utf-8; profile=x']) assert.notStrictEqual((await typed(`application/json; charset=${charset}`)).status, 415, charset);
  assert.strictEqual((await server.request('POST', '/json', { 'Content-Type': 'Application/JSON; charset=utf-8' }, '{}')).body, '{}');
  assert.strictEqual((await server.request('POST', '/json', { 'Content-Type': 'application/json' }, 'x'.repeat(1001))).status, 413);
});

test('CHK-3 Idempotency-Key: missing, too long, taken', async () => {
  assert.strictEqual((await server.request('POST', '/keyed')).json.code, 'idempotency_key_missing');
  const long = await server.request('POST', '/keyed', { 'Idempotency-Key': 'x'.repeat(256) });
  assert.strictEqual(long.status, 400);
  assert.strictEqual(long.json.errors[0].field, 'Idempotency-Key');
  assert.strictEqual((await server.request('POST', '/keyed', { 'Idempotency-Key': 'x'.repeat(255) })).json.key.length, 255);
});

test('security headers on every answer, good or bad', async () => {
  for (const answer of [await server.get('/hello'), await server.get('/cached/safe'), await server.get('/cached/safe'), await server.get('/nowhere'), await server.get('/customers'), await server.raw('nonsense\r\n\r\n')]) {
    assert.strictEqual(answer.headers['x-content-type-options'], 'nosniff');
    assert.strictEqual(answer.headers['x-frame-options'], 'DENY');
    assert.strictEqual(answer.headers['referrer-policy'], 'no-referrer');
    assert.match(answer.headers['content-security-policy'], /default-src 'none'; frame-ancestors 'none'/);
    assert.match(answer.headers['permissions-policy'], /camera=\(\)/);
    assert.ok(answer.headers['cache-control']);
    assert.match(answer.headers.date, /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
    assert.strictEqual(answer.headers['strict-transport-security'], undefined);
  }
  assert.strictEqual((await server.get('/hello')).headers['cache-control'], 'no-store');
  const secure = await EchoServer.start({ public_url: 'https://shop.example' });
  assert.match((await secure.get('/hello')).headers['strict-transport-security'], /max-age=\d+/);
  await secure.stop();
});

test('the client behind trusted proxies', async () => {
  const address = async (headers) => (await server.get('/about', headers)).json.address;
  assert.strictEqual(await address({}), '127.0.0.1');
  assert.strictEqual(await address({ 'X-Forwarded-For': '203.0.113.9' }), '203.0.113.9');
  assert.strictEqual(await address({ 'X-Forwarded-For': '198.51.100.1, 203.0.113.9, 127.0.0.5' }), '203.0.113.9', 'what the client itself claims is not believed');
  assert.strictEqual(await address({ 'X-Forwarded-For': '2001:db8::1' }), '2001:db8::1');
  assert.strictEqual(await address({ 'X-Forwarded-For': '[2001:db8::1]:4711' }), '2001:db8::1');
  assert.strictEqual(await address({ 'X-Forwarded-For': '203.0.113.9:4711' }), '203.0.113.9');
  assert.strictEqual(await address({ 'X-Forwarded-For': 'nonsense' }), '127.0.0.1');
  const twice = await server.raw('GET /about HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n');
  assert.strictEqual(twice.json.address, '203.0.113.9');
  const open = await EchoServer.start({ trusted_proxies: '' });
  assert.strictEqual((await open.get('/about', { 'X-Forwarded-For': '203.0.113.9' })).json.address, '127.0.0.1');
  await open.stop();
  await assert.rejects(EchoServer.start({ trusted_proxies: '10.0.0.0/99' }), /not a network/);
});

test('clients that take turns on one connection of a proxy are each taken for who they are', async () => {
  const connection = server.connect();
  const long = `198.51.100.1, ${'203.0.113.7, '.repeat(8)}203.0.113.9`;
  const asked = [['203.0.113.9', '203.0.113.9'], ['203.0.113.9', '203.0.113.9'], [null, '127.0.0.1'], ['203.0.113.8', '203.0.113.8'], [long, '203.0.113.9'],
    [null, '127.0.0.1'], ['', '127.0.0.1'], ['203.0.113.80', '203.0.113.80'], ['203.0.113.8', '203.0.113.8'], ['nonsense', '127.0.0.1'], [long, '203.0.113.9']];
  const fields = (text) => (text === null ? '' : `X-Forwarded-For: ${text}\r\n`);
  await connection.send(asked.map(([text]) => `GET /about HTTP/1.1\r\nHost: shop\r\n${fields(text)}\r\n`).join(''));
  for (const [text, address] of asked) assert.strictEqual((await connection.answer()).json.address, address, `X-Forwarded-For: ${text}`);
  connection.end();
});

test('FRD-1 networks that are exempt from the quota of an address keep those of each class, one for each address', async () => {
  const own = await EchoServer.start({ limit_sign_in: 2, limit_exempt: '203.0.113.0/24' });
  const ask = (client) => own.get('/limited', { 'X-Forwarded-For': client });
  for (let i = 0, refused = false; !refused; i++) {
    assert.ok(i < 60, 'the quota of the class ends');
    refused = (await ask('203.0.113.1')).status === 429;
  }
  assert.strictEqual((await ask('203.0.113.2')).status, 200, 'another address has its own');
  await own.stop();
});

test('FRD-1 rate limits: told in headers, refused with Retry-After, apart by customer and address', async () => {
  const own = await EchoServer.start();
  const first = await own.get('/limited');
  assert.strictEqual(first.headers['ratelimit-policy'], '"sign-in";q=10;w=10');
  assert.match(first.headers.ratelimit, /^"sign-in";r=9;t=\d+$/);
  let refused;
  for (let i = 0; i < 12 && !refused; i++) {
    const answer = await own.get('/limited');
    if (answer.status === 429) refused = answer;
  }
  assert.ok(refused, 'the quota ends');
  assert.strictEqual(refused.json.code, 'rate_limited');
  assert.match(refused.headers['retry-after'], /^[1-9]\d*$/);
  assert.match(refused.headers.ratelimit, /r=0/);
  assert.strictEqual((await own.get('/limited', { Authorization: 'Bearer customer' })).status, 200);
  assert.strictEqual((await own.get('/limited', { 'X-Forwarded-For': '203.0.113.9' })).status, 200);
  assert.strictEqual((await own.get('/hello')).status, 200, 'another class, another quota');
  await own.stop();
  const off = await EchoServer.start({ limit_scale_percent: 0 });
  for (let i = 0; i < 30; i++) assert.strictEqual((await off.get('/limited')).status, 200);
  await off.stop();
});

test('CCH-1 a cached answer: computed once, ETag, 304, by language and query', async () => {
  const first = await server.get('/cached/a?x=1&y=2');
  assert.strictEqual(first.headers['cache-control'], 'no-cache');
  assert.strictEqual(first.headers.vary, 'Accept-Language');
  const again = await server.get('/cached/a?y=2&x=1');
  assert.strictEqual(again.body, first.body, 'the order of parameters does not matter');
  assert.strictEqual(again.headers.etag, first.headers.etag);
  assert.notStrictEqual((await server.get('/cached/a?x=2')).body, first.body);
  const chinese = await server.get('/cached/a?x=1&y=2', { 'Accept-Language': 'zh-Hant-HK,zh;q=0.9,en;q=0.8' });
  assert.strictEqual(chinese.json.language, 'zh');
  assert.strictEqual((await server.get('/cached/a?x=1&y=2', { 'Accept-Language': 'en-GB,zh;q=0.5' })).body, first.body);
  for (const etag of [first.headers.etag, `W/${first.headers.etag}`, `"other", ${first.headers.etag}`, '*']) {
    const unchanged = await server.get('/cached/a?x=1&y=2', { 'If-None-Match': etag });
    assert.strictEqual(unchanged.status, 304, etag);
    assert.strictEqual(unchanged.body, '');
    assert.strictEqual(unchanged.headers.etag, first.headers.etag);
    assert.strictEqual(unchanged.headers['content-length'], undefined);
  }
  assert.strictEqual((await server.get('/cached/a?x=1&y=2', { 'If-None-Match': '"other"' })).status, 200);
  const fresh = await server.get('/cached/fresh', { 'If-None-Match': '*' });
  assert.strictEqual(fresh.status, 304, 'also when the answer had to be computed');
  assert.strictEqual((await server.get('/cached/fresh')).status, 200, 'and what is kept has its body');
});

test('CCH-1 an answer does not depend on who asked first', async () => {
  const as = await server.get('/cached/who', { Authorization: 'Bearer admin' });
  assert.strictEqual((await server.get('/cached/who')).body, as.body);
});

test('CCH-2 invalidation drops the answers of that thing and no other', async () => {
  const a = await server.get('/cached/inv-a'), b = await server.get('/cached/inv-b'), query = await server.get('/cached/inv-a?x=1');
  assert.strictEqual((await server.request('DELETE', '/cached/inv-a')).status, 204);
  assert.notStrictEqual((await server.get('/cached/inv-a')).body, a.body);
  assert.notStrictEqual((await server.get('/cached/inv-a?x=1')).body, query.body);
  assert.strictEqual((await server.get('/cached/inv-b')).body, b.body);
});

test('CCH-2 an answer whose thing changes while it is computed is not kept', async () => {
  const computing = server.get('/cached/race?slow=1');
  await new Promise((resolve) => setTimeout(resolve, 20));
  await server.request('DELETE', '/cached/race');
  const old = await computing;
  assert.notStrictEqual((await server.get('/cached/race?slow=1')).body, old.body);
});

test('CCH-3 one computation answers all who wait', async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => server.get('/cached/herd?slow=1')));
  assert.strictEqual(new Set(answers.map((answer) => answer.body)).size, 1);
  assert.ok(answers.every((answer) => answer.status === 200));
  assert.strictEqual(new Set(answers.map((answer) => answer.headers['x-request-id'])).size, 50);
});

test('CCH-3 a failed computation is not kept, and nobody waits for ever', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => server.get('/cached/missing')));
  assert.ok(answers.every((answer) => answer.status === 404));
  assert.strictEqual(new Set(answers.map((answer) => answer.json.request_id)).size, 20);
});

test('the cache can be switched off', async () => {
  const off = await EchoServer.start({ cache_entries: 0 });
  const first = await off.get('/cached/a');
  assert.notStrictEqual((await off.get('/cached/a')).body, first.body);
  await off.stop();
});

test('OPS-3 /metrics is valid Prometheus text and counts', async () => {
  const before = await server.metric('cathay_http_request_duration_seconds_count{operation="hello",status="2xx"}');
  await server.get('/hello');
  assert.strictEqual(await server.metric('cathay_http_request_duration_seconds_count{operation="hello",status="2xx"}'), before + 1);
  const { body, headers } = await server.get('/metrics');
  assert.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
  const seen = new Set();
  for (const line of body.trimEnd().split('\n')) {
    if (line.startsWith('#')) {
      const [, kind, name] = /^# (HELP|TYPE) (cathay_\w+) .+/.exec(line) ?? assert.fail(line);
      assert.ok(!seen.has(kind + name), `${name} is introduced once`);
      seen.add(kind + name);
    } else {
      assert.match(line, /^cathay_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?\d+(\.\d+)?$/);
    }
  }
  for (const name of ['cathay_http_connections', 'cathay_http_queue_depth', 'cathay_cache_hits_total', 'cathay_cache_misses_total', 'cathay_process_resident_bytes'])
    assert.ok(seen.has(`TYPE${name}`), name);
});

test('OPS-4 a server that needs no database is ready', async () => {
  assert.strictEqual((await server.get('/readyz')).json.status, 'ready');
});
