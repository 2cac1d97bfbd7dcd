#!/usr/bin/python3
"""Named queries in .sql files become typed C functions.

    sql_gen.py --ids src/base/ids.def --out-dir DIR [--root DIR] [--depfile FILE] file.sql ...

writes x_sql.h and x_sql.c for every x.sql, and sql_catalogue.h and sql_catalogue.c over all of them. The language is
described in docs/architecture.md, "The SQL generator". Functions are thin: they hand tables of fields to pg/pg_codec.c,
which does the encoding and decoding. The generator does not understand SQL beyond its lexical rules, which it needs in
order to find parameters and the end of a statement; `cathay sql-check` lets PostgreSQL judge the rest.
"""
import argparse
import os
import re
import sys

PARAMS_MAX = 64  # PG_PARAMS_MAX in pg/pg_codec.h

C_KEYWORDS = set("""auto break case char const continue default do double else enum extern float for goto if inline int
long register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while asm
typeof bool true false NULL""".split())

# name in the file: (enum pg_type, C type, C type when it may be NULL, array's C type, OID, OID of the array)
STRUCT_STR = ("struct str", "struct str", "struct str_array")
BASE_TYPES = {
    "bool": ("BOOL", "bool", "struct opt_bool", "struct bool_array", 16, 1000),
    "int2": ("INT2", "int16_t", "struct opt_int16", "struct int16_array", 21, 1005),
    "int4": ("INT4", "int32_t", "struct opt_int32", "struct int32_array", 23, 1007),
    "int8": ("INT8", "int64_t", "struct opt_int64", "struct int64_array", 20, 1016),
    "text": ("TEXT", *STRUCT_STR, 25, 1009),
    "json": ("JSON", *STRUCT_STR, 114, 199),
    "jsonb": ("JSONB", *STRUCT_STR, 3802, 3807),
    "bytea": ("BYTEA", *STRUCT_STR, 17, 1001),
    "uuid": ("UUID", "struct uuid", "struct opt_uuid", "struct uuid_array", 2950, 2951),
    "timestamptz": ("TIMESTAMPTZ", "int64_t", "struct opt_int64", "struct int64_array", 1184, 1185),
}
OPTIONAL_ARRAYS = {
    "bool": "opt_bool", "int2": "opt_int16", "int4": "opt_int32", "int8": "opt_int64", "timestamptz": "opt_int64",
    "uuid": "opt_uuid",
}


class Wrong(Exception):
    """The input is wrong: said as file:line: reason."""

    def __init__(self, path, line, reason):
        super().__init__(f"{path}:{line}: {reason}")


class Field:
    """A parameter or a column: `note text?`."""

    def __init__(self, name, base, id_kind, array, nullable, item_nullable):
        self.name = name
        self.c_name = name + "_" if name in C_KEYWORDS else name
        self.base = base
        self.id_kind = id_kind
        self.array = array
        self.nullable = nullable
        self.item_nullable = item_nullable

    @property
    def oid(self):
        return BASE_TYPES[self.base][5 if self.array else 4]

    @property
    def pg_type(self):
        return "PG_TYPE_" + BASE_TYPES[self.base][0]

    @property
    def sql_type(self):
        return self.base + ("[]" if self.array else "")

    @property
    def c_type(self):
        _, plain, optional, array, _, _ = BASE_TYPES[self.base]
        if self.id_kind:
            plain, optional = f"struct {self.id_kind}_id", f"struct opt_{self.id_kind}_id"
            array = f"struct {self.id_kind}_id_array"
        if self.array:
            if self.item_nullable and optional != "struct str":
                inner = f"opt_{self.id_kind}_id" if self.id_kind else OPTIONAL_ARRAYS[self.base]
                return f"struct {inner}_array"
            return array
        return optional if self.nullable else plain

    @property
    def flags(self):
        names = [("PG_FIELD_NULLABLE", self.nullable), ("PG_FIELD_ARRAY", self.array),
                 ("PG_FIELD_ITEM_NULLABLE", self.item_nullable)]
        return " | ".join(name for name, is_set in names if is_set) or "0"


