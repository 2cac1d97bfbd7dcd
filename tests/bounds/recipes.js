'use strict';
// What makes an operation succeed, where the schema alone does not tell: each recipe gives what is put over a request that was made
// from the contract, {path, query, headers, body, …}, and may name somebody else to send it ({actor}). It reads what it needs over
// the same client, so that its own requests are judged too.
const crypto = require('node:crypto');
const { exchange, sleep, SECRETS } = require('../harness');
const { PREFIXES } = require('../harness/contract');

const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

const empty = () => ({ path: {}, query: {}, headers: {} });

/** The newest ETag of a thing, asked for. */
async function etag(fuzzer, actor, show, path, thing) {
  await fuzzer.send(show, actor, { ...empty(), path }, 'read before a change');
  return fuzzer.etags.get(thing) ?? '"1"';
}

function isoIn(seconds) {
  return new Date(Date.now() + seconds * 1000).toISOString();
}

/** Products of a variant, and the price in force: {product, prices: Map of variant → minor}. */
async function priced(fuzzer, actor, variant, currency) {
  const product = fuzzer.parents.get(variant);
  if (!product) return undefined;
  const { status, body } = await fuzzer.send('product_show', actor, { ...empty(), path: { product } }, 'read before a purchase');
  if (status !== 200) {
    fuzzer.onSale = fuzzer.onSale?.filter((one) => one !== variant); // archived meanwhile
    return undefined;
  }
  const found = body.variants.find((one) => one.id === variant)?.prices.find((price) => price.currency === currency);
  return found?.amount_minor;
}

/** The lines of an order of what is on sale: up to `most`, in one currency. */
async function lines(fuzzer, actor, currency, most, quantity) {
  const made = new Map();
  for (let i = 0; i < most * 2 && made.size < most; i += 1) {
    const variant = fuzzer.onSale?.length > 0 && fuzzer.chance.happens(0.9) ? fuzzer.chance.of(fuzzer.onSale.slice(-25)) : fuzzer.pick(actor, 'variant');
    if (made.has(variant)) continue;
    const price = await priced(fuzzer, actor, variant, currency);
    if (price !== undefined) made.set(variant, { variant_id: variant, quantity: quantity(), unit_price_minor: price });
  }
  return [...made.values()];
}

/** Quantities that are small, at the bound, or between. */
function quantities(fuzzer, style) {
  return () => (style === 'most' ? 999 : style === 'plain' || style === 'least' ? fuzzer.chance.between(1, 3) : fuzzer.chance.of([1, 2, 9, 11, 500, 999]));
}

/** The cart that this actor may change. */
async function cartOf(fuzzer, actor) {
  if (actor.role === 'customer') {
    const { body } = await fuzzer.send('cart_mine_show', actor, empty(), 'read before a change');
    return body?.id;
  }
  const known = actor.seen.ids('cart');
  if (known.length > 0 && fuzzer.chance.happens(0.7)) return known.at(-1);
  const { body } = await fuzzer.send('cart_create', actor, { ...empty(), body: { currency: 'HKD' } }, 'before a change');
  return body?.id;
}

async function cartChange(fuzzer, actor, more = {}) {
  const cart = await cartOf(fuzzer, actor) ?? fuzzer.pick(actor, 'cart');
  return { path: { cart_id: cart, ...more }, headers: { 'If-Match': await etag(fuzzer, actor, 'cart_show', { cart_id: cart }, cart) } };
}

async function itemOf(fuzzer, actor) {
  const change = await cartChange(fuzzer, actor);
  const { body } = await fuzzer.send('cart_show', actor, { ...empty(), path: { cart_id: change.path.cart_id } }, 'read before a change');
  let inside = [...(body?.lines ?? []), ...(body?.saved_lines ?? [])];
  if (inside.length === 0 && fuzzer.onSale?.length > 0) {
    const variant = fuzzer.chance.of(fuzzer.onSale.slice(-10));
    const { body: filled } = await fuzzer.send('cart_item_add', actor, { ...empty(), ...change, body: { variant_id: variant, quantity: 1, saved: fuzzer.chance.happens(0.5) } }, 'before a change');
    inside = [...(filled?.lines ?? []), ...(filled?.saved_lines ?? [])];
    change.headers['If-Match'] = fuzzer.etags.get(change.path.cart_id) ?? '"1"';
  }
  return { ...change, path: { ...change.path, variant_id: inside.length > 0 ? fuzzer.chance.of(inside).variant_id : fuzzer.pick(actor, 'variant') } };
}

