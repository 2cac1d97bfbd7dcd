"""Schemas of the contract into C: struct declarations, and the tables that src/http/api_decode.c walks."""
import re

from contract_yaml import Map, Seq

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
C_KEYWORDS = set("""auto break case char const continue default do double else enum extern float for goto if inline int
long register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while asm
typeof bool true false""".split())
INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
FORMATS = {"uri": "API_FORMAT_URI", "uuid": "API_FORMAT_UUID"}
# Kinds of enum text_kind in src/base/text.h.
TEXTS = ["token", "identifier", "name", "line", "free", "query", "email", "phone", "password"]
ANNOTATIONS = {"description", "title", "example", "examples", "deprecated", "readOnly", "writeOnly", "default", "x-encode"}
# Keywords that each type takes beside annotations and type itself.
TAKES = {
    "string": {"enum", "const", "minLength", "maxLength", "pattern", "format", "x-id", "x-text"},
    "integer": {"const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"},
    "boolean": {"const"},
    "array": {"items", "minItems", "maxItems", "uniqueItems"},
    "object": {"properties", "required", "additionalProperties", "minProperties", "allOf"},
}
JSON_MASK = {"object": "API_JSON_OBJECT", "array": "API_JSON_ARRAY", "string": "API_JSON_STRING",
             "integer": "API_JSON_NUMBER", "number": "API_JSON_NUMBER", "boolean": "API_JSON_BOOLEAN"}


