"""./run and ./test on a bare machine: what they read before they install, and how they install."""
import os
import shutil
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import Machine, interrupt, wait_for  # noqa: E402

FETCHES = r'''
echo "Need to get 213 MB of archives."
echo "After this operation, 812 MB of additional disk space will be used."
echo "dlstatus:1:40.5:Retrieving file 3 of 9" >&3
'''
UNPACKS = r'''
echo "pmstatus:gcc:30.0:Unpacking gcc" >&3
echo "pmstatus:gcc:100.0:Installed gcc" >&3
'''
POLICY = 'usr/sbin/policy-rc.d'


class OnMachine(unittest.TestCase):
    def machine(self, **options):
        machine = Machine(**options)
        self.addCleanup(machine.close)
        return machine


class Arguments(OnMachine):
    def asked(self, *line):
        machine = self.machine()
        code, output = machine.run([os.path.join(machine.project, line[0]), *line[1:]])
        self.assertNotIn('apt-get', machine.called(), 'something was installed')
        return code, output

    def test_help_of_test_installs_nothing_and_lists_the_parts(self):
        for flag in ('--help', '-h'):
            code, output = self.asked('test', flag)
            self.assertEqual(code, 0)
            for part in ('unit', 'api', 'tidy'):
                self.assertRegex(output, rf'(?m)^  {part} +\w')

    def test_list_installs_nothing(self):
        code, output = self.asked('test', '--list')
        self.assertEqual(code, 0)
        self.assertRegex(output, r'(?m)^race +buyers')

    def test_a_mistyped_part_installs_nothing_and_names_the_parts(self):
        for wrong in ('aip', 'aip:orders', '--lsit'):
            code, output = self.asked('test', 'unit', wrong)
            self.assertEqual(code, 2)
            self.assertIn(wrong.partition(':')[0], output)

    def test_run_reads_its_arguments_before_it_installs(self):
        for line in (['--help'], ['-h'], ['--port', '8081', '--help']):
            code, output = self.asked('run', *line)
            self.assertEqual(code, 0)
            self.assertIn('--fresh', output)
        for line in (['--port', 'many'], ['--port'], ['--port', '0'], ['--port=70000'], ['--fersh'], ['fresh']):
            code, output = self.asked('run', *line)
            self.assertEqual((code, output.count('\n')), (2, 1), output)


