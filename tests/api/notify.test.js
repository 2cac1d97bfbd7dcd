'use strict';
const net = require('node:net');
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { shop, poll, exchange, makePerson, MailSink, Environment, freePort } = require('../harness');
const { customer } = require('../harness/goods');
const { placed, paid, sandboxPost } = require('../harness/orders');
const { sandboxCall, fault } = require('../harness/gateway');

// Mails go to an SMTP server and parser that are not ours.
let sink;
let env;
before(async () => {
  sink = await MailSink.start();
  env = await Environment.start({ settings: { smtp_url: sink.url } });
});
after(async () => {
  await env?.stop();
  await sink?.close();
});

test('JOB-4 an order on its way tells its customer: confirmed, shipped, delivered, refunded', async () => {
  const purchase = await paid(env, { points: 1500, quantity: 2, priceMinor: 123450 });
  const { email } = purchase.buyer;
  const [confirmed] = await sink.to(email, /is confirmed/);
  assert.strictEqual(confirmed.subject, `Your order ${purchase.order.number} is confirmed`);
  assert.strictEqual(confirmed.from.value[0].address, 'shop@cathay.example');
  assert.deepStrictEqual(confirmed.to.value.map((one) => one.address), [email]);
  for (const part of [confirmed.text, confirmed.html]) {
    for (const text of ['HK$2,469.00', '1,500', 'HK$150.00', 'HK$2,319.00', '1 Harbour Road', purchase.id]) assert.ok(part.includes(text), `${text} in the mail`);
  }
  assert.ok(Math.abs(confirmed.date - Date.now()) < 600000);
  assert.match(confirmed.messageId, /^<[0-9a-f]{32}\.order_confirmed@cathay\.example>$/);
  const [shipment] = await purchase.labelled();
  await purchase.move(shipment, 'in_transit');
  const [shipped] = await sink.to(email, /on its way/);
  assert.ok(shipped.text.includes(shipment.tracking_code) && shipped.html.includes(shipment.tracking_url));
  await purchase.move(shipment, 'delivered');
  await sink.to(email, /has arrived/);
  const staff = await makePerson(env, 'manager');
  await staff.api.call('order_refund', { path: { order_id: purchase.id }, body: { reason: 'Broken' }, expect: [200, 201, 202] });
  const [refunded] = await sink.to(email, /refund/);
  assert.ok(refunded.text.includes('HK$2,319.00') && refunded.text.includes('1,500 miles'));
  await poll(async () => (await env.query("SELECT 1 FROM task WHERE name = 'notify_mail' AND state <> 'done'")).length === 0, { what: 'the tasks to end' });
  const rows = await env.query('SELECT m.template, m.state FROM mail m JOIN orders o ON o.id = m.order_id WHERE o.id = $1', [purchase.uuid]);
  assert.deepStrictEqual(rows.map((row) => `${row.template} ${row.state}`).sort(), ['order_confirmed sent', 'order_delivered sent', 'order_refunded sent', 'order_shipped sent']);
});

test('PAY-5 "we have refunded" is said when the gateway has sent the money, and an honest word when it could not', async () => {
  const purchase = await paid(env, { points: 1500, priceMinor: 100000 });
  const { email } = purchase.buyer;
  const staff = await makePerson(env, 'manager');
  const refunds = () => env.query('SELECT id, state, gateway_id FROM refund WHERE order_id = $1 ORDER BY id', [purchase.uuid]);
  const accepted = (at) => poll(async () => (await refunds())[at]?.gateway_id, { what: 'the gateway to accept it' });
  const mailsDone = () => poll(async () => (await env.query("SELECT 1 FROM task WHERE name = 'notify_mail' AND state <> 'done'")).length === 0, { what: 'the mails to be sent' });
  const about = () => sink.mails.filter(({ to, mail }) => to.includes(email) && /refund/.test(mail.subject)).map(({ mail }) => mail);
  await fault(env, 'refund_pending', 2);
  await staff.api.call('order_refund', { path: { order_id: purchase.id }, body: { reason: 'Broken' }, expect: 201 });
  const gatewayId = await accepted(0);
  await mailsDone();
  assert.deepStrictEqual(about().map(({ subject }) => subject), [], 'nothing is said before the gateway has done it');
  await sandboxCall(env, 'POST', `/sandbox/refunds/${gatewayId}/fail`);
  const [late] = await sink.to(email, /refund for order .* is late/);
  assert.ok(late.text.includes('HK$850.00') && late.text.includes('1,500 miles are back'), late.text);
  assert.ok(!/have refunded/.test(late.text));

  const [{ id }] = (await staff.api.call('staff_refund_list', { expect: 200 })).body.items;
  await staff.api.call('refund_retry', { path: { refund_id: id }, expect: 201 });
  await sandboxCall(env, 'POST', `/sandbox/refunds/${await accepted(1)}/succeed`);
  const [done] = await sink.to(email, /A refund of your order/);
  assert.ok(done.text.includes('HK$850.00') && !done.text.includes('miles'), 'the miles went back with the first one');
  await env.verify();
});

