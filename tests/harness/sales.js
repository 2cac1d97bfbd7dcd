'use strict';
// Flash sales for tests.
const crypto = require('node:crypto');
const { goods, ADDRESS } = require('./goods');
const { makePerson, uuidOf, wireId } = require('./people');
const { sleep, TOKEN_KEY } = require('./environment');

const managers = new WeakMap();

/** The manager of this shop: one for all sales of a file. */
async function manager(env) {
  const key = env.db;
  if (!managers.has(key)) managers.set(key, makePerson(env, 'manager'));
  return managers.get(key);
}

/**
 * A sale of `quantity` units of a variant with `onHand` pieces that begins in `inMs` and lasts `forMs`. Adds to what the shop answers:
 * {wire, uuid, variant, buy(buyer, {quantity, client, key, …}), row(), claims()}.
 */
async function saleOf(env, { quantity = 10, perCustomer = 1, priceMinor = 5000, onHand = 1000, inMs = -1000, forMs = 600000, variant, expect = 201 } = {}) {
  const unit = variant ?? (await goods(env, { onHand })).variants[0];
  const now = Date.now();
  const { body } = await (await manager(env)).api.call('sale_create', { expect,
    body: { variant_id: unit.wire, currency: 'HKD', price_minor: priceMinor, quantity, per_customer: perCustomer,
      starts_at: new Date(now + inMs).toISOString(), ends_at: new Date(now + inMs + forMs).toISOString() } });
  if (expect !== 201) return body;
  const uuid = uuidOf(body.id);
  return {
    ...body, wire: body.id, uuid, variant: unit,
    buy: (buyer, { quantity: units = 1, client = buyer.api, points, cash_minor: cash, ...options } = {}) => client.as(buyer.token).call('sale_order_place',
      { path: { sale_id: body.id }, body: { quantity: units, address: ADDRESS, ...(points ? { points } : {}), ...(cash ? { cash_minor: cash } : {}) }, ...options }),
    row: async () => (await env.query('SELECT * FROM sale WHERE id = $1', [uuid]))[0],
    claims: () => env.query('SELECT * FROM sale_claim WHERE sale_id = $1 ORDER BY order_id', [uuid]),
  };
}

/** Thousands of customers who are signed in, beside the HTTP interface: {id, uuid, token, api}. */
async function crowd(env, count) {
  const people = await env.query(`
    WITH person AS (
      INSERT INTO users (id, email, password_hash, name, role)
      SELECT id, id || '@crowd.example', '!', 'One of many', 'customer' FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, $1)) made
      RETURNING id
    ), account AS (INSERT INTO ledger_account (id, kind, user_id) SELECT gen_random_uuid(), 'customer', id FROM person)
    , signed_in AS (INSERT INTO session (id, user_id, expires_at) SELECT id, id, now() + interval '1 day' FROM person RETURNING id)
    , token AS (INSERT INTO refresh_token (hash, session_id) SELECT sha256(id::text::bytea), id FROM signed_in)
    SELECT id AS uuid FROM person`, [count]);
  return people.map(({ uuid }) => {
    const token = accessToken(env, uuid);
    return { id: wireId('usr', uuid), uuid, token, api: env.api.as(token) };
  });
}

const SIGNING_KEY = crypto.createPrivateKey({ format: 'der', type: 'pkcs8', key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), TOKEN_KEY.seed]) });

/** As the shop signs them; a session has its customer's identifier here. */
function accessToken(env, uuid, { lives = 900 } = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const text = `${part({ alg: 'EdDSA', typ: 'JWT', kid: TOKEN_KEY.kid })}.${part({ iss: env.settings.public_url, aud: 'cathay-shop', sub: wireId('usr', uuid),
    role: 'customer', sid: wireId('ses', uuid), iat: now + Math.min(lives, 0) - 1, exp: now + lives })}`;
  return `${text}.${crypto.sign(null, Buffer.from(text), SIGNING_KEY).toString('base64url')}`;
}

/** Tries again with the same key until the shop has said yes or no. */
async function buyFirmly(sale, buyer, clients, { stop = () => false, ...options } = {}) {
  const key = options.key ?? `firm-${buyer.id}`;
  for (let attempt = 0; !stop(); attempt += 1) {
    const client = clients[attempt % clients.length]();
    const answer = await sale.buy(buyer, { ...options, client, key }).catch(() => null);
    if (answer && answer.status !== 503 && answer.status !== 429 && answer.body?.code !== 'idempotency_in_flight') return answer;
    await sleep(30 + attempt * 10);
  }
  return null;
}

const counted = (answers) => answers.reduce((sum, answer) => {
  const word = answer === null ? 'none' : answer.status === 201 ? 'bought' : answer.body.code;
  return { ...sum, [word]: (sum[word] ?? 0) + 1 };
}, {});

module.exports = { saleOf, manager, crowd, accessToken, buyFirmly, counted };
