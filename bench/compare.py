#!/usr/bin/python3
"""This build beside an older one, in turns: bench/compare.py --before BUILD_DIR [--rounds N] [--only SUBJECT...]. See docs/benchmarks.md.

Each build has a PostgreSQL, a Redis and a seeded shop of its own, made by its own migrations; what makes load is this build's for both. Within a round one
directly follows the other, and who is first alternates. What is told is CPU time and, with valgrind, instructions, since other work on the machine changes
these less than rates; a ratio is the median of those within the rounds."""
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

from stand import HOME, Stand, build, precise_cpu, say, services, setting_variables

AIM = 1.03
ORDERS_S, READS_S = 2, 2
CUSTOMERS = 8192  # as many as bench/load takes: few orders for each of them in a round, so that no cap of unpaid orders refuses
ORDERS = {  # with the caps of unpaid orders, where the build has them: off but for "capped"
    'many SKUs': {'skus': 10000},
    'one SKU': {'skus': 1},
    'many SKUs, miles': {'skus': 10000, 'points': 500},
    'many customers': {'skus': 10000, 'customers': CUSTOMERS},
}
CAPS = ('unpaid_orders_max', 'unpaid_units_max')
FORWARDED = {'X-Forwarded-For': '203.0.113.7'}
READS = {'a product': ({}, {}), 'a product, X-Forwarded-For': (FORWARDED, {}), 'a product, with the access log': ({}, {'log_level': 'info'})}
COUNTED, WARMED = 2000, 300  # requests under callgrind


class Side:
    """A build with its shop."""

    def __init__(self, name, before, **settings):
        self.name = name
        self.stand = Stand(home=os.path.join(HOME, name), before=before)
        self.wanted = settings

    def begin(self):
        listed = subprocess.run([self.stand.program('cathay'), 'config'], check=False, capture_output=True, text=True,
                                env=self.stand.environment).stdout
        self.known = set(re.findall(r'^CATHAY_(\w+)', listed, re.M))
        self.stand.start_services(self.settings(unpaid_orders_max=0, unpaid_units_max=0) | self.settings(**self.wanted))

    def settings(self, **settings):
        """Those that this build has: it refuses to start with others."""
        return {name: value for name, value in settings.items() if name.upper() in self.known}

    def start(self, **settings):
        return self.stand.start('serve', **self.settings(**settings))


# ── orders ──

def orders(sides, rounds):
    """CPU µs of the server and of PostgreSQL for an order, by workload and side."""
    found = {name: {side.name: [] for side in sides} for name in ORDERS}
    for number in range(rounds):
        servers = {}
        for side in sides:
            side.stand.fresh_database()
            servers[side.name] = side.start()
        for name, options in ORDERS.items():
            for side in in_turn(sides, number):
                if side.name == 'capped' and name != 'many customers':
                    continue
                run = side.stand.load(servers[side.name], shoppers=256, seconds=ORDERS_S, **options)
                run['cpu_us'] = run['server_cpu_us'] + run['postgres_cpu_us']
                found[name][side.name].append(run)
        for side in sides:
            side.stand.stop(servers[side.name])
            side.stand.drop_database()
        tell(number, found)
    return found


# ── cached reads ──

def product_path(stand):
    product = stand.sql("SELECT wire_id('prd', id) FROM product ORDER BY id LIMIT 1")
    return f'/v1/products/{product}'


def limits_on():
    """The quotas stand as in production, and are too large to be used up."""
    return {'limit_scale_percent': 1000000, 'limit_address': 1000000}


def wrk(side, server, headers):
    line = ['wrk', '-t1', '-c32', f'-d{READS_S}s', *(f'-H{name}: {value}' for name, value in headers.items())]
    before = precise_cpu(server.pid)
    done = subprocess.run(line + [f'http://127.0.0.1:{side.stand.port}{product_path(side.stand)}'], check=True, capture_output=True, text=True)
    used = precise_cpu(server.pid) - before
    if re.search(r'Non-2xx|Socket errors', done.stdout):
        raise services.ServiceError(f'wrk: {done.stdout}')
    requests = int(re.search(r'(\d+) requests in', done.stdout)[1])
    return {'cpu_us': used * 1e6 / requests, 'per_s': requests / READS_S}


def reads(sides, rounds):
    """CPU µs of the server for a cached read, by header and side."""
    found = {name: {side.name: [] for side in sides} for name in READS}
    for name, (headers, settings) in READS.items():
        servers = {}
        for side in sides:
            side.stand.use('seeded')
            servers[side.name] = side.start(**limits_on(), **settings)
        for number in range(rounds):
            for side in in_turn(sides, number):
                found[name][side.name].append(wrk(side, servers[side.name], headers))
        tell(rounds - 1, {name: found[name]})
        for side in sides:
            side.stand.stop(servers[side.name])
    return found


def get(connection, request):
    connection.sendall(request)
    answer = b''
    while b'\r\n\r\n' not in answer:
        answer += connection.recv(65536)
    head, body = answer.split(b'\r\n\r\n', 1)
    assert b' 200 ' in head.split(b'\r\n', 1)[0], head
    left = int(re.search(rb'Content-Length: (\d+)', head)[1]) - len(body)
    while left > 0:
        left -= len(connection.recv(65536))


