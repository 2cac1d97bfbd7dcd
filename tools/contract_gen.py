#!/usr/bin/python3
"""The contract, api/openapi.yaml, becomes C.

    contract_gen.py --ids src/base/ids.def --errors src/base/error_codes.def [--version V] --out-dir DIR api/openapi.yaml

writes api.h and api.c (route table, request structs, tables for http/api_decode.c, encoders), openapi_json.c and
openapi.json (the contract as minified JSON). docs/architecture.md, "The contract generator", describes extensions and C
types. What the contract says wrongly is told as file:line: reason; nothing is written then.

tools/contract_yaml.py reads the YAML and keeps line numbers; tools/contract_c.py turns schemas into C.
"""
import argparse
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from contract_c import IDENTIFIER, Emitter, c_bool, c_name, c_string, snake  # noqa: E402
from contract_yaml import Map, Seq, Wrongs, load  # noqa: E402

METHODS = ["get", "post", "put", "patch", "delete"]
ROLES = ["anonymous", "customer", "vendor", "support", "manager", "admin", "partner"]
LIMITS = ["read", "write", "sign-in", "checkout", "payment", "none"]
RUNS = ["worker", "loop", "async"]
IDEMPOTENCY = ["required", "optional", "none"]
SESSIONS = ["strict", "immediate", "none"]
BODY_MAX = 65536
PATH_PARAMS_MAX = 8  # API_PATH_PARAMS_MAX in src/http/api_decode.h
SEGMENTS_MAX = 16  # in src/http/router.c
VERSION_ELSEWHERE = "see meson.build"
PLACES = {"path": "API_PLACE_PATH", "query": "API_PLACE_QUERY", "header": "API_PLACE_HEADER"}

OPERATION_KEYS = {"operationId", "summary", "description", "tags", "parameters", "requestBody", "responses", "security",
                  "deprecated", "externalDocs"}
OPERATION_EXTENSIONS = {"x-role", "x-limit", "x-run", "x-idempotency", "x-body-max", "x-raw-body", "x-early", "x-cache", "x-errors",
                        "x-limit-account", "x-open-query", "x-session"}
PARAMETER_KEYS = {"name", "in", "description", "required", "schema", "example", "examples", "deprecated", "style", "explode"}
SCHEMA_EXTENSIONS = {"x-id", "x-json", "x-encode", "x-text"}
SCHEMA_CHILDREN = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
SCHEMA_KEYS = set(SCHEMA_CHILDREN) | set(SCHEMA_LISTS) | SCHEMA_EXTENSIONS | set("""$ref $schema $id $defs type enum const
    minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems
    uniqueItems properties required default description title example examples deprecated readOnly writeOnly
    minProperties maxProperties patternProperties discriminator contentEncoding contentMediaType""".split())
JSON_TYPES = {"string", "integer", "number", "boolean", "object", "array", "null"}


