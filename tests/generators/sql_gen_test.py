#!/usr/bin/python3
"""tools/sql_gen.py: what it writes, and what it says about wrong input."""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
IDS = os.path.join(ROOT, "src", "base", "ids.def")


def generate(files):
    """Runs the generator over {name: text}; returns (exit code, stderr, {name: text} of what it wrote)."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        out = os.path.join(folder, "out")
        run = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "sql_gen.py"), "--ids", IDS, "--root", folder,
                              "--out-dir", out, *(os.path.join(folder, name) for name in files)],
                             capture_output=True, text=True, check=False)
        written = {}
        for name in os.listdir(out) if os.path.isdir(out) else []:
            with open(os.path.join(out, name), encoding="utf-8") as file:
                written[name] = file.read()
        return run.returncode, run.stderr, written


def sql_of(body, params="a int4"):
    """The statement that the C holds for a query with that body."""
    code, errors, written = generate({"x.sql": f"-- name: q({params}) :exec\n{body}"})
    assert code == 0, errors
    text = written["x_sql.c"].split(".sql = ")[1].split(",\n        .param_count")[0]
    return "".join(line.strip()[1:-1] for line in text.split("\n")).replace('\\"', '"').replace("\\\\", "\\")


class Parameters(unittest.TestCase):
    """:name is found where SQL has an operand, and nowhere else."""

    def test_by_declared_position_each_use(self):
        self.assertEqual(sql_of("SELECT :b, :a, :b;", "a int4, b text"), "SELECT $2, $1, $2\\n")

    def test_not_in_strings_identifiers_comments_dollar_quotes(self):
        for text in ["':b'", "'it''s :b'", "E'\\' :b'", "e'\\\\'", '":b"', '"x""\':b"', "$$ :b $$", "$x$ $$ :b $x$", "U&':b'",
                     "b::text", "12::int"]:
            self.assertEqual(sql_of(f"SELECT {text}, :a;"), f"SELECT {text}, $1\\n")
        for comment in ["-- it's :b\n", "/* :b /* ' */ \" :c */"]:
            self.assertNotIn(":", sql_of(f"SELECT {comment} 1, :a;"))

    def test_a_semicolon_in_a_string_does_not_end_the_query(self):
        self.assertEqual(sql_of("SELECT ';', $$;$$, \";\", :a;"), "SELECT ';', $$;$$, \";\", $1\\n")

    def test_before_a_cast(self):
        self.assertEqual(sql_of("SELECT :a::int8, (:a)::text;"), "SELECT $1::int8, ($1)::text\\n")

    def test_slices_of_arrays(self):
        self.assertEqual(sql_of("SELECT x[1:n], x[:a], x[:a:n], x[n : :a], ARRAY[:a, :a], x[f(:a):2], x[a:b];"),
                         "SELECT x[1:n], x[$1], x[$1:n], x[n : $1], ARRAY[$1, $1], x[f($1):2], x[a:b]\\n")

    def test_named_arguments(self):
        self.assertEqual(sql_of("SELECT make_interval(days := :a, hours => :a);"),
                         "SELECT make_interval(days := $1, hours => $1)\\n")


class Output(unittest.TestCase):
    def test_header(self):
        code, errors, written = generate({"orders.sql": """
-- One order.
-- name: order_show(order_id order_id, since timestamptz?, tags text[], default bool) :one
-- returns: state text, n int8?, ids order_id[], holes int4?[],
--   register json
SELECT :order_id, :since, :tags, :default;

-- name: order_list() :many
-- returns: id order_id
SELECT id FROM orders;

-- name: order_touch(id order_id) :exec
UPDATE orders SET touched = true WHERE id = :id;
"""})
        self.assertEqual((code, errors), (0, ""))
        self.assertEqual(written["orders_sql.h"], """\
/* Generated from orders.sql by tools/sql_gen.py; edit that file, not this one. */
#ifndef CATHAY_ORDERS_SQL_H
#define CATHAY_ORDERS_SQL_H

#include "pg/pg_codec.h"

/* One order. */
struct order_show_args {
    struct order_id order_id;
    struct opt_int64 since;
    struct str_array tags;
    bool default_;
};
struct order_show_row {
    struct str state;
    struct opt_int64 n;
    struct order_id_array ids;
    struct opt_int32_array holes;
    struct str register_;
};
extern const struct pg_query order_show_query;
enum error_code order_show(struct pg *db, struct arena *arena, struct order_show_args args, struct order_show_row *row, bool *found);
enum error_code order_show_queue(struct pg *db, struct order_show_args args);
enum error_code order_show_fetch(struct pg *db, struct arena *arena, struct order_show_row *row, bool *found);

struct order_list_row {
    struct order_id id;
};
struct order_list_rows {
    struct order_list_row *items;
    size_t count;
};
extern const struct pg_query order_list_query;
enum error_code order_list(struct pg *db, struct arena *arena, struct order_list_rows *rows);
enum error_code order_list_queue(struct pg *db);
enum error_code order_list_fetch(struct pg *db, struct arena *arena, struct order_list_rows *rows);

struct order_touch_args {
    struct order_id id;
};
extern const struct pg_query order_touch_query;
enum error_code order_touch(struct pg *db, struct order_touch_args args, int64_t *affected);
enum error_code order_touch_queue(struct pg *db, struct order_touch_args args);
enum error_code order_touch_fetch(struct pg *db, int64_t *affected);

