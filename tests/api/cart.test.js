'use strict';
const { test } = require('node:test');
const assert = require('node:assert');
const crypto = require('node:crypto');
const { shop, Environment, makePerson, poll, uuid7, uuidOf } = require('../harness');
const { goods, relist, customer, givePoints, orderOf } = require('../harness/goods');

const env = shop();

/** A cart in somebody's hands: each change names the version of the answer before. */
class Cart {
  constructor(api, answer) {
    this.api = api;
    this.take(answer);
  }

  take({ body, headers }) {
    this.body = body;
    this.id = body.id;
    this.etag = headers.etag;
    assert.strictEqual(headers.etag, `"${body.version}"`);
    return this;
  }

  async call(id, { path = {}, headers, ...more } = {}) {
    const answer = await this.api.call(id, { path: { cart_id: this.id, ...path }, headers: { 'if-match': this.etag, ...headers }, ...more });
    if (answer.status === 200) this.take(answer);
    return answer;
  }

  add(variant, quantity = 1, { expect = 200, saved, ...more } = {}) {
    return this.call('cart_item_add', { body: { variant_id: variant.wire, quantity, saved }, expect, ...more });
  }

  set(variant, body, expect = 200) {
    return this.call('cart_item_update', { path: { variant_id: variant.wire }, body, expect });
  }

  remove(variant, expect = 200) {
    return this.call('cart_item_remove', { path: { variant_id: variant.wire }, expect });
  }

  async read(expect = 200) {
    const answer = await this.api.call('cart_show', { path: { cart_id: this.id }, expect });
    return expect === 200 ? this.take(answer).body : answer;
  }

  get quantities() {
    return this.body.lines.map(({ variant_id, quantity }) => [variant_id, quantity]);
  }
}

/** As the catalogue and inventory would change things, so that verify finds nothing wrong. */
async function setPrice(product, variant, currency, minor) {
  await env.query('INSERT INTO price (id, variant_id, currency, amount_minor) VALUES ($1, $2, $3, $4)', [uuid7(), variant.id, currency, minor]);
  await relist(env.db, product);
}
async function setStock(product, variant, onHand) {
  await env.query(`WITH moved AS (INSERT INTO movement (id, variant_id, location_id, quantity, reason)
      SELECT $3, variant_id, location_id, $2 - on_hand, 'correction' FROM stock WHERE variant_id = $1)
    UPDATE stock SET on_hand = $2 WHERE variant_id = $1`, [variant.id, onHand, uuid7()]);
  await relist(env.db, product);
}

const guestCart = async (currency) => new Cart(env.api, await env.api.call('cart_create', { body: { currency }, expect: 201 }));
const cartOf = async (who) => new Cart(who.api, await who.api.call('cart_mine_show', { expect: 200 }));

// ---- lines ----

test('CRT-1 a guest fills a cart: each read shows price, stock and sums', async () => {
  const { variants: [one, two], product, vendor } = await goods(env, { variants: 2, onHand: 4, priceMinor: 12345 });
  const cart = await guestCart();
  assert.deepStrictEqual([cart.body.lines, cart.body.orderable, cart.body.subtotal_minor, cart.body.currency], [[], false, 0, 'HKD']);
  await cart.add(one);
  await cart.add(two, 2);
  await cart.add(one, 2);
  const body = await cart.read();
  assert.deepStrictEqual(cart.quantities, [[one.wire, 3], [two.wire, 2]]);
  assert.deepStrictEqual([body.item_count, body.subtotal_minor, body.orderable, body.version], [5, 5 * 12345, true, 4]);
  const [line] = body.lines;
  assert.strictEqual(uuidOf(line.product_id), product);
  assert.strictEqual(uuidOf(line.vendor_id), vendor);
  assert.deepStrictEqual([line.unit_price_minor, line.line_total_minor, line.price_state, line.stock_state, line.available], [12345, 37035, 'current', 'low', 4]);
  assert.ok(line.sku && line.title && line.product_name && !('issue' in line));
  assert.ok(!('miles' in body), 'a guest has no miles');
});