class Contract:
    """Reads and checks the document; what it finds goes to the emitter."""

    def __init__(self, document, wrongs, id_kinds, error_codes):
        self.document = document
        self.wrongs = wrongs
        self.wrong = wrongs.add
        self.id_kinds = id_kinds
        self.error_codes = error_codes
        self.emitter = Emitter(self, wrongs)
        self.operations = []
        self.operation_ids = {}

    # -- references --

    def resolve(self, node):
        """Follows $ref; returns (target, name of the component or None). None for one that leads nowhere."""
        name, seen = None, set()
        while isinstance(node, Map) and "$ref" in node:
            ref = node["$ref"]
            line = node.line_of("$ref")
            if not isinstance(ref, str) or not ref.startswith("#/"):
                self.wrong(line, f"$ref '{ref}' should begin with '#/': only this document is read")
                return None, None
            if ref in seen:
                self.wrong(line, f"$ref '{ref}' refers to itself")
                return None, None
            seen.add(ref)
            target = self.document
            for part in ref[2:].split("/"):
                part = part.replace("~1", "/").replace("~0", "~")
                target = target.get(part) if isinstance(target, Map) else None
                if target is None:
                    self.wrong(line, f"$ref '{ref}' leads nowhere")
                    return None, None
            name = ref.rsplit("/", 1)[1]
            node = target
        return node, name

    # -- schemas of any place: names, references, kinds of identifiers --

    def check_schema(self, schema, line):
        if isinstance(schema, bool):
            return
        if not isinstance(schema, Map):
            self.wrong(line, "a schema should be a mapping")
            return
        for key in schema:
            if key not in SCHEMA_KEYS:
                known = "; known extensions are " + ", ".join(sorted(SCHEMA_EXTENSIONS)) if str(key).startswith("x-") else ""
                self.wrong(schema.line_of(key), f"schema keyword '{key}' is not known{known}")
        if "$ref" in schema:
            self.resolve(schema)
        kind = schema.get("x-id")
        if kind is not None and kind not in self.id_kinds:
            self.wrong(schema.line_of("x-id"), f"x-id '{kind}' is not a kind of ids.def")
        types = schema.get("type", [])
        for name in types if isinstance(types, list) else [types]:
            if name not in JSON_TYPES:
                self.wrong(schema.line_of("type"), f"type '{name}' is not known")
        for key in ("x-json", "x-encode"):
            if key in schema and schema[key] is not True:
                self.wrong(schema.line_of(key), f"{key} can only be true")
        self.check_required(schema)
        for key in SCHEMA_CHILDREN:
            if key in schema:
                self.check_schema(schema[key], schema.line_of(key))
        for key in SCHEMA_LISTS:
            for index, child in enumerate(schema.get(key, [])):
                self.check_schema(child, schema[key].lines[index])
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            self.wrong(schema.line_of("properties"), "properties should be a mapping of names to schemas")
            return
        for name, child in properties.items():
            self.check_schema(child, properties.line_of(name))

    def check_required(self, schema):
        required = schema.get("required", [])
        if not isinstance(required, list):
            self.wrong(schema.line_of("required"), "required should be a list of property names")
            return
        if "properties" in schema and "allOf" not in schema and isinstance(schema["properties"], Map):
            for index, name in enumerate(required):
                if name not in schema["properties"]:
                    self.wrong(required.lines[index], f"required names '{name}', which is not among the properties")

    def check_components(self):
        components = self.document.get("components", {})
        for name, schema in components.get("schemas", {}).items():
            self.check_schema(schema, components["schemas"].line_of(name))
        for name, response in components.get("responses", {}).items():
            self.check_response(response, components["responses"].line_of(name))
        problem = components.get("schemas", {}).get("Problem")
        if isinstance(problem, Map):
            code = problem.get("properties", {}).get("code", {})
            if isinstance(code, Map) and isinstance(code.get("enum"), Seq):
                self.check_error_codes(code["enum"])

    def check_error_codes(self, codes):
        for index, code in enumerate(codes):
            if code not in self.error_codes:
                self.wrong(codes.lines[index], f"error code '{code}' is not in error_codes.def")

    def check_response(self, response, line):
        response, _ = self.resolve(response)
        if response is None:
            return
        if not isinstance(response, Map) or "description" not in response:
            self.wrong(line, "a response needs a description")
            return
        for header in response.get("headers", {}).values():
            header, _ = self.resolve(header)
            if isinstance(header, Map) and "schema" in header:
                self.check_schema(header["schema"], header.line_of("schema"))
        for media in response.get("content", {}).values():
            if isinstance(media, Map) and "schema" in media:
                self.check_schema(media["schema"], media.line_of("schema"))

    # -- paths and operations --

    def read(self):
        for key in ("openapi", "info", "paths"):
            if key not in self.document:
                self.wrong(self.document.line, f"the document has no '{key}'")
        if not str(self.document.get("openapi", "")).startswith("3.1."):
            self.wrong(self.document.line_of("openapi"), "openapi should be 3.1.x")
        self.check_components()
        if self.wrongs.found:
            return
        shapes = {}
        paths = self.document["paths"] or {}
        for path, item in paths.items():
            line = paths.line_of(path)
            shape = re.sub(r"\{[^}]*\}", "{}", str(path))
            if shape in shapes:
                self.wrong(line, f"path '{path}' is the same as '{shapes[shape]}' but for the names of its parameters")
            shapes[shape] = path
            self.path_item(path, item, line)
        for name, schema in self.document.get("components", {}).get("schemas", {}).items():
            if isinstance(schema, Map) and "x-encode" in schema:
                self.emitter.encoder(name, schema)

    def path_item(self, path, item, line):
        if not re.fullmatch(r"(/[A-Za-z0-9._~-]+|/\{[a-z][a-z0-9_]*\})+|/", str(path)):
            self.wrong(line, f"path '{path}' should be segments of plain characters or of one {{parameter}} in lower case")
            return
        if path.count("/") > SEGMENTS_MAX:
            self.wrong(line, f"path '{path}' has more than {SEGMENTS_MAX} segments")
        if not isinstance(item, Map):
            self.wrong(line, f"path '{path}' has no operations")
            return
        for key in item:
            if key in METHODS:
                self.operation(path, key, item[key], item)
            elif key in ("head", "options", "trace"):
                self.wrong(item.line_of(key), f"{key} is answered by the server; declare no operation for it")
            elif key not in ("parameters", "summary", "description"):
                self.wrong(item.line_of(key), f"'{key}' is not known in a path")

    def choice(self, operation, key, values, default=None):
        """The value of an extension with a fixed set of values."""
        if key not in operation:
            if default is None:
                self.wrong(operation.line, f"operation '{operation.get('operationId')}' has no {key}"
                                           f" ({', '.join(values)})")
                return values[0]
            return default
        value = operation[key]
        if value not in values:
            self.wrong(operation.line_of(key), f"{key} '{value}' is not one of {', '.join(values)}")
            return values[0]
        return value

    def operation(self, path, method, operation, item):
        if not isinstance(operation, Map):
            self.wrong(item.line_of(method), f"{method} of '{path}' is empty")
            return
        name = operation.get("operationId")
        line = operation.line_of("operationId") if name is not None else item.line_of(method)
        if name is None:
            self.wrong(line, f"{method} of '{path}' has no operationId")
            return
        if not IDENTIFIER.fullmatch(str(name)):
            self.wrong(line, f"operationId '{name}' should be lower case letters, digits and underscores")
            return
        if name in self.operation_ids:
            self.wrong(line, f"operationId '{name}' is also at line {self.operation_ids[name]}")
            return
        self.operation_ids[name] = line
        for key in operation:
            if key not in OPERATION_KEYS | OPERATION_EXTENSIONS:
                known = "; known are " + ", ".join(sorted(OPERATION_EXTENSIONS)) if str(key).startswith("x-") else ""
                self.wrong(operation.line_of(key), f"'{key}' is not known in an operation{known}")
        out = {"name": name, "method": method.upper(), "path": path, "line": line}
        out["roles"] = self.roles(operation, name)
        out["limit"] = self.choice(operation, "x-limit", LIMITS)
        out["run"] = self.choice(operation, "x-run", RUNS, "worker")
        out["idempotency"] = self.choice(operation, "x-idempotency", IDEMPOTENCY, "none")
        out["early"] = operation.get("x-early", False)
        if not isinstance(out["early"], bool):
            self.wrong(operation.line_of("x-early"), "x-early should be true or false")
        out["open_query"] = operation.get("x-open-query", False)
        if not isinstance(out["open_query"], bool):
            self.wrong(operation.line_of("x-open-query"), "x-open-query should be true or false")
        if "x-errors" in operation:
            self.check_error_codes(operation["x-errors"])
        self.cache(operation, out)
        self.session(operation, out)
        out["parameters"] = self.parameters(path, operation, item, name)
        self.body(operation, method, out)
        self.account(operation, out)
        self.responses(operation, name)
        self.emitter.request(out)
        self.operations.append(out)

    def roles(self, operation, name):
        roles = operation.get("x-role")
        if not roles:
            self.wrong(operation.line, f"operation '{name}' has no x-role ({', '.join(ROLES)})")
            return []
        if not isinstance(roles, Seq):
            self.wrong(operation.line_of("x-role"), "x-role should be a list, as in [customer, support]")
            return []
        for index, role in enumerate(roles):
            if role not in ROLES:
                self.wrong(roles.lines[index], f"x-role '{role}' is not one of {', '.join(ROLES)}")
            if role in roles[:index]:
                self.wrong(roles.lines[index], f"x-role names '{role}' twice")
        return [role for role in roles if role in ROLES]

    def cache(self, operation, out):
        out["tags"], out["ttl"] = [], 0
        cache = operation.get("x-cache")
        if cache is None:
            return
        line = operation.line_of("x-cache")
        if not isinstance(cache, Map) or set(cache) != {"tags", "ttl_s"} or not isinstance(cache["tags"], Seq) \
                or not isinstance(cache["ttl_s"], int) or cache["ttl_s"] < 1:
            self.wrong(line, "x-cache should be {tags: [product], ttl_s: 60}")
            return
        if out["method"] != "GET":
            self.wrong(line, "x-cache is for GET")
        out["tags"], out["ttl"] = list(cache["tags"]), cache["ttl_s"]

    def session(self, operation, out):
        """A session that has ended opens what is declared `none` only, so only what a stranger may do can be that."""
        out["session"] = self.choice(operation, "x-session", SESSIONS, "strict")
        line = operation.line_of("x-session") if "x-session" in operation else operation.line_of("operationId")
        strangers = {"anonymous", "partner"} & set(out["roles"])
        if out["session"] == "none":
            if out["roles"] and not strangers:
                self.wrong(line, "x-session none is for what needs no sign-in")
        elif out["tags"] and "anonymous" in out["roles"]:
            self.wrong(line, "what is cached for everybody asks nobody's session: say x-session: none")
        elif out["run"] == "loop":
            self.wrong(line, "x-run loop cannot ask whether a session goes on: say x-session: none")
        elif out["session"] == "immediate" and out["run"] != "worker":
            self.wrong(line, "x-session immediate is for x-run worker")

    def parameters(self, path, operation, item, name):
        """Of the path item and the operation; those of the path first, in its order."""
        found = {}
        for owner in (item, operation):
            own = set()
            for index, parameter in enumerate(owner.get("parameters", [])):
                line = owner["parameters"].lines[index]
                parameter = self.parameter(parameter, line)
                if parameter is None:
                    continue
                key = (parameter["in"], parameter["name"])
                if key in own:
                    self.wrong(line, f"parameter '{key[1]}' appears twice")
                own.add(key)
                found[key] = (parameter, line)
        in_path = re.findall(r"\{([^}]*)\}", path)
        if len(in_path) > PATH_PARAMS_MAX:
            self.wrong(operation.line, f"path '{path}' has more than {PATH_PARAMS_MAX} parameters")
        for parameter_name in in_path:
            if in_path.count(parameter_name) > 1:
                self.wrong(operation.line, f"path '{path}' has the parameter '{parameter_name}' twice")
            if ("path", parameter_name) not in found:
                self.wrong(operation.line, f"operation '{name}' does not declare the path parameter '{parameter_name}'")
        for (place, parameter_name), (_, line) in found.items():
            if place == "path" and parameter_name not in in_path:
                self.wrong(line, f"path parameter '{parameter_name}' is not in the path '{path}'")
        names = {}
        for (place, parameter_name), (_, line) in found.items():
            other = names.setdefault(c_name(parameter_name), place)
            if other != place or c_name(parameter_name) in ("body", "has_body"):
                self.wrong(line, f"parameter '{parameter_name}' would share its C name with another member")
        ordered = [found[("path", each)] for each in in_path if ("path", each) in found]
        ordered += [each for key, each in found.items() if key[0] != "path"]
        return [{"place": PLACES[parameter["in"]], "name": parameter["name"], "schema": parameter["schema"],
                 "required": parameter.get("required", False), "line": line} for parameter, line in ordered]

    def parameter(self, parameter, line):
        parameter, _ = self.resolve(parameter)
        if parameter is None:
            return None
        if not isinstance(parameter, Map) or not {"name", "in", "schema"} <= set(parameter):
            self.wrong(line, "a parameter needs name, in and schema")
            return None
        for key in parameter:
            if key not in PARAMETER_KEYS:
                self.wrong(parameter.line_of(key), f"'{key}' is not known in a parameter")
        name, place = parameter["name"], parameter["in"]
        if place not in PLACES:
            self.wrong(parameter.line_of("in"), f"parameter '{name}' is in '{place}'; known are {', '.join(PLACES)}")
            return None
        if place == "header":
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", str(name)):
                self.wrong(parameter.line_of("name"), f"header name '{name}' should be letters, digits and hyphens")
                return None
            if name.lower() == "idempotency-key":
                self.wrong(parameter.line_of("name"), "Idempotency-Key is declared by x-idempotency")
                return None
        elif not IDENTIFIER.fullmatch(str(name)):
            self.wrong(parameter.line_of("name"), f"parameter name '{name}' should be lower case letters, digits and"
                                                  " underscores")
            return None
        if place == "path" and parameter.get("required") is not True:
            self.wrong(parameter.line, f"path parameter '{name}' needs required: true")
        if parameter.get("style", "form") not in ("form", "simple") or parameter.get("explode", True) is not True:
            self.wrong(parameter.line, f"parameter '{name}': only the default style and explode are supported")
        self.check_schema(parameter["schema"], parameter.line_of("schema"))
        return parameter

    def body(self, operation, method, out):
        out.update(body=None, body_type=None, raw=operation.get("x-raw-body", False), body_required=True, body_max=0)
        if out["raw"] not in (True, False):
            self.wrong(operation.line_of("x-raw-body"), "x-raw-body should be true or false")
        if "requestBody" in operation:
            if method == "get":
                self.wrong(operation.line_of("requestBody"), "GET takes no body")
            body, _ = self.resolve(operation["requestBody"])
            if body is None:
                return
            out["body_required"] = body.get("required", False) is True
            content = body.get("content", {})
            if out["raw"]:
                out["body_type"] = next(iter(content)) if len(content) == 1 else None
            elif list(content) != ["application/json"] or "schema" not in content["application/json"]:
                self.wrong(operation.line_of("requestBody"), "a body that is not raw has content of application/json alone,"
                                                             " with a schema")
                return
            else:
                media = content["application/json"]
                out["body"], out["body_type"] = media["schema"], "application/json"
                self.check_schema(out["body"], media.line_of("schema"))
            for media in content.values():
                if out["raw"] and isinstance(media, Map) and "schema" in media:
                    self.check_schema(media["schema"], media.line_of("schema"))
        has_body = out["raw"] or out["body"] is not None
        out["body_max"] = operation.get("x-body-max", BODY_MAX if has_body else 0)
        if "x-body-max" in operation:
            line = operation.line_of("x-body-max")
            if not has_body:
                self.wrong(line, "x-body-max without a body")
            if not isinstance(out["body_max"], int) or not 1 <= out["body_max"] <= 1 << 30:
                self.wrong(line, "x-body-max should be a number of bytes up to 1 GiB")
                out["body_max"] = 0

    def account(self, operation, out):
        """The member of the body that names an account, whose attempts are limited together; `caller`: who is signed in."""
        out["account"] = operation.get("x-limit-account")
        out["caller"] = out["account"] == "caller"
        if out["caller"]:
            out["account"] = None
            if "anonymous" in out["roles"] or out["limit"] != "sign-in":
                self.wrong(operation.line_of("x-limit-account"), "x-limit-account: caller is for operations of class sign-in that nobody calls without an account")
        if out["account"] is None:
            return
        schema, _ = self.resolve(out["body"]) if out["body"] is not None else (None, 0)
        member = (schema or {}).get("properties", {}).get(out["account"], {})
        if member.get("type") != "string" or out["account"] not in schema.get("required", []) or out["limit"] != "sign-in":
            self.wrong(operation.line_of("x-limit-account"), "x-limit-account names a required string of the body of an operation of class sign-in")

    def responses(self, operation, name):
        responses = operation.get("responses")
        if not isinstance(responses, Map) or not responses:
            self.wrong(operation.line, f"operation '{name}' has no responses")
            return
        for status, response in responses.items():
            if not re.fullmatch(r"[1-5]([0-9][0-9]|XX)|default", str(status)):
                self.wrong(responses.line_of(status), f"'{status}' is not an HTTP status")
            self.check_response(response, responses.line_of(status))


