#!/usr/bin/python3
"""The part of ./run that comes after the packages: build, servers, migrations, demo shop, and the shop itself.

Everything it starts is its child in a session of its own. It watches them, and stops them in order (shop, Redis,
PostgreSQL) on Ctrl-C or SIGTERM, or when one of them dies.
"""
import argparse
import base64
import fcntl
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VAR = os.path.join(PROJECT, 'var')
LOGS = os.path.join(VAR, 'log')
SECRETS = {
    'stripe_key': lambda: 'sk_test_' + secrets.token_hex(24),
    'stripe_webhook_secret': lambda: 'whsec_' + secrets.token_hex(24),
    'easypost_key': lambda: 'EZTK' + secrets.token_hex(24),
    'easypost_webhook_secret': lambda: secrets.token_hex(24),
    'token_keys': lambda: time.strftime('run-%Y%m%d:') + base64.b64encode(secrets.token_bytes(32)).decode(),
}
READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
LOG_BYTES_MAX = int(os.environ.get('RUN_LOG_BYTES_MAX', 20 * 1024 * 1024))
LOGS_LOOKED_AT_S = 5

sys.path.insert(0, os.path.join(PROJECT, 'tools'))
sys.dont_write_bytecode = True  # on a full disk Python leaves half of it, and stumbles over that at each later start
import build  # noqa: E402
import services  # noqa: E402


class Stop(Exception):
    """Carries the one line that is said before the script ends with 1."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM."""


def say(text):
    print(text, flush=True)


def relative(path):
    return os.path.relpath(path, PROJECT)


def lock():
    """One ./run in a checkout. The file holds what the second one needs to say."""
    file = open(os.path.join(VAR, 'run.lock'), 'a+')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        pid, _, address = file.read().strip().partition(' ')
        raise Stop(f'Cathay Shop is already running here{" at " + address if address else ""}; '
                   f'stop it with Ctrl-C there, or: kill {pid or "(its process)"}') from None
    return file


def lock_says(file, text):
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def port_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
            return True
        except PermissionError:
            raise Stop(f'Port {port} needs rights that {services.name_of(os.geteuid())} does not have: ports below 1024 belong to '
                       'root here. Choose another: ./run --port 8080') from None
        except OSError:
            return False


def near_port(wanted):
    """`wanted`, or the next one that is free: for what a person need not remember."""
    for port in range(wanted, min(wanted + 100, 65536)):
        if port_free(port):
            return port
    raise Stop(f'No port from {wanted} on is free.')


def fresh():
    """Removes what the shop has stored; logs, builds and the lock stay."""
    elsewhere = os.path.realpath(os.path.join(VAR, 'postgresql', 'pg'))
    if elsewhere.startswith('/var/tmp/cathay-'):
        shutil.rmtree(elsewhere)
    for name in os.listdir(VAR):
        path = os.path.join(VAR, name)
        if name in ('log', 'test', 'run.lock'):
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def make_secrets():
    """Random, once; only we can read them. Returns the variables that point at them."""
    directory = os.path.join(VAR, 'secrets')
    os.makedirs(directory, mode=0o700, exist_ok=True)
    variables = {}
    for name in SECRETS:
        variable = 'CATHAY_' + name.upper()
        if variable in os.environ or variable + '_FILE' in os.environ:
            continue
        path = os.path.join(directory, name)
        if not os.path.exists(path):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w') as file:
                file.write(SECRETS[name]())
        variables[variable + '_FILE'] = path
    return variables


def trim_logs():
    """Logs that are too long become NAME.old. Their writers append and keep the file open, so that it is copied and emptied:
    what they write between the two is lost, some lines at most. The shop bounds its own."""
    for name in os.listdir(LOGS):
        path = os.path.join(LOGS, name)
        if name.endswith('.old') or name.startswith('cathay.log') or not os.path.isfile(path) or os.path.getsize(path) <= LOG_BYTES_MAX:
            continue
        with open(path, 'r+b') as file, open(path + '.old', 'wb') as old:
            file.seek(-LOG_BYTES_MAX, os.SEEK_END)
            shutil.copyfileobj(file, old)
            file.truncate(0)


def close_modes():
    """Nothing in var/ is for others: also what an earlier release left readable. PostgreSQL keeps its own place so."""
    for place, directories, files in os.walk(VAR):
        if place == VAR and 'postgresql' in directories:
            directories.remove('postgresql')
        for names, mode in ((directories, 0o700), (files, 0o600)):
            for name in names:
                path = os.path.join(place, name)
                try:
                    if not os.path.islink(path) and os.stat(path).st_mode & 0o077:
                        os.chmod(path, os.stat(path).st_mode & mode)
                except FileNotFoundError:
                    pass  # a test beside us


