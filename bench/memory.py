"""Memory of each role, idle and after some seconds of orders."""
import time

from stand import Row, free_port, memory_mb


def measure(stand):
    stand.fresh_database()
    found = {}
    for role in ('serve', 'worker', 'scheduler', 'sandbox'):
        settings = {'sandbox_port': free_port(), 'sandbox_smtp_port': free_port()} if role == 'sandbox' else {}
        process = stand.start(role, **settings)
        time.sleep(1)
        found[role] = {'idle': memory_mb(process.pid)}
        if role == 'serve':
            stand.load(process, shoppers=256, seconds=3)
            found[role]['busy'] = memory_mb(process.pid)
        if role == 'worker':
            time.sleep(3)  # the events of that load
            found[role]['busy'] = memory_mb(process.pid)
        stand.stop(process)
    stand.drop_database()
    return found


def rows(found):
    def megabytes(pair):
        return f'{pair[0]:.0f} MB ({pair[1]:.0f} not shared)'
    return [Row(f'{role}, {when}', found=megabytes(pair)) for role, of in found.items() for when, pair in of.items()]
