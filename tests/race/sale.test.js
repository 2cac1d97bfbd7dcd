'use strict';
// INV-6: a crowd at a flash sale, over two servers: every unit is sold, none twice, nobody gets more than the limit.
const { test } = require('node:test');
const assert = require('node:assert');
const crypto = require('node:crypto');
const { shop, poll } = require('../harness');
const { customer } = require('../harness/goods');
const { saleOf, crowd, accessToken, counted } = require('../harness/sales');

const env = shop({ roles: ['serve', 'serve:2', 'worker'] });
const servers = () => [env.client('serve'), env.client('serve:2')];
const held = async (sale) => (await env.query('SELECT customer_id, sum(quantity)::int AS units FROM sale_claim WHERE sale_id = $1 AND state = \'taken\' GROUP BY 1', [sale.uuid]));

test('INV-6 2000 buyers race for 100 units: exactly 100 orders, the rest are told that it is sold out', async () => {
  const sale = await saleOf(env, { quantity: 100 });
  const buyers = await crowd(env, 2000);
  const answers = await Promise.all(buyers.map((buyer, i) => sale.buy(buyer, { client: servers()[i % 2] })));
  assert.deepStrictEqual(counted(answers), { bought: 100, sale_sold_out: 1900 });
  assert.strictEqual((await sale.row()).sold, 100);
  const [stock] = await env.query('SELECT reserved FROM stock WHERE variant_id = $1', [sale.variant.id]);
  assert.strictEqual(stock.reserved, 100);
  await env.verify();
});

test('INV-6 one customer who tries 60 times at once gets the limit and no more', async () => {
  const sale = await saleOf(env, { quantity: 100, perCustomer: 3 });
  const buyer = await customer(env);
  const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => sale.buy(buyer, { client: servers()[i % 2] })));
  assert.deepStrictEqual(counted(answers), { bought: 3, sale_limit: 57 });
  assert.deepStrictEqual((await held(sale)).map(({ units }) => units), [3]);
  await env.verify();
});

test('INV-6 CHK-3 the same key 40 times at once buys once', async () => {
  const sale = await saleOf(env, { quantity: 10, perCustomer: 5 });
  const buyer = await customer(env);
  const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => sale.buy(buyer, { client: servers()[i % 2], key: 'once' })));
  const made = answers.filter(({ status }) => status === 201);
  assert.ok(made.length >= 1);
  assert.strictEqual(new Set(made.map(({ body }) => body.id)).size, 1);
  for (const { status, body } of answers) if (status !== 201) assert.strictEqual(body.code, 'idempotency_in_flight');
  assert.strictEqual((await sale.row()).sold, 1);
  await env.verify();
});

test('INV-6 quantities that do not divide what is left: sold to the last unit', async () => {
  const sale = await saleOf(env, { quantity: 25, perCustomer: 3 });
  const buyers = await crowd(env, 60);
  await Promise.all(buyers.map((buyer, i) => sale.buy(buyer, { client: servers()[i % 2], quantity: 1 + (i % 3) })));
  await poll(async () => { // whoever wanted more than was left may take what is left
    const answers = await Promise.all(buyers.slice(0, 20).map((buyer, i) => sale.buy(buyer, { client: servers()[i % 2] })));
    return answers.every(({ status }) => status === 409) && (await sale.row()).sold === 25;
  }, { what: 'the last unit to be sold' });
  for (const { units } of await held(sale)) assert.ok(units <= 3, `a customer has ${units}`);
  await env.verify();
});

test('INV-6 FRD-1 bots that replay, forge and hammer get nothing that is not theirs', async () => {
  const sale = await saleOf(env, { quantity: 20, perCustomer: 1 });
  const [people, bots] = [await crowd(env, 200), await crowd(env, 10)];
  const strangers = bots.flatMap((bot, number) => Array.from({ length: 60 }, (_, i) => {
    const client = servers()[i % 2];
    const call = [
      () => sale.buy(bot, { client, key: `bot-${bot.id}` }), // replays
      () => sale.buy(bot, { client, key: `bot-${bot.id}-${i}` }), // hammers
      () => sale.buy({ ...bot, token: `${bot.token.slice(0, -6)}${crypto.randomBytes(3).toString('hex')}` }, { client }), // forges
      () => sale.buy({ ...bot, token: accessToken(env, people[number].uuid, { lives: -100 }) }, { client }), // comes in the name of another, with what has expired
      () => sale.buy(bot, { client, key: `bot-${bot.id}`, cash_minor: 1 }), // its own key for another purchase
    ][i % 5];
    return call();
  }));
  const answers = await Promise.all([...strangers, ...people.map((person, i) => sale.buy(person, { client: servers()[i % 2] }))]);
  for (let i = 0; i < strangers.length; i += 1) { // a forged token is refused, or told like everybody that nothing is left
    if (i % 5 === 2 || i % 5 === 3) assert.ok(answers[i].status === 401 || answers[i].body.code === 'sale_sold_out', `a token that is not good got ${answers[i].status}`);
  }
  for (const { units } of await held(sale)) assert.strictEqual(units, 1);
  await poll(async () => {
    await Promise.all(people.map((person) => sale.buy(person)));
    return (await sale.row()).sold === 20;
  }, { what: 'the places that bots had to be sold' });
  assert.strictEqual((await sale.claims()).length, 20);
  await env.verify();
});