test('CRT-1 quantities are set, things saved for later and back, taken out and all cleared', async () => {
  const { variants: [one, two, three] } = await goods(env, { variants: 3 });
  const cart = await guestCart();
  await cart.add(one, 2);
  await cart.add(two);
  await cart.set(one, { quantity: 7 });
  await cart.set(two, { saved: true });
  assert.deepStrictEqual(cart.quantities, [[one.wire, 7]]);
  assert.deepStrictEqual(cart.body.saved_lines.map(({ variant_id }) => variant_id), [two.wire]);
  assert.deepStrictEqual([cart.body.item_count, cart.body.subtotal_minor], [7, 70000]);
  await cart.add(three, 4, { saved: true });
  await cart.add(three, 1, { saved: true });
  assert.strictEqual(cart.body.saved_lines.find(({ variant_id }) => variant_id === three.wire).quantity, 5);
  await cart.set(two, { saved: false, quantity: 3 });
  assert.deepStrictEqual(cart.quantities, [[one.wire, 7], [two.wire, 3]]);
  await cart.remove(one);
  await cart.remove(one, 404);
  await cart.set(one, { quantity: 1 }, 404);
  await cart.call('cart_clear', { expect: 200 });
  assert.deepStrictEqual([cart.body.lines.length, cart.body.saved_lines.length], [0, 1]);
  await cart.call('cart_item_update', { path: { variant_id: three.wire }, body: {}, invalid: true, expect: 400 });
  for (const quantity of [0, -1, 1000, 1.5, '1']) {
    await cart.call('cart_item_add', { body: { variant_id: one.wire, quantity }, invalid: true, expect: 400 });
  }
});

test('CRT-1 limits: what is not for sale, too many of one thing, too many lines, more than there is', async () => {
  const { variants, product } = await goods(env, { variants: 102, onHand: 200 });
  const { variants: [scarce] } = await goods(env, { onHand: 3 });
  const cart = await guestCart();
  const refused = async (answer, field) => assert.ok((await answer).body.errors.some((error) => error.field === field));
  await refused(cart.add(variants[0], 100, { expect: 400 }), 'quantity');
  await cart.add(variants[0], 99);
  await refused(cart.add(variants[0], 1, { expect: 400 }), 'quantity');
  assert.strictEqual((await cart.add(scarce, 4, { expect: 409 })).body.code, 'out_of_stock');
  await cart.add(scarce, 3);
  assert.strictEqual((await cart.add(scarce, 1, { expect: 409 })).body.code, 'out_of_stock');
  await cart.add({ wire: `var_${'0'.repeat(32)}` }, 1, { expect: 400 });
  for (const variant of variants.slice(1, 99)) await cart.add(variant);
  assert.strictEqual((await cart.add(variants[99], 1, { expect: 409 })).body.code, 'conflict');
  assert.strictEqual(cart.body.lines.length, 100);
  await env.query(`UPDATE product SET state = 'archived' WHERE id = $1`, [product]);
  await relist(env.db, product);
  await refused(cart.add(variants[1], 1, { expect: 400 }), 'variant_id');
  const body = await cart.read();
  assert.deepStrictEqual([body.lines[0].issue, body.orderable], ['not_for_sale', false]);
  await cart.set(variants[0], { quantity: 1 }); // fewer is always possible
  await cart.remove(variants[1]);
});

test('CRT-1 CHK-2 a cart that is more than an order may total is not orderable, and the quote says so', async () => {
  const { variants } = await goods(env, { variants: 2, onHand: 200, priceMinor: 100000000000 });
  const buyer = await customer(env, { points: 5000 });
  const cart = await cartOf(buyer);
  const { body } = await cart.add(variants[0], 11, { expect: 400 });
  assert.deepStrictEqual(body.errors, [{ field: 'quantity', reason: 'above_order_limit: 1000000000000' }]);
  await cart.add(variants[0], 10);
  assert.strictEqual(cart.body.orderable, true);
  await cart.add(variants[1], 10);
  assert.deepStrictEqual([cart.body.orderable, cart.body.subtotal_minor], [false, 2000000000000]);
  const quote = await buyer.api.call('cart_quote_show', { expect: 409 });
  assert.deepStrictEqual(quote.body.errors, [{ field: 'lines', reason: 'above_order_limit: 1000000000000' }]);
});

