#!/usr/bin/python3
"""What the same requests cost in a shop and in one of a hundred times its size: two shops side by side on one PostgreSQL, nothing cached in the servers."""
# Requests are drawn from each shop's own rows, by the same rules, and go to both in turn, one at a time. Each set goes twice: once to bring
# what it needs into memory, then measured. Told are medians of the time to the answer, and beside them the pages that
# PostgreSQL touched for a request, which no neighbour on the machine disturbs.
#
# By itself: bench/growth.py [--full | --scale 0.05] [--orders 100000] [--keep] [--json FILE]. --full: 1,000,000 variants and customers, 10,000,000 orders,
# against 1 % of that; --keep leaves the loaded shops for the next run.
import argparse
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import stand as stands
from stand import HOME, Row, say, services
import growth_load  # noqa: E402 (stand knows where services.py is)

RATIO_AIM = 1.5
SCALE, SHRINK = 0.05, 100
LEAST_ORDERS = 2000
LEAST_ALIKE = 10  # requests of which a median is told
REQUESTS = 100
REQUESTS_FULL = 200
SIGNED_IN = 40
PASSWORD = 'long enough to be let in'
ADDRESS = {'name': 'Chan Tai Man', 'line1': "8 Queen's Road Central", 'city': 'Hong Kong', 'country': 'HK', 'phone': '+852 2123 4567'}


class GrowthPostgres(services.Postgres):
    def _settings(self):
        return super()._settings() | {'shared_preload_libraries': 'pg_stat_statements', 'pg_stat_statements.track_planning': 'on',
                                      'pg_stat_statements.max': '2000',
                                      'shared_buffers': f'{max(128, min(2048, services.memory_mb() // 8))}MB'}


