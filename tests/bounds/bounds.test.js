'use strict';
// The generator of fuzz.js for about a minute: all operations at their bounds and beyond, and a walk of some steps, always the same.
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { begin, drive, finish } = require('./fuzz');

const SEED = 20;
const STEPS = 600;

let shop;
let wrong;
before(async () => { shop = await begin({ seed: SEED, say: () => {} }); });
after(async () => { if (!wrong) await finish(shop).catch(() => {}); });

test('every operation at each of its bounds and beyond answers as the contract says, and nothing ends the process', async () => {
  await drive(shop.fuzzer, { steps: STEPS });
  wrong = await finish(shop);
  assert.deepStrictEqual(wrong, [], shop.fuzzer.summary());
});

test('every operation succeeded at least once on the way', () => {
  assert.deepStrictEqual(shop.fuzzer.unreached(), [], shop.fuzzer.reasons());
});
