#!/usr/bin/python3
"""Private PostgreSQL and Redis instances, for ./run, ./test and the tests' harness.

PostgreSQL refuses to run as root, so that root runs it as user `postgres`; anybody else runs it as himself. Both are
direct children in sessions of their own: a Ctrl-C in the terminal reaches only the script, which stops them in order.
Should the script be killed, the kernel's parent-death signal stops them.

As a program:
    services.py with -- COMMAND...     runs COMMAND with TEST_DATABASE_URL and TEST_REDIS_URL of fresh instances
    services.py hold                   a line of JSON in, a line of JSON out, until standard input ends (tests/harness)
"""
import errno
import getpass
import hashlib
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from urllib.parse import quote

POSTGRES_BIN = '/usr/lib/postgresql/15/bin'
SOCKET_PATH_MAX = 107  # bytes of sun_path, without the NUL
START_TIMEOUT_S = 60
SHOP_ROLE = 'cathay_app'  # serves customers; cannot change the ledger
REDIS_MEMORY = '256mb'  # docs/architecture.md says what goes when it is full


class ServiceError(Exception):
    """Carries one line that says what is wrong and what to do."""


def one_line(error):
    """What a person reads in place of a traceback."""
    if isinstance(error, OSError) and error.strerror:
        where = f' ({error.filename})' if error.filename else ''
        advice = {errno.ENOSPC: '; make room on that disk', errno.EDQUOT: '; make room on that disk'}.get(error.errno, '')
        return f'{error.strerror}{where}{advice}'
    return str(error)


def name_of(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f'user {uid}'


def own_place(path):
    """Makes a directory of ours below var/ and everything above it; says in one line where that cannot be.

    All in var/ is for us alone, but where we are root: then user postgres has to pass through the directories to its data."""
    var = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'var')
    place = var
    try:
        for name in [''] + [name for name in os.path.relpath(path, var).split(os.sep) if name != '.']:
            place = os.path.join(place, name) if name else var
            if not os.path.isdir(place):
                os.mkdir(place)
            owner = os.stat(place).st_uid
            if owner != os.geteuid():
                raise ServiceError(f'{place} belongs to {name_of(owner)}, and you are {name_of(os.geteuid())}; run this as that user, '
                                   f'or remove it: rm -r {shlex.quote(var)}')
            os.chmod(place, 0o711 if place == var and os.geteuid() == 0 else 0o700)
        with tempfile.TemporaryFile(dir=path, buffering=0) as probe:
            if probe.write(b'x' * 65536) < 65536:
                probe.write(b'x' * 65536)  # tells why
    except OSError as error:
        raise ServiceError(f'Nothing can be written in {place}: {error.strerror}.') from None
    return path


def service_user():
    """The account that runs PostgreSQL: None is ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam('postgres')
    except KeyError:
        raise ServiceError('There is no user postgres; install the package postgresql-15.') from None


def as_user(command, user, death_signal):
    """The command line that runs `command` as `user` and ends it with us."""
    line = ['setpriv', '--pdeathsig', death_signal]
    if user is not None:
        line += ['--reuid', user.pw_name, '--regid', str(user.pw_gid), '--init-groups', '--reset-env']
    return line + ['--'] + command


def can_reach(path, user):
    """Whether `user` may enter this directory, that is, all those above it too."""
    if user is None:
        return True
    line = ['setpriv', '--reuid', user.pw_name, '--regid', str(user.pw_gid), '--init-groups', '--', 'test', '-x', path]
    return subprocess.run(line, check=False).returncode == 0


def path_hash(path):
    return hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:12]


def private_directory(path, owner):
    """Makes a directory for `owner` (None: us) alone; refuses one in a shared place that is somebody else's."""
    try:
        os.mkdir(path, 0o700)
        if owner is not None:
            os.chown(path, owner.pw_uid, owner.pw_gid)
    except FileExistsError:
        pass
    status = os.lstat(path)
    expected = os.geteuid() if owner is None else owner.pw_uid
    if status.st_uid != expected:
        raise ServiceError(f'{path} belongs to another user; remove it.')
    return path


