"""Faults of the place where ./run and ./test work: one line each, never a traceback."""
import os
import pwd
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine  # noqa: E402

sys.path.insert(0, os.path.join(machine.PROJECT, 'tools'))
import services  # noqa: E402

ROOT = os.geteuid() == 0
BOTH = ('run.py', 'test_runner.py')


def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))


class Place(unittest.TestCase):
    def setUp(self):
        self.addCleanup(os.umask, os.umask(0o022))  # user nobody reads the copy
        self.home = tempfile.mkdtemp(prefix='a place ')
        os.chmod(self.home, 0o755)
        self.addCleanup(shutil.rmtree, self.home)
        self.project = os.path.join(self.home, 'shop')
        self.var = os.path.join(self.project, 'var')
        machine.copy_checkout(self.project)

    def line_of(self, tool, *arguments, nobody=False, prepare=None):
        """What a person reads who starts it: one line, and exit 1."""
        command = ['/usr/bin/python3', os.path.join(self.project, 'tools', tool), *arguments]
        if nobody and ROOT:
            command = ['setpriv', '--reuid', 'nobody', '--clear-groups', '--'] + command
        done = subprocess.run(command, cwd='/', capture_output=True, text=True, check=False, timeout=machine.WAIT_S, preexec_fn=prepare)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
        return done.stderr

    def test_a_checkout_that_cannot_be_written(self):
        os.chmod(self.project, 0o555)
        for tool in BOTH:
            self.assertIn('Nothing can be written', self.line_of(tool, nobody=True))
        os.chmod(self.project, 0o755)

    def mounted(self, mount, expected):
        """With var/ mounted so, in a namespace of mounts of our own."""
        os.mkdir(self.var)
        namespace = ['unshare', '-m'] if ROOT else ['unshare', '-rm']
        if subprocess.run(namespace + ['mount', '-t', 'tmpfs', 'none', self.var], capture_output=True, check=False).returncode != 0:
            self.skipTest('this machine lets nobody mount')
        for tool in BOTH:
            done = subprocess.run(namespace + ['sh', '-c', f'{mount} && exec /usr/bin/python3 "$1/../tools/{tool}"', 'sh', self.var],
                                  capture_output=True, text=True, check=False, timeout=machine.WAIT_S)
            self.assertEqual((done.returncode, done.stderr.count('\n')), (1, 1), done.stderr)
            self.assertRegex(done.stderr, expected)

    def test_var_on_a_disk_that_is_read_only(self):
        self.mounted('mount -t tmpfs -o ro none "$1"', 'Nothing can be written in .*/var.*: Read-only file system')

    def test_var_on_a_disk_that_is_full(self):
        self.mounted('mount -t tmpfs -o size=16k none "$1"', 'Nothing can be written in .*/var.*: No space left on device')

    def test_var_of_another_user(self):
        if ROOT:
            os.mkdir(self.var)
            os.chown(self.var, pwd.getpwnam('nobody').pw_uid, -1)
            owner = 'nobody'
        else:
            os.symlink('/usr', self.var)
            owner = 'root'
        for tool in BOTH:
            self.assertRegex(self.line_of(tool), rf'var belongs to {owner}, and you are \S+; run this as that user, or remove it: rm -r ')

    def test_a_full_disk_before_anything_is_built(self):
        for tool in BOTH:
            self.assertRegex(self.line_of(tool, prepare=small_files), r'Nothing can be written in .*/var.*: File too large')

    def test_a_full_disk_while_postgresql_makes_its_place(self):
        full = ("import resource, sys; sys.path.insert(0, sys.argv[1]); import services\n"
                "resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))\n"
                "pair = services.Pair()\n"
                "try:\n    pair.start()\nexcept services.ServiceError as error:\n    print(error)\nfinally:\n    pair.close()\n")
        done = subprocess.run([sys.executable, '-c', full, os.path.join(machine.PROJECT, 'tools')], capture_output=True, text=True, check=False)
        self.assertRegex(done.stdout, r'^PostgreSQL could not make its data directory \(.*(File too large|could not (write|extend))')
        self.assertEqual(done.stderr, '')

    def test_the_cause_is_told_not_what_followed(self):
        log = os.path.join(self.home, 'log')
        with open(log, 'w') as file:
            file.write('LOG:  could not open usermap file of an earlier start\n')
            began = file.tell()
            file.write('running bootstrap script ... 2026 UTC [71] FATAL:  could not extend file "base/1/1255": No space left on device\n'
                       'HINT:  Check free disk space.\nPANIC:  cannot abort transaction 1, it was already committed\nchild process was terminated\n')
        self.assertEqual(services.log_tail(log, began), 'could not extend file "base/1/1255": No space left on device')
        self.assertEqual(services.telling(['{"level":"info"}', 'FATAL:  role "shop" does not exist', 'bye']), 'role "shop" does not exist')

    def test_a_port_that_is_taken_and_one_that_needs_rights_are_told_apart(self):
        with socket.socket() as other:
            other.bind(('127.0.0.1', 0))
            other.listen()
            port = other.getsockname()[1]
            self.assertIn(f'Port {port} is taken by another program', self.line_of('run.py', '--port', str(port)))
        with open('/proc/sys/net/ipv4/ip_unprivileged_port_start') as file:
            first = int(file.read())
        if first > 1:
            shutil.rmtree(self.var)
            os.makedirs(self.var)
            if ROOT:
                os.chown(self.var, pwd.getpwnam('nobody').pw_uid, -1)
            self.assertIn('Port 1 needs rights', self.line_of('run.py', '--port', '1', nobody=True))


