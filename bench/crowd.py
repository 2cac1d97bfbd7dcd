"""What the benchmarks of flash sales share: a crowd of customers, sales, and the rush to one."""
import subprocess

CONNECTIONS = 512


def gather(stand, buyers):
    """A fresh database with that many customers who have not bought anything."""
    stand.fresh_database()
    stand.psql('crowd.sql', f'buyers={buyers}')
    stand.sales = 0


def new_sale(stand, units):
    """Beside the HTTP interface, so that no manager has to sign in; the board reads it at its next round or when it is asked."""
    stand.sales += 1
    text = stand.sql(f"""
        INSERT INTO sale (id, variant_id, currency, price_minor, quantity, per_customer, starts_at, ends_at, created_by)
        SELECT overlay(uuid_floor(now())::text placing lpad('{stand.sales}', 4, '0') FROM 33)::uuid, v.id, 'HKD', 5000, {units}, 1,
               now() - interval '1 second', now() + interval '1 hour', (SELECT id FROM users LIMIT 1)
        FROM variant v WHERE v.sku = 'BENCH-{9000 + stand.sales}' RETURNING wire_id('sal', id)""")
    return text.split()[0]


def command(stand, **options):
    """bench/rush with --options as named; underscores stand for dashes."""
    options.setdefault('connections', CONNECTIONS)
    return [stand.program('bench/rush')] + [text for name, value in options.items() for text in (f'--{name.replace("_", "-")}', str(value))]


def rush(stand, **options):
    return stand.json(command(stand, **options))


def rush_ready(stand, **options):
    """A crowd with its tokens in hand: begin() lets it go, communicate() gives what it has to tell."""
    process = subprocess.Popen(command(stand, wait=1, **options), env=stand.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'ready\n', 'the crowd did not come together'
    return process


def begin(process):
    process.stdin.write('\n')
    process.stdin.flush()
