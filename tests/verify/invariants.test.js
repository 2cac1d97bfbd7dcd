'use strict';
// OPS-8: every invariant of `cathay verify` is broken by hand, one after the other, in a copy of a shop that has sold something, and must be
// found. An invariant without such a test fails the file.
const { test, before, after } = require('node:test');
const assert = require('node:assert');
const { Environment, poll, exchange, uuidOf } = require('../harness');
const { goods, customer, orderOf } = require('../harness/goods');
const { saleOf } = require('../harness/sales');

const NOBODY = "'0192f3c4-0000-7000-8000-000000000000'";

// What breaks each, in one way or several; a list of statements that run as the owner, with the append-only triggers off. $order: any order of that state.
const one = (state) => `(SELECT id FROM orders WHERE state IN (${state.split(' ').map((s) => `'${s}'`).join()}) ORDER BY id LIMIT 1)`;
const paid = "(SELECT o.id FROM orders o JOIN payment p ON p.order_id = o.id WHERE p.state = 'succeeded' ORDER BY o.id LIMIT 1)";
const BREAKS = {
  events_become_tasks_in_time: `INSERT INTO outbox (id, type, aggregate_id, sequence, payload, created_at) VALUES (${NOBODY}, 'order.placed', ${NOBODY}, 1, '{}', now() - interval '1 hour')`,
  event_tasks_complete: `DELETE FROM task WHERE event_id = (SELECT event_id FROM task WHERE event_id IS NOT NULL AND state = 'done' LIMIT 1)`,
  task_states_whole: `UPDATE task SET finished_at = NULL WHERE id = (SELECT id FROM task WHERE state = 'done' LIMIT 1)`,
  leases_taken_back: `UPDATE task SET state = 'running', finished_at = NULL, lease_owner = id, lease_until = now() - interval '1 hour' WHERE id = (SELECT id FROM task WHERE state = 'done' LIMIT 1)`,
  task_events_kept: `UPDATE task SET state = 'ready', finished_at = NULL, event_id = ${NOBODY} WHERE id = (SELECT id FROM task WHERE event_id IS NOT NULL AND state = 'done' LIMIT 1)`,
  task_names_known: `UPDATE task SET state = 'ready', finished_at = NULL, name = 'nobody_knows', created_at = now() - interval '1 hour' WHERE id = (SELECT id FROM task WHERE state = 'done' LIMIT 1)`,
  session_has_one_good_token: `DELETE FROM refresh_token WHERE hash = (SELECT hash FROM refresh_token WHERE used_at IS NULL LIMIT 1)`,
  blocked_account_has_no_session: `ALTER TABLE users DISABLE TRIGGER USER; UPDATE users SET state = 'blocked' WHERE id = (SELECT user_id FROM session WHERE ended_at IS NULL LIMIT 1)`,
  ended_session_is_revoked: `ALTER TABLE session DISABLE TRIGGER session_revoke; UPDATE session SET ended_at = now(), ended_why = 'sign_out' WHERE id = (SELECT id FROM session WHERE ended_at IS NULL LIMIT 1)`,
  catalog_listing_is_what_products_say: [`UPDATE listing SET price_minor = price_minor + 1`,
    `INSERT INTO listing_value (key, state) SELECT keys[1], 'ready' FROM listing LIMIT 1`],
  catalog_copies_are_true: `UPDATE variant SET vendor_id = ${NOBODY} WHERE id = (SELECT id FROM variant LIMIT 1)`,
  catalog_published_is_complete: `UPDATE variant SET options = '{"other": "x"}' WHERE id = (SELECT id FROM variant LIMIT 1)`,
  catalog_counts_are_true: `INSERT INTO listing_count (list_id, currency, key, facet, count) VALUES ('00000000-0000-0000-0000-000000000000', 'HKD', 0, 'total', 7) ON CONFLICT (list_id, currency, key) DO UPDATE SET count = listing_count.count + 1`,
  stock_on_hand_is_sum_of_movements: `UPDATE stock SET on_hand = on_hand + 1 WHERE variant_id = (SELECT variant_id FROM stock LIMIT 1)`,
  stock_reserved_is_sum_of_reservations: `UPDATE stock SET reserved = reserved + 1 WHERE variant_id = (SELECT variant_id FROM stock WHERE on_hand > reserved LIMIT 1)`,
  stock_reserved_within_on_hand: `ALTER TABLE stock DROP CONSTRAINT stock_reserved_within_on_hand; UPDATE stock SET reserved = on_hand + 1 WHERE variant_id = (SELECT variant_id FROM stock LIMIT 1)`,
  stock_is_at_vendors_places: `UPDATE stock SET priority = priority + 7 WHERE variant_id = (SELECT variant_id FROM stock LIMIT 1)`,
  stock_reservations_fit_orders: `INSERT INTO reservation (order_id, line_no, location_id, variant_id, quantity) SELECT ${NOBODY}, 1, location_id, variant_id, 1 FROM stock LIMIT 1`,
  price_for_all_on_sale: `DELETE FROM price`,
  ledger_balance_is_sum: [`UPDATE ledger_account SET posted = posted + 1 WHERE kind = 'customer'`,
    `UPDATE ledger_account SET debt = debt + 1 WHERE kind = 'customer'`],
  ledger_debt_first: `UPDATE ledger_account SET debt = debt + 1 WHERE kind = 'customer' AND posted > held`,
  ledger_given_back_within_taken: `INSERT INTO transfer (root_id, step, debit_account_id, credit_account_id, points, phase, kind, order_id)
    SELECT root_id, 2, credit_account_id, debit_account_id, points + 1, 'posted', kind, order_id FROM transfer WHERE kind = 'redeem' AND step = 1 LIMIT 1`,
  ledger_closing_fits: `UPDATE transfer SET points = points + 1 WHERE step = 1`,
  ledger_accounts_exist: `UPDATE transfer SET credit_account_id = ${NOBODY} WHERE kind = 'grant'`,
  earning_fits_transfer: `UPDATE earning SET closed_at = now()`,
  customer_has_one_open_cart: `DROP INDEX cart_open_of_user; INSERT INTO cart (id, user_id, currency) SELECT uuid_floor(now() + n * interval '1 second'), id, 'HKD' FROM users, generate_series(1, 2) n WHERE role = 'customer'`,
  cart_items_exist: `INSERT INTO cart (id, currency) VALUES (${NOBODY}, 'HKD'); INSERT INTO cart_item (cart_id, variant_id, quantity) VALUES (${NOBODY}, ${NOBODY}, 1)`,
  cart_owner_is_customer: `INSERT INTO cart (id, user_id, currency) VALUES (${NOBODY}, ${NOBODY}, 'HKD')`,
  order_history: `UPDATE orders SET sequence = sequence + 1 WHERE id = ${one('pending_payment')}`,
  order_steps: `UPDATE order_event SET from_state = 'delivered' WHERE order_id = ${paid} AND sequence = 2`,
  order_sums: `UPDATE order_line SET unit_price_minor = unit_price_minor + 1, total_minor = total_minor + quantity, cash_minor = cash_minor + quantity WHERE order_id = ${one('pending_payment')} AND line_no = 1`,
  order_reservations: `DELETE FROM reservation WHERE order_id = ${one('pending_payment')} AND line_no = 1`,
  order_fulfilments: [`DELETE FROM fulfilment WHERE order_id = ${paid}`,
    `INSERT INTO fulfilment (order_id, number, id, vendor_id, location_id, state) SELECT order_id, 99, id, vendor_id, location_id, state FROM fulfilment WHERE order_id = ${paid} LIMIT 1`],
  order_points: `UPDATE orders SET points = points + 100 WHERE id = ${one('pending_payment')}`,
  order_references: `UPDATE orders SET customer_id = ${NOBODY} WHERE id = ${one('pending_payment')}`,
  order_expiry: `UPDATE orders SET expires_at = now() - interval '2 days' WHERE id = ${one('pending_payment')}`,
  payment_amounts: `UPDATE payment SET amount_minor = amount_minor + 1 WHERE order_id = ${paid}`,
  payment_refunds: `UPDATE payment SET refunded_minor = 1 WHERE order_id = ${paid}`,
  payment_of_order: `UPDATE payment SET state = 'failed' WHERE order_id = ${paid}`,
  payment_waiting: `DELETE FROM payment WHERE order_id = ${one('pending_payment')}`,
  payment_kept: `UPDATE orders SET state = 'expired' WHERE id = ${paid}; UPDATE payment SET updated_at = now() - interval '3 days', created_at = now() - interval '3 days' WHERE order_id IN (SELECT id FROM orders WHERE state = 'expired')`,
  payment_open: [`UPDATE orders SET state = 'cancelled', updated_at = now() - interval '3 days' WHERE id = ${one('pending_payment')}; UPDATE payment SET requested_at = now() - interval '3 days', updated_at = now() - interval '3 days', created_at = now() - interval '3 days' WHERE state = 'created'`,
    `UPDATE orders SET state = 'cancelled', updated_at = now() - interval '3 days' WHERE id = ${one('pending_payment')}; UPDATE payment SET requested_at = NULL WHERE state = 'created'`],
  payment_unclosed: `UPDATE payment SET state = 'failed', updated_at = now() - interval '3 days' WHERE order_id = ${paid}`,
  refund_state: `INSERT INTO refund (id, order_id, payment_id, amount_minor, points, currency, reason, created_at, updated_at) SELECT ${NOBODY}, order_id, id, 1, 0, currency, 'test', now() - interval '3 days', now() - interval '3 days' FROM payment WHERE state = 'succeeded' LIMIT 1`,
  webhook_waiting: `INSERT INTO webhook (id, provider, event_id, type, body, received_at) VALUES (${NOBODY}, 'stripe', 'evt_x', 'payment_intent.succeeded', '{}', now() - interval '1 day')`,
  shipment_follows_fulfilment: `UPDATE fulfilment SET state = 'delivered' WHERE state <> 'delivered'`,
  shipment_labels_void: `UPDATE orders SET state = 'refunded', updated_at = now() - interval '3 days' WHERE id = (SELECT order_id FROM shipment WHERE state = 'labelled' LIMIT 1)`,
  shipment_webhooks_processed: `INSERT INTO webhook (id, provider, event_id, type, body, received_at) VALUES (${NOBODY}, 'easypost', 'evt_x', 'tracker.updated', '{}', now() - interval '1 day')`,
  sale_sold_is_sum_of_claims: `UPDATE sale SET sold = sold + 1`,
  sale_customers_within_limit: `UPDATE sale_customer SET quantity = 0`,
  sale_claims_fit_orders: `UPDATE orders SET state = 'expired', updated_at = now() - interval '1 hour' WHERE sale_id IS NOT NULL`,
  hold_has_waiting_order: `UPDATE orders SET hold_id = ${NOBODY} WHERE id = ${one('pending_payment')}`,
};