def redis_answers(url):
    """Whether something listens where REDIS_URL points: None, or why not."""
    parts = urllib.parse.urlsplit(url)
    try:
        if parts.scheme == 'unix':
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(2)
                probe.connect(parts.path)
        else:
            socket.create_connection((parts.hostname or '127.0.0.1', parts.port or 6379), 2).close()
    except (OSError, ValueError) as error:
        return services.one_line(error)
    return None


class Shop:
    """All that runs, in the order in which it was started."""

    def __init__(self, arguments):
        self.port = arguments.port
        self.postgres = None
        self.redis = None
        self.process = None
        self.log_began = 0
        self.environment = dict(os.environ)
        self.log = os.path.join(LOGS, 'cathay.log')

    def build(self):
        tty = sys.stdout.isatty()
        began = time.monotonic()
        shown = -1

        def progress(done, of):
            nonlocal shown
            if tty:
                print(f'\r\033[KBuilding: {done} of {of}', end='', flush=True)
            elif done * 10 // of > shown:
                shown = done * 10 // of
                say(f'Building: {done} of {of}')

        try:
            build.build(PROJECT, 'release', os.path.join(LOGS, 'build.log'), progress)
        except build.BuildFailed as error:
            if tty:
                print('\r\033[K', end='')
            if error.errors:
                say('\n' + error.errors)
            raise Stop(str(error)) from None
        if tty:
            print('\r\033[K', end='')
        say(f'Built in {time.monotonic() - began:.0f} s.')

    def start_servers(self):
        if 'DATABASE_URL' in os.environ:
            say('PostgreSQL: the one of DATABASE_URL')
        else:
            home = os.path.join(VAR, 'postgresql')
            self.postgres = services.Postgres(home, durable=True, log=os.path.join(LOGS, 'postgresql.log'))
            self.postgres.start()
            self.postgres.create_database('cathay')
            self.postgres.let_sandbox_in('cathay')
            # The schema's owner migrates; the shop itself runs as a role that cannot change the ledger.
            self.environment['CATHAY_MIGRATE_DATABASE_URL'] = self.postgres.url('cathay')
            self.environment['DATABASE_URL'] = self.postgres.url('cathay', services.SHOP_ROLE)
            say('PostgreSQL: started')
        if 'REDIS_URL' in os.environ:
            why = redis_answers(os.environ['REDIS_URL'])
            say('Redis: the one of REDIS_URL' + (f', which does not answer ({why}); the shop runs without it, slower, and uses it '
                                                 'once it is there' if why else ''))
        else:
            self.redis = services.Redis(os.path.join(VAR, 'redis'), log=os.path.join(LOGS, 'redis.log'))
            self.redis.start()
            self.environment['REDIS_URL'] = self.redis.url()
            say('Redis: started')

    def settle(self):
        """Addresses and secrets, where the environment does not say otherwise."""
        sandbox_port = near_port(int(os.environ.get('CATHAY_SANDBOX_PORT', self.port + 10)))
        smtp_port = near_port(int(os.environ.get('CATHAY_SANDBOX_SMTP_PORT', 2525)))
        self.sandbox = f'http://127.0.0.1:{sandbox_port}'
        self.environment |= {'CATHAY_LISTEN_PORT': str(self.port), 'CATHAY_SANDBOX_PORT': str(sandbox_port),
                             'CATHAY_SANDBOX_SMTP_PORT': str(smtp_port)}
        self.environment |= make_secrets()
        for name, value in {'CATHAY_PUBLIC_URL': f'http://127.0.0.1:{self.port}', 'CATHAY_STRIPE_URL': self.sandbox,
                            'CATHAY_EASYPOST_URL': self.sandbox, 'CATHAY_SMTP_URL': f'smtp://127.0.0.1:{smtp_port}', 'CATHAY_SANDBOX': '1'}.items():
            self.environment.setdefault(name, value)

    def cathay(self, *subcommand, show=False):
        """Runs a subcommand to its end; returns its output."""
        line = [os.path.join(PROJECT, 'build/cathay'), *subcommand]
        process = subprocess.Popen(line, cwd=PROJECT, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors='replace', start_new_session=True)
        output = []
        try:
            for text in process.stdout:
                output.append(text)
                if show:
                    print('  ' + text, end='', flush=True)
            code = process.wait()
        except Interrupted:
            process.terminate()
            services.wait_exit(process, 10)
            raise
        with open(self.log, 'a') as file:
            file.writelines(output)
        if code != 0:
            raise Stop(f'cathay {" ".join(subcommand)} failed: {services.telling(output) or f"exit {code}"}')
        return ''.join(output)

    def write_environment(self):
        """For people who run subcommands beside the shop: `. var/environment`."""
        names = sorted(name for name in self.environment if name.startswith('CATHAY_') or name in ('DATABASE_URL', 'REDIS_URL'))
        path = os.path.join(VAR, 'environment')
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as file:
            file.writelines(f'export {name}={shlex.quote(self.environment[name])}\n' for name in names)

    def prepare_data(self):
        self.cathay('migrate')
        marker = os.path.join(VAR, 'demo.txt')
        where = services.path_hash(self.environment.get('CATHAY_MIGRATE_DATABASE_URL') or self.environment['DATABASE_URL'])
        known = ''
        if os.path.exists(marker):
            with open(marker) as file:
                known = file.read()
        if known.startswith(where + '\n'):
            return known.partition('\n')[2]
        say('Loading the demo shop; this happens once.')
        text = self.cathay('demo')
        with open(marker + '.new', 'w') as file:
            file.write(where + '\n' + text)
        os.replace(marker + '.new', marker)
        return text

    def start(self):
        self.log_began = services.log_size(self.log)
        # The shop writes its lines itself, so that it can bound the file; what a crash prints comes to the same.
        environment = {'CATHAY_LOG_FILE': self.log} | self.environment
        with open(self.log, 'ab') as log:
            line = services.as_user([os.path.join(PROJECT, 'build/cathay'), 'supervise', 'all'], None, 'TERM')
            self.process = subprocess.Popen(line, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            self.check()
            try:
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                        f'http://127.0.0.1:{self.port}/readyz', timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.05)
        raise Stop(f'The shop did not get ready within {READY_TIMEOUT_S} s; see {relative(self.log)}.')

    def check(self):
        """Raises when something that has to run does not."""
        if self.postgres and self.postgres.process.poll() is not None:
            raise Stop(f'PostgreSQL has ended ({services.log_tail(self.postgres.log, self.postgres.log_began)}); see {relative(self.postgres.log)}. '
                       './run starts it again; no order that was acknowledged is lost.')
        if self.redis and self.redis.process.poll() is not None:
            raise Stop(f'Redis has ended; see {relative(self.redis.log)}. ./run starts it again; it holds nothing that PostgreSQL has not.')
        if self.process and self.process.poll() is not None:
            raise Stop(f'The shop has ended with {self.process.returncode} ({services.log_tail(self.log, self.log_began)}); see {relative(self.log)}. '
                       './run starts it again; no order that was acknowledged is lost.')

    def watch(self):
        logs_due = 0
        while True:
            time.sleep(0.3)
            self.check()
            if time.monotonic() >= logs_due:
                trim_logs()
                logs_due = time.monotonic() + LOGS_LOOKED_AT_S

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            if not services.wait_exit(self.process, STOP_TIMEOUT_S):
                say('The shop did not stop in time and was killed.')
                self.process.kill()
                self.process.wait()
        if self.redis:
            self.redis.stop()
        if self.postgres:
            self.postgres.stop()


