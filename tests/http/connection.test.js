'use strict';
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { EchoServer } = require('./echo');

let server;
before(async () => { server = await EchoServer.start(); });
after(() => server.stop());

const H = 'Host: shop\r\n';
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test('keep-alive: many requests on one connection', async () => {
  const connection = server.connect();
  for (let i = 0; i < 50; i++) {
    await connection.send(`GET ${['/hello', '/work', '/later', '/cached/keep'][i % 4]} HTTP/1.1\r\n${H}\r\n`);
    assert.strictEqual((await connection.answer()).status, 200);
  }
  connection.end();
});

test('pipelining: answers come in the order of the requests, whatever runs them', async () => {
  const connection = server.connect();
  const targets = [];
  for (let i = 0; i < 40; i++) targets.push([`/big/${i + 1}`, `/cached/${i}`, '/hello', '/slow/3', '/later'][i % 5]);
  await connection.send(targets.map((target) => `GET ${target} HTTP/1.1\r\n${H}X-Request-Id: r-${target.replaceAll('/', '.')}\r\n\r\n`).join(''));
  for (const target of targets) {
    const answer = await connection.answer();
    assert.strictEqual(answer.status, 200);
    assert.strictEqual(answer.headers['x-request-id'], `r-${target.replaceAll('/', '.')}`);
    if (target.startsWith('/big/')) assert.strictEqual(answer.body.length, Number(target.slice(5)));
  }
  connection.end();
});

test('pipelining: bodies and requests mixed, arriving in odd pieces', async () => {
  const requests = [];
  for (let i = 0; i < 30; i++) {
    const body = `body ${i} `.repeat(i + 1);
    requests.push(i % 2
      ? `POST /echo HTTP/1.1\r\n${H}Content-Length: ${body.length}\r\n\r\n${body}`
      : `POST /echo HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n${[...body.matchAll(/.{1,17}/gs)].map(([part]) => `${part.length.toString(16)};x=1\r\n${part}\r\n`).join('')}0\r\nTrailer: x\r\n\r\n`);
  }
  const bytes = requests.join('');
  for (const size of [1, 7, 1000, bytes.length]) {
    const connection = server.connect();
    (async () => { for (let at = 0; at < bytes.length; at += size) await connection.send(bytes.slice(at, at + size)); })();
    for (let i = 0; i < 30; i++) assert.strictEqual((await connection.answer()).body, `body ${i} `.repeat(i + 1));
    connection.end();
  }
});

test('pipelining: much input waits while a request is answered', async () => {
  const connection = server.connect();
  const filler = `GET /hello HTTP/1.1\r\n${H}X-Filler: ${'x'.repeat(8000)}\r\n\r\n`;
  connection.send(`GET /slow/100 HTTP/1.1\r\n${H}\r\n${filler.repeat(60)}`);
  for (let i = 0; i < 61; i++) assert.strictEqual((await connection.answer()).status, 200);
  connection.end();
});

test('pipelining: nothing behind Connection: close is answered', async () => {
  const connection = server.connect();
  await connection.send(`GET /cached/1 HTTP/1.1\r\n${H}Connection: close\r\n\r\nGET /hello HTTP/1.1\r\n${H}\r\n`);
  const answer = await connection.answer();
  assert.strictEqual(answer.headers.connection, 'close');
  await connection.ended();
  assert.strictEqual(connection.received.length, 0);
  connection.end();
});

test('HEAD: the fields of GET and no body', async () => {
  for (const target of ['/hello', '/work', '/cached/head', '/cached/head', '/big/100000', '/nothing']) {
    const connection = server.connect();
    await connection.send(`GET ${target} HTTP/1.1\r\n${H}\r\n`);
    const whole = await connection.answer();
    await connection.send(`HEAD ${target} HTTP/1.1\r\n${H}\r\nGET /hello HTTP/1.1\r\n${H}\r\n`);
    const head = await connection.answer('HEAD');
    assert.strictEqual(head.status, whole.status);
    if (target !== '/nothing') assert.strictEqual(head.headers['content-length'], whole.headers['content-length']);
    assert.strictEqual((await connection.answer()).body, '{"hello":"world"}', 'the next answer begins where the head ended');
    connection.end();
  }
});