def instructions(sides, rounds):
    """Instructions of the server for a cached read on a connection that stays, outside the kernel, by header and side: by callgrind, the same each time."""
    del rounds
    found = {name: {side.name: [] for side in sides} for name in READS}
    for side in sides:
        stand = side.stand
        stand.use('seeded')
        for name, (headers, settings) in READS.items():
            out = os.path.join(stand.home, 'callgrind')
            environment = setting_variables(side.settings(**limits_on(), **settings))
            server = stand.spawn(['valgrind', '--tool=callgrind', f'--callgrind-out-file={out}', stand.program('cathay'), 'serve'],
                                 os.path.join(stand.home, 'callgrind.log'), environment=stand.environment | environment)
            stand.wait_until_up(f'http://127.0.0.1:{stand.port}/readyz', server, seconds=120)
            lines = ''.join(f'{key}: {value}\r\n' for key, value in headers.items())
            request = f'GET {product_path(stand)} HTTP/1.1\r\nHost: shop\r\n{lines}\r\n'.encode()
            with socket.create_connection(('127.0.0.1', stand.port)) as connection:
                for _ in range(WARMED):
                    get(connection, request)
                control(server.pid, '--zero')
                for _ in range(COUNTED):
                    get(connection, request)
                control(server.pid, '--dump')
            stand.stop(server)
            with open(f'{out}.1') as file:
                total = int(re.search(r'^(?:summary|totals): (\d+)', file.read(), re.M)[1])
            os.replace(f'{out}.1', os.path.join(HOME, f'callgrind.{side.name}.{"".join(filter(str.isalpha, name))}'))
            found[name][side.name].append({'instructions': total / COUNTED})
    return found


def control(pid, what):
    subprocess.run(['callgrind_control', what, str(pid)], check=True, capture_output=True)


# ── the table ──

def in_turn(sides, number):
    return sides if number % 2 == 0 else sides[::-1]


def ratio(of, name, key):
    return statistics.median(after[key] / before[key] for after, before in zip(of[name], of['before']))


def tell(number, found):
    for name, of in found.items():
        key = 'cpu_us' if 'cpu_us' in of['before'][-1] else 'instructions'
        say(f'  round {number + 1}, {name}: ' + ', '.join(f'{side} {runs[-1][key]:.1f}' for side, runs in of.items() if runs)
            + ''.join(f'; {side} {ratio(of, side, key):.3f} so far' for side, runs in of.items() if runs and side != 'before'))


def table(found):
    lines = ['| what | measure | before | now | ratio | |', '|---|---|---|---|---|---|']
    for subject in found.values():
        for name, of in subject.items():
            for side in of:
                if side == 'before' or not of[side]:
                    continue
                for key in ('cpu_us', 'server_cpu_us', 'postgres_cpu_us', 'wal_bytes', 'instructions'):
                    if key in of[side][0]:
                        values = [statistics.median(run[key] for run in of[which]) for which in ('before', side)]
                        times = ratio(of, side, key)
                        verdict = '' if key not in ('cpu_us', 'instructions') else 'met' if times <= AIM else '**missed**'
                        lines.append(f'| {name}{", caps on" if side == "capped" else ""} | {key} | {values[0]:,.1f} | {values[1]:,.1f} | {times:.3f} | {verdict} |')
    return '\n'.join(lines)


SUBJECTS = {'orders': orders, 'reads': reads, 'instructions': instructions}


def main():
    parser = argparse.ArgumentParser(prog='bench/compare.py')
    parser.add_argument('--before', required=True, metavar='BUILD_DIR', help='build directory of the other release')
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--only', nargs='+', choices=list(SUBJECTS), default=list(SUBJECTS), metavar='SUBJECT', help=' '.join(SUBJECTS))
    parser.add_argument('--json', metavar='FILE', help='all that was measured')
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sides = [Side('before', os.path.abspath(options.before)), Side('now', None)]
    capped = Side('capped', None, unpaid_orders_max=10, unpaid_units_max=100)
    used = sides + [capped] if 'orders' in options.only else sides
    found = {}
    try:
        used[1].stand.build()
        for side in used:
            side.begin()
        for name in options.only:
            if name == 'instructions' and not shutil.which('valgrind'):
                say('instructions are left out: valgrind is not there')
                continue
            say(f'{name}; load {os.getloadavg()[0]:.1f}')
            found[name] = SUBJECTS[name](used if name == 'orders' else sides, options.rounds)
    except (services.ServiceError, build.BuildFailed) as error:
        say(f'bench/compare.py: {error}')
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        for side in used:
            side.stand.close()
    say(f'\n{table(found)}\n\nLoad {os.getloadavg()[0]:.1f} at the end.')
    if options.json:
        with open(options.json, 'w') as file:
            json.dump(found, file, indent=1)
    wrong = [text for side in used for text in side.stand.wrong]
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
