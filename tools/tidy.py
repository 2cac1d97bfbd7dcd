"""clang-tidy over the files that have changed since they were last found clean.

A file's state is the hash of its preprocessed text, so that a changed header counts; clean hashes are kept in
build-test/tidy.txt. The generated files are not looked at.
"""
import concurrent.futures
import hashlib
import json
import os
import shlex
import subprocess
import threading


def commands(project, build):
    with open(os.path.join(project, build, 'compile_commands.json')) as file:
        for entry in json.load(file):
            path = os.path.normpath(os.path.join(entry['directory'], entry['file']))
            yield os.path.relpath(path, project), entry


def state_of(entry, checks):
    line = shlex.split(entry['command'])
    while line and os.path.basename(line[0]) == 'ccache':
        line.pop(0)
    kept = []
    skip = False
    for word in line:
        if skip:
            skip = False
        elif word in ('-o', '-MF', '-MQ', '-MT'):
            skip = True
        elif word not in ('-c', '-MD', '-MMD'):
            kept.append(word)
    done = subprocess.run(kept + ['-E', '-P'], cwd=entry['directory'], capture_output=True, check=False)
    return hashlib.sha256(checks + done.stdout).hexdigest()


def newest_first(project, names):
    """Files that were changed last come first."""
    done = subprocess.run(['git', 'log', '-n', '200', '--format=', '--name-only'], cwd=project, capture_output=True, text=True,
                          check=False)
    order = {name: place for place, name in reversed(list(enumerate(done.stdout.split())))}
    return sorted(names, key=lambda name: (order.get(name, len(order)), name))


def check(project, build, names, log, jobs, word=''):
    """Yields (file, clean) for each of our files that the build compiles."""
    with open(os.path.join(project, '.clang-tidy'), 'rb') as file:
        checks = file.read()
    memory = os.path.join(project, build, 'tidy.txt')
    try:
        with open(memory) as file:
            known = set(file.read().split())
    except OSError:
        known = set()
    entries = {name: entry for name, entry in commands(project, build) if name in set(names) and word in name}
    lock = threading.Lock()

    def one(name):
        state = state_of(entries[name], checks)
        if state in known:
            return name, True
        done = subprocess.run(['clang-tidy', '-p', build, '--quiet', '--extra-arg=-Wno-unknown-warning-option', name],
                              cwd=project, capture_output=True, text=True, check=False)
        with lock:
            if done.returncode == 0:
                with open(memory, 'a') as file:
                    file.write(state + '\n')
            else:
                with open(log, 'a') as file:
                    file.write(done.stdout)
        return name, done.returncode == 0

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, newest_first(project, entries))
