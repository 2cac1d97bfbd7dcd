#!/usr/bin/python3
"""Builds the shop and runs its tests, part by part; ./test is the way in.

usage: test_runner.py [NAME...]    (a part of tools/parts.txt, or part:word)

A part is a function below, part_NAME. Logs are in var/test. Everything that was started is stopped at the end, also
after Ctrl-C. tools/arguments.sh has read --help, --list and the names before, since a bare machine has no Python yet.
"""
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(PROJECT, 'var', 'test')
sys.path.insert(0, os.path.join(PROJECT, 'tools'))
sys.dont_write_bytecode = True  # on a full disk Python leaves half of it, and stumbles over that at each later start
import build  # noqa: E402
import services  # noqa: E402

JOBS = os.cpu_count() or 2
SANITIZER_SETTINGS = {
    'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=0:exitcode=99:detect_stack_use_after_return=0',
    'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1:exitcode=99',
    'TSAN_OPTIONS': 'halt_on_error=1:exitcode=99:second_deadlock_stack=1',
    # In quotes: a path may hold a blank, which ends an option, or a colon.
    'LSAN_OPTIONS': 'suppressions="' + os.path.join(PROJECT, 'tests', 'harness', 'leaks.txt') + '":print_suppressions=0',
}


CUT = 'cut at its time limit'  # in place of an exit code


class PartFailed(Exception):
    """The part could not run; carries why."""


class Results:
    """Counts single tests and remembers the failed ones."""

    def __init__(self):
        self.passed = 0
        self.failures = []  # (part, test, where)
        self.skipped = []

    def ok(self, count=1):
        self.passed += count

    def bad(self, part, test, where):
        self.failures.append((part, test, where))


class Run:
    """What a part gets: where to log, how to run commands, the servers that tests share."""

    def __init__(self, results):
        self.results = results
        self.part = ''
        self.word = ''
        self.npm_failure = None
        self.pair = None
        self.builder = None
        self.processes = set()

    def log_path(self, name=None):
        return os.path.join(LOGS, (name or self.part) + '.log')

    def say(self, text):
        print(text, flush=True)

    def ok(self, count=1):
        self.results.ok(count)

    def bad(self, test, where=None):
        where = where or os.path.relpath(self.log_path(), PROJECT)
        self.results.bad(self.part, test, where)
        self.say(f'    FAILED {test}   ({where})')

    def environment(self, shared_services=True, **more):
        environment = dict(os.environ, **SANITIZER_SETTINGS, **more)
        if shared_services:
            pair = self.shared_services()
            environment |= {'TEST_POSTGRES_SOCKET': pair.postgres.socket_directory,
                            'TEST_DATABASE_URL': pair.postgres.url('cathay'), 'TEST_REDIS_URL': pair.redis.url()}
        return environment

    def shared_services(self):
        if self.pair is None:
            self.pair = services.Pair()
            self.pair.start()
            self.pair.postgres.create_database('cathay')
        return self.pair

    def command(self, line, log=None, environment=None, timeout_s=600, on_line=None, cwd=PROJECT):
        """Runs a command with its output in the log; returns its exit code, or CUT when its time was over. on_line sees each
        line of output."""
        log = log or self.log_path()
        cut = threading.Event()

        def time_over():
            cut.set()
            stop_group(process)

        with open(log, 'ab') as file:
            process = subprocess.Popen(line, cwd=cwd, env=environment or dict(os.environ, **SANITIZER_SETTINGS, **build.CCACHE),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       start_new_session=True)
            self.processes.add(process)
            timer = threading.Timer(timeout_s, time_over)
            timer.start()
            try:
                for text in process.stdout:
                    file.write(text)
                    file.flush()
                    if on_line:
                        on_line(text.decode(errors='replace').rstrip('\n'))
                code = process.wait()
            finally:
                timer.cancel()
                if cut.is_set():
                    file.write(f'\nstopped: its {timeout_s} s were over\n'.encode())
                process.stdout.close()
                stop_group(process)
                self.processes.discard(process)
        return CUT if cut.is_set() else code

    def build(self, kind):
        """Waits until a tree is built; raises PartFailed when it is not."""
        if self.builder is None:
            self.builder = Builder(self, [kind])
        failure = self.builder.wait(kind)
        if failure:
            raise PartFailed(failure)

    def node(self, files, environment, timeout_s=900, together=1):
        """Runs test files under node's test runner, some together, and counts their tests. False: some files did not run."""
        if self.word:
            files = [name for name in files if self.word in name]
        if not files:
            return True
        ensure_node_modules(self)
        outcome = os.path.join(LOGS, self.part + '.jsonl')
        open(outcome, 'wb').close()
        environment = dict(environment, TEST_RESULTS=outcome)
        line = ['node', '--test', '--test-reporter=./tests/harness/reporter.mjs', '--test-reporter-destination=stdout',
                f'--test-concurrency={together}'] + files
        seen = set()

        def show(text):
            if text.startswith(('not ok', 'file ')):
                self.say('    ' + text)

        code = self.command(line, environment=environment, timeout_s=timeout_s, on_line=show)
        with open(outcome) as file:
            for text in file:
                test = json.loads(text)
                seen.add(test['file'])
                title = f'{test["file"]}: {test["name"]}'
                if test['state'] == 'passed':
                    self.ok()
                elif test['state'] == 'skipped':
                    self.results.skipped.append((self.part, title))
                else:
                    self.results.bad(self.part, title, os.path.relpath(self.log_path(), PROJECT))
        unseen = [name for name in files if name not in seen]
        if code is CUT:
            self.bad(f'stopped after its {timeout_s} s; not finished: {" ".join(unseen) or "the tests under way"}')
            return False
        for name in unseen:
            self.bad(f'{name}: ran no test')
        if code != 0 and not any(part == self.part for part, _, _ in self.results.failures):
            self.bad(f'node ended with {code}')
        return not unseen

    def close(self):
        if self.builder is not None:
            self.builder.stopping = True
        for process in list(self.processes):
            stop_group(process)
        if self.pair is not None:
            self.pair.close()
            self.pair = None


