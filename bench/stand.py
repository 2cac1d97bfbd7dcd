"""What every benchmark stands on: a PostgreSQL and a Redis of its own, a seeded shop, the programs of the release build, and readings of CPU time, memory
and log. A subject (see bench.py) gets one `Stand`."""
import contextlib
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(PROJECT, 'tools'))
import build  # noqa: E402
import services  # noqa: E402

HOME = os.path.join(PROJECT, 'var', 'bench')
CUSTOMERS = 20000
SKUS = 10000
ALL_CORES = os.sched_getaffinity(0)
PROGRAMS = ['bench/bots', 'bench/confirm', 'bench/engine_bench', 'bench/load', 'bench/read', 'bench/rush']


@dataclass
class Row:
    """A line of the one table. What a subject does not measure stays empty; `met` is None where there is no aim."""
    what: str
    per_s: float = None
    p50_ms: float = None
    p99_ms: float = None
    server_us: float = None
    postgres_us: float = None
    load_us: float = None
    wal_bytes: float = None
    syncs: float = None
    found: str = ''  # a ratio, or whatever is no column
    aim: str = ''
    met: bool = None


def say(text):
    print(text, flush=True)


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def row_of_runs(what, runs, **more):
    """What bench/load and bench/engine_bench print, as medians over runs."""
    columns = {'per_s': 'per_s', 'p50_ms': 'p50_ms', 'p99_ms': 'p99_ms', 'postgres_us': 'postgres_cpu_us', 'wal_bytes': 'wal_bytes', 'syncs': 'syncs'}
    return Row(what, **{column: median(runs, key) for column, key in columns.items() if key in runs[0]}, **more)


def row_of_load(what, runs, **more):
    """What the programs that make load over HTTP print: with the server's CPU time and their own."""
    return row_of_runs(what, runs, server_us=median(runs, 'server_cpu_us'), load_us=median(runs, 'self_cpu_us'), **more)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def ticks(pid, children_too=False):
    """User and system time of a process in seconds, and its parent; 0 where it is gone."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            fields = file.read().rsplit(')', 1)[1].split()
    except OSError:
        return 0.0, 0
    used = int(fields[11]) + int(fields[12]) + (int(fields[13]) + int(fields[14]) if children_too else 0)
    return used / os.sysconf('SC_CLK_TCK'), int(fields[1])


def children(pid):
    return [int(name) for name in os.listdir('/proc') if name.isdigit() and ticks(int(name))[1] == pid]


def setting_variables(settings):
    """Settings by their names in settings.def, as a process takes them."""
    return {f'CATHAY_{name.upper()}': str(value) for name, value in settings.items()}


def on_core(core, line):
    """A command on one core, or on all where it is None."""
    return line if core is None else ['taskset', '-c', str(core)] + line


def tree_cpu(parent):
    """A postmaster with all of its processes, those that have ended included."""
    return ticks(parent, children_too=True)[0] + sum(ticks(child)[0] for child in children(parent))


def precise_cpu(pid):
    """Time on a core of a process's threads, to the nanosecond; what has ended is not in it."""
    total = 0
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/schedstat') as file:
            total += int(file.read().split()[0])
    return total / 1e9


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