let env;
before(async () => {
  env = await Environment.start();
  const { variants } = await goods(env, { variants: 3, onHand: 50 });
  const buyer = await customer(env, { points: 10000 });
  const place = async (points, cash) => (await buyer.api.call('order_place', { body: orderOf([[variants[0], 1], [variants[1], 2]], { points, cash_minor: cash }), expect: 201 })).body;
  await place(1000, 20000); // waits
  const order = await place(500, 25000);
  const { body: payment } = await buyer.api.call('order_pay', { path: { order_id: order.id }, expect: 200 });
  const intent = (await env.query('SELECT intent_id FROM payment WHERE order_id = $1', [uuidOf(order.id)]))[0].intent_id;
  const pressed = await exchange(`${env.sandboxUrl}/sandbox/payment_intents/${intent}/pay`, { method: 'POST', headers: { 'content-length': 0 } });
  assert.ok(pressed.status < 400, `${payment.redirect_url}: ${pressed.text}`);
  await poll(async () => (await env.query("SELECT 1 FROM shipment WHERE state NOT IN ('created')")).length > 0, { what: 'the paid order to have a label', timeoutMs: 20000 });
  await place(3000, 0); // miles alone
  await (await saleOf(env, { quantity: 5 })).buy(buyer, { expect: 201 });
  await poll(async () => (await env.query("SELECT 1 FROM task WHERE state IN ('ready', 'running') AND due_at <= now()")).length === 0, { what: 'all tasks to be done' });
  await env.verify();
  for (const role of env.roles.values()) await role.stop();
});
after(async () => { await env?.stop(); });

