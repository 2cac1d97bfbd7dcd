"""./run as a whole, in a checkout whose path has blanks: what it prints leads somewhere, what it keeps is its owner's alone."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine  # noqa: E402

OPEN_S = 600


def free_ports():
    """The first of two free ports that are ten apart: the shop's and the partners'."""
    for port in range(20000 + os.getpid() % 20000, 60000, 37):
        try:
            for one in (port, port + 10):
                with socket.socket() as probe:
                    probe.bind(('127.0.0.1', one))
            return port
        except OSError:
            continue
    raise AssertionError('no port is free')


class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.mkdtemp(prefix='a path with blanks ')
        os.chmod(cls.home, 0o755)
        cls.project = os.path.join(cls.home, "Amy's shop")
        machine.copy_checkout(cls.project)
        os.symlink(os.path.join(machine.PROJECT, 'build'), os.path.join(cls.project, 'build'))
        cls.port = free_ports()
        environment = {name: value for name, value in os.environ.items() if not re.match(r'CATHAY_|TEST_|DATABASE_URL|REDIS_URL', name)}
        cls.process = subprocess.Popen([os.path.join(cls.project, 'run'), '--port', str(cls.port)], cwd='/', env=environment, umask=0o022,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        alarm = threading.Timer(OPEN_S, cls.process.terminate)
        alarm.start()
        cls.said = ''
        for line in cls.process.stdout:
            cls.said += line
            if line.startswith('Ctrl-C'):
                break
        alarm.cancel()

    @classmethod
    def tearDownClass(cls):
        if cls.process.poll() is None:
            cls.process.send_signal(signal.SIGINT)
        rest, _ = cls.process.communicate(timeout=OPEN_S)
        if os.path.islink(os.path.join(cls.project, 'var/postgresql/pg')):  # where user postgres could not enter
            shutil.rmtree(os.path.realpath(os.path.join(cls.project, 'var/postgresql/pg')), ignore_errors=True)
        shutil.rmtree(cls.home)
        assert 'Stopped.' in rest and cls.process.returncode == 0, cls.said + rest

    def in_shell(self, script):
        """As typed in another terminal, in the project's directory."""
        done = subprocess.run(['bash', '-c', script], cwd=self.project, capture_output=True, text=True, check=False,
                              env={name: os.environ[name] for name in ('PATH', 'HOME', 'LANG') if name in os.environ})
        return done.returncode, done.stdout + done.stderr

    def test_it_opens_and_its_addresses_answer(self):
        self.assertIn('Cathay Shop is open.', self.said)
        addresses = re.findall(r'http://\S+', self.said)
        self.assertIn(f'http://127.0.0.1:{self.port}/', addresses)
        self.assertIn(f'http://127.0.0.1:{self.port + 10}/', addresses)
        for address in addresses:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=60) as answer:
                self.assertEqual((address, answer.status), (address, 200))
                self.assertIn('text/html', answer.headers['content-type'])

    def test_a_second_one_says_where_the_first_is(self):
        done = subprocess.run([os.path.join(self.project, 'run')], cwd='/', capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, rf'^Cathay Shop is already running here at http://127\.0\.0\.1:{self.port}; stop it with Ctrl-C there, or: kill \d+\n$')

    def test_all_that_it_keeps_is_its_owners_alone(self):
        places = [os.path.join(self.project, 'var', name) for name in os.listdir(os.path.join(self.project, 'var'))]
        self.assertIn('log', [os.path.basename(place) for place in places])
        self.assertEqual(machine.modes_for_others(os.path.join(self.project, 'var')), [])

    def test_the_shop_runs_as_a_role_that_is_no_superuser(self):
        code, said = self.in_shell('. var/environment && psql -XAtq "$DATABASE_URL" -c "SELECT current_user, current_setting(\'is_superuser\')"')
        self.assertEqual((code, said), (0, 'cathay_app|off\n'))

    def test_subcommands_work_with_the_settings_of_run(self):
        code, said = self.in_shell('. var/environment && build/cathay verify | tail -n 1')
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r'^\d+ invariants hold, 0 ')

    def test_no_progress_line_is_left_in_what_is_no_terminal(self):
        self.assertNotIn('\r', self.said)


if __name__ == '__main__':
    unittest.main()