test('CRT-1 CHK-5 prices and stock that changed since are told line by line', async () => {
  const { product, variants: [one, two, three, four] } = await goods(env, { variants: 4, onHand: 20 });
  const cart = await guestCart();
  for (const variant of [one, two, three, four]) await cart.add(variant, 6);
  assert.deepStrictEqual(cart.body.lines.map((line) => [line.available, line.stock_state]), Array(4).fill([10, 'in_stock']));
  await setPrice(product, one, 'HKD', 11000);
  await setPrice(product, two, 'HKD', 9000);
  await setStock(product, three, 0);
  await setStock(product, four, 5);
  const { lines, orderable } = await cart.read();
  assert.deepStrictEqual(lines.map((line) => [line.price_state, line.unit_price_minor, line.seen_price_minor]),
    [['increased', 11000, 10000], ['decreased', 9000, 10000], ['current', 10000, 10000], ['current', 10000, 10000]]);
  assert.deepStrictEqual(lines.map((line) => [line.stock_state, line.issue]),
    [['in_stock', undefined], ['in_stock', undefined], ['out_of_stock', 'out_of_stock'], ['low', 'not_enough_stock']]);
  assert.strictEqual(orderable, false);
  await cart.set(one, { quantity: 6 }); // touched: the shopper has seen it
  assert.strictEqual(cart.body.lines[0].price_state, 'current');
});

test('CRT-1 a cart changes its currency, and says what has no price there', async () => {
  const { product, variants: [one, two] } = await goods(env, { variants: 2 });
  await setPrice(product, one, 'USD', 1290);
  const cart = await guestCart();
  await cart.add(one);
  await cart.add(two);
  await cart.call('cart_update', { body: { currency: 'USD' }, expect: 200 });
  assert.deepStrictEqual(cart.body.lines.map((line) => [line.unit_price_minor, line.price_state, line.issue]), [[1290, 'current', undefined], [undefined, 'unavailable', 'no_price']]);
  assert.deepStrictEqual([cart.body.currency, cart.body.subtotal_minor, cart.body.orderable], ['USD', 1290, false]);
  assert.strictEqual((await cart.add(two, 1, { expect: 409 })).body.errors[0].field, 'variant_id');
  await cart.call('cart_update', { body: { currency: 'EUR' }, invalid: true, expect: 400 });
});

// ---- versions ----

test('CRT-1 a change needs the version that it is meant for', async () => {
  const { variants: [one] } = await goods(env);
  const cart = await guestCart();
  const path = { cart_id: cart.id };
  const body = { variant_id: one.wire };
  const first = cart.etag;
  assert.strictEqual((await env.api.call('cart_item_add', { path, body, expect: 428 })).body.code, 'precondition_required');
  await cart.add(one);
  for (const etag of [first, '"99"', `W/${cart.etag}`, cart.etag.replaceAll('"', ''), 'x']) {
    assert.strictEqual((await env.api.call('cart_item_add', { path, body, headers: { 'if-match': etag }, expect: 412 })).body.code, 'precondition_failed');
  }
  await env.api.call('cart_clear', { path, expect: 428 });
  await env.api.call('cart_update', { path, body: { currency: 'USD' }, expect: 428 });
  const item = { ...path, variant_id: one.wire };
  await env.api.call('cart_item_remove', { path: item, expect: 428 });
  await env.api.call('cart_item_update', { path: item, body: { quantity: 2 }, expect: 428 });
  assert.deepStrictEqual((await cart.read()).lines.map(({ quantity }) => quantity), [1]);
  await env.api.call('cart_item_add', { path, body, headers: { 'if-match': `"7", ${cart.etag}` }, expect: 200 });
});

test('CRT-1 of many changes to one version at once, one happens', async () => {
  const { variants: [one] } = await goods(env);
  const cart = await guestCart();
  const answers = await Promise.all(Array.from({ length: 20 }, () => env.api.call('cart_item_add',
    { path: { cart_id: cart.id }, headers: { 'if-match': cart.etag }, body: { variant_id: one.wire }, expect: [200, 412] })));
  assert.strictEqual(answers.filter(({ status }) => status === 200).length, 1);
  const body = await cart.read();
  assert.deepStrictEqual([body.version, body.item_count], [2, 1]);
});