class Query:
    def __init__(self, path, line, name):
        self.path = path
        self.line = line
        self.name = name
        self.kind = None
        self.params = []
        self.columns = []
        self.doc = []
        self.sql = ""


# ---- lexical structure of PostgreSQL's SQL ----

TOKEN = re.compile(r"""
    (?P<space>\s+)
  | (?P<line_comment>--[^\n]*)
  | (?P<block_comment>/\*)
  | (?P<escape_string>[eE]')
  | (?P<string>')
  | (?P<quoted>")
  | (?P<dollar>\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$)
  | (?P<positional>\$[0-9]+)
  | (?P<word>[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*)
  | (?P<number>[0-9][0-9A-Za-z_.]*)
  | (?P<cast>::)
  | (?P<assign>:=)
  | (?P<param>:[A-Za-z_][A-Za-z0-9_]*)
  | (?P<open>[\[(])
  | (?P<close>[\])])
  | (?P<end>;)
  | (?P<other>.)
""", re.X | re.S)


def closing(path, text, start, at, kind, lexeme):
    """Where the string, quoted identifier, block comment or dollar quote that opens at `start` is over."""
    line = text.count("\n", 0, start) + 1
    if kind == "block_comment":
        depth, at = 1, start + 2
        while depth:
            found = re.compile(r"/\*|\*/").search(text, at)
            if not found:
                raise Wrong(path, line, "comment /* is never closed")
            depth += 1 if found.group() == "/*" else -1
            at = found.end()
        return at
    if kind == "dollar":
        end = text.find(lexeme, at)
        if end < 0:
            raise Wrong(path, line, f"dollar quote {lexeme} is never closed")
        return end + len(lexeme)
    pattern = {"string": r"(?:[^']|'')*'", "escape_string": r"(?:[^'\\]|''|\\.)*'", "quoted": r'(?:[^"]|"")*"'}[kind]
    found = re.compile(pattern, re.S).match(text, at)
    if not found:
        what = 'quoted identifier "' if kind == "quoted" else "string '"
        raise Wrong(path, line, f"{what} is never closed")
    return found.end()


def tokens(path, text):
    """Yields (kind, lexeme, line)."""
    at, line = 0, 1
    while at < len(text):
        found = TOKEN.match(text, at)
        kind, end = found.lastgroup, found.end()
        if kind in ("block_comment", "escape_string", "string", "quoted", "dollar"):
            end = closing(path, text, at, end, kind, found.group())
            kind = "comment" if kind == "block_comment" else "literal"
        lexeme = text[at:end]
        yield kind, lexeme, line
        line += lexeme.count("\n")
        at = end


# ---- a file ----

NAME_HEADER = re.compile(r"--\s*name:\s*(.*)$", re.S)
RETURNS_HEADER = re.compile(r"--\s*returns:\s*(.*)$", re.S)
NEARLY_HEADER = re.compile(r"--\s*((?:return|retun|reutrn|column|param|arg)\w*)\s*:", re.I)
TYPE = re.compile(r"([a-z_][a-z0-9_]*)(\?)?(?:(\[\])(\?)?)?$")
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*$")


