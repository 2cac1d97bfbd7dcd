'use strict';
// The sandbox partners as people meet them: whom they answer, where their pages lead, and how they put things.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop } = require('../harness');
const { rawExchange } = require('../harness');

const env = shop();

const status = async (host) => {
  const answer = await rawExchange(env.ports.sandbox, `GET /mailbox HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer.toString())[1]);
};

test('the sandbox answers to names of this machine only, so that no page elsewhere reads the mailbox', async () => {
  for (const host of ['localhost', `localhost:${env.ports.sandbox}`, `127.0.0.1:${env.ports.sandbox}`, '127.0.0.1', `[::1]:${env.ports.sandbox}`, 'LOCALHOST'])
    assert.strictEqual(await status(host), 200, host);
  for (const host of ['evil.example', `evil.example:${env.ports.sandbox}`, '127.0.0.1.evil.example', 'localhost.evil.example', '[::2]', 'a@localhost', '127.0.0.1@evil.example'])
    assert.ok([400, 403].includes(await status(host)), host);
});
