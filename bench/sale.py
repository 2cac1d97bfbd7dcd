#!/usr/bin/python3
"""A flash sale on this machine: bench/sale.py [--buyers 50000] [--units 1000] [--json FILE]. One server, one worker, a PostgreSQL (fsync on) and a Redis of
their own. Told: how long until everybody has an answer and the last unit is sold; answers "sold out" a second beside a cached read by the same
client; checkouts of other shoppers alone and during the rush; what `cathay verify` says afterwards."""
import argparse
import json
import sys
import threading
import time

import stand

OTHERS = 16
RUSH_CONNECTIONS = 512


def new_sale(shop, number, units):
    """Beside the HTTP interface, so that no manager has to sign in; the board reads it at its next round or when it is asked."""
    text = shop.postgres.psql(shop.database, f"""
        INSERT INTO sale (id, variant_id, currency, price_minor, quantity, per_customer, starts_at, ends_at, created_by)
        SELECT overlay(uuid_floor(now())::text placing lpad('{number}', 4, '0') FROM 33)::uuid, v.id, 'HKD', 5000, {units}, 1,
               now() - interval '1 second', now() + interval '1 hour', (SELECT id FROM users LIMIT 1)
        FROM variant v WHERE v.sku = 'BENCH-{9000 + number}' RETURNING wire_id('sal', id)""")
    return text.split()[0]


def rush(shop, *arguments):
    return shop.json([shop.program('bench/rush'), *map(str, arguments)])


def beside(shop, server, seconds, what):
    """Other shoppers order meanwhile; what they got, and what `what` returned."""
    found = {}
    line = [shop.program('bench/load'), '--shoppers', str(OTHERS), '--skus', '8000', '--seconds', str(seconds), '--server', str(server.pid)]
    others = threading.Thread(target=lambda: found.update(others=shop.json(line)))
    others.start()
    time.sleep(1.5)
    found['rush'] = what()
    others.join()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--buyers', type=int, default=50000)
    parser.add_argument('--units', type=int, default=1000)
    parser.add_argument('--json')
    options = parser.parse_args()
    shop = stand.Stand(quick=True, customers=options.buyers + 1000)
    results = {}
    try:
        shop.build()
        shop.start_services()
        shop.fresh_database()
        server = shop.start('serve')
        worker = shop.start('worker')
        results['others alone'] = shop.load(server, shoppers=OTHERS, skus=8000, seconds=4)
        sale = new_sale(shop, 1, options.units)
        results['rush'] = rush(shop, '--sale', sale, '--buyers', options.buyers, '--connections', RUSH_CONNECTIONS)
        results['sold out'] = rush(shop, '--sale', sale, '--buyers', 1000, '--connections', 64, '--seconds', 3)
        results['cached read'] = rush(shop, '--get', f'/v1/sales/{sale}', '--buyers', 1, '--connections', 64, '--seconds', 3)
        other_sale = new_sale(shop, 2, options.units)
        results['rush beside others'] = beside(shop, server, 4, lambda: rush(shop, '--sale', other_sale, '--buyers', options.buyers, '--connections',
                                                                            RUSH_CONNECTIONS))
        for one in (results['rush'], results['rush beside others']['rush']):
            if one['bought'] != options.units or one['lost'] or one['other']:
                shop.is_wrong(f'{one["bought"]} of {options.units} units were sold: {one}')
        shop.stop(worker)
        shop.stop(server)
        shop.settle_and_verify()
    finally:
        shop.close()
    print(report(results, options))
    if options.json:
        with open(options.json, 'w') as file:
            json.dump(results, file, indent=1)
    return 1 if shop.wrong else 0


def report(results, options):
    one, two = results['rush'], results['rush beside others']
    alone, during = results['others alone'], two['others']
    share = results['sold out']['per_s'] / results['cached read']['per_s']
    return '\n'.join([
        f'{options.buyers:,} buyers, {options.units:,} units: {one["bought"]:,} bought; the last unit after {one["last_sale_s"]:.2f} s, everybody answered after '
        f'{one["seconds"]:.2f} s ({one["per_s"]:,.0f} a second, p99 {one["p99_ms"]:.1f} ms)',
        f'sold out: {results["sold out"]["per_s"]:,.0f} a second; a cached read by the same client: {results["cached read"]["per_s"]:,.0f}; {share:.0%}',
        f'{OTHERS} other shoppers: {alone["per_s"]:,.0f} orders a second alone (p99 {alone["p99_ms"]:.1f} ms), {during["per_s"]:,.0f} while a rush of '
        f'{two["rush"]["seconds"]:.2f} s went on (p99 {during["p99_ms"]:.1f} ms)'])


if __name__ == '__main__':
    sys.exit(main())