test('CHK-3 the same Idempotency-Key adds once and begins one cart', async () => {
  const { variants: [one] } = await goods(env);
  const key = crypto.randomUUID();
  const begun = await Promise.all([1, 2].map(() => env.api.call('cart_create', { body: {}, key, expect: [201, 409] })));
  const again = await env.api.call('cart_create', { body: {}, key, expect: 201 });
  assert.strictEqual(again.headers['idempotent-replayed'], 'true');
  for (const { status, body } of begun) if (status === 201) assert.strictEqual(body.id, again.body.id);
  assert.strictEqual((await env.api.call('cart_create', { body: { currency: 'USD' }, key, expect: 422 })).body.code, 'idempotency_key_reused');
  const guessed = await env.api.call('cart_create', { body: {}, key: '1', expect: 400 });
  assert.strictEqual(guessed.body.errors[0].field, 'Idempotency-Key');

  const cart = await guestCart();
  const path = { cart_id: cart.id };
  const headers = { 'if-match': cart.etag };
  const add = { path, headers, body: { variant_id: one.wire, quantity: 2 }, key: crypto.randomUUID(), expect: 200 };
  const made = await env.api.call('cart_item_add', add);
  const replayed = await env.api.call('cart_item_add', add); // the version has moved on: without the key it were 412
  assert.strictEqual(replayed.headers['idempotent-replayed'], 'true');
  assert.deepStrictEqual(replayed.body, made.body);
  assert.strictEqual((await cart.read()).item_count, 2);
});

// ---- whose it is ----

test('CRT-1 ACC-2 a customer has one open cart, made when it is first asked for, and nobody else sees it', async () => {
  const [mine, other] = [await customer(env), await customer(env)];
  const answers = await Promise.all(Array.from({ length: 10 }, () => mine.api.call('cart_mine_show', { expect: 200 })));
  assert.strictEqual(new Set(answers.map(({ body }) => body.id)).size, 1);
  const cart = new Cart(mine.api, answers[0]);
  const { variants: [one] } = await goods(env);
  await cart.add(one);
  await cart.read();
  const support = await makePerson(env, 'support');
  for (const api of [env.api, other.api]) {
    const stranger = new Cart(api, { body: cart.body, headers: { etag: cart.etag } });
    await stranger.read(404);
    await stranger.add(one, 1, { expect: 404 });
    await stranger.set(one, { quantity: 2 }, 404);
    await stranger.remove(one, 404);
    await stranger.call('cart_clear', { expect: 404 });
    await stranger.call('cart_update', { body: { currency: 'USD' }, expect: 404 });
  }
  await support.api.call('cart_show', { path: { cart_id: cart.id }, expect: 404 });
  await support.api.call('cart_mine_show', { expect: 403 });
  await other.api.call('cart_merge', { body: { cart_id: cart.id }, expect: 404 });
  await env.api.call('cart_mine_show', { expect: 401 });
  await env.api.call('cart_show', { path: { cart_id: `crt_${'0'.repeat(32)}` }, expect: 404 });
  assert.strictEqual((await cart.read()).item_count, 1);
});

test('CRT-1 a spent cart cannot be changed, and the next one is empty', async () => {
  const who = await customer(env);
  const { variants: [one] } = await goods(env);
  const cart = await cartOf(who);
  await cart.add(one);
  await env.query(`UPDATE cart SET state = 'spent', version = version + 1 WHERE id = $1`, [uuidOf(cart.id)]); // as the engine does it
  assert.strictEqual((await cart.read()).state, 'spent');
  assert.strictEqual((await cart.add(one, 1, { expect: 409 })).body.code, 'conflict');
  await cart.call('cart_clear', { expect: 409 });
  const next = await cartOf(who);
  assert.notStrictEqual(next.id, cart.id);
  assert.deepStrictEqual(next.body.lines, []);
  await env.verify();
});

// ---- merging ----