/** A product that the actor manages, as it is now. */
async function managed(fuzzer, actor, wanted = () => true) {
  for (let i = 0; i < 4; i += 1) {
    const product = fuzzer.pick(actor, 'product');
    const { status, body } = await fuzzer.send('managed_product_show', actor, { ...empty(), path: { product_id: product } }, 'read before a change');
    if (status === 200 && wanted(body)) return body;
  }
  return undefined;
}

function slug(fuzzer, style) {
  const text = `s-${fuzzer.next()}-${fuzzer.chance.hex(4)}`;
  return style === 'most' ? text.padEnd(100, 'z') : text;
}

/** Codes that few share: facets have to tell many of them. */
function manyCodes(fuzzer) {
  return Array.from({ length: 3 }, (_, index) => `c${index}${'x'.repeat(fuzzer.chance.of([1, 35]))}${fuzzer.chance.below(999)}`);
}

/** Something that staff and vendors own alike: vendors leave vendor_id out. */
function ownedBy(fuzzer, actor) {
  return actor.role === 'vendor' ? undefined : fuzzer.actors.find((one) => one.role === 'vendor' && one.seen.ids('vendor').length > 0)?.seen.ids('vendor')[0];
}

function signedStripe(text) {
  const seconds = Math.floor(Date.now() / 1000);
  return `t=${seconds},v1=${crypto.createHmac('sha256', SECRETS.stripe_webhook_secret).update(`${seconds}.${text}`).digest('hex')}`;
}

function signedEasypost(text) {
  return `hmac-sha256-hex=${crypto.createHmac('sha256', SECRETS.easypost_webhook_secret).update(text).digest('hex')}`;
}

const EXTREMES = [0, 1, -1, 99, 99999999, 100000000, 2147483647, 2147483648, 9007199254740991, 1e15, 1e18, 9223372036854775807, -9223372036854775808, 1e300, 1.5, '1', null, true, [], {}];

/** An event of the gateway: of a payment that there is, with one member or another at an extreme. */
async function stripeEvent(fuzzer) {
  const { chance } = fuzzer;
  const rows = await fuzzer.env.query('SELECT id, order_id, intent_id, amount_minor, currency FROM payment WHERE intent_id IS NOT NULL ORDER BY created_at DESC LIMIT 20');
  const payment = rows.length > 0 ? chance.of(rows) : { id: crypto.randomUUID(), order_id: crypto.randomUUID(), intent_id: 'pi_none', amount_minor: '100', currency: 'HKD' };
  const wire = (kind, id) => `${PREFIXES[kind]}_${id.replace(/-/g, '')}`;
  const object = { id: payment.intent_id, object: 'payment_intent', amount: Number(payment.amount_minor), amount_received: Number(payment.amount_minor), currency: payment.currency.toLowerCase(),
    status: chance.of(['succeeded', 'processing', 'canceled', 'requires_payment_method', 'none']), metadata: { order_id: wire('order', payment.order_id), payment_id: wire('payment', payment.id) } };
  const type = chance.of(['payment_intent.succeeded', 'payment_intent.payment_failed', 'payment_intent.canceled', 'charge.refunded', 'refund.updated', 'refund.failed', 'charge.dispute.created', 'customer.created']);
  if (/refund|dispute|charge/.test(type)) Object.assign(object, { id: `re_${chance.hex(10)}`, object: 'refund', payment_intent: payment.intent_id, amount_refunded: chance.of(EXTREMES) });
  // An event that says what did not happen would pay orders for nothing; only what cannot be true is told.
  const name = chance.of(['amount', 'amount_received', 'currency', 'id', 'status', 'metadata', 'payment_intent', 'created']);
  object[name] = name.startsWith('amount') ? chance.of(EXTREMES.filter((value) => value !== object[name])) : chance.of(EXTREMES.concat(fuzzer.values.anything(3)));
  return JSON.stringify({ id: `evt_${chance.hex(16)}`, object: 'event', type, created: chance.of(EXTREMES), data: { object } });
}