class Stand:
    """`before`: the build directory of another release, whose shop it then is; what makes load is always of this one. `home`: where its services live."""

    def __init__(self, quick=False, customers=CUSTOMERS, home=HOME, before=None):
        self.quick, self.home, self.before = quick, home, before
        self.rounds, self.seconds = (1, 2) if quick else (3, 3)  # of a contender
        self.customers = customers
        self.wrong = []  # what must not be, in words: the run then fails
        self.events_per_s, self.verified = [], []
        self.processes = []
        self.postgres = services.Postgres(home, durable=True)
        self.redis = services.Redis(home)
        self.port = free_port()
        self.apart = False  # the load has a core to itself
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith('CATHAY_')}
        self.databases = 0

    def is_wrong(self, text):
        say(f'WRONG: {text}')
        self.wrong.append(text)

    # ── the shop ──

    def build(self):
        say('Building …')
        build.build(PROJECT, 'release', os.path.join(PROJECT, 'var', 'log', 'build.log'))
        subprocess.run(['ninja', '-C', os.path.join(PROJECT, 'build'), *PROGRAMS], check=True, stdout=subprocess.DEVNULL)

    def program(self, name):
        directory = self.before if self.before and name == 'cathay' else os.path.join(PROJECT, 'build')
        return os.path.join(directory, name)

    def start_services(self, settings=None):
        os.makedirs(self.home, exist_ok=True)
        self.postgres.remove()
        self.postgres.start()
        self.redis.start()
        key = subprocess.run([self.program('cathay'), 'config', '--new-token-key'], env=self.environment, check=True,
                             capture_output=True, text=True).stdout.strip()
        self.environment |= {'REDIS_URL': self.redis.url(), 'CATHAY_TOKEN_KEYS': key, 'CATHAY_LISTEN_PORT': str(self.port),
                             'CATHAY_LIMIT_SCALE_PERCENT': '0', 'CATHAY_LOG_LEVEL': 'warn'}
        self.environment |= setting_variables({'unpaid_orders_max': 0, 'unpaid_units_max': 0} if settings is None else settings)
        say(f'Seeding a shop of {SKUS:,} variants and {self.customers:,} customers …')
        self.postgres.create_database('seeded')
        self.use('seeded')
        self.cathay('migrate')
        for file in ('seed.sql', 'baseline.sql'):
            self.psql(file, f'customers={self.customers}')

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
        directory = os.path.join(os.path.dirname(self.before), 'bench') if self.before else HERE
        done = subprocess.run(line + ['-f', os.path.join(directory, file)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise services.ServiceError(f'bench/{file}: {done.stderr.strip().splitlines()[-1]}')

    def sql(self, text):
        return self.postgres.psql(self.database, text)

    def cathay(self, *arguments, check=True):
        return subprocess.run([self.program('cathay'), *arguments], env=self.environment, check=check, capture_output=True, text=True)

    def start(self, role, core=None, **settings):
        """One of the shop's processes, on one core where asked for, with settings by their names in settings.def."""
        environment = self.environment | setting_variables(settings)
        process = self.spawn([self.program('cathay'), role], os.path.join(self.home, f'{role}.log'), core, environment)
        if role in ('serve', 'all'):
            self.wait_until_up(f'http://127.0.0.1:{settings.get("listen_port", self.port)}/readyz', process)
        return process

    def over_socket(self, yes):
        """Whether the server that starts next, and what makes load, meet on a Unix socket, as with a proxy on the same host, or over TCP."""
        self.environment['CATHAY_LISTEN_SOCKET'] = os.path.join(self.home, 'shop.sock') if yes else ''

    def set_apart(self, yes):
        """What makes load has core 1 to itself, as if it were another machine; what starts next, and PostgreSQL, share core 0. Or all share all cores."""
        self.apart = yes
        postmaster = self.postgres.process.pid
        for pid in [postmaster] + children(postmaster):
            with contextlib.suppress(ProcessLookupError):  # a backend that has ended meanwhile
                os.sched_setaffinity(pid, {0} if yes else ALL_CORES)

    def spawn(self, line, log_path, core=None, environment=None):
        if core is None and self.apart:
            core = 0
        with open(log_path, 'ab') as log:
            process = subprocess.Popen(on_core(core, line), env=environment or self.environment, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        return process

    def wait_until_up(self, url, process, seconds=10):
        for _ in range(20 * seconds):
            if process.poll() is not None:
                raise services.ServiceError(f'a process did not start; see the logs in {self.home}')
            try:
                with urllib.request.urlopen(url, timeout=1) as answer:
                    answer.read()
                return
            except OSError:
                time.sleep(0.05)
        raise services.ServiceError(f'{url} does not answer; see the logs in {self.home}')

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

    # ── load ──

    def checkpoint(self):
        self.sql('CHECKPOINT')

    def wal_bytes(self):
        return int(self.sql("SELECT (pg_current_wal_insert_lsn() - '0/0')::int8"))

    def json(self, line):
        """Runs a program that prints one line of JSON."""
        done = subprocess.run(line, env=self.environment, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise services.ServiceError(f'{os.path.basename(line[0])}: {done.stderr.strip() or done.stdout.strip()}')
        return json.loads(done.stdout)

    def engine(self, **options):
        """bench/engine_bench with --options as named."""
        self.checkpoint()
        return self.json([self.program('bench/engine_bench')] + arguments(options))

    def load(self, server, refusals=False, by_others=0, **options):
        """bench/load with --options as named; with `refusals` answers of 503 are no fault. `by_others`: orders that somebody else places meanwhile."""
        self.checkpoint()
        line = [self.program('bench/load'), '--server', str(server.pid)] + arguments(options)
        found = self.json(on_core(1 if self.apart else None, line))
        found['in_database'] -= by_others
        if found['acknowledged'] != found['in_database']:
            self.is_wrong(f'{found["acknowledged"]} orders were acknowledged, {found["in_database"]} are in the database')
        if set(found['statuses']) - ({'201', '503'} if refusals else {'201'}):
            self.is_wrong(f'answers other than 201: {found["statuses"]}')
        return found

    def settle_and_verify(self):
        """Turns the events into tasks, as a worker beside the server would have, and asks `cathay verify`."""
        worker = self.start('worker')
        waiting = 'SELECT (SELECT count(*) FROM outbox WHERE expanded_at IS NULL)'
        first, began = int(self.sql(waiting)), time.monotonic()
        while int(self.sql(waiting)) > 0 and time.monotonic() - began < 300:
            time.sleep(0.2)
        took = time.monotonic() - began
        self.stop(worker)
        done = self.cathay('verify', check=False)
        summary = done.stdout.strip().splitlines()[-1]
        say(f'  {first:,} events passed on in {took:.0f} s; verify: {summary}')
        if done.returncode != 0:
            self.is_wrong('\n'.join([line for line in done.stdout.splitlines() if not line.startswith('ok ')][:20]))
        self.verified.append(summary)
        if took > 0.5:
            self.events_per_s.append(first / took)


def arguments(options):
    return [text for name, value in options.items() for text in (f'--{name}', str(value))]
