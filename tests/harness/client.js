'use strict';
// A client for tests: finds the operation in the contract, sends real HTTP, and fails the test when request or answer is
// not what the contract says.
const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const { Contract } = require('./contract');

let contract;
function theContract() {
  contract ??= new Contract();
  return contract;
}

function recordCoverage(id, status) {
  if (process.env.TEST_COVERAGE) fs.appendFileSync(process.env.TEST_COVERAGE, `${id} ${status}\n`);
}

/** One HTTP request; resolves with {status, headers, text, bytes, body, malformed}. */
function exchange(url, { method = 'GET', headers = {}, body, agent, timeoutMs = 60000 } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const bytes = Buffer.concat(chunks);
        const text = bytes.toString('utf8');
        const answer = { status: response.statusCode, headers: response.headers, bytes, text, body: text };
        if (/json/.test(response.headers['content-type'] ?? '')) {
          try {
            answer.body = JSON.parse(text);
          } catch (error) {
            answer.malformed = error.message;
          }
        }
        resolve(answer);
      });
    });
    request.setTimeout(timeoutMs, () => request.destroy(new Error(`${method} ${url}: no answer within ${timeoutMs} ms`)));
    request.on('error', reject);
    request.end(body);
  });
}

class Client {
  /** base: http://127.0.0.1:port */
  constructor(base, { token, connections = 512, agent } = {}) {
    this.base = base;
    this.token = token;
    this.agent = agent ?? new http.Agent({ keepAlive: true, maxSockets: connections });
  }

  /** The same server, seen by somebody else: a token, or an answer of sign-in. */
  as(token) {
    const text = typeof token === 'object' && token !== null ? token.access_token ?? token.token : token;
    return new Client(this.base, { token: text, agent: this.agent });
  }

  /**
   * Calls an operation of the contract.
   *   path, query, headers   parameters; body: sent as JSON, or as it is when a string or Buffer (then contentType says what)
   *   token                  of this call; null sends none
   *   key                    Idempotency-Key; made up where the operation requires one; null sends none
   *   expect                 status, or list of them, that the test asserts
   *   invalid                true: the request breaks the contract on purpose, and must be refused with 4xx
   *   probe                  true: only asks whether one may; the request is not judged and does not count as a test of it
   * Resolves with {status, headers, body, text}.
   */
  async call(id, options = {}) {
    const { operation, url, headers, body } = this.#prepare(id, options);
    const agent = options.agent ?? this.agent;
    const answer = await exchange(url, { method: operation.method, headers, body, agent, timeoutMs: options.timeoutMs });
    if (!options.probe) recordCoverage(id, answer.status);
    this.#judge(operation, options, answer);
    if (options.expect !== undefined) {
      const wanted = [options.expect].flat();
      assert.ok(wanted.includes(answer.status), `${id}: status ${answer.status} instead of ${wanted.join(' or ')}: ${answer.text.slice(0, 2000)}`);
    }
    return answer;
  }

  #prepare(id, options) {
    const operation = theContract().operation(id);
    const headers = { ...options.headers };
    const token = options.token === undefined ? this.token : options.token;
    if (token) headers.authorization = `Bearer ${token}`;
    let key = options.key;
    if (key === undefined && operation.idempotency === 'required') key = crypto.randomUUID();
    if (key) headers['Idempotency-Key'] = key;
    let body;
    if (options.body !== undefined) {
      const asIs = typeof options.body === 'string' || Buffer.isBuffer(options.body);
      body = asIs ? options.body : JSON.stringify(options.body);
      headers['content-type'] ??= options.contentType ?? 'application/json';
      headers['content-length'] = Buffer.byteLength(body);
    } else if (['POST', 'PUT', 'PATCH'].includes(operation.method)) {
      headers['content-length'] = 0;
    }
    const route = operation.route.replace(/\{(\w+)\}/g, (_, name) => {
      const value = options.path?.[name];
      if (value === undefined) throw new Error(`${id}: path parameter ${name} is not given`);
      return encodeURIComponent(value);
    });
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(options.query ?? {})) {
      for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) query.append(name, String(one));
    }
    const text = query.toString();
    return { operation, headers, body, url: `${this.base}${route}${text ? `?${text}` : ''}` };
  }

  #judge(operation, options, answer) {
    const { id } = operation;
    if (!options.probe) this.#judgeRequest(operation, options, answer);
    assert.deepStrictEqual(theContract().responseFaults(id, answer), [],
      `${id}: the answer ${answer.status} is not as the contract says: ${answer.text.slice(0, 1000)}`);
  }

  #judgeRequest(operation, options, answer) {
    const { id } = operation;
    const asIs = typeof options.body === 'string' || Buffer.isBuffer(options.body);
    const contentType = options.headers?.['content-type'] ?? options.contentType;
    let parsed = options.body;
    let readable = true;
    if (asIs && /json/.test(contentType ?? 'application/json')) {
      try {
        parsed = JSON.parse(options.body);
      } catch {
        readable = false;
      }
    }
    const headers = { ...options.headers };
    if (options.key !== null && (options.key || operation.idempotency === 'required')) headers['Idempotency-Key'] = options.key || 'made-up';
    const faults = readable
      ? theContract().requestFaults(id, { path: options.path, query: options.query, headers, body: parsed, contentType })
      : ['body: is not JSON'];
    if (options.invalid) {
      // JSON that only differs in its text (doubled members) is beyond a validator of values.
      assert.ok(faults.length > 0 || asIs, `${id}: sent as invalid, but the contract allows it`);
      assert.ok(answer.status >= 400 && answer.status < 500, `${id}: an invalid request was answered ${answer.status}: ${answer.text.slice(0, 500)}`);
    } else {
      assert.deepStrictEqual(faults, [], `${id}: the request is not as the contract says (a test that means it says invalid: true)`);
      // Rules that a schema cannot tell (a common password, an unknown category) are refused alike: the test expects 400 then.
      const expected = [options.expect].flat().includes(400);
      assert.ok(expected || answer.body?.code !== 'validation_failed',
        `${id}: the server refuses what the contract allows: ${answer.text.slice(0, 1000)}`);
    }
  }

  /** Opens an endless answer (Server-Sent Events). See EventStream. */
  async stream(id, options = {}) {
    const { operation, url, headers } = this.#prepare(id, options);
    const stream = await EventStream.open(url, { ...headers, accept: 'text/event-stream' });
    recordCoverage(id, stream.status);
    if (stream.status !== 200) {
      const answer = await stream.rest();
      this.#judge(operation, options, answer);
      throw Object.assign(new Error(`${id}: status ${stream.status}: ${answer.text}`), { answer });
    }
    const declared = operation.declared.responses['200']?.content ?? {};
    assert.ok(declared['text/event-stream'], `${id}: the contract does not declare text/event-stream`);
    assert.match(stream.headers['content-type'] ?? '', /^text\/event-stream/);
    return stream;
  }

  /** Anything that is not in the contract: pages, /metrics. */
  get(path, options = {}) {
    return exchange(this.base + path, { agent: this.agent, ...options });
  }

  close() {
    this.agent.destroy();
  }
}