test('JOB-4 each parcel is told of: on its way, ready, failed, back; and only all that arrived is everything', async () => {
  const purchase = await paid(env, { vendors: 3 });
  const { email } = purchase.buyer;
  const parcels = await purchase.labelled();
  const told = async (subject, count) => (await sink.to(email, subject, count)).at(-1);
  for (const [i, parcel] of parcels.entries()) {
    await purchase.move(parcel, 'in_transit');
    const mail = await told(/is on its way$/, i + 1);
    for (const other of parcels) assert.strictEqual(mail.text.includes(other.tracking_code), other === parcel);
  }
  await purchase.move(parcels[0], 'failure');
  assert.ok((await told(/could not be handed over/, 1)).text.includes(parcels[0].tracking_code));
  await purchase.move(parcels[0], 'out_for_delivery');
  await purchase.move(parcels[1], 'available_for_pickup');
  assert.ok((await told(/can be collected/, 1)).text.includes(parcels[1].tracking_code));
  await purchase.move(parcels[0], 'delivered');
  const first = await told(/has arrived/, 1);
  assert.match(first.text, /still to come/);
  assert.doesNotMatch(first.text, /[Ee]verything/);
  await purchase.move(parcels[2], 'return_to_sender');
  assert.ok((await told(/back to us/, 1)).text.includes(parcels[2].tracking_code));
  await purchase.move(parcels[1], 'delivered');
  const last = await told(/has arrived/, 2);
  assert.match(last.text, /came back to us/);
  assert.doesNotMatch(last.text, /[Ee]verything|still to come/);
  assert.strictEqual((await sink.to(email, /is on its way$/)).length, 3); // coming again is no news
  await poll(async () => (await env.query("SELECT 1 FROM task WHERE name = 'notify_mail' AND state <> 'done'")).length === 0, { what: 'the tasks to end' });
});

test('JOB-4 the links of mails lead to the order as it is now, for whoever has the link and nobody else', async () => {
  const purchase = await paid(env, { points: 1000, priceMinor: 20000 });
  const other = await paid(env);
  const linkIn = async (of, subject) => {
    const [mail] = await sink.to(of.buyer.email, subject);
    const links = [...mail.html.matchAll(/href="([^"]+)"/g)].map(([, link]) => link.replaceAll('&amp;', '&')).filter((link) => link.startsWith(env.url));
    assert.ok(links.length > 0 && links.every((link) => mail.text.includes(link)));
    return new URL(links[0]);
  };
  const link = await linkIn(purchase, /is confirmed/);
  const page = await env.api.call('order_page', { path: { order_id: purchase.id }, query: { key: link.searchParams.get('key') }, expect: 200 });
  assert.strictEqual((await env.api.get(link.pathname + link.search)).text, page.text);
  assert.strictEqual(page.status, 200);
  assert.match(page.headers['content-type'], /text\/html/);
  assert.match(page.headers['cache-control'], /no-store/);
  assert.strictEqual(page.headers['referrer-policy'], 'no-referrer');
  for (const text of [`Order ${purchase.order.number}`, '1,000', 'HK$200.00', 'HK$100.00']) assert.ok(page.text.includes(text), `${text} on the page`);
  for (const personal of [purchase.buyer.email, '1 Harbour Road', 'Test Customer']) assert.ok(!page.text.includes(personal), `${personal} on the page`);
  const [shipment] = await purchase.labelled();
  await purchase.move(shipment, 'in_transit');
  await purchase.reaches('shipped');
  const later = await env.api.get(link.pathname + link.search);
  assert.ok(later.text.includes(shipment.tracking_code) && later.text.includes(shipment.tracking_url));
  const { search } = await linkIn(other, /is confirmed/);
  for (const query of ['', '?key=', `${search}`, `?key=${'A'.repeat(32)}`, link.search.slice(0, -2)]) {
    const nothing = await env.api.get(link.pathname + query);
    assert.strictEqual(nothing.status, 404, query);
    assert.ok(!nothing.text.includes(String(purchase.order.number)), query);
  }
});

