'use strict';
// PostgreSQL and Redis for tests. Under ./test the parts share one PostgreSQL; a test that stops it, or a test file run
// by hand, gets one of its own. tools/services.py does the work, over a line protocol; it ends when our process does.
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { Client } = require('pg');

const project = path.resolve(__dirname, '../..');

/** Instances of our own, which may be stopped and started. */
class Services {
  static async start() {
    const services = new Services();
    services.child = spawn('/usr/bin/python3', [path.join(project, 'tools/services.py'), 'hold'],
      { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
    services.lines = readline.createInterface({ input: services.child.stdout })[Symbol.asyncIterator]();
    await services.#answer();
    return services;
  }

  async #answer() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error('tools/services.py ended');
    const state = JSON.parse(value);
    if (!state.ok) throw new Error(state.error);
    this.postgresSocket = state.postgres_socket;
    this.redisUrl = state.redis_url;
    this.redisSocket = state.redis_socket;
    this.postgresPid = state.postgres_pid;
    this.redisPid = state.redis_pid;
  }

  /** service: postgres or redis; action: stop or start; mode of a stop: fast, or immediate as in a crash. */
  async order(service, action, mode = 'fast') {
    this.child.stdin.write(`${JSON.stringify({ service, do: action, mode })}\n`);
    await this.#answer();
  }

  async close() {
    const ended = new Promise((resolve) => { this.child.once('exit', resolve); });
    this.child.stdin.end();
    await ended;
  }
}

/** A Redis alone, for the common case of a shared PostgreSQL. */
class RedisServer {
  static async start() {
    const redis = new RedisServer();
    redis.home = fs.mkdtempSync(path.join(os.tmpdir(), 'cathay-redis-'));
    redis.redisSocket = path.join(redis.home, 'redis.sock');
    redis.redisUrl = `unix://${redis.redisSocket}`;
    await redis.run();
    return redis;
  }

  async run() {
    this.child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'redis-server', '--port', '0', '--unixsocket', this.redisSocket,
      '--save', '', '--appendonly', 'no', '--dir', this.home], { stdio: 'ignore', detached: true });
    this.child.unref();
    for (let tries = 0; ; tries += 1) {
      if (await redisCommand(this.redisSocket, 'PING').then((answer) => answer.startsWith('+PONG'), () => false)) return;
      if (this.child.exitCode !== null || tries > 1000) throw new Error('redis-server did not start');
      await sleep(10);
    }
  }

  async order(service, action) {
    if (service !== 'redis') throw new Error('this environment shares its PostgreSQL; start it with own: true');
    if (action === 'stop') await this.#stop();
    else await this.run();
  }

  async #stop() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.ref();
    const ended = new Promise((resolve) => { this.child.once('exit', resolve); });
    this.child.kill('SIGKILL');
    await ended;
  }

  async close() {
    await this.#stop();
    fs.rmSync(this.home, { recursive: true, force: true });
  }
}

/** One inline command; the answer as Redis sent it. */
function redisCommand(socket, command) {
  const net = require('node:net');
  return new Promise((resolve, reject) => {
    const connection = net.connect(socket, () => connection.write(`${command}\r\n`));
    connection.setTimeout(5000, () => connection.destroy(new Error('redis did not answer')));
    connection.once('data', (data) => { connection.destroy(); resolve(data.toString()); });
    connection.once('error', reject);
  });
}

/** As cathay, the owner of schemas; as cathay_app, the shop's role, which cannot change the ledger. */
function databaseUrl(socket, database, role = 'cathay') {
  return `postgresql://${role}@/${database}?host=${encodeURIComponent(socket)}`;
}

const SHOP_ROLE = 'cathay_app';

async function withAdministrator(socket, work) {
  const client = new Client({ host: socket, user: 'cathay', database: 'postgres' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/**
 * Makes database `name` as a copy of a template that `prepare(settings)` has filled: once per cluster, whichever process comes
 * first. The copy takes a tenth of a second.
 */
async function databaseFromTemplate(socket, template, name, prepare) {
  await withAdministrator(socket, async (administrator) => {
    await administrator.query('SELECT pg_advisory_lock(727001)');
    const { rowCount } = await administrator.query('SELECT FROM pg_database WHERE datname = $1', [template]);
    if (rowCount === 0) {
      const raw = `${template}_raw`;
      await administrator.query(`DROP DATABASE IF EXISTS ${raw} WITH (FORCE)`);
      await administrator.query(`CREATE DATABASE ${raw}`);
      await prepare({ database_url: databaseUrl(socket, raw, SHOP_ROLE), migrate_database_url: databaseUrl(socket, raw) });
      await administrator.query(`ALTER DATABASE ${raw} RENAME TO ${template}`);
    }
    await administrator.query('SELECT pg_advisory_unlock(727001)');
    await administrator.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
    await administrator.query(`GRANT CREATE ON DATABASE ${name} TO ${SHOP_ROLE}`); // the sandbox makes a schema of its own
  });
}

async function dropDatabase(socket, name) {
  await withAdministrator(socket, (administrator) => administrator.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
}

function sleep(ms) {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}

module.exports = { SHOP_ROLE, Services, RedisServer, redisCommand, databaseUrl, databaseFromTemplate, dropDatabase, withAdministrator, sleep, project };
