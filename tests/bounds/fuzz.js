'use strict';
// Drives every operation of the contract, at its bounds, beyond them and at random, against a shop under sanitizers.
//
//   node tests/bounds/fuzz.js --minutes 60 --seed 7     prints what happens; ends with 1 when something is wrong
//
// --together 3 walks with three at a time, which races, and is another walk each time.
// First it sweeps all operations (sweep.js), then it walks at random (journeys.js and single requests) until time is up. The same
// seed makes the same choices. What failed, and the newest requests, are written to var/test/bounds-<seed>.json.
const fs = require('node:fs');
const path = require('node:path');
const { project } = require('../harness/services');

process.env.ASAN_OPTIONS ??= 'detect_leaks=1:abort_on_error=0:exitcode=99:detect_stack_use_after_return=0';
process.env.UBSAN_OPTIONS ??= 'print_stacktrace=1:halt_on_error=1:exitcode=99';
process.env.LSAN_OPTIONS ??= `suppressions="${path.join(project, 'tests/harness/leaks.txt')}":print_suppressions=0`;

const { Environment, sleep } = require('../harness');
const { Fuzzer } = require('./fuzzer');
const { prepared } = require('./recipes');
const { JOURNEYS } = require('./journeys');
const { sweep } = require('./sweep');
const { STYLES, places, beyondBounds, changed } = require('./values');

const SANITIZER_REPORT = /runtime error:|AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|"msg":"check failed|CHECK failed/;
const FAILURES_MOST = 200;
const TRIES = 40; // of an operation that the sweep left without success

/** One step of the walk: a journey, a request of any operation, or one that is beyond a bound. */
async function walk(fuzzer) {
  const { chance } = fuzzer;
  const style = chance.of(STYLES);
  if (chance.happens(0.12)) {
    await JOURNEYS[chance.of(['shelf', 'shelf', 'purchase', 'purchase', 'purchase', 'sale', 'miles', 'facets', 'pages', 'pages'])](fuzzer, style);
    return;
  }
  const id = chance.of([...fuzzer.contract.operations.keys()]);
  const actor = chance.happens(0.95) ? fuzzer.allowed(id) : chance.of(fuzzer.actors);
  const made = await prepared(fuzzer, id, actor, style);
  if (chance.happens(0.6)) {
    await fuzzer.send(id, made.actor, made.request, style);
    return;
  }
  await fuzzer.send(id, made.actor, beyond(fuzzer, id, made.request), 'beyond a bound');
}

/** The request with one to three places of its body, or one parameter, beyond their bounds. */
function beyond(fuzzer, id, request) {
  const { chance, values, contract } = fuzzer;
  const { schema } = contract.bodyOf(id);
  const pick = (kind) => chance.id(kind);
  if (schema && request.body !== undefined && !Buffer.isBuffer(request.body) && chance.happens(0.75)) {
    const all = places(contract, schema).filter((place) => place.path.length > 0);
    if (all.length === 0) return request;
    let { body } = request;
    for (let i = chance.of([1, 1, 2, 3]); i > 0; i -= 1) {
      const place = chance.of(all);
      body = changed(body, place.path, chance.happens(0.2) ? values.anything(3) : chance.of(beyondBounds(values, place.schema, pick))[1]);
    }
    return { ...request, body };
  }
  if (Buffer.isBuffer(request.body)) {
    const bytes = Buffer.from(request.body);
    for (let i = chance.between(1, 8); i > 0 && bytes.length > 0; i -= 1) bytes[chance.below(bytes.length)] = chance.below(256);
    return { ...request, body: bytes };
  }
  const { parameters } = contract.operation(id);
  const list = parameters.filter((one) => one.in === 'query');
  if (list.length === 0) return request;
  const parameter = chance.of(list);
  const others = beyondBounds(values, contract.schemaOf(parameter.schema), pick).filter(([, value]) => value !== null && typeof value !== 'object');
  return { ...request, query: { ...request.query, [parameter.name]: parameter.name === 'cursor' && chance.happens(0.8) ? bent(fuzzer, request.query.cursor) : chance.of(others)[1] } };
}

/** A cursor that was given, with some characters changed. */
function bent(fuzzer, cursor = 'AAAAAAAAAAAAAAAAAAAAAA') {
  const letters = [...cursor];
  for (let i = fuzzer.chance.between(1, 6); i > 0; i -= 1) letters[fuzzer.chance.below(letters.length)] = fuzzer.chance.of([...'AZaz09-_/8f']);
  return letters.join('');
}

