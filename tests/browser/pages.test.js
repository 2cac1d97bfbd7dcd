'use strict';
// The pages that a person meets, in Debian's Chromium, on a desktop and on a phone: nothing is cut off, the keyboard is enough, no script or
// policy complains, nothing is loaded from elsewhere.
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { chromium } = require('playwright-core');
const { shop, poll, uuidOf } = require('../harness');
const { ordered, begun, reaches } = require('../harness/buying');

const env = shop();
const SCREENS = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };
const pictures = path.resolve(__dirname, '../../var/test/pictures');
let browser;

before(async () => {
  fs.mkdirSync(pictures, { recursive: true });
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
});
after(async () => { await browser?.close(); });

/** Opens a page at each width and looks at it; nothing may complain. */
async function onEachScreen(name, visit) {
  for (const [screen, viewport] of Object.entries(SCREENS)) {
    const context = await browser.newContext({ viewport, isMobile: screen === 'phone', hasTouch: screen === 'phone' });
    const page = await context.newPage();
    const complaints = [];
    page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => { if (!/^http:\/\/127\.0\.0\.1:|^data:/.test(request.url())) complaints.push(`asks ${request.url()}`); });
    try {
      await visit(page, screen);
      const { scroll, client } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth }));
      assert.ok(scroll <= client, `${name} on a ${screen}: ${scroll} pixels wide on a screen of ${client}`);
      await page.screenshot({ path: path.join(pictures, `${name}-${screen}.png`) });
      assert.deepStrictEqual(complaints.filter((text) => !/favicon/.test(text)), [], `${name} on a ${screen}`);
    } finally {
      await context.close();
    }
  }
}

test('API-1 a person reads and tries the contract', { timeout: 120000 }, async () => {
  const { body: contract } = await env.api.call('openapi_show', { expect: 200 });
  const operations = Object.values(contract.paths).flatMap((item) => Object.values(item)).filter(({ operationId }) => operationId);
  await onEachScreen('docs', async (page) => {
    await page.goto(`${env.url}/docs`);
    await page.locator('details.operation').first().waitFor();
    assert.strictEqual(await page.locator('details.operation').count(), operations.length, 'every operation is there');
    for (const { operationId } of operations) { // opening builds parameters, bodies and forms of each
      await page.locator('#find').fill(operationId);
      const operation = page.locator(`details.operation#${operationId}`);
      await operation.evaluate((element) => { element.open = true; });
      await operation.locator('form button').first().waitFor({ state: 'attached' });
    }
    await page.locator('#find').fill('ready_show');
    const ready = page.locator('details.operation#ready_show');
    await ready.locator('summary').first().click();
    await ready.locator('form button').first().click();
    await ready.getByText('"status": "ready"').waitFor();
  });
});

test('PAY-1 a person pays on the hosted page, with the keyboard alone', { timeout: 120000 }, async () => {
  await onEachScreen('paid', async (page) => {
    const purchase = await begun(env, await ordered(env));
    await page.goto(purchase.url);
    // A browser moves the focus when it first draws the page, which may be after its load event.
    await page.waitForFunction(() => document.activeElement.textContent === 'Pay', null, { timeout: 10000 });
    await page.keyboard.press('Enter');
    await page.waitForURL(`${env.url}/**`);
    await page.getByText('Thank you').waitFor();
    await reaches(purchase, 'confirmed');
  });
});

test('PAY-4 a person declines, or walks away', { timeout: 120000 }, async () => {
  await onEachScreen('hosted', async (page) => {
    const declined = await begun(env, await ordered(env));
    await page.goto(declined.url);
    await page.getByRole('button', { name: 'Decline' }).click();
    await page.waitForURL(`${env.url}/**`);
    await reaches(declined, 'payment_failed');
    const left = await begun(env, await ordered(env));
    await page.goto(left.url);
    await page.getByRole('button', { name: 'Back to the shop' }).click();
    await page.waitForURL(`${env.url}/**`);
    assert.strictEqual(await left.state(), 'pending_payment');
    await page.goto(left.url);
  });
});

