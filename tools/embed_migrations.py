#!/usr/bin/python3
"""Makes one C file of db/migrations/NNNN_name.sql, so that the program carries its schema with it.

    embed_migrations.py --out migrations.c --depfile migrations.d db/migrations

Refuses names that do not fit, a version that two files share, and a file without SQL. The checksum (SHA-256 of the
bytes) goes with each; pg/migrate.c compares it with what a database says was applied.
"""
import argparse
import hashlib
import os
import re
import sys

NAME = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql$")


def c_string(line):
    out = []
    for byte in line.encode("utf-8"):
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif char == "\t":
            out.append("\\t")
        elif 32 <= byte < 127 and char != "?":
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '\\n"'


def read(folder):
    """[(version, name, text)] in order; raises ValueError with what is wrong."""
    found = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".sql"):
            continue
        match = NAME.match(name)
        if not match:
            raise ValueError(f"{name}: should be called NNNN_name.sql, in lower case")
        version = int(match.group(1))
        if version in found:
            raise ValueError(f"{name}: version {version} is taken by {found[version][0]}.sql; take the next number")
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            text = file.read()
        if not re.sub(r"--[^\n]*", "", text).strip():
            raise ValueError(f"{name}: holds no SQL")
        found[version] = (name[:-4], text)
    return [(version, *found[version]) for version in sorted(found)]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--out", required=True)
    arguments.add_argument("--depfile")
    arguments.add_argument("folder")
    options = arguments.parse_args()
    try:
        migrations = read(options.folder)
    except (ValueError, UnicodeDecodeError) as wrong:
        print(f"{options.folder}: {wrong}", file=sys.stderr)
        return 1
    out = ["/* Generated from db/migrations by tools/embed_migrations.py. */", '#include "pg/migrate.h"', "",
           "const struct migration migrations[] = {"]
    for version, name, text in migrations:
        checksum = hashlib.sha256(text.encode("utf-8")).hexdigest()
        transaction = "false" if text.split("\n", 1)[0].strip() == "-- no-transaction" else "true"
        out += ["    {", f'        .version = {version}, .name = "{name}", .checksum = "{checksum}",',
                f"        .transaction = {transaction},", "        .sql ="]
        out += ["            " + c_string(line) for line in text.rstrip("\n").split("\n")]
        out[-1] += ","
        out.append("    },")
    out += ["    {.version = 0},", "};", f"const size_t migration_count = {len(migrations)};", ""]
    with open(options.out, "w", encoding="utf-8") as file:
        file.write("\n".join(out))
    if options.depfile:
        # The folder itself as well: a new file changes its time.
        inputs = [options.folder] + [os.path.join(options.folder, name + ".sql") for _, name, _ in migrations]
        with open(options.depfile, "w", encoding="utf-8") as file:
            file.write(f"{options.out}: {' '.join(path.replace(' ', chr(92) + ' ') for path in inputs)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
