#!/usr/bin/python3
"""Runs what bench/run offers. Contenders take turns, each run begins behind a checkpoint, and what is told is the median over the
rounds, so that a neighbour on the machine disturbs all of them alike. CPU times come from /proc."""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(PROJECT, 'tools'))
import build  # noqa: E402
import services  # noqa: E402

HOME = os.path.join(PROJECT, 'var', 'bench')
CUSTOMERS = 20000
WORKLOADS = [  # name, SKUs, points of each order
    ('many SKUs', 10000, 0),
    ('one SKU', 1, 0),
    ('many SKUs, miles', 10000, 500),
]
PARTS = ['orders', 'curve', 'cached', 'memory']


def say(text):
    print(text, flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def ticks(pid, children=False):
    """User and system time of a process in seconds; 0 where it is gone."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            fields = file.read().rsplit(')', 1)[1].split()
    except OSError:
        return 0.0, 0
    used = int(fields[11]) + int(fields[12]) + (int(fields[13]) + int(fields[14]) if children else 0)
    return used / os.sysconf('SC_CLK_TCK'), int(fields[1])


def tree_cpu(parent):
    """A postmaster with all of its processes, those that have ended included."""
    total = ticks(parent, children=True)[0]
    for name in os.listdir('/proc'):
        if name.isdigit():
            used, of = ticks(int(name))
            if of == parent:
                total += used
    return total


def precise_cpu(pid):
    """Time on a core of a process's threads, to the nanosecond; what has ended is not in it."""
    total = 0
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/schedstat') as file:
            total += int(file.read().split()[0])
    return total / 1e9


def children(pid):
    return [int(name) for name in os.listdir('/proc') if name.isdigit() and ticks(int(name))[1] == pid]


def memory_mb(pid):
    """Resident memory, and the part of it that nobody shares."""
    try:
        with open(f'/proc/{pid}/smaps_rollup') as file:
            text = file.read()
    except OSError:
        return 0.0, 0.0
    resident = int(re.search(r'^Rss:\s+(\d+)', text, re.M)[1])
    private = sum(int(n) for n in re.findall(r'^Private_(?:Clean|Dirty):\s+(\d+)', text, re.M))
    return resident / 1024, private / 1024


class Bench:
    def __init__(self, options):
        self.options = options
        self.rounds = 1 if options.quick else 3
        self.seconds = 2 if options.quick else 4
        self.results = {}
        self.processes = []
        self.postgres = services.Postgres(HOME, durable=True)
        self.redis = services.Redis(HOME)
        self.port = free_port()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith('CATHAY_')}
        self.databases = 0

    # ── the shop ──

    def build(self):
        say('Building …')
        log = os.path.join(PROJECT, 'var', 'log', 'build.log')
        build.build(PROJECT, 'release', log)
        subprocess.run(['ninja', '-C', os.path.join(PROJECT, 'build'), 'bench/engine_bench', 'bench/load'], check=True,
                       stdout=subprocess.DEVNULL)

    def program(self, name):
        return os.path.join(PROJECT, 'build', name)

    def start_services(self):
        os.makedirs(HOME, exist_ok=True)
        self.postgres.remove()
        self.postgres.start()
        self.redis.start()
        key = subprocess.run([self.program('cathay'), 'config', '--new-token-key'], env=self.environment, check=True,
                             capture_output=True, text=True).stdout.strip()
        self.environment |= {'REDIS_URL': self.redis.url(), 'CATHAY_TOKEN_KEYS': key, 'CATHAY_LISTEN_PORT': str(self.port),
                             'CATHAY_LIMIT_SCALE_PERCENT': '0', 'CATHAY_LOG_LEVEL': 'warn'}
        say('Seeding a shop of 10,000 variants and 20,000 customers …')
        self.postgres.create_database('seeded')
        self.use('seeded')
        self.cathay('migrate')
        for file in ('seed.sql', 'baseline.sql'):
            self.psql(file, f'customers={CUSTOMERS}')

    def use(self, database):
        self.database = database
        self.environment['DATABASE_URL'] = self.postgres.url(database)

    def fresh_database(self):
        """A copy of the seeded shop, so that each round begins with tables of the same size."""
        self.databases += 1
        name = f'round{self.databases}'
        self.postgres.psql('postgres', f'CREATE DATABASE {name} TEMPLATE seeded STRATEGY file_copy')
        self.use(name)

    def drop_database(self):
        self.postgres.psql('postgres', f'DROP DATABASE {self.database} WITH (FORCE)')

    def connection(self):
        return ['-h', self.postgres.socket_directory, '-U', 'cathay', '-d', self.database]

    def psql(self, file, *settings):
        line = ['psql', '-X', '-q', *self.connection(), '-v', 'ON_ERROR_STOP=1']
        for setting in settings:
            line += ['-v', setting]
        done = subprocess.run(line + ['-f', os.path.join(HERE, file)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise services.ServiceError(f'bench/{file}: {done.stderr.strip().splitlines()[-1]}')

    def cathay(self, *arguments, check=True):
        return subprocess.run([self.program('cathay'), *arguments], env=self.environment, check=check, capture_output=True, text=True)

    def start(self, role, core=None, **settings):
        environment = self.environment | {f'CATHAY_{name.upper()}': str(value) for name, value in settings.items()}
        line = [self.program('cathay'), role]
        if core is not None:
            line = ['taskset', '-c', str(core)] + line
        log = open(os.path.join(HOME, f'{role}.log'), 'ab')
        process = subprocess.Popen(line, env=environment, stdout=log, stderr=log, start_new_session=True)
        log.close()
        self.processes.append(process)
        if role in ('serve', 'all'):
            self.wait_until_up(f'http://127.0.0.1:{self.port}/readyz', process)
        return process

    def wait_until_up(self, url, process):
        for _ in range(200):
            if process.poll() is not None:
                raise services.ServiceError(f'a process did not start; see the logs in {HOME}')
            try:
                with urllib.request.urlopen(url, timeout=1) as answer:
                    answer.read()
                return
            except OSError:
                time.sleep(0.05)
        raise services.ServiceError(f'{url} does not answer; see the logs in {HOME}')

    def stop(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.remove(process)

    def close(self):
        for process in list(self.processes):
            self.stop(process)
        self.redis.stop()
        self.postgres.remove()

    # ── contenders ──

    def checkpoint(self):
        self.postgres.psql(self.database, 'CHECKPOINT')

    def order_count(self):
        return int(self.postgres.psql(self.database, 'SELECT count(*) FROM orders'))

    def pgbench(self, clients, skus, points, seconds):
        """One PL/pgSQL call for each order."""
        self.checkpoint()
        line = ['pgbench', '-n', '-M', 'prepared', '-c', str(clients), '-j', '2', '-D', f'customers={CUSTOMERS}', '-D', f'skus={skus}',
                '-D', f'points={points}', '-f', os.path.join(HERE, 'baseline_order.sql'), *self.connection()[:-2]]
        subprocess.run(line + ['-T', '1', self.database], check=True, capture_output=True)
        before, wal = tree_cpu(self.postgres.process.pid), self.wal_bytes()
        done = subprocess.run(line + ['-T', str(seconds), self.database], check=True, capture_output=True, text=True)
        used, wal = tree_cpu(self.postgres.process.pid) - before, self.wal_bytes() - wal
        count = int(re.search(r'actually processed: (\d+)', done.stdout)[1])
        return {'per_s': float(re.search(r'tps = ([\d.]+)', done.stdout)[1]), 'clients': clients, 'postgres_cpu_us': used * 1e6 / count,
                'wal_bytes': wal / count, 'p50_ms': float(re.search(r'latency average = ([\d.]+)', done.stdout)[1])}

    def wal_bytes(self):
        return int(self.postgres.psql(self.database, "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8"))

    def engine(self, shoppers, skus, points, seconds, lanes=None):
        self.checkpoint()
        line = [self.program('bench/engine_bench'), '--shoppers', str(shoppers), '--skus', str(skus), '--points', str(points),
                '--seconds', str(seconds)]
        return self.json(line + (['--lanes', str(lanes)] if lanes else []))

    def load(self, server, shoppers, skus, points, seconds):
        self.checkpoint()
        found = self.json([self.program('bench/load'), '--shoppers', str(shoppers), '--skus', str(skus), '--points', str(points),
                           '--seconds', str(seconds), '--server', str(server.pid)])
        if found['acknowledged'] != found['in_database']:
            say(f'WRONG: {found["acknowledged"]} orders were acknowledged, {found["in_database"]} are in the database')
            self.wrong = True
        if set(found['statuses']) - {'201'}:
            say(f'WRONG: answers other than 201: {found["statuses"]}')
            self.wrong = True
        return found

    wrong = False

    def json(self, line):
        done = subprocess.run(line, env=self.environment, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise services.ServiceError(f'{os.path.basename(line[0])}: {done.stderr.strip() or done.stdout.strip()}')
        return json.loads(done.stdout)

    # ── parts ──

    def part_orders(self):
        """Orders a second at 256 shoppers: pgbench, the engine alone, the engine behind HTTP, in turns."""
        runs = {name: {'pgbench': [], 'engine': [], 'http': []} for name, _, _ in WORKLOADS}
        clients = {}
        for number in range(self.rounds):
            self.fresh_database()
            server = self.start('serve')
            for name, skus, points in WORKLOADS:
                if name not in clients:  # the baseline at its best
                    tried = [self.pgbench(n, skus, points, 2) for n in (8, 16, 64)]
                    clients[name] = max(tried, key=lambda found: found['per_s'])['clients']
                runs[name]['pgbench'].append(self.pgbench(clients[name], skus, points, self.seconds))
                runs[name]['http'].append(self.load(server, 256, skus, points, self.seconds))
                runs[name]['engine'].append(self.engine(256, skus, points, self.seconds))
                say(f'  round {number + 1}, {name}: pgbench {runs[name]["pgbench"][-1]["per_s"]:,.0f}, HTTP {runs[name]["http"][-1]["per_s"]:,.0f}, '
                    f'engine {runs[name]["engine"][-1]["per_s"]:,.0f} orders/s')
            self.stop(server)
            self.settle_and_verify()
            self.drop_database()
        self.results['orders'] = runs

    def settle_and_verify(self):
        """Turns the events into tasks, as a worker beside the server would have, and asks `cathay verify`."""
        worker = self.start('worker')
        waiting = 'SELECT (SELECT count(*) FROM outbox WHERE expanded_at IS NULL)'
        first, began = int(self.postgres.psql(self.database, waiting)), time.monotonic()
        while int(self.postgres.psql(self.database, waiting)) > 0 and time.monotonic() - began < 300:
            time.sleep(0.2)
        took = time.monotonic() - began
        self.stop(worker)
        done = self.cathay('verify', check=False)
        summary = done.stdout.strip().splitlines()[-1]
        say(f'  {first:,} events passed on in {took:.0f} s; verify: {summary}')
        if done.returncode != 0:
            say(done.stdout)
            self.wrong = True
        self.results.setdefault('verify', []).append(summary)
        self.results.setdefault('events_per_s', []).append(first / took if took > 0.5 else None)

    def part_curve(self):
        rows = []
        self.fresh_database()
        server = self.start('serve')
        for shoppers in (1, 16, 64, 256, 1024):
            for name, skus, points in WORKLOADS:
                http = self.load(server, shoppers, skus, points, 2 if self.options.quick else 3)
                bare = self.engine(shoppers, skus, points, 2 if self.options.quick else 3)
                rows.append({'shoppers': shoppers, 'workload': name, 'http': http, 'engine': bare})
                say(f'  {shoppers} shoppers, {name}: HTTP {http["per_s"]:,.0f}/s, p50 {http["p50_ms"]:.1f} ms, p99 {http["p99_ms"]:.1f} ms')
        self.stop(server)
        self.settle_and_verify()
        self.drop_database()
        self.results['curve'] = rows

    def nginx(self, directory, port, tuned):
        path = os.path.join(HOME, 'nginx.conf')
        user = 'user root;' if os.geteuid() == 0 else ''
        with open(path, 'w') as file:
            file.write(f'''daemon off; pid {HOME}/nginx.pid; error_log {HOME}/nginx.log; worker_processes 1; {user}
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
    client_body_temp_path {HOME}/nginx-body; proxy_temp_path {HOME}/nginx-proxy; fastcgi_temp_path {HOME}/nginx-fastcgi;
    uwsgi_temp_path {HOME}/nginx-uwsgi; scgi_temp_path {HOME}/nginx-scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ root {directory}; default_type application/json; }} }}
    server {{ listen 127.0.0.1:{tuned}; open_file_cache max=100; location / {{ root {directory}; default_type application/json; }} }}
}}
''')
        process = subprocess.Popen(['taskset', '-c', '0', shutil.which('nginx') or '/usr/sbin/nginx', '-p', HOME, '-c', path],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.processes.append(process)
        self.wait_until_up(f'http://127.0.0.1:{port}/product.json', process)
        return process

    def wrk(self, url, seconds):
        last = os.cpu_count() - 1
        done = subprocess.run(['taskset', '-c', str(last), 'wrk', '-t1', '-c32', f'-d{seconds}s', url], check=True, capture_output=True,
                              text=True)
        if re.search(r'Non-2xx|Socket errors', done.stdout):
            raise services.ServiceError(f'wrk on {url}: {done.stdout}')
        return int(re.search(r'(\d+) requests in', done.stdout)[1]), float(re.search(r'Requests/sec:\s+([\d.]+)', done.stdout)[1])

    def part_cached(self):
        """A product's page from the process's cache against nginx with the same bytes in a file: a core for the server, the other for wrk."""
        self.use('seeded')
        server = self.start('serve', core=0)
        product = self.postgres.psql('seeded', "SELECT wire_id('prd', id) FROM product ORDER BY id LIMIT 1")
        ours = f'http://127.0.0.1:{self.port}/v1/products/{product}'
        with urllib.request.urlopen(ours) as answer:
            body = answer.read()
        directory = os.path.join(HOME, 'files')
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, 'product.json'), 'wb') as file:
            file.write(body)
        port, tuned = free_port(), free_port()
        nginx = self.nginx(directory, port, tuned)
        nginx_cpu = lambda: sum(map(precise_cpu, children(nginx.pid)))  # noqa: E731
        contenders = {'cathay': (ours, lambda: precise_cpu(server.pid)),
                      'nginx': (f'http://127.0.0.1:{port}/product.json', nginx_cpu),
                      'nginx_tuned': (f'http://127.0.0.1:{tuned}/product.json', nginx_cpu)}
        runs = {name: [] for name in contenders}
        for _ in range(5 if self.options.quick else 11):
            for name, (url, cpu) in contenders.items():
                before = cpu()
                requests, per_s = self.wrk(url, 2)
                runs[name].append({'per_s': per_s, 'cpu_us': (cpu() - before) * 1e6 / requests})
        self.stop(nginx)
        self.stop(server)
        self.results['cached'] = {'bytes': len(body), 'runs': runs}

    def part_memory(self):
        self.fresh_database()
        found = {}
        for role in ('serve', 'worker', 'scheduler', 'sandbox'):
            process = self.start(role, **({'sandbox_port': free_port(), 'sandbox_smtp_port': free_port()} if role == 'sandbox' else {}))
            time.sleep(1)
            found[role] = {'idle': memory_mb(process.pid)}
            if role == 'serve':
                self.load(process, 256, 10000, 0, 3)
                found[role]['busy'] = memory_mb(process.pid)
            if role == 'worker':
                time.sleep(3)  # the events of that load
                found[role]['busy'] = memory_mb(process.pid)
            self.stop(process)
        self.drop_database()
        self.results['memory'] = found

    def run(self):
        self.build()
        self.start_services()
        for part in PARTS:
            if not self.options.only or part in self.options.only:
                say({'orders': 'Orders: pgbench, engine and HTTP in turns …', 'curve': 'From 1 to 1,024 shoppers …',
                     'cached': 'Cached reads against nginx …', 'memory': 'Memory …'}[part])
                getattr(self, f'part_{part}')()


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def table(headers, rows):
    return '\n'.join(['| ' + ' | '.join(headers) + ' |', '|' + '---|' * len(headers)] +
                     ['| ' + ' | '.join(str(cell) for cell in row) + ' |' for row in rows])


def orders_table(runs):
    rows = []
    for name, found in runs.items():
        base = median(found['pgbench'], 'per_s')
        for label, key in (('pgbench, one PL/pgSQL call per order', 'pgbench'), ('cathay over HTTP, 256 shoppers', 'http'),
                           ('engine alone, 256 shoppers', 'engine')):
            rates = found[key]
            title = label + (f' ({rates[0]["clients"]} clients)' if key == 'pgbench' else '')
            each = [statistics.median(a['per_s'] / b['per_s'] for a, b in zip(rates, found['pgbench']))]
            rows.append([name, title, f'{median(rates, "per_s"):,.0f}', '1' if key == 'pgbench' else f'**{each[0]:.1f}**',
                         '–' if key == 'pgbench' else f'{median(rates, "p50_ms"):.1f} / {median(rates, "p99_ms"):.1f}',
                         f'{median(rates, "postgres_cpu_us"):.0f}',
                         f'{median(rates, "server_cpu_us"):.0f}' if key == 'http' else f'{median(rates, "self_cpu_us"):.0f}' if key == 'engine' else '–',
                         f'{median(rates, "self_cpu_us"):.0f}' if key == 'http' else '–', f'{median(rates, "wal_bytes"):,.0f}'])
        assert base > 0
    return table(['workload', 'contender', 'orders/s', 'ratio', 'p50 / p99 ms', 'PostgreSQL µs', 'server µs', 'load µs', 'WAL bytes'], rows)


def curve_table(rows):
    return table(['shoppers', 'workload', 'HTTP orders/s', 'p50 / p99 ms', 'engine orders/s', 'p50 / p99 ms', 'mean batch', 'syncs per order'],
                 [[row['shoppers'], row['workload'], f'{row["http"]["per_s"]:,.0f}', f'{row["http"]["p50_ms"]:.1f} / {row["http"]["p99_ms"]:.1f}',
                   f'{row["engine"]["per_s"]:,.0f}', f'{row["engine"]["p50_ms"]:.1f} / {row["engine"]["p99_ms"]:.1f}',
                   f'{row["engine"]["mean_batch"]:.0f}', f'{row["http"]["syncs"]:.3f}'] for row in rows])


def cached_table(found):
    plain = found['runs']['nginx']
    rows = []
    for key, name in (('nginx', 'nginx, static file'), ('nginx_tuned', 'nginx, static file, open_file_cache'),
                      ('cathay', 'cathay, cached product')):
        runs = found['runs'][key]
        ratio = statistics.median(theirs['cpu_us'] / ours['cpu_us'] for theirs, ours in zip(plain, runs))
        rows.append([name, f'{median(runs, "per_s"):,.0f}', f'{median(runs, "cpu_us"):.2f}', f'{1e6 / median(runs, "cpu_us"):,.0f}',
                     '1' if key == 'nginx' else f'**{ratio:.2f}**'])
    return f'Body of {found["bytes"]:,} bytes.\n\n' + table(
        ['contender', 'requests/s in this run', 'server CPU µs per request', 'requests/s per core of server CPU', 'ratio'], rows)


def memory_table(found):
    def cell(pair):
        return f'{pair[0]:.0f} ({pair[1]:.0f})' if pair else '–'
    return table(['role', 'idle MB (not shared)', 'after load MB (not shared)'],
                 [[role, cell(row['idle']), cell(row.get('busy'))] for role, row in found.items()])


def machine():
    with open('/proc/cpuinfo') as file:
        model = re.search(r'model name\s*:\s*(.*)', file.read())
    return f'{os.cpu_count()} cores ({model[1] if model else "?"}), {services.memory_mb() // 1024} GB, load {os.getloadavg()[0]:.1f} at the end'


def report(results):
    parts = [('orders', 'Orders', orders_table), ('curve', 'From 1 to 1,024 shoppers', curve_table),
             ('cached', 'Cached product detail', cached_table), ('memory', 'Memory', memory_table)]
    text = f'{machine()}\n'
    for key, title, render in parts:
        if key in results:
            text += f'\n### {title}\n\n{render(results[key])}\n'
    rates = [rate for rate in results.get('events_per_s', []) if rate]
    if rates:
        text += f'\nEvents passed on by one worker afterwards: {statistics.median(rates):,.0f}/s. `cathay verify` after each round: ' \
                f'{"; ".join(sorted(set(results["verify"])))}.\n'
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--json')
    parser.add_argument('--only', nargs='*', choices=PARTS)
    bench = Bench(parser.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    try:
        bench.run()
    except (services.ServiceError, build.BuildFailed) as error:
        say(f'bench/run: {error}')
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        bench.close()
    say('\n' + report(bench.results))
    say(f'{time.monotonic() - began:.0f} s')
    if bench.options.json:
        with open(bench.options.json, 'w') as file:
            json.dump(bench.results, file, indent=1)
    return 1 if bench.wrong else 0


if __name__ == '__main__':
    sys.exit(main())