#endif
""")

    def test_catalogue_names_every_query_of_every_file(self):
        _, _, written = generate({"a.sql": "-- name: one() :exec\nSELECT 1;", "b.sql": "-- name: two() :exec\nSELECT 2;"})
        self.assertIn("#define SQL_STATEMENT_COUNT 2\n", written["sql_catalogue.h"])
        self.assertIn("    &one_query,\n    &two_query,\n", written["sql_catalogue.c"])

    def test_place_is_the_name_line(self):
        _, _, written = generate({"a.sql": "\n\n-- why\n-- name: one() :exec\nSELECT 1;"})
        self.assertIn('.file = "a.sql",\n        .line = 4,', written["a_sql.c"])


class Wrong(unittest.TestCase):
    """Each wrong input and the line and reason that are told."""

    CASES = [
        ("-- name: q(a int4)\nSELECT :a;", 1, "query 'q' has no kind: add :one, :many or :exec"),
        ("-- name: q(a int4) :all\nSELECT :a;", 1, "query 'q' has the unknown kind ':all': use :one, :many or :exec"),
        ("-- name: q :exec\nSELECT 1;", 1, "expected '-- name: query(parameter type, ...) :one', found 'q :exec'"),
        ("-- name: q(a integer) :exec\nSELECT :a;", 1, "parameter 'a' has the unknown type 'integer'; use int4"),
        ("-- name: q(a thing_id) :exec\nSELECT :a;", 1,
         "parameter 'a' has the unknown type 'thing_id'; known are bool, int2, int4, int8, text, json, jsonb, bytea, uuid,"
         " timestamptz and the kinds of ids.def"),
        ("-- name: q(a) :exec\nSELECT :a;", 1, "parameter 'a' should be a name and a type, as in 'order_id order_id'"),
        ("-- name: q(a int4, a int4) :exec\nSELECT :a;", 1, "parameter 'a' appears twice"),
        ("-- name: q(a int4,) :exec\nSELECT :a;", 1, "an empty parameter between commas"),
        ("-- name: q(a int4??) :exec\nSELECT :a;", 1, "parameter 'a' has a malformed type 'int4??'"),
        ("-- name: q(A int4) :exec\nSELECT :A;", 1,
         "parameter name 'A' should be lower case letters, digits and underscores"),
        ("-- name: q(a int4, b int4) :exec\nSELECT :a;", 1, "query 'q' never uses its parameter :b"),
        ("-- name: q(a int4) :exec\nSELECT :a,\n  :c;", 3, "query 'q' uses :c, which is not among its parameters (a)"),
        ("-- name: q(a int4) :exec\nSELECT $1;", 2, "write :name instead of $1"),
        ("-- name: q() :one\nSELECT 1;", 1, "query 'q' is :one but has no '-- returns:' line"),
        ("-- name: q() :many\nSELECT 1;", 1, "query 'q' is :many but has no '-- returns:' line"),
        ("-- name: q() :exec\n-- returns: a int4\nSELECT 1;", 2,
         "query 'q' is :exec and cannot return columns: use :one or :many"),
        ("-- name: q() :one\n-- return: a int4\nSELECT 1;", 2, "'return:' is not known here; columns are told by '-- returns:'"),
        ("-- name: q() :one\n-- returns: a int4\n-- returns: b int4\nSELECT 1;", 3,
         "query 'q' has two 'returns:' lines; end a long one with a comma to go on in the next"),
        ("-- name: q() :one\n-- returns: a int4, a text\nSELECT 1;", 2, "column 'a' appears twice"),
        ("-- name: q() :one\n-- returns: a float8\nSELECT 1;", 2,
         "column 'a' has the unknown type 'float8'; known are bool, int2, int4, int8, text, json, jsonb, bytea, uuid,"
         " timestamptz and the kinds of ids.def"),
        ("-- name: q() :exec\nSELECT 1", 1, "query 'q' does not end with ';'"),
        ("-- name: q() :exec\nSELECT 1\n-- name: r() :exec\nSELECT 2;", 3, "query 'q' (line 1) does not end with ';'"),
        ("-- name: q() :exec\n-- name: r() :exec\nSELECT 2;", 1, "query 'q' has no SQL"),
        ("-- name: q() :exec\n;", 1, "query 'q' has no SQL"),
        ("SELECT 1;", 1, "'SELECT' stands outside a query: a query begins with '-- name:' and ends with its ';'"),
        ("-- name: q() :exec\nSELECT 1; SELECT 2;", 2,
         "'SELECT' stands outside a query: a query begins with '-- name:' and ends with its ';'"),
        ("-- name: q() :exec\nSELECT\n'abc;", 3, "string ' is never closed"),
        ("-- name: q() :exec\nSELECT /* ;", 2, "comment /* is never closed"),
        ("-- name: q() :exec\nSELECT $a$ ;", 2, "dollar quote $a$ is never closed"),
        ("-- name: q() :exec\nSELECT (1;", 1, "query 'q' leaves a '(' open"),
        ("-- name: q() :exec\nSELECT 1);", 2, "')' closes nothing"),
        ("-- name: Q() :exec\nSELECT 1;", 1, "query name 'Q' should be a C identifier in lower case"),
        ("-- name: q() :exec now\nSELECT 1;", 1, "unexpected 'now' after :exec"),
    ]

    def test_messages(self):
        for text, line, reason in self.CASES:
            with self.subTest(text=text):
                code, errors, written = generate({"x.sql": text})
                self.assertEqual((code, errors), (1, f"x.sql:{line}: {reason}\n"))
                self.assertEqual(written, {})

    def test_the_same_name_in_two_files(self):
        text = "-- name: q() :exec\nSELECT 1;"
        _, errors, _ = generate({"a.sql": text, "b.sql": "\n" + text})
        self.assertEqual(errors, "b.sql:2: query 'q' is also at a.sql:1\n")

    def test_faults_of_several_files_are_told_together(self):
        _, errors, _ = generate({"a.sql": "SELECT", "b.sql": "-- name: q() :exec\n"})
        self.assertEqual(errors.count("\n"), 2)


if __name__ == "__main__":
    unittest.main()