test('PAY-4 a payment that fails tells its customer', async () => {
  const purchase = await placed(env);
  await purchase.buyer.api.call('order_pay', { path: { order_id: purchase.id }, expect: 200 });
  const [payment] = await env.query('SELECT intent_id FROM payment WHERE order_id = $1', [purchase.uuid]);
  await sandboxPost(env, `/sandbox/payment_intents/${payment.intent_id}/decline`);
  const [mail] = await sink.to(purchase.buyer.email, /did not go through/);
  assert.match(mail.text, /Nothing was charged/);
});

test('JOB-4 an order that is cancelled tells its customer, with the reason', async () => {
  const purchase = await placed(env);
  await purchase.buyer.api.call('order_cancel', { path: { order_id: purchase.id }, expect: 200 });
  const [mail] = await sink.to(purchase.buyer.email, /is cancelled/);
  assert.match(mail.text, /Cancelled by the customer/);
});

test('JOB-4 what people write is text in a mail, in its headers as in its body', async () => {
  const odd = '<img src=x onerror=alert(1)> "Ä" 美 & Co';
  const buyer = await makePerson(env, 'customer', { name: odd });
  await paid(env, { buyer, more: { address: { name: '<b>Bold</b>', line1: '{{shop}} & Sons', city: 'Hong Kong', country: 'HK' } } });
  const [mail] = await sink.to(buyer.email, /is confirmed/);
  assert.strictEqual(mail.to.value[0].name, odd);
  assert.ok(mail.text.includes(`Dear ${odd}`));
  assert.ok(mail.text.includes('{{shop}} & Sons'));
  assert.ok(!/<img|<b>/.test(mail.html));
  assert.ok(mail.html.includes('&lt;b&gt;Bold&lt;/b&gt;'));
});

test('SEC names and addresses make no links in mails: nobody can have the shop send them to others', async () => {
  const buyer = await makePerson(env, 'customer', { name: 'Visit http://evil.example now' });
  const purchase = await placed(env, { buyer, more: { address: { name: 'www.evil.example', line1: 'mail me@evil.example', city: 'Hong Kong', country: 'HK' } } });
  await purchase.pay();
  const [mail] = await sink.to(buyer.email, /is confirmed/);
  assert.strictEqual(mail.to.value[0].name, 'customer');
  assert.ok(mail.text.includes('Dear customer,'));
  for (const part of [mail.text, mail.html]) assert.doesNotMatch(part, /evil\.example|http:\/\/evil|me@/);
  assert.ok(mail.text.includes('www. evil. example'), 'an address is still told');
});

