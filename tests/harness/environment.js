'use strict';
// A running shop for a test: a database of its own, a Redis of its own, the sandbox partners, and the processes of cathay.
const assert = require('node:assert');
const { spawn, execFile } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { Pool } = require('pg');
const { Client } = require('./client');
const { SHOP_ROLE, Services, RedisServer, redisCommand, databaseUrl, databaseFromTemplate, dropDatabase, withAdministrator, sleep, project } = require('./services');

const START_TIMEOUT_MS = 60000;
const STOP_TIMEOUT_MS = 30000;

const program = path.resolve(project, process.env.TEST_PROGRAM ?? (fs.existsSync(path.join(project, 'build-test/cathay')) ? 'build-test/cathay' : 'build/cathay'));

/** Secrets of the sandbox partners in tests. */
const SECRETS = {
  stripe_key: 'sk_test_cathay_harness',
  stripe_webhook_secret: 'whsec_cathay_harness',
  easypost_key: 'EZTK_cathay_harness',
  easypost_webhook_secret: 'easypost_cathay_harness',
};

/** The key of access tokens, so that tests can sign some themselves: kid and seed. */
const TOKEN_KEY = { kid: 'harness', seed: Buffer.alloc(32, 'cathay shop harness') };

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** What our processes inherit: nothing of CATHAY_ that happens to be set outside. */
function cleanEnvironment() {
  const kept = Object.entries(process.env).filter(([name]) => !/^(CATHAY_|DATABASE_URL|REDIS_URL)/.test(name));
  return Object.fromEntries(kept);
}

function variables(settings) {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [
    ['database_url', 'redis_url'].includes(name) ? name.toUpperCase() : `CATHAY_${name.toUpperCase()}`, String(value)]));
}

/** Runs a subcommand to its end: {code, stdout, stderr}. */
function runProgram(subcommand, settings, { timeoutMs = 120000 } = {}) {
  return new Promise((resolve) => {
    execFile(program, subcommand, { env: { ...cleanEnvironment(), ...variables(settings) }, timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024, cwd: project },
      (error, stdout, stderr) => resolve({ code: error ? error.code ?? `signal ${error.signal}` : 0, stdout, stderr }));
  });
}

/** One running process of cathay. */
class Role {
  constructor(name, settings, log) {
    this.name = name;
    this.subcommand = name.split(':')[0];
    this.settings = settings;
    this.log = log;
    this.child = null;
    this.supervised = false; // set before start(): under `cathay supervise`, which starts it again when it crashes
  }

  start() {
    const output = fs.openSync(this.log, 'a');
    this.child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...(this.supervised ? ['supervise'] : []), this.subcommand],
      { env: { ...cleanEnvironment(), ...variables(this.settings) }, stdio: ['ignore', output, output], cwd: project });
    fs.closeSync(output);
    this.stopping = false;
    const { child } = this;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.end = { code, signal };
        if (!this.stopping) this.died = `cathay ${this.name} ended by itself (${signal ?? code}); see ${path.relative(project, this.log)}\n${tail(this.log)}`;
        resolve();
      });
    });
    this.end = null;
  }

  get pid() {
    return this.child.pid;
  }

  get running() {
    return this.child !== null && this.end === null;
  }

  /** As a crash does it. */
  async kill(signal = 'SIGKILL') {
    this.stopping = true;
    this.killed = true;
    this.child.kill(signal);
    await this.exited;
  }

  /** Gracefully; fails when it does not end well (a leak found by the sanitizer is such an end). */
  async stop() {
    if (!this.running) return;
    this.stopping = true;
    this.child.kill('SIGTERM');
    const late = setTimeout(() => { this.late = true; this.child.kill('SIGABRT'); }, STOP_TIMEOUT_MS);
    await this.exited;
    clearTimeout(late);
    assert.ok(!this.late, `cathay ${this.name} did not stop within ${STOP_TIMEOUT_MS} ms of SIGTERM; see ${this.log}`);
    assert.deepStrictEqual(this.end, { code: 0, signal: null }, `cathay ${this.name} did not end well; see ${this.log}\n${tail(this.log)}`);
  }
}

