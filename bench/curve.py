"""From 1 to 1,024 shoppers: over HTTP and the engine alone, many SKUs and one, with and without miles."""
from stand import SKUS, Row, row_of_load, row_of_runs, say

SHOPPERS = (1, 16, 64, 256, 1024)
WORKLOADS = [('many SKUs', SKUS, 0), ('one SKU', 1, 0), ('many SKUs, miles', SKUS, 500), ('one SKU, miles', 1, 500)]


def measure(stand):
    found = []
    stand.fresh_database()
    server = stand.start('serve')
    for shoppers in SHOPPERS:
        for name, skus, points in WORKLOADS:
            options = {'shoppers': shoppers, 'skus': skus, 'points': points, 'seconds': 1}
            http, bare = stand.load(server, **options), stand.engine(**options)
            found.append({'shoppers': shoppers, 'workload': name, 'http': http, 'engine': bare})
            say(f'  {shoppers} shoppers, {name}: HTTP {http["per_s"]:,.0f}/s, p50 {http["p50_ms"]:.1f} ms, p99 {http["p99_ms"]:.1f} ms; '
                f'engine {bare["per_s"]:,.0f}/s')
    stand.stop(server)
    stand.settle_and_verify()
    stand.drop_database()
    return found


def rows(found):
    table = []
    for one in found:
        http, bare = one['http'], one['engine']
        what = f'{one["shoppers"]:,} shoppers, {one["workload"]}'
        table += [row_of_load(f'{what}: HTTP', [http]),
                  row_of_runs(f'{what}: engine alone', [bare], server_us=bare['self_cpu_us'], found=f'{bare["mean_batch"]:.0f} orders a batch')]
    rate = {(one['shoppers'], one['workload']): one['http']['per_s'] for one in found}
    for shoppers in SHOPPERS:
        share = rate[shoppers, 'one SKU'] / rate[shoppers, 'many SKUs']
        table.append(Row(f'{shoppers:,} shoppers: one SKU of many, over HTTP', found=f'{share:.2f}', aim='≥ 1', met=share >= 1))
    return table