def memory_mb():
    return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // (1024 * 1024)


def wait_exit(process, timeout_s):
    try:
        process.wait(timeout_s)
        return True
    except subprocess.TimeoutExpired:
        return False


# Causes, as PostgreSQL, Redis and the C library say them: what follows from one is said last and tells less.
CAUSES = re.compile(r'No space left|[Dd]isk quota|File too large|Read-only file system|Permission denied|Cannot allocate memory|'
                    r'could not (extend|write|create|open|fsync|bind|map)')


def log_size(path):
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def telling(lines):
    """The one line that says most: what a program said in words, not its log of events; a cause before what follows from it."""
    lines = [line.strip() for line in lines]
    lines = [line for line in lines if line and not line.startswith('{')]
    grave = [line for line in lines if re.search(r'\b(FATAL|PANIC|ERROR)\b', line)] or lines
    grave = [line for line in lines if CAUSES.search(line)] or grave
    return re.sub(r'^.*\b(FATAL|PANIC|ERROR|WARNING|LOG): +', '', grave[-1]) if grave else None


def log_tail(path, since=0):
    """The most telling line of a log behind its first `since` bytes."""
    try:
        with open(path, 'rb') as file:
            file.seek(since if since <= os.path.getsize(path) else 0)
            return telling(file.read().decode(errors='replace').split('\n')) or 'it said nothing'
    except OSError:
        return 'it said nothing'


