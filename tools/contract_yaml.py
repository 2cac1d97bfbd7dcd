"""YAML into dicts and lists that know their lines. Booleans are true and false alone, as in YAML 1.2; times stay text;
a key that appears twice in a mapping is a fault."""
import re

import yaml


class Wrongs:
    """What is wrong with a file, each with its line."""

    def __init__(self, path):
        self.path = path
        self.found = []

    def add(self, line, reason):
        if (line, reason) not in self.found:
            self.found.append((line, reason))

    def text(self):
        return "\n".join(f"{self.path}:{line}: {reason}" for line, reason in sorted(self.found))


class Map(dict):
    line = 0

    def __init__(self):
        super().__init__()
        self.lines = {}

    def line_of(self, key):
        return self.lines.get(key, self.line)


class Seq(list):
    line = 0

    def __init__(self):
        super().__init__()
        self.lines = []


class Loader(yaml.SafeLoader):
    pass


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":bool"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def convert(node, loader, wrongs):
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        out = Map()
        out.line = line
        for key_node, value_node in node.value:
            key = convert(key_node, loader, wrongs)
            key_line = key_node.start_mark.line + 1
            if isinstance(key, (dict, list)):
                wrongs.add(key_line, "a key should be plain text")
                continue
            if isinstance(key, int) and not isinstance(key, bool):
                key = str(key)  # the statuses of responses
            if key == "<<":
                wrongs.add(key_line, "merge keys (<<) are not supported")
            if key in out:
                wrongs.add(key_line, f"'{key}' is also at line {out.lines[key]}")
            out[key] = convert(value_node, loader, wrongs)
            out.lines[key] = key_line
        return out
    if isinstance(node, yaml.SequenceNode):
        out = Seq()
        out.line = line
        for child in node.value:
            out.append(convert(child, loader, wrongs))
            out.lines.append(child.start_mark.line + 1)
        return out
    return loader.construct_object(node)


def load(path, wrongs):
    """The document, or None with the reason among the wrongs."""
    with open(path, encoding="utf-8") as file:
        loader = Loader(file.read())
    try:
        node = loader.get_single_node()
        document = convert(node, loader, wrongs) if node else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        wrongs.add(mark.line + 1 if mark else 1, f"is not YAML: {getattr(error, 'problem', error)}")
        return None
    finally:
        loader.dispose()
    if not isinstance(document, Map):
        wrongs.add(1, "the document should be a mapping")
        return None
    return document