def snake(name):
    """OrderLine, order-line, If-Match: order_line, order_line, if_match."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", str(name))
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().strip("_")


def c_name(name):
    name = snake(name)
    return name + "_" if name in C_KEYWORDS else name


def c_bool(value):
    return "true" if value else "false"


def c_string(text):
    out = []
    for byte in str(text).encode("utf-8"):
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif 32 <= byte < 127 and char != "?":
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def c_int(value):
    if value == INT64_MIN:
        return "INT64_MIN"
    return "INT64_MAX" if value == INT64_MAX else str(value)


class Compiled:
    """A schema as C knows it."""

    def __init__(self, symbol, kind, c_type, item_array=None, names=None):
        self.symbol = symbol  # of the struct api_schema
        self.kind = kind
        self.c_type = c_type
        self.item_array = item_array  # the C type of an array of these
        self.names = names  # of an enum


class Emitter:
    def __init__(self, contract, wrongs):
        self.contract = contract
        self.wrong = wrongs.add
        self.declarations = []  # of api.h
        self.definitions = []  # of api.c
        self.patterns = []
        self.pattern_at = None
        self.tables = {}  # text of a table: its symbol
        self.compiled = {}  # (id of the schema, for requests): Compiled
        self.type_names = {}  # name of a C type: line of its schema
        self.busy = []  # schemas being compiled, to find recursion
        self.arrays = set()

    # -- entry points --

    def request(self, operation):
        """The struct of an operation and the table of its decoder."""
        name, fields, members = operation["name"], [], []
        self.claim(f"api_{name}", operation["line"])
        struct = f"struct api_{name}"
        for parameter in operation["parameters"]:
            member = self.member(parameter["name"], parameter["schema"], parameter["required"], struct, name, fields,
                                 parameter["line"], True)
            if member is None:
                continue
            kind, items = member[1].kind, member[1].item_kind
            if kind in ("OBJECT", "JSON") or (kind == "ARRAY" and (parameter["place"] != "API_PLACE_QUERY"
                                                                   or items in ("OBJECT", "JSON", "ARRAY"))):
                self.wrong(parameter["line"], f"parameter '{parameter['name']}' cannot have that type in its place")
            members.append(f"    {{{parameter['place']}, {member[0]}}},")
        body = "NULL"
        if operation["raw"]:
            fields.append("struct str body; /* as it came */")
        elif operation["body"] is not None:
            member = self.member("body", operation["body"], operation["body_required"], struct, name, fields,
                                 operation["line"], True)
            if member is not None:
                member_text = member[0].replace('{"body"', '{""', 1)
                self.definitions += [f"static const struct api_member body_{name} = {member_text};"]
                body = f"&body_{name}"
        self.struct(f"api_{name}", fields)
        parameters = "NULL"
        if members:
            parameters = f"parameters_{name}"
            self.definitions += [f"static const struct api_parameter {parameters}[] = {{", *members, "};"]
        raw = f"offsetof({struct}, body)" if operation["raw"] else "-1"
        self.definitions += [f"static const struct api_request_schema request_{name} = {{",
                             f"    sizeof({struct}), {parameters}, {len(members)}, {body}, {raw},",
                             f"    {c_bool(operation['open_query'])}}};", ""]

    def encoder(self, name, schema):
        compiled = self.compile(schema, snake(name), False, schema.line, component=snake(name))
        if compiled is None:
            return
        pointer = f"const {compiled.c_type} *value"
        function = f"void api_{snake(name)}_encode(struct buf *out, {pointer})"
        self.declarations += [function + ";", ""]
        self.definitions += [function, "{", f"    api_encode(out, &{compiled.symbol}, value);", "}", ""]

    # -- helpers --

    def claim(self, name, line):
        if name in self.type_names:
            self.wrong(line, f"the C type {name} is needed twice: also for line {self.type_names[name]}")
        self.type_names[name] = line

    def struct(self, name, fields):
        self.declarations += [f"struct {name} {{", *(f"    {field}" for field in fields or ["char none;"]), "};", ""]

    def table(self, name, text):
        """A struct api_schema; equal ones are written once."""
        if text not in self.tables:
            self.tables[text] = f"schema_{len(self.tables)}_{name}"
            self.definitions.append(f"static const struct api_schema {self.tables[text]} = {{{text}}};")
        return self.tables[text]

    def pattern(self, source):
        if source not in self.patterns:
            if not self.patterns:
                self.pattern_at = len(self.definitions)
                self.definitions.append("")
            self.patterns.append(source)
            lines = [f"    {{{c_string(each)}, NULL}}," for each in self.patterns]
            self.definitions[self.pattern_at] = "\n".join(
                ["static struct api_pattern patterns[] = {", *lines, "};"])
        return f"&patterns[{self.patterns.index(source)}]"

    def without_null(self, schema):
        """(schema, nullable): a type list with null, or anyOf/oneOf of one schema and null."""
        for key in ("anyOf", "oneOf"):
            if key in schema and len(schema[key]) == 2:
                inner = [each for each in schema[key] if not (isinstance(each, Map) and each.get("type") == "null")]
                if len(inner) == 1 and not set(schema) - {key} - ANNOTATIONS:
                    return inner[0], True
        types = schema.get("type")
        if isinstance(types, Seq) and "null" in types:
            return schema, True
        return schema, False

    def member(self, name, schema, required, struct, owner, fields, line, for_request):
        """Adds to the fields; returns (initializer of the struct api_member, Compiled) or None."""
        outer = schema
        if not isinstance(schema, Map):
            self.wrong(line, f"'{name}' has no schema that C can read")
            return None
        if "$ref" in schema and set(schema) - {"$ref"} - ANNOTATIONS:
            extra = sorted(set(schema) - {"$ref"} - ANNOTATIONS)[0]
            self.wrong(schema.line_of(extra), f"'{extra}' beside a $ref is not supported")
        resolved, component = self.contract.resolve(schema)
        if resolved is None:
            return None
        inner, nullable = self.without_null(resolved)
        if inner is not resolved:
            resolved, component = self.contract.resolve(inner)
            if resolved is None:
                return None
        hint = f"{owner}_{snake(name)}"
        compiled = self.compile(resolved, hint, for_request, line, component=snake(component) if component else None)
        if compiled is None:
            return None
        field = c_name(name)
        has_default = "default" in outer or "default" in resolved
        if has_default and outer.get("default", resolved.get("default")) is None:
            self.wrong(outer.line_of("default"), "the default cannot be null: leave it out")
        optional = not required and not has_default
        has = null = "-1"
        if optional:
            fields.append(f"bool has_{field};")
            has = f"offsetof({struct}, has_{field})"
        if nullable:
            fields.append(f"bool null_{field};")
            null = f"offsetof({struct}, null_{field})"
        fields.append(f"{compiled.c_type} {field};")
        fallback = "NULL"
        if has_default and not required:
            fallback = self.default(outer if "default" in outer else resolved, compiled, hint)
        elif has_default and for_request:
            self.wrong(line, f"'{name}' is required and has a default: one of them is idle")
        return (f"{{{c_string(name)}, &{compiled.symbol}, offsetof({struct}, {field}), {has}, {null}, {fallback}}}",
                compiled)

    def default(self, schema, compiled, hint):
        value, line = schema["default"], schema.line_of("default")
        number, text, good = 0, "{NULL, 0}", True
        if compiled.kind == "STRING":
            good = isinstance(value, str)
            text = f"{{{c_string(value)}, {len(str(value).encode())}}}"
        elif compiled.kind == "INTEGER":
            good = isinstance(value, int) and not isinstance(value, bool)
            number = value if good else 0
        elif compiled.kind == "BOOLEAN":
            good = isinstance(value, bool)
            number = int(value) if good else 0
        elif compiled.kind == "ENUM":
            good = value in compiled.names
            number = compiled.names.index(value) + 1 if good else 0
        elif compiled.kind == "ARRAY":
            good = isinstance(value, list) and not value
        else:
            good = False
        if not good:
            self.wrong(line, f"default '{value}' does not fit the type")
        symbol = f"default_{hint}"
        self.definitions.append(f"static const struct api_default {symbol} = {{{c_int(number)}, {text}}};")
        return f"&{symbol}"

    # -- schemas --

    def compile(self, schema, hint, for_request, line, component=None):
        """Writes what C needs for a schema without null and $ref; the same component is written once."""
        if not isinstance(schema, Map):
            self.wrong(line, "this schema cannot be turned into C")
            return None
        key = id(schema)
        if key in self.busy:
            self.wrong(line, "the schema contains itself: use x-json")
            return None
        if component and (key, for_request) in self.compiled:
            return self.compiled[key, for_request]
        self.busy.append(key)
        compiled = self.compile_new(schema, component or hint, for_request, component is not None)
        self.busy.pop()
        if compiled is not None:
            # A component that is used both ways has one struct; as a request it was checked more strictly.
            self.compiled[key, for_request] = compiled
            if for_request:
                self.compiled[key, False] = compiled
        return compiled

    def compile_new(self, schema, name, for_request, is_component):
        if "x-json" in schema:
            return self.compile_json(schema, name)
        types = schema.get("type")
        if isinstance(types, Seq):
            types = [each for each in types if each != "null"]
            types = types[0] if len(types) == 1 else None
        if types is None:
            types = "object" if "properties" in schema or "allOf" in schema else "string" if "enum" in schema else None
        if "x-id" in schema and types is None:
            types = "string"
        for keyword in ("oneOf", "anyOf", "not", "if", "patternProperties", "prefixItems"):
            if keyword in schema:
                self.wrong(schema.line_of(keyword), f"{keyword} cannot be turned into C: use x-json or several operations")
                return None
        if types not in TAKES:
            what = f"type '{types}'" if types else "a schema without one type"
            self.wrong(schema.line_of("type"), f"{what} cannot be turned into C"
                                               + (": amounts are integers of minor units" if types == "number" else ""))
            return None
        for keyword in schema:
            if keyword not in TAKES[types] | ANNOTATIONS | {"type"}:
                self.wrong(schema.line_of(keyword), f"{keyword} is not supported for type {types}")
        write = {"string": self.compile_string, "integer": self.compile_integer, "boolean": self.compile_boolean,
                 "array": self.compile_array, "object": self.compile_object}[types]
        return write(schema, name, for_request)

    def number(self, schema, key, default, least=0):
        value = schema.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= INT64_MAX:
            self.wrong(schema.line_of(key), f"{key} should be an integer" + (" that is not negative" if least == 0 else ""))
            return default
        return value

    def finish(self, name, kind, text, c_type, item_array, item_kind=None, names=None):
        compiled = Compiled(self.table(name, text), kind, c_type, item_array, names)
        compiled.item_kind = item_kind
        return compiled

    def compile_json(self, schema, name):
        types = schema.get("type", [])
        types = types if isinstance(types, list) else [types]
        mask = sorted({JSON_MASK[each] for each in types if each in JSON_MASK})
        text = ".kind = API_KIND_JSON" + (f", .json_types = {' | '.join(mask)}" if mask else "")
        return self.finish(name, "JSON", text, "struct str", "struct str_array")

    def compile_string(self, schema, name, for_request):
        if "x-id" in schema:
            kind = schema["x-id"]
            text = f'.kind = API_KIND_ID, .id_prefix = "{self.contract.id_kinds[kind]}"'
            return self.finish(name, "ID", text, f"struct {kind}_id", f"struct {kind}_id_array")
        if "enum" in schema or "const" in schema:
            return self.compile_enum(schema, name)
        form = schema.get("format")
        if form == "date-time":
            return self.finish(name, "DATE_TIME", ".kind = API_KIND_DATE_TIME", "int64_t", "struct int64_array")
        if form is not None and form not in FORMATS and form != "password":
            self.wrong(schema.line_of("format"), f"format '{form}' is not supported: {', '.join(['date-time', *FORMATS])}")
        least, most = self.number(schema, "minLength", 0), self.number(schema, "maxLength", INT64_MAX)
        if least > most:
            self.wrong(schema.line_of("minLength"), "minLength is above maxLength")
        text = f".kind = API_KIND_STRING, .minimum = {least}, .maximum = {c_int(most)}"
        kind = schema.get("x-text")
        if kind is not None and kind not in TEXTS:
            self.wrong(schema.line_of("x-text"), f"x-text '{kind}' is not one of {', '.join(TEXTS)}")
        elif kind is not None:
            text += f", .text = TEXT_{kind.upper()}"
        elif for_request and "pattern" not in schema and form not in FORMATS:
            self.wrong(schema.line, f"a string of a request needs x-text ({', '.join(TEXTS)}), a pattern, a format or an enum")
        if form in FORMATS:
            text += f", .format = {FORMATS[form]}"
        if "pattern" in schema:
            try:
                re.compile(schema["pattern"])
            except (re.error, TypeError) as error:
                self.wrong(schema.line_of("pattern"), f"pattern is not a regular expression: {error}")
            text += f", .pattern = {self.pattern(str(schema['pattern']))}"
        return self.finish(name, "STRING", text, "struct str", "struct str_array")

    def compile_enum(self, schema, name):
        key = "enum" if "enum" in schema else "const"
        values = schema["enum"] if key == "enum" else [schema["const"]]
        if not isinstance(values, list):
            self.wrong(schema.line_of(key), "enum should be a list")
            return None
        values = [each for each in values if each is not None]
        constants = [snake(each).upper() for each in values]
        if not values or not all(isinstance(each, str) and each for each in values):
            self.wrong(schema.line_of(key), f"{key} should hold texts only")
            return None
        if len(set(constants)) != len(constants):
            self.wrong(schema.line_of(key), "two values of the enum would have the same C name")
        type_name = f"api_{name}"
        self.claim(type_name, schema.line)
        prefix = type_name.upper()
        self.declarations += [f"enum {type_name} {{"]
        self.declarations += [f"    {prefix}_{each}{' = 1' if index == 0 else ''}," for index, each in enumerate(constants)]
        self.declarations += ["};", f"#define {prefix}_COUNT {len(values)} /* the values are 1 to this */",
                              f"extern const char *const {type_name}_names[{len(values)}]; /* [value - 1] */",
                              "/* 0 when the text is none of the values. */",
                              f"enum {type_name} {type_name}_parse(struct str text);", ""]
        names = ", ".join(c_string(each) for each in values)
        self.definitions += [f"const char *const {type_name}_names[{len(values)}] = {{{names}}};", "",
                             f"enum {type_name} {type_name}_parse(struct str text)", "{",
                             f"    return (enum {type_name})api_enum_parse({type_name}_names, {len(values)}, text);", "}", ""]
        text = f".kind = API_KIND_ENUM, .names = {type_name}_names, .member_count = {len(values)}"
        self.array_type(f"enum {type_name}", type_name)
        return self.finish(name, "ENUM", text, f"enum {type_name}", f"struct {type_name}_array", names=values)

    def compile_integer(self, schema, name, for_request):
        least = self.number(schema, "minimum", INT64_MIN, INT64_MIN)
        most = self.number(schema, "maximum", INT64_MAX, INT64_MIN)
        if "exclusiveMinimum" in schema:
            least = max(least, self.number(schema, "exclusiveMinimum", 0, INT64_MIN) + 1)
        if "exclusiveMaximum" in schema:
            most = min(most, self.number(schema, "exclusiveMaximum", 0, INT64_MIN) - 1)
        if "const" in schema:
            least = most = self.number(schema, "const", 0, INT64_MIN)
        multiple = self.number(schema, "multipleOf", 0)
        if least > most:
            self.wrong(schema.line, "minimum is above maximum")
        if schema.get("format", "int64") not in ("int64", "int32"):
            self.wrong(schema.line_of("format"), "format of an integer should be int64 or int32")
        if schema.get("format") == "int32":
            least, most = max(least, -(1 << 31)), min(most, (1 << 31) - 1)
        text = f".kind = API_KIND_INTEGER, .minimum = {c_int(least)}, .maximum = {c_int(most)}"
        if multiple:
            text += f", .multiple_of = {multiple}"
        return self.finish(name, "INTEGER", text, "int64_t", "struct int64_array")

    def compile_boolean(self, schema, name, for_request):
        least, most = 0, 1
        if "const" in schema:
            least = most = 1 if schema["const"] is True else 0
        text = f".kind = API_KIND_BOOLEAN, .minimum = {least}, .maximum = {most}"
        return self.finish(name, "BOOLEAN", text, "bool", "struct bool_array")

    def compile_array(self, schema, name, for_request):
        if not isinstance(schema.get("items"), Map):
            self.wrong(schema.line, "an array needs items")
            return None
        item, component = self.contract.resolve(schema["items"])
        if item is None:
            return None
        if self.without_null(item)[1]:
            self.wrong(schema.line_of("items"), "items of an array cannot be null")
            return None
        items = self.compile(item, f"{name}_item", for_request, schema.line_of("items"),
                             component=snake(component) if component else None)
        if items is None:
            return None
        if items.item_array is None:
            self.wrong(schema.line_of("items"), "arrays of arrays cannot be turned into C")
            return None
        least, most = self.number(schema, "minItems", 0), self.number(schema, "maxItems", INT64_MAX)
        if least > most:
            self.wrong(schema.line_of("minItems"), "minItems is above maxItems")
        unique = schema.get("uniqueItems", False) is True
        if unique and for_request and most > 1000:
            self.wrong(schema.line_of("uniqueItems"), "uniqueItems needs maxItems of at most 1000: each item is compared"
                                                      " with each")
        text = (f".kind = API_KIND_ARRAY, .items = &{items.symbol}, .item_size = sizeof({items.c_type}),"
                f" .minimum = {least}, .maximum = {c_int(most)}")
        if unique:
            text += ", .unique_items = true"
        return self.finish(name, "ARRAY", text, items.item_array, None, item_kind=items.kind)

    def array_type(self, c_type, type_name):
        if type_name not in self.arrays:
            self.arrays.add(type_name)
            self.declarations += [f"struct {type_name}_array {{", f"    const {c_type} *items;", "    size_t count;", "};", ""]

    def flattened(self, schema, for_request):
        """(properties as [(name, schema, line)], required names), with allOf merged for answers."""
        properties, required = [], set(schema.get("required", []))
        if "allOf" in schema:
            if for_request:
                self.wrong(schema.line_of("allOf"), "allOf is for answers only: write the properties out")
                return [], set()
            for part in schema["allOf"]:
                part, _ = self.contract.resolve(part)
                if part is not None:
                    inner, inner_required = self.flattened(part, for_request)
                    properties += inner
                    required |= inner_required
        own = schema.get("properties", Map())
        properties += [(name, own[name], own.line_of(name)) for name in own]
        return properties, required

    def compile_object(self, schema, name, for_request):
        if for_request and schema.get("additionalProperties") is not False:
            self.wrong(schema.line, "a request object needs additionalProperties: false (or x-json: true for free JSON)")
            return None
        if isinstance(schema.get("additionalProperties"), Map):
            self.wrong(schema.line_of("additionalProperties"), "free members cannot be turned into C: use x-json")
            return None
        properties, required = self.flattened(schema, for_request)
        type_name = f"api_{name}"
        self.claim(type_name, schema.line)
        fields, members, seen = [], [], {}
        for property_name, child, line in properties:
            if not IDENTIFIER.fullmatch(str(property_name)):
                self.wrong(line, f"property '{property_name}' should be lower case letters, digits and underscores")
                continue
            if property_name in seen:
                self.wrong(line, f"property '{property_name}' is also at line {seen[property_name]}")
                continue
            seen[property_name] = line
            member = self.member(property_name, child, property_name in required, f"struct {type_name}", name, fields, line,
                                 for_request)
            if member is not None:
                members.append(f"    {member[0]},")
        self.struct(type_name, fields)
        self.array_type(f"struct {type_name}", type_name)
        table = "NULL"
        if members:
            table = f"members_{name}"
            self.definitions += [f"static const struct api_member {table}[] = {{", *members, "};"]
        least = self.number(schema, "minProperties", 0)
        text = f".kind = API_KIND_OBJECT, .members = {table}, .member_count = {len(members)}, .minimum = {least}"
        return self.finish(name, "OBJECT", text, f"struct {type_name}", f"struct {type_name}_array")
