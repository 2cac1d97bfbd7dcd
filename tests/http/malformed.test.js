'use strict';
// Requests that a server must refuse: each would let two machines on the way disagree about where a request ends, or
// spend memory or time without limit.
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { poll } = require('../harness');
const { EchoServer } = require('./echo');

let server;
before(async () => { server = await EchoServer.start({ header_timeout_ms: 5000 }); });
after(() => server.stop());

const H = 'Host: shop\r\n';
const post = (headers, body) => `POST /echo HTTP/1.1\r\n${H}${headers}\r\n${body}`;

const refused = [
  ['both Content-Length and Transfer-Encoding', post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400],
  ['Transfer-Encoding and then Content-Length', post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', '0\r\n\r\n'), 400],
  ['two different Content-Lengths', post('Content-Length: 5\r\nContent-Length: 6\r\n', 'hello'), 400],
  ['the same Content-Length twice', post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello'), 400],
  ['a list as Content-Length', post('Content-Length: 5, 5\r\n', 'hello'), 400],
  ['a negative Content-Length', post('Content-Length: -5\r\n', 'hello'), 400],
  ['a Content-Length with a plus', post('Content-Length: +5\r\n', 'hello'), 400],
  ['a hexadecimal Content-Length', post('Content-Length: 0x5\r\n', 'hello'), 400],
  ['a Content-Length beyond 64 bits', post('Content-Length: 99999999999999999999999\r\n', 'hello'), 400],
  ['an empty Content-Length', post('Content-Length:\r\n', 'hello'), 400],
  ['a space before the colon', post('Content-Length : 5\r\n', 'hello'), 400],
  ['Transfer-Encoding that does not end with chunked', post('Transfer-Encoding: chunked, gzip\r\n', ''), [400, 501]],
  ['Transfer-Encoding gzip, chunked', post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n'), 501],
  ['Transfer-Encoding identity', post('Transfer-Encoding: identity\r\n', ''), [400, 501]],
  ['Transfer-Encoding xchunked', post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'), [400, 501]],
  ['Transfer-Encoding twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400],
  ['Transfer-Encoding on HTTP/1.0', `POST /echo HTTP/1.0\r\n${H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['obs-fold with a space', `GET /hello HTTP/1.1\r\n${H}X-A: 1\r\n 2\r\n\r\n`, 400],
  ['obs-fold with a tab', `GET /hello HTTP/1.1\r\n${H}X-A: 1\r\n\t2\r\n\r\n`, 400],
  ['a folded first field', `GET /hello HTTP/1.1\r\n ${H}\r\n`, 400],
  ['a bare CR in a value', `GET /hello HTTP/1.1\r\n${H}X-A: 1\r2\r\n\r\n`, 400],
  ['a bare CR in the request line', `GET /hello\rx HTTP/1.1\r\n${H}\r\n`, 400],
  ['a bare LF behind the request line', `GET /hello HTTP/1.1\n${H}\r\n`, 400],
  ['a bare LF behind a field', 'GET /hello HTTP/1.1\r\nHost: shop\n\r\n', 400],
  ['a bare LF as the empty line', `GET /hello HTTP/1.1\r\n${H}\n`, 400],
  ['NUL in a value', `GET /hello HTTP/1.1\r\n${H}X-A: 1\x002\r\n\r\n`, 400],
  ['NUL in a name', `GET /hello HTTP/1.1\r\n${H}X\x00A: 1\r\n\r\n`, 400],
  ['NUL in the address', `GET /hel\x00lo HTTP/1.1\r\n${H}\r\n`, 400],
  ['an empty header name', `GET /hello HTTP/1.1\r\n${H}: 1\r\n\r\n`, 400],
  ['a header without a colon', `GET /hello HTTP/1.1\r\n${H}nonsense\r\n\r\n`, 400],
  ['a control character in a name', `GET /hello HTTP/1.1\r\n${H}X\x01A: 1\r\n\r\n`, 400],
  ['a control character in a value', `GET /hello HTTP/1.1\r\n${H}X-A: \x01\r\n\r\n`, 400],
  ['a space in a name', `GET /hello HTTP/1.1\r\n${H}X A: 1\r\n\r\n`, 400],
  ['no Host', 'GET /hello HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', 'GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
  ['the same Host twice', 'GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', 400],
  ['an empty Host', 'GET /hello HTTP/1.1\r\nHost:\r\n\r\n', 400],
  ['a Host with a path', 'GET /hello HTTP/1.1\r\nHost: shop/admin\r\n\r\n', 400],
  ['a Host with a user', 'GET /hello HTTP/1.1\r\nHost: me@shop\r\n\r\n', 400],
  ['a Host with a list', 'GET /hello HTTP/1.1\r\nHost: shop, other\r\n\r\n', 400],
  ['a Host with an odd port', 'GET /hello HTTP/1.1\r\nHost: shop:80x\r\n\r\n', 400],
  ['a Host with an open bracket', 'GET /hello HTTP/1.1\r\nHost: [::1\r\n\r\n', 400],
  ['Authorization twice', `GET /about HTTP/1.1\r\n${H}Authorization: Bearer customer\r\nAuthorization: Bearer admin\r\n\r\n`, 400],
  ['HTTP/2 over plain text', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 501, 505]],
  ['HTTP/2.0', `GET /hello HTTP/2.0\r\n${H}\r\n`, 505],
  ['HTTP/1.2', `GET /hello HTTP/1.2\r\n${H}\r\n`, 505],
  ['HTTP/0.9', 'GET /hello\r\n\r\n', [400, 505]],
  ['HTTP/0.9 by name', `GET /hello HTTP/0.9\r\n${H}\r\n`, 505],
  ['lower-case http', `GET /hello http/1.1\r\n${H}\r\n`, 400],
  ['an unknown method', `BREW /hello HTTP/1.1\r\n${H}\r\n`, 501],
  ['a lower-case method', `get /hello HTTP/1.1\r\n${H}\r\n`, 400],
  ['CONNECT', 'CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\n', 501],
  ['an address without a slash', `GET hello HTTP/1.1\r\n${H}\r\n`, 400],
  ['an asterisk with GET', `GET * HTTP/1.1\r\n${H}\r\n`, 400],
  ['a fragment in the address', `GET /hello#x HTTP/1.1\r\n${H}\r\n`, 400],
  ['a space in the address', `GET /hel lo HTTP/1.1\r\n${H}\r\n`, 400],
  ['broken percent-encoding', `GET /big/%zz HTTP/1.1\r\n${H}\r\n`, 400],
  ['an encoded NUL', `GET /big/%00 HTTP/1.1\r\n${H}\r\n`, 400],
  ['a TLS greeting', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['an address longer than 8 KB', `GET /${'a'.repeat(8193)} HTTP/1.1\r\n${H}\r\n`, 414],
  ['an endless request line', `GET /${'a'.repeat(12000)}`, 414],
  ['more than 16 KB of headers', `GET /hello HTTP/1.1\r\n${H}${`X-A: ${'b'.repeat(1000)}\r\n`.repeat(17)}\r\n`, 431],
  ['one endless header', `GET /hello HTTP/1.1\r\n${H}X-A: ${'b'.repeat(20000)}`, 431],
  ['endless space behind a colon', `GET /hello HTTP/1.1\r\n${H}X-A:${' '.repeat(20000)}`, 431],
  ['101 header fields', `GET /hello HTTP/1.1\r\n${H}${'A: b\r\n'.repeat(100)}\r\n`, 431],
  ['an unknown expectation', post('Expect: a-pony\r\nContent-Length: 5\r\n', 'hello'), 417],
  ['a chunk size that is no number', post('Transfer-Encoding: chunked\r\n', 'xyz\r\nhello\r\n0\r\n\r\n'), 400],
  ['a negative chunk size', post('Transfer-Encoding: chunked\r\n', '-5\r\nhello\r\n0\r\n\r\n'), 400],
  ['a chunk size with 0x', post('Transfer-Encoding: chunked\r\n', '0x5\r\nhello\r\n0\r\n\r\n'), 400],
  ['a chunk size beyond 64 bits', post('Transfer-Encoding: chunked\r\n', 'fffffffffffffffff\r\nhello\r\n0\r\n\r\n'), 400],
  ['a chunk longer than it says', post('Transfer-Encoding: chunked\r\n', '3\r\nhello\r\n0\r\n\r\n'), 400],
  ['a chunk size ended by LF', post('Transfer-Encoding: chunked\r\n', '5\nhello\r\n0\r\n\r\n'), 400],
  ['a chunk ended by LF', post('Transfer-Encoding: chunked\r\n', '5\r\nhello\n0\r\n\r\n'), 400],
  ['a space in front of a chunk size', post('Transfer-Encoding: chunked\r\n', ' 5\r\nhello\r\n0\r\n\r\n'), 400],
  ['an endless chunk extension', post('Transfer-Encoding: chunked\r\n', `5;${'a'.repeat(40000)}`), [400, 413]],
  ['endless trailers', post('Transfer-Encoding: chunked\r\n', `0\r\n${`T: ${'b'.repeat(1000)}\r\n`.repeat(40)}`), [400, 413]],
  ['more body than the operation takes', post('Content-Length: 100001\r\n', 'x'), 413],
  ['more chunks than the operation takes', post('Transfer-Encoding: chunked\r\n', `${'2710\r\n' + 'x'.repeat(10000) + '\r\n'}`.repeat(11)), 413],
];

for (const [what, bytes, status] of refused) {
  test(`refused: ${what}`, async () => {
    // In one piece, then byte by byte where that is quick: the pieces in which a request arrives must not matter.
    for (const pieces of bytes.length < 200 ? [1, bytes.length] : [1]) {
      const connection = server.connect();
      const size = Math.ceil(bytes.length / pieces);
      for (let at = 0; at < bytes.length; at += size) {
        await connection.send(bytes.slice(at, at + size));
        if (pieces > 1) await new Promise((resolve) => setImmediate(resolve));
      }
      const answer = await connection.answer();
      assert.ok(answer, 'it was answered');
      assert.ok([status].flat().includes(answer.status), `${answer.first} ${answer.body}`);
      assert.strictEqual(answer.headers['content-type'], 'application/problem+json');
      assert.strictEqual(answer.json.status, answer.status);
      assert.ok(answer.json.code && answer.json.request_id);
      const wellFramed = ['broken percent-encoding', 'an encoded NUL'].includes(what);
      assert.strictEqual(answer.headers.connection, wellFramed ? undefined : 'close');
      if (!wellFramed) await connection.ended();
      assert.strictEqual(connection.received.length, 0, 'nothing behind it was taken for a request');
      connection.end();
    }
  });
}

test('a request that is refused behind one that was answered keeps nothing of that one, neither in its answer nor in the log', async () => {
  const behind = [['a method alone', `GET\r\n${H}\r\n`, 400], ['a letter alone', 'G\r\n\r\n', 400], ...refused.filter(([, bytes]) => bytes.length < 9000)];
  for (const [what, bytes, status] of behind) {
    const connection = server.connect();
    await connection.send(`GET /hello?secret=1 HTTP/1.1\r\nHost: shop\r\nX-Request-Id: first\r\n\r\n`);
    assert.strictEqual((await connection.answer()).status, 200);
    await connection.send(bytes);
    const answer = await connection.answer();
    assert.ok(answer && [status].flat().includes(answer.status), `${what}: ${answer && answer.first}`);
    assert.ok(!/first|secret/.test(answer.body) && answer.headers['x-request-id'] !== 'first', what);
    connection.end();
  }
  const line = await poll(() => server.log.split('\n').reverse().find((text) => text.includes('"method":""')));
  assert.strictEqual(JSON.parse(line).path, '');
  for (const text of server.log.split('\n').filter((text) => text.includes('"message":"request"'))) assert.match(JSON.parse(text).method, /^([A-Z]{1,8}|get|)$/, text);
});

test('the server is as well as before', async () => {
  const answer = await server.get('/hello');
  assert.strictEqual(answer.status, 200);
});

const accepted = [
  ['a blank line before the request', `\r\nGET /hello HTTP/1.1\r\n${H}\r\n`],
  ['exactly 100 header fields', `GET /hello HTTP/1.1\r\n${H}${'A: b\r\n'.repeat(99)}\r\n`],
  ['an address of 8 KB', `GET /hello?${'a'.repeat(8192 - 7)} HTTP/1.1\r\n${H}\r\n`],
  ['a Host with a port', 'GET /hello HTTP/1.1\r\nHost: shop:8080\r\n\r\n'],
  ['a Host in brackets', 'GET /hello HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n'],
  ['an absolute address', `GET http://shop/hello HTTP/1.1\r\n${H}\r\n`],
  ['space around a value', 'GET /hello HTTP/1.1\r\nHost:   shop  \t\r\n\r\n'],
  ['an offer of another protocol', `GET /hello HTTP/1.1\r\n${H}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`],
  ['bytes beyond ASCII in a value', `GET /hello HTTP/1.1\r\n${H}X-A: \xe4\xf6\r\n\r\n`],
];
for (const [what, bytes] of accepted) {
  test(`accepted: ${what}`, async () => {
    assert.strictEqual((await server.raw(bytes)).status, 200);
  });
}