test('OPS-8 every invariant has something here that breaks it', async () => {
  const { stdout } = await env.run('verify', '--json');
  const names = JSON.parse(stdout).invariants.map(({ name }) => name);
  assert.deepStrictEqual(names.filter((name) => !BREAKS[name]), [], 'invariants that nothing breaks');
  assert.deepStrictEqual(Object.keys(BREAKS).filter((name) => !names.includes(name)), [], 'breaks of invariants that are not there');
});

for (const [name, statements, way] of Object.entries(BREAKS).flatMap(([key, ways]) => [ways].flat().map((text, i) => [key, text, i]))) {
  test(`OPS-8 verify finds ${name} broken${way ? `, way ${way + 1}` : ''}`, async () => {
    await env.inCopy(async (copy) => {
      await copy.query('ALTER TABLE transfer DISABLE TRIGGER USER');
      for (const statement of statements.split(';')) {
        const { rowCount, command } = await copy.query(statement);
        if (/^(INSERT|UPDATE|DELETE)$/.test(command)) assert.ok(rowCount > 0, `broke nothing: ${statement}`);
      }
      const found = await copy.violations();
      assert.ok(found.some(({ invariant }) => invariant === name), `not found; verify said ${JSON.stringify(found).slice(0, 600)}`);
    });
  });
}
