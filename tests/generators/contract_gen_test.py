#!/usr/bin/python3
"""tools/contract_gen.py: what it says about wrong contracts. What it makes of right ones is compiled and run by
contract_test.c."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BASE = os.path.join(ROOT, "src", "base")


def generate(text, *options):
    """Runs the generator; returns (exit code, stderr, {name: text} of what it wrote)."""
    with tempfile.TemporaryDirectory() as folder:
        contract = os.path.join(folder, "c.yaml")
        with open(contract, "w", encoding="utf-8") as file:
            file.write(text)
        out = os.path.join(folder, "out")
        run = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "contract_gen.py"), "--ids",
                              os.path.join(BASE, "ids.def"), "--errors", os.path.join(BASE, "error_codes.def"), "--root",
                              folder, "--out-dir", out, *options, contract], capture_output=True, text=True, check=False)
        written = {}
        for name in os.listdir(out) if os.path.isdir(out) else []:
            with open(os.path.join(out, name), encoding="utf-8") as file:
                written[name] = file.read()
        return run.returncode, run.stderr, written


# A small contract; a case replaces one of its lines or appends to it. Lines count from 1.
CONTRACT = """\
openapi: 3.1.0
info: { title: T, version: '1' }
paths:
  /things/{thing_id}:
    post:
      operationId: thing_change
      x-role: [vendor]
      x-limit: write
      parameters:
        - { name: thing_id, in: path, required: true, schema: { type: string, x-id: product } }
        - { name: q, in: query, schema: { type: string, x-text: query } }
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: '#/components/schemas/Thing' } } }
      responses: { '200': { description: Done, content: { application/json: { schema: { $ref: '#/components/schemas/Out' } } } } }
components:
  schemas:
    Thing:
      type: object
      additionalProperties: false
      properties:
        a: { type: string, x-text: line }
    Out: { type: object, properties: { a: { type: string } } }