class Client:
    """One connection that is kept, so that what is timed is the shop."""

    def __init__(self, port):
        self.socket = socket.create_connection(('127.0.0.1', port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method, path, token=None, body=None, headers=''):
        """The answer's status, its body and the milliseconds that it took."""
        content = b'' if body is None else json.dumps(body).encode()
        head = f'{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n{headers}'
        if token:
            head += f'Authorization: Bearer {token}\r\n'
        if content:
            head += 'Content-Type: application/json\r\n'
        message = (head + '\r\n').encode() + content
        began = time.perf_counter()
        self.socket.sendall(message)
        data = b''
        while True:
            end = data.find(b'\r\n\r\n')
            if end >= 0:
                at = data.lower().find(b'content-length:', 0, end)
                length = int(data[at + 15:data.index(b'\r\n', at)])
                if len(data) >= end + 4 + length:
                    break
            more = self.socket.recv(1 << 18)
            if not more:
                raise services.ServiceError(f'{method} {path}: the server hung up')
            data += more
        took = (time.perf_counter() - began) * 1000
        return int(data[9:12]), data[end + 4:], took


@dataclass
class Size:
    database: str
    scale: float  # of goods and customers: 1 is full size
    orders: int


def sizes_of(scale, orders=None):
    """The large shop and the small one, each by the name of its database."""
    found = {}
    for which, of, count in (('large', scale, orders), ('small', scale / SHRINK, orders and max(LEAST_ORDERS, orders // SHRINK))):
        name = f'{which}_{of:g}{f"_{count}" if count else ""}'.replace('.', '_')
        found[name] = Size(name, of, count or round(growth_load.ORDERS_FULL * of))
    return found


class Shop:
    """One size: its database, a server of its own, and rows to draw requests from."""

    def __init__(self, stand, postgres, database, home, size):
        self.stand, self.postgres, self.database, self.size = stand, postgres, database, size
        self.redis = services.Redis(home)
        self.redis.start()
        self.port = stands.free_port()
        self.random = random.Random(7)
        self.environment = stand.environment | {'DATABASE_URL': postgres.url(database), 'REDIS_URL': self.redis.url()}
        self.settings = {'CATHAY_LISTEN_PORT': str(self.port), 'CATHAY_CACHE_ENTRIES': '0', 'CATHAY_WORKERS': '2', 'CATHAY_ARGON2_MEMORY_KIB': '8',
                         'CATHAY_ARGON2_PASSES': '1', 'CATHAY_LIMIT_SCALE_PERCENT': '0', 'CATHAY_UNPAID_ORDERS_MAX': '0', 'CATHAY_UNPAID_UNITS_MAX': '0', 'CATHAY_LOG_LEVEL': 'warn'}

    def sql(self, text):
        return [line.split('|') for line in self.postgres.psql(self.database, text).splitlines()]

    def cathay(self, *arguments, text=None):
        return subprocess.run([self.stand.program('cathay'), *arguments], env=self.environment | self.settings, input=text, capture_output=True, text=True,
                              check=False)

    def start(self):
        for name in ('customers', 'staff'):
            self.cathay('user', 'create', '--email', f'{name}@growth.example', '--role', 'manager', text=PASSWORD + '\n')
        self.process = self.stand.spawn([self.stand.program('cathay'), 'serve'], os.path.join(HOME, f'{self.database}.log'), None,
                                        self.environment | self.settings)
        self.stand.wait_until_up(f'http://127.0.0.1:{self.port}/readyz', self.process)
        self.client = Client(self.port)
        self.draw()

    def verify(self):
        """As it was loaded: what the benchmark orders waits for a worker that is not there."""
        done = self.cathay('verify')
        say(f'  verify of {self.database}: {done.stdout.strip().splitlines()[-1]}')
        if done.returncode != 0:
            self.stand.is_wrong(f'growth: {done.stdout}')

    def stop(self):
        self.stand.stop(self.process)
        self.redis.stop()

    def sign_in(self, email):
        status, body, _ = self.client.ask('POST', '/v1/auth/sign-in', body={'email': email, 'password': PASSWORD})
        if status != 200:
            raise services.ServiceError(f'{self.database}: signing in as {email} gives {status} {body[:200]}')
        return json.loads(body)['access_token']

    def draw(self):
        """Rows to ask for, from all over each table."""
        wire = lambda rows: [row[0] for row in rows]  # noqa: E731

        def some(count, of):
            """That many rows of a table which has so many: from pages all over it."""
            return f'TABLESAMPLE SYSTEM ({min(100, 400 * count / of)}) REPEATABLE (7) LIMIT {count}'
        self.staff = self.sign_in('staff@growth.example')
        # Customers as orders meet them: who orders often is asked for often.
        orders = self.sql(f"""SELECT DISTINCT ON (customer_id) wire_id('ord', o.id), o.number, u.email, wire_id('usr', u.id)
                             FROM (SELECT * FROM orders {some(4000, self.size.orders)}) o JOIN users u ON u.id = o.customer_id""")
        self.random.shuffle(orders)
        self.orders = orders[:REQUESTS_FULL]
        emails = ', '.join(f"'{row[2]}'" for row in self.orders[:SIGNED_IN])
        self.sql(f"""UPDATE users SET password_hash = (SELECT password_hash FROM users WHERE email = 'customers@growth.example') WHERE email IN ({emails})""")
        self.tokens = [self.sign_in(row[2]) for row in self.orders[:SIGNED_IN]]
        self.variants = self.sql(f"""SELECT wire_id('var', v.id), p.amount_minor, v.sku, wire_id('prd', v.product_id)
            FROM (SELECT * FROM variant {some(40000, 1000000 * self.size.scale)}) v JOIN price p ON p.variant_id = v.id AND p.currency = 'HKD'
            WHERE EXISTS (SELECT FROM stock s WHERE s.variant_id = v.id AND s.on_hand - s.reserved > 1000)""")
        self.random.shuffle(self.variants)
        self.categories = {depth: wire(self.sql(f"SELECT wire_id('cat', id) FROM category WHERE cardinality(path) = {depth} ORDER BY id")) for depth in (1, 2, 3)}
        self.brands = wire(self.sql('SELECT brand FROM (SELECT DISTINCT brand FROM product) b ORDER BY brand LIMIT 400'))
        self.vendors = wire(self.sql("SELECT wire_id('ven', id) FROM vendor ORDER BY id"))
        self.payments = wire(self.sql(f"SELECT intent_id FROM (SELECT * FROM payment {some(2000, self.size.orders)}) p WHERE intent_id IS NOT NULL"))
        rows = self.sql(f'SELECT name FROM product {some(4000, 250000 * self.size.scale)}')
        self.names = [row[0].split() for row in rows]
        span = self.sql('SELECT min(placed_at)::date, max(placed_at)::date FROM orders')[0]
        self.days = [row[0] for row in self.sql(f"SELECT d::date FROM generate_series('{span[0]}'::date + 1, '{span[1]}'::date - 1, interval '1 day') d")]
        self.cursors = self.walk()

    def walk(self):
        """Cursors of pages far down: after some 2,000 products of everything, by price, or as many as there are."""
        found = []
        while len(found) < 24:
            _, body, _ = self.client.ask('GET', '/v1/products?sort=price_asc&limit=100' + (found[-1] if found else ''))
            cursor = json.loads(body)['next_cursor']
            if cursor is None:
                break
            found.append('&cursor=' + cursor)
        return found[-8:]

    def blocks(self):
        """Pages touched and milliseconds of planning and running, of all statements so far."""
        row = self.sql(f"""SELECT coalesce(sum(shared_blks_hit + shared_blks_read), 0), coalesce(sum(total_plan_time), 0), coalesce(sum(total_exec_time), 0),
                                  coalesce(sum(shared_blks_read), 0)
                           FROM pg_stat_statements WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                             AND query NOT LIKE '%pg_stat_statements%'""")[0]
        return [float(cell) for cell in row]


def get(path):
    return lambda shop, n: ('GET', path(shop, n), None, None)


def mine(path):
    return lambda shop, n: ('GET', path(shop, n), shop.tokens[n % len(shop.tokens)], None)


def staff(path):
    return lambda shop, n: ('GET', '/v1/staff/orders?' + path(shop, n), shop.staff, None)


def order(shop, n):
    lines = [shop.variants[(n * 3 + i) % len(shop.variants)] for i in range(1 + n % 3)]
    body = {'currency': 'HKD', 'address': ADDRESS, 'lines': [{'variant_id': v[0], 'quantity': 1, 'unit_price_minor': int(v[1])} for v in lines]}
    return 'POST', '/v1/orders', shop.tokens[n % len(shop.tokens)], body


def at(items, n):
    return items[n * 7919 % len(items)]


def escaped(text):
    return ''.join(c if c.isascii() and c.isalnum() else ''.join(f'%{b:02X}' for b in c.encode()) for c in text)


def typo(word):
    return word[:-2] + word[-1] + word[-2] if len(word) > 5 else word + 'e'


COLOURS = ['navy', 'black', 'white', 'red', 'green', 'grey', 'beige', 'brown', 'yellow', 'pink', 'purple', 'orange']
MATERIALS = ['Silk', 'Linen', 'Wool', 'Bamboo', 'Jade', 'Copper', 'Velvet', 'Walnut', 'Denim', 'Marble', 'Teak', 'Felt']
SEASONS = ['spring', 'summer', 'autumn', 'winter']
SORTS = ['newest', 'price_asc', 'price_desc', 'name']
THINGS = ['shirt', 'scarf', 'teapot', 'lamp', 'jacket', 'bag', 'kettle', 'wallet', 'clock', 'steamer']
STATES = ['confirmed', 'processing', 'shipped', 'payment_failed', 'expired', 'cancelled', 'refunded']

KINDS = {
    'place an order': order,
    'product detail': get(lambda s, n: f'/v1/products/{at(s.variants, n)[3]}'),
    'listing: everything': get(lambda s, n: f'/v1/products?sort={at(SORTS, n)}&limit={20 + n % 7}'),
    'listing: category': get(lambda s, n: f'/v1/products?category_id={at(s.categories[1 + n % 3], n)}'),
    'listing: category, by price': get(lambda s, n: f'/v1/products?category_id={at(s.categories[1 + n % 2], n)}&sort=price_{"asc" if n % 2 else "desc"}'),
    'listing: deep page': get(lambda s, n: f'/v1/products?sort=price_asc&limit={20 + n % 20}{at(s.cursors, n)}'),
    'listing: one attribute': get(lambda s, n: f'/v1/products?category_id={at(s.categories[1 + n % 2], n)}&attribute=colour:{at(COLOURS, n)}&sort={at(SORTS, n)}'),
    'listing: rare attribute': get(lambda s, n: f'/v1/products?attribute=material:{at(MATERIALS[6:], n)}&attribute=colour:{at(COLOURS[6:], n)}'
                                   f'&sort={at(SORTS, n)}'),
    'listing: two attributes, price, stock': get(lambda s, n: f'/v1/products?category_id={at(s.categories[1], n)}&attribute=material:{at(MATERIALS, n)}'
                                                 f'&attribute=season:{at(SEASONS, n)}&price_min=10000&price_max={50000 + 1000 * (n % 50)}&in_stock=true'),
    'listing: brand and category': get(lambda s, n: f'/v1/products?brand={escaped(at(s.brands, n))}&category_id={at(s.categories[1], n)}'),
    'facets: category': get(lambda s, n: f'/v1/products?category_id={at(s.categories[1 + n % 2], n)}&facets=true'),
    'facets: one attribute': get(lambda s, n: f'/v1/products?category_id={at(s.categories[1], n)}&attribute=colour:{at(COLOURS, n)}&facets=true'),
    'facets: two attributes, price, stock': get(lambda s, n: f'/v1/products?category_id={at(s.categories[1], n)}&attribute=material:{at(MATERIALS, n)}'
                                                f'&attribute=season:{at(SEASONS, n)}&price_min=10000&price_max={50000 + 1000 * (n % 50)}&in_stock=true&facets=true'),
    'search: one common word': get(lambda s, n: f'/v1/products?q={at(THINGS, n)}&limit={20 + n % 20}'),
    'search: one rare word': get(lambda s, n: f'/v1/products?q={escaped(at(s.names, n)[0])}'),
    'search: two words': get(lambda s, n: f'/v1/products?q={escaped(" ".join(at(s.names, n)[2:4]))}'),
    'search: mistyped': get(lambda s, n: f'/v1/products?q={escaped(typo(at(s.names, n)[1]))}'),
    'search: Chinese': get(lambda s, n: f'/v1/products?q={escaped(at(["絲巾", "茶壺", "外套", "手袋", "行李箱", "筷子", "雨傘", "手錶"], n))}&limit={20 + n % 5}'),
    'search: facets': get(lambda s, n: f'/v1/products?q={escaped(at(s.names, n)[3])}&facets=true'),
    'my orders': mine(lambda s, n: f'/v1/orders?limit={10 + n % 20}'),
    'order detail': lambda s, n: ('GET', f'/v1/staff/orders/{at(s.orders, n)[0]}', s.staff, None),
    'statement of miles': mine(lambda s, n: f'/v1/loyalty/statement?limit={10 + n % 20}'),
    'staff: newest': staff(lambda s, n: f'limit={20 + n % 20}'),
    'staff: state, common': staff(lambda s, n: f'state=delivered&limit={20 + n % 20}'),
    'staff: state, rare': staff(lambda s, n: f'state={at(STATES, n)}'),
    'staff: pending': staff(lambda s, n: f'state=pending_payment&limit={20 + n % 20}'),
    'staff: a day': staff(lambda s, n: f'placed_from={at(s.days, n)}T00:00:00Z&placed_until={at(s.days, n)}T12:00:00Z'),
    'staff: state and month': staff(lambda s, n: f'state={at(STATES[3:], n)}&placed_until={at(s.days[60:], n)}T00:00:00Z'),
    'staff: customer': staff(lambda s, n: f'customer_id={at(s.orders, n)[3]}'),
    'staff: number': staff(lambda s, n: f'number={at(s.orders, n)[1]}'),
    'staff: vendor': staff(lambda s, n: f'vendor_id={at(s.vendors, n)}'),
    'staff: vendor and state': staff(lambda s, n: f'vendor_id={at(s.vendors, n)}&state={at(STATES, n)}'),
    'staff: SKU': staff(lambda s, n: f'sku={at(s.variants, n)[2]}'),
    'staff: payment': staff(lambda s, n: f'payment_reference={at(s.payments, n)}'),
}


def size_of(answer):
    """How many things an answer shows."""
    items = json.loads(answer).get('items')
    return 1 if items is None else len(items)


def ask_all(shops, kind, requests):
    """Milliseconds of each request and how many things were found, by shop."""
    times = {shop.database: [] for shop in shops}
    for n in range(requests):
        for shop in shops if n % 2 else reversed(shops):
            method, path, token, body = kind(shop, n)
            key = f'Idempotency-Key: {random.getrandbits(64):x}\r\n' if method == 'POST' else ''
            status, answer, took = shop.client.ask(method, path, token, body, key)
            if status not in (200, 201):
                raise services.ServiceError(f'{shop.database}: {method} {path} gives {status} {answer[:300]}')
            times[shop.database].append((took, size_of(answer)))
    return times


def alike_text(large):
    return f'{large["alike_ratio"]:.2f} × where both show as much' if large['alike_ratio'] else f'{large["alike"]} show as much'


def compare(shops, name, kind, requests):
    ask_all(shops, kind, requests)
    before = {shop.database: shop.blocks() for shop in shops}
    asked = ask_all(shops, kind, requests)
    times = {database: [took for took, _ in pairs] for database, pairs in asked.items()}
    found = {}
    for shop in shops:
        blocks, plan_ms, run_ms, read = [(after - start) / requests for after, start in zip(shop.blocks(), before[shop.database])]
        found[shop.database] = {'p50_ms': statistics.median(times[shop.database]), 'p90_ms': statistics.quantiles(times[shop.database], n=10)[8],
                                'p99_ms': statistics.quantiles(times[shop.database], n=100)[98],
                                'blocks': blocks, 'blocks_read': read, 'plan_ms': plan_ms, 'run_ms': run_ms}
    small, large = (found[shop.database] for shop in shops)
    # Of the same requests those whose answers are as long in both shops: a page of twenty beside two things is other work.
    alike = [(a[0], b[0]) for a, b in zip(*(asked[shop.database] for shop in shops)) if a[1] == b[1]]
    large['alike'] = len(alike)
    large['alike_ratio'] = statistics.median(b for _, b in alike) / statistics.median(a for a, _ in alike) if len(alike) >= LEAST_ALIKE else None
    say(f'  {name:40} {small["p50_ms"]:7.2f} → {large["p50_ms"]:7.2f} ms {large["p50_ms"] / small["p50_ms"]:5.2f} × ({alike_text(large)}); p90 {small["p90_ms"]:6.2f} → {large["p90_ms"]:6.2f}; '
        f'pages {small["blocks"]:6.0f} → {large["blocks"]:6.0f}; in PostgreSQL: plan {small["plan_ms"]:.2f} → {large["plan_ms"]:.2f}, '
        f'run {small["run_ms"]:.2f} → {large["run_ms"]:.2f} ms; from disk {large["blocks_read"]:.1f}')
    return {'small': small, 'large': large}


def load(stand, home, sizes):
    """Loads what is not there yet; seconds and bytes of each."""
    os.makedirs(home, exist_ok=True)
    postgres = growth_load.LoadingPostgres(home, durable=True)
    postgres.start()
    took = {}
    try:
        for database, size in sizes.items():
            if not postgres.create_database(database):
                continue
            subprocess.run([stand.program('cathay'), 'migrate'], env=stand.environment | {'DATABASE_URL': postgres.url(database)}, check=True, capture_output=True)
            took[database] = growth_load.Load(postgres, database, size.scale, say, size.orders).run()
    except BaseException:
        postgres.remove()
        raise
    postgres.stop()
    return took


def measure(stand, scale=SCALE, home=os.path.join(HOME, 'growth'), keep=False, requests=REQUESTS, only=('',), orders=None):
    sizes = sizes_of(scale, orders)
    took = load(stand, home, sizes)
    postgres = GrowthPostgres(home, durable=True)
    postgres.start()
    shops = []
    try:
        for database in reversed(sizes):
            postgres.psql(database, 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements')
            shops.append(Shop(stand, postgres, database, os.path.join(home, database), sizes[database]))
            if database in took:
                shops[-1].verify()
            began = time.monotonic()
            shops[-1].start()
            say(f'  {database} is up after {time.monotonic() - began:.0f} s')
        found = {name: compare(shops, name, kind, requests) for name, kind in KINDS.items() if any(word in name for word in only)}
        told = {database: {'scale': size.scale, 'orders': size.orders, 'load_s': took.get(database),
                           'bytes': int(postgres.psql(database, 'SELECT pg_database_size(current_database())'))} for database, size in sizes.items()}
    finally:
        for shop in shops:
            shop.stop()
        if keep:
            postgres.stop()
        else:
            postgres.remove()
            shutil.rmtree(home, ignore_errors=True)
    return {'sizes': told, 'kinds': found}


def rows(found):
    table = []
    for size in found['sizes'].values():
        loaded = f'loaded in {size["load_s"]:.0f} s, ' if size['load_s'] else ''
        table.append(Row(f'{size["orders"]:,.0f} orders, {1000000 * size["scale"]:,.0f} variants', found=f'{loaded}{size["bytes"] / 1e9:.1f} GB'))
    for name, both in found['kinds'].items():
        small, large = both['small'], both['large']
        ratio = large['p50_ms'] / small['p50_ms']
        table.append(Row(name, p50_ms=large['p50_ms'], p99_ms=large['p99_ms'], aim=f'≤ {RATIO_AIM} ×', met=ratio <= RATIO_AIM,
                         found=f'{ratio:.2f} × the {small["p50_ms"]:.2f} ms of 1 % ({alike_text(large)}); pages {small["blocks"]:.0f} → {large["blocks"]:.0f}'))
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--full', action='store_true')
    parser.add_argument('--scale', type=float, default=SCALE)
    parser.add_argument('--orders', type=int, help='so many in the large shop, whatever the scale: listings and searches need few, and most of the load are orders')
    parser.add_argument('--keep', action='store_true')
    parser.add_argument('--home', default=os.path.join(HOME, 'growth'))
    parser.add_argument('--only', nargs='+', default=[''], help='kinds of requests with one of these in their names')
    parser.add_argument('--json')
    options = parser.parse_args()
    stand = stands.Stand()
    try:
        stand.build()
        os.makedirs(HOME, exist_ok=True)
        key = stand.cathay('config', '--new-token-key').stdout.strip()
        stand.environment |= {'CATHAY_TOKEN_KEYS': key}
        found = measure(stand, 1.0 if options.full else options.scale, options.home, options.keep,
                        REQUESTS_FULL if options.full else REQUESTS, options.only, options.orders)
    finally:
        for process in list(stand.processes):
            stand.stop(process)
    for row in rows(found):
        say(f'{row.what:45} {row.found} {row.aim} {"" if row.met is None else "met" if row.met else "MISSED"}')
    if options.json:
        with open(options.json, 'w') as file:
            json.dump(found, file, indent=1)
    return 1 if stand.wrong else 0


if __name__ == '__main__':
    sys.exit(main())