class Postgres:
    """One cluster. `home` holds data, socket and log; durable: fsync on, sized for the machine."""

    def __init__(self, home, durable, log=None):
        self.user = service_user()
        self.home = home
        self.durable = durable
        os.makedirs(home, exist_ok=True)
        os.chmod(home, 0o700 if self.user is None else 0o711)  # the service's user passes through
        self.place = self._reachable_place()
        self.data = os.path.join(self.place, 'data')
        self.socket_directory = self._socket_directory()
        self.log = log or os.path.join(home, 'postgresql.log')
        self.log_began = 0  # its size when this start began: what is behind is of this run
        self.process = None

    def _reachable_place(self):
        """Where the data lies: `home`, or /var/tmp with a symbolic link in `home` when the service's user cannot get there."""
        if self.user is None:
            return self.home
        if can_reach(self.home, self.user):
            own = os.path.join(self.home, 'pg')
            if not os.path.islink(own):
                return private_directory(own, self.user)
        place = private_directory(f'/var/tmp/cathay-{path_hash(self.home)}', self.user)
        link = os.path.join(self.home, 'pg')
        if not os.path.lexists(link):
            os.symlink(place, link)
        return place

    def _socket_directory(self):
        """Unix sockets have short names: a long path gets a directory in /tmp."""
        own = os.path.join(self.place, 'socket')
        if len(os.fsencode(own)) + len('/.s.PGSQL.5432.lock') <= SOCKET_PATH_MAX:
            return own
        return f'/tmp/cathay-{path_hash(self.home)}'

    def _settings(self):
        settings = {
            'listen_addresses': "''",
            'unix_socket_directories': "'" + self.socket_directory.replace("'", "''") + "'",
            'unix_socket_permissions': '0700',  # besides the directory's; root may all the same
            'max_connections': '300',
            'deadlock_timeout': '50ms',
            'wal_compression': 'lz4',
            'jit': 'off',
            'random_page_cost': '1.1',
            'log_line_prefix': "'%m [%p] %a '",
            'log_timezone': 'UTC',
            'timezone': 'UTC',
        }
        if self.durable:
            settings |= {
                'shared_buffers': f'{max(128, min(1024, memory_mb() // 8))}MB',
                'effective_cache_size': f'{max(256, memory_mb() // 2)}MB',
                'max_wal_size': '4GB',
                # Old segments kept to be written over: making a new one, 16 MB of zeros and a sync, holds up every commit for ten milliseconds.
                'min_wal_size': '1GB',
                'checkpoint_timeout': '15min',
                # The log tells which statement was slow or wrong, never whose data it held: no parameters, no rows in details.
                'log_min_duration_statement': '1s',
                'log_parameter_max_length': '0',
                'log_parameter_max_length_on_error': '0',
                'log_error_verbosity': 'terse',
            }
        else:
            # Tests stop the server hard, never the machine: what was written survives without fsync.
            settings |= {'fsync': 'off', 'full_page_writes': 'off', 'shared_buffers': '128MB', 'max_wal_size': '2GB',
                         'shared_preload_libraries': 'pg_stat_statements'}
        return settings

    def prepare(self):
        """Makes the cluster where there is none; the settings are written anew each time."""
        if not os.path.exists(POSTGRES_BIN + '/postgres'):
            raise ServiceError('PostgreSQL 15 is missing; install the package postgresql-15.')
        if not os.path.exists(os.path.join(self.data, 'PG_VERSION')):
            shutil.rmtree(self.data, ignore_errors=True)
            command = [POSTGRES_BIN + '/initdb', '-U', 'cathay', '-A', 'peer', '-E', 'UTF8', '--locale=C.UTF-8', '-D', self.data]
            if not self.durable:
                command.append('--no-sync')
            with open(self.log, 'ab') as log:
                done = subprocess.run(as_user(command, self.user, 'KILL'), stdout=log, stderr=log,
                                      cwd='/', check=False)
            if done.returncode != 0:
                shutil.rmtree(self.data, ignore_errors=True)
                raise ServiceError(f'PostgreSQL could not make its data directory ({log_tail(self.log, self.log_began)}); see {self.log}.')
        with open(os.path.join(self.data, 'PG_VERSION')) as file:
            version = file.read().strip()
        if version != '15':
            raise ServiceError(f'{self.data} is of PostgreSQL {version}; ./run --fresh starts over with 15.')
        lines = [f'{name} = {value}\n' for name, value in self._settings().items()]
        self._write('postgresql.auto.conf', lines)
        # Who runs the shop, and the service's user, sign in by what the kernel says they are.
        self._write('pg_hba.conf', ['local all all peer map=cathay\n'])
        names = {getpass.getuser(), pwd.getpwuid(os.geteuid()).pw_name, 'root'} | ({self.user.pw_name} if self.user else set())
        self._write('pg_ident.conf', [f'cathay "{name}" {role}\n' for name in sorted(names) for role in ('cathay', SHOP_ROLE)])

    def _write(self, name, lines):
        path = os.path.join(self.data, name)
        with open(path, 'w') as file:
            file.writelines(lines)
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def _wait_for_predecessor(self):
        """One whose script was killed may still be shutting down."""
        deadline = time.monotonic() + 20
        while True:
            try:
                with open(os.path.join(self.data, 'postmaster.pid')) as file:
                    pid = int(file.readline())
                with open(f'/proc/{pid}/cmdline', 'rb') as file:
                    if os.fsencode(self.data) not in file.read():
                        return
            except (OSError, ValueError):
                return
            if time.monotonic() > deadline:
                raise ServiceError(f'Another PostgreSQL (process {pid}) uses {self.data}; stop it: kill -INT {pid}')
            time.sleep(0.1)

    def start(self):
        self.log_began = log_size(self.log)
        self._wait_for_predecessor()
        self.prepare()
        private_directory(self.socket_directory, self.user)
        log = open(self.log, 'ab')
        # -p: the number is only part of the socket's name.
        command = [POSTGRES_BIN + '/postgres', '-D', self.data, '-p', '5432']
        self.process = subprocess.Popen(as_user(command, self.user, 'INT'), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        cwd='/', start_new_session=True)
        log.close()
        self.wait_ready()
        self.psql('postgres', f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{SHOP_ROLE}') THEN "
                              f'CREATE ROLE {SHOP_ROLE} LOGIN; END IF; END $$')

    def wait_ready(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServiceError(f'PostgreSQL did not start ({log_tail(self.log, self.log_began)}); see {self.log}.')
            ready = subprocess.run([POSTGRES_BIN + '/pg_isready', '-q', '-h', self.socket_directory, '-U', 'cathay',
                                    '-d', 'postgres'], check=False)
            if ready.returncode == 0:
                return
            time.sleep(0.02)
        self.stop('immediate')
        raise ServiceError(f'PostgreSQL did not get ready within {START_TIMEOUT_S} s; see {self.log}.')

    def stop(self, mode='fast'):
        """fast: ends sessions and checkpoints. immediate: as a crash; the next start recovers from the log."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT if mode == 'immediate' else signal.SIGINT)
            if not wait_exit(self.process, 60):
                self.process.send_signal(signal.SIGQUIT)
                if not wait_exit(self.process, 10):
                    self.process.kill()
                    self.process.wait()
        self.process = None
        if not self.socket_directory.startswith(self.place):
            shutil.rmtree(self.socket_directory, ignore_errors=True)

    def url(self, database, role='cathay'):
        """As cathay, the owner of schemas and a superuser; as SHOP_ROLE, which is neither."""
        return f'postgresql://{role}@/{quote(database)}?host={quote(self.socket_directory, safe="")}'

    def psql(self, database, sql):
        line = ['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', self.socket_directory, '-U', 'cathay',
                '-d', database, '-c', sql]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServiceError(f'psql: {done.stderr.strip()}')
        return done.stdout.strip()

    def create_database(self, name):
        """Returns whether it was made now."""
        if self.psql('postgres', f"SELECT 1 FROM pg_database WHERE datname = '{name}'") == '1':
            return False
        self.psql('postgres', f'CREATE DATABASE "{name}"')
        return True

    def let_sandbox_in(self, database):
        """The sandbox makes its schema there, as the shop's role; one that an earlier release made as the owner goes."""
        self.psql(database, f"DO $$ BEGIN GRANT CREATE ON DATABASE {database} TO {SHOP_ROLE}; "
                            f"IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'sandbox' AND nspowner <> '{SHOP_ROLE}'::regrole) THEN "
                            'SET LOCAL client_min_messages = warning; DROP SCHEMA sandbox CASCADE; END IF; END $$')

    def remove(self):
        self.stop('immediate')
        shutil.rmtree(self.data, ignore_errors=True)
        if self.place.startswith('/var/tmp/cathay-'):
            shutil.rmtree(self.place, ignore_errors=True)
            link = os.path.join(self.home, 'pg')
            if os.path.islink(link):
                os.unlink(link)


class Redis:
    """A Redis without persistence: all that it holds can be made again from PostgreSQL."""

    def __init__(self, home, log=None):
        self.home = home
        os.makedirs(home, exist_ok=True)
        own = os.path.join(home, 'redis.sock')
        self.short = None
        if len(os.fsencode(own)) > SOCKET_PATH_MAX:
            self.short = f'/tmp/cathay-redis-{path_hash(home)}'
            own = self.short + '/redis.sock'
        self.socket = own
        self.log = log or os.path.join(home, 'redis.log')
        self.log_began = 0
        self.process = None

    def start(self):
        if shutil.which('redis-server') is None:
            raise ServiceError('Redis is missing; install the package redis-server.')
        self.log_began = log_size(self.log)
        if self.short:
            private_directory(self.short, None)
        try:
            os.unlink(self.socket)
        except FileNotFoundError:
            pass
        command = ['redis-server', '--port', '0', '--unixsocket', self.socket, '--unixsocketperm', '700', '--appendonly', 'no',
                   '--save', '', '--maxmemory', REDIS_MEMORY, '--maxmemory-policy', 'volatile-lru', '--daemonize', 'no', '--dir', self.home]
        log = open(self.log, 'ab')
        self.process = subprocess.Popen(as_user(command, None, 'TERM'), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        start_new_session=True)
        log.close()
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServiceError(f'Redis did not start ({log_tail(self.log, self.log_began)}); see {self.log}.')
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(1)
                    connection.connect(self.socket)
                    connection.sendall(b'PING\r\n')
                    if connection.recv(16).startswith(b'+PONG'):
                        return
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN):
                    raise
            time.sleep(0.01)
        self.stop()
        raise ServiceError(f'Redis did not get ready within {START_TIMEOUT_S} s; see {self.log}.')

    def stop(self, mode='fast'):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL if mode == 'immediate' else signal.SIGTERM)
            if not wait_exit(self.process, 10):
                self.process.kill()
                self.process.wait()
        self.process = None
        if self.short:
            shutil.rmtree(self.short, ignore_errors=True)

    def url(self):
        return 'unix://' + self.socket


