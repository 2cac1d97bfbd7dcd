'use strict';
const assert = require('node:assert');
const { test } = require('node:test');
const { Client } = require('pg');
const { Services, RedisServer, redisCommand, databaseFromTemplate } = require('./services');

async function query(services, text, database = 'postgres') {
  const client = new Client({ host: services.postgresSocket, user: 'cathay', database });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}

test('an acknowledged row survives an immediate stop of PostgreSQL; Redis comes back empty', async () => {
  const services = await Services.start();
  try {
    await query(services, 'CREATE TABLE kept (n int)');
    await query(services, 'INSERT INTO kept VALUES (1)');
    await redisCommand(services.redisSocket, 'SET k v');
    await services.order('postgres', 'stop', 'immediate');
    await assert.rejects(query(services, 'SELECT 1'));
    await services.order('postgres', 'start');
    assert.deepStrictEqual(await query(services, 'SELECT n FROM kept'), [{ n: 1 }]);
    await services.order('redis', 'stop', 'immediate');
    await services.order('redis', 'start');
    assert.strictEqual(await redisCommand(services.redisSocket, 'GET k'), '$-1\r\n');
  } finally {
    await services.close();
  }
});

test('a database comes from a template that is prepared once', async () => {
  const services = await Services.start();
  try {
    let prepared = 0;
    const prepare = async () => { prepared += 1; };
    await Promise.all(['one', 'two', 'three'].map((name) => databaseFromTemplate(services.postgresSocket, 'template_x', name, prepare)));
    assert.strictEqual(prepared, 1);
    assert.deepStrictEqual(await query(services, 'SELECT current_database()::text AS name', 'three'), [{ name: 'three' }]);
  } finally {
    await services.close();
  }
});

test('a Redis alone can be flushed, stopped and started', async () => {
  const redis = await RedisServer.start();
  try {
    await redisCommand(redis.redisSocket, 'SET k v');
    await redis.order('redis', 'stop');
    await redis.order('redis', 'start');
    assert.strictEqual(await redisCommand(redis.redisSocket, 'DBSIZE'), ':0\r\n');
  } finally {
    await redis.close();
  }
});