class Reader:
    """Reads one file into queries."""

    def __init__(self, path, shown_path, id_kinds):
        self.path = shown_path
        self.id_kinds = id_kinds
        with open(path, encoding="utf-8") as file:
            self.text = file.read()
        self.queries = []

    def wrong(self, line, reason):
        return Wrong(self.path, line, reason)

    def field(self, text, line, what):
        parts = text.split()
        if len(parts) != 2:
            raise self.wrong(line, f"{what} '{text.strip()}' should be a name and a type, as in 'order_id order_id'")
        name, type_text = parts
        if not IDENTIFIER.match(name):
            raise self.wrong(line, f"{what} name '{name}' should be lower case letters, digits and underscores")
        match = TYPE.match(type_text)
        if not match:
            raise self.wrong(line, f"{what} '{name}' has a malformed type '{type_text}'")
        base, first_mark, array, second_mark = match.groups()
        id_kind = None
        if base not in BASE_TYPES:
            if not base.endswith("_id") or base[:-3] not in self.id_kinds:
                hint = {"int": "int4", "integer": "int4", "bigint": "int8", "smallint": "int2", "boolean": "bool",
                        "varchar": "text", "char": "text", "timestamp": "timestamptz",
                        "numeric": "int8 of minor units"}.get(base)
                tail = f"; use {hint}" if hint else f"; known are {', '.join(BASE_TYPES)} and the kinds of ids.def"
                raise self.wrong(line, f"{what} '{name}' has the unknown type '{base}'{tail}")
            base, id_kind = "uuid", base[:-3]
        if array:
            return Field(name, base, id_kind, True, bool(second_mark), bool(first_mark))
        return Field(name, base, id_kind, False, bool(first_mark), False)

    def fields(self, text, line, what):
        fields = []
        if text.strip():
            for part in text.split(","):
                if not part.strip():
                    raise self.wrong(line, f"an empty {what} between commas")
                field = self.field(part, line, what)
                if any(other.name == field.name for other in fields):
                    raise self.wrong(line, f"{what} '{field.name}' appears twice")
                fields.append(field)
        return fields

    def name_header(self, text, line):
        match = re.match(r"([^\s(]+)\s*\(([^)]*)\)\s*(\S+)?\s*(.*)$", text, re.S)
        if not match:
            raise self.wrong(line, f"expected '-- name: query(parameter type, ...) :one', found '{text.strip()}'")
        name, params, kind, rest = match.groups()
        if not IDENTIFIER.match(name) or name in C_KEYWORDS:
            raise self.wrong(line, f"query name '{name}' should be a C identifier in lower case")
        if kind is None:
            raise self.wrong(line, f"query '{name}' has no kind: add :one, :many or :exec")
        if kind not in (":one", ":many", ":exec"):
            raise self.wrong(line, f"query '{name}' has the unknown kind '{kind}': use :one, :many or :exec")
        if rest.strip():
            raise self.wrong(line, f"unexpected '{rest.strip()}' after {kind}")
        query = Query(self.path, line, name)
        query.kind = kind[1:]
        query.params = self.fields(params, line, "parameter")
        if len(query.params) > PARAMS_MAX:
            raise self.wrong(line, f"query '{name}' has more than {PARAMS_MAX} parameters: pass arrays")
        return query

    def read(self):
        stream = list(tokens(self.path, self.text))
        at, doc = 0, []
        while at < len(stream):
            kind, lexeme, line = stream[at]
            at += 1
            if kind == "space":
                if lexeme.count("\n") > 1:
                    doc = []
            elif kind == "line_comment":
                match = NAME_HEADER.match(lexeme)
                if match:
                    at = self.query(stream, at, match.group(1), line, doc)
                    doc = []
                else:
                    doc.append(lexeme[2:].strip())
            elif kind != "comment":
                raise self.wrong(line, f"'{lexeme.split()[0]}' stands outside a query: a query begins with '-- name:'"
                                       " and ends with its ';'")
        return self.queries

    def query(self, stream, at, header, line, doc):
        """Reads from behind the name header; returns where the next query may begin."""
        returns, returns_line, query = None, line, None
        header_lines = header
        while True:
            if query is None and header_lines.count("(") <= header_lines.count(")") and \
                    (re.search(r":\w+\s*$", header_lines) or not self.continues(stream, at)):
                query = self.name_header(header_lines, line)
            while at < len(stream) and stream[at][0] == "space":
                at += 1
            if at == len(stream) or stream[at][0] != "line_comment":
                break
            comment, comment_line = stream[at][1], stream[at][2]
            match = RETURNS_HEADER.match(comment)
            if query is None:
                if match or NAME_HEADER.match(comment):
                    query = self.name_header(header_lines, line)
                    continue
                header_lines += " " + comment[2:].strip()
            elif match:
                if returns is not None:
                    raise self.wrong(comment_line, f"query '{query.name}' has two 'returns:' lines; end a long one"
                                                   " with a comma to go on in the next")
                returns, returns_line = match.group(1).strip(), comment_line
            elif returns is not None and returns.endswith(","):
                returns += " " + comment[2:].strip()
            elif NAME_HEADER.match(comment):
                raise self.wrong(line, f"query '{query.name}' has no SQL")
            elif NEARLY_HEADER.match(comment):
                found = NEARLY_HEADER.match(comment).group(1)
                raise self.wrong(comment_line, f"'{found}:' is not known here; columns are told by '-- returns:'")
            else:
                query.doc.append(comment[2:].strip())
            at += 1
        if query is None:
            query = self.name_header(header_lines, line)
        query.doc = doc + query.doc
        if returns is not None:
            if returns.endswith(","):
                raise self.wrong(returns_line, f"'returns:' of query '{query.name}' ends with a comma")
            query.columns = self.fields(returns, returns_line, "column")
        if query.kind == "exec" and query.columns:
            raise self.wrong(returns_line, f"query '{query.name}' is :exec and cannot return columns: use :one or :many")
        if query.kind != "exec" and not query.columns:
            raise self.wrong(line, f"query '{query.name}' is :{query.kind} but has no '-- returns:' line")
        at = self.body(stream, at, query)
        self.queries.append(query)
        return at

    @staticmethod
    def continues(stream, at):
        """Whether the next line is a comment that can go on with a name header."""
        while at < len(stream) and stream[at][0] == "space":
            at += 1
        return at < len(stream) and stream[at][0] == "line_comment" and re.match(r"--\s*:\w+\s*$", stream[at][1])

    def body(self, stream, at, query):
        """The SQL up to its ';', with :name turned into $n."""
        numbers = {field.name: number for number, field in enumerate(query.params, 1)}
        used, out, brackets = set(), [], []
        # Inside a subscript a ':' behind an operand belongs to a slice (a[1:n]); everywhere else it opens a parameter.
        operand_before, word = False, None
        ended = False
        while at < len(stream):
            kind, lexeme, line = stream[at]
            at += 1
            if kind == "end":
                ended = True
                break
            if kind == "line_comment":
                if NAME_HEADER.match(lexeme):
                    raise self.wrong(line, f"query '{query.name}' (line {query.line}) does not end with ';'")
                continue  # PostgreSQL need not read them, and log lines stay short
            if kind == "comment":
                lexeme = " "
            elif kind == "positional":
                raise self.wrong(line, f"write :name instead of {lexeme}")
            elif kind == "param" and not (brackets and brackets[-1] == "subscript" and operand_before):
                name = lexeme[1:]
                if name not in numbers:
                    raise self.wrong(line, f"query '{query.name}' uses :{name}, which is not among its parameters"
                                           + (f" ({', '.join(numbers)})" if numbers else ""))
                used.add(name)
                lexeme = f"${numbers[name]}"
            elif kind == "open":
                brackets.append("subscript" if lexeme == "[" and operand_before and word != "array" else lexeme)
            elif kind == "close":
                if not brackets or brackets.pop().replace("subscript", "[") + lexeme not in ("()", "[]"):
                    raise self.wrong(line, f"'{lexeme}' closes nothing")
            if kind not in ("space", "comment"):
                operand_before = kind in ("literal", "word", "number", "param", "close")
                word = lexeme.lower() if kind == "word" else None
            out.append(lexeme)
        query.sql = "\n".join(part.rstrip() for part in "".join(out).split("\n") if part.strip()).strip()
        if not ended:
            reason = "does not end with ';'" if query.sql else "has no SQL"
            raise self.wrong(query.line, f"query '{query.name}' {reason}")
        if not query.sql:
            raise self.wrong(query.line, f"query '{query.name}' has no SQL")
        if brackets:
            raise self.wrong(query.line, f"query '{query.name}' leaves a '{brackets[-1].replace('subscript', '[')}' open")
        unused = [field.name for field in query.params if field.name not in used]
        if unused:
            raise self.wrong(query.line, f"query '{query.name}' never uses its parameter :{unused[0]}")
        return at


