"""The plans of the shop's queries in a grown shop (10,000 variants, 10,000 customers, 100,000 orders over two years), loaded as benchmarks load one. No
big table is read from end to end, no partition is touched that the key rules out, and no more is sorted than a page is chosen from. No test asks
how long something takes."""
import glob
import json
import os
import subprocess
import sys
import unittest

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(PROJECT, 'tools'), os.path.join(PROJECT, 'bench')]
import growth_load  # noqa: E402
import services  # noqa: E402
import sql_gen  # noqa: E402

SCALE = 0.01
BIG = {'orders', 'order_line', 'order_event', 'reservation', 'fulfilment', 'transfer', 'payment', 'refund', 'shipment', 'shipment_event', 'movement', 'stock', 'earning',
       'users', 'session', 'refresh_token', 'ledger_account', 'product', 'variant', 'price', 'media', 'listing', 'listing_place', 'listing_count', 'listing_key_name',
       'search_word', 'cart', 'cart_item', 'idempotency', 'outbox', 'task', 'webhook', 'mail', 'sale_claim', 'sale_customer'}
SORTED_MAX = 1100  # rows: what one page is chosen from
SPARED_MAX = 3  # partitions of one table: the month's, its neighbour's, the default one

# Why a query may read a whole table. `cathay verify` and the demo shop are left out altogether.
WHOLE = {
    'bench_': 'no part of the shop',
    'tasks_': 'operators look at all tasks; finished ones are removed',
    'task_': 'the queue of tasks is short',
    'relay_': 'the queue of tasks is short',
    'work_': 'cleaning, in batches and in the background',
    'sale_': 'sales are few',
}


def month_table(name):
    """The partitioned table that a partition belongs to, else the table itself."""
    parent, _, tail = name.rpartition('_')
    return parent if parent and (tail == 'default' or (len(tail) == 6 and tail.isdigit())) else name


def nodes(plan, above=()):
    """Every node with those above it."""
    yield plan, above
    for child in plan.get('Plans', []):
        yield from nodes(child, above + (plan,))


def read_queries():
    kinds = sql_gen.read_id_kinds(os.path.join(PROJECT, 'src/base/ids.def'))
    found = {}
    for path in sorted(glob.glob(os.path.join(PROJECT, 'src/shop/**/*.sql'), recursive=True) + glob.glob(os.path.join(PROJECT, 'src/http/*.sql')) +
                       glob.glob(os.path.join(PROJECT, 'src/work/*.sql'))):
        if path.endswith('_check.sql'):
            continue
        for query in sql_gen.Reader(path, os.path.relpath(path, PROJECT), kinds).read():
            found[query.name] = query
    return found