test('CRT-1 a guest\'s cart is merged at sign-in and at registration', async () => {
  const { variants: [one, two, three] } = await goods(env, { variants: 3, onHand: 500 });
  const guest = await guestCart();
  await guest.add(one, 2);
  await guest.add(three, 1, { saved: true });
  const email = `merging-${crypto.randomBytes(6).toString('hex')}@cathay.example`;
  const account = { email, password: 'correct horse battery staple' };
  const registered = await env.api.call('user_register', { body: { ...account, name: 'Ada', cart_id: guest.id }, expect: 201 });
  const mine = await cartOf({ api: env.api.as(registered.body.access_token) });
  assert.deepStrictEqual(mine.quantities, [[one.wire, 2]]);
  assert.strictEqual(mine.body.saved_lines.length, 1);
  assert.strictEqual((await guest.read()).state, 'merged');
  await guest.add(one, 1, { expect: 409 });

  const second = await guestCart();
  await second.add(two, 5);
  await second.add(one, 98);
  const signedIn = await env.api.call('session_sign_in', { body: { ...account, cart_id: second.id }, expect: 200 });
  const merged = await cartOf({ api: env.api.as(signedIn.body.access_token) });
  assert.strictEqual(merged.id, mine.id);
  assert.deepStrictEqual(merged.quantities, [[one.wire, 99], [two.wire, 5]]);

  // Whatever is wrong with the cart, the sign-in succeeds, and nothing changes.
  for (const cart_id of [second.id, merged.id, `crt_${'0'.repeat(32)}`]) {
    await env.api.call('session_sign_in', { body: { ...account, cart_id }, expect: 200 });
  }
  assert.deepStrictEqual((await merged.read()).version, merged.body.version);
  assert.deepStrictEqual(merged.quantities, [[one.wire, 99], [two.wire, 5]]);
  await env.verify();
});

test('CRT-1 merging twice, or by many at once, adds once', async () => {
  const [who, other] = [await customer(env), await customer(env)];
  const { variants: [one] } = await goods(env);
  const guest = await guestCart();
  await guest.add(one, 2);
  const answers = await Promise.all(Array.from({ length: 10 }, () => who.api.call('cart_merge', { body: { cart_id: guest.id }, expect: 200 })));
  for (const { body } of answers) assert.strictEqual(body.item_count, 2);
  assert.strictEqual((await other.api.call('cart_merge', { body: { cart_id: guest.id }, expect: 409 })).body.code, 'conflict');
  assert.strictEqual((await cartOf(other)).body.item_count, 0);

  const contested = await guestCart();
  await contested.add(one, 3);
  const both = await Promise.all([who, other].map(({ api }) => api.call('cart_merge', { body: { cart_id: contested.id }, expect: [200, 409] })));
  assert.deepStrictEqual(both.map(({ status }) => status).sort(), [200, 409]);
  const total = (await cartOf(who)).body.item_count + (await cartOf(other)).body.item_count;
  assert.strictEqual(total, 5);
  await env.verify();
});

// ---- miles ----

test('CRT-1 CHK-2 a customer\'s cart shows what may be redeemed', async () => {
  const who = await customer(env);
  const { variants: [one] } = await goods(env, { priceMinor: 50000 });
  const cart = await cartOf(who);
  await cart.add(one, 2);
  assert.deepStrictEqual([cart.body.miles.available_points, cart.body.miles.maximum], [0, 0]);
  await givePoints(env, who.uuid, 3050);
  const { miles } = await cart.read();
  // 100 points are HK$10, and the whole of HK$1,000 may be covered; the balance reaches for 3,000 in steps of 100.
  assert.deepStrictEqual(miles, { available_points: 3050, minimum: 500, maximum: 3000, step: 100, required_points: 0, maximum_value_minor: 30000, policy_version: miles.policy_version });
  await givePoints(env, who.uuid, 100000);
  assert.strictEqual((await cart.read()).miles.maximum, 10000);
});

test('CHK-2 the quote lists cash for every possible split, and answers one exactly', async () => {
  const who = await customer(env, { points: 100000 });
  const { variants: [one] } = await goods(env, { priceMinor: 50000 });
  const cart = await cartOf(who);
  await cart.add(one, 2);
  const quote = async (points, expect = 200) => (await who.api.call('cart_quote_show', { query: { points }, expect })).body;
  const all = await quote();
  assert.strictEqual(all.complete, true);
  assert.deepStrictEqual(all.splits.map(({ points }) => points), [0, ...Array.from({ length: 96 }, (_, i) => 500 + 100 * i)]);
  for (const { points, points_value_minor, cash_minor } of all.splits) {
    assert.deepStrictEqual([points_value_minor, cash_minor], [points * 10, 100000 - points * 10]);
  }
  assert.ok(!('exact' in all) && !('refusal' in all));
  assert.deepStrictEqual((await quote(2500)).exact, { points: 2500, points_value_minor: 25000, cash_minor: 75000 });
  for (const [points, refusal] of [[499, 'below_minimum'], [550, 'off_step'], [10100, 'above_maximum']]) {
    const body = await quote(points);
    assert.deepStrictEqual([body.refusal, 'exact' in body], [refusal, false]);
  }
  await cart.set(one, { quantity: 99 });
  const sampled = await quote(12300);
  assert.deepStrictEqual([sampled.complete, sampled.splits.length], [false, 200]);
  assert.strictEqual(sampled.splits.at(-1).points, sampled.miles.maximum);
  assert.strictEqual(sampled.exact.points_value_minor, 123000);
  await who.api.call('cart_quote_show', { query: { points: -1 }, invalid: true, expect: 400 });
  await env.api.call('cart_quote_show', { expect: 401 });
});

