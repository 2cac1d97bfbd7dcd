"""Products, listings and balances from the process, from Redis and from PostgreSQL, against nginx's static file and pgbench -S."""
import os
import re
import shutil
import socket
import statistics
import subprocess
import threading
import time
import urllib.request

from stand import HOME, PROJECT, Row, arguments, children, free_port, median, precise_cpu, row_of_runs, services, tree_cpu

KINDS = {'product': 'a product', 'listing': 'a page of 20 products', 'balance': 'a balance'}
NGINX_AIM = 1.3
REDIS_AIM = 0.7  # CPU of a hit in Redis, in misses
NEWS_AIM = 0.95
MISS_AIM = 0.5  # misses a second, in those of the same statement by pgbench; beside it those of pgbench -S
THINGS = 2000
STATEMENTS = {  # file, name, the parameter that says which, and what the others are
    'product': ('catalog/catalog.sql', 'product_show', ':product_id::uuid', {':slug': 'NULL::text'}),
    'balance': ('loyalty/loyalty.sql', 'loyalty_summary', ':user_id::uuid', {}),
}
CONNECTIONS = 16
WORKERS = 8
STALE_S = 0.02


def measure(stand):
    stand.use('seeded')
    return {'process': in_process(stand), 'behind': behind(stand), 'news': news(stand)}


# ── from the process: one core for the server, another for wrk ──

def in_process(stand):
    server = stand.start('serve', core=0)
    token = subprocess.run([stand.program('bench/read'), '--kind', 'balance', '--things', '1', '--token', '1'], env=stand.environment,
                           check=True, capture_output=True, text=True).stdout.strip()
    product = stand.sql("SELECT wire_id('prd', id) FROM product ORDER BY id LIMIT 1")
    paths = {'product': f'/v1/products/{product}', 'listing': '/v1/products?limit=20', 'balance': '/v1/loyalty'}
    headers = {'balance': {'Authorization': f'Bearer {token}'}}
    directory = os.path.join(HOME, 'files')
    os.makedirs(directory, exist_ok=True)
    sizes = {}
    for kind, path in paths.items():
        with urllib.request.urlopen(urllib.request.Request(f'http://127.0.0.1:{stand.port}{path}', headers=headers.get(kind, {}))) as answer:
            body = answer.read()
        sizes[kind] = len(body)
        with open(os.path.join(directory, f'{kind}.json'), 'wb') as file:
            file.write(body)
    port, tuned = free_port(), free_port()
    nginx = start_nginx(stand, directory, port, tuned)
    runs = {kind: {'nginx': [], 'nginx_tuned': [], 'cathay': []} for kind in KINDS}
    for _ in range(2 if stand.quick else 3):
        for kind, of in runs.items():
            for name, url, pids in (('nginx', f'http://127.0.0.1:{port}/{kind}.json', children(nginx.pid)),
                                    ('nginx_tuned', f'http://127.0.0.1:{tuned}/{kind}.json', children(nginx.pid)),
                                    ('cathay', f'http://127.0.0.1:{stand.port}{paths[kind]}', [server.pid])):
                if name == 'nginx_tuned' and kind != 'product':
                    continue
                before = sum(map(precise_cpu, pids))
                requests, per_s = wrk(url, 1, headers.get(kind, {}) if name == 'cathay' else {})
                of[name].append({'per_s': per_s, 'cpu_us': (sum(map(precise_cpu, pids)) - before) * 1e6 / requests})
    stand.stop(nginx)
    stand.stop(server)
    return {'sizes': sizes, 'runs': runs}


def start_nginx(stand, directory, port, tuned):
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
    line = [shutil.which('nginx') or '/usr/sbin/nginx', '-p', HOME, '-c', path]
    process = stand.spawn(line, os.path.join(HOME, 'nginx.log'), core=0)
    stand.wait_until_up(f'http://127.0.0.1:{port}/product.json', process)
    return process


def wrk(url, seconds, headers):
    last = os.cpu_count() - 1
    line = ['taskset', '-c', str(last), 'wrk', '-t1', '-c32', f'-d{seconds}s']
    for name, value in headers.items():
        line += ['-H', f'{name}: {value}']
    done = subprocess.run(line + [url], check=True, capture_output=True, text=True)
    if re.search(r'Non-2xx|Socket errors', done.stdout):
        raise services.ServiceError(f'wrk on {url}: {done.stdout}')
    return int(re.search(r'(\d+) requests in', done.stdout)[1]), float(re.search(r'Requests/sec:\s+([\d.]+)', done.stdout)[1])


