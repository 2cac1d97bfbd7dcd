#!/usr/bin/python3
"""The house rules that a script can check. usage: check_layers.py [--report] [--root DIR]

Prints each breach as file:line: what is wrong. --report: a line "ok RULE" or "not ok RULE: BREACH" each, for ./test.
Exit status 0: none, 1: some.
"""
import os
import re
import subprocess
import sys

# Who may include whom, by folder of src/. A folder may always include itself.
INFRASTRUCTURE = {
    'base': (),
    'pg': ('base',),
    'redis': ('base',),
    'work': ('base', 'pg', 'redis'),
    'http': ('base', 'pg', 'redis', 'work'),
    'sandbox': ('base', 'pg', 'http'),
}
# Modules of the shop, from the bottom. A module sees the levels below its own; what has to run the other way is an event.
LEVELS = (
    ('accounts', 'catalog'),
    ('inventory', 'pricing', 'loyalty'),
    ('cart', 'orders'),
    ('payments', 'shipping', 'sale'),
    ('checkout',),
    ('notify', 'admin', 'demo'),
)
LEVEL_OF = {module: level for level, modules in enumerate(LEVELS) for module in modules}

# The checkout engine sends the queries of the modules below it in one pipeline, so that a batch is two round trips: it is lent
# their generated functions, in these files alone.
QUERIES_LENT = re.compile(r'src/shop/checkout/batch\w*\.c$')

# What public functions of a module begin with, beside the module's own name and that of the header.
WORDS = {
    'accounts': ('user', 'session', 'token', 'password', 'refresh', 'jwks'),
    'catalog': ('product', 'variant', 'category', 'vendor', 'media', 'search'),
    'inventory': ('stock', 'reservation', 'location', 'movement'),
    'pricing': ('price',),
    'loyalty': ('points', 'miles', 'ledger', 'transfer', 'policy'),
    'notify': ('mail', 'template', 'order_mail'),
    'orders': ('fulfilment',),
    'payments': ('stripe', 'refund'),
    'shipping': ('easypost', 'carrier', 'shipment', 'parcel'),
}

# SQL belongs into .sql files. These may speak of transactions and settings, make a schema before there is one, or are the
# reviewed builder.
SQL_ALLOWED = ('src/pg/', 'src/sandbox/sandbox.c')
SQL_TEXT = re.compile(r'\b(SELECT\s+[\w*:(]|INSERT\s+INTO\s+\w|UPDATE\s+\w+\s+SET\b|DELETE\s+FROM\s+\w|CREATE\s+(TABLE|INDEX)\b|'
                      r'ALTER\s+TABLE\b|TRUNCATE\s+\w|MERGE\s+INTO\b)')

MACHINE_PATH = re.compile(r'(?<![\w.$}])/(work|root|home/[a-z][\w-]*)/[\w.-]')
REGISTRY_HOST = re.compile(r'(registry\.[a-z-]+\.(org|com|io)|deb\.debian\.org)')
FILE_LINES_MAX = 800


def strip_comments(text):
    """C text with comments blanked, lines kept."""
    def blank(match):
        found = match[0]
        return re.sub(r'[^\n]', ' ', found) if found.startswith('/') else found
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def strip_strings(text):
    return re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)


def string_literals(text):
    """(line, joined text) of string literals; those that the compiler joins are joined."""
    for match in re.finditer(r'"(?:\\.|[^"\\\n])*"(?:\s*"(?:\\.|[^"\\\n])*")*', text):
        line = text.count('\n', 0, match.start()) + 1
        yield line, ''.join(re.findall(r'"((?:\\.|[^"\\\n])*)"', match[0]))


class Tree:
    """The project's files and their texts."""

    def __init__(self, root):
        self.root = root
        listed = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=root, capture_output=True, text=True,
                                check=False)
        if listed.returncode == 0:
            names = listed.stdout.split('\n')
        else:
            names = [os.path.relpath(os.path.join(directory, name), root)
                     for directory, _, found in os.walk(root) for name in found]
        self.names = sorted(name for name in names if name and os.path.isfile(os.path.join(root, name)))
        self.texts = {}

    def text(self, name):
        if name not in self.texts:
            with open(os.path.join(self.root, name), errors='replace') as file:
                self.texts[name] = file.read()
        return self.texts[name]

    def c_files(self):
        return [name for name in self.names if name.startswith('src/') and name.endswith(('.c', '.h'))]

    def folders(self):
        return {os.path.dirname(name) for name in self.c_files()}


def folder_of(name):
    """src/shop/orders/x.c → ('shop', 'orders'); src/http/x.c → ('http', None)."""
    parts = name.split('/')
    if len(parts) > 1 and parts[1] == 'shop' and len(parts) > 3:
        return 'shop', parts[2]
    return parts[1] if len(parts) > 2 else None, None