# ---- output ----

def header(contract):
    operations = contract.operations
    out = ["/* Generated from the contract, api/openapi.yaml, by tools/contract_gen.py; edit that file, not this one. */",
           "#ifndef CATHAY_API_H", "#define CATHAY_API_H", "", '#include "base/buf.h"', '#include "base/id.h"',
           '#include "http/api_decode.h"', '#include "http/request.h"', '#include "pg/pg_types.h"', ""]
    out += ["enum api_operation {"]
    out += [f"    API_OPERATION_{operation['name'].upper()}," for operation in operations]
    out += ["    API_OPERATION_COUNT", "};", ""]
    out += contract.emitter.declarations
    out += ["/* Each is defined by the module that owns the operation. */"]
    out += [f"enum error_code {operation['name']}_handle(struct request *req, const struct api_{operation['name']} *in);"
            for operation in operations]
    early = [operation["name"] for operation in operations if operation["early"]]
    if early:
        out += ["/* Asked when the head is there and nobody is authenticated yet, on the loop: what it returns is the answer; ERR_OK goes on. */"]
    out += [f"enum error_code {name}_early(struct request *req, const struct str *path_params, struct str bearer);" for name in early]
    out += ["""
struct api_route {
    enum api_operation operation;
    const char *operation_id;
    const char *method;
    const char *path;
    uint32_t roles; /* 1u << enum api_role */
    enum api_limit limit;
    struct str (*limit_account)(const void *in); /* the account that the request names; NULL: none */
    bool limit_caller; /* or it is the caller's own */
    enum api_run run;
    enum api_session session;
    enum api_idempotency idempotency;
    size_t body_max; /* bytes; 0: the operation takes no body */
    bool raw_body;
    bool body_required;
    const char *body_type; /* media type of the body; NULL: none or any */
    const char *const *cache_tags; /* NULL-terminated; NULL: the answer is not cached */
    int cache_ttl_s;
    enum error_code (*early)(struct request *req, const struct str *path_params, struct str bearer); /* NULL: x-early is not set */
    bool (*decode)(const struct api_input *input, struct arena *arena, void **out, struct error *error);
    enum error_code (*handle)(struct request *req, const void *in);
};

extern const struct api_route api_routes[ROUTE_COUNT];

/* Compiles all patterns, so that a wrong one is found at start. */
void api_patterns_compile(void);

/* The contract as minified JSON. */
extern const struct str api_openapi_json;

#endif
"""]
    return "\n".join(out).replace("ROUTE_COUNT", "API_OPERATION_COUNT" if operations else "1")


