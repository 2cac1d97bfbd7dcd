"""Latency at half of the highest rate, and what is still done in time when twice that rate is offered: orders over HTTP."""
import statistics

from stand import SKUS, Row, median, row_of_load, say

PEAK_SHOPPERS = 1024  # with 256 it is lower
OPEN_SHOPPERS = 8000  # connections for arrivals at twice the peak; no arrival waits for a shopper
DEADLINE_MS = 1000
TURN_US = 100  # how often the load looks at arrivals and answers at half of the peak: it is in each latency up to twice
LATENCY_AIM, GOODPUT_AIM = 10, 0.9
WAYS = {  # over a Unix socket; the load has a core to itself; runs that are left out
    'from a proxy on the same host': (True, False, ()),
    'over TCP': (False, False, ()),
    'over TCP, load on a core of its own': (False, True, ('one', 'half')),
}


def measure(stand):
    runs = {way: {name: [] for name in ('one', 'peak', 'half', 'double', 'peak_after')} for way in WAYS}
    for number in range(stand.rounds):
        for way in WAYS:
            found = measure_way(stand, *WAYS[way], verified=number == stand.rounds - 1)
            for name, run in found.items():
                runs[way][name].append(run)
            say(f'  round {number + 1}, {way}: peak {found["peak"]["per_s"]:,.0f} orders/s; {told_of_half(found)}at twice of it '
                f'{found["double"]["good_per_s"]:,.0f} in time, {found["double"]["statuses"].get("503", 0):,} refused; '
                f'peak afterwards {found["peak_after"]["per_s"]:,.0f}')
    stand.over_socket(False)
    stand.set_apart(False)
    return runs


def told_of_half(found):
    if 'half' not in found:
        return ''
    half, one = found['half'], found['one']
    return f'at half of it p99 {half["p99_ms"]:.1f} ms, in the median tenth of a second {half["usual_p99_ms"]:.1f} ({one["p50_ms"]:.2f} is p50 of one shopper); '


def measure_way(stand, over_socket, apart, without, verified):
    stand.fresh_database()
    stand.over_socket(over_socket)
    stand.set_apart(apart)
    server = stand.start('serve')
    options = {'skus': SKUS, 'seconds': stand.seconds, 'deadline-ms': DEADLINE_MS}
    found = {}
    if 'one' not in without:
        found['one'] = stand.load(server, shoppers=1, skus=SKUS, seconds=1)
    found['peak'] = stand.load(server, shoppers=PEAK_SHOPPERS, skus=SKUS, seconds=2)
    if 'half' not in without:
        found['half'] = stand.load(server, **options, shoppers=PEAK_SHOPPERS, rate=int(found['peak']['per_s'] / 2), **{'turn-us': TURN_US})
    found['double'] = stand.load(server, refusals=True, **options, shoppers=OPEN_SHOPPERS, rate=int(found['peak']['per_s'] * 2))
    # Orders of the runs before make tables larger and orders dearer, so the peak is taken on both sides of the arrivals that are compared with it.
    found['peak_after'] = stand.load(server, shoppers=PEAK_SHOPPERS, skus=SKUS, seconds=2)
    stand.stop(server)
    if verified:
        stand.settle_and_verify()
    stand.drop_database()
    return found


def rows_of(way, runs):
    found = []
    if runs['half']:
        slower, usual = (statistics.median(half[p99] / one['p50_ms'] for half, one in zip(runs['half'], runs['one'])) for p99 in ('p99_ms', 'usual_p99_ms'))
        found = [row_of_load(f'{way}: one shopper', runs['one']),
                 row_of_load(f'{way}: arrivals at half of the peak', runs['half'],
                             found=f'p99 is {slower:.1f} × the p50 of one shopper; {usual:.1f} × in the median tenth of a second',
                             aim=f'< {LATENCY_AIM} ×', met=slower < LATENCY_AIM)]
    share = statistics.median(run['good_per_s'] / statistics.mean([before['per_s'], after['per_s']])
                              for run, before, after in zip(runs['double'], runs['peak'], runs['peak_after']))
    refused = statistics.median(run['statuses'].get('503', 0) / max(1, sum(run['statuses'].values())) for run in runs['double'])
    return found + [row_of_load(f'{way}: peak, {PEAK_SHOPPERS:,} shoppers', runs['peak']),
                    row_of_load(f'{way}: arrivals at twice the peak', runs['double'], found=f'{refused:.0%} of the answers are refusals'),
                    row_of_load(f'{way}: peak afterwards', runs['peak_after']),
                    Row(f'{way}: orders within {DEADLINE_MS} ms at twice the peak', per_s=median(runs['double'], 'good_per_s'),
                        found=f'{share:.0%} of the peak before and after', aim=f'≥ {GOODPUT_AIM:.0%}', met=share >= GOODPUT_AIM)]


def rows(runs):
    return [row for way in WAYS for row in rows_of(way, runs[way])]
