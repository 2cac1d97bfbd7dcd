"""The runner of the tests: what it says of parts that were cut off, or could not begin."""
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine  # noqa: E402

sys.path.insert(0, os.path.join(machine.PROJECT, 'tools'))
import test_runner  # noqa: E402


class Quiet(test_runner.Run):
    def say(self, text):
        pass


class Runner(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix='a runner ')
        self.addCleanup(shutil.rmtree, self.home)
        self.patch(test_runner, 'LOGS', self.home)
        self.run_of_tests = Quiet(test_runner.Results())
        self.run_of_tests.part = 'api'

    def patch(self, module, name, value):
        self.addCleanup(setattr, module, name, getattr(module, name))
        setattr(module, name, value)

    def failures(self):
        return [f'{test} ({where})' for _, test, where in self.run_of_tests.results.failures]

    def log(self, name='api'):
        with open(self.run_of_tests.log_path(name)) as file:
            return file.read()

    def test_a_command_that_is_cut_says_so(self):
        code = self.run_of_tests.command(['sh', '-c', 'echo begun; sleep 600'], timeout_s=1)
        self.assertIs(code, test_runner.CUT)
        self.assertIn('stopped: its 1 s were over', self.log())

    def test_a_command_in_time_is_not_cut(self):
        self.assertEqual(self.run_of_tests.command(['sh', '-c', 'exit 3'], timeout_s=600), 3)
        self.assertNotIn('stopped', self.log())

    def test_files_of_a_part_that_is_cut_have_not_run_no_test(self):
        self.patch(test_runner, 'ensure_node_modules', lambda run: None)
        self.patch(test_runner.Run, 'command', lambda *_, **__: test_runner.CUT)
        whole = self.run_of_tests.node(['tests/api/a.test.js', 'tests/api/b.test.js'], {}, timeout_s=900)
        self.assertFalse(whole)
        self.assertEqual(len(self.failures()), 1)
        self.assertIn('stopped after its 900 s; not finished: tests/api/a.test.js tests/api/b.test.js', self.failures()[0])

    def test_operations_are_not_judged_when_the_api_tests_were_cut(self):
        self.patch(test_runner.Run, 'build', lambda *_: None)
        self.patch(test_runner.Run, 'environment', lambda *_, **__: {})
        for whole, word in ((False, ''), (True, 'orders')):
            self.patch(test_runner.Run, 'node', lambda *_, whole=whole, **__: whole)
            self.run_of_tests.word = word
            test_runner.part_api(self.run_of_tests)
            with self.assertRaisesRegex(test_runner.PartFailed, 'part api has not run to its end'):
                test_runner.part_contract(self.run_of_tests)

    def test_npm_is_asked_once_and_its_reason_is_told(self):
        project = os.path.join(self.home, 'project')
        os.makedirs(os.path.join(project, 'bin'))
        with open(os.path.join(project, 'bin', 'npm'), 'w') as file:
            file.write('#!/bin/sh\necho asked >>"$0.calls"\necho "npm ERR! code ENOTFOUND"\n'
                       'echo "npm ERR! network request to the registry failed"\nexit 1\n')
        os.chmod(os.path.join(project, 'bin', 'npm'), 0o755)
        open(os.path.join(project, 'package-lock.json'), 'w').close()
        self.patch(test_runner, 'PROJECT', project)
        path = os.environ['PATH']
        self.addCleanup(os.environ.__setitem__, 'PATH', path)
        os.environ['PATH'] = os.path.join(project, 'bin') + ':' + path
        command = self.run_of_tests.command
        self.run_of_tests.command = lambda line, **more: command(line, **dict(more, cwd=project))
        for _ in range(3):
            with self.assertRaisesRegex(test_runner.PartFailed, 'code ENOTFOUND; network request to the registry failed'):
                test_runner.ensure_node_modules(self.run_of_tests)
        with open(os.path.join(project, 'bin', 'npm.calls')) as file:
            self.assertEqual(file.read(), 'asked\n')

    def test_every_part_has_a_function_and_a_tree_that_exists(self):
        import build
        for name, (about, trees) in test_runner.PARTS.items():
            self.assertTrue(callable(getattr(test_runner, 'part_' + name)), name)
            self.assertTrue(about and set(trees) <= set(build.TREES), name)

    def test_options_of_the_sanitizers_hold_in_a_path_with_blanks(self):
        self.assertRegex(test_runner.SANITIZER_SETTINGS['LSAN_OPTIONS'], r'^suppressions="/[^"]+/leaks.txt":')


class PathWithBlanks(unittest.TestCase):
    """A checkout elsewhere: ./test as a whole, with a unit program and a file of scenarios."""

    def test_tests_run_in_a_path_with_blanks(self):
        home = tempfile.mkdtemp(prefix='a path with blanks ')
        self.addCleanup(shutil.rmtree, home)
        os.chmod(home, 0o755)
        project = os.path.join(home, "Amy's shop")
        machine.copy_checkout(project, everything=True)
        for line in (['init', '-q'], ['add', '-A']):
            subprocess.run(['git', *line], cwd=project, check=True)
        modules = os.path.join(machine.PROJECT, 'node_modules')
        if os.path.isdir(modules):  # else npm ci brings them
            os.symlink(modules, os.path.join(project, 'node_modules'))
        process = subprocess.Popen([os.path.join(project, 'test'), 'unit:json_view', 'api:system'], cwd='/', stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, start_new_session=True)
        alarm = threading.Timer(1800, test_runner.stop_group, [process])
        alarm.start()
        try:
            output, _ = process.communicate()
        finally:
            alarm.cancel()
        self.assertRegex(output, r'(?m)^  unit: [1-9]\d* passed, 0 failed', output)
        self.assertRegex(output, r'(?m)^  api: [1-9]\d* passed, 0 failed', output)
        self.assertEqual(process.returncode, 0, output)


if __name__ == '__main__':
    unittest.main()
