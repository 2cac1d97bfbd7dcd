'use strict';
// Sends requests made from the contract, and judges every answer. What to send is said by recipes.js (what makes an operation
// succeed), journeys.js (what comes after what) and sweep.js (each bound of each operation in turn).
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const { theContract } = require('../harness/client');
const { PREFIXES } = require('../harness/contract');
const { makePerson } = require('../harness/people');
const { Chance, Values } = require('./values');

const KINDS = Object.fromEntries(Object.entries(PREFIXES).map(([kind, prefix]) => [prefix, kind]));
const KEPT_OF_A_KIND = 40;
const KEPT_REQUESTS = 40;
const PARTNERS_AWAY = ['partner_failed', 'partner_timeout'];
// Codes of a request that is wrong in itself. Others say that it is not the time, the person or the thing.
const NAMES_FIELD = ['validation_failed'];

/** What was seen of the shop: identifiers by kind, the newest last. */
class Seen {
  constructor() {
    this.kinds = new Map();
  }

  add(kind, id) {
    const ids = this.kinds.get(kind) ?? [];
    const at = ids.indexOf(id);
    if (at >= 0) ids.splice(at, 1);
    ids.push(id);
    if (ids.length > KEPT_OF_A_KIND) ids.shift();
    this.kinds.set(kind, ids);
  }

  ids(kind) {
    return this.kinds.get(kind) ?? [];
  }
}

class Fuzzer {
  static async start(env, { seed = 1, say = () => {} } = {}) {
    const fuzzer = new Fuzzer(env, seed, say);
    await fuzzer.people();
    return fuzzer;
  }

  constructor(env, seed, say) {
    Object.assign(this, { env, seed, say });
    this.contract = theContract();
    this.chance = new Chance(seed);
    this.values = new Values(this.contract, this.chance);
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
    this.base = new URL(env.api.base);
    this.seen = new Seen();
    this.cursors = new Map(); // operation → cursors that it gave
    this.etags = new Map(); // identifier → ETag of its newest version
    this.parents = new Map(); // variant → product
    this.last = []; // the newest requests, for whoever looks into a crash
    this.failures = [];
    this.counts = new Map(); // operation → Map of status → number
    this.refusals = new Map(); // "operation code field" → number, of requests that the contract allows
    this.total = 0;
    this.serial = 0;
  }

  /** A number that is new, for what has to be unique. */
  next() {
    this.serial += 1;
    return `${this.seed}-${this.serial}`;
  }

  async people() {
    this.actors = [{ role: 'anonymous', seen: new Seen() }, { role: 'partner', seen: new Seen() }];
    for (const role of ['customer', 'customer', 'customer', 'vendor', 'vendor', 'support', 'manager', 'admin']) {
      this.actors.push({ role, seen: new Seen(), person: await makePerson(this.env, role) });
    }
    this.guest = this.actors[0];
    for (const actor of this.actors) this.#remember(actor, actor.person ? { id: actor.person.id, vendor: actor.person.vendorId && `${PREFIXES.vendor}_${actor.person.vendorId.replace(/-/g, '')}` } : {});
  }

  actor(role) {
    return this.chance.of(this.actors.filter((actor) => actor.role === role));
  }

  /** Somebody who may call the operation, if anybody of ours may. */
  allowed(id) {
    const { roles } = this.contract.operation(id);
    return this.actor(this.chance.of(roles.filter((role) => this.actors.some((actor) => actor.role === role))));
  }

  /** Somebody who is signed in and may be blocked, signed out and renamed. */
  async passer() {
    return { role: 'customer', seen: new Seen(), person: await makePerson(this.env) };
  }

  /** An identifier of that kind: mostly one that this actor has seen. */
  pick(actor, kind) {
    const own = actor.seen.ids(kind);
    const all = this.seen.ids(kind);
    if (own.length > 0 && this.chance.happens(0.8)) return this.#recent(own);
    if (all.length > 0 && this.chance.happens(0.9)) return this.#recent(all);
    return this.chance.id(kind);
  }

