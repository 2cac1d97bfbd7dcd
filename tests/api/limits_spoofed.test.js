'use strict';
// Who is not a trusted proxy is believed nothing about addresses.
const { test } = require('node:test');
const assert = require('node:assert');
const { shop } = require('../harness');

const env = shop({ roles: ['serve'], settings: { limit_scale_percent: 100, trusted_proxies: '10.0.0.0/8', limit_write: 10 } });
const makeCart = (headers) => env.api.call('cart_create', { body: { currency: 'HKD' }, headers, expect: [201, 429] });

test('FRD-1 SEC a made-up X-Forwarded-For opens no new quota', async () => {
  const began = Date.now();
  const answers = [];
  for (let i = 0; i < 40; i += 1) answers.push(await makeCart({ 'X-Forwarded-For': `203.0.113.${i}, 10.0.0.1` }));
  const allowed = answers.filter(({ status }) => status === 201).length;
  assert.ok(allowed >= 10 && allowed <= 10 + Math.ceil((Date.now() - began) / 1000), `${allowed} of 40 were let through`);
});