"""
LINES = CONTRACT.split("\n")


def changed(line, text):
    """The contract with that line replaced; None leaves it out."""
    lines = list(LINES)
    lines[line - 1:line] = [] if text is None else [text]
    return "\n".join(lines)


def schema(text):
    """The contract with that schema for the member `a` of the request, on line 22."""
    return changed(22, f"        a: {text}")


def encoded(text):
    """The contract with another component that is encoded, on line 24."""
    return CONTRACT + f"    Coded: {{ x-encode: true, type: object, properties: {{ a: {text} }} }}\n"


class Wrong(unittest.TestCase):
    OPERATION = "operation 'thing_change' has no "
    CASES = [
        # operations
        (changed(6, None), 5, "post of '/things/{thing_id}' has no operationId"),
        (changed(6, "      operationId: thingChange"), 6,
         "operationId 'thingChange' should be lower case letters, digits and underscores"),
        (changed(7, None), 6, OPERATION + "x-role (anonymous, customer, vendor, support, manager, admin, partner)"),
        (changed(7, "      x-role: vendor"), 7, "x-role should be a list, as in [customer, support]"),
        (changed(7, "      x-role: [seller]"), 7,
         "x-role 'seller' is not one of anonymous, customer, vendor, support, manager, admin, partner"),
        (changed(7, "      x-role: [vendor, vendor]"), 7, "x-role names 'vendor' twice"),
        (changed(8, None), 6, OPERATION + "x-limit (read, write, sign-in, checkout, payment, none)"),
        (changed(8, "      x-limit: fast"), 8, "x-limit 'fast' is not one of read, write, sign-in, checkout, payment, none"),
        (changed(8, "      x-limit: write\n      x-run: thread"), 9, "x-run 'thread' is not one of worker, loop, async"),
        (changed(8, "      x-limit: write\n      x-idempotency: yes"), 9,
         "x-idempotency 'yes' is not one of required, optional, none"),
        (changed(8, "      x-limit: write\n      x-body-max: 64KB"), 9,
         "x-body-max should be a number of bytes up to 1 GiB"),
        (changed(8, "      x-limit: write\n      x-cache: { tags: [a] }"), 9, "x-cache should be {tags: [product], ttl_s: 60}"),
        (changed(8, "      x-limit: write\n      x-cache: { tags: [a], ttl_s: 1 }"), 9, "x-cache is for GET"),
        (changed(8, "      x-limit: write\n      x-early: 1"), 9, "x-early should be true or false"),
        (changed(8, "      x-limit: write\n      x-open-query: yes please"), 9, "x-open-query should be true or false"),
        (changed(8, "      x-limit: write\n      x-session: never"), 9,
         "x-session 'never' is not one of strict, immediate, none"),
        (changed(8, "      x-limit: write\n      x-session: none"), 9, "x-session none is for what needs no sign-in"),
        (changed(8, "      x-limit: write\n      x-run: loop"), 6,
         "x-run loop cannot ask whether a session goes on: say x-session: none"),
        (changed(8, "      x-limit: write\n      x-run: async\n      x-session: immediate"), 10,
         "x-session immediate is for x-run worker"),
        (changed(8, "      x-limit: write\n      x-lane: 1"), 9,
         "'x-lane' is not known in an operation; known are x-body-max, x-cache, x-early, x-errors, x-idempotency, x-limit, x-limit-account,"
         " x-open-query, x-raw-body, x-role, x-run, x-session"),
        (changed(8, "      x-limit: read\n      x-limit-account: caller"), 9,
         "x-limit-account: caller is for operations of class sign-in that nobody calls without an account"),
        (changed(8, "      x-limit: sign-in\n      x-limit-account: a"), 9,
         "x-limit-account names a required string of the body of an operation of class sign-in"),
        (changed(8, "      x-limit: write\n      x-errors: [conflict, no_such_code]"), 9,
         "error code 'no_such_code' is not in error_codes.def"),
        (changed(8, "      x-limit: write\n      sumary: x"), 9, "'sumary' is not known in an operation"),
        (changed(5, "    get:"), 12, "GET takes no body"),
        (changed(5, "    head:"), 5, "head is answered by the server; declare no operation for it"),
        (changed(15, "      responses: {}"), 6, OPERATION + "responses"),
        (changed(15, "      responses: { ok: { description: x } }"), 15, "'ok' is not an HTTP status"),
        (changed(15, "      responses: { '200': {} }"), 15, "a response needs a description"),
        (changed(14, "        content: { text/plain: { schema: { type: string } } }"), 12,
         "a body that is not raw has content of application/json alone, with a schema"),
        # paths and parameters
        (changed(4, "  /things/{thing}:"), 6, "operation 'thing_change' does not declare the path parameter 'thing'"),
        (changed(4, "  /things/{thing}:"), 10, "path parameter 'thing_id' is not in the path '/things/{thing}'"),
        (changed(4, "  /things/{thing_id}.json:"), 4,
         "path '/things/{thing_id}.json' should be segments of plain characters or of one {parameter} in lower case"),
        (changed(10, "        - { name: thing_id, in: path, schema: { type: string } }"), 10,
         "path parameter 'thing_id' needs required: true"),
        (changed(11, "        - { name: q, in: cookie, schema: { type: string } }"), 11,
         "parameter 'q' is in 'cookie'; known are path, query, header"),
        (changed(11, "        - { name: q, in: query }"), 11, "a parameter needs name, in and schema"),
        (changed(11, "        - { name: q, in: query, schema: { type: object, additionalProperties: false } }"), 11,
         "parameter 'q' cannot have that type in its place"),
        (changed(11, "        - { name: thing_id, in: query, schema: { type: string } }"), 11,
         "parameter 'thing_id' would share its C name with another member"),
        (changed(11, "        - { name: Idempotency-Key, in: header, schema: { type: string } }"), 11,
         "Idempotency-Key is declared by x-idempotency"),
        (changed(11, "        - { $ref: '#/components/parameters/Q' }"), 11, "$ref '#/components/parameters/Q' leads nowhere"),
        (changed(11, "        - { name: q, in: query, schema: { type: string }, style: deepObject }"), 11,
         "parameter 'q': only the default style and explode are supported"),
        # references and documents
        (changed(15, LINES[14].replace("Out", "Missing")), 15, "$ref '#/components/schemas/Missing' leads nowhere"),
        (changed(14, LINES[13].replace("#/components/schemas/Thing", "other.yaml#/Thing")), 14,
         "$ref 'other.yaml#/Thing' should begin with '#/': only this document is read"),
        (changed(23, "    Out: { $ref: '#/components/schemas/Out' }"), 23, "$ref '#/components/schemas/Out' refers to itself"),
        (changed(1, "openapi: 3.0.3"), 1, "openapi should be 3.1.x"),
        (changed(2, None), 1, "the document has no 'info'"),
        (changed(8, "      x-limit: write\n      x-limit: read"), 9, "'x-limit' is also at line 8"),
        (changed(8, "      x-limit: [write"), 9, "is not YAML: expected ',' or ']', but got ':'"),
        # schemas
        (changed(20, None), 19, "a request object needs additionalProperties: false (or x-json: true for free JSON)"),
        (schema("{ type: strin }"), 22, "type 'strin' is not known"),
        (schema("{ type: string, x-id: thing }"), 22, "x-id 'thing' is not a kind of ids.def"),
        (schema("{ type: string, x-ids: order }"), 22,
         "schema keyword 'x-ids' is not known; known extensions are x-encode, x-id, x-json, x-text"),
        (schema("{ type: string, maxLenght: 3 }"), 22, "schema keyword 'maxLenght' is not known"),
        (schema("{ type: number }"), 22, "type 'number' cannot be turned into C: amounts are integers of minor units"),
        (schema("{ type: [string, integer] }"), 22, "a schema without one type cannot be turned into C"),
        (schema("{ oneOf: [{ type: string }, { type: integer }] }"), 22,
         "oneOf cannot be turned into C: use x-json or several operations"),
        (schema("{ allOf: [{ $ref: '#/components/schemas/Out' }], additionalProperties: false }"), 22,
         "allOf is for answers only: write the properties out"),
        (schema("{ type: string, minimum: 3 }"), 22, "minimum is not supported for type string"),
        (schema("{ type: string, minLength: 4, maxLength: 3 }"), 22, "minLength is above maxLength"),
        (schema("{ type: string, maxLength: -1 }"), 22, "maxLength should be an integer that is not negative"),
        (schema("{ type: integer, minimum: 1.5 }"), 22, "minimum should be an integer"),
        (schema("{ type: integer, minimum: 2, maximum: 1 }"), 22, "minimum is above maximum"),
        (schema("{ type: string, pattern: '(' }"), 22,
         "pattern is not a regular expression: missing ), unterminated subpattern at position 0"),
        (schema("{ type: string, format: ipv4 }"), 22, "format 'ipv4' is not supported: date-time, uri, uuid"),
        (schema("{ type: string, maxLength: 3 }"), 22,
         "a string of a request needs x-text (token, identifier, name, line, free, query, email, phone, password), a pattern, a format or an enum"),
        (schema("{ type: string, x-text: nmae }"), 22, "x-text 'nmae' is not one of token, identifier, name, line, free, query, email, phone, password"),
        (schema("{ type: integer, x-text: name }"), 22, "x-text is not supported for type integer"),
        (schema("{ type: string, enum: [a, 1] }"), 22, "enum should hold texts only"),
        (schema("{ type: string, enum: [a-b, a_b] }"), 22, "two values of the enum would have the same C name"),
        (schema("{ type: array }"), 22, "an array needs items"),
        (schema("{ type: array, items: { type: array, items: { type: string } } }"), 22,
         "arrays of arrays cannot be turned into C"),
        (schema("{ type: array, items: { type: [string, 'null'] } }"), 22, "items of an array cannot be null"),
        (schema("{ type: array, uniqueItems: true, items: { type: string } }"), 22,
         "uniqueItems needs maxItems of at most 1000: each item is compared with each"),
        (schema("{ type: integer, default: x }"), 22, "default 'x' does not fit the type"),
        (schema("{ type: string, enum: [a], default: b }"), 22, "default 'b' does not fit the type"),
        (schema("{ $ref: '#/components/schemas/Thing' }"), 22, "the schema contains itself: use x-json"),
        (schema("{ $ref: '#/components/schemas/Out', maxLength: 3 }"), 22, "'maxLength' beside a $ref is not supported"),
        (changed(22, "        aB: { type: string }"), 22, "property 'aB' should be lower case letters, digits and underscores"),
        (changed(21, "      required: [b]\n      properties:"), 21,
         "required names 'b', which is not among the properties"),
        (encoded("{ type: number }"), 24, "type 'number' cannot be turned into C: amounts are integers of minor units"),
        (CONTRACT + "    Problem: { type: object, properties: { code: { enum: [conflict, odd] } } }\n", 24,
         "error code 'odd' is not in error_codes.def"),
    ]

    def test_messages(self):
        for text, line, reason in self.CASES:
            with self.subTest(reason=reason):
                code, errors, written = generate(text)
                self.assertIn(f"c.yaml:{line}: {reason}\n", errors)
                self.assertNotIn("Traceback", errors)
                self.assertEqual((code, written), (1, {}))

    def test_twice_the_same_operation(self):
        again = "\n".join(LINES[3:15]).replace("/things/", "/other/") + "\n"
        _, errors, _ = generate("\n".join(LINES[:15]) + "\n" + again + "\n".join(LINES[15:]))
        self.assertEqual(errors, "c.yaml:18: operationId 'thing_change' is also at line 6\n")

    def test_paths_that_cannot_be_told_apart(self):
        again = "\n".join(LINES[3:15]).replace("thing_id", "other_id").replace("thing_change", "other_change") + "\n"
        _, errors, _ = generate("\n".join(LINES[:15]) + "\n" + again + "\n".join(LINES[15:]))
        self.assertEqual(errors, "c.yaml:16: path '/things/{other_id}' is the same as '/things/{thing_id}' but for the names"
                                 " of its parameters\n")

    def test_all_faults_are_told_in_order(self):
        _, errors, _ = generate(changed(8, "      x-limit: fast\n      x-run: thread").replace("[vendor]", "[seller]"))
        self.assertEqual([line.split(":")[1] for line in errors.strip().split("\n")], ["7", "8", "9"])


class Right(unittest.TestCase):
    def test_the_small_contract(self):
        code, errors, written = generate(CONTRACT)
        self.assertEqual((code, errors), (0, ""))
        self.assertEqual(sorted(written), ["api.c", "api.h", "openapi.json", "openapi_json.c"])
        self.assertIn("enum error_code thing_change_handle(struct request *req, const struct api_thing_change *in);",
                      written["api.h"])
        self.assertIn("struct api_thing_change {\n    struct product_id thing_id;\n    bool has_q;\n    struct str q;\n"
                      "    struct api_thing body;\n};", written["api.h"])

    def test_json_tells_validators_about_identifiers_and_codes(self):
        _, _, written = generate(CONTRACT + "    Problem: { type: object, properties: { code: { type: string } } }\n")
        document = json.loads(written["openapi.json"])
        parameter = document["paths"]["/things/{thing_id}"]["post"]["parameters"][0]
        self.assertEqual(parameter["schema"]["pattern"], "^prd_[0-9a-f]{32}$")
        codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
        self.assertIn("validation_failed", codes)
        self.assertNotIn("ok", codes)

    def test_the_version_comes_from_the_build(self):
        elsewhere = CONTRACT.replace("version: '1'", "version: see meson.build")
        code, errors, written = generate(elsewhere, "--version", "1.2.3")
        self.assertEqual((code, errors), (0, ""))
        self.assertEqual(json.loads(written["openapi.json"])["info"]["version"], "1.2.3")
        code, errors, _ = generate(CONTRACT, "--version", "1.2.3")
        self.assertEqual((code, errors), (1, "c.yaml:2: info.version should be 'see meson.build', where it stands alone\n"))

    def test_a_contract_without_operations(self):
        code, errors, _ = generate("openapi: 3.1.0\ninfo: { title: T, version: '1' }\npaths: {}\n")
        self.assertEqual((code, errors), (0, ""))

    def test_the_contract_of_the_shop(self):
        with open(os.path.join(ROOT, "api", "openapi.yaml"), encoding="utf-8") as file:
            code, errors, _ = generate(file.read())
        self.assertEqual((code, errors), (0, ""))


if __name__ == "__main__":
    unittest.main()