/** Server-Sent Events as they come: {id, event, data}; comments are left out. */
class EventStream {
  static open(url, headers) {
    return new Promise((resolve, reject) => {
      const stream = new EventStream();
      stream.request = http.get(url, { headers, agent: new http.Agent() }, (response) => {
        stream.status = response.statusCode;
        stream.headers = response.headers;
        stream.response = response;
        if (response.statusCode === 200) response.setEncoding('utf8').on('data', (text) => stream.#take(text));
        response.on('close', () => { stream.ended = true; stream.#wake(); });
        response.on('error', () => {});
        resolve(stream);
      });
      stream.request.on('error', (error) => { stream.ended = true; stream.#wake(); reject(error); });
    });
  }

  events = [];
  #read = 0;
  #buffer = '';
  #waiting = [];

  #take(text) {
    this.#buffer += text;
    for (let end; (end = this.#buffer.indexOf('\n\n')) >= 0;) {
      const block = this.#buffer.slice(0, end);
      this.#buffer = this.#buffer.slice(end + 2);
      const event = { id: undefined, event: 'message', data: '' };
      let told = false;
      for (const line of block.split('\n')) {
        const match = /^(id|event|data|retry):? ?(.*)$/.exec(line);
        if (!match || line.startsWith(':')) continue;
        if (match[1] === 'data') event.data += (event.data ? '\n' : '') + match[2];
        else event[match[1]] = match[2];
        told ||= match[1] === 'data';
      }
      if (told) this.events.push(event);
    }
    this.#wake();
  }

  #wake() {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** The next event that fits; those before it are passed over. */
  async next(fits = () => true, timeoutMs = 10000) {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      while (this.#read < this.events.length) {
        const event = this.events[this.#read];
        this.#read += 1;
        if (fits(event)) return event;
      }
      const left = deadline - Date.now();
      if (this.ended || left <= 0) {
        throw new Error(`${this.ended ? 'the stream ended' : 'no such event in time'}; seen: ${JSON.stringify(this.events)}`);
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => { clearTimeout(timer); resolve(); });
      });
    }
  }

  async rest() {
    let text = '';
    for await (const chunk of this.response) text += chunk;
    let body = text;
    try { body = JSON.parse(text); } catch { /* the judge says so */ }
    return { status: this.status, headers: this.headers, text, body };
  }

  close() {
    this.request.destroy();
  }
}

/**
 * Writes bytes to a socket and collects what comes back until the peer closes, `until` fits the text, or time is up.
 * Resolves with {text, closed}.
 */
function rawExchange(port, bytes, { host = '127.0.0.1', until, timeoutMs = 5000 } = {}) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, host, () => { if (bytes !== undefined && bytes !== null) socket.write(bytes); });
    let text = '';
    const end = (closed) => { clearTimeout(timer); socket.destroy(); resolve({ text, closed }); };
    const timer = setTimeout(() => end(false), timeoutMs);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      if (until && until.test(text)) end(false);
    });
    socket.on('end', () => end(true));
    socket.on('close', () => end(true));
    socket.on('error', (error) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') end(true);
      else { clearTimeout(timer); reject(error); }
    });
  });
}

module.exports = { Client, EventStream, exchange, rawExchange, theContract };
