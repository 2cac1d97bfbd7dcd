'use strict';
// Starts the echo server and talks to it in raw bytes.
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');

const project = path.resolve(__dirname, '../..');
const program = ['build-test', 'build'].map((tree) => path.join(project, tree, 'tests/http/echo_server')).find((file) => fs.existsSync(file));

class EchoServer {
  /** settings: names of src/base/settings.def. */
  static async start(settings = {}) {
    const server = new EchoServer();
    const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(CATHAY_|DATABASE_URL|REDIS_URL)/.test(name)));
    const own = Object.fromEntries(Object.entries({ listen_port: 0, ...settings }).map(([name, value]) => [`CATHAY_${name.toUpperCase()}`, String(value)]));
    server.child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program], { env: { ...kept, ...own }, stdio: ['ignore', 'pipe', 'pipe'] });
    server.log = '';
    server.child.stderr.on('data', (bytes) => { server.log += bytes; });
    server.exited = new Promise((resolve) => server.child.once('exit', (code, signal) => resolve({ code, signal })));
    server.port = await new Promise((resolve, reject) => {
      let text = '';
      server.child.stdout.on('data', (bytes) => {
        text += bytes;
        const match = /port (\d+)\n/.exec(text);
        if (match) resolve(Number(match[1]));
      });
      server.exited.then((end) => reject(new Error(`the echo server ended: ${JSON.stringify(end)}\n${server.log}`)));
    });
    return server;
  }

  /** Gracefully; an end other than 0 (a finding of a sanitizer) fails. */
  async stop() {
    this.child.kill('SIGTERM');
    const end = await this.exited;
    if (end.code !== 0) throw new Error(`the echo server ended with ${JSON.stringify(end)}\n${this.log.slice(-4000)}`);
  }

  connect(where = this.port) {
    return new Connection(where);
  }

  /** Sends the bytes on a connection of their own and returns all that came until the server closed or `answers` are whole. */
  async raw(bytes, { answers = 1, methods } = {}) {
    const connection = this.connect();
    await connection.send(bytes);
    const got = [];
    for (let i = 0; i < answers; i++) got.push(await connection.answer((methods ?? [])[i]));
    connection.end();
    return answers === 1 ? got[0] : got;
  }

  get(target, headers = {}) {
    const lines = Object.entries({ Host: 'shop', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return this.raw(`GET ${target} HTTP/1.1\r\n${lines}\r\n`);
  }

  request(method, target, headers = {}, body = '') {
    const all = { Host: 'shop', ...(body === '' ? {} : { 'Content-Length': Buffer.byteLength(body) }), ...headers };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return this.raw(`${method} ${target} HTTP/1.1\r\n${lines}\r\n${body}`, { methods: [method] });
  }

  async metric(name) {
    const { body } = await this.get('/metrics');
    const match = new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(body);
    return match ? Number(match[1]) : 0;
  }
}

/** A socket with a reader of answers that trusts nothing but Content-Length. */
class Connection {
  /** where: a port, or the path of a Unix socket. */
  constructor(where) {
    this.received = Buffer.alloc(0);
    this.closed = false;
    this.waiting = [];
    this.socket = net.connect({ ...(typeof where === 'string' ? { path: where } : { port: where, host: '127.0.0.1' }), allowHalfOpen: true });
    this.socket.on('data', (bytes) => { this.received = Buffer.concat([this.received, bytes]); this.#wake(); });
    for (const event of ['end', 'close', 'error']) this.socket.on(event, () => { this.closed = true; this.#wake(); });
  }

  #wake() {
    for (const wake of this.waiting.splice(0)) wake();
  }

  send(bytes) {
    return new Promise((resolve) => this.socket.write(bytes, 'latin1', () => resolve()));
  }

  async #until(ready, timeoutMs = 20000) {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const value = ready();
      if (value !== undefined) return value;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no answer; so far ${JSON.stringify(this.received.toString('latin1').slice(0, 500))}`);
      await new Promise((resolve) => { this.waiting.push(resolve); setTimeout(resolve, Math.min(left, 1000)); });
    }
  }

  /** The next whole answer; null when the server has closed without one. */
  answer(method = 'GET') {
    return this.#until(() => {
      const end = this.received.indexOf('\r\n\r\n');
      if (end < 0) return this.closed ? null : undefined;
      const [first, ...lines] = this.received.subarray(0, end).toString('latin1').split('\r\n');
      const headers = {};
      for (const line of lines) headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 1).trim();
      const status = Number(first.split(' ')[1]);
      const bodiless = method === 'HEAD' || status < 200 || status === 204 || status === 304;
      const length = bodiless ? 0 : headers['content-length'] === undefined ? Infinity : Number(headers['content-length']);
      const available = this.received.length - end - 4;
      if (available < length && !this.closed) return undefined;
      const taken = Math.min(available, length);
      const body = this.received.subarray(end + 4, end + 4 + taken).toString('latin1');
      this.received = this.received.subarray(end + 4 + taken);
      const answer = { first, status, headers, body };
      if (/json/.test(headers['content-type'] ?? '') && body) answer.json = JSON.parse(body);
      return answer;
    });
  }

  /** Waits for text within what has come and not been read. */
  text(wanted) {
    return this.#until(() => {
      const text = this.received.toString('latin1');
      if (text.includes(wanted)) return text;
      return this.closed ? null : undefined;
    });
  }

  /** Resolves when the server has closed its side. */
  ended(timeoutMs) {
    return this.#until(() => (this.closed ? true : undefined), timeoutMs);
  }

  end() {
    this.socket.destroy();
  }
}

module.exports = { EchoServer };
