'use strict';
// Goods and customers for tests that need their own, in numbers: written as the shop's modules would write them, so that
// `cathay verify` finds nothing wrong with them.
const fs = require('node:fs');
const path = require('node:path');
const { makePerson, uuid7, wireId } = require('./people');

/** The text of a named query of the shop. */
function namedQuery(file, name) {
  const text = fs.readFileSync(path.join(__dirname, '../..', file), 'utf8');
  return text.split(/^-- name: /m).find((part) => part.startsWith(`${name}(`)).replace(/^.*\n/, '');
}

/** Brings a product's listing up to what its rows say; `db` is a pool or a connection. */
function relist(db, product) {
  return db.query(namedQuery('src/shop/catalog/listing.sql', 'listing_refresh').replace(/(?<!:):product_ids/g, '$1::uuid[]'), [[product].flat()]);
}

/**
 * A vendor with one published product of `variants` variants at `locations` places, each with `onHand` pieces at
 * `priceMinor` HKD. Returns {vendor, product, locations, variants: [{id, wire, priceMinor}]}.
 */
async function goods(env, { variants = 1, onHand = 100, priceMinor = 10000, locations = 1, tender = 'any' } = {}) {
  const made = { vendor: uuid7(), product: uuid7(), category: uuid7(), priceMinor,
    locations: Array.from({ length: locations }, () => uuid7()), variants: Array.from({ length: variants }, () => uuid7()).map((id) => ({ id, wire: wireId('var', id), priceMinor })) };
  const name = made.vendor.slice(-12);
  const ids = made.variants.map((variant) => variant.id);
  const client = await env.db.connect();
  try {
    await client.query('BEGIN');
    await client.query('INSERT INTO vendor (id, slug, name) VALUES ($1, $2, $2)', [made.vendor, `vendor-${name}`]);
    await client.query('INSERT INTO category (id, path, slug, name) VALUES ($1, ARRAY[$1]::uuid[], $2, $2)', [made.category, `category-${name}`]);
    await client.query(`INSERT INTO product (id, vendor_id, category_id, category_path, slug, name, state, tender, options, published_at)
      VALUES ($1, $2, $3, ARRAY[$3]::uuid[], $4, $4, 'published', $5, '{number}', now())`, [made.product, made.vendor, made.category, `product-${name}`, tender]);
    await client.query(`INSERT INTO variant (id, product_id, vendor_id, sku, title, options, position)
      SELECT v.id, $2, $3, $4 || '-' || v.n, $4 || ' ' || v.n, jsonb_build_object('number', v.n::text), v.n FROM unnest($1::uuid[]) WITH ORDINALITY v(id, n)`, [ids, made.product, made.vendor, `SKU-${name}`]);
    await client.query(`INSERT INTO location (id, vendor_id, code, name, country, priority)
      SELECT l.id, $2, $3 || '-' || l.n, $3 || ' ' || l.n, 'HK', l.n FROM unnest($1::uuid[]) WITH ORDINALITY l(id, n)`, [made.locations, made.vendor, `LOC-${name}`]);
    await client.query(`INSERT INTO price (id, variant_id, currency, amount_minor, valid_from)
      SELECT gen_random_uuid(), v, 'HKD', $2, now() - interval '1 minute' FROM unnest($1::uuid[]) v`, [ids, priceMinor]);
    await client.query(`INSERT INTO stock (variant_id, location_id, priority, on_hand)
      SELECT v, l.id, l.n, $3 FROM unnest($1::uuid[]) v, unnest($2::uuid[]) WITH ORDINALITY l(id, n)`, [ids, made.locations, onHand]);
    if (onHand > 0) {
      await client.query(`INSERT INTO movement (id, variant_id, location_id, quantity, reason)
        SELECT gen_random_uuid(), v, l, $3, 'receipt' FROM unnest($1::uuid[]) v, unnest($2::uuid[]) l`, [ids, made.locations, onHand]);
    }
    await relist(client, made.product);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    client.release();
  }
  return made;
}

/** Posts miles to a customer's account, as a grant. */
async function givePoints(env, userId, points) {
  await env.query(`INSERT INTO ledger_account (id, kind, user_id) VALUES ($1, 'customer', $2) ON CONFLICT (user_id) DO NOTHING`, [uuid7(), userId]);
  await env.query(`WITH account AS (UPDATE ledger_account SET posted = posted + $2 WHERE user_id = $1 RETURNING id)
    INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, reason)
    SELECT $3, 0, '00000000-0000-8000-8000-000000000001', id, $2, 'posted', 'grant', 'test' FROM account`, [userId, points, uuid7()]);
}

/** A customer who is signed in, with miles. */
async function customer(env, { points = 0 } = {}) {
  const person = await makePerson(env);
  if (points > 0) await givePoints(env, person.uuid, points);
  return person;
}

const ADDRESS = { name: 'Test Customer', line1: '1 Harbour Road', city: 'Hong Kong', country: 'HK', phone: '+852 5555 0100' };

/** The body of order_place for lines [[variant, quantity], …]. */
function orderOf(lines, more = {}) {
  return {
    currency: 'HKD',
    lines: lines.map(([variant, quantity]) => ({ variant_id: variant.wire, quantity, unit_price_minor: variant.priceMinor })),
    address: ADDRESS,
    ...more,
  };
}

module.exports = { goods, relist, givePoints, customer, orderOf, ADDRESS };
