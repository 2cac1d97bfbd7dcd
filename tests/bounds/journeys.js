'use strict';
// What comes after what, so that requests go deep: goods on a shelf, orders that are paid, sent and refunded, flash sales, rules of miles.
// Each step is a request like any other, in the style that was asked for, and may be refused.
const { sleep } = require('../harness/services');
const { prepared, sandbox, empty, PNG, isoIn } = require('./recipes');
const { merged } = require('./fuzzer');

/** Sends one operation with its recipe, and `over` put over that; the answer. */
async function step(fuzzer, id, actor, style, over = {}) {
  const made = await prepared(fuzzer, id, actor, style);
  return fuzzer.send(id, made.actor, merged(made.request, over), `a step, ${style}`);
}

/** A product on sale, with its bounds in the given style. */
async function shelf(fuzzer, style) {
  const actor = fuzzer.actor(fuzzer.chance.of(['vendor', 'vendor', 'manager', 'admin']));
  if (fuzzer.seen.ids('category').length === 0) await step(fuzzer, 'category_create', fuzzer.actor('manager'), 'plain');
  const { body: product } = await step(fuzzer, 'product_create', actor, style);
  if (!product?.id) return;
  const place = { path: { product_id: product.id } };
  const made = [];
  for (let i = fuzzer.chance.between(1, 3); i > 0; i -= 1) {
    const options = Object.fromEntries(product.options.map((code) => [code, `${fuzzer.next()} ${style === 'most' ? '🧧'.repeat(70) : code}`]));
    const { body } = await step(fuzzer, 'variant_create', actor, style, { ...place, body: { options: product.options.length > 0 ? options : undefined } });
    if (body?.variant_id) made.push(body.variant_id);
  }
  const { body: location } = await step(fuzzer, 'location_create', actor, style, { body: { vendor_id: actor.role === 'vendor' ? undefined : product.vendor_id } });
  for (const variant of made) {
    const of = { path: { variant_id: variant } };
    for (const currency of fuzzer.chance.happens(0.6) ? ['HKD', 'USD'] : ['HKD']) await step(fuzzer, 'price_create', actor, style, { ...of, body: { currency, valid_from: undefined, valid_until: undefined } });
    if (location?.id) await step(fuzzer, 'movement_create', actor, style, { ...of, body: { location_id: location.id, reason: 'receipt', quantity: fuzzer.chance.of([5, 100000, 1000000]) } });
    await step(fuzzer, 'stock_list', actor, style, of);
    await step(fuzzer, 'movement_list', actor, style, of);
    await step(fuzzer, 'price_list', actor, style, of);
  }
  await step(fuzzer, 'media_create', actor, style === 'most' ? 'mixed' : style, { ...place, body: PNG });
  const { status } = await step(fuzzer, 'product_publish', actor, style, place);
  if (status === 200) fuzzer.onSale = [...(fuzzer.onSale ?? []), ...made].slice(-60);
}

/** An order, and what may become of it. */
async function purchase(fuzzer, style) {
  const actor = fuzzer.actor('customer');
  if (!fuzzer.onSale?.length) await shelf(fuzzer, 'plain');
  if (fuzzer.chance.happens(0.5)) await step(fuzzer, 'loyalty_adjustment_create', fuzzer.actor('manager'), style, { path: { user_id: actor.person.id } });
  const { body: order, status } = fuzzer.chance.happens(0.5) ? await fromCart(fuzzer, actor, style) : await step(fuzzer, 'order_place', actor, style);
  if (status !== 201) return;
  const place = { path: { order_id: order.id } };
  await step(fuzzer, 'order_show', actor, style, place);
  await step(fuzzer, 'order_events', actor, style, place);
  if (fuzzer.chance.happens(0.2)) { await step(fuzzer, 'order_cancel', actor, style, place); return; }
  await step(fuzzer, 'order_pay', actor, style, place);
  const [payment] = await fuzzer.env.query('SELECT intent_id FROM payment WHERE order_id = $1 ORDER BY attempt DESC LIMIT 1', [uuid(order.id)]);
  if (payment?.intent_id) await sandbox(fuzzer, `/sandbox/payment_intents/${payment.intent_id}/${fuzzer.chance.happens(0.8) ? 'pay' : 'decline'}`);
  for (let i = 0; i < 20; i += 1) {
    const { body } = await step(fuzzer, 'payment_show', actor, style, place);
    if (body?.order_state !== 'pending_payment') break;
    await sleep(25);
  }
  if (fuzzer.chance.happens(0.5)) await parcels(fuzzer, order.id);
  if (fuzzer.chance.happens(0.4)) await step(fuzzer, 'order_refund', fuzzer.actor('support'), style, place);
  await step(fuzzer, 'refund_list', actor, style, place);
  await step(fuzzer, 'staff_order_show', fuzzer.actor('support'), style, place);
}