# ── from Redis, from PostgreSQL ──

class Stale(threading.Thread):
    """Makes all that Redis keeps stale, some fifty times a second, so that each answer is looked for there, computed, and kept for nothing."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.ended = path, threading.Event()

    def run(self):
        script = "local at = redis.call('HINCRBY', KEYS[1], 'sequence', 1) redis.call('HSET', KEYS[1], 'floor', string.format('%.0f', at)) return at"
        command = ['EVAL', script, '1', 'cache:stamps']
        text = f'*{len(command)}\r\n' + ''.join(f'${len(part)}\r\n{part}\r\n' for part in command)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.path)
            while not self.ended.wait(STALE_S):
                connection.sendall(text.encode())
                connection.recv(256)


def read(stand, server, kind):
    """bench/read, with the CPU time of Redis for each answer beside that of the server and of PostgreSQL."""
    options = {'kind': kind, 'things': THINGS, 'connections': CONNECTIONS, 'seconds': 1, 'server': server.pid}
    before = precise_cpu(stand.redis.process.pid)
    found = stand.json([stand.program('bench/read')] + arguments(options))
    found['redis_cpu_us'] = (precise_cpu(stand.redis.process.pid) - before) * 1e6 / found['answers']
    found['cpu_us'] = found['server_cpu_us'] + found['postgres_cpu_us'] + found['redis_cpu_us']
    if found['failed']:
        stand.is_wrong(f'{found["failed"]} of {found["answers"]} reads of {kind} were not answered with 200')
    return found


def pgbench(stand, *line):
    line = ['pgbench', '-n', '-M', 'prepared', '-c', str(WORKERS), '-j', '1', '-T', '1', '-h', stand.postgres.socket_directory,
            '-U', 'cathay', *line]
    before = tree_cpu(stand.postgres.process.pid)
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    time.sleep(0.1)  # until the postmaster has counted the backends that ended
    used = tree_cpu(stand.postgres.process.pid) - before
    count = int(re.search(r'actually processed: (\d+)', done.stdout)[1])
    return {'per_s': float(re.search(r'tps = ([\d.]+)', done.stdout)[1]), 'cpu_us': used * 1e6 / count}


def statement_file(kind):
    """The shop's own statement as a script of pgbench, which asks for one of two thousand things."""
    file, name, parameter, others = STATEMENTS[kind]
    with open(os.path.join(PROJECT, 'src', 'shop', file)) as source:
        text = re.search(rf'^-- name: {name}\(.*?\n((?:(?!-- name:).*\n)+)', source.read(), re.M)[1]
    text = re.sub(r'--.*', '', text).replace(parameter, f"(SELECT {kind} FROM bench_thing WHERE n = :n)::uuid")
    for other, value in others.items():
        text = text.replace(other, value)
    path = os.path.join(HOME, f'{kind}.sql')
    with open(path, 'w') as script:
        script.write(f'\\set n random(1, {THINGS})\n{text}')
    return path


def behind(stand):
    """A process's cache of sixteen entries keeps nothing that is asked for again: what two thousand things cost in Redis, and beyond."""
    stand.fresh_database()
    stand.sql(f'''CREATE TABLE bench_thing (n int PRIMARY KEY, product uuid, balance uuid);
        INSERT INTO bench_thing SELECT n, p.id, u.id FROM (SELECT row_number() OVER () AS n, id FROM product LIMIT {THINGS}) p
        JOIN (SELECT row_number() OVER () AS n, id FROM users LIMIT {THINGS}) u USING (n)''')
    scripts = {kind: statement_file(kind) for kind in STATEMENTS}
    if stand.postgres.create_database('single_reads'):
        subprocess.run(['pgbench', '-i', '-q', '-s', '10', '-h', stand.postgres.socket_directory, '-U', 'cathay', 'single_reads'], check=True,
                       capture_output=True)
    small = stand.start('serve', cache_entries=16, workers=WORKERS)
    found = {'pgbench': []} | {kind: {'redis': [], 'miss': [], 'statement': []} for kind in KINDS}
    for _ in range(1 if stand.quick else 2):
        found['pgbench'].append(pgbench(stand, '-S', 'single_reads'))
        for kind in KINDS:
            found[kind]['redis'].append(read(stand, small, kind))
            stale = Stale(stand.redis.socket)
            stale.start()
            found[kind]['miss'].append(read(stand, small, kind))
            stale.ended.set()
            stale.join()
            if kind in scripts:
                found[kind]['statement'].append(pgbench(stand, '-f', scripts[kind], stand.database))
    stand.stop(small)
    stand.drop_database()
    return found