async function easypostEvent(fuzzer) {
  const { chance } = fuzzer;
  const rows = await fuzzer.env.query('SELECT tracker_id, tracking_code FROM shipment WHERE tracking_code IS NOT NULL ORDER BY id DESC LIMIT 20');
  const shipment = rows.length > 0 ? chance.of(rows) : { tracker_id: 'trk_none', tracking_code: 'NONE' };
  const result = { id: shipment.tracker_id, object: 'Tracker', tracking_code: shipment.tracking_code, status: chance.of(['unknown', 'pre_transit', 'in_transit', 'out_for_delivery', 'delivered', 'failure', 'return_to_sender', 'none']),
    tracking_details: [{ object: 'TrackingDetail', status: 'in_transit', message: fuzzer.values.make({ type: 'string', maxLength: 3000 }, 'mixed'), datetime: fuzzer.values.make({ type: 'string', format: 'date-time' }, 'mixed'), tracking_location: { city: 'Kowloon', country: 'HK' } }] };
  if (chance.happens(0.5)) result[chance.of(Object.keys(result))] = chance.of(EXTREMES.concat([fuzzer.values.anything(4)]));
  return JSON.stringify({ id: `evt_${chance.hex(16)}`, object: 'Event', description: 'tracker.updated', mode: 'test', result });
}

async function sandbox(fuzzer, path, body = {}) {
  const text = JSON.stringify(body);
  await exchange(fuzzer.env.sandboxUrl + path, { method: 'POST', body: text, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) } }).catch(() => {});
}

/** A refund that the gateway could not make, of an order that was paid in cash. */
async function failedRefund(fuzzer) {
  const paid = "SELECT o.id FROM orders o JOIN payment p ON p.order_id = o.id WHERE p.state = 'succeeded' AND p.refunded_minor = 0 AND o.state IN ('confirmed', 'processing', 'shipped', 'delivered') LIMIT 1";
  const [order] = await fuzzer.env.query(paid);
  if (!order) return undefined;
  await sandbox(fuzzer, '/sandbox/faults', { partner: 'gateway', name: 'refund_pending', calls: 1, value: 0 });
  const staff = fuzzer.actor('support');
  await fuzzer.send('order_refund', staff, fuzzer.request('order_refund', staff, 'plain', { path: { order_id: `${PREFIXES.order}_${order.id.replace(/-/g, '')}` } }), 'before it fails');
  for (let i = 0; i < 60; i += 1) {
    const [refund] = await fuzzer.env.query('SELECT id, gateway_id, state FROM refund WHERE order_id = $1 ORDER BY id DESC LIMIT 1', [order.id]);
    if (refund?.state === 'failed') return `${PREFIXES.refund}_${refund.id.replace(/-/g, '')}`;
    if (!refund || refund.state === 'succeeded') return undefined;
    if (refund.gateway_id && i % 10 === 0) await sandbox(fuzzer, `/sandbox/refunds/${refund.gateway_id}/fail`);
    await sleep(50);
  }
  return undefined;
}

/** A parcel whose label the carrier refused: its order was put right to a street that is not there, and paid. */
async function refusedLabel(fuzzer) {
  const refused = async () => (await fuzzer.env.query("SELECT id FROM shipment WHERE state = 'created' AND problem IS NOT NULL ORDER BY id DESC LIMIT 1"))[0];
  let found = await refused();
  const [order] = found ? [] : await fuzzer.env.query(`SELECT o.id, p.intent_id FROM orders o JOIN payment p ON p.order_id = o.id
    WHERE o.state = 'pending_payment' AND p.state = 'pending' AND p.intent_id IS NOT NULL AND o.expires_at > now() + interval '1 minute' ORDER BY o.id DESC LIMIT 1`);
  if (order) {
    const staff = fuzzer.actor('support');
    const body = { name: 'Wing Chan', line1: '1 Nowhere Street', city: 'Hong Kong', country: 'HK' };
    await fuzzer.send('order_address_set', staff, { ...empty(), path: { order_id: `${PREFIXES.order}_${order.id.replace(/-/g, '')}` }, body }, 'before a label is refused');
    await sandbox(fuzzer, `/sandbox/payment_intents/${order.intent_id}/pay`);
    for (let i = 0; i < 100 && !found; i += 1) {
      await sleep(50);
      found = await refused();
    }
  }
  return found ? { path: { shipment_id: `${PREFIXES.shipment}_${found.id.replace(/-/g, '')}` } } : {};
}

/** The link of a mail that leads to an order's page. */
async function mailedOrder(fuzzer) {
  const { text } = await exchange(`${fuzzer.env.sandboxUrl}/mailbox`);
  for (const [, path] of [...text.matchAll(/href="(\/mailbox\/[^"]+)"/g)].slice(0, 20)) {
    const mail = await exchange(fuzzer.env.sandboxUrl + path);
    const found = /\/orders\/(ord_[0-9a-f]{32})\?key=([\w-]+)/.exec(mail.text);
    if (found) return { path: { order_id: found[1] }, query: { key: found[2] } };
  }
  return {};
}

