"""Orders a second at 256 shoppers: pgbench, the engine behind HTTP and the engine alone, in turns."""
import os
import re
import statistics
import subprocess

from stand import CUSTOMERS, HERE, SKUS, Row, median, row_of_load, row_of_runs, say, tree_cpu

SHOPPERS = 256
WORKLOADS = [  # name, SKUs, points of each order, times pgbench to reach over HTTP
    ('many SKUs', SKUS, 0, 5),
    ('one SKU', 1, 0, 15),
    ('many SKUs, miles', SKUS, 500, 5),
]
RATE_AIM = 12000


def measure(stand):
    runs = {name: {'pgbench': [], 'http': [], 'engine': []} for name, *_ in WORKLOADS}
    clients = {}
    for number in range(stand.rounds):
        stand.fresh_database()
        server = stand.start('serve')
        for name, skus, points, _ in WORKLOADS:
            of = runs[name]
            if name not in clients:  # the baseline at its best
                tried = [pgbench(stand, n, skus, points, 1) for n in (8, 16, 64)]
                clients[name] = max(tried, key=lambda found: found['per_s'])['clients']
            of['pgbench'].append(pgbench(stand, clients[name], skus, points, stand.seconds))
            of['http'].append(stand.load(server, shoppers=SHOPPERS, skus=skus, points=points, seconds=stand.seconds))
            of['engine'].append(stand.engine(shoppers=SHOPPERS, skus=skus, points=points, seconds=stand.seconds))
            say(f'  round {number + 1}, {name}: pgbench {of["pgbench"][-1]["per_s"]:,.0f}, HTTP {of["http"][-1]["per_s"]:,.0f}, '
                f'engine {of["engine"][-1]["per_s"]:,.0f} orders/s')
        stand.stop(server)
        stand.settle_and_verify()
        stand.drop_database()
    return runs


def pgbench(stand, clients, skus, points, seconds):
    """One PL/pgSQL call for each order."""
    stand.checkpoint()
    line = ['pgbench', '-n', '-M', 'prepared', '-c', str(clients), '-j', '2', '-D', f'customers={CUSTOMERS}', '-D', f'skus={skus}',
            '-D', f'points={points}', '-f', os.path.join(HERE, 'baseline_order.sql'), *stand.connection()[:-2]]
    subprocess.run(line + ['-T', '1', stand.database], check=True, capture_output=True)
    postmaster = stand.postgres.process.pid
    before, wal = tree_cpu(postmaster), stand.wal_bytes()
    done = subprocess.run(line + ['-T', str(seconds), stand.database], check=True, capture_output=True, text=True)
    used, wal = tree_cpu(postmaster) - before, stand.wal_bytes() - wal
    count = int(re.search(r'actually processed: (\d+)', done.stdout)[1])
    return {'per_s': float(re.search(r'tps = ([\d.]+)', done.stdout)[1]), 'clients': clients, 'postgres_cpu_us': used * 1e6 / count,
            'wal_bytes': wal / count}


def rows(runs):
    table = []
    for name, _, _, aim in WORKLOADS:
        of = runs[name]

        def times(key, base):
            return statistics.median(a['per_s'] / b['per_s'] for a, b in zip(of[key], of[base]))

        http, bare = times('http', 'pgbench'), times('http', 'engine')
        table += [
            row_of_runs(f'{name}: pgbench, one PL/pgSQL call per order ({of["pgbench"][0]["clients"]} clients)', of['pgbench']),
            row_of_load(f'{name}: HTTP', of['http'], found=f'{http:.1f} × pgbench', aim=f'≥ {aim} ×', met=http >= aim),
            row_of_runs(f'{name}: engine alone', of['engine'], server_us=median(of['engine'], 'self_cpu_us'),
                        found=f'{times("engine", "pgbench"):.1f} × pgbench'),
            Row(f'{name}: HTTP of the engine alone', found=f'{bare:.0%}', aim='≥ 50 %', met=bare >= 0.5)]
    many, one = median(runs['many SKUs']['http'], 'per_s'), median(runs['one SKU']['http'], 'per_s')
    return table + [Row('many SKUs over HTTP', per_s=many, aim=f'≥ {RATE_AIM:,} /s', met=many >= RATE_AIM),
                    Row('one SKU of many, over HTTP', found=f'{one / many:.2f}', aim='≥ 1', met=one >= many)]