def source(contract):
    out = ["/* Generated from the contract, api/openapi.yaml, by tools/contract_gen.py; edit that file, not this one. */",
           '#include "api.h"', "", "#include <stddef.h>", ""]
    out += contract.emitter.definitions
    for operation in contract.operations:
        name = operation["name"]
        out += [f"static bool {name}_decode(const struct api_input *input, struct arena *arena, void **out,"
                " struct error *error)", "{",
                f"    return api_decode(&request_{name}, input, arena, out, error);", "}", "",
                f"static enum error_code {name}_call(struct request *req, const void *in)", "{",
                f"    return {name}_handle(req, in);", "}", ""]
        if operation["account"]:
            out += [f"static struct str {name}_account(const void *in)", "{",
                    f"    return ((const struct api_{name} *)in)->body.{snake(operation['account'])};", "}", ""]
        if operation["tags"]:
            tags = ", ".join(c_string(tag) for tag in operation["tags"])
            out += [f"static const char *const {name}_tags[] = {{{tags}, NULL}};", ""]
    out += ["const struct api_route api_routes[] = {"]
    for operation in contract.operations:
        name = operation["name"]
        roles = " | ".join(f"1u << ROLE_{role.upper()}" for role in operation["roles"])
        body_type = c_string(operation["body_type"]) if operation["body_type"] else "NULL"
        out += [f"    [API_OPERATION_{name.upper()}] = {{",
                f"        .operation = API_OPERATION_{name.upper()},", f'        .operation_id = "{name}",',
                f'        .method = "{operation["method"]}",', f"        .path = {c_string(operation['path'])},",
                f"        .roles = {roles},", f"        .limit = API_LIMIT_{constant(operation['limit'])},",
                f"        .limit_account = {name + '_account' if operation['account'] else 'NULL'},",
                f"        .limit_caller = {c_bool(operation['caller'])},",
                f"        .run = API_RUN_{constant(operation['run'])},",
                f"        .session = API_SESSION_{constant(operation['session'])},",
                f"        .idempotency = API_IDEMPOTENCY_{constant(operation['idempotency'])},",
                f"        .body_max = {operation['body_max']},", f"        .raw_body = {c_bool(operation['raw'])},",
                f"        .body_required = {c_bool(operation['body_required'] and operation['body_max'])},",
                f"        .body_type = {body_type},",
                f"        .cache_tags = {name + '_tags' if operation['tags'] else 'NULL'},",
                f"        .cache_ttl_s = {operation['ttl']},", f"        .early = {name + '_early' if operation['early'] else 'NULL'},",
                f"        .decode = {name}_decode,",
                f"        .handle = {name}_call,", "    },"]
    if not contract.operations:
        out += ["    {.operation = API_OPERATION_COUNT}, /* there are no operations yet */"]
    out += ["};", "", "void api_patterns_compile(void)", "{"]
    if contract.emitter.patterns:
        out += ["    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)",
                "        api_pattern_compile(&patterns[i]);"]
    out += ["}", ""]
    return "\n".join(out)