/** recipe(fuzzer, actor, style) */
const RECIPES = {
  user_register: async (f) => ({ body: { email: `fuzz.${f.next()}.${f.chance.hex(6)}@people.example`, password: `blue harbour ${f.chance.hex(10)}`, cart_id: undefined } }),
  session_sign_in: async (f) => { const { person } = f.chance.of(f.actors.filter((actor) => actor.person)); return { body: { email: person.email, password: person.password, cart_id: undefined } }; },
  session_refresh: async (f) => { const actor = await f.passer(); return { actor: f.guest, body: { refresh_token: actor.person.refreshToken } }; },
  session_sign_out: async (f) => ({ actor: await f.passer() }),
  session_sign_out_all: async (f) => ({ actor: await f.passer() }),
  me_password_set: async (f) => { const actor = await f.passer(); return { actor, body: { current_password: actor.person.password, new_password: `green harbour ${f.chance.hex(10)}` } }; },
  user_create: async (f, actor) => {
    const role = f.chance.of(actor.role === 'admin' ? ['vendor', 'support', 'manager', 'admin'] : ['vendor', 'support']);
    return { body: { email: `staff.${f.next()}.${f.chance.hex(6)}@people.example`, password: `blue harbour ${f.chance.hex(10)}`, role, vendor_id: role === 'vendor' ? f.pick(actor, 'vendor') : undefined } };
  },
  user_block: async (f) => ({ path: { user_id: (await f.passer()).person.id } }),
  user_unblock: async (f) => ({ path: { user_id: (await f.passer()).person.id } }),
  customer_loyalty_show: async (f) => ({ path: { user_id: f.actor('customer').person.id } }),
  customer_loyalty_statement_list: async (f) => ({ path: { user_id: f.actor('customer').person.id } }),
  loyalty_adjustment_create: async (f, actor, style) => ({ path: { user_id: f.actor('customer').person.id }, ...(style === 'plain' ? { body: { points: f.chance.of([1000, 50000, 100000, -10]) } } : {}) }),
  user_show: async (f) => ({ path: { user_id: f.actor('customer').person.id } }),
  category_create: async (f, actor, style) => ({ body: { slug: slug(f, style), parent_id: f.chance.happens(0.2) ? f.pick(actor, 'category') : undefined } }),
  category_update: async (f, actor, style) => { const id = f.pick(actor, 'category'); return { path: { category_id: id }, headers: { 'If-Match': await etag(f, actor, 'category_show', { category_id: id }, id) }, body: { slug: slug(f, style) } }; },
  vendor_create: async (f, actor, style) => ({ body: { slug: slug(f, style) } }),
  vendor_update: async (f, actor, style) => {
    const { body } = await f.send('vendor_create', actor, f.request('vendor_create', actor, 'plain', { body: { slug: slug(f, 'plain') } }), 'before a change');
    const id = body?.id ?? f.pick(actor, 'vendor');
    return { path: { vendor_id: id }, headers: { 'If-Match': await etag(f, actor, 'vendor_show', { vendor_id: id }, id) }, body: { slug: slug(f, style) } };
  },
  vendor_show: async (f, actor) => (actor.role === 'vendor' ? { path: { vendor_id: actor.seen.ids('vendor')[0] } } : {}),
  attribute_put: async (f) => ({ path: { code: f.chance.of(['material', 'size', 'colour', 'weight', 'organic', `a${f.chance.below(30)}`]) } }),
  product_create: async (f, actor, style) => ({ body: { category_id: f.seen.ids('category').at(-1) ?? f.pick(actor, 'category'), slug: f.chance.happens(0.5) ? slug(f, style) : undefined, vendor_id: ownedBy(f, actor),
    ...(f.chance.happens(0.8) ? { attributes: {}, options: f.chance.of([[], ['size'], ['size', 'colour'], manyCodes(f)]) } : {}) } }),
  product_update: async (f, actor, style) => {
    const product = await managed(f, actor);
    if (!product) return {};
    return { path: { product_id: product.id }, headers: { 'If-Match': f.etags.get(product.id) }, body: { category_id: f.pick(actor, 'category'), slug: slug(f, style), options: undefined, ...(f.chance.happens(0.7) ? { attributes: {} } : {}) } };
  },
  managed_product_show: async (f, actor) => ({ path: { product_id: f.pick(actor, 'product') } }),
  product_show: async (f) => ({ path: { product: f.onSale?.length > 0 ? f.parents.get(f.chance.of(f.onSale)) ?? 'none' : 'none' } }),
  stock_show: async (f, actor) => ({ path: { variant_id: f.onSale?.at(-1) ?? f.pick(actor, 'variant') } }),
  product_archive: async (f, actor) => { const product = await managed(f, actor, (one) => one.state !== 'archived' && !one.variants.some((variant) => f.onSale?.slice(-10).includes(variant.id))); return product ? { path: { product_id: product.id } } : {}; },
  variant_create: async (f, actor, style) => {
    const product = await managed(f, actor, (one) => one.state !== 'archived');
    if (!product) return {};
    const options = Object.fromEntries(product.options.map((code) => [code, style === 'most' ? '🧧'.repeat(40) : `v${f.next()}`]));
    return { path: { product_id: product.id }, body: { sku: `SKU-${f.next()}-${f.chance.hex(4)}`, options: product.options.length > 0 ? options : undefined } };
  },
  media_create: async (f, actor, style) => {
    const product = await managed(f, actor);
    return { ...(product ? { path: { product_id: product.id } } : {}), contentType: 'image/png', body: style === 'most' ? Buffer.concat([PNG, Buffer.alloc(1048576 - PNG.length)]) : PNG };
  },
  media_delete: async (f, actor) => ({ path: { media_id: f.pick(actor, 'media') } }),
  variant_update: async (f, actor) => {
    const product = await managed(f, actor, (one) => one.variants.length > 0);
    if (!product) return {};
    return { path: { variant_id: f.chance.of(product.variants).id }, headers: { 'If-Match': f.etags.get(product.id) }, body: { sku: `SKU-${f.next()}-${f.chance.hex(4)}`, state: f.chance.happens(0.9) ? 'active' : 'archived' } };
  },
  price_create: async (f, actor, style) => {
    const amount = style === 'plain' ? f.chance.of([100, 2500, 99900, 10000000]) : style === 'most' ? 100000000000 : style === 'least' ? 1 : f.chance.of([1, 99, 100000, 99999999, 100000000, 1000000000, 99999999999, 100000000000]);
    return { body: { amount_minor: amount, compare_at_minor: f.chance.happens(0.3) && amount < 100000000000 ? f.chance.of([amount + 1, 100000000000]) : undefined,
      valid_from: f.chance.happens(0.8) ? undefined : isoIn(f.chance.between(-1000, 1000)), valid_until: f.chance.happens(0.8) ? undefined : isoIn(f.chance.between(1001, 5000)) } };
  },
  movement_create: async (f, actor, style) => {
    const reason = f.chance.of(['receipt', 'receipt', 'receipt', 'correction', 'damage']);
    const size = style === 'most' ? 1000000 : f.chance.of([1, 10, 5000, 1000000]);
    const sign = reason === 'damage' || (reason === 'correction' && f.chance.happens(0.5)) ? -1 : 1;
    return { body: { reason, quantity: sign * size } };
  },
  location_create: async (f, actor) => ({ body: { code: `L${f.chance.hex(10).toUpperCase()}`, country: f.chance.of(['HK', 'US', 'CN']), vendor_id: ownedBy(f, actor) } }),
  miles_policy_create: async (f, actor, style) => (style === 'plain' ? { body: { minimum_points: 500, step_points: 100, maximum_share: 10000, excluded_categories: [], rates: [
    { currency: 'HKD', points_unit: 100, minor_unit: 1000, earn_minor: 500, earn_points: 1 }, { currency: 'USD', points_unit: 100, minor_unit: 120, earn_minor: 60, earn_points: 1 }] } }
    : { body: { maximum_share: f.chance.of([0, 1, 5000, 9999, 10000]), excluded_categories: f.chance.happens(0.7) ? [] : undefined, rates: ['HKD', 'USD'].map((currency) => ({ currency,
      points_unit: f.chance.of([1, 3, 1000, 1000000]), minor_unit: f.chance.of([1, 7, 1000, 1000000]), earn_minor: f.chance.of([1, 100, 1000000]), earn_points: f.chance.of([0, 1, 1000, 1000000]) })) } }),
  cart_update: async (f, actor) => cartChange(f, actor),
  cart_show: async (f, actor) => ({ path: { cart_id: await cartOf(f, actor) ?? f.pick(actor, 'cart') } }),
  cart_item_add: async (f, actor, style) => ({ ...await cartChange(f, actor), body: { variant_id: f.onSale?.length > 0 ? f.chance.of(f.onSale.slice(-25)) : f.pick(actor, 'variant'), quantity: quantities(f, style)() } }),
  cart_clear: async (f, actor) => cartChange(f, actor),
  cart_item_update: async (f, actor) => itemOf(f, actor),
  cart_item_remove: async (f, actor) => itemOf(f, actor),
  cart_merge: async (f) => ({ body: { cart_id: await cartOf(f, f.guest) } }),
  order_place: async (f, actor, style) => {
    const currency = style === 'plain' || f.chance.happens(0.85) ? 'HKD' : 'USD';
    const wanted = style === 'most' ? 12 : style === 'mixed' ? f.chance.of([1, 2, 5]) : 1;
    let made = await lines(f, actor, currency, wanted, quantities(f, style));
    if (made.length === 0) { await f.restock(); made = await lines(f, actor, currency, wanted, quantities(f, style)); }
    const points = style === 'least' || f.chance.happens(0.6) ? 0 : f.chance.of([500, 1000, 1000000000, 777]);
    return { body: { currency, ...(made.length > 0 ? { lines: made } : {}), points, cash_minor: undefined, cart_id: undefined, cart_version: undefined, address: { name: 'Fuzz', line1: '1 Road', city: 'Hong Kong', country: 'HK', phone: '+852 5555 0100' } } };
  },
  sale_create: async (f, actor, style) => ({ body: { variant_id: f.onSale?.at(-1) ?? f.pick(actor, 'variant'), quantity: style === 'most' ? 100000 : f.chance.between(5, 1000), per_customer: style === 'most' ? 999 : f.chance.between(1, 5),
    price_minor: style === 'most' ? 100000000000 : style === 'least' ? 1 : f.chance.of([100, 5000, 99999999, 100000000000]), starts_at: f.chance.happens(0.8) ? isoIn(-1) : '0001-01-01T00:00:00Z', ends_at: f.chance.happens(0.7) ? isoIn(600) : '9999-12-31T23:59:59Z' } }),
  sale_order_place: async (f, actor, style) => ({ body: { quantity: style === 'most' ? 999 : 1, points: f.chance.happens(0.8) ? 0 : 500, cash_minor: undefined, address: { name: 'Fuzz', line1: '1 Road', city: 'Hong Kong', country: 'HK', phone: '+852 5555 0100' } } }),
  order_refund: async (f) => { const [row] = await f.env.query("SELECT id FROM orders WHERE state IN ('confirmed', 'processing', 'shipped', 'delivered') ORDER BY random() LIMIT 1"); return row ? { path: { order_id: `${PREFIXES.order}_${row.id.replace(/-/g, '')}` } } : {}; },
  order_page: (f) => mailedOrder(f),
  shipment_label_retry: async (f) => (f.chance.happens(0.2) || f.unreached().includes('shipment_label_retry') ? refusedLabel(f) : {}),
  refund_retry: async (f) => { const refund = f.chance.happens(0.5) || f.unreached().includes('refund_retry') ? await failedRefund(f) : undefined; return refund ? { path: { refund_id: refund } } : {}; },
  vendor_order_show: async (f, actor) => { const { body } = await f.send('vendor_order_list', actor, empty(), 'read before'); return body?.items?.length > 0 ? { path: { order_id: f.chance.of(body.items).id } } : {}; },
  loyalty_transfer_reverse: async (f, actor) => {
    const { body } = await f.send('loyalty_adjustment_create', actor, f.request('loyalty_adjustment_create', actor, 'plain', { path: { user_id: f.actor('customer').person.id }, body: { points: 1000 } }), 'before its reversal');
    return body?.transfer_id ? { path: { transfer_id: body.transfer_id } } : {};
  },
  stripe_webhook: async (f) => { const text = await stripeEvent(f); return { body: Buffer.from(text), headers: { 'Stripe-Signature': signedStripe(text) } }; },
  easypost_webhook: async (f) => { const text = await easypostEvent(f); return { body: Buffer.from(text), headers: { 'X-Hmac-Signature': signedEasypost(text) } }; },
};

/** A request that should succeed, as far as one can know: {actor, request}. */
async function prepared(fuzzer, id, actor, style) {
  const recipe = RECIPES[id] ? await RECIPES[id](fuzzer, actor, style) : {};
  const who = recipe.actor ?? actor;
  const { actor: _, ...over } = recipe;
  return { actor: who, request: fuzzer.request(id, who, style, over) };
}

module.exports = { prepared, sandbox, empty, isoIn, PNG };