class Builder(threading.Thread):
    """Builds the trees that the selected parts need, one after the other, while earlier parts run."""

    def __init__(self, run, kinds):
        super().__init__(daemon=True)
        self.run_of_tests = run
        self.kinds = list(dict.fromkeys(kinds))
        self.done = {kind: threading.Event() for kind in self.kinds}
        self.failure = {}
        self.stopping = False
        self.start()

    def run(self):
        for kind in self.kinds:
            if not self.stopping:
                self.failure[kind] = self._build(kind)
            self.done[kind].set()

    def _build(self, kind):
        run = self.run_of_tests
        log = run.log_path('build-' + kind)
        began = time.monotonic()
        try:
            build.build(PROJECT, kind, log, jobs=JOBS,
                        run=lambda line, on_line: run.command(['nice', '-n', '5'] + line, log=log, timeout_s=1200, on_line=on_line))
        except build.BuildFailed as error:
            return f'{error}\n{error.errors}'
        except Exception as error:  # a thread's exception would be lost, and its waiters with it
            return f'{kind} did not build: {error!r}'
        run.say(f'  built {build.TREES[kind][0]} in {time.monotonic() - began:.0f} s')
        return None

    def wait(self, kind):
        """None, or why the tree is not there."""
        if kind not in self.done:
            self.done[kind] = threading.Event()
            self.failure[kind] = self._build(kind)
            self.done[kind].set()
        while not self.done[kind].wait(0.2):
            pass
        return self.failure.get(kind, f'{kind} was not built')


def stop_group(process):
    """Ends a command and what it started: politely, then not."""
    for number, wait_s in ((signal.SIGTERM, 5), (signal.SIGKILL, 0)):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            return
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            process.poll()
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.02)


def ensure_node_modules(run):
    """npm ci, when the lock file is not what was installed."""
    installed = os.path.join(PROJECT, 'node_modules', '.package-lock.json')
    lock = os.path.join(PROJECT, 'package-lock.json')
    if os.path.exists(installed) and os.path.getmtime(installed) >= os.path.getmtime(lock):
        return
    if run.npm_failure is None:
        log = run.log_path('npm')
        run.say(f'  installing npm packages; the log is {os.path.relpath(log, PROJECT)}')
        open(log, 'wb').close()
        reasons = []

        def line(text):
            match = re.match(r'npm (?:ERR!|error) (?!A complete log)(.+)', text)
            if match and len(reasons) < 3:
                reasons.append(match[1].strip())

        code = run.command(['npm', 'ci', '--no-audit', '--no-fund'], log=log, on_line=line)
        if code == 0:
            os.utime(installed)
            return
        # Asked once: a registry that is away lets npm wait for more than a minute.
        run.npm_failure = f'npm ci failed ({"; ".join(reasons) or code}); see {os.path.relpath(log, PROJECT)}'
    raise PartFailed(run.npm_failure)