# ---- C ----

def c_string(text):
    out = []
    for byte in text.encode("utf-8"):
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\n")
        elif char == "\t":
            out.append("\\t")
        elif 32 <= byte < 127 and char != "?":
            out.append(char)
        elif char == "?":
            out.append("?")
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out).replace("??", "?\\?") + '"'


def c_sql(text, indent):
    return ("\n" + indent).join(c_string(line + "\n").replace('\\n"', '\\n"') for line in text.split("\n"))


def struct(name, fields):
    lines = [f"struct {name} {{"]
    lines += [f"    {field.c_type} {field.c_name};" for field in fields]
    return lines + ["};"]


def prototypes(query):
    """(whole, queue, fetch), each without the semicolon."""
    name = query.name
    args = f", struct {name}_args args" if query.params else ""
    if query.kind == "one":
        out, arena = f"struct {name}_row *row, bool *found", ", struct arena *arena"
    elif query.kind == "many":
        out, arena = f"struct {name}_rows *rows", ", struct arena *arena"
    else:
        out, arena = "int64_t *affected", ""
    return (f"enum error_code {name}(struct pg *db{arena}{args}, {out})",
            f"enum error_code {name}_queue(struct pg *db{args})",
            f"enum error_code {name}_fetch(struct pg *db{arena}, {out})")