async function fromCart(fuzzer, actor, style) {
  await step(fuzzer, 'cart_clear', actor, style);
  for (let i = fuzzer.chance.of([1, 1, 2, 11]); i > 0; i -= 1) await step(fuzzer, 'cart_item_add', actor, style, { body: { saved: false } });
  const { body: cart } = await fuzzer.send('cart_mine_show', actor, empty(), 'read before an order');
  const quote = await step(fuzzer, 'cart_quote_show', actor, style);
  if (!cart?.lines?.length) return { status: 0 };
  const lines = cart.lines.filter((line) => line.unit_price_minor !== undefined).map((line) => ({ variant_id: line.variant_id, quantity: line.quantity, unit_price_minor: line.unit_price_minor }));
  const splits = quote.body?.splits ?? [];
  const split = splits.length > 0 && fuzzer.chance.happens(0.7) ? fuzzer.chance.of(splits) : { points: 0 };
  return step(fuzzer, 'order_place', actor, style, { body: { currency: cart.currency, lines, points: split.points, cart_id: cart.id, cart_version: cart.version, cash_minor: split.cash_minor } });
}

/** The parcels of an order go some steps on. */
async function parcels(fuzzer, orderId) {
  for (let i = 0; i < 10; i += 1) {
    const rows = await fuzzer.env.query('SELECT tracking_code FROM shipment WHERE order_id = $1 AND tracking_code IS NOT NULL', [uuid(orderId)]);
    if (rows.length > 0) {
      for (const row of rows) for (let steps = fuzzer.chance.below(6); steps > 0; steps -= 1) await sandbox(fuzzer, `/sandbox/trackers/${row.tracking_code}/advance`);
      return;
    }
    await sleep(50);
  }
}

async function sale(fuzzer, style) {
  if (!fuzzer.onSale?.length) await shelf(fuzzer, 'plain');
  const manager = fuzzer.actor(fuzzer.chance.of(['manager', 'admin']));
  const { body: made, status } = await step(fuzzer, 'sale_create', manager, style, { body: { variant_id: fuzzer.chance.of(fuzzer.onSale.slice(-10)), starts_at: isoIn(-1), ends_at: isoIn(600) } });
  if (status !== 201) return;
  const place = { path: { sale_id: made.id } };
  for (let i = fuzzer.chance.between(1, 4); i > 0; i -= 1) {
    const actor = fuzzer.actor('customer');
    const { body: order } = await step(fuzzer, 'sale_order_place', actor, style, place);
    if (order?.state === 'pending_payment' && fuzzer.chance.happens(0.5)) await step(fuzzer, 'order_pay', actor, style, { path: { order_id: order.id } });
    await step(fuzzer, 'sale_order_list', actor, style, place);
  }
  await step(fuzzer, 'sale_show', fuzzer.guest, style, place);
  await step(fuzzer, 'sale_manage_show', manager, style, place);
  if (fuzzer.chance.happens(0.6)) await step(fuzzer, 'sale_cancel', manager, style, place);
}

/** Rules of miles at their bounds, orders under them, and back to rules that sell. */
async function miles(fuzzer, style) {
  const manager = fuzzer.actor('manager');
  await step(fuzzer, 'miles_policy_create', manager, style === 'plain' ? 'mixed' : style);
  for (let i = fuzzer.chance.between(1, 3); i > 0; i -= 1) await purchase(fuzzer, style);
  await step(fuzzer, 'loyalty_show', fuzzer.actor('customer'), style, { headers: { 'Cache-Control': 'no-cache' } });
  await step(fuzzer, 'miles_policy_create', manager, 'plain');
}

/** What is on sale, with facets of all there is and of what a seeker chose. */
async function facets(fuzzer, style) {
  const { body } = await step(fuzzer, 'product_list', fuzzer.allowed('product_list'), 'least', { query: { facets: true, limit: fuzzer.chance.of([1, 100]), cursor: undefined, currency: undefined, ...nothing() } });
  const chosen = fuzzer.chance.of((body?.facets?.attributes ?? []).flatMap((facet) => facet.values.map((one) => `${facet.code}:${one.value}`)).concat(['material:silk']));
  await step(fuzzer, 'product_list', fuzzer.allowed('product_list'), style, { query: { facets: true, attribute: [chosen], limit: 100, cursor: undefined, q: fuzzer.chance.happens(0.3) ? 'jade' : undefined } });
}

const nothing = () => Object.fromEntries(['q', 'category_id', 'vendor_id', 'brand', 'price_min', 'price_max', 'attribute', 'in_stock', 'sort'].map((name) => [name, undefined]));

/** Pages of every list, to their ends. */
async function pages(fuzzer, style) {
  const lists = [...fuzzer.contract.operations.keys()].filter((id) => /_list$/.test(id));
  const id = fuzzer.chance.of(lists);
  const actor = fuzzer.allowed(id);
  let over = { query: { limit: fuzzer.contract.operation(id).parameters.some((one) => one.name === 'limit') ? fuzzer.chance.of([1, 2, 100]) : undefined, cursor: undefined } };
  for (let i = 0; i < 5; i += 1) {
    const { body } = await step(fuzzer, id, actor, i === 0 ? style : 'least', over);
    if (!body?.next_cursor) return;
    over = { query: { ...over.query, cursor: body.next_cursor } };
  }
}

const JOURNEYS = { shelf, purchase, sale, miles, facets, pages };

function uuid(wire) {
  const hex = wire.slice(wire.indexOf('_') + 1);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

module.exports = { JOURNEYS };