test('Expect: 100-continue is answered before the body', async () => {
  const connection = server.connect();
  await connection.send(`POST /echo HTTP/1.1\r\n${H}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n`);
  assert.strictEqual((await connection.answer()).status, 100);
  await connection.send('hello');
  assert.strictEqual((await connection.answer()).body, 'hello');
  // A body that will be refused is not asked for.
  await connection.send(`POST /echo HTTP/1.1\r\n${H}Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n`);
  assert.strictEqual((await connection.answer()).status, 413);
  await connection.ended();
  connection.end();
});

test('HTTP/1.0: closes, or keeps the connection when asked to', async () => {
  const connection = server.connect();
  await connection.send('GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  const first = await connection.answer();
  assert.strictEqual(first.headers.connection, 'keep-alive');
  await connection.send('GET /hello HTTP/1.0\r\n\r\n');
  assert.strictEqual((await connection.answer()).headers.connection, 'close');
  await connection.ended();
  connection.end();
});

test('a small body of a refused request is read away, and the connection goes on', async () => {
  const connection = server.connect();
  await connection.send(`POST /nothing HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\nhelloGET /hello HTTP/1.1\r\n${H}\r\n`);
  assert.strictEqual((await connection.answer()).status, 404);
  assert.strictEqual((await connection.answer()).status, 200);
  connection.end();
});

/** A refusal that is this request's own: its id, its path, and a body of the length that the head says. */
function isRefusalOf(answer, { status, path, id }) {
  assert.strictEqual(answer.status, status);
  assert.strictEqual(answer.headers['content-type'], 'application/problem+json');
  assert.strictEqual(answer.headers['www-authenticate'], status === 401 ? 'Bearer' : undefined);
  const problem = JSON.parse(answer.body);
  assert.strictEqual(problem.status, status);
  assert.strictEqual(problem.instance, path);
  assert.strictEqual(problem.request_id, answer.headers['x-request-id']);
  if (id) assert.strictEqual(problem.request_id, id);
  return problem.request_id;
}

test('refusals that follow each other are each their request\'s, and what stands in a body is no request', async () => {
  const connection = server.connect();
  const trap = `GET /hello HTTP/1.1\r\n${H}\r\n`;
  const requests = Array.from({ length: 60 }, (_, i) => ({
    status: i % 7 === 3 ? 401 : 404, path: i % 7 === 3 ? '/customers' : ['/nothing', '/nothing', '/nowhere'][i % 3],
    id: [undefined, 'f'.repeat(31) + (i % 10), 'short', 'x'.repeat(128)][i % 4],
  }));
  await connection.send(requests.map(({ status, path, id }) => `${status === 401 ? 'GET' : 'POST'} ${path} HTTP/1.1\r\n${H}` +
    `${id ? `X-Request-Id: ${id}\r\n` : ''}Content-Length: ${trap.length}\r\n\r\n${trap}`).join(''));
  const ids = [];
  for (const request of requests) ids.push(isRefusalOf(await connection.answer(), request));
  const own = ids.filter((_, i) => !requests[i].id);
  assert.strictEqual(new Set(own).size, own.length, 'an id was told twice');
  await connection.send(trap);
  assert.strictEqual((await connection.answer()).status, 200);
  connection.end();
});

test('a refused request\'s body may come late and in pieces', async () => {
  const connection = server.connect();
  for (const pieces of [['', 'hello'], ['he', 'llo'], ['hell', `oGET /hello HTTP/1.1\r\n${H}\r\n`]]) {
    await connection.send(`POST /nothing HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\n${pieces[0]}`);
    await sleep(20);
    await connection.send(pieces[1]);
    isRefusalOf(await connection.answer(), { status: 404, path: '/nothing' });
  }
  assert.strictEqual((await connection.answer()).status, 200, 'what came behind the last body');
  connection.end();
});

test('a refused request that waits for 100, or whose body has no length, is answered and the connection ends', async () => {
  for (const field of ['Content-Length: 5\r\nExpect: 100-continue', 'Transfer-Encoding: chunked', 'Content-Length: 5000000']) {
    const connection = server.connect();
    await connection.send(`POST /nothing HTTP/1.1\r\n${H}${field}\r\n\r\n`);
    const answer = await connection.answer();
    isRefusalOf(answer, { status: 404, path: '/nothing' });
    assert.strictEqual(answer.headers.connection, 'close');
    await connection.ended();
    connection.end();
  }
});

test('HEAD of what is refused: the head alone, and then the next answer', async () => {
  const connection = server.connect();
  for (let i = 0; i < 3; i++) {
    await connection.send(`GET /nothing HTTP/1.1\r\n${H}\r\nHEAD /nothing HTTP/1.1\r\n${H}\r\nGET /hello HTTP/1.1\r\n${H}\r\n`);
    const whole = await connection.answer(), head = await connection.answer('HEAD');
    isRefusalOf(whole, { status: 404, path: '/nothing' });
    assert.strictEqual(head.status, 404);
    assert.strictEqual(head.headers['content-length'], whole.headers['content-length']);
    assert.strictEqual((await connection.answer()).body, '{"hello":"world"}');
  }
  connection.end();
});

test('a client that closes its half after the request gets its answer', async () => {
  for (const target of ['/slow/50', '/hello', '/cached/half', '/big/300000']) {
    const connection = server.connect();
    await connection.send(`GET ${target} HTTP/1.1\r\n${H}\r\n`);
    connection.socket.end();
    assert.strictEqual((await connection.answer())?.status, 200, target);
    connection.end();
  }
});

test('a client that leaves while a worker is at it does no harm', async () => {
  for (let i = 0; i < 20; i++) {
    const connection = server.connect();
    await connection.send(`GET /slow/30 HTTP/1.1\r\n${H}\r\n`);
    if (i % 2) connection.socket.resetAndDestroy();
    else connection.end();
  }
  await sleep(200);
  assert.strictEqual((await server.get('/work')).status, 200);
});

test('a large answer arrives whole at a slow reader', async () => {
  const connection = server.connect();
  connection.socket.pause();
  await connection.send(`GET /big/8000000 HTTP/1.1\r\n${H}\r\nGET /hello HTTP/1.1\r\n${H}\r\n`);
  await sleep(300);
  connection.socket.resume();
  assert.strictEqual((await connection.answer()).body.length, 8000000);
  assert.strictEqual((await connection.answer()).status, 200);
  connection.end();
});

test('event streams: events flow, and the server notices that the client has left', async () => {
  const before = await server.metric('cathay_http_connections');
  const streams = [];
  for (let i = 0; i < 10; i++) {
    const connection = server.connect();
    await connection.send(`GET /events HTTP/1.1\r\n${H}\r\n`);
    streams.push(connection);
  }
  for (const connection of streams) {
    const text = await connection.text('data: 5\n\n');
    assert.match(text, /^HTTP\/1.1 200 OK\r\n/);
    assert.match(text, /Content-Type: text\/event-stream\r\n/);
    assert.doesNotMatch(text, /Content-Length/);
  }
  assert.ok(await server.metric('cathay_http_connections') >= before + 10);
  for (const connection of streams) connection.end();
  for (let i = 0; i < 100 && await server.metric('cathay_http_connections') > before; i++) await sleep(20);
  assert.ok(await server.metric('cathay_http_connections') <= before);
});

test('a reader that takes nothing is cut off', async () => {
  const own = await EchoServer.start({ write_timeout_ms: 300 });
  const connection = own.connect();
  connection.socket.pause();
  await connection.send(`GET /big/50000000 HTTP/1.1\r\n${H}\r\n`);
  for (let i = 0; i < 200 && await own.metric('cathay_http_deadlines_total') === 0; i++) await sleep(50);
  assert.strictEqual(await own.metric('cathay_http_deadlines_total'), 1);
  connection.end();
  await own.stop();
});

test('slow clients are cut off: head, body, silence', async () => {
  const own = await EchoServer.start({ header_timeout_ms: 300, body_timeout_ms: 300, keep_alive_ms: 300 });
  const head = own.connect();
  await head.send('GET /hello HTTP/1.1\r\nHos');
  const drip = setInterval(() => head.send('t'), 50); // progress does not buy time: the deadline is absolute
  const late = await head.answer();
  clearInterval(drip);
  assert.strictEqual(late.status, 408);
  await head.ended();
  const body = own.connect();
  await body.send(`POST /echo HTTP/1.1\r\n${H}Content-Length: 1000\r\n\r\n`);
  const dripBody = setInterval(() => body.send('x'), 50);
  assert.strictEqual((await body.answer()).status, 408);
  clearInterval(dripBody);
  await body.ended();
  const silent = own.connect();
  await silent.ended();
  const idle = own.connect();
  await idle.send(`GET /hello HTTP/1.1\r\n${H}\r\n`);
  await idle.answer();
  await idle.ended();
  assert.strictEqual(idle.received.length, 0, 'an idle connection is closed without a word');
  for (const connection of [head, body, silent, idle]) connection.end();
  await own.stop();
});

test('connections over the limit are told 503 at once', async () => {
  const own = await EchoServer.start({ connections: 5 });
  const held = [];
  for (let i = 0; i < 5; i++) {
    const connection = own.connect();
    await connection.send(`GET /hello HTTP/1.1\r\n${H}\r\n`);
    assert.strictEqual((await connection.answer()).status, 200);
    held.push(connection);
  }
  const over = own.connect();
  await over.send(`GET /hello HTTP/1.1\r\n${H}\r\n`);
  const answer = await over.answer();
  assert.strictEqual(answer.status, 503);
  assert.strictEqual(answer.headers['retry-after'], '1');
  await over.ended();
  for (const connection of [...held, over]) connection.end();
  for (let i = 0; i < 100; i++) {
    if ((await own.get('/hello'))?.status === 200) break;
    await sleep(20);
  }
  assert.strictEqual((await own.get('/hello')).status, 200);
  await own.stop();
});

test('connections of one address have a limit of their own, unless it is a trusted proxy', async () => {
  const own = await EchoServer.start({ connections_per_address: 2, trusted_proxies: '' });
  const held = [own.connect(), own.connect()];
  for (const connection of held) {
    await connection.send(`GET /hello HTTP/1.1\r\n${H}\r\n`);
    assert.strictEqual((await connection.answer()).status, 200);
  }
  assert.strictEqual((await own.get('/hello')).status, 503);
  for (const connection of held) connection.end();
  await sleep(200);
  await own.stop();
  const proxied = await EchoServer.start({ connections_per_address: 2 });
  const many = await Promise.all([1, 2, 3, 4].map(() => proxied.get('/slow/100')));
  assert.deepStrictEqual(many.map((answer) => answer.status), [200, 200, 200, 200]);
  await proxied.stop();
});

test('a full queue answers 503 at once, with Retry-After', async () => {
  const own = await EchoServer.start({ workers: 1, request_queue: 2 });
  const answers = await Promise.all(Array.from({ length: 12 }, () => own.get('/slow/200')));
  const busy = answers.filter((answer) => answer.status === 503);
  assert.ok(busy.length >= 8, `${busy.length} of 12 were refused`);
  assert.ok(answers.some((answer) => answer.status === 200));
  for (const answer of busy) {
    assert.strictEqual(answer.headers['retry-after'], '1');
    assert.strictEqual(answer.json.code, 'overloaded');
  }
  assert.strictEqual((await own.get('/hello')).status, 200, 'what needs no worker is answered');
  await own.stop();
});

test('drain: SIGTERM lets open requests end, says Connection: close, refuses new connections', async () => {
  const own = await EchoServer.start({ loops: 2 });
  const busy = [], idle = own.connect(), stream = own.connect();
  for (let i = 0; i < 8; i++) {
    const connection = own.connect();
    await connection.send(`GET /slow/400 HTTP/1.1\r\n${H}\r\n`);
    busy.push(connection);
  }
  await idle.send(`GET /hello HTTP/1.1\r\n${H}\r\n`);
  await idle.answer();
  await stream.send(`GET /events HTTP/1.1\r\n${H}\r\n`);
  await stream.text('data: 1');
  await sleep(100);
  const stopped = own.stop();
  for (const connection of busy) {
    const answer = await connection.answer();
    assert.strictEqual(answer.status, 200);
    assert.strictEqual(answer.headers.connection, 'close');
  }
  await idle.ended();
  await stream.ended();
  await stopped;
  await assert.rejects(new Promise((resolve, reject) => {
    const socket = require('node:net').connect(own.port, '127.0.0.1', resolve);
    socket.once('error', reject);
  }));
  for (const connection of [...busy, idle, stream]) connection.end();
});

test('drain: a request that never ends is cut off after its time', async () => {
  const own = await EchoServer.start({ drain_ms: 300 });
  const connection = own.connect();
  connection.socket.pause();
  await connection.send(`GET /big/50000000 HTTP/1.1\r\n${H}\r\n`);
  await sleep(200);
  await own.stop();
  connection.end();
});

test('a port that is taken is one clear line', async () => {
  await assert.rejects(EchoServer.start({ listen_port: server.port }), /cannot listen on .*another program holds that port/);
  await assert.rejects(EchoServer.start({ listen_port: server.port, loops: 2 }), /another program holds that port/);
});

test('a Unix socket beside the port: a proxy on the same host', async (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'cathay-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const listen_socket = path.join(directory, 'shop.sock');
  const own = await EchoServer.start({ listen_socket, loops: 2 });
  assert.strictEqual(fs.statSync(listen_socket).mode & 0o777, 0o660);
  const ask = async (connection, headers = '') => {
    await connection.send(`GET /about HTTP/1.1\r\n${H}${headers}\r\n`);
    return (await connection.answer()).json.address;
  };
  const proxies = Array.from({ length: 20 }, () => own.connect(listen_socket));
  for (const proxy of proxies) {
    assert.strictEqual(await ask(proxy, 'X-Forwarded-For: 203.0.113.9\r\n'), '203.0.113.9');
    assert.strictEqual(await ask(proxy), '127.0.0.1');
  }
  const large = own.connect(listen_socket);
  await large.send(`GET /big/5000000 HTTP/1.1\r\n${H}\r\n`);
  assert.strictEqual((await large.answer()).body.length, 5000000);
  const port = own.connect();
  assert.strictEqual(await ask(port), '127.0.0.1');
  await assert.rejects(EchoServer.start({ listen_socket }), /cannot listen on .*shop\.sock.*another program listens there/);
  await proxies[0].send(`GET /slow/300 HTTP/1.1\r\n${H}\r\n`);
  await sleep(100);
  const stopped = own.stop();
  assert.strictEqual((await proxies[0].answer()).status, 200, 'what was asked before the end is answered');
  await stopped;
  assert.ok(!fs.existsSync(listen_socket), 'it takes its socket along');
  for (const connection of [...proxies, large, port]) connection.end();
});

test('a Unix socket that a killed server left is replaced; a file or a path too long is one clear line', async (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'cathay-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const listen_socket = path.join(directory, 'shop.sock');
  const killed = await EchoServer.start({ listen_socket });
  killed.child.kill('SIGKILL');
  await killed.exited;
  assert.ok(fs.existsSync(listen_socket));
  const own = await EchoServer.start({ listen_socket });
  const connection = own.connect(listen_socket);
  await connection.send(`GET /hello HTTP/1.1\r\n${H}\r\n`);
  assert.strictEqual((await connection.answer()).status, 200);
  connection.end();
  await own.stop();
  fs.writeFileSync(listen_socket, 'precious');
  await assert.rejects(EchoServer.start({ listen_socket }), /cannot listen on .*shop\.sock/);
  assert.strictEqual(fs.readFileSync(listen_socket, 'utf8'), 'precious');
  await assert.rejects(EchoServer.start({ listen_socket: path.join(directory, 'x'.repeat(200)) }), /path has more than 107 bytes/);
  await assert.rejects(EchoServer.start({ listen_socket: path.join(directory, 'none', 'shop.sock') }), /No such file or directory/);
});