test('SEC a mailbox that nobody has proved to be his gets so many mails a day, over all accounts; who has paid gets all of his', async () => {
  const own = await Environment.start({ settings: { smtp_url: sink.url, mail_unverified_per_day: 3 } });
  try {
    const box = `victim${Date.now()}`;
    const emails = [`${box}@cathay.example`, `${box}+1@cathay.example`, `${box.slice(0, 3)}.${box.slice(3)}+2@cathay.example`];
    const people = [];
    for (const email of emails) people.push(await makePerson(own, 'customer', { email }));
    await Promise.all([...people, ...people].map(async (buyer) => {
      const purchase = await placed(own, { buyer });
      await buyer.api.call('order_cancel', { path: { order_id: purchase.id }, expect: 200 });
    }));
    const states = async () => (await own.query('SELECT state, count(*)::int FROM mail GROUP BY state ORDER BY state')).map(({ state, count }) => `${count} ${state}`);
    await poll(async () => (await states()).join() === '3 sent,3 withheld', { what: 'three mails of six' });
    assert.strictEqual(sink.mails.filter(({ to }) => emails.includes(to[0])).length, 3);
    const payer = people[0];
    const { id } = await (await placed(own, { buyer: payer })).pay();
    await poll(async () => (await own.query(`SELECT FROM mail WHERE template = 'order_confirmed' AND state = 'sent'`)).length === 1, { what: `the mail of ${id}` });
    const other = await placed(own);
    await other.buyer.api.call('order_cancel', { path: { order_id: other.id }, expect: 200 });
    await sink.to(other.buyer.email, /is cancelled/);
  } finally {
    await own.stop();
  }
});

test('JOB-2 an event gives one mail, however often its task runs', async () => {
  const purchase = await paid(env);
  await sink.to(purchase.buyer.email, /is confirmed/);
  const open = async () => env.query("SELECT 1 FROM task WHERE aggregate_id = $1 AND name = 'notify_mail' AND state <> 'done'", [purchase.uuid]);
  await poll(async () => (await open()).length === 0, { what: 'the tasks to end' });
  await env.query("UPDATE task SET state = 'ready', due_at = now(), pushed_at = NULL, finished_at = NULL WHERE aggregate_id = $1 AND name = 'notify_mail'", [purchase.uuid]);
  await poll(async () => (await open()).length === 0, { what: 'the tasks to run again' });
  assert.strictEqual((await sink.to(purchase.buyer.email, /is confirmed/)).length, 1);
});

test('JOB-4 a mail server that is away gets the mail later; addresses never reach the logs', async () => {
  const port = await freePort();
  const away = await Environment.start({ settings: { smtp_url: `smtp://127.0.0.1:${port}` } });
  let late;
  try {
    const purchase = await paid(away);
    await poll(async () => {
      await away.query("UPDATE task SET due_at = now() WHERE name = 'notify_mail' AND state = 'ready'");
      return (await away.query("SELECT 1 FROM task WHERE name = 'notify_mail' AND attempt >= 2")).length > 0;
    }, { what: 'the mail to be tried again' });
    const [{ last_error: error }] = await away.query("SELECT last_error FROM task WHERE name = 'notify_mail' AND attempt >= 2 LIMIT 1");
    assert.ok(!String(error).includes(purchase.buyer.email));
    late = await MailSink.start({ port }).catch(() => null);
    if (late && late.port !== port) { // the sink chooses its port: pass the bytes on
      const forward = net.createServer((socket) => { const to = net.connect(late.port, '127.0.0.1'); socket.pipe(to).pipe(socket); socket.on('error', () => {}); to.on('error', () => {}); });
      await new Promise((resolve) => { forward.listen(port, '127.0.0.1', resolve); });
      late.forward = forward;
    }
    const mail = await poll(async () => {
      await away.query("UPDATE task SET due_at = now() WHERE name = 'notify_mail' AND state = 'ready'");
      return late.mails[0];
    }, { what: 'the mail' });
    assert.deepStrictEqual(mail.to, [purchase.buyer.email]);
    const logs = require('node:fs').readFileSync(away.role().log, 'utf8');
    assert.ok(logs.length > 0 && !logs.includes(purchase.buyer.email));
  } finally {
    late?.forward?.close();
    await late?.close();
    await away.stop();
  }
});

// ---- the sandbox mailbox ----

const boxed = shop();

const inbox = async (to) => (await exchange(`${boxed.sandboxUrl}/mailbox/messages?to=${encodeURIComponent(to)}`)).body.data;

