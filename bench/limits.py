"""What rate limits cost an order: the same load on a server without limits and on one that asks Redis for each order and refuses none."""
import statistics

from stand import median, precise_cpu, row_of_load

SHOPPERS = 256
AIM = 0.8  # orders a second with limits, of those without


def measure(stand):
    runs = {'off': [], 'on': []}
    stand.fresh_database()
    for number in range(stand.rounds):
        for name in ('off', 'on') if number % 2 == 0 else ('on', 'off'):
            server = stand.start('serve', limit_scale_percent=0 if name == 'off' else 1000000)
            before = precise_cpu(stand.redis.process.pid)
            found = stand.load(server, refusals=True, shoppers=SHOPPERS, seconds=stand.seconds)
            found['redis_cpu_us'] = (precise_cpu(stand.redis.process.pid) - before) * 1e6 / found['acknowledged']
            runs[name].append(found)
            stand.stop(server)
    stand.settle_and_verify()
    stand.drop_database()
    return runs


def rows(runs):
    ratio = statistics.median(on['per_s'] / off['per_s'] for on, off in zip(runs['on'], runs['off']))
    more = median(runs['on'], 'server_cpu_us') - median(runs['off'], 'server_cpu_us')
    return [row_of_load('orders without limits', runs['off']),
            row_of_load('orders, each asked of Redis', runs['on'], found=f'{ratio:.2f} of the rate; {more:+.0f} µs server, '
                        f'{median(runs["on"], "redis_cpu_us"):.0f} µs Redis', aim=f'≥ {AIM}', met=ratio >= AIM)]
