"""Latency at half of the highest rate, and what is still done in time when twice that rate is offered: orders over HTTP."""
import statistics

from stand import SKUS, Row, median, row_of_load, say

OPEN_SHOPPERS = 8000  # connections for arrivals at a rate; no arrival waits for a shopper
DEADLINE_MS = 1000
LATENCY_AIM, GOODPUT_AIM = 10, 0.9


def measure(stand):
    runs = {name: [] for name in ('one', 'peak', 'half', 'double', 'control')}
    for number in range(stand.rounds):
        stand.fresh_database()
        server = stand.start('serve')
        runs['one'].append(stand.load(server, shoppers=1, skus=SKUS, seconds=2))
        closed = [stand.load(server, shoppers=shoppers, skus=SKUS, seconds=2) for shoppers in (256, 1024)]
        peak = max(closed, key=lambda found: found['per_s'])
        options = {'shoppers': OPEN_SHOPPERS, 'skus': SKUS, 'seconds': stand.seconds, 'deadline-ms': DEADLINE_MS}
        half = stand.load(server, **options, rate=int(peak['per_s'] / 2))
        double = stand.load(server, refusals=True, **options, rate=int(peak['per_s'] * 2))
        control = stand.load(server, refusals=True, **options, rate=int(peak['per_s'] * 2), reads=50)
        for name, found in (('peak', peak), ('half', half), ('double', double), ('control', control)):
            runs[name].append(found)
        say(f'  round {number + 1}: peak {peak["per_s"]:,.0f} orders/s; at half of it p99 {half["p99_ms"]:.1f} ms; at twice of it {double["good_per_s"]:,.0f} '
            f'in time, {double["statuses"].get("503", 0):,} refused; beside reads {control["good_per_s"]:,.0f}')
        stand.stop(server)
        stand.settle_and_verify()
        stand.drop_database()
    return runs


def rows(runs):
    slower = statistics.median(half['p99_ms'] / one['p50_ms'] for half, one in zip(runs['half'], runs['one']))
    share, beside_reads = (statistics.median(run['good_per_s'] / peak['per_s'] for run, peak in zip(runs[name], runs['peak'])) for name in ('double', 'control'))
    refused = median([{'share': run['statuses'].get('503', 0) / max(1, sum(run['statuses'].values()))} for run in runs['double']], 'share')

    return [row_of_load('unloaded: one shopper', runs['one']), row_of_load('peak: the better of 256 and 1,024 shoppers', runs['peak']),
            row_of_load('arrivals at half of the peak', runs['half'], found=f'p99 is {slower:.1f} × the p50 of one shopper', aim=f'< {LATENCY_AIM} ×', met=slower < LATENCY_AIM),
            row_of_load('arrivals at twice the peak', runs['double'], found=f'{refused:.0%} of the answers are refusals'),
            Row('… where every second arrival is the cheapest read there is', per_s=median(runs['control'], 'good_per_s'), found=f'{beside_reads:.0%} of the peak'),
            Row(f'orders within {DEADLINE_MS} ms at twice the peak', per_s=median(runs['double'], 'good_per_s'), found=f'{share:.0%} of the peak',
                aim=f'≥ {GOODPUT_AIM:.0%}', met=share >= GOODPUT_AIM)]