class Var(unittest.TestCase):
    def test_nothing_in_var_is_for_others(self):
        home = tempfile.mkdtemp(prefix='a place ')
        self.addCleanup(shutil.rmtree, home)
        machine.copy_checkout(os.path.join(home, 'shop'))
        logs = os.path.join(home, 'shop', 'var', 'log')
        os.makedirs(logs, mode=0o755)
        for name in ('postgresql.log', 'cathay.log.old'):  # of an earlier release
            with open(os.path.join(logs, name), 'w') as file:
                file.write('what an earlier release said\n')
            os.chmod(os.path.join(logs, name), 0o644)
        code = ('import sys; sys.path.insert(0, sys.argv[1]); sys.argv[1:] = []; import os, run\n'
                'os.umask(0o077); run.services.own_place(run.LOGS); run.close_modes(); run.lock(); run.make_secrets()\n')
        subprocess.run([sys.executable, '-c', code, os.path.join(home, 'shop', 'tools')], check=True, umask=0o022)
        self.assertEqual(machine.modes_for_others(os.path.join(home, 'shop', 'var')), [])

    def test_logs_that_are_too_long_are_cut_while_their_writers_go_on(self):
        home = tempfile.mkdtemp(prefix='a place ')
        self.addCleanup(shutil.rmtree, home)
        machine.copy_checkout(os.path.join(home, 'shop'))
        logs = os.path.join(home, 'shop', 'var', 'log')
        os.makedirs(logs)
        path = os.path.join(logs, 'redis.log')
        writer = open(path, 'ab', buffering=0)
        self.addCleanup(writer.close)
        writer.write(b'early\n' + b'x' * 5000 + b'\nlate\n')
        code = 'import sys; sys.path.insert(0, sys.argv[1]); sys.argv[1:] = []; import run; run.trim_logs(); run.trim_logs()'
        subprocess.run([sys.executable, '-c', code, os.path.join(home, 'shop', 'tools')], check=True, env=dict(os.environ, RUN_LOG_BYTES_MAX='1000'))
        writer.write(b'after\n')
        with open(path) as file:
            self.assertEqual(file.read(), 'after\n')
        with open(path + '.old') as file:
            kept = file.read()
        self.assertTrue(kept.endswith('late\n') and len(kept) == 1000)


class Terminal(unittest.TestCase):
    def test_the_line_of_progress_is_cleared_before_the_next_is_written(self):
        code = ('import sys; sys.path.insert(0, sys.argv[1]); sys.argv[1:] = []; import run\n'
                'def built(project, kind, log, progress):\n    progress(1, 1200); progress(1200, 1200)\n'
                'def broken(project, kind, log, progress):\n    progress(7, 1200); raise run.build.BuildFailed("it does not build", "why")\n'
                'for run.build.build in (built, broken):\n    try:\n        run.Shop.build(None)\n'
                '    except run.Stop as error:\n        print(error)\n')
        leader, follower = os.openpty()
        process = subprocess.Popen([sys.executable, '-c', code, os.path.join(machine.PROJECT, 'tools')], stdout=follower, stderr=follower)
        os.close(follower)
        said = b''
        try:
            while chunk := os.read(leader, 4096):
                said += chunk
        except OSError:
            pass  # what a terminal says when its last writer has gone
        os.close(leader)
        self.assertEqual(process.wait(), 0, said)
        screen = [line.rsplit('\r\x1b[K', 1)[-1] for line in said.decode().replace('\r\n', '\n').split('\n')]
        self.assertRegex(screen[0], r'^Built in \d+ s\.$')
        self.assertEqual([line for line in screen if 'Building' in line], [])


class Servers(unittest.TestCase):
    def test_the_log_of_postgresql_holds_nobodys_data(self):
        home = services.temporary_home()
        self.addCleanup(shutil.rmtree, home, True)
        postgres = services.Postgres(home, durable=True)
        self.addCleanup(postgres.remove)
        postgres.start()
        postgres.psql('postgres', "SET log_min_duration_statement = 0; PREPARE p(text) AS SELECT $1; EXECUTE p('word-of-a-parameter')")
        with open(postgres.log) as file:
            self.assertNotIn('DETAIL', file.read())
        for name, value in (('log_parameter_max_length', '0'), ('log_parameter_max_length_on_error', '0'), ('log_error_verbosity', 'terse')):
            self.assertEqual(postgres.psql('postgres', f'SHOW {name}'), value)


if __name__ == '__main__':
    unittest.main()