def rule_includes(tree):
    """includes never climb"""
    owner_of_sql = {os.path.basename(name)[:-4] + '_sql.h': os.path.dirname(name) for name in tree.names if name.endswith('.sql')}
    for name in tree.c_files():
        layer, module = folder_of(name)
        for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', tree.text(name), re.M):
            line = tree.text(name).count('\n', 0, match.start()) + 1
            if name.endswith('_test.c') and match[1].startswith('../../tests/'):
                continue  # a test and its fixture
            fault = include_fault(tree, name, layer, module, match[1], owner_of_sql)
            if fault:
                yield f'{name}:{line}: {fault}'


def include_fault(tree, name, layer, module, header, owner_of_sql):
    if layer == 'app':
        return None
    if header in owner_of_sql:
        owner = folder_of(owner_of_sql[header] + '/x')[1]
        if QUERIES_LENT.search(name) and LEVEL_OF.get(owner, 99) < LEVEL_OF['checkout']:
            return None
        if os.path.dirname(name) != owner_of_sql[header] and not name.endswith('_test.c'):
            return f'{header} holds the queries of {owner_of_sql[header]}; call its public functions'
        return None
    if header == 'cathay_version.h':
        return None
    if header in ('api.h', 'sql_catalogue.h'):
        if layer in ('http', 'sandbox', 'shop') or header == 'sql_catalogue.h':
            return None
        return f'{header} is for src/http, the sandbox and the shop'
    if '/' not in header:
        return f'"{header}": includes are written from src/'
    parts = header.split('/')
    target = parts[0]
    if target == 'app':
        return f'{header}: only src/app knows src/app'
    if target == 'shop':
        return shop_include_fault(layer, module, parts, header)
    if layer == 'shop':
        return f'{header}: the shop does not know the sandbox' if target == 'sandbox' else None
    if target != layer and target not in INFRASTRUCTURE.get(layer, ()):
        return f'{header}: src/{layer} may not include src/{target}'
    if 'src/' + header not in tree.names:
        return f'{header}: there is no such file'
    return None


def shop_include_fault(layer, module, parts, header):
    if layer != 'shop':
        return f'{header}: src/{layer} lies below the shop'
    target = parts[1]
    if target == module:
        return None
    if target not in LEVEL_OF or module not in LEVEL_OF:
        return f'{header}: module {target if target not in LEVEL_OF else module} is not listed in LEVELS of tools/check_layers.py'
    if LEVEL_OF[target] >= LEVEL_OF[module]:
        return f'{header}: {module} may not include {target}, which is not below it; use an event'
    if parts[2] != f'{target}.h':
        return f'{header} is private to {target}; its public header is shop/{target}/{target}.h'
    return None


def rule_sql(tree):
    """SQL stands in .sql files"""
    for name in tree.c_files():
        if name.startswith(SQL_ALLOWED) or name.endswith('_test.c'):
            continue
        for line, text in string_literals(strip_comments(tree.text(name))):
            if SQL_TEXT.search(text):
                yield f'{name}:{line}: SQL in C; make it a named query in a .sql file'


def singular(word):
    return word[:-1] if word.endswith('s') else word


def rule_prefixes(tree):
    """public functions carry their module's name"""
    for name in tree.c_files():
        layer, module = folder_of(name)
        if layer != 'shop' or not name.endswith('.h'):
            continue
        stem = os.path.basename(name)[:-2]
        allowed = {module, singular(module), stem, singular(stem), stem.split('_')[0], *WORDS.get(module, ())}
        text = strip_strings(strip_comments(tree.text(name)))
        text = re.sub(r'^\s*#(?:\\\n|[^\n])*', lambda match: re.sub(r'[^\n]', ' ', match[0]), text, flags=re.M)
        for match in re.finditer(r'^(?!static|typedef)[a-z_][\w \t*]*[ *]([a-z_]\w*)\([^;{]*\)[^;{}]*;', text, re.M):
            if match[1].split('_')[0] not in allowed and not any(match[1].startswith(word + '_') for word in allowed):
                line = text.count('\n', 0, match.start(1)) + 1
                yield f'{name}:{line}: {match[1]} should begin with the name of its module ({", ".join(sorted(allowed))})'


def rule_error_codes(tree):
    """every error code of error_codes.def is used"""
    table = 'src/base/error_codes.def'
    if table not in tree.names:
        return
    used = set()
    for name in tree.c_files():
        used |= set(re.findall(r'\bERR_([A-Z_]+)\b', tree.text(name)))
    for match in re.finditer(r'^ERROR_CODE\((\w+)', tree.text(table), re.M):
        if match[1] not in used:
            line = tree.text(table).count('\n', 0, match.start()) + 1
            yield f'{table}:{line}: nothing uses ERR_{match[1]}'


