'use strict';
const assert = require('node:assert');
const { test } = require('node:test');
const { shop, makePerson, ROLES } = require('.');

const env = shop();

test('a shop starts, people of every role sign in, and it verifies', async () => {
  for (const role of ROLES) {
    const person = await makePerson(env, role);
    const { body } = await person.api.call('me_show', { expect: 200 });
    assert.strictEqual(body.role, role);
    assert.strictEqual(body.id, person.id);
  }
  await env.verify();
});

test('invalid requests are refused by the judge and by the server', async () => {
  await env.api.call('user_register', { invalid: true, body: { email: 'x' }, expect: 400 });
  await assert.rejects(env.api.call('user_register', { body: { email: 'x' } }), /not as the contract says/);
  await assert.rejects(env.api.call('live_show', { invalid: true }), /the contract allows it/);
});
