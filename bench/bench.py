#!/usr/bin/python3
"""What bench/run runs: one subject after the other on one cluster, then one table of all that was found beside the aims. Contenders take turns, each run
begins behind a checkpoint, and what is told is the median over the rounds, so that a neighbour on the machine disturbs all of them alike.

A subject is a file of its own and one line in SUBJECTS. It has a docstring of one sentence, `measure(stand)`, which returns what it found (for --json),
and `rows(found)`, which makes `Row`s of it."""
import argparse
import importlib
import json
import os
import re
import signal
import statistics
import sys
import time

from stand import HOME, Row, Stand, build, say, services

SUBJECTS = [  # file, seconds that it may take on a quiet machine by default
    ('orders', 160),
    ('curve', 90),
    ('pressure', 150),
    ('confirm', 125),
    ('cache', 68),
    ('limits', 32),
    ('memory', 13),
    ('sale', 88),
    ('sale_faults', 84),
    ('growth', 88),
]
TOTAL_S = 15 * 60
COLUMNS = ['subject', 'what', 'per second', 'p50 / p99 ms', 'CPU µs: server', 'PostgreSQL', 'load', 'WAL bytes', 'syncs', 'found', 'aim', '']


def parse():
    names = [name for name, _ in SUBJECTS]
    parser = argparse.ArgumentParser(prog='bench/run')
    parser.add_argument('--quick', action='store_true', help='one short round of everything')
    parser.add_argument('--json', metavar='FILE', help='all that was measured, for programs')
    parser.add_argument('--only', nargs='+', choices=names, metavar='SUBJECT', help='some of: ' + ' '.join(names))
    return parser.parse_args()


def number(value, form):
    return '' if value is None else format(value, form)


def cells(subject, row):
    p50_p99 = '' if row.p50_ms is None else f'{row.p50_ms:.1f} / {row.p99_ms:.1f}'
    verdict = '' if row.met is None else 'met' if row.met else '**missed**'
    return [subject, row.what, number(row.per_s, ',.0f'), p50_p99, number(row.server_us, '.1f'), number(row.postgres_us, '.1f'),
            number(row.load_us, '.1f'), number(row.wal_bytes, ',.0f'), number(row.syncs, '.3f'), row.found, row.aim, verdict]


def in_columns(lines):
    """For a terminal: as markdown is, with columns under each other; the subject is told once, empty columns are left out."""
    used = [i for i in range(len(COLUMNS)) if any(line[i] for line in lines[1:])]
    widths = [max(len(line[i]) for line in lines) for i in used]
    text, last = [], None
    for line in lines:
        text.append('  '.join((line[i] if i or line[0] != last else '').ljust(width) for i, width in zip(used, widths)).rstrip())
        last = line[0]
    return '\n'.join(text)


def markdown(lines):
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in [lines[0], ['---'] * len(COLUMNS)] + lines[1:])


def machine():
    with open('/proc/cpuinfo') as file:
        model = re.search(r'model name\s*:\s*(.*)', file.read())
    return f'{os.cpu_count()} cores ({model[1] if model else "?"}), {services.memory_mb() // 1024} GB'


def afterwards(stand):
    if not stand.verified:
        return []
    clean = not stand.wrong
    made = [Row('cathay verify after each round', found='; '.join(sorted(set(stand.verified))), aim='0 violated', met=clean)]
    if stand.events_per_s:
        made.append(Row('events passed on by one worker', per_s=statistics.median(stand.events_per_s)))
    return made


def run(stand, chosen, results):
    """Each subject in turn; the lines of the table."""
    lines = [COLUMNS]
    for place, (name, budget_s) in enumerate(chosen, 1):
        subject = importlib.import_module(name)
        say(f'[{place}/{len(chosen)}] {name}: {subject.__doc__} Some {budget_s} s; load {os.getloadavg()[0]:.1f}.')
        began = time.monotonic()
        found = subject.measure(stand)
        took_s = time.monotonic() - began
        results[name] = {'took_s': took_s, 'found': found}
        say(f'  {name} took {took_s:.0f} s')
        lines += [cells(name, row) for row in subject.rows(found)]
    return lines + [cells('afterwards', row) for row in afterwards(stand)]


def write(lines, took_s, results, json_path):
    text = f'{machine()}; {took_s:.0f} s; load {os.getloadavg()[0]:.1f} at the end'
    path = os.path.join(HOME, 'results.md')
    with open(path, 'w') as file:
        file.write(f'{text}\n\n{markdown(lines)}\n')
    if json_path:
        with open(json_path, 'w') as file:
            json.dump(results, file, indent=1)
    missed = sum(line[-1] == '**missed**' for line in lines)
    met = sum(line[-1] == 'met' for line in lines)
    say(f'\n{in_columns(lines)}\n\n{text}. {met} aims met, {missed} missed. As markdown: {os.path.relpath(path)}')


def main():
    assert sum(budget for _, budget in SUBJECTS) < TOTAL_S, 'the subjects do not fit into the time'
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    stand, results, began = Stand(options.quick), {}, time.monotonic()
    try:
        stand.build()
        stand.start_services()
        lines = run(stand, [one for one in SUBJECTS if not options.only or one[0] in options.only], results)
    except (services.ServiceError, build.BuildFailed) as error:
        say(f'bench/run: {error}')
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        stand.close()
    write(lines, time.monotonic() - began, results, options.json)
    for text in stand.wrong:
        say(f'WRONG: {text}')
    return 1 if stand.wrong else 0


if __name__ == '__main__':
    sys.exit(main())