def constant(text):
    return snake(text).upper()


def json_text(contract, version):
    """The document for other programs: identifiers get their pattern and problems their codes, so that any validator can
    check them."""
    def convert(node):
        if isinstance(node, dict):
            out = {str(key): convert(value) for key, value in node.items()}
            if isinstance(out.get("x-id"), str) and "pattern" not in out and out["x-id"] in contract.id_kinds:
                out["pattern"] = f"^{contract.id_kinds[out['x-id']]}_[0-9a-f]{{32}}$"
            return out
        return [convert(child) for child in node] if isinstance(node, list) else node
    document = convert(contract.document)
    if version:
        document["info"]["version"] = version
    problem = document.get("components", {}).get("schemas", {}).get("Problem", {})
    code = problem.get("properties", {}).get("code")
    if isinstance(code, dict) and "enum" not in code:
        code["enum"] = sorted(contract.error_codes - {"ok"})
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def json_source(text):
    data = text.encode("utf-8")
    pieces = []
    for at in range(0, len(data), 96):
        pieces.append('    "' + "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
                                        for byte in data[at:at + 96]) + '"')
    return "\n".join(["/* Generated by tools/contract_gen.py: the contract, served as /openapi.json. */", '#include "api.h"',
                      "", "static const char text[] =", *pieces, "    ;", "",
                      "const struct str api_openapi_json = {text, sizeof text - 1};", ""])


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


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--ids", required=True)
    arguments.add_argument("--errors", required=True)
    arguments.add_argument("--out-dir", required=True)
    arguments.add_argument("--version", help="becomes info.version, where the contract has to say 'see meson.build'")
    arguments.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                           help="paths in messages are relative to this folder")
    arguments.add_argument("contract")
    options = arguments.parse_args()
    with open(options.ids, encoding="utf-8") as file:
        id_kinds = dict(re.findall(r'^\s*ID_KIND\(\s*(\w+)\s*,\s*"(\w+)"\s*\)', file.read(), re.M))
    with open(options.errors, encoding="utf-8") as file:
        error_codes = set(re.findall(r'^\s*ERROR_CODE\(\s*\w+\s*,\s*\d+\s*,\s*"(\w+)"', file.read(), re.M))
    wrongs = Wrongs(os.path.relpath(options.contract, options.root))
    document = load(options.contract, wrongs)
    contract = None
    if document is not None:
        contract = Contract(document, wrongs, id_kinds, error_codes)
        contract.read()
        info = document.get("info")
        if options.version and isinstance(info, Map) and info.get("version") != VERSION_ELSEWHERE:
            wrongs.add(info.line_of("version"), f"info.version should be '{VERSION_ELSEWHERE}', where it stands alone")
    if wrongs.found:
        print(wrongs.text(), file=sys.stderr)
        return 1
    os.makedirs(options.out_dir, exist_ok=True)
    text = json_text(contract, options.version)
    write(options.out_dir, "api.h", header(contract))
    write(options.out_dir, "api.c", source(contract))
    write(options.out_dir, "openapi_json.c", json_source(text))
    write(options.out_dir, "openapi.json", text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