def header_of(path, stem, queries):
    guard = f"CATHAY_{stem.upper()}_SQL_H"
    out = [f"/* Generated from {path} by tools/sql_gen.py; edit that file, not this one. */", f"#ifndef {guard}",
           f"#define {guard}", "", '#include "pg/pg_codec.h"', ""]
    for query in queries:
        if query.doc:
            text = "\n * ".join(query.doc).replace("*/", "* /")
            out.append(f"/* {text} */")
        if query.params:
            out += struct(f"{query.name}_args", query.params)
        if query.columns:
            out += struct(f"{query.name}_row", query.columns)
        if query.kind == "many":
            out += [f"struct {query.name}_rows {{", f"    struct {query.name}_row *items;", "    size_t count;", "};"]
        out += [f"extern const struct pg_query {query.name}_query;"]
        out += [prototype + ";" for prototype in prototypes(query)] + [""]
    return "\n".join(out + ["#endif", ""])


def field_table(query, fields, what):
    struct_name = f"struct {query.name}_{'args' if what == 'params' else 'row'}"
    out = [f"static const struct pg_field {query.name}_{what}[] = {{"]
    for field in fields:
        out.append(f'    {{"{field.name}", {field.pg_type}, {field.flags}, offsetof({struct_name}, {field.c_name}), '
                   f'{field.oid}}},')
    return out + ["};"]


def functions(query):
    name = query.name
    whole, queue, fetch = prototypes(query)
    args = "&args" if query.params else "NULL"
    queue_call = f"{name}_queue(db{', args' if query.params else ''})"
    if query.kind == "one":
        fetch_call = f"pg_fetch_one(db, &{name}_query, arena, row, found)"
    elif query.kind == "many":
        fetch_call = f"pg_fetch_many(db, &{name}_query, arena, &items, &rows->count)"
    else:
        fetch_call = f"pg_fetch_affected(db, &{name}_query, affected)"
    fetch_name = {"one": "_fetch(db, arena, row, found)", "many": "_fetch(db, arena, rows)",
                  "exec": "_fetch(db, affected)"}[query.kind]
    fetch_body = [f"    return {fetch_call};"]
    if query.kind == "many":
        fetch_body = ["    void *items;", f"    enum error_code code = {fetch_call};", "    rows->items = items;",
                      "    return code;"]
    empty = {"one": "    *found = false;", "many": f"    *rows = (struct {name}_rows){{NULL, 0}};",
             "exec": "    if (affected)\n        *affected = 0;"}[query.kind]
    return [queue, "{", f"    return pg_queue(db, &{name}_query, {args});", "}", "",
            fetch, "{", *fetch_body, "}", "",
            whole, "{", empty, f"    enum error_code code = {queue_call};",
            f"    return code == ERR_OK ? {name}{fetch_name} : code;", "}", ""]


