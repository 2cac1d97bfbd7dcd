"""Latency at half of the highest rate, and what is still done in time when twice that rate is offered: orders over HTTP, from a proxy on the same host, and over TCP."""
import statistics

from stand import SKUS, Row, median, row_of_load, say

PEAK_SHOPPERS = 1024  # with more, or with 256, it is not higher
OPEN_SHOPPERS = 8000  # connections for arrivals at a rate; no arrival waits for a shopper
DEADLINE_MS = 1000
LATENCY_AIM, GOODPUT_AIM = 10, 0.9
WAYS = {'socket': 'over a Unix socket', 'tcp': 'over TCP'}


def measure(stand):
    runs = {way: {name: [] for name in ('one', 'peak', 'half', 'double')} for way in WAYS}
    for number in range(stand.rounds):
        for way in WAYS:
            stand.fresh_database()
            stand.over_socket(way == 'socket')
            server = stand.start('serve')
            one = stand.load(server, shoppers=1, skus=SKUS, seconds=1)
            peak = stand.load(server, shoppers=PEAK_SHOPPERS, skus=SKUS, seconds=stand.seconds)
            options = {'shoppers': OPEN_SHOPPERS, 'skus': SKUS, 'seconds': stand.seconds, 'deadline-ms': DEADLINE_MS}
            half = stand.load(server, **options, rate=int(peak['per_s'] / 2))
            double = stand.load(server, refusals=True, **options, rate=int(peak['per_s'] * 2))
            for name, found in (('one', one), ('peak', peak), ('half', half), ('double', double)):
                runs[way][name].append(found)
            say(f'  round {number + 1}, {WAYS[way]}: peak {peak["per_s"]:,.0f} orders/s; at half of it p99 {half["p99_ms"]:.1f} ms (p50 of one shopper {one["p50_ms"]:.2f}); '
                f'at twice of it {double["good_per_s"]:,.0f} in time, {double["statuses"].get("503", 0):,} refused')
            stand.stop(server)
            stand.settle_and_verify()
            stand.drop_database()
    stand.over_socket(False)
    return runs


def rows_of(way, runs):
    slower = statistics.median(half['p99_ms'] / one['p50_ms'] for half, one in zip(runs['half'], runs['one']))
    share = statistics.median(run['good_per_s'] / peak['per_s'] for run, peak in zip(runs['double'], runs['peak']))
    refused = median([{'share': run['statuses'].get('503', 0) / max(1, sum(run['statuses'].values()))} for run in runs['double']], 'share')
    return [row_of_load(f'{way}: one shopper', runs['one']),
            row_of_load(f'{way}: peak, {PEAK_SHOPPERS:,} shoppers', runs['peak']),
            row_of_load(f'{way}: arrivals at half of the peak', runs['half'], found=f'p99 is {slower:.1f} × the p50 of one shopper', aim=f'< {LATENCY_AIM} ×', met=slower < LATENCY_AIM),
            row_of_load(f'{way}: arrivals at twice the peak', runs['double'], found=f'{refused:.0%} of the answers are refusals'),
            Row(f'{way}: orders within {DEADLINE_MS} ms at twice the peak', per_s=median(runs['double'], 'good_per_s'), found=f'{share:.0%} of the peak',
                aim=f'≥ {GOODPUT_AIM:.0%}', met=share >= GOODPUT_AIM)]


def rows(runs):
    return [row for way, name in WAYS.items() for row in rows_of(name, runs[way])]
