"""A machine for the tests of ./run and ./test: a copy of the checkout, and a PATH whose apt, dpkg, sudo and id are scripts."""
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = ('bash', 'sh', 'env', 'awk', 'sed', 'grep', 'tr', 'wc', 'head', 'tail', 'paste', 'cat', 'mkdir', 'rm', 'mktemp', 'chmod', 'sleep', 'setsid', 'dirname', 'touch')
WAIT_S = 120  # for an outcome that comes within a second on an idle machine


def copy_checkout(place, everything=False):
    """The files that git would clone, at `place`; without `everything`, those that are needed before anything is built."""
    listed = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=PROJECT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        source = os.path.join(PROJECT, name)
        if os.path.exists(source) and (everything or name in ('run', 'test') or name.startswith('tools/')):
            target = os.path.join(place, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(source, target)


class Machine:
    def __init__(self, user=0, sudo=True):
        self.home = tempfile.mkdtemp(prefix='a machine ')
        os.chmod(self.home, 0o755)
        self.project = os.path.join(self.home, 'shop')
        self.root = os.path.join(self.home, 'root')
        self.calls = os.path.join(self.home, 'calls')
        self.bin = os.path.join(self.home, 'bin')
        for place in (self.bin, os.path.join(self.root, 'usr/sbin')):
            os.makedirs(place)
        copy_checkout(self.project)
        for name in TOOLS:
            os.symlink(shutil.which(name), os.path.join(self.bin, name))
        self.program('id', f'case "$*" in -u) echo {user} ;; *) echo somebody ;; esac')
        self.program('dpkg-query', 'exit 1')
        self.program('dpkg', '[ "$1" != --audit ] || cat "$HOME_OF_TEST/audit" 2>/dev/null; true')
        self.apt('exit 0')
        if sudo:
            self.program('sudo', '[ "$1" = -v ] || exec "$@"')

    def program(self, name, text):
        path = os.path.join(self.bin, name)
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, 'w') as file:
            file.write(f'#!{shutil.which("bash")}\necho "{name} $*" >>"$HOME_OF_TEST/calls"\n{text}\n')
        os.chmod(path, 0o755)

    def apt(self, text):
        self.program('apt-get', text)

    @property
    def environment(self):
        return {'PATH': self.bin, 'HOME_OF_TEST': self.home, 'PACKAGES_PREFIX': self.root, 'HOME': self.home, 'LANG': 'C.UTF-8'}

    def install(self):
        """packages_install run, as ./run calls it."""
        return [shutil.which('bash'), '-c', 'set -u; PROJECT=$1; . "$PROJECT/tools/packages.sh"; packages_install run', 'sh', self.project]

    def begin(self, line):
        return subprocess.Popen(line, cwd=self.home, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def run(self, line):
        process = self.begin(line)
        output, _ = process.communicate(timeout=WAIT_S)
        return process.returncode, output

    def called(self):
        try:
            with open(self.calls) as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def log(self):
        with open(os.path.join(self.project, 'var/log/packages.log')) as file:
            return file.read()

    def path(self, name):
        return os.path.join(self.home, name)

    def close(self):
        shutil.rmtree(self.home)


def interrupt(process, number=signal.SIGINT):
    """What a terminal does at Ctrl-C, or when it is closed: a signal to the whole group in the foreground."""
    os.killpg(process.pid, number)


def wait_for(condition, what):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f'waited in vain for {what}')
        time.sleep(0.02)


def modes_for_others(place):
    """The paths below a place that others than the owner may read."""
    found = []
    for directory, directories, files in os.walk(place):
        for name in directories + files:
            path = os.path.join(directory, name)
            if not os.path.islink(path) and stat.S_IMODE(os.lstat(path).st_mode) & 0o066:
                found.append(path)
    return found