class Grown(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = services.temporary_home()
        cls.postgres = growth_load.LoadingPostgres(cls.home, durable=False)
        cls.postgres.start()
        cls.addClassCleanup(services.shutil.rmtree, cls.home, ignore_errors=True)
        cls.addClassCleanup(cls.postgres.remove)
        cls.postgres.create_database('grown')
        subprocess.run([os.path.join(PROJECT, 'build-test/cathay'), 'migrate'], check=True, capture_output=True,
                       env=os.environ | {'DATABASE_URL': cls.postgres.url('grown')})
        growth_load.Load(cls.postgres, 'grown', SCALE, lambda text: None).run()
        cls.queries = read_queries()

    def psql(self, script):
        line = ['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', self.postgres.socket_directory, '-U', 'cathay', '-d', 'grown']
        done = subprocess.run(line, input=script, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr[-1000:])
        return done.stdout

    def one(self, sql):
        return self.psql(sql + ';').strip().split('\n')[0]

    def prepared(self, query):
        types = ', '.join(field.sql_type for field in query.params)
        return f'PREPARE asked{"(" + types + ")" if types else ""} AS\n{query.sql};\n'

    # ── all queries ──

    def test_every_query_has_an_index_to_go_by(self):
        """With sequential scans forbidden, none is left: whatever its size, PostgreSQL can reach what each query asks for by an index."""
        asked = [query for query in self.queries.values() if not any(query.name.startswith(prefix) for prefix in WHOLE)
                 and not query.name.startswith(('verify_', 'check_')) and '_check' not in query.name and 'check_' not in query.name]
        self.assertGreater(len(asked), 200)
        script = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;\n"
        for query in asked:
            nulls = '(' + ', '.join(['NULL'] * len(query.params)) + ')' if query.params else ''
            script += f'{self.prepared(query)}\\echo ====={query.name}\nEXPLAIN (FORMAT JSON) EXECUTE asked{nulls};\nDEALLOCATE asked;\n'
        filled = set(self.psql("SELECT relname FROM pg_class WHERE relkind = 'r' AND pg_relation_size(oid) > 65536;").split())
        partial = set(self.psql("SELECT indexrelid::regclass FROM pg_index WHERE indpred IS NOT NULL;").split())
        faults = []
        for part in self.psql(script).split('=====')[1:]:
            name, text = part.split('\n', 1)
            for node, above in nodes(json.loads(text)[0]['Plan']):
                table = month_table(node.get('Relation Name', ''))
                walked = node['Node Type'].startswith('Index') and 'Index Cond' not in node and node['Index Name'] not in partial and not any(one['Node Type'] == 'Limit' for one in above)
                if table in BIG and node['Relation Name'] in filled and (node['Node Type'] == 'Seq Scan' or walked):
                    faults.append(f'{name}: {node["Node Type"]} of {table}')
        self.assertEqual(sorted(set(faults)), [])

    # ── queries that a visitor waits for, with rows of this shop ──

    def run_query(self, name, values, mode):
        """Its plan as it ran, and the big tables that were read from end to end, also inside of functions."""
        query = self.queries[name]
        self.assertEqual(sorted(values), sorted(field.name for field in query.params if field.name in values))
        arguments = []
        for field in query.params:
            value = values.get(field.name)
            text = 'NULL' if value is None else "'" + str(value).replace("'", "''") + "'"
            arguments.append(f'{text}::{field.sql_type}')
        out = self.psql(f'BEGIN;\nSET LOCAL plan_cache_mode = {mode};\n{self.prepared(query)}'
                        f"CREATE TEMP TABLE scanned AS SELECT relname, seq_scan FROM pg_stat_xact_user_tables;\n"
                        f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE asked{'(' + ', '.join(arguments) + ')' if arguments else ''};\n\\echo =====\n"
                        'SELECT s.relname FROM pg_stat_xact_user_tables s LEFT JOIN scanned b ON b.relname = s.relname '
                        'WHERE s.seq_scan > coalesce(b.seq_scan, 0) AND pg_relation_size(s.relid) > 65536;\nROLLBACK;')
        text, tables = out.split('=====')
        return json.loads(text)[0]['Plan'], {month_table(table) for table in tables.split()} & BIG

    def check(self, name, values, modes=('force_generic_plan', 'force_custom_plan'), pruned=(), sorted_max=SORTED_MAX):
        for mode in modes:
            with self.subTest(query=name, mode=mode, values=values):
                plan, scanned = self.run_query(name, values, mode)
                self.assertEqual(scanned, set(), 'read from end to end')
                touched = {}
                for node, _ in nodes(plan):
                    if node.get('Actual Loops', 0) == 0:
                        continue
                    if 'Relation Name' in node:
                        touched.setdefault(month_table(node['Relation Name']), set()).add(node['Relation Name'])
                    if node['Node Type'] in ('Sort', 'Incremental Sort'):
                        rows = max(child['Actual Rows'] * child['Actual Loops'] for child in node['Plans'])
                        self.assertLessEqual(rows, sorted_max, f'sorted by {node["Sort Key"]}')
                for table in pruned:
                    self.assertLessEqual(len(touched.get(table, ())), SPARED_MAX, f'partitions of {table}: {sorted(touched.get(table, ()))}')

    def sample(self):
        order, customer = self.one("SELECT id, customer_id FROM orders WHERE points > 0 AND state = 'delivered' ORDER BY id LIMIT 1 OFFSET 700").split('|')
        return order, customer

    def test_orders_of_a_customer_and_one_order(self):
        order, customer = self.sample()
        of_order = ('orders', 'order_line', 'order_event', 'fulfilment', 'reservation')
        self.check('order_list_page', {'customer_id': customer, 'most': 20})
        self.check('order_show_body', {'order_id': order, 'customer_id': customer, 'staff': 'false'}, pruned=of_order)
        batch = {'ids': '{' + order + '}'}
        self.check('order_lock_batch', batch, pruned=of_order)
        self.check('order_events_since', {'order_id': order, 'sequence': 1}, pruned=of_order)
        self.check('reservation_list_of_order', {'order_id': order}, pruned=of_order)
        self.check('order_step_batch', batch | {'from_state': 'delivered', 'to_state': 'returned', 'actor': 'staff'}, pruned=of_order)
        self.check('order_line_vendors', {'order_ids': batch['ids']}, pruned=of_order)
        self.check('reservation_confirm_batch', {'order_ids': batch['ids']}, pruned=of_order)
        for state in ('failed', 'succeeded'):
            self.check('staff_refund_page', {'state': state, 'most': 20})
        self.check('order_of_payment', {'intent_id': 'pi_bench_000100777'})

    def test_staff_filters(self):
        order, customer = self.sample()
        floor, before = self.one("SELECT uuid_floor(now() - interval '200 days'), uuid_floor(now() - interval '195 days')").split('|')
        vendor, sku = self.one('SELECT vendor_id, sku FROM order_line ORDER BY order_id LIMIT 1 OFFSET 5000').split('|')
        custom = ('force_custom_plan',)  # as the handler runs them
        base = {'most': 20}
        for more in ({}, {'state': 'delivered'}, {'state': 'pending_payment'}, {'state': 'payment_failed'}, {'customer_id': customer}, {'number': 100777},
                     {'customer_id': customer, 'state': 'delivered'}, {'state': 'cancelled', 'before': before}):
            self.check('staff_order_page', base | more, custom)
        for more in ({'order_id': order}, {'floor': floor, 'before': before}, {'floor': floor, 'before': before, 'state': 'delivered'}):
            self.check('staff_order_page', base | more, custom, pruned=('orders', 'order_line'))
        for more in ({'vendor_id': vendor}, {'sku': sku}, {'vendor_id': vendor, 'sku': sku}, {'vendor_id': vendor, 'state': 'delivered'}):
            self.check('staff_order_page_by_line', base | more, custom)
        self.check('staff_order_page_by_line', base | {'vendor_id': vendor, 'floor': floor, 'before': before}, custom, pruned=('orders', 'order_line'))

    def test_miles(self):
        _, customer = self.sample()
        root = self.one('SELECT root_id FROM transfer ORDER BY root_id LIMIT 1 OFFSET 20000')
        self.check('loyalty_statement', {'user_id': customer, 'most': 20})
        self.check('transfer_posted', {'root_id': root}, pruned=('transfer',))
        self.check('transfer_hold_void', {'root_id': root}, pruned=('transfer',))
        self.check('transfer_hold_list', {'root_ids': '{' + root + '}'}, pruned=('transfer',))

    def test_placing_an_order(self):
        variants = self.one("SELECT array_agg(id) FROM (SELECT id FROM variant ORDER BY md5(sku) LIMIT 300) v")
        users = self.one("SELECT array_agg(id) FROM (SELECT id FROM users WHERE role = 'customer' ORDER BY md5(email) LIMIT 200) u")
        lanes = ('force_generic_plan',)  # as the engine plans
        self.check('checkout_variant_batch', {'variant_ids': variants, 'currencies': '{HKD}'}, lanes)
        self.check('stock_lock_batch', {'variant_ids': variants}, lanes)
        self.check('loyalty_account_lock_batch', {'user_ids': users}, lanes)
        self.check('checkout_key_batch', {'owner_ids': users, 'keys': '{a}'}, lanes)

    def test_a_product(self):
        product, slug = self.one('SELECT id, slug FROM product ORDER BY id LIMIT 1 OFFSET 777').split('|')
        self.check('product_show', {'product_id': product})
        self.check('product_show', {'slug': slug})
        self.check('listing_refresh', {'product_ids': '{' + product + '}'})

    def test_listings(self):
        category = self.one("SELECT key FROM (SELECT category_path[1] AS key, count(*) FROM product GROUP BY 1 ORDER BY 2 DESC LIMIT 1) c")
        vendor = self.one('SELECT vendor_id FROM product GROUP BY 1 ORDER BY count(*) DESC LIMIT 1')
        base = {'currency': 'HKD', 'in_stock_only': 'false', 'page_size': 20}
        keys = lambda *facets: self.one("SELECT listing_keys(NULL, NULL, NULL, '{" + ','.join(facets) + "}')")  # noqa: E731
        navy = {'keys': keys('colour=navy')}
        for query in ('listing_newest', 'listing_price_up', 'listing_price_down', 'listing_name'):
            # A page is the beginning of an index, whatever is asked for beside the list and whichever way it is planned.
            for values in (base, base | {'category_id': category}, base | {'vendor_id': vendor}, base | {'price_least': 20000, 'price_most': 90000}, base | navy,
                           base | navy | {'category_id': category}, base | {'typed': 'shirt'}):
                self.check(query, values, sorted_max=21)
        self.check('listing_price_up', base | {'after_key': 50000, 'after_id': '00000000-0000-0000-0000-000000000000'}, sorted_max=21)
        self.check('listing_plan', {'currency': 'HKD', 'category_id': category, 'facets': '{colour=navy}', 'page_size': 20})
        both = keys('material=Felt', 'colour=orange')
        self.check('listing_narrow', base | {'sort': 'n', 'pairs': self.one(f"SELECT listing_to_find('{both}')")})

    def test_pages_are_planned_once(self):
        """Planning takes longer than running them: after five times PostgreSQL keeps the plan, since planning for the values at hand gains nothing."""
        base = {'currency': 'HKD', 'in_stock_only': 'false', 'page_size': 20, 'price_least': 20000}
        pair = self.one("SELECT keys, listing_to_find(keys) FROM (SELECT listing_keys(NULL, NULL, NULL, '{material=Felt,colour=orange}')) k(keys)").split('|')
        for name, values in (('listing_newest', base), ('listing_price_up', base), ('listing_price_down', base), ('listing_name', base),
                             ('listing_narrow', base | {'sort': 'u', 'pairs': pair[1]}),
                             ('listing_plan', {'currency': 'HKD', 'facets': '{material=Felt,colour=orange}', 'page_size': 20})):
            with self.subTest(query=name):
                query = self.queries[name]
                arguments = ', '.join(('NULL' if field.name not in values else f"'{values[field.name]}'") + f'::{field.sql_type}' for field in query.params)
                counted = self.psql(self.prepared(query) + f'EXECUTE asked({arguments});\n' * 8
                                    + "\\echo =====\nSELECT generic_plans FROM pg_prepared_statements WHERE name = 'asked';\n")
                self.assertEqual(counted.split('=====')[1].strip(), '3')

    def test_search(self):
        base = {'currency': 'HKD', 'in_stock_only': 'false', 'page_size': 20}
        for typed, corrected in (('shirt', 'false'), ('winter silk', 'false'), ('絲巾', 'false'), ('sihrt', 'true')):
            self.check('listing_relevant', base | {'typed': typed, 'corrected': corrected})

    def test_facets(self):
        category = self.one("SELECT key FROM (SELECT category_path[1] AS key, count(*) FROM product GROUP BY 1 ORDER BY 2 DESC LIMIT 1) c")
        base = {'currency': 'HKD', 'in_stock_only': 'false', 'corrected': 'false'}
        generic = ('force_generic_plan',)  # as the handler runs it
        for more in ({}, {'category_id': category}, {'facets': '{colour=navy}'}, {'category_id': category, 'facets': '{colour=navy,material=Silk}', 'price_least': 20000},
                     {'in_stock_only': 'true'}, {'typed': 'shirt'}):
            self.check('listing_facet_products', base | more, generic)
        for more in ({}, {'category_id': category}, {'category_id': category, 'of': '=colour'}):
            self.check('listing_facet_kept', {'currency': 'HKD'} | more, generic)
        keys = self.one(f"SELECT array_agg(key) FROM (SELECT key FROM listing_count WHERE list_id = '{category}' AND currency = 'HKD' LIMIT 300) k")
        self.check('listing_key_names', {'keys': keys})
        vendors = self.one('SELECT array_agg(id) FROM (SELECT id FROM vendor LIMIT 50) v')
        self.check('listing_facet_names', {'category_id': category, 'vendors': vendors, 'codes': '{colour,season}'})
        self.check('listing_count_fold', {'most': 1000})


if __name__ == '__main__':
    unittest.main()