test('JOB-4 the sandbox mailbox keeps the shop\'s mails and shows them', async () => {
  const purchase = await paid(boxed);
  const mails = await poll(async () => {
    const found = await inbox(purchase.buyer.email.toUpperCase());
    return found.length > 0 && found;
  }, { what: 'the mail in the mailbox' });
  assert.strictEqual(mails[0].subject, `Your order ${purchase.order.number} is confirmed`);
  assert.deepStrictEqual(mails[0].to, [purchase.buyer.email]);
  assert.match(mails[0].text, /thank you/);
  assert.match(mails[0].html, /<h1/);
  const list = await exchange(`${boxed.sandboxUrl}/mailbox?to=${encodeURIComponent(purchase.buyer.email)}`);
  assert.ok(list.text.includes(mails[0].id) && list.text.includes(purchase.buyer.email));
  const page = await exchange(`${boxed.sandboxUrl}/mailbox/${mails[0].id}`);
  assert.match(page.text, /<iframe[^>]* sandbox="allow-popups allow-popups-to-escape-sandbox" srcdoc="/);
  assert.match(page.headers['content-security-policy'], /default-src 'none'/);
  assert.ok(!page.text.includes('<h1 style'), 'the mail\'s HTML is inside the frame only');
  const source = await exchange(`${boxed.sandboxUrl}/mailbox/${mails[0].id}/source`);
  assert.match(source.text, /^Date: /);
  assert.strictEqual((await exchange(`${boxed.sandboxUrl}/mailbox/mail_unknown`)).status, 404);
});

/** Says lines to the SMTP server, each after the answer to the one before; the answers. */
function smtp(lines) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(boxed.ports.smtp, '127.0.0.1');
    const answers = [];
    let buffer = '';
    socket.setEncoding('utf8').on('data', (text) => {
      buffer += text;
      for (let match; (match = /^(\d{3}-[^\r\n]*\r\n)*(\d{3}) [^\r\n]*\r\n/.exec(buffer));) {
        answers.push(Number(match[2]));
        buffer = buffer.slice(match[0].length);
        const next = lines.shift();
        if (next === undefined) socket.end();
        else socket.write(next);
      }
    });
    socket.on('close', () => resolve(answers));
    socket.on('error', reject);
  });
}

test('JOB-4 the mailbox speaks SMTP: order of commands, dot-stuffing, limits', async () => {
  assert.deepStrictEqual(await smtp(['EHLO me\r\n', 'RCPT TO:<a@b.example>\r\n', 'DATA\r\n', 'MAIL FROM:<x@y.example> SIZE=99999999\r\n', 'MAIL FROM:<x@y.example>\r\n', 'RCPT TO:nobody\r\n',
    'RSET\r\n', 'NOOP\r\n', 'WHAT\r\n', `NOOP ${'x'.repeat(5000)}\r\n`, 'QUIT\r\n']), [220, 250, 503, 503, 552, 250, 501, 250, 250, 502, 500, 221]);
  const to = `dots.${Date.now()}@b.example`;
  assert.deepStrictEqual(await smtp(['HELO me\r\n', 'MAIL FROM:<x@y.example>\r\n', `RCPT TO:<${to}>\r\n`, 'DATA\r\n',
    'Subject: dots\r\n\r\n..one\r\n.two\r\nend.\r\n.\r\n', 'QUIT\r\n']), [220, 250, 250, 250, 354, 250, 221]);
  const [mail] = await inbox(to);
  assert.strictEqual(mail.text, '.one\r\ntwo\r\nend.\r\n');
  const large = `large.${Date.now()}@b.example`;
  assert.deepStrictEqual(await smtp(['HELO me\r\n', 'MAIL FROM:<x@y.example>\r\n', `RCPT TO:<${large}>\r\n`, 'DATA\r\n',
    `Subject: large\r\n\r\n${`${'x'.repeat(1000)}\r\n`.repeat(4300)}.\r\n`, 'QUIT\r\n']), [220, 250, 250, 250, 354, 552, 221]);
  assert.deepStrictEqual(await inbox(large), []);
  assert.ok((await customer(boxed)).token); // the shop beside it is well
});