def temporary_home():
    """A short path, and one that the service's user can enter."""
    home = tempfile.mkdtemp(prefix='cathay-', dir='/tmp')
    os.chmod(home, 0o711)
    return home


class Pair:
    """PostgreSQL and Redis in a temporary directory."""

    def __init__(self):
        self.home = temporary_home()
        self.postgres = Postgres(self.home, durable=False)
        self.redis = Redis(self.home)

    def start(self):
        self.postgres.start()
        self.redis.start()

    def close(self):
        self.redis.stop()
        self.postgres.stop('immediate')
        self.postgres.remove()
        shutil.rmtree(self.home, ignore_errors=True)


def describe(pair):
    postgres = pair.postgres.process
    redis = pair.redis.process
    return {'ok': True, 'home': pair.home, 'postgres_socket': pair.postgres.socket_directory,
            'redis_url': pair.redis.url(), 'redis_socket': pair.redis.socket,
            'postgres_pid': postgres.pid if postgres else None, 'redis_pid': redis.pid if redis else None}


def hold():
    """Serves the harness: each line {"service": "postgres"|"redis", "do": "start"|"stop", "mode": …}."""
    pair = Pair()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the harness closes our input when it is done
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        pair.start()
        print(json.dumps(describe(pair)), flush=True)
        for line in sys.stdin:
            try:
                order = json.loads(line)
                service = {'postgres': pair.postgres, 'redis': pair.redis}[order['service']]
                if order['do'] == 'stop':
                    service.stop(order.get('mode', 'fast'))
                elif order['do'] == 'start':
                    service.start()
                else:
                    raise ServiceError(f'unknown order {order["do"]}')
                answer = describe(pair)
            except (ServiceError, KeyError, ValueError) as error:
                answer = {'ok': False, 'error': str(error)}
            print(json.dumps(answer), flush=True)
    except (ServiceError, OSError) as error:
        print(json.dumps({'ok': False, 'error': one_line(error)}), flush=True)
        return 1
    finally:
        pair.close()
    return 0


def with_services(command):
    pair = Pair()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        pair.start()
        pair.postgres.create_database('cathay')
        environment = dict(os.environ, TEST_DATABASE_URL=pair.postgres.url('cathay'), TEST_REDIS_URL=pair.redis.url(),
                           TEST_POSTGRES_SOCKET=pair.postgres.socket_directory)
        return subprocess.run(command, env=environment, check=False).returncode
    except (ServiceError, OSError) as error:
        print(one_line(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        pair.close()


if __name__ == '__main__':
    if sys.argv[1:2] == ['hold']:
        sys.exit(hold())
    if sys.argv[1:3] == ['with', '--'] and len(sys.argv) > 3:
        sys.exit(with_services(sys.argv[3:]))
    print(__doc__.strip(), file=sys.stderr)
    sys.exit(2)