def rule_settings(tree):
    """every setting of settings.def is read"""
    table = 'src/base/settings.def'
    if table not in tree.names:
        return
    read = set()
    for name in tree.c_files():
        if not name.startswith('src/base/config.') and not name.endswith('_test.c'):
            read |= set(re.findall(r'->\s*(\w+)', strip_strings(strip_comments(tree.text(name)))))
    for match in re.finditer(r'^SETTING_\w+\((\w+)', tree.text(table), re.M):
        if match[1] not in read:
            line = tree.text(table).count('\n', 0, match.start()) + 1
            yield f'{table}:{line}: nothing reads the setting {match[1]}'


def rule_queries(tree):
    """every named query is called"""
    called, pasted = set(), set()
    for name in tree.c_files():
        if name.endswith('_test.c'):
            continue
        text = strip_strings(strip_comments(tree.text(name)))
        words = set(re.findall(r'\w+', text))
        called |= words
        for prefix in re.findall(r'\b(\w+)##', text):  # a macro puts the name together from its argument
            pasted |= {prefix + word for word in words}
    for name in tree.names:
        if not name.startswith('src/') or not name.endswith('.sql'):
            continue
        for match in re.finditer(r'^-- name:\s*(\w+)', tree.text(name), re.M):
            query = match[1]
            if not {query, query + '_queue', query + '_fetch'} & called and query not in pasted:
                yield f'{name}:{tree.text(name).count(chr(10), 0, match.start()) + 1}: nothing calls the query {query}'


def rule_machine_paths(tree):
    """no paths of a machine, no registry hosts"""
    for name in tree.names:
        if name in ('LICENSE', 'tools/check_layers.py', 'tests/layers/check_layers_test.py') or \
                name.endswith(('.png', '.jpg', '.svg', '.ico', '.woff2')):
            continue
        for number, line in enumerate(tree.text(name).split('\n'), 1):
            if MACHINE_PATH.search(line):
                yield f'{name}:{number}: a path of one machine'
            if REGISTRY_HOST.search(line):
                yield f'{name}:{number}: a registry host'


def rule_readmes(tree):
    """each module and each folder of the infrastructure has a README"""
    wanted = {folder for folder in tree.folders() if folder.startswith('src/shop/')}
    wanted |= {f'src/{layer}' for layer in INFRASTRUCTURE if f'src/{layer}' in tree.folders()}
    for folder in sorted(wanted):
        if folder + '/README.md' not in tree.names:
            yield f'{folder}/README.md: is missing'


def rule_lengths(tree):
    """files stay under 800 lines, or say why not (a line with "Length:")"""
    for name in tree.c_files():
        lines = tree.text(name).count('\n')
        if lines > FILE_LINES_MAX and 'Length:' not in tree.text(name):
            yield f'{name}: {lines} lines; split it by operation'


def rule_floating_point(tree):
    """no floating point in the shop nor in base/money"""
    for name in tree.c_files():
        if not name.startswith(('src/shop/', 'src/base/money')):
            continue
        text = strip_strings(strip_comments(tree.text(name)))
        for match in re.finditer(r'\b(double|float)\b', text):
            yield f'{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[1]} near money'


def rule_checks(tree):
    """CHECK stays on in production; assert does not, and nothing is left to do"""
    for name in tree.c_files():
        if name.endswith('_test.c'):
            continue
        text = strip_strings(strip_comments(tree.text(name)))
        for match in re.finditer(r'(?<![\w.])assert\s*\(', text):
            yield f'{name}:{text.count(chr(10), 0, match.start()) + 1}: assert(); CHECK() stays on in production'
        for match in re.finditer(r'\b(TODO|FIXME|XXX)\b', tree.text(name)):
            yield f'{name}:{tree.text(name).count(chr(10), 0, match.start()) + 1}: {match[1]}'


RULES = {
    'includes': rule_includes,
    'sql': rule_sql,
    'prefixes': rule_prefixes,
    'error-codes': rule_error_codes,
    'settings': rule_settings,
    'queries': rule_queries,
    'machine-paths': rule_machine_paths,
    'readmes': rule_readmes,
    'lengths': rule_lengths,
    'floating-point': rule_floating_point,
    'checks': rule_checks,
}


def main():
    arguments = sys.argv[1:]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if '--root' in arguments:
        root = arguments[arguments.index('--root') + 1]
    report = '--report' in arguments
    tree = Tree(root)
    breaches = 0
    for name, rule in RULES.items():
        found = list(rule(tree))
        breaches += len(found)
        for breach in found:
            print(f'not ok {name}: {breach}' if report else breach)
        if report and not found:
            print(f'ok {name}: {rule.__doc__}')
    return 1 if breaches else 0


if __name__ == '__main__':
    sys.exit(main())