class Installing(OnMachine):
    def test_size_progress_and_log_are_told(self):
        machine = self.machine()
        machine.apt(FETCHES + UNPACKS)
        code, output = machine.run(machine.install())
        self.assertEqual(code, 0, output)
        self.assertIn('var/log/packages.log', output)
        self.assertIn('Fetching (213 MB to fetch, 812 MB on disk): 40 %', output)
        self.assertIn('Installing (213 MB to fetch, 812 MB on disk): 100 %', output)
        self.assertIn('Need to get 213 MB', machine.log())
        self.assertIn('--no-install-recommends', machine.called())

    def test_scripts_of_packages_find_their_output_and_signals_as_usual(self):
        machine = self.machine()
        machine.apt('{ trap -p PIPE; echo "looked"; } >"$HOME_OF_TEST/seen"\n'
                    '[ ! -p /dev/stdout ] || echo "a pipe" >>"$HOME_OF_TEST/seen"')
        code, output = machine.run(machine.install())
        self.assertEqual(code, 0, output)
        with open(machine.path('seen')) as file:
            self.assertEqual(file.read(), 'looked\n')

    def test_lists_are_fetched_when_the_first_attempt_fails(self):
        machine = self.machine()
        machine.apt('case " $* " in *" update "*) touch "$HOME_OF_TEST/updated" ;; *) [ -e "$HOME_OF_TEST/updated" ] ;; esac')
        code, output = machine.run(machine.install())
        self.assertEqual(code, 0, output)
        self.assertIn('Fetching the lists', output)

    def test_services_do_not_start_meanwhile_and_the_policy_goes(self):
        machine = self.machine()
        machine.apt('"$PACKAGES_PREFIX/usr/sbin/policy-rc.d"; echo "says $?" >"$HOME_OF_TEST/policy"')
        code, output = machine.run(machine.install())
        self.assertEqual(code, 0, output)
        with open(machine.path('policy')) as file:
            self.assertIn('says 101', file.read())
        self.assertFalse(os.path.exists(os.path.join(machine.root, POLICY)))

    def test_a_policy_that_a_killed_run_left_goes_too_and_its_services_stay_off(self):
        machine = self.machine()
        policy = os.path.join(machine.root, POLICY)
        machine.apt('cat "$PACKAGES_PREFIX/usr/sbin/policy-rc.d" >"$HOME_OF_TEST/policy"')
        machine.run(machine.install())
        shutil.copy(machine.path('policy'), policy)
        cluster = os.path.join(machine.root, 'etc/postgresql/15/main')
        os.makedirs(cluster)  # brought by the run that was killed
        with open(os.path.join(cluster, 'start.conf'), 'w') as file:
            file.write('auto\n')
        code, output = machine.run(machine.install())
        self.assertEqual(code, 0, output)
        self.assertFalse(os.path.exists(policy))
        with open(os.path.join(cluster, 'start.conf')) as file:
            self.assertEqual(file.read(), 'disabled\n')

    def test_failure_tells_the_reason_and_a_command_that_is_whole(self):
        machine = self.machine()
        machine.apt('echo "E: Unable to fetch some archives"; exit 100')
        code, output = machine.run(machine.install())
        self.assertEqual(code, 1)
        self.assertIn('E: Unable to fetch some archives', output)
        self.assertRegex(output, r'apt-get update && apt-get install --no-install-recommends git gcc ')

    def test_without_root_and_sudo_the_command_is_printed_whole(self):
        machine = self.machine(user=1000, sudo=False)
        code, output = machine.run(machine.install())
        self.assertEqual(code, 1)
        self.assertRegex(output, r'As root: apt-get update && apt-get install --no-install-recommends git gcc ')
        self.assertNotIn('apt-get', machine.called())

    def test_a_user_with_sudo_installs(self):
        machine = self.machine(user=1000)
        machine.apt(FETCHES + UNPACKS)
        code, output = machine.run(machine.install())
        self.assertEqual(code, 0, output)
        self.assertIn('sudo bash', machine.called())

    def test_what_was_left_half_done_is_repaired_first(self):
        machine = self.machine()
        with open(machine.path('audit'), 'w') as file:
            file.write('The following packages are only half configured: gcc\n')
        code, output = machine.run(machine.install())
        self.assertEqual(code, 0, output)
        calls = machine.called()
        repairs = [calls.index(call) for call in ('dpkg --configure -a', 'apt-get install -y -q --no-install-recommends', '--fix-broken', ' git gcc ')]
        self.assertEqual(repairs, sorted(repairs))


class Interrupted(OnMachine):
    def begin(self, apt):
        machine = self.machine()
        machine.apt(apt)
        process = machine.begin(machine.install())
        wait_for(lambda: os.path.exists(machine.path('begun')), 'apt to begin')
        return machine, process

    def after(self, machine, process):
        output, _ = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, output)
        self.assertIn('The next run goes on from there', output)
        self.assertNotIn('could not', output)
        self.assertFalse(os.path.exists(os.path.join(machine.root, POLICY)), 'services stay forbidden')
        return output

    def test_ctrl_c_while_fetching_stops_apt(self):
        machine, process = self.begin(FETCHES + "trap 'echo ended >\"$HOME_OF_TEST/ended\"; exit 1' TERM\ntouch \"$HOME_OF_TEST/begun\"\n"
                                      'while :; do sleep 0.1; done')
        interrupt(process)
        self.after(machine, process)
        self.assertTrue(os.path.exists(machine.path('ended')), 'apt was left running')

    def test_ctrl_c_or_a_closed_terminal_while_unpacking_waits_for_apt(self):
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            machine, process = self.begin(FETCHES + UNPACKS + 'sleep 0.5\ntouch "$HOME_OF_TEST/begun"\n'
                                          'while [ ! -e "$HOME_OF_TEST/go" ]; do sleep 0.1; done\ntouch "$HOME_OF_TEST/whole"')
            interrupt(process, number)
            interrupt(process, number)  # an impatient person
            with self.assertRaises(Exception):
                process.wait(0.5)
            with open(machine.path('go'), 'w'):
                pass
            self.after(machine, process)
            self.assertTrue(os.path.exists(machine.path('whole')), 'apt was cut off')


if __name__ == '__main__':
    unittest.main()