def source_of(path, stem, queries):
    out = [f"/* Generated from {path} by tools/sql_gen.py; edit that file, not this one. */",
           f'#include "{stem}_sql.h"', ""]
    for query in queries:
        for what, fields in (("params", query.params), ("columns", query.columns)):
            if fields:
                out += field_table(query, fields, what)
        if query.params:
            oids = ", ".join(str(field.oid) for field in query.params)
            out.append(f"static const Oid {query.name}_types[] = {{{oids}}};")
        params = f"{query.name}_params" if query.params else "NULL"
        columns = f"{query.name}_columns" if query.columns else "NULL"
        types = f"{query.name}_types" if query.params else "NULL"
        row_size = f"sizeof(struct {query.name}_row)" if query.columns else "0"
        out += [f"static int {query.name}_slot;", f"const struct pg_query {query.name}_query = {{",
                "    .statement = {", f'        .name = "{query.name}",', "        .sql = " + c_sql(query.sql, " " * 15) + ",",
                f"        .param_count = {len(query.params)},", f"        .param_types = {types},",
                f"        .file = {c_string(path)},", f"        .line = {query.line},",
                f"        .slot = &{query.name}_slot,", "    },",
                f"    .params = {params},", f"    .columns = {columns},", f"    .column_count = {len(query.columns)},",
                f"    .row_size = {row_size},", "};", ""]
        out += functions(query)
    return "\n".join(out)


def catalogue(files):
    queries = [query for _, _, queries in files for query in queries]
    header = f"""/* Generated by tools/sql_gen.py: every named query of the program, for `cathay sql-check`. */
#ifndef CATHAY_SQL_CATALOGUE_H
#define CATHAY_SQL_CATALOGUE_H

#include "pg/pg_codec.h"

#define SQL_STATEMENT_COUNT {len(queries)}

extern const struct pg_query *const sql_catalogue[];
extern const size_t sql_catalogue_count;

#endif
"""
    out = ["/* Generated by tools/sql_gen.py. */", '#include "sql_catalogue.h"', ""]
    out += [f"extern const struct pg_query {query.name}_query;" for query in queries]
    out += ["", "const struct pg_query *const sql_catalogue[] = {"]
    out += [f"    &{query.name}_query," for query in queries] or ["    NULL,"]
    out += ["};", f"const size_t sql_catalogue_count = {len(queries)};", ""]
    return header, "\n".join(out)


def write(directory, name, content):
    """Files that did not change keep their time, so that the build leaves alone what includes them."""
    path = os.path.join(directory, name)
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == content:
                return
    except OSError:
        pass
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)


def read_id_kinds(path):
    with open(path, encoding="utf-8") as file:
        return set(re.findall(r"^\s*ID_KIND\(\s*(\w+)\s*,", file.read(), re.M))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--ids", required=True)
    arguments.add_argument("--out-dir", required=True)
    arguments.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))), help="paths in messages are relative to this folder")
    arguments.add_argument("--depfile")
    arguments.add_argument("files", nargs="*")
    options = arguments.parse_args()
    id_kinds = read_id_kinds(options.ids)
    files, seen, stems, failures = [], {}, {}, []
    for path in options.files:
        shown = os.path.relpath(path, options.root)
        stem = os.path.splitext(os.path.basename(path))[0]
        try:
            if stem in stems:
                raise Wrong(shown, 1, f"{stems[stem]} has the same name: both would become {stem}_sql.h")
            stems[stem] = shown
            queries = Reader(path, shown, id_kinds).read()
            for query in queries:
                if query.name in seen:
                    other = seen[query.name]
                    raise Wrong(shown, query.line, f"query '{query.name}' is also at {other.path}:{other.line}")
                seen[query.name] = query
            files.append((shown, stem, queries))
        except Wrong as wrong:
            failures.append(str(wrong))
    if failures:
        print("\n".join(failures), file=sys.stderr)
        return 1
    os.makedirs(options.out_dir, exist_ok=True)
    for shown, stem, queries in files:
        write(options.out_dir, f"{stem}_sql.h", header_of(shown, stem, queries))
        write(options.out_dir, f"{stem}_sql.c", source_of(shown, stem, queries))
    header, source = catalogue(files)
    write(options.out_dir, "sql_catalogue.h", header)
    write(options.out_dir, "sql_catalogue.c", source)
    if options.depfile:
        target = os.path.join(options.out_dir, "sql_catalogue.h")
        with open(options.depfile, "w", encoding="utf-8") as file:
            file.write(f"{target}: {' '.join([options.ids, *options.files])}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
