"""A product's page from the process's cache against nginx with the same bytes in a file: one core for the server, another for wrk."""
import os
import re
import shutil
import statistics
import subprocess
import urllib.request

from stand import HOME, Row, children, free_port, median, precise_cpu, services

AIM = 1.0
NAMES = {'nginx': 'nginx, static file', 'nginx_tuned': 'nginx, static file, open_file_cache', 'cathay': 'cathay, cached product'}


def measure(stand):
    stand.use('seeded')
    server = stand.start('serve', core=0)
    product = stand.sql("SELECT wire_id('prd', id) FROM product ORDER BY id LIMIT 1")
    ours = f'http://127.0.0.1:{stand.port}/v1/products/{product}'
    with urllib.request.urlopen(ours) as answer:
        body = answer.read()
    directory = os.path.join(HOME, 'files')
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, 'product.json'), 'wb') as file:
        file.write(body)
    port, tuned = free_port(), free_port()
    nginx = start_nginx(stand, directory, port, tuned)
    nginx_cpu = lambda: sum(map(precise_cpu, children(nginx.pid)))  # noqa: E731
    contenders = {'nginx': (f'http://127.0.0.1:{port}/product.json', nginx_cpu),
                  'nginx_tuned': (f'http://127.0.0.1:{tuned}/product.json', nginx_cpu),
                  'cathay': (ours, lambda: precise_cpu(server.pid))}
    runs = {name: [] for name in contenders}
    for _ in range(3 if stand.quick else 7):
        for name, (url, cpu) in contenders.items():
            before = cpu()
            requests, per_s = wrk(url, 2)
            runs[name].append({'per_s': per_s, 'cpu_us': (cpu() - before) * 1e6 / requests})
    stand.stop(nginx)
    stand.stop(server)
    return {'bytes': len(body), 'runs': runs}


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


def wrk(url, seconds):
    last = os.cpu_count() - 1
    done = subprocess.run(['taskset', '-c', str(last), 'wrk', '-t1', '-c32', f'-d{seconds}s', url], check=True, capture_output=True,
                          text=True)
    if re.search(r'Non-2xx|Socket errors', done.stdout):
        raise services.ServiceError(f'wrk on {url}: {done.stdout}')
    return int(re.search(r'(\d+) requests in', done.stdout)[1]), float(re.search(r'Requests/sec:\s+([\d.]+)', done.stdout)[1])


def rows(found):
    table = []
    for key, name in NAMES.items():
        runs = found['runs'][key]
        ratio = statistics.median(theirs['cpu_us'] / own['cpu_us'] for theirs, own in zip(found['runs']['nginx'], runs))
        row = Row(f'{name} ({found["bytes"]:,} bytes)', per_s=median(runs, 'per_s'), server_us=median(runs, 'cpu_us'),
                  found=f'{ratio:.2f} × nginx, per CPU')
        if key == 'cathay':
            row.aim, row.met = f'≥ {AIM:.0f} ×', ratio >= AIM
        table.append(row)
    return table
