"""The build trees, made and brought up to date: release, test (ASan and UBSan), tsan, fuzz."""
import glob
import os
import re
import shutil
import signal
import subprocess

# Of the release tree only the program is needed: each further one would be optimized as a whole at its link.
TARGETS = {'release': ['cathay']}

TREES = {
    'release': ('build', ['-Db_lto=true', '-Doptimization=2']),
    'test': ('build-test', ['-Db_sanitize=address,undefined', '-Db_lundef=false', '-Doptimization=1', '-Ddebug=true']),
    'tsan': ('build-tsan', ['-Db_sanitize=thread', '-Db_lundef=false', '-Doptimization=1', '-Ddebug=true']),
    'fuzz': ('build-fuzz', ['-Dfuzz=true', '-Db_sanitize=address,undefined', '-Db_lundef=false', '-Doptimization=1',
                            '-Ddebug=true', '-Dwerror=false']),
}
# All paths of a build are relative: a second checkout takes from the cache what the first one compiled.
CCACHE = {'CCACHE_NOHASHDIR': '1'}
COMPILERS = {'fuzz': 'clang'}


class BuildFailed(Exception):
    """Carries one line; `errors` has the compiler's first words."""

    def __init__(self, text, errors):
        super().__init__(text)
        self.errors = errors


def first_errors(log, most=12):
    with open(log, errors='replace') as file:
        lines = [line.rstrip() for line in file
                 if re.search(r'error:|ERROR|FAILED:|undefined reference|No space|command not found', line)]
    return '\n'.join('    ' + line for line in lines[:most])


def build(project, kind, log, progress=None, jobs=None, run=None):
    """Brings a tree up to date. progress(done, all) is told as ninja goes. run(command, on_line) runs a command with its
    output in the log and returns its exit status; without it a plain subprocess does."""
    directory, options = TREES[kind]
    os.makedirs(os.path.dirname(log), exist_ok=True)
    open(log, 'wb').close()
    environment = dict(os.environ, NINJA_STATUS='[%f/%t] ', **CCACHE)
    if kind in COMPILERS:
        environment['CC'] = COMPILERS[kind]

    def plain(command, on_line):
        with open(log, 'ab') as file:
            process = subprocess.Popen(command, cwd=project, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, start_new_session=True)
            try:
                for text in process.stdout:
                    file.write(text)
                    on_line(text.decode(errors='replace'))
                return process.wait()
            except BaseException:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
                raise

    runner = run or plain

    def on_line(text):
        match = re.match(r'\[(\d+)/(\d+)\]', text)
        if match and progress:
            progress(int(match[1]), int(match[2]))

    def must(command):
        if runner(command, on_line) != 0:
            raise BuildFailed(f'{directory} does not build; the output is in {os.path.relpath(log, project)}', first_errors(log))

    if not os.path.exists(os.path.join(project, directory, 'build.ninja')):
        shutil.rmtree(os.path.join(project, directory), ignore_errors=True)
        setup = ['meson', 'setup', directory] + options
        must(setup if kind not in COMPILERS else ['env', 'CC=' + COMPILERS[kind]] + setup)
    targets = TARGETS.get(kind, [])
    if kind == 'fuzz':
        targets = sorted(os.path.basename(path)[:-2] for path in glob.glob(os.path.join(project, 'tests', 'fuzz', '*_fuzz.c')))
    must(['ninja', '-C', directory] + (['-j', str(jobs)] if jobs else []) + targets)