def greeting(shop, sign_ins):
    address = f'http://127.0.0.1:{shop.port}'
    lines = ['', 'Cathay Shop is open.', '',
             f'  shop        {address}/',
             f'  contract    {address}/docs   (read it and try it)',
             f'  partners    {shop.sandbox}/   (payments to pay or decline, parcels to move)',
             f'  mailbox     {shop.sandbox}/mailbox   (every mail that the shop sends)',
             f'  logs        {relative(LOGS)}/']
    if sign_ins.strip():
        lines += [''] + ['  ' + line for line in sign_ins.strip().split('\n')]
    lines += ['', 'Next: docs/tour.md walks through a whole purchase with curl.',
              'Subcommands, in another terminal: . var/environment; build/cathay --help',
              'Ctrl-C stops everything.', '']
    return '\n'.join(lines)


def main():
    parser = argparse.ArgumentParser(prog='./run', add_help=False)
    parser.add_argument('--port', type=int, default=int(os.environ.get('CATHAY_LISTEN_PORT', 8080)))
    parser.add_argument('--fresh', action='store_true')
    arguments = parser.parse_args()
    os.umask(0o077)
    services.own_place(VAR)
    services.own_place(LOGS)
    held = lock()
    lock_says(held, str(os.getpid()))
    if arguments.fresh:
        if 'DATABASE_URL' in os.environ:
            raise Stop('--fresh removes the private database only; with DATABASE_URL drop and create that one yourself.')
        fresh()
    if not port_free(arguments.port):
        raise Stop(f'Port {arguments.port} is taken by another program; stop it, or choose another: ./run --port {arguments.port + 1}')
    close_modes()
    trim_logs()
    shop = Shop(arguments)

    def interrupt(_number, _frame):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        raise Interrupted

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        shop.build()
        shop.start_servers()
        shop.settle()
        shop.write_environment()
        sign_ins = shop.prepare_data()
        shop.start()
        lock_says(held, f'{os.getpid()} http://127.0.0.1:{shop.port}')
        say(greeting(shop, sign_ins))
        shop.watch()
    except Interrupted:
        say('\nStopping.')
    finally:
        shop.stop()
    say('Stopped.')


if __name__ == '__main__':
    try:
        main()
    except BrokenPipeError:
        sys.exit(1)
    except (Stop, services.ServiceError, OSError) as error:
        print(services.one_line(error), file=sys.stderr)
        sys.exit(1)
