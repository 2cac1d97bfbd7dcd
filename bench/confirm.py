"""Payment confirmations: signed webhooks over HTTP until every order is confirmed, beside orders over HTTP in the same round, and one at a time; and both at
once: the gateway tells of each order half a second after it was placed, while shoppers place more."""
import json
import signal
import statistics
import subprocess
import time

from stand import SKUS, Row, arguments, median, row_of_runs, say

SHOPPERS = 256
CUSTOMERS = 8000  # take turns where orders and confirmations run side by side: who has just ordered is not ordering again while his payment comes in
WORKLOADS = [('cash', 0), ('miles and cash', 500)]
PAIRS_S = 4
CAUGHT_UP_S = 2  # after the last order every one is confirmed
ALONE = 500  # confirmations in batches of one, on as many lanes as there may be
ALONE_LANES = 8
PATIENCE_MS = 60000  # one at a time they wait longer than a shop would let them


def measure(stand):
    stand.environment['CATHAY_STRIPE_WEBHOOK_SECRET'] = 'whsec_benchmarks'
    runs = {name: {'orders': [], 'batches': [], 'alone': [], 'pairs': [], 'placed': []} for name, _ in WORKLOADS}
    for number in range(1 if stand.quick else 2):
        for name, points in WORKLOADS:
            of = runs[name]
            stand.fresh_database()
            server = stand.start('serve')
            of['orders'].append(stand.load(server, shoppers=SHOPPERS, skus=SKUS, points=points, seconds=2))
            stand.psql('confirm.sql')
            waiting = int(stand.sql("SELECT count(*) FROM payment WHERE state = 'pending'"))
            of['batches'].append(confirm(stand, server, most=waiting - ALONE))
            stand.stop(server)
            server = stand.start('serve', webhook_batch_max=1, webhook_lanes=ALONE_LANES, queue_wait_ms=PATIENCE_MS)
            of['alone'].append(confirm(stand, server))
            stand.stop(server)
            say(f'  round {number + 1}, {name}: orders {of["orders"][-1]["per_s"]:,.0f}, confirmations {of["batches"][-1]["per_s"]:,.0f}, '
                f'one at a time {of["alone"][-1]["per_s"]:,.0f}/s')
            if number == 0:
                server = stand.start('serve')
                placed, pairs = side_by_side(stand, server, points)
                of['placed'].append(placed)
                of['pairs'].append(pairs)
                stand.stop(server)
                say(f'  side by side: orders {placed["per_s"]:,.0f}, confirmations {pairs["per_s"]:,.0f}/s, all confirmed '
                    f'{pairs["caught_up_ms"] / 1e3:.2f} s after the last order')
            stand.settle_and_verify()
            stand.drop_database()
    return runs


def confirm_line(stand, server, **options):
    """bench/confirm with --options as named."""
    return [stand.program('bench/confirm'), '--connections', str(SHOPPERS), '--server', str(server.pid)] + arguments(options)


def confirm(stand, server, **options):
    stand.checkpoint()
    return checked(stand, stand.json(confirm_line(stand, server, **options)))


def side_by_side(stand, server, points):
    """Customers place orders; the gateway tells of each half a second later. What both came to while orders were placed."""
    gateway = subprocess.Popen(confirm_line(stand, server, follow=1), env=stand.environment, stdout=subprocess.PIPE, text=True)
    try:
        began = time.monotonic()
        placed = stand.load(server, shoppers=SHOPPERS, customers=CUSTOMERS, skus=SKUS, points=points, seconds=PAIRS_S)
        took = time.monotonic() - began
        gateway.send_signal(signal.SIGTERM)
        pairs = checked(stand, json.loads(gateway.communicate(timeout=120)[0]))
    finally:
        gateway.kill()
        gateway.wait()
    return placed, pairs | {'per_s': pairs['told_meanwhile'] / took}


def checked(stand, found):
    if not found['all_confirmed'] or set(found['statuses']) != {'200'}:
        stand.is_wrong(f'not every order was confirmed: {found}')
    return found


def rows(runs):
    table = []
    for name, _ in WORKLOADS:
        of = runs[name]

        def times(base):
            return statistics.median(a['per_s'] / b['per_s'] for a, b in zip(of['batches'], of[base]))

        for key, what in (('orders', 'orders over HTTP, for comparison'), ('alone', 'confirmations, one at a time'), ('batches', 'confirmations')):
            table.append(row_of_runs(f'{name}: {what}', of[key], server_us=median(of[key], 'server_cpu_us'), load_us=median(of[key], 'self_cpu_us')))
        table[-1].found = f'{times("alone"):.1f} × one at a time'
        table.append(Row(f'{name}: confirmations of orders', found=f'{times("orders"):.2f}', aim='≥ 1', met=times('orders') >= 1))
        caught_up = median(of['pairs'], 'caught_up_ms') / 1e3
        table.append(row_of_runs(f'{name}: side by side: orders', of['placed']))
        share = of['pairs'][0]['told_meanwhile'] / of['placed'][0]['acknowledged']
        table.append(row_of_runs(f'{name}: side by side: confirmations', of['pairs'], found=f'{share:.0%} of the orders were confirmed when the last was placed'))
        table.append(Row(f'{name}: side by side: all confirmed after the last order', found=f'{caught_up:.2f} s', aim=f'≤ {CAUGHT_UP_S} s',
                         met=caught_up <= CAUGHT_UP_S))
    return table