def our_files(*suffixes):
    done = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=PROJECT, capture_output=True, text=True,
                          check=True)
    return sorted(name for name in done.stdout.split('\n')
                  if name.endswith(suffixes) and os.path.exists(os.path.join(PROJECT, name)))


# ------------------------------------------------------------------------------------------------------ the parts


def part_format(run):
    names = our_files('.c', '.h')
    if run.command(['clang-format', '--dry-run', '-Werror'] + names) == 0:
        run.ok(len(names))
        return
    for name in names:
        if run.command(['clang-format', '--dry-run', '-Werror', name]) == 0:
            run.ok()
        else:
            run.bad(f'{name} is not formatted; run clang-format -i {name}')


def part_layers(run):
    python_tests(run, 'tests/layers')
    count = 0

    def line(text):
        nonlocal count
        if text.startswith('ok '):
            count += 1
            run.ok()
        elif text.startswith('not ok '):
            run.bad(text[7:])

    code = run.command([sys.executable, 'tools/check_layers.py', '--report'], on_line=line)
    if count == 0 or code not in (0, 1):
        run.bad(f'tools/check_layers.py ended with {code}')


def part_generators(run):
    python_tests(run, 'tests/generators')


def python_tests(run, directory):
    files = sorted(glob.glob(os.path.join(PROJECT, directory, '*_test.py')) +
                   glob.glob(os.path.join(PROJECT, directory, 'test_*.py')))
    for path in files:
        name = os.path.relpath(path, PROJECT)
        if run.word and run.word not in name:
            continue
        tests = 0

        def line(text):
            nonlocal tests
            match = re.match(r'(\w+ \([\w.]+\)).*?(?:\.\.\. (ok|FAIL|ERROR|skipped.*))?$', text)
            if match and match[2] is None:
                return
            if match:
                tests += 1
                if match[2] == 'ok':
                    run.ok()
                elif match[2].startswith('skipped'):
                    run.results.skipped.append((run.part, f'{name}: {match[1]}'))
                else:
                    run.bad(f'{name}: {match[1]}')
            else:
                trailing = re.search(r'\.\.\. (ok|FAIL|ERROR)$', text)  # a test with a docstring ends on a line of its own
                if trailing:
                    tests += 1
                    if trailing[1] == 'ok':
                        run.ok()
                    else:
                        run.bad(f'{name}: {text}')

        code = run.command([sys.executable, '-m', 'unittest', '-v', path], on_line=line, environment=run.environment(False))
        if tests == 0 or (code != 0 and not any(part == run.part for part, _, _ in run.results.failures)):
            run.bad(f'{name} ended with {code} after {tests} tests')


def cmocka_tests(run, build_directory, names, environment):
    """Runs unit test programs; cmocka reports as TAP."""
    for name in names:
        if run.word and run.word not in name:
            continue
        tests = 0
        plan = None

        def line(text):
            nonlocal tests, plan
            match = re.match(r'(not ok|ok) \d+ - (.*)', text)
            if match:
                tests += 1
                if match[1] == 'ok' and '# SKIP' not in match[2]:
                    run.ok()
                elif match[1] == 'ok':
                    run.results.skipped.append((run.part, f'{name}: {match[2]}'))
                else:
                    run.bad(f'{name}: {match[2]}')
            match = re.match(r'1\.\.(\d+)', text)
            if match:
                plan = (plan or 0) + int(match[1])

        failed_before = len(run.results.failures)
        code = run.command([os.path.join(build_directory, name)], on_line=line, timeout_s=180,
                           environment=dict(environment, CMOCKA_MESSAGE_OUTPUT='TAP'))
        if tests == 0 or (plan or 0) > tests or (code != 0 and len(run.results.failures) == failed_before):
            run.bad(f'{name} ended with {code} after {tests} of {plan} tests')


def unit_programs(build_directory):
    """The programs of suite `unit`, as Meson knows them, with whether they are also of suite `threads`."""
    done = subprocess.run(['meson', 'introspect', '--tests', build_directory], cwd=PROJECT, capture_output=True, text=True,
                          check=True)
    found = []
    for test in json.loads(done.stdout):
        if any(suite.endswith('unit') for suite in test['suite']):
            found.append(os.path.relpath(test['cmd'][0], os.path.join(PROJECT, build_directory)))
    return found


def part_setup(run):
    run.build('test')  # whose objects the checkout elsewhere finds in the compiler's cache
    run.build('release')
    ensure_node_modules(run)
    python_tests(run, 'tests/setup')


def part_unit(run):
    run.build('test')
    cmocka_tests(run, 'build-test', unit_programs('build-test'), run.environment())