# ── what telling of balances costs ──

def news(stand):
    """Orders that spend miles, with the trigger that tells of balances and without, and a worker that passes the news on."""
    stand.fresh_database()
    worker, runs = stand.start('worker'), {'on': [], 'off': []}
    for number in range(2 if stand.quick else 3):
        for name in ('off', 'on') if number % 2 == 0 else ('on', 'off'):
            stand.sql(f"ALTER TABLE ledger_account {'ENABLE' if name == 'on' else 'DISABLE'} TRIGGER ledger_account_tell")
            runs[name].append(stand.engine(shoppers=256, points=500, seconds=2))
    stand.stop(worker)
    stand.drop_database()
    return runs


def rows_of_news(runs):
    ratio = statistics.median(on['per_s'] / off['per_s'] for on, off in zip(runs['on'], runs['off']))
    return [row_of_runs('orders with miles, nobody told of balances', runs['off']),
            row_of_runs('orders with miles, balances told', runs['on'], found=f'{ratio:.2f} of the rate', aim=f'≥ {NEWS_AIM}', met=ratio >= NEWS_AIM)]


def rows(found):
    table = []
    for kind, text in KINDS.items():
        of, size = found['process']['runs'][kind], found['process']['sizes'][kind]
        for name, label in (('nginx', 'nginx, static file'), ('nginx_tuned', 'nginx, static file, open_file_cache'), ('cathay', 'from the process')):
            if not of[name]:
                continue
            ratio = statistics.median(theirs['cpu_us'] / own['cpu_us'] for theirs, own in zip(of['nginx'], of[name]))
            row = Row(f'{text}, {size:,} bytes: {label}', per_s=median(of[name], 'per_s'), server_us=median(of[name], 'cpu_us'),
                      found=f'{ratio:.2f} × nginx, per CPU')
            if name == 'cathay' and kind == 'product':
                row.aim, row.met = f'≥ {NGINX_AIM} ×', ratio >= NGINX_AIM
            table.append(row)
    single = found['behind']['pgbench']
    table.append(Row(f'pgbench -S, {WORKERS} connections', per_s=median(single, 'per_s'), postgres_us=median(single, 'cpu_us')))
    for kind, text in KINDS.items():
        of = found['behind'][kind]
        share = statistics.median(hit['cpu_us'] / miss['cpu_us'] for hit, miss in zip(of['redis'], of['miss']))
        single_share = statistics.median(miss['per_s'] / one['per_s'] for miss, one in zip(of['miss'], single))
        for name, label in (('redis', 'from Redis'), ('miss', 'from PostgreSQL, and kept')):
            row = Row(f'{text}: {label}', per_s=median(of[name], 'per_s'), p50_ms=median(of[name], 'p50_ms'), p99_ms=median(of[name], 'p99_ms'),
                      server_us=median(of[name], 'server_cpu_us'), postgres_us=median(of[name], 'postgres_cpu_us'),
                      load_us=median(of[name], 'self_cpu_us'), found=f'Redis {median(of[name], "redis_cpu_us"):.0f} µs; ')
            table.append(row)
            if name == 'redis':
                row.found += f'{share:.2f} × the CPU of a miss'
                row.aim, row.met = f'≤ {REDIS_AIM} ×', share <= REDIS_AIM
                continue
            row.found += f'{single_share:.2f} × pgbench -S'
            if of['statement']:
                bare = statistics.median(miss['per_s'] / one['per_s'] for miss, one in zip(of['miss'], of['statement']))
                row.found += f', {bare:.2f} × its statement'
                row.aim, row.met = f'≥ {MISS_AIM} × the statement', bare >= MISS_AIM
                table.append(Row(f'{text}: pgbench, the same statement, {WORKERS} connections', per_s=median(of['statement'], 'per_s'),
                                 postgres_us=median(of['statement'], 'cpu_us')))
    return table + rows_of_news(found['news'])
