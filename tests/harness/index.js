'use strict';
// What tests use:
//
//   const { shop } = require('../harness');
//   const env = shop();                      // one environment for this file, started before its first test
//   test('CRT-1 …', async () => {
//     const { body } = await env.api.call('cart_show', { path: { cart_id }, token, expect: 200 });
//   });
//
// See README.md here.
const { before, after } = require('node:test');
const { Environment, poll, sleep, freePort, SECRETS, TOKEN_KEY } = require('./environment');
const { Client, exchange, rawExchange, theContract } = require('./client');
const { MailSink } = require('./mail');
const people = require('./people');
const { Sampler } = require('./sample');

/**
 * The environment of a test file: started before its first test, stopped after its last. The object that is returned
 * stands for it; using it before the first test runs is an error.
 */
function shop(options) {
  let environment;
  before(async () => { environment = await Environment.start(options); });
  after(async () => { await environment?.stop(); });
  return new Proxy({}, {
    get(_, name) {
      if (!environment) throw new Error('the environment is there once tests run, not while the file loads');
      const value = Reflect.get(environment, name, environment);
      return typeof value === 'function' ? value.bind(environment) : value;
    },
  });
}

module.exports = { shop, Environment, Client, MailSink, poll, sleep, freePort, exchange, rawExchange, contract: theContract, SECRETS, TOKEN_KEY, Sampler, ...people };
