'use strict';
// A real browser without a window: Chromium, spoken to over its debugging pipe (JSON, NUL between messages).
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { sleep } = require('./services');

const START_TIMEOUT_MS = 60000;

class Browser {
  static async start({ width = 1280, height = 900 } = {}) {
    const browser = new Browser();
    browser.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'cathay-browser-'));
    browser.child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'chromium', '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
      '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-proxy-server',
      `--user-data-dir=${browser.directory}`, `--window-size=${width},${height}`, '--remote-debugging-pipe', 'about:blank'],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true }); // a group of its own: its helpers are ended with it
    browser.exited = new Promise((resolve) => browser.child.once('exit', resolve));
    browser.pending = new Map();
    browser.events = [];
    browser.last = 0;
    let text = '';
    browser.child.stdio[4].setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
      for (let end; (end = text.indexOf('\0')) >= 0; text = text.slice(end + 1)) browser.#receive(JSON.parse(text.slice(0, end)));
    });
    browser.child.stdio[3].on('error', () => {});
    const { targetInfos } = await browser.#send('Target.getTargets');
    const { targetId } = targetInfos.find((target) => target.type === 'page');
    browser.session = (await browser.#send('Target.attachToTarget', { targetId, flatten: true })).sessionId;
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await browser.command(`${domain}.enable`);
    await browser.command('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 600 });
    return browser;
  }

  #receive(message) {
    if (message.id === undefined) {
      this.events.push(message);
      return;
    }
    const { resolve, reject, timer } = this.pending.get(message.id);
    this.pending.delete(message.id);
    clearTimeout(timer);
    if (message.error) reject(new Error(message.error.message));
    else resolve(message.result);
  }

  #send(method, params = {}, sessionId = undefined) {
    return new Promise((resolve, reject) => {
      const id = this.last += 1;
      const timer = setTimeout(() => reject(new Error(`the browser did not answer ${method}`)), START_TIMEOUT_MS);
      this.pending.set(id, { resolve, reject, timer });
      this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  command(method, params) {
    return this.#send(method, params, this.session);
  }

  open(url) {
    return this.command('Page.navigate', { url });
  }

  /** The value of an expression in the page; promises are awaited. */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.command('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until the expression is truthy. */
  async until(expression, timeoutMs = 20000) {
    for (const deadline = Date.now() + timeoutMs; ;) {
      const value = await this.evaluate(expression).catch(() => undefined); // the page may be changing
      if (value) return value;
      if (Date.now() > deadline) throw new Error(`never true in the page: ${expression}\n${this.complaints().join('\n')}`);
      await sleep(50);
    }
  }

  /** What the console, the content policy or scripts complained about. */
  complaints() {
    return this.events.flatMap(({ method, params }) => {
      if (method === 'Log.entryAdded' && params.entry.level === 'error') return [`${params.entry.text} ${params.entry.url ?? ''}`];
      if (method === 'Runtime.exceptionThrown') return [params.exceptionDetails.exception?.description ?? params.exceptionDetails.text];
      return [];
    });
  }

  async screenshot(file) {
    const { data } = await this.command('Page.captureScreenshot', { format: 'png' });
    fs.writeFileSync(file, Buffer.from(data, 'base64'));
  }

  async stop() {
    this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), 5000);
    await this.exited;
    clearTimeout(late);
    for (let tries = 0; ; tries += 1) {
      try {
        process.kill(-this.child.pid, 'SIGKILL');
      } catch { /* none is left */ }
      try {
        fs.rmSync(this.directory, { recursive: true, force: true });
        return;
      } catch (error) { // a helper wrote its last words
        if (tries > 50) throw error;
        await sleep(100);
      }
    }
  }
}

module.exports = { Browser };