# Tests of code that shares memory between threads: run once more under ThreadSanitizer.
THREADED = ('http', 'server', 'worker', 'work', 'relay', 'live', 'cache', 'limiter', 'engine', 'breaker', 'client', 'log',
            'redis', 'partner', 'sale_door', 'lanes')


def part_threads(run):
    run.build('tsan')
    names = [name for name in unit_programs('build-tsan') if any(word in name for word in THREADED)]
    cmocka_tests(run, 'build-tsan', names, run.environment())


def part_sql(run):
    run.build('test')
    pair = run.shared_services()
    pair.postgres.psql('postgres', 'DROP DATABASE IF EXISTS sql_check')
    pair.postgres.create_database('sql_check')
    environment = run.environment() | {'DATABASE_URL': pair.postgres.url('sql_check'), 'REDIS_URL': pair.redis.url()}
    if run.command(['build-test/cathay', 'migrate'], environment=environment) != 0:
        raise PartFailed('cathay migrate failed')
    wrong = set()
    count = 0

    def line(text):
        nonlocal count
        match = re.match(r'(\S+\.sql:\d+): \w+: (?!note: )', text)
        if match:
            wrong.add(match[1])
            run.bad(text)
        match = re.match(r'sql-check: (\d+) queries', text)
        if match:
            count = int(match[1])

    code = run.command(['build-test/cathay', 'sql-check'], environment=environment, on_line=line)
    run.ok(max(0, count - len(wrong)))
    if code != (1 if wrong else 0) or count == 0:
        run.bad(f'cathay sql-check ended with {code} after {count} queries')


def part_plans(run):
    run.build('test')
    python_tests(run, 'tests/plans')


def node_files(*patterns):
    return sorted(os.path.relpath(path, PROJECT) for pattern in patterns for path in glob.glob(os.path.join(PROJECT, pattern)))


# Scenarios wait more than they compute: for tasks, webhooks, parcels.
FILES_TOGETHER = 2 * JOBS


def part_harness(run):
    run.build('test')
    run.node(node_files('tests/harness/*.test.js'), run.environment())


def part_http(run):
    run.build('test')
    run.node(node_files('tests/http/*.test.js'), run.environment(TEST_PROGRAM='build-test/cathay'))


def coverage_path():
    """The operations that the API tests called; with .whole at its end once all files of part api ran."""
    return os.path.join(LOGS, 'operations.txt')


def part_api(run):
    run.build('test')
    open(coverage_path(), 'wb').close()
    if os.path.exists(coverage_path() + '.whole'):
        os.unlink(coverage_path() + '.whole')
    whole = run.node(node_files('tests/api/*.test.js'),
                     run.environment(TEST_PROGRAM='build-test/cathay', TEST_COVERAGE=coverage_path()), together=FILES_TOGETHER)
    if whole and not run.word:
        open(coverage_path() + '.whole', 'wb').close()


def part_bounds(run):
    run.build('test')
    run.node(node_files('tests/bounds/*.test.js'), run.environment(TEST_PROGRAM='build-test/cathay'))


def part_contract(run):
    import yaml
    with open(os.path.join(PROJECT, 'api', 'openapi.yaml')) as file:
        contract = yaml.safe_load(file)
    if not os.path.exists(coverage_path() + '.whole'):
        raise PartFailed('not judged: part api has not run to its end')
    with open(coverage_path()) as file:
        touched = {line.split()[0] for line in file if line.strip()}
    for path, item in contract['paths'].items():
        for method, operation in item.items():
            if method not in ('get', 'put', 'post', 'delete', 'patch', 'head', 'options'):
                continue
            if operation['operationId'] in touched:
                run.ok()
            else:
                run.bad(f'no API test calls {operation["operationId"]} ({method.upper()} {path})', 'tests/api')


def part_race(run):
    run.build('release')
    run.node(node_files('tests/race/*.test.js'), run.environment(TEST_PROGRAM='build/cathay'))


def part_fault(run):
    run.build('release')
    run.node(node_files('tests/fault/*.test.js'), run.environment(TEST_PROGRAM='build/cathay'), together=JOBS)


def part_verify(run):
    run.build('release')
    run.node(node_files('tests/verify/*.test.js'), run.environment(TEST_PROGRAM='build/cathay'), together=FILES_TOGETHER)


def part_tour(run):
    run.build('release')
    run.node(node_files('tests/tour/*.test.js'), run.environment(TEST_PROGRAM='build/cathay'))


def part_partners(run):
    run.build('test')
    run.node(node_files('tests/partners/*.test.js'), run.environment(TEST_PROGRAM='build-test/cathay'))


