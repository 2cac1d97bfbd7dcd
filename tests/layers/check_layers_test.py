"""Each house rule, broken on purpose in a small tree."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools'))
import check_layers  # noqa: E402


class HouseRules(unittest.TestCase):
    def breaches(self, rule, files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = os.path.join(root, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, 'w') as file:
                    file.write(text)
            return list(check_layers.RULES[rule](check_layers.Tree(root)))

    def refused(self, rule, files, part):
        found = self.breaches(rule, files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(part, found[0])

    def test_an_include_downwards_is_fine(self):
        self.assertEqual(self.breaches('includes', {
            'src/shop/orders/orders.c': '#include "shop/loyalty/loyalty.h"\n#include "pg/pg.h"\n#include "orders_sql.h"\n',
            'src/shop/orders/orders.sql': '', 'src/shop/loyalty/loyalty.h': '', 'src/pg/pg.h': '#include "base/str.h"\n',
            'src/base/str.h': '', 'src/app/main.c': '#include "shop/orders/orders.h"\n'}), [])

    def test_base_includes_nothing_above(self):
        self.refused('includes', {'src/base/str.c': '\n#include "pg/pg.h"\n', 'src/pg/pg.h': ''}, 'src/base/str.c:2: pg/pg.h')

    def test_infrastructure_does_not_know_the_shop(self):
        self.refused('includes', {'src/http/a.c': '#include "shop/orders/orders.h"\n'}, 'lies below the shop')

    def test_a_module_does_not_climb(self):
        self.refused('includes', {'src/shop/loyalty/a.c': '#include "shop/orders/orders.h"\n'}, 'not below it')

    def test_neighbours_of_one_level_do_not_meet(self):
        self.refused('includes', {'src/shop/cart/a.c': '#include "shop/orders/orders.h"\n'}, 'not below it')

    def test_private_headers_stay_private(self):
        self.refused('includes', {'src/shop/orders/a.c': '#include "shop/loyalty/loyalty_rules.h"\n'}, 'private to loyalty')

    def test_queries_of_another_module_are_refused(self):
        self.refused('includes', {'src/shop/orders/a.c': '#include "loyalty_sql.h"\n', 'src/shop/loyalty/loyalty.sql': ''},
                     'queries of src/shop/loyalty')

    def test_the_checkout_engine_is_lent_queries_from_below(self):
        below = {'src/shop/checkout/batch.c': '#include "loyalty_sql.h"\n', 'src/shop/loyalty/loyalty.sql': ''}
        self.assertEqual(self.breaches('includes', below), [])
        above = {'src/shop/checkout/batch.c': '#include "notify_sql.h"\n', 'src/shop/notify/notify.sql': ''}
        self.refused('includes', above, 'queries of src/shop/notify')

    def test_only_app_knows_app(self):
        self.refused('includes', {'src/work/a.c': '#include "app/commands.h"\n'}, 'only src/app')

    def test_sql_in_c(self):
        self.refused('sql', {'src/shop/orders/a.c': 'f("SEL"\n  "ECT id FROM orders");\n'}, 'a.c:1')
        self.assertEqual(self.breaches('sql', {'src/pg/pg.c': 'f("SELECT 1");', 'src/shop/a/b.c': '/* SELECT x */ f("Select one");'}), [])

    def test_prefixes(self):
        self.refused('prefixes', {'src/shop/orders/orders.h': 'int order_show(int a);\nint show_it(int a,\n            int b);\n'}, 'show_it')

    def test_error_codes(self):
        files = {'src/base/error_codes.def': 'ERROR_CODE(USED, 1)\nERROR_CODE(IDLE, 2)\n', 'src/base/a.c': 'return ERR_USED;'}
        self.refused('error-codes', files, 'ERR_IDLE')

    def test_settings_are_read(self):
        files = {'src/base/settings.def': 'SETTING_INT(used_s, 1, 1, 2, "s", "x")\nSETTING_TEXT(idle, "", "x")\n',
                 'src/base/config.c': 'f(values->idle);', 'src/http/a.c': 'g(config()->used_s); /* config()->idle */'}
        self.refused('settings', files, 'settings.def:2: nothing reads the setting idle')

    def test_queries_are_called(self):
        files = {'src/shop/a/a.sql': '-- name: a_one() :exec\n-- name: a_two() :exec\n-- name: a_check_three() :exec\n'
                                     '-- name: a_idle() :exec\n',
                 'src/shop/a/a.c': '#define RUN(query) a_check_##query(db)\na_one(db); a_two_queue(db); RUN(three);',
                 'src/shop/a/a_test.c': 'a_idle(db);'}
        self.refused('queries', files, 'a.sql:4: nothing calls the query a_idle')

    def test_machine_paths(self):
        self.refused('machine-paths', {'docs/a.md': 'see ' + '/home/' + 'somebody/x'}, 'docs/a.md:1')
        self.refused('machine-paths', {'package-lock.json': 'https://registry.' + 'npmjs.org/x'}, 'registry')
        self.assertEqual(self.breaches('machine-paths', {'a.md': 'src/work/work.h tests/home/x.js /workers'}), [])

    def test_readmes(self):
        self.refused('readmes', {'src/shop/orders/orders.c': ''}, 'src/shop/orders/README.md')

    def test_lengths(self):
        self.refused('lengths', {'src/base/a.c': '\n' * 801}, '801 lines')
        self.assertEqual(self.breaches('lengths', {'src/base/a.c': '/* Length: one table. */' + '\n' * 900}), [])

    def test_floating_point(self):
        self.refused('floating-point', {'src/shop/orders/a.c': '/* double */\nstatic double x;\n'}, 'a.c:2')

    def test_checks(self):
        self.refused('checks', {'src/base/a.c': 'static_assert(1);\nassert (x);\n'}, 'a.c:2')
        self.refused('checks', {'src/base/a.c': '/* TO' + 'DO */'}, 'a.c:1')


if __name__ == '__main__':
    unittest.main()
