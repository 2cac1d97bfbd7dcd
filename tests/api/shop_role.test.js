'use strict';
// The shop's role in PostgreSQL, with which every server of the tests runs: what it cannot do.
const { test } = require('node:test');
const assert = require('node:assert');
const { Client } = require('pg');
const { shop } = require('../harness');
const { runProgram } = require('../harness/environment');
const { SHOP_ROLE } = require('../harness/services');

const env = shop();
const WRITTEN_ONCE = ['transfer', 'movement', 'order_event', 'miles_policy', 'miles_rate'];

/** Runs work on a connection of the shop's role. */
async function asShop(work) {
  const client = new Client({ connectionString: env.settings.database_url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function refused(client, sql) {
  return assert.rejects(client.query(sql), ({ code }) => code === '42501', `${sql} is refused for want of rights`);
}

test('OPS-2 the shop\'s role is no superuser and owns nothing of the shop', async () => {
  await asShop(async (client) => {
    const { rows: [role] } = await client.query('SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = current_user');
    assert.deepStrictEqual(role, { rolname: SHOP_ROLE, rolsuper: false, rolcreatedb: false, rolcreaterole: false, rolreplication: false, rolbypassrls: false });
    const { rows } = await client.query(`SELECT relname FROM pg_class WHERE relowner = '${SHOP_ROLE}'::regrole AND relnamespace = 'public'::regnamespace`);
    assert.deepStrictEqual(rows, []);
    await refused(client, 'CREATE TABLE mine (id int)');
    await refused(client, 'SET session_replication_role = replica');
    await refused(client, `SELECT shop_role_allow('${SHOP_ROLE}')`);
    await refused(client, `UPDATE schema_migration SET checksum = ''`);
    await refused(client, `DELETE FROM append_only_table`);
  });
});

test('LOY-2 the shop\'s role cannot change or delete what is written once, by table or by partition', async () => {
  const partitions = await env.query('SELECT relid::regclass::text AS name FROM unnest($1::text[]) t, pg_partition_tree(t::regclass)', [WRITTEN_ONCE]);
  assert.ok(partitions.length > 2 * 4, 'the ledger has partitions');
  await asShop(async (client) => {
    for (const table of new Set([...WRITTEN_ONCE, ...partitions.map(({ name }) => name)])) {
      const { rows: [{ attname }] } = await client.query('SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 1', [table]);
      await refused(client, `UPDATE ${table} SET ${attname} = ${attname} WHERE false`);
      await refused(client, `DELETE FROM ${table} WHERE false`);
      await refused(client, `TRUNCATE ${table}`);
      await refused(client, `ALTER TABLE ${table} DISABLE TRIGGER ALL`);
      await refused(client, `DROP TABLE ${table}`);
    }
    await refused(client, 'DROP TRIGGER transfer_append_only ON transfer');
    await refused(client, 'CREATE OR REPLACE FUNCTION transfer_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$');
  });
});

test('OPS-2 the months ahead are made by the shop\'s role and belong to the owner', async () => {
  await env.query(`DROP TABLE transfer_${new Date(Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth() + 2, 1)).toISOString().slice(0, 7).replace('-', '')}`);
  await asShop(async (client) => {
    const { rows: [{ made }] } = await client.query('SELECT partitions_ensure(1, 3) AS made');
    assert.ok(made > 0, 'a month was made');
  });
  const owners = await env.query(`SELECT DISTINCT pg_get_userbyid(c.relowner) AS owner FROM pg_partition_tree('transfer') t JOIN pg_class c ON c.oid = t.relid`);
  assert.deepStrictEqual(owners, [{ owner: 'cathay' }]);
});

test('OPS-2 a table of a later migration is covered when cathay migrate ran', async () => {
  await env.query('CREATE TABLE later (id int PRIMARY KEY); CREATE TABLE later_once (id int PRIMARY KEY)');
  await env.query(`INSERT INTO append_only_table VALUES ('later_once')`);
  await asShop((client) => refused(client, 'SELECT * FROM later'));
  const { code, stderr } = await env.run('migrate');
  assert.strictEqual(code, 0, stderr);
  await asShop(async (client) => {
    await client.query('INSERT INTO later VALUES (1); UPDATE later SET id = 2; DELETE FROM later; INSERT INTO later_once VALUES (1)');
    await refused(client, 'UPDATE later_once SET id = 2');
  });
  await env.query('DROP TABLE later, later_once');
  await env.query(`DELETE FROM append_only_table WHERE name = 'later_once'`);
});

test('OPS-2 one role for owner and shop goes on working', async () => {
  const owner = { ...env.settings, database_url: env.settings.migrate_database_url, migrate_database_url: '' };
  const { code, stdout, stderr } = await runProgram(['migrate'], owner);
  assert.strictEqual(code, 0, stdout + stderr);
});
