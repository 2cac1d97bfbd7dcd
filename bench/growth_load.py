"""Loads shops of any size by the functions of grow.sql, two connections at a time, and says how far it is."""
import os
import queue
import subprocess
import threading
import time

import services

HERE = os.path.dirname(os.path.abspath(__file__))
CONNECTIONS = 2
MONTHS = 24
ORDERS_FULL = 10000000  # of a shop at scale 1
# Rows are made once and fast; what a crash would lose is loaded again. Foreign keys hold by construction, and `cathay verify` looks.
SESSION = {'synchronous_commit': 'off', 'session_replication_role': 'replica', 'work_mem': '384MB', 'maintenance_work_mem': '768MB',
           'temp_buffers': '512MB', 'max_parallel_workers_per_gather': '0', 'max_parallel_maintenance_workers': '0',
           'client_min_messages': 'warning'}


class LoadingPostgres(services.Postgres):
    """A cluster that forgoes the log while it is filled. Stop it and start the same home as a durable one to use what was loaded."""

    def _settings(self):
        return super()._settings() | {'wal_level': 'minimal', 'max_wal_senders': '0', 'fsync': 'off', 'full_page_writes': 'off',
                                      'autovacuum': 'off', 'max_wal_size': '16GB', 'checkpoint_timeout': '1h', 'shared_buffers': f'{max(128, min(2048, services.memory_mb() // 8))}MB',
                                      'log_min_duration_statement': '-1'}


class Load:
    """Goods and customers by `scale`, and so many orders: where only listings and searches are asked, a shop needs few."""

    def __init__(self, postgres, database, scale, say, orders=None):
        self.postgres, self.database, self.scale, self.say = postgres, database, scale, say
        self.orders = orders or round(ORDERS_FULL * scale)
        self.started = time.monotonic()
        self.done, self.steps, self.failure = 0, 0, None

    def psql(self, *arguments):
        options = ' '.join(f'-c {name}={value}' for name, value in SESSION.items())
        line = ['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', self.postgres.socket_directory, '-U', 'cathay', '-d', self.database]
        done = subprocess.run(line + list(arguments), capture_output=True, text=True, check=False, env=os.environ | {'PGOPTIONS': options})
        if done.returncode != 0:
            raise services.ServiceError(f'loading {self.database}: {done.stderr.strip()}')

    def step(self, what, *arguments):
        began = time.monotonic()
        self.psql(*arguments)
        self.done += 1
        now = time.monotonic()
        self.say(f'  {self.database}: {self.done:2} of {self.steps} steps, {now - self.started:5.0f} s: {what} ({now - began:.1f} s)')

    def together(self, steps):
        """Runs steps on two connections; a failure of one ends the load once the others are done."""
        waiting = queue.SimpleQueue()
        for step in steps:
            waiting.put(step)

        def work():
            while self.failure is None:
                try:
                    what, *arguments = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    self.step(what, *arguments)
                except services.ServiceError as error:
                    self.failure = error
        threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failure:
            raise self.failure

    def run(self):
        call = lambda name: ('-c', f'SELECT grow.{name}')  # noqa: E731
        first = [('people', *call('people()')), ('goods', *call('catalog()'))]
        months = [(f'orders of month {m + 1} of {MONTHS}', *call(f'month({m})')) for m in range(MONTHS)]
        rest = [('payments', *call('payments()')), ('stock and parcels', *call('stock()')), ('miles', *call('miles()')),
                ('answers and events', *call('recent()'))]
        self.steps = len(first) + len(months) + len(rest) + 2
        self.psql('-f', os.path.join(HERE, 'grow.sql'))
        self.psql('-c', f'SELECT grow.prepare({self.scale}, {self.orders})', '-c', 'SELECT grow.make_room()')
        self.together(first)
        self.together(months)
        self.together(rest)
        self.step('listings', '-1', '-f', os.path.join(HERE, 'listing.sql'))
        self.step('statistics', '-c', 'DROP SCHEMA grow CASCADE', '-c', 'VACUUM (ANALYZE)')
        return time.monotonic() - self.started