def part_browser(run):
    run.build('release')
    run.node(node_files('tests/browser/*.test.js'), run.environment(TEST_PROGRAM='build/cathay'))


FUZZ_SECONDS = 5


def part_fuzz(run):
    if not glob.glob(os.path.join(PROJECT, 'tests', 'fuzz', '*_fuzz.c')):
        return
    run.build('fuzz')
    directory = os.path.join(PROJECT, build.TREES['fuzz'][0])
    for path in sorted(glob.glob(os.path.join(PROJECT, 'tests', 'fuzz', '*_fuzz.c'))):
        name = os.path.basename(path)[:-2]
        if run.word and run.word not in name:
            continue
        work = os.path.join(LOGS, 'fuzz', name)
        os.makedirs(work, exist_ok=True)
        line = [os.path.join(directory, name), f'-max_total_time={FUZZ_SECONDS}', '-timeout=10', '-rss_limit_mb=2048',
                f'-artifact_prefix={work}/', work]
        corpus = os.path.join(PROJECT, 'tests', 'fuzz', 'corpus', name)
        if os.path.isdir(corpus):
            line.append(corpus)
        if run.command(line, timeout_s=FUZZ_SECONDS + 60) == 0:
            run.ok()
        else:
            run.bad(f'{name}; the input is in {os.path.relpath(work, PROJECT)}')


def part_tidy(run):
    run.build('test')
    import tidy
    names = [name for name in our_files('.c') if name.startswith('src/')]
    for name, clean in tidy.check(PROJECT, 'build-test', names, run.log_path(), JOBS, run.word):
        if clean:
            run.ok()
        else:
            run.bad(f'{name}: clang-tidy complains')


def read_parts():
    """tools/parts.txt: name -> (what it checks, the trees that it needs). Trees are built in this order while earlier parts run."""
    with open(os.path.join(PROJECT, 'tools', 'parts.txt')) as file:
        rows = [line.split(None, 2) for line in file if line.strip() and not line.startswith('#')]
    return {name: (about.strip(), [] if trees == '-' else trees.split(',')) for name, trees, about in rows}


PARTS = read_parts()


def adopt_orphans():
    """Processes whose parents die become ours, so that nothing outlives this script."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def children():
    try:
        with open(f'/proc/self/task/{os.getpid()}/children') as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def stop_orphans():
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 5
        for pid in children():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        while children() and time.monotonic() < deadline:
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            time.sleep(0.02)


def run_part(run, name, word):
    run.part, run.word = name, word
    open(run.log_path(), 'wb').close()
    before = (run.results.passed, len(run.results.failures))
    began = time.monotonic()
    run.say(f'{name}: {PARTS[name][0]}')
    try:
        globals()['part_' + name](run)
    except (PartFailed, services.ServiceError, OSError, subprocess.CalledProcessError) as error:
        run.bad(str(error))
    passed = run.results.passed - before[0]
    failed = len(run.results.failures) - before[1]
    run.say(f'  {name}: {passed} passed, {failed} failed, {time.monotonic() - began:.0f} s')


def main():
    parts = [(name, word) for name, _, word in (argument.partition(':') for argument in sys.argv[1:] or PARTS)]
    os.umask(0o077)
    services.own_place(LOGS)
    adopt_orphans()
    results = Results()
    run = Run(results)
    interrupted = False

    def stop(number, _frame):
        raise KeyboardInterrupt

    # Started behind an & of a script, Ctrl-C is ignored here and in all that tests start, which would make some of them fail.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    try:
        run.builder = Builder(run, [tree for name, _ in parts for tree in PARTS[name][1]])
        for name, word in parts:
            run_part(run, name, word)
    except KeyboardInterrupt:
        interrupted = True
        print('\ninterrupted; stopping what was started', flush=True)
        results.bad(run.part, 'interrupted', '')
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        run.close()
        stop_orphans()
    if results.skipped:
        print(f'\n{len(results.skipped)} skipped:')
        for part, test in results.skipped:
            print(f'  {part}: {test}')
    if results.failures:
        print('\nFailed:')
        for part, test, where in results.failures:
            print(f'  {part}: {test}   ({where})')
    print(f'{results.passed} passed, {len(results.failures)} failed', flush=True)
    if interrupted:
        return 130
    return 1 if results.failures or results.passed == 0 else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except (services.ServiceError, OSError) as error:
        print(services.one_line(error), file=sys.stderr)
        print('0 passed, 1 failed')
        sys.exit(1)