/** A shop with its people, for the sweep and the walk. */
async function begin({ seed, say, settings = {} }) {
  const env = await Environment.start({ settings: { limit_scale_percent: 0, unpaid_orders_max: 0, unpaid_units_max: 0, ...settings } });
  const fuzzer = await Fuzzer.start(env, { seed, say }).catch(async (error) => { await env.stop().catch(() => {}); throw error; });
  fuzzer.restock = () => JOURNEYS.shelf(fuzzer, 'plain');
  for (let i = 0; i < 3; i += 1) await fuzzer.restock();
  for (let i = 0; i < 4; i += 1) await JOURNEYS.purchase(fuzzer, 'plain');
  await JOURNEYS.sale(fuzzer, 'plain');
  return { env, fuzzer };
}

/** Waits until events and tasks have been worked out, so that invariants can be asked; then verify, end and logs: what was wrong. */
async function finish({ env, fuzzer }) {
  const wrong = fuzzer.failures.map((failure) => `${failure.id} (${failure.because}): ${failure.why}`);
  fuzzer.close();
  for (let i = 0; i < 600; i += 1) {
    const [{ open }] = await env.query("SELECT (SELECT count(*) FROM outbox WHERE expanded_at IS NULL)::int + (SELECT count(*) FROM task WHERE state IN ('ready', 'running') AND due_at <= now())::int AS open");
    if (open === 0) break;
    await sleep(100);
  }
  await env.violations().then((found) => { for (const one of found) wrong.push(`cathay verify: ${JSON.stringify(one)}`); }, (error) => wrong.push(error.message));
  const logs = [...env.roles.values()].map((role) => role.log);
  await env.stop().catch((error) => wrong.push(error.message));
  for (const log of logs) {
    const line = fs.readFileSync(log, 'utf8').split('\n').find((text) => SANITIZER_REPORT.test(text));
    if (line) wrong.push(`${path.relative(project, log)}: ${line}`);
  }
  fuzzer.write(path.join(project, 'var/test', `bounds-${fuzzer.seed}.json`));
  return wrong;
}

/** Sweeps the given operations and walks `steps` steps or until `deadline`. */
async function drive(fuzzer, { operations = [...fuzzer.contract.operations.keys()], steps = Infinity, deadline = Infinity, together = 1, progress = () => {} }) {
  for (const id of operations) {
    await sweep(fuzzer, id);
    progress(fuzzer);
    if (Date.now() > deadline || fuzzer.failures.length > FAILURES_MOST) return;
  }
  for (const id of fuzzer.unreached().filter((one) => operations.includes(one))) {
    for (let i = 0; i < TRIES && fuzzer.unreached().includes(id); i += 1) {
      const made = await prepared(fuzzer, id, fuzzer.allowed(id), 'plain');
      await fuzzer.send(id, made.actor, made.request, 'until it succeeds');
    }
  }
  let left = steps;
  const walker = async () => {
    for (; left > 0 && Date.now() < deadline && fuzzer.failures.length <= FAILURES_MOST; left -= 1) {
      await walk(fuzzer);
      progress(fuzzer);
    }
  };
  await Promise.all(Array.from({ length: together }, walker));
}

async function main() {
  const argument = (name, other) => { const at = process.argv.indexOf(`--${name}`); return at < 0 ? other : process.argv[at + 1]; };
  const minutes = Number(argument('minutes', 1));
  const seed = Number(argument('seed', 1));
  const only = argument('operations');
  const together = Number(argument('together', 1));
  const began = Date.now();
  const say = (text) => console.log(`${((Date.now() - began) / 1000).toFixed(0).padStart(6)} s  ${text}`);
  const shop = await begin({ seed, say });
  const { fuzzer } = shop;
  let told = Date.now();
  const progress = () => {
    if (Date.now() - told < 30000) return;
    told = Date.now();
    say(`${fuzzer.total} requests, ${fuzzer.failures.length} failures, ${fuzzer.unreached().length} operations without success`);
  };
  let died;
  await drive(fuzzer, { operations: only?.split(','), together, deadline: began + minutes * 60000, progress }).catch((error) => { died = error.stack; });
  const wrong = await finish(shop);
  if (died) wrong.unshift(died);
  console.log(fuzzer.summary());
  console.log(`refused though the contract allows them:\n${fuzzer.reasons()}`);
  console.log(wrong.length === 0 ? 'nothing wrong' : `${wrong.length} wrong:\n${wrong.slice(0, 50).join('\n')}`);
  process.exit(wrong.length === 0 ? 0 : 1);
}

if (require.main === module) main().catch((error) => { console.error(error); process.exit(1); });

module.exports = { begin, drive, finish };