test('SHP-1 JOB-4 a person moves the parcel on its page, and reads the mail', { timeout: 120000 }, async () => {
  const purchase = await ordered(env, { points: 1000, priceMinor: 10000 }); // miles alone
  const parcel = await poll(async () => (await env.query('SELECT tracking_url FROM shipment WHERE order_id = $1 AND tracking_url IS NOT NULL', [uuidOf(purchase.order.id)]))[0], { what: 'the parcel to have a label' });
  await onEachScreen('parcel', async (page) => {
    await page.goto(parcel.tracking_url);
    await page.getByRole('button', { name: 'Move the parcel' }).click();
    await page.waitForURL(parcel.tracking_url);
  });
  await poll(async () => (await purchase.state()) === 'shipped', { what: 'the order to be shipped' });
  await onEachScreen('mailbox', async (page) => {
    await page.goto(`${env.sandboxUrl}/mailbox`);
    await page.getByText(purchase.buyer.email).first().waitFor();
    await page.getByRole('link').filter({ hasText: 'confirmed' }).first().click();
    await page.waitForLoadState();
  });
});

test('the first pages of the shop and of the partners lead on', { timeout: 120000 }, async () => {
  await onEachScreen('home', async (page) => {
    await page.goto(`${env.url}/`);
    await page.getByRole('link', { name: 'The contract' }).click();
    await page.waitForURL(`${env.url}/docs`);
  });
  await onEachScreen('partners', async (page) => {
    await page.goto(`${env.sandboxUrl}/`);
    await page.getByRole('link', { name: 'The mailbox' }).click();
    await page.waitForURL(`${env.sandboxUrl}/mailbox`);
  });
  await onEachScreen('returned', async (page) => {
    await page.goto(`${env.url}/v1/payments/return?redirect_status=failed`);
    await page.getByText('The payment was not made').waitFor();
    await page.getByRole('link', { name: 'Back to the shop' }).click();
    await page.waitForURL(`${env.url}/`);
  });
});

test('the contract page fills in what is required only, and a sign-in of the demo shop', { timeout: 120000 }, async () => {
  await onEachScreen('sign-in', async (page, screen) => {
    await page.goto(`${env.url}/docs#session_sign_in`);
    await page.getByText('amy@cathay.example (customer)').waitFor();
    const operation = page.locator('details.operation#session_sign_in');
    const body = JSON.parse(await operation.locator('form textarea').inputValue());
    assert.deepStrictEqual(Object.keys(body).sort(), ['email', 'password']);
    await env.api.call('session_sign_in', { body, expect: 401 }); // as the contract says; this shop is not the demo's
    if (screen !== 'phone') return;
    // A word of a table that fits its line stays on one line.
    const broken = await operation.evaluate((element) => [...element.querySelectorAll('td code')].filter((code) => {
      const table = code.closest('table').getBoundingClientRect().width;
      return code.getClientRects().length > 1 && code.textContent.length * 9 < table;
    }).map((code) => code.textContent));
    assert.deepStrictEqual(broken, []);
  });
});

test('a link in a mail opens a page of its own', { timeout: 120000 }, async () => {
  await reaches(await ordered(env, { points: 1000, priceMinor: 10000 }), 'confirmed'); // miles alone
  const mail = await poll(async () => (await (await fetch(`${env.sandboxUrl}/mailbox/messages`)).json()).data.find(({ html }) => /<a [^>]*href="http/.test(html ?? '')),
    { timeoutMs: 60000, what: 'a mail with a link' });
  await onEachScreen('mail', async (page) => {
    await page.goto(`${env.sandboxUrl}/mailbox/${mail.id}`);
    const link = page.frameLocator('iframe').locator('a[href^="http"]').first();
    const target = await link.getAttribute('href');
    const [opened] = await Promise.all([page.context().waitForEvent('page'), link.click()]);
    await opened.waitForLoadState();
    assert.strictEqual(opened.url(), target);
    await opened.close();
  });
});