/**
 * The first line of a process's log that is none: each is a JSON object, or a word to whoever starts it ("listening on …"). What a kill
 * broke off is let through, and whole reports of sanitizers, which tests of crashes ask for.
 */
function strayLine(role) {
  if (!role.child || role.supervised || role.died) return null;
  const isLine = (line) => {
    if (line === '' || /^(cathay [a-z]+: |listening on )/.test(line) || (role.killed && line.startsWith('{'))) return true;
    try {
      return JSON.parse(line).constructor === Object;
    } catch {
      return false;
    }
  };
  return fs.readFileSync(role.log, 'utf8').split('\n').find((line) => !isLine(line)) ?? null;
}

function tail(file) {
  try {
    return fs.readFileSync(file, 'utf8').split('\n').slice(-15).join('\n');
  } catch {
    return '';
  }
}

class Environment {
  /**
   * roles: subcommands to run, ['all'] by default; a further one of a kind is 'serve:2'.
   * settings: names of src/base/settings.def; demo: with the demo shop loaded; own: a PostgreSQL of its own, which may be
   * stopped; start: false leaves the processes to the test.
   */
  static async start({ roles = ['all'], settings = {}, demo = false, own = false, start = true } = {}) {
    const environment = new Environment();
    await environment.#prepare(roles, settings, demo, own);
    try {
      if (start) await Promise.all(roles.map((name) => environment.startRole(name)));
    } catch (error) {
      await environment.stop().catch(() => {});
      throw error;
    }
    return environment;
  }

  async #prepare(roles, settings, demo, own) {
    this.owned = own || !process.env.TEST_POSTGRES_SOCKET;
    this.services = this.owned ? await Services.start() : await RedisServer.start();
    this.postgresSocket = this.owned ? this.services.postgresSocket : process.env.TEST_POSTGRES_SOCKET;
    this.database = `test_${process.pid}_${Environment.count += 1}`;
    this.databaseUrl = databaseUrl(this.postgresSocket, this.database, SHOP_ROLE);
    this.redisUrl = this.services.redisUrl;
    const first = { ...this.#common(), ...settings };
    await databaseFromTemplate(this.postgresSocket, 'migrated', demo ? `${this.database}_unused` : this.database, (urls) => prepareWith(['migrate'], { ...first, ...urls }));
    if (demo) {
      await dropDatabase(this.postgresSocket, `${this.database}_unused`);
      await databaseFromTemplate(this.postgresSocket, 'demo', this.database, async (urls) => {
        await prepareWith(['migrate'], { ...first, ...urls });
        await prepareWith(['demo'], { ...first, ...urls });
      });
    }
    this.db = this.#pool(this.database);
    this.roles = new Map();
    this.clients = new Map();
    this.ports = { shop: await freePort(), sandbox: await freePort(), smtp: await freePort() };
    this.sandboxUrl = `http://127.0.0.1:${this.ports.sandbox}`;
    this.settings = {
      ...this.#common(),
      listen_port: this.ports.shop,
      public_url: `http://127.0.0.1:${this.ports.shop}`,
      sandbox_port: this.ports.sandbox,
      sandbox_smtp_port: this.ports.smtp,
      smtp_url: `smtp://127.0.0.1:${this.ports.smtp}`,
      stripe_url: this.sandboxUrl,
      easypost_url: this.sandboxUrl,
      ...settings,
    };
    for (const name of roles) await this.addRole(name);
  }

