"""A flash sale: 50,000 buyers for 1,000 units, "sold out" beside a cached read, and what other shoppers notice of the rush."""
import json
import statistics
import threading

from crowd import begin, gather, new_sale, rush, rush_ready
from stand import Row, median, precise_cpu, row_of_runs

BUYERS, UNITS = 50000, 1000
RUSH_S = 5  # "within seconds"
OTHERS = 16
LOAD_WARM_UP_S = 1.1  # of bench/load, with its start: then it measures
ANSWERED_SHARE, SLOWER_AT_MOST = 0.60, 0.25


def check(stand, found):
    if found['bought'] != UNITS or found['lost'] or found['other'] or found['limit']:
        stand.is_wrong(f'{found["bought"]} of {UNITS} units were sold: {found}')


def all_at_once(stand):
    found = rush(stand, sale=new_sale(stand, UNITS), buyers=BUYERS)
    check(stand, found)
    return found


def refusals(stand, server, rounds):
    """The same client in turns: the crowd after the last unit, and as many readers of the sale's page."""
    sale = new_sale(stand, UNITS)
    check(stand, rush(stand, sale=sale, buyers=BUYERS))
    runs = []
    for _ in range(rounds):
        one = {}
        for name, options in {'sold out': {'sale': sale}, 'read': {'get': f'/v1/sales/{sale}'}}.items():
            before = precise_cpu(server.pid)
            one[name] = rush(stand, buyers=BUYERS, connections=64, seconds=2, **options)
            one[name]['server_us'] = (precise_cpu(server.pid) - before) * 1e6 / one[name]['asked']
        runs.append(one)
    return runs


def others(stand, server, rounds):
    """Checkouts of 16 others alone, beside as many cached reads as the rush has requests, and beside the rush; in turns."""
    runs = []
    for _ in range(rounds):
        one = {}
        for name, options in {'alone': None, 'reads': {'get': f'/v1/sales/{new_sale(stand, UNITS)}'}, 'rush': {'sale': new_sale(stand, UNITS)}}.items():
            crowd = options and rush_ready(stand, buyers=BUYERS, rate=BUYERS // RUSH_S, **options)
            stand.checkpoint()
            if crowd:
                threading.Timer(LOAD_WARM_UP_S, begin, [crowd]).start()
            one[name] = stand.load(server, shoppers=OTHERS, skus=8000, seconds=RUSH_S, by_others=UNITS if name == 'rush' else 0)
            if crowd:
                one[name]['crowd'] = json.loads(crowd.communicate()[0])
        check(stand, one['rush']['crowd'])
        runs.append(one)
    return runs


def measure(stand):
    gather(stand, BUYERS)
    server, worker = stand.start('serve'), stand.start('worker')
    rounds = 1 if stand.quick else 3
    found = {'at once': all_at_once(stand), 'refusals': refusals(stand, server, rounds), 'others': others(stand, server, rounds)}
    stand.stop(worker)
    stand.stop(server)
    stand.settle_and_verify()
    stand.drop_database()
    return found


def rows(found):
    once, refusals_, others_ = found['at once'], found['refusals'], found['others']
    made = [Row(f'{BUYERS:,} at once, all answered', per_s=once['per_s'], p50_ms=once['p50_ms'], p99_ms=once['p99_ms'], found=f'in {once["seconds"]:.1f} s'),
            Row('the last unit', found=f'after {once["last_sale_s"]:.2f} s')]
    for name, key in (('cached read, the same client', 'read'), ('sold out, tokens never seen', 'sold out')):
        runs = [one[key] for one in refusals_]
        made.append(Row(name, **{column: median(runs, column) for column in ('per_s', 'p50_ms', 'p99_ms', 'server_us')}))
    share = statistics.median(one['sold out']['per_s'] / one['read']['per_s'] for one in refusals_)
    made[-1].found, made[-1].aim, made[-1].met = f'{share:.0%} of a read', f'{ANSWERED_SHARE:.0%}', share >= ANSWERED_SHARE
    for name, key in (('16 others, alone', 'alone'), ('beside 10,000 reads/s', 'reads'), (f'beside {BUYERS // RUSH_S:,} buyers/s', 'rush')):
        runs = [one[key] for one in others_]
        made.append(row_of_runs(name, runs, server_us=median(runs, 'server_cpu_us')))
        slower = 1 - statistics.median(one[key]['per_s'] / one['alone']['per_s'] for one in others_)
        if key != 'alone':
            own = statistics.median(run['crowd']['self_cpu_us'] * run['crowd']['per_s'] / 1e6 for run in runs)
            made[-1].found = f'{slower:.0%} slower; the client itself takes {own:.0%} of a core'
    made[-1].aim, made[-1].met = f'{SLOWER_AT_MOST:.0%} at most', slower <= SLOWER_AT_MOST
    return made