test('CHK-2 CHK-4 the quote offers no split whose cash the payment gateway would not take', async () => {
  const who = await customer(env, { points: 100000 });
  const { variants: [one] } = await goods(env, { priceMinor: 6300 });
  const cart = await cartOf(who);
  await cart.add(one);
  const quote = async (points) => (await who.api.call('cart_quote_show', { query: { points }, expect: 200 })).body;
  const { body } = await who.api.call('cart_quote_show', { expect: 200 });
  assert.deepStrictEqual([body.least_cash_minor, body.most_cash_minor], [400, 99999999]);
  assert.deepStrictEqual(body.splits, [{ points: 0, points_value_minor: 0, cash_minor: 6300 }, { points: 500, points_value_minor: 5000, cash_minor: 1300 },
    { points: 630, points_value_minor: 6300, cash_minor: 0 }], '600 miles would leave HKD 3.00');
  assert.deepStrictEqual([(await quote(600)).refusal, 'exact' in await quote(600)], ['below_least_charge', false]);
  assert.strictEqual((await quote(630)).exact.cash_minor, 0);
  await who.api.call('order_place', { body: orderOf([[one, 1]], { points: 600 }), expect: 409 });
  const { variants: [dear] } = await goods(env, { priceMinor: 60000000 });
  await cart.add(dear, 2);
  assert.strictEqual((await quote(0)).refusal, 'above_most_charge');
});

test('CHK-2 CHK-4 what is sold for points alone needs them, what is sold for cash alone takes none', async () => {
  const who = await customer(env, { points: 100000 });
  const { variants: [points] } = await goods(env, { priceMinor: 20000, tender: 'points_only' });
  const { variants: [cash] } = await goods(env, { priceMinor: 30000, tender: 'cash_only' });
  const cart = await cartOf(who);
  await cart.add(points);
  await cart.add(cash);
  const { body } = await who.api.call('cart_quote_show', { query: { points: 0 }, expect: 200 });
  assert.strictEqual(body.refusal, 'below_required');
  assert.deepStrictEqual(body.splits, [{ points: 2000, points_value_minor: 20000, cash_minor: 30000 }]);
});

// ---- bounds and upkeep ----

test('API-3 reading a cart takes as many statements with one line as with fifty', async () => {
  const server = await Environment.start({ roles: ['serve'] });
  try {
    const who = await customer(server);
    const { variants } = await goods(server, { variants: 50 });
    const cart = new Cart(who.api, await who.api.call('cart_mine_show', { expect: 200 }));
    await cart.add(variants[0]);
    await cart.read();
    const few = await server.statements(() => cart.read());
    for (const variant of variants.slice(1)) await cart.add(variant);
    assert.strictEqual(await server.statements(() => cart.read()), few);
    assert.ok(few >= 1 && few <= 3, `${few} statements`); // the cart, the policy of miles, the balance
  } finally {
    await server.stop();
  }
});

test('JOB-3 guests\' carts that nobody touches are removed, others stay', async () => {
  const { variants: [one] } = await goods(env);
  const [old, fresh] = [await guestCart(), await guestCart()];
  const who = await customer(env);
  const mine = await cartOf(who);
  for (const cart of [old, fresh, mine]) await cart.add(one);
  await env.query(`UPDATE cart SET updated_at = now() - interval '31 days' WHERE id = ANY($1)`, [[old, mine].map(({ id }) => uuidOf(id))]);
  for (let i = 0; i < 2; i += 1) assert.strictEqual((await env.run('tasks', 'run', 'cart_sweep')).code, 0);
  await poll(async () => (await env.api.call('cart_show', { path: { cart_id: old.id } })).status === 404, { what: 'the old cart to go' });
  await fresh.read();
  await mine.read();
  assert.deepStrictEqual(await env.query('SELECT 1 FROM cart_item WHERE cart_id = $1', [uuidOf(old.id)]), []);
});