  #common() {
    return {
      database_url: this.databaseUrl,
      migrate_database_url: databaseUrl(this.postgresSocket, this.database),
      sandbox: 1,
      redis_url: this.redisUrl,
      ...SECRETS,
      token_keys: `${TOKEN_KEY.kid}:${TOKEN_KEY.seed.toString('base64')}`,
      // Quick where a shop is careful: hashing, parcels, retries; no rate limits unless a test asks for them.
      argon2_memory_kib: 8,
      argon2_passes: 1,
      sandbox_parcel_step_ms: 0,
      sandbox_webhook_retry_ms: 100,
      task_retry_base_s: 0,
      limit_scale_percent: 0,
      unpaid_orders_max: 0, unpaid_units_max: 0,
      queue_wait_ms: 60000, checkout_wait_ms: 60000, session_trust_ms: 60000, // a machine with sanitizers and other tests is slow
      schedule_tick_ms: 200,
      workers: 4,
      drain_ms: 5000,
    };
  }

  /** Adds a process without starting it; further servers listen on ports of their own. */
  async addRole(name, settings = {}) {
    const more = { ...settings };
    if (/^(serve|all):/.test(name)) more.listen_port = await freePort();
    fs.mkdirSync(path.join(project, 'var/test/processes'), { recursive: true });
    const file = path.basename(process.argv[1] ?? 'test', '.js');
    const log = path.join(project, 'var/test/processes', `${file}-${process.pid}-${this.database.split('_')[2]}-${name.replace(':', '-')}.log`);
    const role = new Role(name, { ...this.settings, ...more }, log);
    this.roles.set(name, role);
    return role;
  }

  role(name) {
    const role = this.roles.get(name ?? this.roles.keys().next().value);
    if (!role) throw new Error(`this environment has no process ${name}`);
    return role;
  }

  async startRole(name) {
    const role = this.role(name);
    role.start();
    await this.ready(name);
  }

  /** Waits until a server answers /readyz, the sandbox takes connections, the others have a session in the database. */
  async ready(name) {
    const role = this.role(name);
    const serves = /^(serve|all)$/.test(role.subcommand);
    const sandbox = role.subcommand === 'sandbox';
    const ready = async () => {
      if (!role.running) throw Object.assign(new Error(role.died ?? `cathay ${role.name} ended`), { fatal: true });
      if (serves) return (await this.client(name).get('/readyz', { timeoutMs: 2000 })).status === 200;
      if (sandbox) return listening(this.ports.sandbox);
      return true;
    };
    await poll(() => ready().catch((error) => { if (error.fatal) throw error; return false; }),
      { timeoutMs: START_TIMEOUT_MS, what: `cathay ${role.name} to be ready`, everyMs: 20 });
  }

  /** kill -9 by default. */
  async kill(name, signal) {
    await this.role(name).kill(signal);
  }

  async restart(name) {
    if (this.role(name).running) await this.role(name).stop();
    await this.startRole(name);
  }

  /** The client of one server; `api` is the first one's. */
  client(name) {
    const role = this.role(name);
    if (!this.clients.has(role.name)) this.clients.set(role.name, new Client(`http://127.0.0.1:${role.settings.listen_port}`));
    return this.clients.get(role.name);
  }

  get api() {
    return this.client([...this.roles.keys()].find((name) => /^(serve|all)/.test(name)));
  }

  get url() {
    return this.api.base;
  }

  /** Rows of a query on this shop's database. */
  async query(text, values) {
    return (await this.db.query(text, values)).rows;
  }

  /** work(query) in one transaction on a connection of its own, rolled back at the end. */
  async transaction(work) {
    const client = await this.db.connect();
    try {
      await client.query('BEGIN');
      return await work(async (text, values) => (await client.query(text, values)).rows);
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  }

  /** The variables that make any cathay one of this shop. */
  get variables() {
    return variables(this.settings);
  }

  /** Runs a subcommand to its end, with this shop's settings: {code, stdout, stderr}. */
  run(...subcommand) {
    return runProgram(subcommand, this.settings);
  }

  /** `cathay verify`: what it found, as a list of {invariant, where, …} (empty is good). */
  async violations(settings = {}) {
    const { code, stdout, stderr } = await runProgram(['verify', '--json'], { ...this.settings, ...settings });
    let report;
    try {
      report = JSON.parse(stdout);
    } catch {
      throw new Error(`cathay verify ended with ${code} and no report: ${stdout}${stderr}`);
    }
    const found = report.invariants.flatMap((invariant) => (invariant.state === 'ok' ? []
      : invariant.violations.length > 0 ? invariant.violations.map((violation) => ({ invariant: invariant.name, ...violation }))
        : [{ invariant: invariant.name, state: invariant.state }]));
    assert.ok(report.invariants.length > 0, 'cathay verify checked nothing');
    assert.strictEqual(code, found.length === 0 ? 0 : 1, `cathay verify: exit ${code} does not fit its report: ${stdout}${stderr}`);
    return found;
  }

  async verify() {
    assert.deepStrictEqual(await this.violations(), [], 'cathay verify found violations');
  }

  /**
   * Runs work on a copy of this shop's database, which nobody else may be connected to (stop the roles first), and drops it:
   * work({query, violations}).
   */
  async inCopy(work) {
    await this.db.end();
    const copy = `${this.database}_copy`;
    await withAdministrator(this.postgresSocket, (administrator) => administrator.query(`CREATE DATABASE ${copy} TEMPLATE ${this.database} OWNER cathay`));
    this.db = this.#pool(this.database);
    const db = this.#pool(copy);
    try {
      await work({
        query: (text, values) => db.query(text, values),
        violations: () => this.violations({ database_url: databaseUrl(this.postgresSocket, copy) }),
      });
    } finally {
      await db.end();
      await dropDatabase(this.postgresSocket, copy);
    }
  }

  #pool(database) {
    const pool = new Pool({ host: this.postgresSocket, user: 'cathay', database, max: 8, idleTimeoutMillis: 1000, allowExitOnIdle: true });
    pool.on('error', () => {}); // idle connections die with PostgreSQL; the next query says what matters
    return pool;
  }

  /** How many SQL statements this shop's database ran meanwhile, but for the health thread's and the question which sessions have ended. For an environment of roles ['serve'] (others poll). */
  async statements(work) {
    const count = () => withAdministrator(this.postgresSocket, async (administrator) => {
      await administrator.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
      const { rows } = await administrator.query(`
        SELECT coalesce(sum(s.calls), 0)::int AS calls
        FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
        WHERE d.datname = $1 AND s.query !~ 'SELECT [$]1 AS one|FROM revoked_session' AND s.query !~* '^(BEGIN|COMMIT|ROLLBACK|SET|DISCARD|SHOW)'`, [this.database]);
      return rows[0].calls;
    });
    const before = await count();
    await work();
    return (await count()) - before;
  }

  get postgres() {
    return {
      stop: (mode = 'immediate') => this.services.order('postgres', 'stop', mode),
      start: () => this.services.order('postgres', 'start'),
    };
  }

  get redis() {
    return {
      command: (command) => redisCommand(this.services.redisSocket, command),
      flush: () => redisCommand(this.services.redisSocket, 'FLUSHALL'),
      stop: () => this.services.order('redis', 'stop', 'immediate'),
      start: () => this.services.order('redis', 'start'),
    };
  }

  /** Stops all; fails when a process died meanwhile or does not end well. */
  async stop() {
    const failures = [];
    for (const client of this.clients?.values() ?? []) client.close();
    for (const role of [...(this.roles?.values() ?? [])].reverse()) {
      if (role.died) failures.push(new Error(role.died));
      await role.stop().catch((error) => failures.push(error));
      const stray = strayLine(role);
      if (stray !== null) failures.push(new Error(`the log of cathay ${role.name} has a line that is no JSON: ${stray}; see ${path.relative(project, role.log)}`));
    }
    await this.db?.end().catch(() => {});
    if (!this.owned) await dropDatabase(this.postgresSocket, this.database).catch((error) => failures.push(error));
    await this.services?.close().catch((error) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }
}
Environment.count = 0;

async function prepareWith(subcommand, settings) {
  const { code, stdout, stderr } = await runProgram(subcommand, settings, { timeoutMs: 300000 });
  if (code !== 0) throw new Error(`cathay ${subcommand.join(' ')} ended with ${code}: ${stdout}${stderr}`);
}

function listening(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}

/** Calls fn until its answer is truthy, and returns that. */
async function poll(fn, { timeoutMs = 15000, everyMs = 50, what = 'the condition' } = {}) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await fn();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await sleep(everyMs);
  }
}

module.exports = { Environment, poll, sleep, freePort, runProgram, program, SECRETS, TOKEN_KEY };
