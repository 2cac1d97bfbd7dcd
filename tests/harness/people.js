'use strict';
// People for tests: registered over HTTP as anybody would be; staff and vendors then get their role in the database.
const crypto = require('node:crypto');

const PASSWORD = 'correct horse battery staple';
const ROLES = ['customer', 'vendor', 'support', 'manager', 'admin'];

let count = 0;

/** A UUIDv7, as the shop makes them: tables are partitioned by the time in it. */
function uuid7(when = Date.now()) {
  const bytes = crypto.randomBytes(16);
  bytes.writeUIntBE(when, 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** uuid → "ord_…", and back. */
function wireId(prefix, uuid) {
  return `${prefix}_${uuid.replace(/-/g, '')}`;
}

function uuidOf(wire) {
  const hex = wire.slice(wire.indexOf('_') + 1);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Makes a vendor in the database; its uuid. */
async function makeVendor(environment, name = `Vendor ${count += 1}`) {
  const id = uuid7();
  await environment.query('INSERT INTO vendor (id, slug, name) VALUES ($1, $2, $3)', [id, `vendor-${id}`, name]);
  return id;
}

/**
 * Somebody who is signed in: {id, uuid, email, password, role, token, refreshToken, api}. `api` is the client as this person.
 * role: customer, vendor (vendorId: a uuid, else a new vendor), support, manager, admin.
 */
async function makePerson(environment, role = 'customer', { vendorId, name = `Person ${role}`, api = environment.api, email: given } = {}) {
  count += 1;
  const email = given ?? `${role}.${process.pid}.${count}.${crypto.randomBytes(3).toString('hex')}@people.example`;
  const registered = await api.call('user_register', { token: null, expect: 201, body: { email, password: PASSWORD, name } });
  let tokens = registered.body;
  const { rows: [user] } = await environment.db.query('SELECT id FROM users WHERE email = $1', [email]);
  let vendor = null;
  if (role !== 'customer') {
    vendor = role === 'vendor' ? vendorId ?? await makeVendor(environment) : null;
    await environment.query('UPDATE users SET role = $2, vendor_id = $3 WHERE id = $1', [user.id, role, vendor]);
    tokens = (await api.call('session_sign_in', { token: null, expect: 200, body: { email, password: PASSWORD } })).body;
  }
  return {
    id: wireId('usr', user.id), uuid: user.id, email, name, password: PASSWORD, role, vendorId: vendor,
    token: tokens.access_token, refreshToken: tokens.refresh_token, api: api.as(tokens.access_token),
  };
}

module.exports = { makePerson, makeVendor, uuid7, wireId, uuidOf, ROLES, PASSWORD };
