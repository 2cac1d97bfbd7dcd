'use strict';
// One client must not starve the others: turns by connection, one quota by address, a budget for bodies, bounded logs.
const { test, after } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { EchoServer } = require('./echo');

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'fairness-'));
after(() => fs.rmSync(folder, { recursive: true }));

const get = (target, fields = '') => `GET ${target} HTTP/1.1\r\nHost: shop\r\n${fields}\r\n`;

async function until(ready, what) {
  for (const deadline = Date.now() + 30000; ;) {
    const value = await ready();
    if (value) return value;
    if (Date.now() > deadline) assert.fail(`waited in vain for ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

const linesOf = (text) => text.split('\n').filter(Boolean).map((line) => JSON.parse(line));

async function answersOf(connection, count) {
  const answers = [];
  for (let i = 0; i < count; i++) answers.push(await connection.answer());
  return answers;
}

/** Whether all that the connection has sent is the kernel's, which on loopback is with the server at once. */
const handedOver = ({ socket }) => socket.writableLength === 0;

/** How much of what the connection has sent lies in the kernel before the server. */
function unreadBytes({ socket }) {
  const port = (address) => parseInt(address.split(':')[1], 16);
  const line = fs.readFileSync('/proc/net/tcp', 'utf8').split('\n').map((text) => text.trim().split(/\s+/))
    .find(([, local, remote]) => remote && port(local) === socket.remotePort && port(remote) === socket.localPort);
  return line ? parseInt(line[4].split(':')[1], 16) : 0;
}

test('OPS-3 a connection that pipelines without end waits for the others after each few requests', async () => {
  const server = await EchoServer.start({ limit_scale_percent: 0, log_bytes_per_s: 0 });
  const [flooder, shopper] = [server.connect(), server.connect()];
  await flooder.send(get('/hello'));
  await flooder.answer();
  await shopper.send(get('/hello'));
  await shopper.answer();
  server.child.kill('SIGSTOP'); // so that both have sent before it looks
  flooder.send(get('/hello', 'X-Request-Id: flood\r\n').repeat(1000));
  await until(() => handedOver(flooder) || unreadBytes(flooder) > 16000, 'the kernel to hold what the one has sent');
  await shopper.send(get('/hello', 'X-Request-Id: shopper\r\n'));
  await until(() => handedOver(shopper) || unreadBytes(shopper) > 0, 'the kernel to hold what the other has sent');
  server.child.kill('SIGCONT');
  await shopper.answer();
  assert.strictEqual((await answersOf(flooder, 1000)).filter(({ status }) => status === 200).length, 1000, 'and all of its requests are answered');
  flooder.end();
  shopper.end();
  await server.stop();
  const order = linesOf(server.log).filter(({ message }) => message === 'request').map(({ request_id: id }) => id).filter((id) => /flood|shopper/.test(id));
  assert.strictEqual(order.length, 1001);
  assert.ok(order.indexOf('shopper') <= 64, `${order.indexOf('shopper')} requests of the other came first`);
});

test('a peer that has closed its half gets all the answers that it has asked for, over many turns', async () => {
  const server = await EchoServer.start({ limit_scale_percent: 0 });
  const connection = server.connect();
  await connection.send(get('/hello').repeat(300));
  connection.socket.end();
  assert.strictEqual((await answersOf(connection, 300)).filter((answer) => answer?.status === 200).length, 300);
  assert.strictEqual(await connection.answer(), null);
  await server.stop();
});

test('a large body comes through in many turns while others are answered', async () => {
  const server = await EchoServer.start({ limit_scale_percent: 0 });
  const connection = server.connect();
  const body = 'x'.repeat(60000);
  for (let i = 0; i < 10; i++) connection.send(`POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  assert.strictEqual((await server.get('/hello')).status, 200);
  for (const answer of await answersOf(connection, 10)) assert.strictEqual(answer.body.length, body.length);
  connection.end();
  await server.stop();
});

test('FRD-1 one quota of an address holds for everything: cached answers, 404s, what is malformed, bodies', async () => {
  const server = await EchoServer.start({ limit_address: 6, limit_exempt: '203.0.113.0/24' });
  const ask = {
    cached: get('/cached/quota'),
    missing: get('/nowhere'),
    options: 'OPTIONS * HTTP/1.1\r\nHost: shop\r\n\r\n',
    body: 'POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nbody',
  };
  let from = 0;
  for (const [name, bytes] of Object.entries(ask)) {
    const client = `X-Forwarded-For: 198.51.100.${from += 1}\r\n`;
    const connection = server.connect();
    await connection.send(bytes.replace('Host: shop\r\n', `Host: shop\r\n${client}`).repeat(60));
    const answers = await answersOf(connection, 60);
    const refused = answers.find(({ status }) => status === 429);
    assert.ok(answers.slice(0, 6).every(({ status }) => status !== 429), `${name}: the quota may be used at once`);
    assert.ok(refused, `${name}: the quota ends`);
    assert.strictEqual(refused.json.code, 'rate_limited');
    assert.match(refused.json.detail, /from one address/);
    assert.match(refused.headers['retry-after'], /^[1-9]\d*$/);
    assert.strictEqual(refused.headers['ratelimit-policy'], '"address";q=6;w=10');
    assert.match(refused.headers.ratelimit, /^"address";r=0;t=\d+$/);
    connection.end();
  }
  const malformed = await Promise.all(Array.from({ length: 60 }, () => server.raw('nonsense\r\n\r\n')));
  assert.deepStrictEqual([...new Set(malformed.map(({ status }) => status))].sort(), [400, 429]);
  const known = server.connect();
  await known.send(get('/nowhere', 'X-Forwarded-For: 203.0.113.9\r\n').repeat(60));
  assert.ok((await answersOf(known, 60)).every(({ status }) => status === 404), 'networks that are exempt are not counted');
  known.end();
  assert.strictEqual((await server.get('/hello', { 'X-Forwarded-For': '198.51.100.200' })).status, 200, 'another address has its own');
  await server.stop();
});

test('FRD-1 a HEAD request beyond the quota has no body, and the connection goes on', async () => {
  const server = await EchoServer.start({ limit_address: 1 });
  const connection = server.connect();
  await connection.send(get('/hello') + 'HEAD /hello HTTP/1.1\r\nHost: shop\r\n\r\n' + get('/hello'));
  const statuses = [(await connection.answer()).status, (await connection.answer('HEAD')).status, (await connection.answer()).status];
  assert.deepStrictEqual(statuses, [200, 429, 429]);
  connection.end();
  await server.stop();
});

test('unfinished bodies of all connections together keep within a budget; the oldest make room', async () => {
  const budget = 1048576;
  const server = await EchoServer.start({ limit_scale_percent: 0, body_budget_bytes: budget, body_timeout_ms: 600000 });
  const head = 'POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Length: 60000\r\n\r\n';
  const slow = [];
  for (let i = 0; i < 60; i++) {
    const connection = server.connect();
    slow.push(connection);
    await connection.send(head + 'x'.repeat(40000));
  }
  await until(async () => (await server.metric('cathay_http_bodies_refused_total')) >= 60 - budget / 65536, 'bodies to be refused');
  assert.ok(await server.metric('cathay_http_body_bytes') <= budget);
  const refused = await slow[0].answer();
  assert.strictEqual(refused.status, 503);
  assert.strictEqual(refused.json.code, 'overloaded');
  assert.match(refused.headers['retry-after'], /^[1-9]\d*$/);
  assert.strictEqual(refused.headers.connection, 'close');
  const whole = await server.request('POST', '/echo', {}, 'y'.repeat(60000));
  assert.strictEqual(whole.status, 200, 'who sends without pausing is served');
  assert.strictEqual(whole.body.length, 60000);
  for (const connection of slow) connection.end();
  await until(async () => (await server.metric('cathay_http_body_bytes')) === 0, 'the memory to be given back');
  await server.stop();
});

test('a head that announces a large body takes no memory for it', async () => {
  const server = await EchoServer.start({ limit_scale_percent: 0 });
  const waiting = Array.from({ length: 50 }, () => server.connect());
  for (const connection of waiting) await connection.send('POST /echo HTTP/1.1\r\nHost: shop\r\nContent-Length: 60000\r\n\r\nx');
  await until(async () => (await server.metric('cathay_http_body_bytes')) > 0, 'the first bytes');
  assert.ok(await server.metric('cathay_http_body_bytes') <= 50 * 8192);
  for (const connection of waiting) connection.end();
  await server.stop();
});

test('OPS-3 the log takes so much in a second, and says how many lines it did not write', async () => {
  const server = await EchoServer.start({ limit_scale_percent: 0, log_bytes_per_s: 4096 });
  const connection = server.connect();
  const count = 4000;
  for (let i = 0; i < count / 100; i++) {
    await connection.send(get('/hello').repeat(100));
    await answersOf(connection, 100);
  }
  connection.end();
  await server.stop();
  const lines = linesOf(server.log);
  const written = lines.filter(({ message }) => message === 'request').length;
  const told = lines.filter(({ message }) => message === 'log lines not written').reduce((sum, line) => sum + line.count, 0);
  assert.ok(told > 0, 'it was too much');
  assert.strictEqual(written + told, count);
});

test('OPS-3 a log file is full at its size, some are kept, and one that was moved away begins anew', async () => {
  const file = path.join(folder, 'log');
  const server = await EchoServer.start({ limit_scale_percent: 0, log_bytes_per_s: 0, log_file: file, log_file_bytes: 100000, log_files: 2 });
  const connection = server.connect();
  for (let i = 0; i < 30; i++) {
    await connection.send(get('/hello').repeat(100));
    await answersOf(connection, 100);
  }
  await until(() => fs.existsSync(`${file}.2`), 'the second full file');
  assert.deepStrictEqual(fs.readdirSync(folder).sort(), ['log', 'log.1', 'log.2']);
  for (const name of fs.readdirSync(folder)) {
    assert.ok(fs.statSync(path.join(folder, name)).size <= 100000, name);
    linesOf(fs.readFileSync(path.join(folder, name), 'utf8')); // whole lines only
  }
  fs.renameSync(file, path.join(folder, 'moved'));
  await until(async () => { await connection.send(get('/hello')); await connection.answer(); return fs.existsSync(file); }, 'a new file');
  connection.end();
  await server.stop();
});

test('OPS-3 a line of the log is bounded, and says that it was cut', async () => {
  const server = await EchoServer.start();
  await server.get(`/${'a'.repeat(3000)}`, { 'X-Request-Id': 'long' });
  await server.stop();
  const line = linesOf(server.log).find(({ request_id: id }) => id === 'long');
  assert.strictEqual(line.path.length, 200);
  assert.strictEqual(line.cut, 'path');
});

test('OPS-3 /metrics is for the networks that the operator names', async () => {
  const server = await EchoServer.start({ metrics_networks: '127.0.0.0/8, 10.0.0.0/8' });
  const status = async (from) => (await server.get('/metrics', from ? { 'X-Forwarded-For': from } : {})).status;
  assert.strictEqual(await status(), 200);
  assert.strictEqual(await status('10.1.2.3'), 200);
  assert.strictEqual(await status('203.0.113.9'), 403);
  await server.stop();
  const closed = await EchoServer.start({ metrics_networks: '' });
  assert.strictEqual((await closed.get('/metrics')).status, 403);
  await closed.stop();
});