  #recent(ids) {
    return this.chance.happens(0.5) ? ids[ids.length - 1 - this.chance.below(Math.min(3, ids.length))] : this.chance.of(ids);
  }

  /** A request of the operation: {path, query, headers, body, contentType}, with what the recipe says put over it. */
  request(id, actor, style, recipe = {}) {
    const operation = this.contract.operation(id);
    const made = { path: {}, query: {}, headers: {} };
    const pick = (kind) => this.pick(actor, kind);
    for (const parameter of operation.parameters) {
      const place = { path: made.path, query: made.query, header: made.headers }[parameter.in];
      if (!place) continue;
      if (!parameter.required && !this.chance.happens({ plain: 0.15, least: 0.3, most: 0.7, mixed: 0.4 }[style])) continue;
      if (parameter.name === 'cursor') {
        const cursors = this.cursors.get(id) ?? [];
        if (cursors.length > 0) place.cursor = this.chance.of(cursors);
      } else if (parameter.name === 'If-Match') place[parameter.name] = '"1"';
      else place[parameter.name] = this.values.make(parameter.schema, style, pick);
    }
    const { schema, types } = this.contract.bodyOf(id);
    if (schema && !operation.declared['x-raw-body']) made.body = this.values.make(schema, style, pick);
    else if (types.length > 0) Object.assign(made, { body: Buffer.from('{}'), contentType: types[0] });
    if (operation.idempotency === 'required' || (operation.idempotency === 'optional' && this.chance.happens(0.3))) {
      made.headers['Idempotency-Key'] = `fuzz-${this.seed}-${this.chance.hex(24)}`;
    }
    return merged(made, recipe);
  }

  /** Sends, judges, remembers. Resolves with the answer. `because` says what the request is about. */
  async send(id, actor, request, because = 'as the contract says') {
    const sent = this.#written(id, actor, request);
    this.last.push({ n: this.total, id, because, role: actor.role, method: sent.method, path: sent.path, headers: redacted(sent.headers), body: shown(sent.bytes) });
    if (this.last.length > KEPT_REQUESTS) this.last.shift();
    this.total += 1;
    let answer;
    try {
      answer = await this.#exchange(sent);
    } catch (error) {
      this.fail(id, because, request, undefined, `no answer: ${error.message}`);
      await this.alive();
      return { status: 0, headers: {}, body: undefined, text: '' };
    }
    this.#count(this.counts, id, answer.status);
    this.#judge(id, actor, request, answer, because);
    if (answer.status < 300) this.#remember(actor, answer.body, id, answer);
    if (answer.status === 401 && actor.person && !request.token) await this.#renew(actor);
    return answer;
  }

  #written(id, actor, request) {
    const operation = this.contract.operation(id);
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const token = request.token ?? actor.person?.token;
    if (token) headers.authorization = `Bearer ${token}`;
    let bytes;
    if (request.body !== undefined) {
      bytes = Buffer.isBuffer(request.body) ? request.body : Buffer.from(typeof request.body === 'string' && request.text ? request.body : JSON.stringify(request.body));
      headers['content-type'] ??= request.contentType ?? 'application/json';
      headers['content-length'] = bytes.length;
    } else if (['POST', 'PUT', 'PATCH'].includes(operation.method)) headers['content-length'] = 0;
    const route = operation.route.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(wellFormed(String(request.path[name]))));
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(request.query)) for (const one of [value].flat()) query.append(name, String(one));
    const text = query.toString();
    return { method: operation.method, path: `${route}${text ? `?${text}` : ''}`, headers, bytes };
  }

  #exchange({ method, path, headers, bytes }) {
    return new Promise((resolve, reject) => {
      const options = { host: this.base.hostname, port: this.base.port, method, path, headers, agent: this.agent };
      const request = http.request(options, (response) => {
        const chunks = [];
        const stream = /event-stream/.test(response.headers['content-type'] ?? '');
        const end = () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const answer = { status: response.statusCode, headers: response.headers, text, body: text };
          if (/json/.test(response.headers['content-type'] ?? '')) {
            try { answer.body = JSON.parse(text); } catch (error) { answer.malformed = error.message; }
          }
          resolve(answer);
        };
        response.on('data', (chunk) => {
          chunks.push(chunk);
          if (stream) { end(); request.destroy(); } // it would never end
        });
        response.on('error', stream ? () => {} : reject);
        response.on('end', end);
      });
      request.setTimeout(90000, () => request.destroy(new Error('no answer within 90 s')));
      request.on('error', reject);
      request.end(bytes);
    });
  }

  #judge(id, actor, request, answer, because) {
    const wrong = (why) => this.fail(id, because, request, answer, why);
    const faults = this.contract.responseFaults(id, answer);
    if (faults.length > 0) wrong(`the answer is not as the contract says: ${faults.slice(0, 5).join('; ')}`);
    const code = answer.body?.code;
    if (answer.status >= 500 && !PARTNERS_AWAY.includes(code)) wrong('a fault of the server');
    const allowed = this.allows(id, request);
    if (allowed === false && answer.status < 400) wrong('accepted, though the contract does not allow it');
    if (NAMES_FIELD.includes(code) && !(answer.body.errors?.length > 0)) wrong('refused without a word on which field');
    if (request.names && code === 'validation_failed' && !answer.body.errors?.some((error) => error.field.startsWith(request.names))) {
      wrong(`refused, but not for ${request.names}`);
    }
    if (allowed && answer.status >= 400) this.#count(this.refusals, id, `${answer.status} ${code} ${answer.body?.errors?.[0]?.field ?? ''} ${answer.body?.errors?.[0]?.reason ?? answer.body?.detail ?? ''}`.replace(/[0-9a-f]{32}|\d+/g, 'N').slice(0, 140));
  }

  /** Whether the contract allows the request; undefined where a judge of values cannot tell. */
  allows(id, request) {
    const { declared, parameters } = this.contract.operation(id);
    const unknown = Object.keys(request.query).some((name) => !parameters.some((one) => one.in === 'query' && one.name === name));
    if (request.text || Buffer.isBuffer(request.body) || (declared['x-open-query'] && unknown)) return undefined;
    const written = (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Array.isArray(value) ? value.map(String) : String(value)]));
    return this.contract.requestFaults(id, { ...request, path: written(request.path), query: written(request.query), headers: written(request.headers) }).length === 0;
  }

  fail(id, because, request, answer, why) {
    const failure = { n: this.total, seed: this.seed, id, because, why, status: answer?.status, answer: answer?.text?.slice(0, 1500), request: { ...request, body: shown(request?.body) } };
    this.failures.push(failure);
    this.say(`FAILED ${id} (${because}): ${why}${answer ? `: ${answer.status} ${answer.text.slice(0, 300)}` : ''}`);
  }

  /** Waits for a process that ends, and throws when there is none any more. */
  async alive() {
    await new Promise((resolve) => { setTimeout(resolve, 1500); });
    for (const role of this.env.roles.values()) {
      if (!role.running) throw Object.assign(new Error(`${role.died ?? 'the process ended'}\nthe last requests:\n${this.last.slice(-8).map((one) => JSON.stringify(one)).join('\n')}`), { died: true });
    }
  }

  #count(counts, id, what) {
    const of = counts.get(id) ?? new Map();
    of.set(what, (of.get(what) ?? 0) + 1);
    counts.set(id, of);
  }

  #remember(actor, body, id, answer) {
    const walk = (value, owner) => {
      if (Array.isArray(value)) value.forEach((item) => walk(item, owner));
      else if (value && typeof value === 'object') {
        const here = typeof value.id === 'string' && value.id.startsWith(`${PREFIXES.product}_`) ? value.id : owner;
        Object.values(value).forEach((member) => walk(member, here));
        if (here && Array.isArray(value.variants)) for (const variant of value.variants) this.parents.set(variant.id, here);
      } else if (typeof value === 'string') {
        const match = /^([a-z]+)_[0-9a-f]{32}$/.exec(value);
        if (match && KINDS[match[1]]) {
          this.seen.add(KINDS[match[1]], value);
          actor.seen.add(KINDS[match[1]], value);
        }
      }
    };
    walk(body);
    if (body?.next_cursor) this.cursors.set(id, [...(this.cursors.get(id) ?? []), body.next_cursor].slice(-20));
    const thing = body?.id ?? body?.product?.id;
    if (answer?.headers.etag && thing) this.etags.set(thing, answer.headers.etag);
  }

  async #renew(actor) {
    const answer = await this.send('session_sign_in', this.guest, { path: {}, query: {}, headers: {}, body: { email: actor.person.email, password: actor.person.password } }, 'sign in again');
    if (answer.status === 200) actor.person.token = answer.body.access_token;
    else {
      actor.person = await makePerson(this.env, actor.role, actor.role === 'vendor' ? { vendorId: actor.person.vendorId } : {});
      this.#remember(actor, { id: actor.person.id });
    }
  }

  /** Operations that never succeeded. */
  unreached() {
    return [...this.contract.operations.keys()].filter((id) => ![...(this.counts.get(id)?.keys() ?? [])].some((status) => status >= 200 && status < 300));
  }

  summary() {
    const lines = [`${this.total} requests, seed ${this.seed}, ${this.failures.length} failures`];
    for (const id of this.contract.operations.keys()) {
      const counts = [...(this.counts.get(id) ?? new Map())].sort((a, b) => a[0] - b[0]);
      lines.push(`  ${id.padEnd(34)}${counts.map(([status, count]) => `${status}: ${count}`).join('  ')}`);
    }
    const unreached = this.unreached();
    lines.push(unreached.length === 0 ? 'every operation succeeded at least once' : `never succeeded: ${unreached.join(', ')}`);
    return lines.join('\n');
  }

  /** What was refused though the contract allows it, most often first. */
  reasons(most = 60) {
    const all = [...this.refusals].flatMap(([id, counts]) => [...counts].map(([why, count]) => [count, `${id}: ${why}`]));
    return all.sort((a, b) => b[0] - a[0]).slice(0, most).map(([count, text]) => `${String(count).padStart(8)}  ${text}`).join('\n');
  }

  write(file) {
    fs.writeFileSync(file, JSON.stringify({ failures: this.failures, last: this.last }, null, 1));
  }

  close() {
    this.agent.destroy();
  }
}

/** Plain objects are merged, all else is replaced; undefined takes away. */
function merged(made, over) {
  if (!plain(made) || !plain(over)) return over;
  const all = { ...made };
  for (const [name, value] of Object.entries(over)) {
    if (value === undefined) delete all[name];
    else all[name] = name === 'address' || name === 'attributes' || name === 'options' ? value : merged(made[name], value);
  }
  return all;
}

function plain(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value) && !Buffer.isBuffer(value);
}

function wellFormed(text) {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd') || '-';
}

function redacted(headers) {
  return headers.authorization ? { ...headers, authorization: 'Bearer …' } : headers;
}

function shown(body) {
  if (body === undefined) return undefined;
  const text = Buffer.isBuffer(body) ? body.toString('utf8') : typeof body === 'string' ? body : JSON.stringify(body);
  return text.length > 4000 ? `${text.slice(0, 4000)}… ${text.length} characters, sha256 ${crypto.createHash('sha256').update(text).digest('hex').slice(0, 12)}` : text;
}

module.exports = { Fuzzer, merged };
