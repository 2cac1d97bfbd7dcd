'use strict';
// The pages that people see, in a real browser: the contract's page, the gateway's payment page, the carrier's tracking page
// and the mailbox. A page that logs an error or is refused something by its own policy fails.
const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test, before, after } = require('node:test');
const puppeteer = require('puppeteer-core');
const { shop, poll } = require('../harness');
const { ordered, begun } = require('../harness/buying');

const env = shop();
let browser;
let profile;

before(async () => {
  profile = fs.mkdtempSync(path.join(os.tmpdir(), 'cathay-browser-'));
  browser = await puppeteer.launch({
    executablePath: '/usr/bin/chromium', headless: true, userDataDir: profile,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking', '--proxy-server=direct://'],
  });
});
after(async () => {
  await browser?.close();
  fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
});

/** A page on a phone or a desk; its troubles are collected. */
async function open(address, { width = 1200, height = 900 } = {}) {
  const page = await browser.newPage();
  page.troubles = [];
  page.on('pageerror', (error) => page.troubles.push(String(error)));
  page.on('console', (message) => { if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) page.troubles.push(message.text()); });
  await page.setViewport({ width, height });
  await page.goto(address, { waitUntil: 'networkidle0' });
  return page;
}

async function leave(page) {
  assert.deepStrictEqual(page.troubles, []);
  await page.close();
}

/** The text that is shown; waits until it fits. */
async function shows(page, pattern) {
  await page.waitForFunction((source) => new RegExp(source).test(document.body.innerText), { timeout: 15000 }, pattern.source)
    .catch(async () => { throw new Error(`the page does not show ${pattern}: ${await page.evaluate(() => document.body.innerText.slice(0, 1500))}`); });
}

async function press(page, selector) {
  await Promise.all([page.waitForNavigation({ waitUntil: 'networkidle0' }), page.click(selector)]);
}

/** Fills in the form of an operation and sends it; the text of what comes back. */
async function tryOperation(page, id, body) {
  const form = `#${id} form`;
  await page.$eval(`#${id}`, (element) => { element.open = true; });
  await page.waitForSelector(form);
  if (body) await page.$eval(`${form} textarea`, (element, text) => { element.value = text; }, JSON.stringify(body));
  await page.click(`${form} button`);
  await page.waitForSelector(`${form} [aria-live] pre`);
  return page.$eval(`${form} [aria-live]`, (element) => element.innerText);
}

test('API-1 the contract can be read and tried: register, then ask who one is', async () => {
  const page = await open(`${env.url}/docs`);
  const operations = await page.$$eval('details.operation', (elements) => elements.map((element) => element.id));
  for (const id of ['order_place', 'cart_item_add', 'product_list']) assert.ok(operations.includes(id), id);
  const registered = await tryOperation(page, 'user_register', { email: 'browser@people.example', password: 'correct horse battery staple', name: 'Browser' });
  assert.match(registered, /^201 /);
  assert.match(await tryOperation(page, 'me_show'), /^200 [^]*browser@people\.example/);
  await leave(page);
});

test('API-1 what is wrong with a request is shown', async () => {
  const page = await open(`${env.url}/docs`, { width: 390, height: 800 });
  assert.match(await tryOperation(page, 'session_sign_in', { email: 'nobody@people.example', password: 'wrong' }), /^401 [^]*credentials_wrong/);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), 'wider than a phone');
  await leave(page);
});

/** An order whose payment is begun, and how it stands: see harness/buying.js. */
async function toPay() {
  const purchase = await begun(env, await ordered(env, { priceMinor: 10000 }));
  const show = async () => (await purchase.buyer.api.call('order_show', { path: { order_id: purchase.order.id }, expect: 200 })).body;
  return { ...purchase, show };
}

test('PAY-1 a person pays on the hosted page, comes back, watches the parcel, and finds the mail', async () => {
  const { buyer, order, url, show } = await toPay();
  const page = await open(url, { width: 390, height: 800 });
  await shows(page, new RegExp(`HKD 100\\.00[^]*Order ${order.number}`));
  await press(page, 'button[value=pay]');
  assert.ok(page.url().startsWith(`${env.url}/v1/payments/return`), page.url());
  await poll(async () => (await show()).state !== 'pending_payment', { what: 'the order to be confirmed' });
  const { tracking_url: track } = await poll(async () => (await show()).fulfilments[0]?.shipment?.tracking_url && (await show()).fulfilments[0].shipment, { what: 'the label' });
  await page.goto(track, { waitUntil: 'networkidle0' });
  for (let step = 0; step < 8 && await page.$('button.pay'); step += 1) await press(page, 'button.pay');
  await poll(async () => (await show()).state === 'delivered', { what: 'the parcel to be delivered' });
  await poll(async () => {
    await page.goto(`${env.sandboxUrl}/mailbox?to=${encodeURIComponent(buyer.email)}`, { waitUntil: 'networkidle0' });
    return /has arrived/.test(await page.evaluate(() => document.body.innerText));
  }, { what: 'the mails', everyMs: 300 });
  await press(page, 'td a');
  await shows(page, new RegExp(String(order.number)));
  await leave(page);
});

test('PAY-4 a person whose payment is declined comes back to an order that says so', async () => {
  const { url, show } = await toPay();
  const page = await open(url);
  await press(page, 'button[value=decline]');
  await poll(async () => (await show()).payments[0].state === 'failed', { what: 'the payment to have failed' });
  await leave(page);
});
